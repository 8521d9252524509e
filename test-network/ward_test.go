package testnetwork

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/keystore"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/test-network/traces"
)

// The custodian of every record in these tests.
const (
	custodian    = "hospital1"
	custodianMSP = "Hospital1MSP"
	payment      = "HPAYMT" // purpose of every consent
)

// otherMembers are all members but the custodian: a majority without it.
var otherMembers = []string{"Hospital2MSP", "Hospital3MSP", "Hospital4MSP", "ResearchCentreMSP"}

// ward is a custodian with an officer, a new patient and an insurer. All of them
// go through the custodian's peer, so that each sees what the last one did.
type ward struct {
	t                           *testing.T
	network                     *network.Network
	peers                       []*gateway.Gateway // one to every member's peer
	own, replica, public        *ipfs.Client
	keys                        *keystore.Store // of the custodian's private documents
	officer, patient, requester party
}

// party is an identity with all that it acts through.
type party struct {
	record.Client
	id       string // as the ledger knows it
	fabric   *fabric.Gateway
	contract *fabric.Contract
}

func newWard(t *testing.T) *ward { return wardOf(t, liveNetwork(t)) }

// wardOf is a ward on a network of the test's own.
func wardOf(t *testing.T, n *network.Network) *ward {
	w := &ward{t: t, network: n}
	w.own = w.ipfs(w.profile(custodian).Medfed.IPFS.Private)
	w.keys = keystore.Open(w.profile(custodian).Medfed.DocumentKeys)
	w.replica = w.ipfs(w.profile("researchcentre").Medfed.IPFS.Private)
	w.public = w.ipfs(w.profile(custodian).Medfed.IPFS.Public)
	w.officer = w.party(custodian, "officer", consortium.RoleCustodian)
	w.patient = w.party(custodian, record.NewPseudonym(), consortium.RolePatient)
	w.requester = w.party("insurer", "requester", consortium.RoleRequester)
	_, officer := w.enrol(custodian, "officer", consortium.RoleCustodian)
	for _, o := range w.network.Consortium().Organisations {
		if o.Kind.Member() {
			w.peers = append(w.peers, w.connect(o.Name, officer))
		}
	}
	w.settle()
	for _, p := range []party{w.officer, w.patient, w.requester} {
		w.publish(p)
	}
	return w
}

// publish enters a party's recipient in the directory.
func (w *ward) publish(p party) record.Published {
	w.t.Helper()
	published, err := p.Publish(w.t.Context(), p.id)
	w.committed(err)
	return published
}

func (w *ward) profile(org string) *gateway.Profile {
	w.t.Helper()
	p, err := gateway.LoadProfile(w.network.Profile(org))
	w.must(err)
	return p
}

func (w *ward) ipfs(at gateway.IPFS) *ipfs.Client {
	w.t.Helper()
	c, err := ipfs.Open(ipfs.Config{URL: at.URL, TokenFile: at.TokenFile})
	w.must(err)
	w.t.Cleanup(c.Close)
	return c
}

// enrol gives an identity's MSP folder, and the identity.
func (w *ward) enrol(org, name string, role consortium.Role) (string, *gateway.Identity) {
	w.t.Helper()
	dir, err := w.network.Enrol(w.t.Context(), org, name, string(role))
	w.must(err)
	id, err := gateway.LoadIdentity(w.profile(org).MSPID(), dir)
	w.must(err)
	return dir, id
}

// connect has an identity go through an organisation's peer.
func (w *ward) connect(through string, id *gateway.Identity) *gateway.Gateway {
	w.t.Helper()
	g, err := gateway.Connect(w.profile(through), id, gateway.Options{})
	w.must(err)
	w.t.Cleanup(func() { _ = g.Close() })
	return g
}

func (w *ward) party(org, name string, role consortium.Role) party {
	w.t.Helper()
	dir, id := w.enrol(org, name, role)
	key, err := session.AgeKey(dir)
	w.must(err)
	connection, contract := w.fabric(id.MSP, dir)
	return party{
		Client: record.Client{
			MSP: id.MSP, ID: id.ID(), Role: id.Role, Keys: w.keys, Ledger: w.connect(custodian, id).Contracts(), Key: key,
			Own: w.own, Others: []record.Holder{{MSP: "ResearchCentreMSP", Store: w.replica}}, Public: w.public,
		},
		id: id.ID(), fabric: connection, contract: contract,
	}
}

// trusting accepts a server by the certificate that a profile holds.
func trusting(server gateway.Server) credentials.TransportCredentials {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(server.TLSCACerts.PEM))
	return credentials.NewClientTLSFromCert(roots, server.GRPCOptions.TargetName)
}

