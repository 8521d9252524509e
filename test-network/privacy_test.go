package testnetwork

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// Case 14: what is private is in no file of any process; what goes by transient, which it
// is sealed in, is in the custodian's own peer's private store, and in no block, event,
// response, log, IPFS node or other peer.
func TestCase14CanariesStayWithTheCustodian(t *testing.T) {
	w := newWard(t)
	identifier, note, file, spoiled := canary("MRN"), canary("note"), canary("file"), canary("spoiled")
	id := w.add("", identifier, file).Record
	w.add(id, "", file+" again")
	private := consent.PrivateTerms{Consent: record.NewConsentID(), Offer: 1, Amount: 4711, Currency: "EUR", Note: note}
	sealed, err := w.requester.SealTerms(t.Context(), id, w.requester.id, private)
	w.must(err)
	offer, err := w.requester.Ledger.Consents.Request(t.Context(), consent.AskRequest{
		Consent: private.Consent, Record: id, Terms: terms(consent.Scope{Kind: consent.ScopeThis, Version: 1}, consent.CompensationMoney),
		PrivateDigest: form.Digest(sealed),
	})
	w.committed(err)
	_, err = w.patient.Ledger.Consents.PutTerms(t.Context(), custodianMSP, sealed)
	w.committed(err)
	for _, side := range []party{w.patient, w.requester} {
		if read, err := side.Terms(t.Context(), private.Consent, 1); err != nil || read != private {
			t.Errorf("%s reads the terms %+v, %v", side.id, read, err)
		}
	}
	w.accept(offer)
	w.grant(offer.Consent, 1)
	opened, err := w.requester.Open(t.Context(), record.Use{Consent: offer.Consent, Version: 1, Purpose: payment, Output: filepath.Join(t.TempDir(), "opened")})
	w.committed(err)
	grants, err := w.requester.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: opened.Access.Access})
	w.must(err)
	first, second := w.private(id, 1), w.private(id, 2)
	bad := records.SealedVersion{Record: id, Version: 3, Sealed: spoiled + "!"}
	_, err = w.officer.Ledger.Records.Stage(t.Context(), custodianMSP, bad)
	w.denied("MF-PRIVATE-INVALID", err)

	w.search(id, []needle{
		{"the patient's identifier", identifier, false},
		{"the note of the private terms", note, false},
		{"the sealed terms", tail(sealed.Sealed), true},
		{"the sealed private part of version 1", tail(w.held(id, 1).Sealed), true},
		{"the sealed private part of version 2", tail(w.held(id, 2).Sealed), true},
		{"the grantee's grant", tail(grants[0].Sealed), true},
		{"the custodian's wrap", tail(first.CustodianWrap), false},
		{"the patient's wrap", tail(first.PatientWrap), false},
		{"the patient's wrap of version 2", tail(second.PatientWrap), false},
		{"the salt of version 1", first.Salt, false},
		{"the digest of the plain file", first.PlainDigest, false},
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
			if !n.in(content) {
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
	_, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), use(consentID, id, 1))
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
	sealed, err := json.Marshal(w.held(id, 1))
	w.must(err)
	const control = "the digest of the sealed document, which no guess gives"
	enter(string(sealed), control)

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
	asked := records.VersionRequest{Record: id, Version: 1}
	strangers := []party{w.party("hospital2", "officer", consortium.RoleCustodian), w.party(custodian, record.NewPseudonym(), consortium.RolePatient)}
	for _, stranger := range strangers {
		_, err := stranger.Ledger.Records.GetPrivate(t.Context(), custodianMSP, asked)
		w.denied("MF-RECORD-DENIED", err)
	}
	for _, member := range otherMembers {
		_, err := w.officer.Ledger.Records.GetPrivate(t.Context(), member, asked)
		w.denied("MF-PRIVATE-READ", err)
	}
	staged := w.staging()
	transient, err := json.Marshal(staged)
	w.must(err)
	for _, endorsers := range [][]string{{"Hospital2MSP"}, otherMembers} {
		foreign := w.endorseWithout(w.officer, "record:Stage", records.VersionRequest{Record: staged.Record, Version: 1}, endorsers,
			fabric.WithTransient(map[string][]byte{"version": transient}))
		if got := w.submit(foreign); got != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE {
			t.Errorf("a private write that %v endorsed: %s", endorsers, got)
		}
	}
	_, err = w.officer.Ledger.Records.Register(t.Context(), w.registration(staged))
	w.denied("MF-RECORD-NOT-STAGED", err)
	_, err = w.officer.Ledger.Records.Stage(t.Context(), custodianMSP, staged)
	w.committed(err)
	_, err = w.officer.Ledger.Records.Register(t.Context(), w.registration(staged))
	w.committed(err)
}

