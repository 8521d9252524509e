package contract_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

func TestVersionsAreContiguousAndNeverRewritten(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	c.refused("MF-VERSION-NUMBER", c.propose(c.officer, "record:AddVersion", addVersion(rec, 3)))
	c.refused("MF-VERSION-NUMBER", c.propose(c.officer, "record:AddVersion", addVersion(rec, 0)))
	c.refused("MF-RECORD-NOT-STAGED", c.propose(c.officer, "record:AddVersion", addVersion(rec, 2)))
	c.refused("MF-VERSION-NUMBER", c.propose(c.officer, "record:Stage", versionOf(rec, 3)).Transient(transient("version", private(rec, 3))))

	// Staged, corrected, staged again; then public, and fixed.
	draft := private(rec, 2)
	draft.Sealed = sealed(canaryIdentifier, "draft")
	c.doPrivate(c.officer, "record:Stage", versionOf(rec, 2), "version", draft)
	c.stage(rec, 2)
	c.do(c.officer, "record:AddVersion", addVersion(rec, 2))
	c.refused("MF-VERSION-EXISTS", c.propose(c.officer, "record:Stage", versionOf(rec, 2)).Transient(transient("version", draft)))
	c.refused("MF-VERSION-EXISTS", c.propose(c.officer, "record:Unstage", versionOf(rec, 2)))
	other := addVersion(rec, 2)
	other.Size++
	c.refused("MF-VERSION-EXISTS", c.propose(c.officer, "record:AddVersion", other))

	if second := get[record.Version](c, c.insurer, "record:GetVersion", record.VersionRequest{Record: rec, Version: 2}); second.Version != 2 || second.Record != rec {
		t.Errorf("%+v", second)
	}
	page := get[record.VersionPage](c, c.insurer, "record:ListVersions", record.VersionsRequest{Record: rec, PageSize: 10})
	for i, version := range page.Versions {
		one := get[record.Version](c, c.insurer, "record:GetVersion", versionOf(rec, i+1))
		if version.Version != i+1 || !reflect.DeepEqual(one, version) {
			t.Errorf("%+v, and alone %+v", version, one)
		}
	}
	for _, none := range []int{-1, 0, 3} {
		_, err := c.propose(c.insurer, "record:GetVersion", versionOf(rec, none)).Evaluate()
		if err == nil || codes.Parse(err.Error()).Code != "MF-VERSION-UNKNOWN" {
			t.Errorf("version %d: %v", none, err)
		}
	}
	if len(page.Versions) != 2 {
		t.Errorf("%+v", page)
	}
	for _, version := range []int{1, 2} {
		payload, err := c.propose(c.patient, "record:GetPrivate", versionOf(rec, version)).Evaluate()
		if err != nil || parse[record.SealedVersion](c, payload) != private(rec, version) {
			t.Errorf("version %d: %s %v", version, payload, err)
		}
	}
}

func TestUnstagePurges(t *testing.T) {
	c := newClinic(t)
	rec := c.draw(record.RecordPrefix)
	c.stage(rec, 1)
	if !bytes.Contains(c.ledger.PrivateBytes(hospital), []byte(canaryIdentifier)) {
		t.Fatal("the collection lacks what was staged")
	}
	c.refused("MF-VERSION-NUMBER", c.propose(c.officer, "record:Unstage", versionOf(rec, 0)))
	purged := put[record.Purged](c, c.officer, "record:Unstage", versionOf(rec, 1))
	if len(purged.Keys) != 1 || bytes.Contains(c.ledger.PrivateBytes(hospital), []byte(canaryIdentifier)) {
		t.Errorf("%v", purged)
	}
	c.refused("MF-RECORD-NOT-STAGED", c.propose(c.officer, "record:Register", register(rec)))
}

func TestDeprecatedRecordGoesOnForThoseWithConsent(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	id := c.agree(rec, c.terms(1000))
	c.grant(id, 1)
	c.do(c.officer, "record:Deprecate", record.RecordRequest{Record: rec})
	c.refused("MF-RECORD-STATUS", c.propose(c.officer, "record:AddVersion", addVersion(rec, 2)))
	c.refused("MF-RECORD-STATUS", c.propose(c.officer, "record:Stage", versionOf(rec, 2)).Transient(transient("version", private(rec, 2))))
	c.refused("MF-RECORD-STATUS", c.propose(c.insurer, "consent:Request",
		consent.AskRequest{Consent: c.draw(consent.ConsentPrefix), Record: rec, Terms: c.terms(1000)}))
	access := c.ask(c.insurer, id, rec, 1)
	if _, err := c.read(c.insurer, access.Access); err != nil {
		t.Error(err)
	}
}

