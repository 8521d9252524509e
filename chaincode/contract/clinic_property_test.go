package contract_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// TestCase08RandomConsents runs random transactions on records and consents by
// people of every role, some endorsed now and committed later, while time
// passes. After each, what must always hold is checked: statuses move only as
// the tables say, versions and offers are contiguous and never rewritten, no
// permit lies outside the terms that both sides signed, only the patient undoes
// a revocation, and at the end nothing private is public.
func TestCase08RandomConsents(t *testing.T) {
	permits, denials := 0, 0
	statuses := map[consent.Status]int{}
	endorsers := ledgertest.WithPeers(hospital, "Hospital2MSP", "ResearchCentreMSP")
	rapid.Check(t, func(t *rapid.T) {
		p := &consents{clinic: newClinic(t, endorsers), T: t}
		p.record = p.xray(1)
		p.id = p.draw(consent.ConsentPrefix)
		p.do(p.insurer, "consent:Request", consent.AskRequest{Consent: p.id, Record: p.record, Terms: p.anyTerms()})
		if rapid.Bool().Draw(t, "agreed") {
			offer := p.state(p.id).Offers[0]
			p.do(p.patient, "consent:Accept", consent.AcceptRequest{Consent: p.id, Offer: 1, Digest: offer.Digest()})
		}
		p.seen, p.last = map[string]string{}, p.state(p.id)
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			p.step()
			p.watch()
		}
		p.commit()
		p.watch()
		p.private()
		statuses[p.last.Consent.Status]++
		for _, access := range p.pages(p.auditor, consent.AccessListRequest{By: "all", PageSize: 1000}) {
			if access.Decision == consent.Permit {
				permits++
			} else {
				denials++
			}
		}
	})
	t.Logf("%d permits, %d denials, consents ended %v", permits, denials, statuses)
}

// consents is a random run on one record and one consent.
type consents struct {
	*clinic
	*rapid.T
	record, id string
	last       consent.State
	recorded   consent.RecordStatus
	seen       map[string]string // documents that are written once, by key
	pending    []*ledgertest.Transaction
}

// Helper and Fatalf are of both embedded values; the clinic's report to the same run.
func (p *consents) Helper() { p.T.Helper() }

// anyTerms are terms that hold now, for a while.
func (p *consents) anyTerms() consent.Terms {
	scope := consent.Scope{Kind: rapid.SampledFrom([]consent.ScopeKind{consent.ScopeThis, consent.ScopeUpTo, consent.ScopeAllFuture}).Draw(p.T, "scope")}
	if scope.Kind != consent.ScopeAllFuture {
		scope.Version = rapid.IntRange(1, 3).Draw(p.T, "scope version")
	}
	if scope.Kind == consent.ScopeThis {
		scope.Version = 1
	}
	return consent.Terms{
		Scope:        scope,
		Period:       consent.Period{Until: p.now() + rapid.SampledFrom([]int64{5000, 1000, 200, 40}).Draw(p.T, "until")},
		Purposes:     []string{"COVERAGE"},
		Compensation: consent.CompensationNone,
	}
}

// step lets time pass, commits what is pending, or proposes a transaction.
func (p *consents) step() {
	switch rapid.IntRange(0, 9).Draw(p.T, "step") {
	case 0:
		p.later(rapid.SampledFrom([]int64{1, 10, 60, 300}).Draw(p.T, "seconds"))
	case 1:
		p.commit()
	default:
		p.propose()
	}
}

// propose sends a transaction, or endorses it for later.
func (p *consents) propose() {
	name, argument, fields := p.transaction()
	who := rapid.SampledFrom(p.people(name)).Draw(p.T, "who")
	proposal := p.ledger.Propose(who, name, argument)
	if fields != nil {
		proposal.Transient(fields)
	}
	tx, err := proposal.Endorse()
	if err != nil {
		if code := ledger.CodeIn(err.Error()); code == "" || code == "MF-INTERNAL" || code == "MF-LEDGER-CORRUPT" {
			p.T.Fatalf("%s by %s: %v", name, who, err)
		}
		return
	}
	p.pending = append(p.pending, tx)
	if rapid.IntRange(0, 3).Draw(p.T, "now") > 0 {
		p.commit()
	}
}

