package contract_test

import (
	"errors"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
)

// TestRecordScene is the demo's record scene: an X-ray in two versions; an
// insurer asks, the patient counters, they agree on version 1 for a short period
// and for money; the insurer reads version 1, is denied version 2, is denied
// after the revocation; the auditor's list shows all of it.
func TestRecordScene(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(2)
	id := c.draw(consent.ConsentPrefix)

	asked := c.terms(365 * 24 * 3600)
	asked.Scope = consent.Scope{Kind: consent.ScopeAllFuture}
	asked.Compensation = consent.CompensationMoney
	c.do(c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: rec, Terms: asked, PrivateDigest: secret("low offer")})

	money := consent.SealedTerms{Consent: id, Offer: 2, Sealed: sealed(canaryNote)}
	short := c.terms(120)
	short.Compensation = consent.CompensationMoney
	counter := consent.OfferRequest{Consent: id, Offer: 2, Terms: short, PrivateDigest: form.Digest(money), Expires: c.now() + 100}
	offer := put[consent.Offer](c, c.patient, "consent:Counter", counter)
	accept := consent.AcceptRequest{Consent: id, Offer: 2, Digest: offer.Digest()}
	c.refused("MF-OFFER-PRIVATE", c.propose(c.insurer, "consent:Accept", accept))
	c.doPrivate(c.patient, "consent:PutTerms", consent.AnswerRequest{Consent: id, Offer: 2}, "terms", money)
	payload, err := c.propose(c.insurer, "consent:ReadTerms", consent.AnswerRequest{Consent: id, Offer: 2}).On(hospital).Evaluate()
	if err != nil || form.Digest(parse[consent.SealedTerms](c, payload)) != offer.PrivateDigest {
		t.Fatalf("the grantee can't check the private terms: %v", err)
	}
	agreement := put[consent.Agreement](c, c.insurer, "consent:Accept", accept)
	if agreement.Version != 1 || agreement.Terms.Scope.Version != 1 || agreement.OfferedBy != c.patient.String() {
		t.Errorf("%+v", agreement)
	}
	c.grant(id, 1)

	first := c.ask(c.insurer, id, rec, 1)
	if first.Decision != consent.Permit || first.Agreement != 1 || first.Patient != c.patient.String() {
		t.Fatalf("%+v", first)
	}
	grants, err := c.read(c.insurer, first.Access)
	if err != nil || len(grants) != 1 || grants[0].Sealed != grantInput(id, 1).Sealed || grants[0].Grantee != c.insurer.String() {
		t.Fatalf("%+v %v", grants, err)
	}
	digests := get[[]consent.GrantDigest](c, c.insurer, "access:GetGrantDigests", consent.ReadGrantRequest{Access: first.Access})
	if len(digests) != 1 || digests[0].Digest != form.Digest(grants[0]) {
		t.Errorf("the answer of the custodian's peer can't be checked: %+v", digests)
	}

	second := c.ask(c.insurer, id, rec, 2)
	if second.Decision != consent.Deny || second.Code != "MF-CONSENT-OUT-OF-SCOPE" {
		t.Errorf("%+v", second)
	}
	_, err = c.read(c.insurer, second.Access)
	c.isRefusal("MF-ACCESS-DENIED", err)

	c.revoke(id, 1)
	third := c.ask(c.insurer, id, rec, 1)
	if third.Decision != consent.Deny || third.Code != "MF-CONSENT-REVOKED" {
		t.Errorf("%+v", third)
	}
	_, err = c.read(c.insurer, first.Access)
	c.isRefusal("MF-CONSENT-REVOKED", err)
	c.refused("MF-CONSENT-REVOKED", c.propose(c.officer, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 1}).
		Transient(transient("grant", grantInput("x"))))

	page := get[consent.AccessPage](c, c.auditor, "audit:ListAccesses", consent.AccessListRequest{By: "all", PageSize: 10})
	if len(page.Accesses) != 3 {
		t.Fatalf("%+v", page)
	}
	var permits, denials int
	for _, access := range page.Accesses {
		if access.Decision == consent.Permit {
			permits++
		} else {
			denials++
		}
	}
	if permits != 1 || denials != 2 {
		t.Errorf("%+v", page)
	}
	state := c.state(id)
	if len(state.Offers) != 2 || len(state.Agreements) != 1 || state.Consent.Status != consent.StatusInactive || state.Consent.Reason != consent.ReasonRevoked {
		t.Errorf("%+v", state)
	}
	purged := put[record.Purged](c, c.patient, "access:PurgeGrants", consent.ConsentRequest{Consent: id})
	if len(purged.Keys) != 2 {
		t.Errorf("grant and terms: %v", purged.Keys)
	}
}

