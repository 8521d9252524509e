package contract_test

import (
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
)

// TestCase08RandomConsents runs random transactions on records and consents by
// people of every role, some endorsed now and committed later, while time
// passes. After each, the invariants are checked, and at the end that nothing
// private is public.
func TestCase08RandomConsents(t *testing.T) {
	steps, permits, denials := 0, 0, 0
	statuses := map[consent.Status]int{}
	endorsers := ledgertest.WithPeers(hospital, "Hospital2MSP", "ResearchCentreMSP")
	rapid.Check(t, func(t *rapid.T) {
		p := newConsents(t, newClinic(t, endorsers))
		steps += p.run()
		statuses[p.last.Consent.Status]++
		for _, access := range p.pages(p.auditor, consent.AccessListRequest{By: "all", PageSize: 1000}) {
			if access.Decision == consent.Permit {
				permits++
			} else {
				denials++
			}
		}
	})
	t.Logf("%d steps, %d permits, %d denials, consents ended %v", steps, permits, denials, statuses)
}

// consents is a random run on one record and one consent.
type consents struct {
	*clinic
	*rapid.T
	record, id string
	last       consent.State
	held       *invariants
	pending    []*ledgertest.Transaction
}

// newConsents begins a run: a record, and a consent that is asked for or agreed on.
func newConsents(t *rapid.T, c *clinic) *consents {
	p := &consents{clinic: c, T: t, held: newInvariants(c.ledger)}
	p.record = p.xray(1)
	p.id = p.draw(consent.ConsentPrefix)
	p.do(p.insurer, "consent:Request", consent.AskRequest{Consent: p.id, Record: p.record, Terms: p.anyTerms()})
	if rapid.Bool().Draw(t, "agreed") {
		offer := p.state(p.id).Offers[0]
		p.do(p.patient, "consent:Accept", consent.AcceptRequest{Consent: p.id, Offer: 1, Digest: offer.Digest()})
	}
	return p
}

// run takes random steps and says how many.
func (p *consents) run() (steps int) {
	succeeded := false
	defer func() {
		if !succeeded {
			printScenario(p.T, p.ledger)
		}
	}()
	p.check()
	steps = rapid.IntRange(10, 60).Draw(p.T, "steps")
	for range steps {
		p.step()
		p.check()
	}
	p.commit()
	p.check()
	if err := p.held.leaks(); err != nil {
		p.T.Fatal(err)
	}
	succeeded = true
	return steps
}

// check checks the invariants.
func (p *consents) check() {
	if err := p.held.check(); err != nil {
		p.T.Fatal(err)
	}
	p.last = p.state(p.id)
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
		if code := answered(err); code == "" || code == "MF-INTERNAL" || code == "MF-LEDGER-CORRUPT" {
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
	if len(p.pending) == 0 {
		return
	}
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
	versions := get[record.Record](p.clinic, p.auditor, "record:Get", record.RecordRequest{Record: p.record}).Versions
	next := len(p.last.Offers) + 1
	offer := p.last.Offers[max(0, p.last.Consent.Open-1)]
	answer := consent.AnswerRequest{Consent: p.id, Offer: offer.Offer}
	rec := record.RecordRequest{Record: p.record}
	version := rapid.IntRange(1, 3).Draw(p.T, "version")
	switch rapid.IntRange(0, 30).Draw(p.T, "transaction") {
	case 6, 7:
		return "access:PutGrant", consent.GrantRequest{Consent: p.id, Version: version}, transient("grant", grantInput("g"))
	case 8, 9, 10:
		return "consent:Counter", consent.OfferRequest{Consent: p.id, Offer: next, Terms: p.anyTerms()}, nil
	case 11, 12, 13:
		return "consent:Renew", consent.OfferRequest{Consent: p.id, Offer: next, Terms: p.anyTerms()}, nil
	case 14, 15, 16, 17, 18:
		return "consent:Accept", consent.AcceptRequest{Consent: p.id, Offer: offer.Offer, Digest: offer.Digest()}, nil
	case 19:
		return "record:AttestErasure", rec, nil
	case 20:
		return "record:Purge", rec, nil
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
	rec := record.RecordRequest{Record: p.record}
	switch rapid.IntRange(0, 8).Draw(p.T, "seldom") {
	case 8:
		return "consent:MarkEnteredInError", consent.ConsentRequest{Consent: p.id}, nil
	case 7:
		return "record:RequestErasure", rec, nil
	case 6:
		return "record:CompleteErasure", rec, nil
	default:
		return "record:Deprecate", rec, nil
	}
}
