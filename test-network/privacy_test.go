package testnetwork

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/network"
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
	officer, patient, requester party
}

// party is an identity with all that it acts through.
type party struct {
	record.Client
	id       string // as the ledger knows it
	fabric   *fabric.Gateway
	contract *fabric.Contract
}

func newWard(t *testing.T) *ward {
	w := &ward{t: t, network: liveNetwork(t)}
	w.own = w.ipfs(w.profile(custodian).Medfed.IPFS.Private)
	w.replica = w.ipfs(w.profile("researchcentre").Medfed.IPFS.Private)
	w.public = w.ipfs(w.profile(custodian).Medfed.IPFS.Public)
	w.officer = w.party(custodian, "officer", ledger.RoleCustodian)
	w.patient = w.party(custodian, record.NewPseudonym(), ledger.RolePatient)
	w.requester = w.party("insurer", "requester", ledger.RoleRequester)
	_, officer := w.enrol(custodian, "officer", ledger.RoleCustodian)
	for _, o := range w.network.Consortium().Organisations {
		if o.Kind.Member() {
			w.peers = append(w.peers, w.connect(o.Name, officer))
		}
	}
	w.settle()
	return w
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
func (w *ward) enrol(org, name string, role ledger.Role) (string, *gateway.Identity) {
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

func (w *ward) party(org, name string, role ledger.Role) party {
	w.t.Helper()
	dir, id := w.enrol(org, name, role)
	key, err := node.AgeIdentity(dir)
	w.must(err)
	connection, contract := w.fabric(id.MSP, dir)
	return party{
		Client: record.Client{
			MSP: id.MSP, Role: id.Role, Ledger: w.connect(custodian, id).Records(), Key: key,
			Own: w.own, Others: []record.Holder{{MSP: "ResearchCentreMSP", Store: w.replica}}, Public: w.public,
		},
		id: id.ID(), fabric: connection, contract: contract,
	}
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
	transport, err := credentials.NewClientTLSFromFile(server.TLSCACerts.Path, server.GRPCOptions.TargetName)
	w.must(err)
	connection, err := grpc.NewClient(address.Host, grpc.WithTransportCredentials(transport))
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
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
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
	if err == nil || codes.CodeIn(err.Error()) != code {
		w.t.Errorf("%v, want a refusal with %s", err, code)
	}
}

// add registers a record with one version, or adds one to it.
func (w *ward) add(to, identifier, content string) record.Added {
	w.t.Helper()
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	added, err := w.officer.Add(w.t.Context(), record.Addition{
		Record: to, Kind: consent.KindImage, Patient: pseudonym, PatientIdentifier: identifier, PatientRecipient: w.patient.Key.Recipient(),
		ContentType: "text/plain", File: strings.NewReader(content), Size: int64(len(content)),
	})
	w.committed(err)
	return added
}

// private is what the custodian's collection holds of a version.
func (w *ward) private(id string, version int) consent.PrivateVersion {
	w.t.Helper()
	private, err := w.officer.Ledger.GetPrivate(w.t.Context(), custodianMSP, consent.VersionRequest{Record: id, Version: version})
	w.must(err)
	return private
}

// staging is the private part of a new record's version 1, not yet sent.
func (w *ward) staging() consent.PrivateVersion {
	w.t.Helper()
	v := w.private(w.add("", "MRN-1", "one").Record, 1)
	v.Record = record.NewRecordID()
	return v
}

// registration makes a staged record public.
func (w *ward) registration(v consent.PrivateVersion) consent.RegisterRequest {
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	return consent.RegisterRequest{
		Record: v.Record, Kind: consent.KindImage, Patient: pseudonym, Digest: consent.Digest(v), Size: 1,
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
	offer, err := w.requester.Ledger.RequestConsent(w.t.Context(), consent.AskRequest{
		Consent: record.NewConsentID(), Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone),
	})
	w.committed(err)
	w.accept(offer)
	return offer.Consent
}

func (w *ward) accept(offer consent.Offer) {
	w.t.Helper()
	_, err := w.patient.Ledger.Accept(w.t.Context(), consent.AcceptRequest{Consent: offer.Consent, Offer: offer.Offer, Digest: offer.Digest()})
	w.committed(err)
}

func (w *ward) grant(id string, version int) record.Granted {
	w.t.Helper()
	granted, err := w.officer.Grant(w.t.Context(), id, version, w.requester.Key.Recipient())
	w.committed(err)
	return granted
}

func (w *ward) revoke(id string) {
	w.t.Helper()
	_, err := w.patient.Ledger.Revoke(w.t.Context(), consent.RevokeRequest{Consent: id, Number: 1})
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
// that out. (A peer that lacks the private data of a block looks for it for
// pullRetryThreshold, also where the transaction is invalid.)
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

// canary is a text that is nowhere unless this test has put it there. It has no
// long repetition, which the peers' databases would compress.
func canary(what string) string { return what + "-" + rand.Text() }

// needle is a text to look for in every file of the network.
type needle struct {
	what      string
	text      string
	custodian bool // its custodian's peer has it in its private store; nobody else may
}

// forms are the ways a text can be written down.
func (n needle) forms() [][]byte {
	text := []byte(n.text)
	forms := [][]byte{text, []byte(hex.EncodeToString(text)), []byte(base64.RawStdEncoding.EncodeToString(text))}
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if raw, err := decode(n.text); err == nil {
			forms = append(forms, raw)
		}
	}
	return forms
}

// tail is the end of a wrapped key, which is random; it begins like all others.
func tail(wrap string) string { return wrap[len(wrap)-48:] }

// files reads every file of the network: blocks, databases, logs, IPFS,
// configurations.
func (w *ward) files(each func(path string, content []byte)) {
	w.t.Helper()
	state := w.network.StateDir()
	w.must(filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		var content []byte
		if err == nil && entry.Type().IsRegular() {
			content, err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) { // a database tidied up
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(state, path)
		each(filepath.ToSlash(relative), content)
		return err
	}))
}

// privateStore tells whether a file is of those in which the custodian's peer
// keeps its collections.
func privateStore(path string) bool {
	data, within := strings.CutPrefix(path, "nodes/peer-"+custodian+"/data/")
	return within && (strings.HasPrefix(data, "ledgersData/pvtdataStore/") || strings.HasPrefix(data, "ledgersData/stateLeveldb/") ||
		strings.HasPrefix(data, "transientstore/"))
}

// Case 14: what goes by transient is in the custodian's own peer's private store,
// and in no block, event, response, log, IPFS node or other peer.
func TestCase14CanariesStayWithTheCustodian(t *testing.T) {
	w := newWard(t)
	identifier, note, file, spoiled := canary("MRN"), canary("note"), canary("file"), canary("spoiled")
	id := w.add("", identifier, file).Record
	w.add(id, "", file+" again")
	private := consent.PrivateTerms{Consent: record.NewConsentID(), Offer: 1, Salt: record.NewSalt(), Amount: 4711, Currency: "EUR", Note: note}
	offer, err := w.requester.Ledger.RequestConsent(t.Context(), consent.AskRequest{
		Consent: private.Consent, Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeThis, Version: 1}, consent.CompensationMoney),
		PrivateDigest: consent.Digest(private),
	})
	w.committed(err)
	_, err = w.patient.Ledger.PutTerms(t.Context(), custodianMSP, private)
	w.committed(err)
	w.accept(offer)
	w.grant(offer.Consent, 1)
	opened, err := w.requester.Open(t.Context(), record.Use{Consent: offer.Consent, Version: 1, Purpose: payment, Output: filepath.Join(t.TempDir(), "opened")})
	w.committed(err)
	grants, err := w.requester.Ledger.ReadGrant(t.Context(), custodianMSP, opened.Access.Access)
	w.must(err)
	first, second := w.private(id, 1), w.private(id, 2)
	bad := second
	bad.Version, bad.PlainDigest, bad.ContentType = 3, spoiled, spoiled
	_, err = w.officer.Ledger.Stage(t.Context(), custodianMSP, bad)
	w.denied("MF-PRIVATE-INVALID", err)

	w.search(id, []needle{
		{"the patient's identifier", identifier, true},
		{"the note of the private terms", note, true},
		{"the salt of the private terms", private.Salt, true},
		{"the custodian's wrap", tail(first.CustodianWrap), true},
		{"the patient's wrap", tail(first.PatientWrap), true},
		{"the patient's wrap of version 2", tail(second.PatientWrap), true},
		{"the grantee's wrap", tail(grants[0].Wrap), true},
		{"the salt of version 1", first.Salt, true},
		{"the digest of the plain file", first.PlainDigest, true},
		{"the plain file", file, false},
		{"what was refused", spoiled, false},
	})
}