// fabric is Fabric's own client at the custodian's peer, for what medfed's never
// does: to choose the endorsers, and to do something between endorsement and
// submit.
func (w *ward) fabric(msp, dir string) (*fabric.Gateway, *fabric.Contract) {
	w.t.Helper()
	profile := w.profile(custodian)
	server := profile.Peers[profile.Organizations[custodian].Peers[0]]
	address, err := url.Parse(server.URL)
	w.must(err)
	connection, err := grpc.NewClient(address.Host, grpc.WithTransportCredentials(trusting(server)))
	w.must(err)
	w.t.Cleanup(func() { _ = connection.Close() })
	certificate, err := identity.CertificateFromPEM(w.onlyFile(filepath.Join(dir, "signcerts")))
	w.must(err)
	who, err := identity.NewX509Identity(msp, certificate)
	w.must(err)
	key, err := identity.PrivateKeyFromPEM(w.onlyFile(filepath.Join(dir, "keystore")))
	w.must(err)
	sign, err := identity.NewPrivateKeySign(key)
	w.must(err)
	g, err := fabric.Connect(who, fabric.WithSign(sign), fabric.WithHash(hash.SHA256), fabric.WithClientConnection(connection))
	w.must(err)
	w.t.Cleanup(func() { _ = g.Close() })
	return g, g.GetNetwork(profile.Medfed.Channel).GetContract(profile.Medfed.Chaincode)
}

func (w *ward) onlyFile(folder string) []byte {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	w.must(err)
	if len(files) != 1 {
		w.t.Fatalf("%s holds %v and not one file", folder, files)
	}
	content, err := os.ReadFile(files[0])
	w.must(err)
	return content
}

func (w *ward) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// committed fails the test on an error and else waits until every peer has what
// was committed, so that the next step meets the same ledger everywhere.
func (w *ward) committed(err error) {
	w.t.Helper()
	w.must(err)
	w.settle()
}

// settle returns when every peer has the blocks that any of them has now.
func (w *ward) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	height := func(g *gateway.Gateway) uint64 {
		h, err := g.Height(ctx)
		w.must(err)
		return h
	}
	var highest uint64
	for _, g := range w.peers {
		highest = max(highest, height(g))
	}
	for _, g := range w.peers {
		for height(g) < highest { // the question itself takes a while
			w.must(ctx.Err())
		}
	}
}

// denied fails the test unless an error has this code.
func (w *ward) denied(code codes.Code, err error) {
	w.t.Helper()
	if err == nil || codes.Of(err) != code {
		w.t.Errorf("%v, want a refusal with %s", err, code)
	}
}

// add registers a record with one version, or adds one to it.
func (w *ward) add(to, identifier, content string) record.Added {
	w.t.Helper()
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	added, err := w.officer.Add(w.t.Context(), record.Addition{
		Record: to, Kind: records.KindImage, Patient: pseudonym, PatientIdentifier: identifier,
		ContentType: "text/plain", File: strings.NewReader(content), Size: int64(len(content)),
	})
	w.committed(err)
	return added
}

// held is what the custodian's collection holds of a version.
func (w *ward) held(id string, version int) records.SealedVersion {
	w.t.Helper()
	sealed, err := w.officer.Ledger.Records.GetPrivate(w.t.Context(), custodianMSP, records.VersionRequest{Record: id, Version: version})
	w.must(err)
	return sealed
}

// private is what the patient opens of it.
func (w *ward) private(id string, version int) record.PrivateVersion {
	w.t.Helper()
	private, err := envelope.OpenDocument[record.PrivateVersion](w.held(id, version).Sealed, w.patient.Key)
	w.must(err)
	return private
}

// opened is what the requester opens of a grant.
func (w *ward) opened(grant consent.Grant) record.PrivateGrant {
	w.t.Helper()
	private, err := envelope.OpenDocument[record.PrivateGrant](grant.Sealed, w.requester.Key)
	w.must(err)
	return private
}

// seal encrypts a document to one of the parties.
func (w *ward) seal(document any, to *envelope.Identity) string {
	w.t.Helper()
	sealed, err := envelope.SealDocument(document, to.Recipient())
	w.must(err)
	return sealed
}

// staging stands for the private part of a new record's version 1, not yet sent.
func (w *ward) staging() records.SealedVersion {
	w.t.Helper()
	v := w.held(w.add("", "MRN-1", "one").Record, 1)
	v.Record = record.NewRecordID()
	return v
}

// registration makes a staged record public.
func (w *ward) registration(v records.SealedVersion) records.RegisterRequest {
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	return records.RegisterRequest{
		Record: v.Record, Kind: records.KindImage, Patient: pseudonym, Digest: form.Digest(v), Content: records.ContentDigest(record.NewSalt(), "", ""), Size: 1,
		Holders: []string{custodianMSP, "ResearchCentreMSP"},
	}
}

func terms(scope consent.Scope, compensation consent.Compensation) consent.Terms {
	return consent.Terms{
		Scope: scope, Period: consent.Period{Until: time.Now().Add(time.Hour).Unix()}, Purposes: []string{payment}, Compensation: compensation,
	}
}

// agree makes a consent of all versions of a record for the requester.
func (w *ward) agree(id string) string {
	w.t.Helper()
	offer, err := w.requester.Ledger.Consents.Request(w.t.Context(), consent.AskRequest{
		Consent: record.NewConsentID(), Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone),
	})
	w.committed(err)
	w.accept(offer)
	return offer.Consent
}

