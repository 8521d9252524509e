package testnetwork

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// liar is the custodian's peer as it would be if its operator had changed it: it
// shows the peer's own certificate, hands every call to the peer, and puts
// another answer in the place of one query's.
type liar struct {
	gatewaypb.UnimplementedGatewayServer
	honest gatewaypb.GatewayClient
	about  string // name of the query

	mu    sync.Mutex
	lie   func(answer []byte) []byte // nil: it tells the truth
	asked int                        // how often the query came since it began to say so
}

// tell makes it lie so from now on.
func (l *liar) tell(lie func([]byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie, l.asked = lie, 0
}

// heard tells how often it has been asked since.
func (l *liar) heard() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *liar) Endorse(ctx context.Context, request *gatewaypb.EndorseRequest) (*gatewaypb.EndorseResponse, error) {
	return l.honest.Endorse(ctx, request)
}

func (l *liar) Submit(ctx context.Context, request *gatewaypb.SubmitRequest) (*gatewaypb.SubmitResponse, error) {
	return l.honest.Submit(ctx, request)
}

func (l *liar) CommitStatus(ctx context.Context, request *gatewaypb.SignedCommitStatusRequest) (*gatewaypb.CommitStatusResponse, error) {
	return l.honest.CommitStatus(ctx, request)
}

func (l *liar) Evaluate(ctx context.Context, request *gatewaypb.EvaluateRequest) (*gatewaypb.EvaluateResponse, error) {
	answer, err := l.honest.Evaluate(ctx, request)
	if err != nil || queryOf(request) != l.about {
		return answer, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.lie != nil {
		answer.Result.Payload = l.lie(answer.GetResult().GetPayload())
	}
	return answer, nil
}

// queryOf is the name of the transaction that a request is for, "" when it can't
// be read.
func queryOf(request *gatewaypb.EvaluateRequest) string {
	var proposal peer.Proposal
	var payload peer.ChaincodeProposalPayload
	var invocation peer.ChaincodeInvocationSpec
	if proto.Unmarshal(request.GetProposedTransaction().GetProposalBytes(), &proposal) != nil ||
		proto.Unmarshal(proposal.GetPayload(), &payload) != nil || proto.Unmarshal(payload.GetInput(), &invocation) != nil {
		return ""
	}
	if arguments := invocation.GetChaincodeSpec().GetInput().GetArgs(); len(arguments) > 0 {
		return string(arguments[0])
	}
	return ""
}

// lyingPeer puts a liar before the custodian's peer and into a profile.
func (w *ward) lyingPeer(profile *gateway.Profile, about string) *liar {
	w.t.Helper()
	name := profile.Organizations[custodian].Peers[0]
	server := profile.Peers[name]
	connection, err := grpc.NewClient(strings.TrimPrefix(server.URL, "grpcs://"), grpc.WithTransportCredentials(trusting(server)))
	w.must(err)
	w.t.Cleanup(func() { _ = connection.Close() })
	tls := filepath.Join(w.network.StateDir(), "crypto", "peerOrganizations", strings.TrimPrefix(name, "peer."), "peers", name, "tls")
	own, err := credentials.NewServerTLSFromFile(filepath.Join(tls, "server.crt"), filepath.Join(tls, "server.key"))
	w.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	l := &liar{honest: gatewaypb.NewGatewayClient(connection), about: about}
	front := grpc.NewServer(grpc.Creds(own))
	gatewaypb.RegisterGatewayServer(front, l)
	go func() { _ = front.Serve(listener) }()
	w.t.Cleanup(front.Stop)
	server.URL = "grpcs://" + listener.Addr().String()
	profile.Peers[name] = server
	return l
}

// forgery is a file of the liar's own that would open without a complaint: sealed
// under a key of its own, on the IPFS node, as long as the true one.
type forgery struct {
	cid, plainDigest string
	key              *envelope.Identity
}

func (w *ward) forge(content string, into record.Store) forgery {
	w.t.Helper()
	key, err := envelope.NewIdentity()
	w.must(err)
	sealed, err := envelope.SealReader(strings.NewReader(content), key.Recipient())
	w.must(err)
	defer sealed.Close()
	cid, err := into.Add(w.t.Context(), sealed)
	w.must(err)
	return forgery{cid, plainDigest(content), key}
}

func (f forgery) wrap(w *ward, recipient string) string {
	w.t.Helper()
	wrap, err := envelope.Wrap(f.key, recipient)
	w.must(err)
	return wrap
}

// rewritten is a lie that changes a document and keeps its form.
func rewritten[T any](w *ward, change func(T) T) func([]byte) []byte {
	return func(answer []byte) []byte {
		var document T
		if err := json.Unmarshal(answer, &document); err != nil {
			w.t.Error(err)
		}
		lie, err := json.Marshal(change(document))
		if err != nil {
			w.t.Error(err)
		}
		return lie
	}
}

// Case 17: the custodian's peer, which is not the grantee's own, answers ReadGrant
// falsely. The grantee has the hash from another peer and shows nothing.
func TestCase17GranteeNoticesFalseGrants(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	w.add(id, "", "two")
	given := w.agree(id)
	w.grant(given, 1)
	w.grant(given, 2)

	profile := w.profile("insurer")
	liar := w.lyingPeer(profile, "access:ReadGrant")
	_, identity := w.enrol("insurer", "requester", consortium.RoleRequester)
	connection, err := gateway.Connect(profile, identity, gateway.Options{})
	w.must(err)
	t.Cleanup(func() { _ = connection.Close() })
	grantee := w.requester.Client
	grantee.Ledger = connection.Contracts()

	var second []consent.Grant
	access, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), use(given, id, 2))
	w.committed(err)
	second, err = w.requester.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: access.Access})
	w.must(err)
	forged := w.forge("eno", w.public)
	for _, c := range []struct {
		name string
		lie  func([]consent.Grant) []consent.Grant
	}{
		{"another file and key", func(g []consent.Grant) []consent.Grant {
			lie := w.opened(g[0])
			lie.CID, lie.PlainDigest, lie.Wrap = forged.cid, forged.plainDigest, forged.wrap(w, grantee.Key.Recipient())
			g[0].Sealed = w.seal(lie, grantee.Key)
			return g
		}},
		{"another type of content", func(g []consent.Grant) []consent.Grant {
			lie := w.opened(g[0])
			lie.ContentType = "text/html"
			g[0].Sealed = w.seal(lie, grantee.Key)
			return g
		}},
		{"the patient as the writer", func(g []consent.Grant) []consent.Grant {
			g[0].Writer = consent.WriterPatient
			return g
		}},
		{"a true grant of another version", func([]consent.Grant) []consent.Grant { return second }},
		{"the other version's as this one's", func([]consent.Grant) []consent.Grant {
			lie := second[0]
			lie.Version = 1
			return []consent.Grant{lie}
		}},
		{"nothing", func([]consent.Grant) []consent.Grant { return []consent.Grant{} }},
	} {
		liar.tell(rewritten(w, c.lie))
		output := filepath.Join(t.TempDir(), "one")
		_, err := grantee.Open(t.Context(), record.Use{Consent: given, Version: 1, Purpose: payment, Output: output})
		if w.denied("MF-GRANT-FORGED", err); liar.heard() == 0 {
			t.Errorf("%s: the liar was not asked", c.name)
		}
		absent(t, output)
	}
	liar.tell(nil)
	output := filepath.Join(t.TempDir(), "one")
	_, err = grantee.Open(t.Context(), record.Use{Consent: given, Version: 1, Purpose: payment, Output: output})
	w.must(err)
	holds(t, output, "one")
}