// search looks for the needles in every file of the network. It knows that it
// sees what is there: the public record must be in every peer's and orderer's
// files, and the custodian's needles in its private store.
func (w *ward) search(public string, needles []needle) {
	w.t.Helper()
	seen, kept := map[string]bool{}, map[string]bool{}
	w.files(func(path string, content []byte) {
		if process, of := strings.CutPrefix(path, "nodes/"); of && bytes.Contains(content, []byte(public)) {
			process, _, _ = strings.Cut(process, "/")
			seen[process] = true
		}
		for _, n := range needles {
			if !slices.ContainsFunc(n.forms(), func(form []byte) bool { return bytes.Contains(content, form) }) {
				continue
			}
			if kept[n.what] = true; !n.custodian || !privateStore(path) {
				w.t.Errorf("%s is in %s", n.what, path)
			}
		}
	})
	for _, o := range w.network.Consortium().Organisations {
		if o.Kind.Member() && !seen["peer-"+o.Name] {
			w.t.Errorf("the search did not see the public record at peer-%s: it sees nothing", o.Name)
		}
	}
	for _, n := range needles {
		if n.custodian && !kept[n.what] {
			w.t.Errorf("%s is not even in the custodian's private store", n.what)
		}
	}
}

// Case 15: whoever has every block and guesses every patient identifier of a
// hospital finds none of them.
func TestCase15DictionaryOfPatients(t *testing.T) {
	w := newWard(t)
	const guesses = 10_000
	id := w.add("", "MRN-4711", "one").Record
	w.add(id, "", "two")
	consentID := w.agree(id)
	w.grant(consentID, 1)
	_, err := w.requester.Ledger.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
	held := w.private(id, 1)
	unsalted := held
	unsalted.Salt = ""
	document, err := json.Marshal(unsalted)
	w.must(err)

	dictionary := map[[16]byte]string{} // beginnings of hashes, as bytes and as text
	enter := func(text, what string) {
		sum := sha256.Sum256([]byte(text))
		plain := hex.EncodeToString(sum[:])
		for _, form := range []string{string(sum[:]), plain, strings.ToUpper(plain), base64.StdEncoding.EncodeToString(sum[:]), base64.URLEncoding.EncodeToString(sum[:])} {
			dictionary[[16]byte([]byte(form))] = what
		}
	}
	for n := range guesses {
		guess := fmt.Sprintf("MRN-%04d", n)
		guessed := strings.Replace(string(document), held.PatientIdentifier, guess, 1)
		for _, text := range []string{
			guess, custodianMSP + guess, custodianMSP + "/" + guess, id + guess, id + "/" + guess, "\x00patient\x00" + guess + "\x00",
			guessed, strings.Replace(guessed, `"salt":"",`, "", 1),
		} {
			enter(text, fmt.Sprintf("the hash of %.80q", text))
		}
	}
	salted, err := json.Marshal(held)
	w.must(err)
	const control = "the salted digest, which no guess gives"
	enter(string(salted), control)

	found := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(w.network.StateDir(), "nodes", "peer-hospital2", "data", "ledgersData", "chains", "chains", w.network.Consortium().Channel, "blockfile_*"))
	w.must(err)
	for _, file := range files {
		chain, err := os.ReadFile(file)
		w.must(err)
		for i := range max(0, len(chain)-15) {
			if what, known := dictionary[[16]byte(chain[i:i+16])]; known {
				found[what] = true
			}
		}
		if bytes.Contains(chain, []byte(held.PatientIdentifier)) {
			t.Error("a patient's identifier itself is in a block")
		}
	}
	if !found[control] {
		t.Error("the search did not see the record's own digest: it sees nothing")
	}
	delete(found, control)
	for what := range found {
		t.Error(what, "is in a block")
	}
}