// Denied one window before the expiry, permitted a second earlier.
func TestCase10AccessAtExpiry(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(100))
	c.grant(id, 1)
	c.later(100 - ledger.TimeWindow - 1)
	last := c.ask(c.insurer, id, record, 1)
	if last.Decision != consent.Permit {
		t.Errorf("one second before: %+v", last)
	}
	c.later(1)
	if late := c.ask(c.insurer, id, record, 1); late.Decision != consent.Deny || late.Code != "MF-CONSENT-EXPIRED" {
		t.Errorf("at expiry less window: %+v", late)
	}
	_, err := c.read(c.insurer, last.Access)
	c.isRefusal("MF-CONSENT-EXPIRED", err)
	if state := c.state(id); state.Consent.Status != consent.StatusInactive || state.Consent.Reason != consent.ReasonExpired {
		t.Errorf("%+v", state.Consent)
	}
}

// Nothing that a caller claims of the time makes an expired consent permit.
func TestCase10ClaimedTime(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(100))
	c.later(100)
	for claim := int64(-60); claim <= 60; claim++ {
		p := c.propose(c.insurer, "access:RequestAccess", c.use(id, record, 1)).At(c.ledger.Now().Add(seconds(claim)))
		result, err := p.Submit()
		if err != nil {
			continue // outside of the peers' window
		}
		if access := parse[consent.Access](c, result.Payload); access.Decision != consent.Deny {
			t.Errorf("claimed %d s: %+v", claim, access)
		}
	}
}

// The log does not run backwards: an access is not logged before the change of
// the consent that decided it.
func TestAccessIsNotBeforeItsConsent(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(1000))
	revocation := c.propose(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}).At(c.ledger.Now().Add(seconds(9)))
	if _, err := revocation.Submit(); err != nil {
		t.Fatal(err)
	}
	if access := c.ask(c.insurer, id, record, 1); access.At != c.now()+9 {
		t.Errorf("revoked at %d, denied at %d", c.now()+9, access.At)
	}
}

// An access endorsed before a revocation does not become a permit after it.
func TestCase11RevokeBetweenEndorsementAndCommit(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(1000))
	request := c.use(id, record, 1)
	endorsed := c.endorse(c.propose(c.insurer, "access:RequestAccess", request))
	c.revoke(id, 1)
	if result := c.ledger.Commit(endorsed)[0]; result.Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("%s", result.Code)
	}
	if access := put[consent.Access](c, c.insurer, "access:RequestAccess", request); access.Code != "MF-CONSENT-REVOKED" {
		t.Errorf("the retry: %+v", access)
	}
	// In one block too, whatever the order.
	other := c.agree(record, c.terms(1000))
	access := c.endorse(c.propose(c.insurer, "access:RequestAccess", c.use(other, record, 1)))
	revocation := c.endorse(c.propose(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: other, Number: 1}))
	results := c.ledger.Commit(revocation, access)
	if !results[0].Valid() || results[1].Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("%s %s", results[0].Code, results[1].Code)
	}
}

// The documented outcome of an access that is endorsed in time and committed
// after the expiry: the log has the permit as of its time, and no grant is read
// by it.
func TestCase12ExpiryBetweenEndorsementAndCommit(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(100))
	c.grant(id, 1)
	request := c.use(id, record, 1)
	endorsed := c.endorse(c.propose(c.insurer, "access:RequestAccess", request))
	c.later(200)
	if result := c.ledger.Commit(endorsed)[0]; !result.Valid() {
		t.Fatalf("%s", result.Code)
	}
	access := get[consent.Access](c, c.auditor, "access:Get", consent.ReadGrantRequest{Access: request.Access})
	if access.Decision != consent.Permit || access.At != c.now()-200 {
		t.Errorf("%+v", access)
	}
	_, err := c.read(c.insurer, request.Access)
	c.isRefusal("MF-CONSENT-EXPIRED", err)
}