// The same transaction twice is a success with the first's result.
func TestRecordsAreIdempotent(t *testing.T) {
	c := newClinic(t)
	twice := func(id *ledgertest.Identity, name string, argument any) []byte {
		t.Helper()
		first := c.do(id, name, argument)
		c.later(5)
		second := c.do(id, name, argument)
		if !bytes.Equal(first.Payload, second.Payload) || first.Event.Name != second.Event.Name || !bytes.Equal(first.Event.Payload, second.Event.Payload) {
			t.Errorf("%s: first %s, then %s", name, first.Payload, second.Payload)
		}
		return second.Payload
	}
	rec := c.draw(record.RecordPrefix)
	c.stage(rec, 1)
	c.stage(rec, 1)
	twice(c.officer, "record:Register", register(rec))
	c.stage(rec, 1)
	c.stage(rec, 2)
	twice(c.officer, "record:AddVersion", addVersion(rec, 2))

	id := c.draw(consent.ConsentPrefix)
	twice(c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: rec, Terms: c.terms(10_000)})
	counter := parse[consent.Offer](c, twice(c.patient, "consent:Counter", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(20_000)}))
	twice(c.insurer, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 2, Digest: counter.Digest()})
	twice(c.insurer, "access:RequestAccess", c.use(id, rec, 1))
	c.grant(id, 1)
	c.grant(id, 1)
	twice(c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 3, Terms: c.terms(30_000)})
	twice(c.patient, "consent:Reject", consent.AnswerRequest{Consent: id, Offer: 3})
	twice(c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 4, Terms: c.terms(30_000)})
	twice(c.insurer, "consent:Withdraw", consent.AnswerRequest{Consent: id, Offer: 4})
	twice(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1})
	twice(c.patient, "consent:MarkEnteredInError", consent.ConsentRequest{Consent: id})
	twice(c.officer, "record:Deprecate", record.RecordRequest{Record: rec})
	twice(c.patient, "record:RequestErasure", record.RecordRequest{Record: rec})
	c.do(c.officer, "record:Purge", record.RecordRequest{Record: rec})
	c.do(c.officer, "record:Purge", record.RecordRequest{Record: rec})
	twice(c.officer, "record:AttestErasure", record.RecordRequest{Record: rec})
	twice(c.coordinator, "record:AttestErasure", record.RecordRequest{Record: rec})
	twice(c.officer, "record:CompleteErasure", record.RecordRequest{Record: rec})

	// The same identifier with other content is not.
	used := c.xray(1)
	changed := register(used)
	changed.Kind = record.KindGenome
	c.refused("MF-RECORD-EXISTS", c.propose(c.officer, "record:Register", changed))
	given := c.agree(used, c.terms(1000))
	c.refused("MF-OFFER-EXISTS", c.propose(c.insurer, "consent:Request", consent.AskRequest{Consent: given, Record: used, Terms: c.terms(2000)}))
	c.refused("MF-CONSENT-DENIED", c.propose(c.lab, "consent:Request", consent.AskRequest{Consent: given, Record: used, Terms: c.terms(1000)}))
	request := c.use(given, used, 1)
	c.do(c.insurer, "access:RequestAccess", request)
	request.Version = 2
	c.refused("MF-ACCESS-EXISTS", c.propose(c.insurer, "access:RequestAccess", request))
}