// commit orders what is pending into one block.
func (p *consents) commit() {
	for _, result := range p.ledger.Commit(p.pending...) {
		switch result.Code {
		case peer.TxValidationCode_VALID, peer.TxValidationCode_MVCC_READ_CONFLICT, peer.TxValidationCode_PHANTOM_READ_CONFLICT:
		default:
			p.T.Fatalf("%s", result.Code)
		}
	}
	p.pending = nil
}

// people are those whose transaction it is, often, and anyone else, seldom.
func (p *consents) people(name string) []*ledgertest.Identity {
	everyone := []*ledgertest.Identity{p.officer, p.officer2, p.patient, p.neighbour, p.insurer, p.lab, p.auditor, p.coordinator}
	if rapid.IntRange(0, 9).Draw(p.T, "anyone") == 0 {
		return everyone
	}
	switch name {
	case "access:RequestAccess":
		return []*ledgertest.Identity{p.insurer, p.insurer, p.lab}
	case "record:Stage", "record:AddVersion", "record:Deprecate":
		return []*ledgertest.Identity{p.officer}
	case "consent:Revoke", "consent:MarkEnteredInError":
		return []*ledgertest.Identity{p.patient}
	case "access:PutGrant", "access:PurgeGrants", "record:RequestErasure", "record:Purge":
		return []*ledgertest.Identity{p.officer, p.patient}
	case "record:AttestErasure":
		return []*ledgertest.Identity{p.officer, p.coordinator}
	default:
		return []*ledgertest.Identity{p.patient, p.insurer}
	}
}

// transaction draws a transaction that fits where the consent stands, or nearly.
func (p *consents) transaction() (name string, argument any, fields map[string][]byte) {
	versions := get[consent.Record](p.clinic, p.auditor, "record:Get", consent.RecordRequest{Record: p.record}).Versions
	next := len(p.last.Offers) + 1
	offer := p.last.Offers[max(0, p.last.Consent.Open-1)]
	answer := consent.AnswerRequest{Consent: p.id, Offer: offer.Offer}
	record := consent.RecordRequest{Record: p.record}
	version := rapid.IntRange(1, 3).Draw(p.T, "version")
	switch rapid.IntRange(0, 30).Draw(p.T, "transaction") {
	case 6, 7:
		return "access:PutGrant", consent.GrantRequest{Consent: p.id, Version: version}, transient("grant", consent.GrantInput{Wrap: wrapped(canaryGrant), Salt: secret("g")})
	case 8, 9, 10:
		return "consent:Counter", consent.OfferRequest{Consent: p.id, Offer: next, Terms: p.anyTerms()}, nil
	case 11, 12, 13:
		return "consent:Renew", consent.OfferRequest{Consent: p.id, Offer: next, Terms: p.anyTerms()}, nil
	case 14, 15, 16, 17, 18:
		return "consent:Accept", consent.AcceptRequest{Consent: p.id, Offer: offer.Offer, Digest: offer.Digest()}, nil
	case 19:
		return "record:AttestErasure", record, nil
	case 20:
		return "record:Purge", record, nil
	case 22, 23:
		return "record:AddVersion", addVersion(p.record, versions+1), nil
	case 24:
		return "record:Stage", versionOf(p.record, versions+1), transient("version", private(p.record, versions+1))
	case 25:
		return "consent:Reject", answer, nil
	case 26:
		return "consent:Withdraw", answer, nil
	case 27:
		return "consent:Revoke", consent.RevokeRequest{Consent: p.id, Number: p.last.Revocation.Number + 1}, nil
	case 28:
		return "access:PurgeGrants", consent.ConsentRequest{Consent: p.id}, nil
	case 29:
		return p.seldom()
	default:
		return "access:RequestAccess", p.use(p.id, p.record, version), nil
	}
}

// seldom draws what ends a run's interest.
func (p *consents) seldom() (string, any, map[string][]byte) {
	record := consent.RecordRequest{Record: p.record}
	switch rapid.IntRange(0, 8).Draw(p.T, "seldom") {
	case 8:
		return "consent:MarkEnteredInError", consent.ConsentRequest{Consent: p.id}, nil
	case 7:
		return "record:RequestErasure", record, nil
	case 6:
		return "record:CompleteErasure", record, nil
	default:
		return "record:Deprecate", record, nil
	}
}