// Every denial is logged with its code, and nothing is read by it.
func TestCase13DenialsAreLogged(t *testing.T) {
	c := newClinic(t)
	rec, other := c.xray(2), c.xray(1)
	wide := c.terms(10_000)
	wide.Scope = consent.Scope{Kind: consent.ScopeAllFuture}
	id := c.agree(rec, wide)
	narrow := c.agree(rec, c.terms(10_000))
	proposed := c.draw(consent.ConsentPrefix)
	c.do(c.insurer, "consent:Request", consent.AskRequest{Consent: proposed, Record: rec, Terms: c.terms(10_000)})
	rejected := c.draw(consent.ConsentPrefix)
	c.do(c.insurer, "consent:Request", consent.AskRequest{Consent: rejected, Record: rec, Terms: c.terms(10_000)})
	c.do(c.patient, "consent:Reject", consent.AnswerRequest{Consent: rejected, Offer: 1})
	inError := c.agree(rec, c.terms(10_000))
	c.do(c.patient, "consent:MarkEnteredInError", consent.ConsentRequest{Consent: inError})

	for _, d := range []struct {
		name    string
		by      *ledgertest.Identity
		given   string
		record  string
		version int
		purpose string
		want    string
	}{
		{"permitted", c.insurer, id, rec, 2, "COVERAGE", ""},
		{"unknown consent", c.insurer, c.draw(consent.ConsentPrefix), rec, 1, "COVERAGE", "MF-CONSENT-UNKNOWN"},
		{"proposed", c.insurer, proposed, rec, 1, "COVERAGE", "MF-CONSENT-NOT-ACTIVE"},
		{"rejected", c.insurer, rejected, rec, 1, "COVERAGE", "MF-CONSENT-NOT-ACTIVE"},
		{"entered in error", c.insurer, inError, rec, 1, "COVERAGE", "MF-CONSENT-ENTERED-IN-ERROR"},
		{"other grantee", c.lab, id, rec, 1, "COVERAGE", "MF-CONSENT-OTHER-GRANTEE"},
		{"other record", c.insurer, id, other, 1, "COVERAGE", "MF-CONSENT-OTHER-RECORD"},
		{"record not there", c.insurer, id, c.draw(record.RecordPrefix), 1, "COVERAGE", "MF-CONSENT-OTHER-RECORD"},
		{"other purpose", c.insurer, id, rec, 1, "HRESCH", "MF-CONSENT-OTHER-PURPOSE"},
		{"later version than granted", c.insurer, narrow, rec, 2, "COVERAGE", "MF-CONSENT-OUT-OF-SCOPE"},
		{"version not there", c.insurer, id, rec, 3, "COVERAGE", "MF-VERSION-UNKNOWN"},
		{"version 0", c.insurer, id, rec, 0, "COVERAGE", "MF-CONSENT-OUT-OF-SCOPE"},
	} {
		request := consent.AccessRequest{Access: c.draw(consent.AccessPrefix), Consent: d.given, Record: d.record, Version: d.version, Purpose: d.purpose}
		result := c.do(d.by, "access:RequestAccess", request)
		logged := get[consent.Access](c, c.auditor, "access:Get", consent.ReadGrantRequest{Access: request.Access})
		if logged.Code != d.want || (logged.Decision == consent.Permit) != (d.want == "") || logged.TxID != result.TxID {
			t.Errorf("%s: %+v, want %q", d.name, logged, d.want)
		}
		if event := parse[record.Event](c, result.Event.Payload); event.Code != d.want || result.Event.Name != "access:RequestAccess" {
			t.Errorf("%s: event %+v", d.name, event)
		}
		if d.want != "" {
			_, err := c.read(d.by, request.Access)
			c.isRefusal("MF-ACCESS-DENIED", err)
		}
	}
}