// Erasure: access ends at once, everything private is purged, every holder and
// every other member attests, and what stays public says nothing.
func TestErasure(t *testing.T) {
	c := newClinic(t)
	rec, kept := c.xray(2), c.xray(1)
	wide := c.terms(100_000)
	wide.Scope = consent.Scope{Kind: consent.ScopeAllFuture}
	id := c.agree(rec, wide)
	c.grant(id, 1)
	c.grant(id, 2)
	access := c.ask(c.insurer, id, rec, 1)
	c.stage(rec, 3) // staged and never registered
	request := record.RecordRequest{Record: rec}
	c.refused("MF-RECORD-STATUS", c.propose(c.officer, "record:Purge", request))
	c.refused("MF-RECORD-STATUS", c.propose(c.officer, "record:AttestErasure", request))
	for _, stranger := range []*ledgertest.Identity{c.officer2, c.neighbour} {
		c.refused("MF-RECORD-DENIED", c.propose(stranger, "record:RequestErasure", request))
		c.refused("MF-RECORD-DENIED", c.propose(stranger, "record:Purge", request))
	}

	for _, members := range [][]string{{"Hospital3MSP", "Hospital2MSP"}, {"Hospital2MSP", "Hospital2MSP"}, {"a/b"}, {""}} {
		c.refused("MF-ERASURE-MEMBERS", c.propose(c.patient, "record:RequestErasure", record.ErasureRequest{Record: rec, Members: members}))
	}
	c.do(c.patient, "record:RequestErasure", request)
	// Who asks may name more members that must attest, and takes none away.
	c.do(c.officer, "record:RequestErasure", record.ErasureRequest{Record: rec, Members: []string{"Hospital2MSP", "Hospital3MSP"}})
	c.do(c.patient, "record:RequestErasure", record.ErasureRequest{Record: rec, Members: []string{}})
	if denied := c.ask(c.insurer, id, rec, 1); denied.Code != "MF-RECORD-ERASED" {
		t.Errorf("%+v", denied)
	}
	_, err := c.read(c.insurer, access.Access)
	c.isRefusal("MF-RECORD-ERASED", err)
	c.refused("MF-RECORD-ERASED", c.propose(c.officer, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 1}).
		Transient(transient("grant", grantInput("x"))))
	c.refused("MF-RECORD-STATUS", c.propose(c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(9000)}))
	c.refused("MF-ERASURE-REMAINS", c.propose(c.officer, "record:CompleteErasure", request))

	purged := put[record.Purged](c, c.officer, "record:Purge", request)
	if len(purged.Keys) != 6 { // custody, three versions, two grants
		t.Errorf("%v", purged.Keys)
	}
	c.refused("MF-ERASURE-UNATTESTED", c.propose(c.officer, "record:CompleteErasure", request))
	c.do(c.officer, "record:AttestErasure", request)
	c.refused("MF-RECORD-DENIED", c.propose(c.ledger.Identity("Hospital4MSP", "officer", "custodian"), "record:AttestErasure", request))
	c.do(c.coordinator, "record:AttestErasure", request)
	for _, hospital := range []string{"Hospital2MSP", "Hospital3MSP"} {
		c.refused("MF-ERASURE-UNATTESTED", c.propose(c.officer, "record:CompleteErasure", request))
		c.do(c.ledger.Identity(hospital, "officer", "custodian"), "record:AttestErasure", request)
	}
	c.do(c.patient, "record:CompleteErasure", request)

	erasure := get[record.Erasure](c, c.auditor, "record:GetErasure", request)
	if erasure.Record.Status != record.Erased || len(erasure.Remaining) != 0 || len(erasure.Missing) != 0 || len(erasure.Attestations) != 4 || len(erasure.Members) != 4 {
		t.Errorf("%+v", erasure)
	}
	held := c.ledger.PrivateBytes(hospital)
	for version := 1; version <= 3; version++ {
		gone := private(rec, version)
		for _, text := range []string{gone.Sealed, grantInput(id, version).Sealed} {
			if bytes.Contains(held, []byte(text)) {
				t.Errorf("%s of version %d is held still", text, version)
			}
		}
	}
	if !bytes.Contains(held, []byte(private(kept, 1).Sealed)) {
		t.Error("another record was purged too")
	}
	c.private()
}

// A grant endorsed before an erasure does not come to lie beyond its purge.
func TestGrantRacesErasure(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	id := c.agree(rec, c.terms(1000))
	grant := c.endorse(c.propose(c.officer, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 1}).
		Transient(transient("grant", grantInput("x"))))
	staged := c.endorse(c.propose(c.officer, "record:Stage", versionOf(rec, 2)).Transient(transient("version", private(rec, 2))))
	c.do(c.patient, "record:RequestErasure", record.RecordRequest{Record: rec})
	for _, result := range c.ledger.Commit(grant, staged) {
		if result.Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
			t.Errorf("%s", result.Code)
		}
	}
}