// Case 16: a collection is read by its members only, at its members' peers only,
// and no other peer's endorsement writes to it.
func TestCase16CollectionsHold(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	asked := consent.VersionRequest{Record: id, Version: 1}
	strangers := []party{w.party("hospital2", "officer", ledger.RoleCustodian), w.party(custodian, record.NewPseudonym(), ledger.RolePatient)}
	for _, stranger := range strangers {
		_, err := stranger.Ledger.GetPrivate(t.Context(), custodianMSP, asked)
		w.denied("MF-RECORD-DENIED", err)
	}
	for _, member := range otherMembers {
		_, err := w.officer.Ledger.GetPrivate(t.Context(), member, asked)
		w.denied("MF-PRIVATE-READ", err)
	}
	staged := w.staging()
	transient, err := json.Marshal(staged)
	w.must(err)
	for _, endorsers := range [][]string{{"Hospital2MSP"}, otherMembers} {
		foreign := w.endorseWithout(w.officer, "record:Stage", consent.VersionRequest{Record: staged.Record, Version: 1}, endorsers,
			fabric.WithTransient(map[string][]byte{"version": transient}))
		if got := w.submit(foreign); got != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE {
			t.Errorf("a private write that %v endorsed: %s", endorsers, got)
		}
	}
	_, err = w.officer.Ledger.Register(t.Context(), w.registration(staged))
	w.denied("MF-RECORD-NOT-STAGED", err)
	_, err = w.officer.Ledger.Stage(t.Context(), custodianMSP, staged)
	w.committed(err)
	_, err = w.officer.Ledger.Register(t.Context(), w.registration(staged))
	w.committed(err)
}