// Case 18: a wrong role, a right role in a wrong organisation, and an owner or an
// organisation that is only claimed.
func TestCase18NobodyActsForAnother(t *testing.T) {
	w := newWard(t)
	id := w.add("", "MRN-1", "one").Record
	consentID := w.agree(id)
	w.grant(consentID, 1)
	access, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	node1 := w.party(custodian, "node1", consortium.RoleTrainer)
	officer2 := w.party("hospital2", "officer", consortium.RoleCustodian)
	namesake := w.party("hospital2", pseudonym, consortium.RolePatient)
	neighbour := w.party(custodian, record.NewPseudonym(), consortium.RolePatient)
	lab := w.party("foreignlab", "requester", consortium.RoleRequester)
	revocation := consent.RevokeRequest{Consent: consentID, Number: 1}

	for _, wrongRole := range []party{node1, w.requester, w.patient} {
		_, err := wrongRole.Ledger.Records.Deprecate(t.Context(), records.RecordRequest{Record: id})
		w.denied("MF-ROLE-DENIED", err)
	}
	for _, wrongRole := range []party{node1, w.requester, w.officer} {
		_, err := wrongRole.Ledger.Consents.Revoke(t.Context(), revocation)
		w.denied("MF-ROLE-DENIED", err)
	}
	_, err = w.officer.Ledger.Accesses.RequestAccess(t.Context(), use(consentID, id, 1))
	w.denied("MF-ROLE-DENIED", err)

	_, err = officer2.Ledger.Records.Deprecate(t.Context(), records.RecordRequest{Record: id})
	w.denied("MF-RECORD-DENIED", err)
	for _, wrongOwner := range []party{officer2, namesake, neighbour} {
		_, err = wrongOwner.Ledger.Records.RequestErasure(t.Context(), records.ErasureRequest{Record: id, Members: []string{}})
		w.denied("MF-RECORD-DENIED", err)
	}
	for _, wrongOwner := range []party{namesake, neighbour} {
		_, err = wrongOwner.Ledger.Consents.Revoke(t.Context(), revocation)
		w.denied("MF-CONSENT-DENIED", err)
	}
	_, err = lab.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: access.Access})
	w.denied("MF-ACCESS-DENIED", err)
	other, err := lab.Ledger.Accesses.RequestAccess(t.Context(), use(consentID, id, 1))
	w.committed(err)
	if other.Decision != consent.Deny || other.Code != "MF-CONSENT-OTHER-GRANTEE" {
		t.Errorf("the lab, on the insurer's consent: %+v", other)
	}

	for _, owner := range []string{"patient", "by", "caller"} {
		err = namesake.Ledger.Consents.Submit(t.Context(), "consent:Revoke", map[string]any{"consent": consentID, "number": 1, owner: w.patient.id}, nil)
		w.denied("MF-ARGUMENT-UNKNOWN-FIELD", err)
	}
	claimed, err := gateway.LoadIdentity(custodianMSP, w.network.IdentityDir("hospital2", "officer"))
	w.must(err)
	_, err = w.connect(custodian, claimed).Contracts().Records.Deprecate(t.Context(), records.RecordRequest{Record: id})
	w.denied("MF-GATEWAY-DENIED", err)

	w.settle()
	kept, err := w.officer.Ledger.Records.Get(t.Context(), records.RecordRequest{Record: id})
	w.must(err)
	state, err := w.officer.Ledger.Consents.Get(t.Context(), consent.ConsentRequest{Consent: consentID})
	w.must(err)
	if kept.Status != records.Active || state.Consent.Status != consent.StatusActive {
		t.Errorf("the record is %s and the consent %s", kept.Status, state.Consent.Status)
	}
}

// Case 19: one organisation alone writes neither a record nor a consent, and all
// others together write no record without its custodian.
func TestCase19OneOrganisationAlone(t *testing.T) {
	w := newWard(t)
	staged := w.staging()
	_, err := w.officer.Ledger.Records.Stage(t.Context(), custodianMSP, staged)
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
		{w.officer, "record:Deprecate", records.RecordRequest{Record: id}, []string{custodianMSP}},
		{w.officer, "record:Deprecate", records.RecordRequest{Record: id}, otherMembers},
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
	_, err = w.officer.Ledger.Records.Get(t.Context(), records.RecordRequest{Record: register.Record})
	w.denied("MF-RECORD-UNKNOWN", err)
	_, err = w.patient.Ledger.Consents.Get(t.Context(), consent.ConsentRequest{Consent: ask.Consent})
	w.denied("MF-CONSENT-UNKNOWN", err)
	if got := w.submit(w.endorse(w.officer, "record:Register", register)); got != peer.TxValidationCode_VALID {
		t.Errorf("the same registration, endorsed by whom the policy names: %s", got)
	}
	permitted, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), access)
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
	_, err := w.requester.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: request.Access})
	w.denied("MF-ACCESS-UNKNOWN", err)
	again, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), request)
	w.committed(err)
	if again.Decision != consent.Deny || again.Code != "MF-CONSENT-REVOKED" {
		t.Errorf("the same access again: %+v", again)
	}
	_, err = w.requester.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: request.Access})
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
		_, err := p.Ledger.Records.GetPrivate(t.Context(), custodianMSP, records.VersionRequest{Record: id, Version: 1})
		w.denied("MF-VERSION-UNKNOWN", err)
	}
	for _, member := range append([]string{custodianMSP}, otherMembers...) {
		var erasure records.Erasure
		w.must(w.officer.Ledger.Records.EvaluateAt(t.Context(), member, "record:GetErasure", records.RecordRequest{Record: id}, &erasure))
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
	grants, err := w.requester.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: opened.Access.Access})
	w.must(err)
	old, err := envelope.Unwrap(w.opened(grants[0]).Wrap, w.requester.Key)
	w.must(err)

	w.revoke(consentID)
	w.add(id, "", "two")
	output = filepath.Join(t.TempDir(), "two")
	_, err = w.requester.Open(t.Context(), record.Use{Consent: consentID, Version: 2, Purpose: payment, Output: output})
	w.denied("MF-CONSENT-REVOKED", err)
	absent(t, output)
	_, err = w.requester.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: opened.Access.Access})
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