// A canary in every private field is in nothing public, whether the transaction
// succeeds or is refused.
func TestCase14CanaryStaysPrivate(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(1000))
	c.grant(id, 1)
	good := private(record, 2)
	spoiled := []map[string][]byte{
		{"version": []byte(`{"CANARY":1}`)},
		{"version": []byte(`CANARY`)},
		{"version": []byte(`{"record":"CANARY","record":"CANARY"}`)},
		{"version": []byte(strings.Repeat("CANARY", 10_000))},
		{"CANARY": []byte(`{}`)},
		{"version": transient("v", good)["v"], "CANARY": []byte("CANARY")},
	}
	for _, field := range []string{"record", "version", "sealed"} {
		var document map[string]any
		if err := json.Unmarshal(transient("v", good)["v"], &document); err != nil {
			t.Fatal(err)
		}
		document[field] = "CANARY!\n"
		spoiled = append(spoiled, transient("version", document))
	}
	for _, fields := range spoiled {
		p := c.propose(c.officer, "record:Stage", versionOf(record, 2)).Transient(fields)
		if _, err := p.Submit(); err == nil {
			t.Errorf("%.80s was taken", fields)
		}
	}
	for _, field := range []string{`{"sealed":"CANARY!"}`, `{"sealed":"AAAA","salt":"CANARY"}`, `{"CANARY":0}`} {
		p := c.propose(c.officer, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 1}).Transient(map[string][]byte{"grant": []byte(field)})
		if _, err := p.Submit(); err == nil {
			t.Errorf("%s was taken", field)
		}
	}
	c.refused("MF-TRANSIENT-TOO-LARGE", c.propose(c.officer, "record:Stage", versionOf(record, 2)).
		Transient(map[string][]byte{"version": bytes.Repeat([]byte(" "), ledger.MaxTransient+1)}))
	if len(c.ledger.Refusals()) < len(spoiled) {
		t.Error("the refusals are not all kept for the search")
	}
	held := private(record, 1)
	for _, text := range []string{held.Sealed, grantInput(id, 1).Sealed} {
		if leaks := c.ledger.Leaks([]byte(text)); len(leaks) > 0 {
			t.Errorf("%s: %v", text, leaks)
		}
	}
	c.private()
}

// No public key or value is the hash of a patient's identifier, plain, with the
// names that stand beside it, or as the collections' documents would have it
// unsealed.
func TestCase15DictionaryOfPatients(t *testing.T) {
	c := newClinic(t)
	record := c.xray(2)
	id := c.agree(record, c.terms(1000))
	c.grant(id, 1)
	c.ask(c.insurer, id, record, 1)
	public := bytes.ToLower(c.ledger.PublicBytes())
	for n := range 10_000 {
		identifier := fmt.Sprintf("MRN-CANARY-%d", n)
		unsealed := private(record, 1)
		unsealed.Sealed = identifier
		document, err := json.Marshal(unsealed)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			identifier, hospital + identifier, hospital + "/" + identifier, record + identifier, "\x00patient\x00" + identifier + "\x00", string(document),
		} {
			sum := sha256.Sum256([]byte(text))
			if bytes.Contains(public, sum[:]) || bytes.Contains(public, []byte(hex.EncodeToString(sum[:]))) {
				t.Fatalf("the hash of %q is public", text)
			}
		}
	}
}

// A non-member's read is refused, and a non-member's endorsement of a private
// write does not count.
func TestCase16CollectionsHold(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	for _, stranger := range []*ledgertest.Identity{c.officer2, c.neighbour} {
		_, err := c.propose(stranger, "record:GetPrivate", versionOf(rec, 1)).On(hospital).Evaluate()
		c.isRefusal("MF-RECORD-DENIED", err)
	}
	_, err := c.propose(c.officer, "record:GetPrivate", versionOf(rec, 1)).On("Hospital2MSP").Evaluate()
	c.isRefusal("MF-PRIVATE-READ", err)
	next := c.draw(record.RecordPrefix)
	c.invalid(c.propose(c.officer, "record:Stage", versionOf(next, 1)).Transient(transient("version", private(next, 1))).On("Hospital2MSP"))
	for _, member := range []string{"Hospital2MSP", "ResearchCentreMSP"} {
		if bytes.Contains(c.ledger.PrivateBytes(member), []byte(canaryIdentifier)) {
			t.Errorf("%s holds what is Hospital1's", member)
		}
	}
}