// Case 17: the same for what the custodian's peer says of a record's private part
// to its patient.
func TestCase17PatientNoticesAFalseRecord(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	profile := w.profile(custodian)
	liar := w.lyingPeer(profile, "record:GetPrivate")
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	_, identity := w.enrol(custodian, pseudonym, consortium.RolePatient)
	connection, err := gateway.Connect(profile, identity, gateway.Options{})
	w.must(err)
	t.Cleanup(func() { _ = connection.Close() })
	patient := w.patient.Client
	patient.Ledger = connection.Contracts()

	forged := w.forge("eno", w.own)
	truth := w.private(id, 1)
	for _, lie := range []func(*record.PrivateVersion){
		func(v *record.PrivateVersion) {
			v.CID, v.PlainDigest, v.PatientWrap = forged.cid, forged.plainDigest, forged.wrap(w, patient.Key.Recipient())
		},
		func(v *record.PrivateVersion) { v.PatientIdentifier = "MRN-2" },
	} {
		liar.tell(rewritten(w, func(v records.SealedVersion) records.SealedVersion {
			told := truth
			lie(&told)
			v.Sealed = w.seal(told, patient.Key)
			return v
		}))
		output := filepath.Join(t.TempDir(), "one")
		_, err := patient.Get(t.Context(), id, 1, output)
		if w.denied("MF-RECORD-MISMATCH", err); liar.heard() == 0 {
			t.Error("the liar was not asked")
		}
		absent(t, output)
	}
	liar.tell(nil)
	output := filepath.Join(t.TempDir(), "one")
	_, err = patient.Get(t.Context(), id, 1, output)
	w.must(err)
	holds(t, output, "one")
}