// watch checks what must always hold.
func (p *consents) watch() {
	state := p.state(p.id)
	for i, offer := range state.Offers {
		p.once(fmt.Sprint("offer ", offer.Offer), consent.Digest(offer))
		if offer.Offer != i+1 {
			p.T.Fatalf("offer %d has the number %d", i+1, offer.Offer)
		}
	}
	for i, agreement := range state.Agreements {
		p.once(fmt.Sprint("agreement ", agreement.Version), consent.Digest(agreement))
		offer := state.Offers[agreement.Offer-1]
		signed := map[string]bool{agreement.OfferedBy: true, agreement.AcceptedBy: true}
		if agreement.Version != i+1 || !signed[p.patient.String()] || !signed[p.insurer.String()] || offer.Digest() != agreement.OfferDigest {
			p.T.Fatalf("agreement %+v of offer %+v", agreement, offer)
		}
	}
	p.watchStatus(state.Consent)
	p.watchRecord()
	p.watchAccesses(state)
	p.last = state
}

// once checks that a document does not change.
func (p *consents) once(key, digest string) {
	if first, found := p.seen[key]; found && first != digest {
		p.T.Fatalf("%s was rewritten", key)
	}
	p.seen[key] = digest
}

// watchStatus checks that a consent came to its status by moves of the table;
// several may lie between two looks.
func (p *consents) watchStatus(now consent.Consent) {
	reach := map[consent.Status]bool{p.last.Consent.Status: true}
	for range consent.Moves() {
		for _, move := range consent.Moves() {
			if reach[move.From] {
				reach[move.To] = true
			}
		}
	}
	if !reach[now.Status] {
		p.T.Fatalf("from %s to %s", p.last.Consent.Status, now.Status)
	}
	if now.Agreement != nil && len(p.last.Agreements) > now.Agreement.Version {
		p.T.Fatalf("consent version %d after %d", now.Agreement.Version, len(p.last.Agreements))
	}
}

func (p *consents) watchRecord() {
	record := get[consent.Record](p.clinic, p.auditor, "record:Get", consent.RecordRequest{Record: p.record})
	if p.recorded != "" && record.Status != p.recorded && !p.recorded.CanMoveTo(record.Status) &&
		!(p.recorded == consent.RecordActive && record.Status == consent.RecordErasing) {
		p.T.Fatalf("the record went from %s to %s", p.recorded, record.Status)
	}
	p.recorded = record.Status
	versions := get[consent.VersionPage](p.clinic, p.auditor, "record:ListVersions", consent.VersionsRequest{Record: p.record, PageSize: 1000}).Versions
	if len(versions) != record.Versions {
		p.T.Fatalf("%d versions, the record says %d", len(versions), record.Versions)
	}
	for i, version := range versions {
		p.once(fmt.Sprint("version ", version.Version), consent.Digest(version))
		if version.Version != i+1 {
			p.T.Fatalf("version %d has the number %d", i+1, version.Version)
		}
	}
}

// watchAccesses checks every logged decision against the terms that were in
// force at its time, and that what is readable now is permitted now.
func (p *consents) watchAccesses(state consent.State) {
	for _, access := range p.pages(p.auditor, consent.AccessListRequest{By: "record", Value: p.record, PageSize: 1000}) {
		p.once("access "+access.Access, consent.Digest(access))
		if (access.Decision == consent.Permit) != (access.Code == "") {
			p.T.Fatalf("%+v", access)
		}
		if access.Decision != consent.Permit {
			continue
		}
		terms := state.Agreements[access.Agreement-1].Terms
		if access.Grantee != p.insurer.String() || !terms.Scope.Covers(access.Version) || access.Purpose != "COVERAGE" ||
			access.At+ledger.TimeWindow >= terms.Period.Until {
			p.T.Fatalf("%+v is outside of %+v", access, terms)
		}
		p.watchReadable(state, access)
	}
}

func (p *consents) watchReadable(state consent.State, access consent.Access) {
	_, err := p.read(p.insurer, access.Access)
	if err != nil {
		var refusal *ledgertest.EvaluateError
		if !errors.As(err, &refusal) || ledger.CodeIn(err.Error()) == "" || ledger.CodeIn(err.Error()) == "MF-INTERNAL" {
			p.T.Fatalf("%v", err)
		}
		return
	}
	agreement := state.Agreements[access.Agreement-1]
	if state.Consent.Status != consent.StatusActive || state.Revocation.Number != agreement.Revocations || state.Revocation.EnteredInError ||
		!p.recorded.Accessible() || p.now()+ledger.TimeWindow >= agreement.Terms.Period.Until {
		p.T.Fatalf("%+v is read under %+v", access, state.Consent)
	}
}