// Case 18: a wrong role, a right role in a wrong organisation, and an owner or an
// organisation that is only claimed.
func TestCase18NobodyActsForAnother(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	consentID := w.agree(id)
	w.grant(consentID, 1)
	access, err := w.requester.Ledger.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	node1 := w.party(custodian, "node1", ledger.RoleTrainer)
	officer2 := w.party("hospital2", "officer", ledger.RoleCustodian)
	namesake := w.party("hospital2", pseudonym, ledger.RolePatient)
	neighbour := w.party(custodian, record.NewPseudonym(), ledger.RolePatient)
	lab := w.party("foreignlab", "requester", ledger.RoleRequester)
	revocation := consent.RevokeRequest{Consent: consentID, Number: 1}

	for _, wrongRole := range []party{node1, w.requester, w.patient} {
		_, err := wrongRole.Ledger.Deprecate(t.Context(), id)
		w.denied("MF-ROLE-DENIED", err)
	}
	for _, wrongRole := range []party{node1, w.requester, w.officer} {
		_, err := wrongRole.Ledger.Revoke(t.Context(), revocation)
		w.denied("MF-ROLE-DENIED", err)
	}
	_, err = w.officer.Ledger.RequestAccess(t.Context(), use(consentID, id, 1))
	w.denied("MF-ROLE-DENIED", err)

	_, err = officer2.Ledger.Deprecate(t.Context(), id)
	w.denied("MF-RECORD-DENIED", err)
	for _, wrongOwner := range []party{officer2, namesake, neighbour} {
		_, err = wrongOwner.Ledger.RequestErasure(t.Context(), id)
		w.denied("MF-RECORD-DENIED", err)
	}
	for _, wrongOwner := range []party{namesake, neighbour} {
		_, err = wrongOwner.Ledger.Revoke(t.Context(), revocation)
		w.denied("MF-CONSENT-DENIED", err)
	}
	_, err = lab.Ledger.ReadGrant(t.Context(), custodianMSP, access.Access)
	w.denied("MF-ACCESS-DENIED", err)
	other, err := lab.Ledger.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
	if other.Decision != consent.Deny || other.Code != "MF-CONSENT-OTHER-GRANTEE" {
		t.Errorf("the lab, on the insurer's consent: %+v", other)
	}

	for _, owner := range []string{"patient", "by", "caller"} {
		err = namesake.Ledger.Submit(t.Context(), "consent:Revoke", map[string]any{"consent": consentID, "number": 1, owner: w.patient.id}, nil)
		w.denied("MF-ARGUMENT-UNKNOWN-FIELD", err)
	}
	claimed, err := gateway.LoadIdentity(custodianMSP, w.network.IdentityDir("hospital2", "officer"))
	w.must(err)
	_, err = w.connect(custodian, claimed).Records().Deprecate(t.Context(), id)
	w.denied("MF-GATEWAY-DENIED", err)

	w.settle()
	kept, err := w.officer.Ledger.GetRecord(t.Context(), id)
	w.must(err)
	state, err := w.officer.Ledger.GetConsent(t.Context(), consentID)
	w.must(err)
	if kept.Status != consent.RecordActive || state.Consent.Status != consent.StatusActive {
		t.Errorf("the record is %s and the consent %s", kept.Status, state.Consent.Status)
	}
}