func (w *ward) accept(offer consent.Offer) {
	w.t.Helper()
	_, err := w.patient.Ledger.Consents.Accept(w.t.Context(), consent.AcceptRequest{Consent: offer.Consent, Offer: offer.Offer, Digest: offer.Digest()})
	w.committed(err)
}

func (w *ward) grant(id string, version int) record.Granted {
	w.t.Helper()
	granted, err := w.officer.Grant(w.t.Context(), id, version, "")
	w.committed(err)
	return granted
}

func (w *ward) revoke(id string) {
	w.t.Helper()
	_, err := w.patient.Ledger.Consents.Revoke(w.t.Context(), consent.RevokeRequest{Consent: id, Number: 1})
	w.committed(err)
}

func use(id, of string, version int) consent.AccessRequest {
	return consent.AccessRequest{Access: record.NewAccessID(), Consent: id, Record: of, Version: version, Purpose: payment}
}

// endorse has a transaction endorsed and does not submit it.
func (w *ward) endorse(p party, name string, request any, options ...fabric.ProposalOption) *fabric.Transaction {
	w.t.Helper()
	return w.endorsed(w.propose(p, name, request, options...))
}

func (w *ward) propose(p party, name string, request any, options ...fabric.ProposalOption) *fabric.Proposal {
	w.t.Helper()
	argument, err := json.Marshal(request)
	w.must(err)
	proposal, err := p.contract.NewProposal(name, append(options, fabric.WithArguments(string(argument)))...)
	w.must(err)
	return proposal
}

func (w *ward) endorsed(proposal *fabric.Proposal) *fabric.Transaction {
	w.t.Helper()
	transaction, err := proposal.EndorseWithContext(w.t.Context())
	if err != nil {
		w.t.Fatalf("%v %s", err, details(err))
	}
	return transaction
}

// endorseWithout gives a transaction that organisations other than the custodian
// have endorsed. The custodian's peer has endorsed it too, and its endorsement is
// withheld: it holds what the transaction would write, and the policy alone keeps
// that out.
func (w *ward) endorseWithout(p party, name string, request any, endorsers []string, options ...fabric.ProposalOption) *fabric.Transaction {
	w.t.Helper()
	proposal := w.propose(p, name, request, append(options, fabric.WithEndorsingOrganizations(custodianMSP))...)
	w.endorsed(proposal)
	content, err := proposal.Bytes()
	w.must(err)
	var proposed gatewaypb.ProposedTransaction
	w.must(proto.Unmarshal(content, &proposed))
	proposed.EndorsingOrganizations = endorsers
	content, err = proto.Marshal(&proposed)
	w.must(err)
	again, err := p.fabric.NewProposal(content)
	w.must(err)
	return w.endorsed(again)
}

// details are what a peer's gateway says besides.
func details(err error) string {
	var endorsing *fabric.EndorseError
	if errors.As(err, &endorsing) {
		return fmt.Sprint(endorsing.GRPCStatus().Details())
	}
	return ""
}

// submit sends an endorsed transaction and gives what the peers made of it.
func (w *ward) submit(transaction *fabric.Transaction) peer.TxValidationCode {
	w.t.Helper()
	commit, err := transaction.SubmitWithContext(w.t.Context())
	w.must(err)
	status, err := commit.StatusWithContext(w.t.Context())
	w.committed(err)
	return status.Code
}

// canary is a text that is nowhere unless this test has put it there.
func canary(what string) string { return what + "-" + rand.Text() }

// needle is a text to look for in every file of the network.
type needle struct {
	what      string
	text      string
	custodian bool // its custodian's peer has it in its private store; nobody else may
}

// in reports whether a file holds the text in any form.
func (n needle) in(content []byte) bool { return traces.In(content, traces.Forms(n.text)) }

// tail is the end of a wrapped key, which is random; it begins like all others.
func tail(wrap string) string { return wrap[len(wrap)-48:] }

// files reads every file of the network: blocks, databases, logs, IPFS,
// configurations.
func (w *ward) files(each func(path string, content []byte)) {
	w.t.Helper()
	w.must(traces.Files(w.network.StateDir(), each))
}

// privateStore reports whether a file is of those in which the custodian's peer
// keeps its collections.
func privateStore(path string) bool {
	data, within := strings.CutPrefix(path, "nodes/peer-"+custodian+"/data/")
	return within && (strings.HasPrefix(data, "ledgersData/pvtdataStore/") || strings.HasPrefix(data, "ledgersData/stateLeveldb/") ||
		strings.HasPrefix(data, "transientstore/"))
}

// holds fails the test unless a file has this content.
func holds(t *testing.T, path, want string) {
	t.Helper()
	if content, err := os.ReadFile(path); err != nil || string(content) != want {
		t.Errorf("%s holds %q (%v), want %q", path, content, err, want)
	}
}

// plainDigest is the SHA-256 of a plain file, as the ledger writes it.
func plainDigest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