// A revocation commits whatever the other side does at the same time.
func TestRevocationIsNeverHeldUp(t *testing.T) {
	c := newClinic(t)
	id := c.agree(c.xray(1), c.terms(1000))
	revocation := c.endorse(c.propose(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}))
	c.do(c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(5000)})
	counter := c.endorse(c.propose(c.insurer, "consent:Counter", consent.OfferRequest{Consent: id, Offer: 3, Terms: c.terms(6000)}))
	results := c.ledger.Commit(counter, revocation)
	if !results[0].Valid() || !results[1].Valid() {
		t.Fatalf("%s %s", results[0].Code, results[1].Code)
	}
	if state := c.state(id).Consent; state.Status != consent.StatusInactive || state.Open != 0 {
		t.Errorf("%+v", state)
	}
}

// An acceptance endorsed before a revocation does not bring the consent back.
func TestAcceptanceRacesRevocation(t *testing.T) {
	c := newClinic(t)
	id := c.agree(c.xray(1), c.terms(1000))
	offer := put[consent.Offer](c, c.patient, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(5000)})
	accepted := c.endorse(c.propose(c.insurer, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 2, Digest: offer.Digest()}))
	c.revoke(id, 1)
	if result := c.ledger.Commit(accepted)[0]; result.Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("%s", result.Code)
	}
	c.refused("MF-OFFER-NONE", c.propose(c.insurer, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 2, Digest: offer.Digest()}))
}

// The terms can't change under a signature: an offer that follows takes the
// place of the one being accepted.
func TestAcceptanceRacesCounter(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.draw(consent.ConsentPrefix)
	offer := put[consent.Offer](c, c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: record, Terms: c.terms(1000)})
	accept := consent.AcceptRequest{Consent: id, Offer: 1, Digest: offer.Digest()}
	accepted := c.endorse(c.propose(c.patient, "consent:Accept", accept))
	c.do(c.insurer, "consent:Counter", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(9000)})
	if result := c.ledger.Commit(accepted)[0]; result.Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("%s", result.Code)
	}
	c.refused("MF-OFFER-CLOSED", c.propose(c.patient, "consent:Accept", accept))
	c.refused("MF-OFFER-DIGEST", c.propose(c.patient, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 2, Digest: offer.Digest()}))
}

// Only the patient's own certificate accepts, extends, brings back or ends.
func TestCase18NobodyActsForThePatient(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.draw(consent.ConsentPrefix)
	offer := put[consent.Offer](c, c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: record, Terms: c.terms(1000)})
	accept := consent.AcceptRequest{Consent: id, Offer: 1, Digest: offer.Digest()}
	impostors := map[codes.Code][]*ledgertest.Identity{
		"MF-ROLE-DENIED":    {c.officer, c.officer2, c.coordinator, c.auditor, c.ledger.Identity(hospital, "node1", "trainer")},
		"MF-CONSENT-DENIED": {c.neighbour, c.lab, c.ledger.Identity("Hospital2MSP", pseudonym(1), "patient"), c.ledger.Identity(hospital, "someone", "requester")},
		"MF-ROLE-MISSING":   {c.ledger.Identity(hospital, "nobody", "")},
	}
	for code, identities := range impostors {
		for _, impostor := range identities {
			c.refused(code, c.propose(impostor, "consent:Accept", accept))
			c.refused(code, c.propose(impostor, "consent:Reject", consent.AnswerRequest{Consent: id, Offer: 1}))
			c.refused(code, c.propose(impostor, "consent:Counter", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(2000)}))
		}
	}
	c.do(c.patient, "consent:Accept", accept)
	for code, identities := range impostors {
		for _, impostor := range identities {
			if code == "MF-CONSENT-DENIED" && impostor.MSP != hospital || impostor.Name == "someone" {
				continue // requesters have no right to the transaction at all
			}
			c.refused(code, c.propose(impostor, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}))
			c.refused(code, c.propose(impostor, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(2000)}))
			c.refused(code, c.propose(impostor, "consent:MarkEnteredInError", consent.ConsentRequest{Consent: id}))
		}
	}
	c.refused("MF-ROLE-DENIED", c.propose(c.insurer, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}))
	c.revoke(id, 1)
	renewal := put[consent.Offer](c, c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(2000)})
	back := consent.AcceptRequest{Consent: id, Offer: 2, Digest: renewal.Digest()}
	c.refused("MF-OFFER-SIDE", c.propose(c.insurer, "consent:Accept", back))
	c.refused("MF-ROLE-DENIED", c.propose(c.officer, "consent:Accept", back))
	c.do(c.patient, "consent:Accept", back)
}