// Case 19: one organisation alone writes neither a record nor a consent, and all
// others together write no record without its custodian.
func TestCase19OneOrganisationAlone(t *testing.T) {
	w := newWard(t)
	staged := w.staging()
	_, err := w.officer.Ledger.Stage(t.Context(), custodianMSP, staged)
	w.committed(err)
	id := w.add("", "MRN-1", "one").Record
	consentID := w.agree(id)
	ask := consent.AskRequest{
		Consent: record.NewConsentID(), Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone),
	}
	access := use(consentID, id, 1)
	type write struct {
		by        party
		name      string
		argument  any
		endorsers []string
	}
	register := w.registration(staged)
	for _, alone := range []write{
		{w.officer, "record:Register", register, []string{custodianMSP}},
		{w.officer, "record:Register", register, otherMembers},
		{w.officer, "record:Deprecate", consent.RecordRequest{Record: id}, []string{custodianMSP}},
		{w.officer, "record:Deprecate", consent.RecordRequest{Record: id}, otherMembers},
		{w.requester, "consent:Request", ask, []string{custodianMSP}},
		{w.requester, "consent:Request", ask, []string{custodianMSP, "Hospital2MSP"}},
		{w.requester, "access:RequestAccess", access, []string{custodianMSP}},
		{w.patient, "consent:Revoke", consent.RevokeRequest{Consent: consentID, Number: 1}, []string{"ResearchCentreMSP"}},
	} {
		var transaction *fabric.Transaction
		if slices.Contains(alone.endorsers, custodianMSP) {
			transaction = w.endorse(alone.by, alone.name, alone.argument, fabric.WithEndorsingOrganizations(alone.endorsers...))
		} else {
			transaction = w.endorseWithout(alone.by, alone.name, alone.argument, alone.endorsers)
		}
		if got := w.submit(transaction); got != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE {
			t.Errorf("%s, endorsed by %v: %s", alone.name, alone.endorsers, got)
		}
	}
	_, err = w.officer.Ledger.GetRecord(t.Context(), register.Record)
	w.denied("MF-RECORD-UNKNOWN", err)
	_, err = w.patient.Ledger.GetConsent(t.Context(), ask.Consent)
	w.denied("MF-CONSENT-UNKNOWN", err)
	if got := w.submit(w.endorse(w.officer, "record:Register", register)); got != peer.TxValidationCode_VALID {
		t.Errorf("the same registration, endorsed by whom the policy names: %s", got)
	}
	permitted, err := w.requester.Ledger.RequestAccess(t.Context(), access)
	w.must(err)
	if permitted.Decision != consent.Permit {
		t.Errorf("the consent that nobody alone could revoke: %+v", permitted)
	}
}

// Case 11: an access that was endorsed before the revocation is no permit after it.
func TestCase11RevokedBetweenEndorsementAndCommit(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	consentID := w.agree(id)
	w.grant(consentID, 1)
	request := use(consentID, id, 1)
	endorsed := w.endorse(w.requester, "access:RequestAccess", request)
	var promised consent.Access
	if err := json.Unmarshal(endorsed.Result(), &promised); err != nil || promised.Decision != consent.Permit {
		t.Fatalf("before the revocation: %+v (%v)", promised, err)
	}
	w.revoke(consentID)
	if got := w.submit(endorsed); got != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("endorsed before the revocation, submitted after it: %s", got)
	}
	_, err := w.requester.Ledger.ReadGrant(t.Context(), custodianMSP, request.Access)
	w.denied("MF-ACCESS-UNKNOWN", err)
	again, err := w.requester.Ledger.RequestAccess(t.Context(), request)
	w.committed(err)
	if again.Decision != consent.Deny || again.Code != "MF-CONSENT-REVOKED" {
		t.Errorf("the same access again: %+v", again)
	}
	_, err = w.requester.Ledger.ReadGrant(t.Context(), custodianMSP, request.Access)
	w.denied("MF-ACCESS-DENIED", err)
}