// A right role in the wrong organisation, and a wrong role in the right one.
func TestCase18Custodians(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	next := c.draw(record.RecordPrefix)
	insurersOfficer := c.ledger.Identity("InsurerMSP", "officer", "custodian")
	c.refused("MF-PRIVATE-COLLECTION", c.propose(insurersOfficer, "record:Stage", versionOf(next, 1)).Transient(transient("version", private(next, 1))))
	c.refused("MF-RECORD-DENIED", c.propose(c.officer2, "record:Stage", versionOf(rec, 2)).Transient(transient("version", private(rec, 2))))
	request := register(next)
	request.Holders = []string{"InsurerMSP", "ResearchCentreMSP"}
	c.refused("MF-PRIVATE-COLLECTION", c.propose(insurersOfficer, "record:Register", request))
	for _, other := range []*ledgertest.Identity{c.patient, c.insurer, c.auditor, c.coordinator, c.ledger.Identity(hospital, "node1", "trainer")} {
		c.refused("MF-ROLE-DENIED", c.propose(other, "record:Register", register(next)))
		c.refused("MF-ROLE-DENIED", c.propose(other, "record:AddVersion", addVersion(rec, 2)))
		c.refused("MF-ROLE-DENIED", c.propose(other, "record:Deprecate", record.RecordRequest{Record: rec}))
	}
	c.refused("MF-RECORD-DENIED", c.propose(c.officer2, "record:AddVersion", addVersion(rec, 2)))
	c.refused("MF-RECORD-DENIED", c.propose(c.officer2, "record:Deprecate", record.RecordRequest{Record: rec}))
	c.stage(next, 1)
	named := register(next)
	named.Patient = "alice-smith"
	c.refused("MF-PATIENT-PSEUDONYM", c.propose(c.officer, "record:Register", named))
	for _, other := range []*ledgertest.Identity{c.patient, c.officer, c.insurer} {
		_, err := c.ledger.Evaluate(other, "audit:History", ledger.HistoryRequest{Object: "record", Parts: []string{rec}})
		c.isRefusal("MF-ROLE-DENIED", err)
		_, err = c.ledger.Evaluate(other, "audit:ListAccesses", consent.AccessListRequest{By: "all", PageSize: 1})
		c.isRefusal("MF-LIST-DENIED", err)
	}
}

// A record's public writes need a majority and the custodian's own peer: neither
// alone is enough.
func TestCase19RecordWritesNeedMajorityAndCustodian(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	c.stage(rec, 2)
	next := c.draw(record.RecordPrefix)
	c.stage(next, 1)
	others := []string{"Hospital2MSP", "Hospital3MSP", "Hospital4MSP", "ResearchCentreMSP"}
	for _, write := range []struct {
		name     string
		argument any
	}{
		{"record:Register", register(next)},
		{"record:AddVersion", addVersion(rec, 2)},
		{"record:Deprecate", record.RecordRequest{Record: rec}},
		{"record:RequestErasure", record.RecordRequest{Record: rec}},
	} {
		c.invalid(c.propose(c.officer, write.name, write.argument).On(others...))
		c.invalid(c.propose(c.officer, write.name, write.argument).On(hospital))
	}
	if _, err := c.propose(c.officer, "record:Register", register(next)).On(hospital, "Hospital2MSP", "Hospital3MSP").Submit(); err != nil {
		t.Error(err)
	}
}

// Private data for a transaction that takes none, or more than it takes, is
// refused: it would go to peers that are not to see it.
func TestTransientWhereNoneBelongs(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	id := c.agree(rec, c.terms(1000))
	secretly := map[string][]byte{"note": []byte("CANARY")}
	for name, p := range map[string]*ledgertest.Proposal{
		"record:Deprecate":     c.propose(c.officer, "record:Deprecate", record.RecordRequest{Record: rec}),
		"consent:Renew":        c.propose(c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(2000)}),
		"consent:Revoke":       c.propose(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}),
		"access:RequestAccess": c.propose(c.insurer, "access:RequestAccess", c.use(id, rec, 1)),
	} {
		t.Log(name)
		c.refused("MF-TRANSIENT-UNKNOWN", p.Transient(secretly))
	}
	c.refused("MF-TRANSIENT-MISSING", c.propose(c.officer, "record:Stage", versionOf(rec, 2)))
	c.private()
}