// A patient's role in another's name, and a patient's name in another role.
func TestCase18RoleAndNameTogether(t *testing.T) {
	c := newClinic(t)
	id := c.agree(c.xray(1), c.terms(1000))
	officer := c.ledger.Identity(hospital, pseudonym(1), "requester")
	c.refused("MF-ROLE-DENIED", c.propose(officer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(2000)}))
	stranger := c.ledger.Identity(hospital, pseudonym(1), "patient", ledgertest.SelfMade())
	if _, err := c.ledger.Submit(stranger, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}); err == nil {
		t.Error("a certificate of no authority revoked")
	}
	c.ledger.Revoke(c.patient)
	if _, err := c.ledger.Submit(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}); err == nil {
		t.Error("a revoked certificate was taken")
	}
}

// A majority must endorse: one organisation alone makes no consent and no access.
func TestCase19OneOrganisationAloneMakesNoConsent(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.draw(consent.ConsentPrefix)
	c.invalid(c.propose(c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: record, Terms: c.terms(1000)}).On(hospital))
	id = c.agree(record, c.terms(1000))
	c.invalid(c.propose(c.insurer, "access:RequestAccess", c.use(id, record, 1)).On(hospital, "Hospital2MSP"))
	c.invalid(c.propose(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}).On(hospital))
}

// The patient's word needs no endorsement of the custodian's own peer: no
// hospital can hold a consent up.
func TestConsentGoesOnWithoutTheCustodian(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	id := c.draw(consent.ConsentPrefix)
	others := []string{"Hospital2MSP", "Hospital3MSP", "ResearchCentreMSP"}
	submit := func(p *ledgertest.Proposal) []byte {
		t.Helper()
		result, err := p.On(others...).Submit()
		if err != nil {
			t.Fatal(err)
		}
		return result.Payload
	}
	offer := parse[consent.Offer](c, submit(c.propose(c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: rec, Terms: c.terms(1000)})))
	submit(c.propose(c.patient, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 1, Digest: offer.Digest()}))
	submit(c.propose(c.insurer, "access:RequestAccess", c.use(id, rec, 1)))
	submit(c.propose(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: id, Number: 1}))
	submit(c.propose(c.patient, "record:RequestErasure", record.RecordRequest{Record: rec}))
}

// The patient holds a wrap of each key, and so grants what the hospital does not;
// neither can spoil the other's grant.
func TestPatientPutsGrant(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(1000))
	c.doPrivate(c.patient, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 1}, "grant",
		grantInput("p"))
	access := c.ask(c.insurer, id, record, 1)
	grants, err := c.read(c.insurer, access.Access)
	if err != nil || len(grants) != 1 || grants[0].Writer != consent.WriterPatient || grants[0].Sealed != grantInput("p").Sealed {
		t.Fatalf("%+v %v", grants, err)
	}
	c.grant(id, 1)
	if grants, err = c.read(c.insurer, access.Access); err != nil || len(grants) != 2 {
		t.Errorf("%+v %v", grants, err)
	}
	c.refused("MF-CONSENT-OUT-OF-SCOPE", c.propose(c.officer, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 2}).
		Transient(transient("grant", grantInput("x"))))
	for _, other := range []*ledgertest.Identity{c.neighbour, c.officer2} {
		c.refused("MF-RECORD-DENIED", c.propose(other, "access:PutGrant", consent.GrantRequest{Consent: id, Version: 1}).
			Transient(transient("grant", grantInput("x"))))
	}
}