// Case 20: after an erasure nobody reads anything private of the record at the
// custodian's peer, and every peer sees by the hashes that nothing is left.
func TestCase20PurgedIsGone(t *testing.T) {
	w := newWard(t)
	id, kept := w.add("", "MRN-1", "one").Record, w.add("", "MRN-2", "two").Record
	consentID := w.agree(id)
	w.grant(consentID, 1)
	erased, err := w.officer.Erase(t.Context(), id)
	w.committed(err)
	if len(erased.CIDs) != 1 {
		t.Errorf("the erasure found the files %v, want one", erased.CIDs)
	}
	for _, p := range []party{w.officer, w.patient} {
		_, err := p.Ledger.GetPrivate(t.Context(), custodianMSP, consent.VersionRequest{Record: id, Version: 1})
		w.denied("MF-VERSION-UNKNOWN", err)
	}
	for _, member := range append([]string{custodianMSP}, otherMembers...) {
		var erasure consent.Erasure
		w.must(w.officer.Ledger.EvaluateAt(t.Context(), member, "record:GetErasure", consent.RecordRequest{Record: id}, &erasure))
		if len(erasure.Remaining) != 0 {
			t.Errorf("%s's peer still has %v", member, erasure.Remaining)
		}
	}
	if w.private(kept, 1).PatientIdentifier != "MRN-2" {
		t.Error("what was not purged is gone too")
	}
}

// Case 30: who once held a key can't open a version that was made after the
// revocation: neither the ledger gives it out, nor does the old key fit.
func TestCase30RevokedGranteeCanNotOpenALaterVersion(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	consentID := w.agree(id)
	w.grant(consentID, 1)
	output := filepath.Join(t.TempDir(), "one")
	opened, err := w.requester.Open(t.Context(), record.Use{Consent: consentID, Version: 1, Purpose: payment, Output: output})
	w.must(err)
	if content, err := os.ReadFile(output); err != nil || string(content) != "one" {
		t.Fatalf("version 1: %q (%v)", content, err)
	}
	grants, err := w.requester.Ledger.ReadGrant(t.Context(), custodianMSP, opened.Access.Access)
	w.must(err)
	old, err := envelope.Unwrap(grants[0].Wrap, w.requester.Key)
	w.must(err)

	w.revoke(consentID)
	w.add(id, "", "two")
	output = filepath.Join(t.TempDir(), "two")
	_, err = w.requester.Open(t.Context(), record.Use{Consent: consentID, Version: 2, Purpose: payment, Output: output})
	w.denied("MF-CONSENT-REVOKED", err)
	absent(t, output)
	_, err = w.requester.Ledger.ReadGrant(t.Context(), custodianMSP, opened.Access.Access)
	w.denied("MF-CONSENT-REVOKED", err)
	_, err = w.officer.Grant(t.Context(), consentID, 2, w.requester.Key.Recipient())
	w.denied("MF-CONSENT-REVOKED", err)

	first, second := w.private(id, 1), w.private(id, 2)
	if plain := w.unseal(first.CID, old); plain != "one" {
		t.Errorf("the old key opens %q of version 1", plain)
	}
	for _, key := range []*envelope.Identity{old, w.requester.Key} {
		if plain := w.unseal(second.CID, key); plain != "" {
			t.Errorf("a key of before the revocation opens %q of version 2", plain)
		}
	}
}

// unseal decrypts a file of the private IPFS; "" when the key does not fit.
func (w *ward) unseal(cid string, key *envelope.Identity) string {
	w.t.Helper()
	sealed, err := w.own.Get(w.t.Context(), cid)
	w.must(err)
	defer sealed.Close()
	plain, err := envelope.Open(sealed, key)
	if err != nil {
		w.denied("MF-ENVELOPE-NOT-RECIPIENT", err)
		return ""
	}
	content, err := io.ReadAll(plain)
	w.must(err)
	return string(content)
}