// The collections that the chaincode names are those that the network defines.
func TestCollectionNamesAreDefined(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	erasure := get[record.Erasure](c, c.auditor, "record:GetErasure", record.RecordRequest{Record: rec})
	want := collections.Records(hospital) + ":private-version/" + rec + "/00000001"
	if len(erasure.Remaining) != 2 || erasure.Remaining[1] != want {
		t.Errorf("%v, want %s", erasure.Remaining, want)
	}
}

func TestRecordLists(t *testing.T) {
	c := newClinic(t)
	for range 3 {
		c.xray(1)
	}
	for _, list := range []struct {
		by    *ledgertest.Identity
		field string
		value string
	}{{c.patient, "patient", c.patient.String()}, {c.officer, "custodian", hospital}, {c.auditor, "custodian", hospital}} {
		first := get[record.RecordPage](c, list.by, "record:List", record.PageRequest{By: list.field, Value: list.value, PageSize: 2})
		rest := get[record.RecordPage](c, list.by, "record:List", record.PageRequest{By: list.field, Value: list.value, PageSize: 2, Bookmark: first.Bookmark})
		if len(first.Records) != 2 || len(rest.Records) != 1 || rest.Bookmark != "" {
			t.Errorf("%s: %+v %+v", list.by, first, rest)
		}
	}
	for _, stranger := range []*ledgertest.Identity{c.neighbour, c.officer2, c.officer} {
		_, err := c.ledger.Evaluate(stranger, "record:List", record.PageRequest{By: "patient", Value: c.patient.String(), PageSize: 2})
		c.isRefusal("MF-LIST-DENIED", err)
	}
	_, err := c.ledger.Evaluate(c.auditor, "record:List", record.PageRequest{By: "name", Value: "x", PageSize: 2})
	c.isRefusal("MF-LIST-UNKNOWN", err)
}

// Arguments that no client of ours sends are refused with a code.
func TestCase07RecordArguments(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	for _, bad := range []struct {
		by   *ledgertest.Identity
		name string
		text string
		want codes.Code
	}{
		{c.officer, "record:Register", `{"record":"x"}`, "MF-ARGUMENT-MISSING-FIELD"},
		{c.officer, "record:Deprecate", `{"record":"` + record + `","force":true}`, "MF-ARGUMENT-UNKNOWN-FIELD"},
		{c.officer, "record:Deprecate", `{"record":"alice"}`, "MF-IDENTIFIER-OPAQUE"},
		{c.officer, "record:Deprecate", `{"record":"r-00000000000000000000000000000000"}`, "MF-RECORD-UNKNOWN"},
		{c.patient, "consent:Revoke", `{"consent":"c-00000000000000000000000000000000","number":1}`, "MF-CONSENT-UNKNOWN"},
		{c.patient, "consent:Revoke", `{"consent":"` + record + `","number":1}`, "MF-IDENTIFIER-OPAQUE"},
		{c.insurer, "access:RequestAccess", `{"access":"a-00000000000000000000000000000000","consent":"c-00000000000000000000000000000000","record":"` + record + `","version":1,"purpose":"alice smith"}`, "MF-TERMS-PURPOSE"},
		{c.insurer, "access:RequestAccess", `{"access":"a-00000000000000000000000000000000","consent":"c-00000000000000000000000000000000","record":"` + record + `","version":NaN,"purpose":"TREAT"}`, "MF-ARGUMENT-MALFORMED"},
		{c.insurer, "access:RequestAccess", `{"access":"a-00000000000000000000000000000000","consent":"c-00000000000000000000000000000000","record":"` + record + `","version":1.5,"purpose":"TREAT"}`, "MF-ARGUMENT-TYPE"},
	} {
		c.refused(bad.want, c.propose(bad.by, bad.name, bad.text))
	}
}

// Every transaction on records and consents is described, with its caller, and
// the descriptions are served.
func TestRecordTransactionsAreDescribed(t *testing.T) {
	c := newClinic(t)
	payload, err := c.ledger.Propose(c.auditor, "org.hyperledger.fabric:GetMetadata").Evaluate()
	if err != nil {
		t.Fatal(err)
	}
	for _, transaction := range contract.Transactions() {
		if !strings.Contains(string(payload), transaction.Description[:20]) {
			t.Errorf("%s:%s is not described in the metadata", transaction.Contract, transaction.Name)
		}
	}
}