// A grant is read by its grantee, with an access of its own that is not old.
func TestReadGrantGuards(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(100_000))
	access := c.ask(c.insurer, id, record, 1)
	_, err := c.read(c.insurer, access.Access)
	c.isRefusal("MF-GRANT-MISSING", err)
	c.grant(id, 1)
	_, err = c.read(c.insurer, c.draw(consent.AccessPrefix))
	c.isRefusal("MF-ACCESS-UNKNOWN", err)
	_, err = c.read(c.lab, access.Access)
	c.isRefusal("MF-ACCESS-DENIED", err)
	for _, other := range []*ledgertest.Identity{c.officer2, c.neighbour, c.auditor, c.coordinator} {
		_, err = c.read(other, access.Access)
		c.isRefusal("MF-ROLE-DENIED", err)
	}
	_, err = c.propose(c.insurer, "access:ReadGrant", consent.ReadGrantRequest{Access: access.Access}).On("ResearchCentreMSP").Evaluate()
	c.isRefusal("MF-PRIVATE-READ", err)

	renewal := put[consent.Offer](c, c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(200_000)})
	if _, err = c.read(c.insurer, access.Access); err != nil {
		t.Errorf("an open renewal took the grant away: %v", err)
	}
	c.do(c.patient, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 2, Digest: renewal.Digest()})
	_, err = c.read(c.insurer, access.Access)
	c.isRefusal("MF-ACCESS-OLD", err)
	c.grant(id, 1)
	access = c.ask(c.insurer, id, record, 1)
	if _, err = c.read(c.insurer, access.Access); err != nil {
		t.Error(err)
	}
	c.later(consent.AccessSeconds - ledger.TimeWindow)
	_, err = c.read(c.insurer, access.Access)
	c.isRefusal("MF-ACCESS-OLD", err)
}

// A submit's response lies on the ledger for ever, so what gives something
// private can't be submitted: no majority has it.
func TestPrivateQueriesCannotBeSubmitted(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.agree(record, c.terms(1000))
	c.grant(id, 1)
	access := c.ask(c.insurer, id, record, 1)
	terms := consent.SealedTerms{Consent: id, Offer: 2, Sealed: sealed(canaryNote)}
	c.do(c.insurer, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: c.terms(2000), PrivateDigest: form.Digest(terms)})
	c.doPrivate(c.patient, "consent:PutTerms", consent.AnswerRequest{Consent: id, Offer: 2}, "terms", terms)
	for _, p := range []*ledgertest.Proposal{
		c.propose(c.insurer, "consent:ReadTerms", consent.AnswerRequest{Consent: id, Offer: 2}),
		c.propose(c.insurer, "access:ReadGrant", consent.ReadGrantRequest{Access: access.Access}),
		c.propose(c.officer, "record:GetPrivate", versionOf(record, 1)),
		c.propose(c.patient, "record:GetPrivate", versionOf(record, 1)),
	} {
		height := c.ledger.Height()
		if _, err := p.Submit(); err == nil || c.ledger.Height() != height {
			t.Errorf("%v came to the ledger", err)
		}
	}
	c.private()
}

// Renewal keeps the old version, and extends only what both sides signed.
func TestRenewal(t *testing.T) {
	c := newClinic(t)
	record := c.xray(2)
	id := c.agree(record, c.terms(100))
	c.later(100)
	if access := c.ask(c.insurer, id, record, 1); access.Code != "MF-CONSENT-EXPIRED" {
		t.Errorf("%+v", access)
	}
	wider := c.terms(1000)
	wider.Scope = consent.Scope{Kind: consent.ScopeUpTo, Version: 2}
	offer := put[consent.Offer](c, c.patient, "consent:Renew", consent.OfferRequest{Consent: id, Offer: 2, Terms: wider})
	if access := c.ask(c.insurer, id, record, 2); access.Decision != consent.Deny {
		t.Errorf("an offer extended the consent: %+v", access)
	}
	c.do(c.insurer, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 2, Digest: offer.Digest()})
	if access := c.ask(c.insurer, id, record, 2); access.Decision != consent.Permit || access.Agreement != 2 {
		t.Errorf("%+v", access)
	}
	if agreements := c.state(id).Agreements; len(agreements) != 2 || agreements[0].Terms.Scope.Version != 1 || agreements[1].Terms.Scope.Version != 2 {
		t.Errorf("%+v", agreements)
	}
}

// Private terms are those of the offer's digest, or they are not taken.
func TestPutTermsMustMatchOffer(t *testing.T) {
	c := newClinic(t)
	record := c.xray(1)
	id := c.draw(consent.ConsentPrefix)
	care := consent.SealedTerms{Consent: id, Offer: 1, Sealed: sealed(canaryNote)}
	terms := c.terms(1000)
	terms.Compensation = consent.CompensationCare
	c.refused("MF-OFFER-PRIVATE", c.propose(c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: record, Terms: terms}))
	offer := put[consent.Offer](c, c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: record, Terms: terms, PrivateDigest: form.Digest(care)})
	put := func(who *ledgertest.Identity, terms consent.SealedTerms) *ledgertest.Proposal {
		return c.propose(who, "consent:PutTerms", consent.AnswerRequest{Consent: id, Offer: 1}).Transient(transient("terms", terms))
	}
	changed := care
	changed.Sealed = sealed("others")
	c.refused("MF-OFFER-PRIVATE", put(c.patient, changed))
	changed.Sealed = ""
	c.refused("MF-PRIVATE-INVALID", put(c.patient, changed))
	c.refused("MF-RECORD-DENIED", put(c.neighbour, care))
	c.refused("MF-ROLE-DENIED", put(c.insurer, care))
	accept := consent.AcceptRequest{Consent: id, Offer: 1, Digest: offer.Digest()}
	c.refused("MF-OFFER-PRIVATE", c.propose(c.patient, "consent:Accept", accept))
	for range 2 {
		if _, err := put(c.officer, care).Submit(); err != nil {
			t.Fatal(err)
		}
	}
	c.do(c.patient, "consent:Accept", accept)
	for _, other := range []*ledgertest.Identity{c.lab, c.auditor, c.neighbour, c.officer2} {
		_, err := c.propose(other, "consent:ReadTerms", consent.AnswerRequest{Consent: id, Offer: 1}).On(hospital).Evaluate()
		c.isRefusal("MF-CONSENT-DENIED", err)
	}
	c.private()
}

// Queries answer those they concern.
func TestConsentLists(t *testing.T) {
	c := newClinic(t)
	rec := c.xray(1)
	var ids []string
	for range 5 {
		ids = append(ids, c.agree(rec, c.terms(1000)))
	}
	for _, list := range []struct {
		by    *ledgertest.Identity
		field string
		value string
	}{
		{c.patient, "patient", c.patient.String()}, {c.auditor, "patient", c.patient.String()},
		{c.insurer, "grantee", c.insurer.String()}, {c.auditor, "grantee", c.insurer.String()},
		{c.officer, "record", rec}, {c.patient, "record", rec}, {c.auditor, "record", rec},
	} {
		seen := map[string]bool{}
		bookmark := ""
		for pages := 0; pages == 0 || bookmark != ""; pages++ {
			page := get[consent.Page](c, list.by, "consent:List", record.PageRequest{By: list.field, Value: list.value, PageSize: 2, Bookmark: bookmark})
			for _, one := range page.Consents {
				seen[one.Consent] = one.Status == consent.StatusActive
			}
			bookmark = page.Bookmark
		}
		for _, id := range ids {
			if !seen[id] {
				t.Errorf("%s does not see %s by %s", list.by, id, list.field)
			}
		}
	}
	for _, stranger := range []*ledgertest.Identity{c.neighbour, c.lab, c.officer2, c.insurer} {
		_, err := c.ledger.Evaluate(stranger, "consent:List", record.PageRequest{By: "patient", Value: c.patient.String(), PageSize: 2})
		c.isRefusal("MF-LIST-DENIED", err)
	}
	for _, stranger := range []*ledgertest.Identity{c.neighbour, c.lab, c.officer2, c.coordinator} {
		_, err := c.ledger.Evaluate(stranger, "consent:Get", consent.ConsentRequest{Consent: ids[0]})
		c.isRefusal("MF-CONSENT-DENIED", err)
	}
}

// endorse endorses a proposal that is committed later.
func (c *clinic) endorse(p *ledgertest.Proposal) *ledgertest.Transaction {
	c.Helper()
	tx, err := p.Endorse()
	if err != nil {
		c.Fatal(err)
	}
	return tx
}

// invalid submits what its endorsers are too few for.
func (c *clinic) invalid(p *ledgertest.Proposal) {
	c.Helper()
	_, err := p.Submit()
	var invalid *ledgertest.CommitError
	if !errors.As(err, &invalid) || invalid.Code != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE {
		c.Fatalf("got %v, want an endorsement policy failure", err)
	}
}
