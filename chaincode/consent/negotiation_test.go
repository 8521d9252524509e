package consent_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
)

func byPatient(at int64) consent.Act {
	return consent.Act{By: patient, Side: consent.SidePatient, At: at, Window: window}
}

func byGrantee(at int64) consent.Act {
	return consent.Act{By: insurer, Side: consent.SideGrantee, At: at, Window: window}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if got := codes.Of(err); got != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if !strings.Contains(err.Error(), "; ") {
		t.Fatalf("%q does not say what to do", err)
	}
}

// asked is a consent with the grantee's first offer.
func asked() (consent.Consent, consent.Offer) {
	return consent.Ask(active().Parties, terms(), "", 0, byGrantee(100))
}

func must(t *testing.T, c consent.Consent, err error) consent.Consent {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAcceptBindsOneExactOffer(t *testing.T) {
	c, first := asked()
	if _, err := c.Accept(first, first.Digest(), byGrantee(110)); err == nil {
		t.Fatal("the grantee accepted its own offer")
	} else {
		wantCode(t, err, "MF-OFFER-SIDE")
	}
	_, err := c.Accept(first, form.Digest("other"), byPatient(110))
	wantCode(t, err, "MF-OFFER-DIGEST")

	shorter := terms()
	shorter.Period.Until = 5000
	c, second, err := c.Propose(consent.TxCounter, 2, shorter, "", 0, byPatient(120))
	must(t, c, err)
	_, err = c.Accept(first, first.Digest(), byGrantee(130))
	wantCode(t, err, "MF-OFFER-CLOSED")
	_, err = c.Accept(second, second.Digest(), byPatient(130))
	wantCode(t, err, "MF-OFFER-SIDE")
	agreed, err := c.Accept(second, second.Digest(), byGrantee(130))
	must(t, agreed, err)
	if a := agreed.Agreement; agreed.Status != consent.StatusActive || agreed.Open != 0 || a.Version != 1 || a.Terms.Period.Until != 5000 ||
		a.OfferedBy != patient || a.AcceptedBy != insurer || a.OfferDigest != second.Digest() || a.Decision != consent.Permit {
		t.Errorf("%+v", agreed)
	}
	if !agreed.Answered(consent.TxAccept, 2, insurer) || agreed.Answered(consent.TxAccept, 2, patient) || agreed.Answered(consent.TxReject, 2, insurer) {
		t.Error("the answer is not remembered as it was given")
	}
}

func TestOfferExpiry(t *testing.T) {
	wantCode(t, consent.CheckOffer(terms(), "", 200+window, byGrantee(200)), "MF-OFFER-EXPIRED")
	if err := consent.CheckOffer(terms(), "", 201+window, byGrantee(200)); err != nil {
		t.Error(err)
	}
	c, offer := consent.Ask(active().Parties, terms(), "", 1000, byGrantee(100))
	_, err := c.Accept(offer, offer.Digest(), byPatient(1000-window))
	wantCode(t, err, "MF-OFFER-EXPIRED")
	agreed, err := c.Accept(offer, offer.Digest(), byPatient(1000-window-1))
	must(t, agreed, err)
	again, _, err := c.Propose(consent.TxCounter, 2, terms(), "", 0, byGrantee(2000))
	if must(t, again, err); again.Open != 2 {
		t.Error("an expired offer stands in the way of the next")
	}
}

func TestPeriodOverBeforeAcceptance(t *testing.T) {
	c, offer := asked()
	_, err := c.Accept(offer, offer.Digest(), byPatient(expiry-window))
	wantCode(t, err, "MF-OFFER-EXPIRED")
}

func TestRejectAndWithdraw(t *testing.T) {
	c, _ := asked()
	_, err := c.Decline(consent.TxReject, 1, byGrantee(110))
	wantCode(t, err, "MF-OFFER-SIDE")
	_, err = c.Decline(consent.TxWithdraw, 1, byPatient(110))
	wantCode(t, err, "MF-OFFER-SIDE")
	rejected, err := c.Decline(consent.TxReject, 1, byPatient(110))
	if must(t, rejected, err); rejected.Status != consent.StatusRejected {
		t.Errorf("%+v", rejected)
	}
	_, _, err = rejected.Propose(consent.TxRenew, 2, terms(), "", 0, byPatient(120))
	wantCode(t, err, "MF-CONSENT-STATUS")
	withdrawn, err := c.Decline(consent.TxWithdraw, 1, byGrantee(110))
	if must(t, withdrawn, err); withdrawn.Status != consent.StatusInactive || withdrawn.Reason != consent.ReasonWithdrawn {
		t.Errorf("%+v", withdrawn)
	}
	_, _, err = withdrawn.Propose(consent.TxRenew, 2, terms(), "", 0, byGrantee(120))
	wantCode(t, err, "MF-CONSENT-NEVER-AGREED")
}

// A renewal is a new consent version; the one in force stays until then, and
// stays altogether when the renewal is refused.
func TestRenewalMakesNewVersion(t *testing.T) {
	c := active()
	longer := terms()
	longer.Period.Until = 2 * expiry
	renewing, offer, err := c.Propose(consent.TxRenew, 2, longer, "", 0, byGrantee(200))
	if must(t, renewing, err); renewing.Status != consent.StatusActive || renewing.Agreement.Version != 1 {
		t.Errorf("%+v", renewing)
	}
	_, _, err = renewing.Propose(consent.TxRenew, 3, longer, "", 0, byGrantee(200))
	wantCode(t, err, "MF-OFFER-OPEN")
	kept, err := renewing.Decline(consent.TxReject, 2, byPatient(210))
	if must(t, kept, err); kept.Status != consent.StatusActive || kept.Agreement.Terms.Period.Until != expiry {
		t.Errorf("%+v", kept)
	}
	renewed, err := renewing.Accept(offer, offer.Digest(), byPatient(210))
	if must(t, renewed, err); renewed.Agreement.Version != 2 || renewed.Agreement.Terms.Period.Until != 2*expiry {
		t.Errorf("%+v", renewed)
	}
	if c.Agreement.Version != 1 || renewing.Agreement.Version != 1 {
		t.Error("the old version was changed")
	}
}

// What the patient signed before a revocation can't bring the consent back.
func TestRevocationVoidsWhatCameBefore(t *testing.T) {
	c := active()
	renewing, offer, err := c.Propose(consent.TxRenew, 2, terms(), "", 0, byPatient(200))
	must(t, renewing, err)
	r, changed, err := consent.Revocation{}.Revoke(1, byPatient(300))
	if err != nil || !changed {
		t.Fatal(err)
	}
	revoked := consent.Assemble(renewing.Parties, renewing.Negotiation, r)
	if revoked.Status != consent.StatusInactive || revoked.Reason != consent.ReasonRevoked || revoked.Open != 0 || revoked.ChangedBy != patient {
		t.Errorf("%+v", revoked)
	}
	_, err = revoked.Accept(offer, offer.Digest(), byGrantee(310))
	wantCode(t, err, "MF-OFFER-NONE")
	if decision, code := consent.Permits(revoked, xrayRecord(), use(), 310, window); decision != consent.Deny || code != "MF-CONSENT-REVOKED" {
		t.Errorf("%s %s", decision, code)
	}

	back, offer, err := revoked.Propose(consent.TxRenew, 3, terms(), "", 0, byGrantee(400))
	must(t, back, err)
	if decision, _ := consent.Permits(back, xrayRecord(), use(), 410, window); decision != consent.Deny {
		t.Error("an offer brought the consent back")
	}
	_, err = back.Accept(offer, offer.Digest(), byGrantee(410))
	wantCode(t, err, "MF-OFFER-SIDE")
	agreed, err := back.Accept(offer, offer.Digest(), byPatient(410))
	must(t, agreed, err)
	assembled := consent.Assemble(agreed.Parties, agreed.Negotiation, r)
	if decision, code := consent.Permits(assembled, xrayRecord(), use(), 420, window); decision != consent.Permit {
		t.Errorf("the patient brought it back: %s %s", decision, code)
	}
}

func TestRevokeNumbersAndOwner(t *testing.T) {
	_, _, err := consent.Revocation{}.Revoke(1, byGrantee(1))
	wantCode(t, err, "MF-CONSENT-DENIED")
	_, _, err = consent.Revocation{}.Revoke(0, byPatient(1))
	wantCode(t, err, "MF-REVOCATION-NUMBER")
	_, _, err = consent.Revocation{}.Revoke(2, byPatient(1))
	wantCode(t, err, "MF-REVOCATION-NUMBER")
	r, _, err := consent.Revocation{}.Revoke(1, byPatient(1))
	if err != nil {
		t.Fatal(err)
	}
	if same, changed, err := r.Revoke(1, byPatient(9)); err != nil || changed || same != r {
		t.Errorf("the same revocation again: %+v %v %v", same, changed, err)
	}
	_, _, err = r.MarkEnteredInError(byGrantee(1))
	wantCode(t, err, "MF-CONSENT-DENIED")
	r, _, err = r.MarkEnteredInError(byPatient(2))
	if err != nil || !r.EnteredInError || r.Number != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if c := consent.Assemble(active().Parties, active().Negotiation, r); c.Status != consent.StatusEnteredInError {
		t.Errorf("%+v", c)
	}
}

func TestSeenAfterExpiry(t *testing.T) {
	if c := active().Seen(expiry-window-1, window); c.Status != consent.StatusActive {
		t.Errorf("%+v", c)
	}
	if c := active().Seen(expiry-window, window); c.Status != consent.StatusInactive || c.Reason != consent.ReasonExpired {
		t.Errorf("%+v", c)
	}
}

func TestSides(t *testing.T) {
	p := active().Parties
	if side, err := p.SideOf(patient); err != nil || side != consent.SidePatient {
		t.Error(side, err)
	}
	if side, err := p.SideOf(insurer); err != nil || side != consent.SideGrantee {
		t.Error(side, err)
	}
	for _, other := range []string{"", "Hospital1MSP/officer", "InsurerMSP/other"} {
		_, err := p.SideOf(other)
		wantCode(t, err, "MF-CONSENT-DENIED")
	}
}

// Every move of the table names a status that exists, and no two lines let the
// same side do the same thing twice.
func TestMovesTableIsWhole(t *testing.T) {
	known := map[consent.Status]bool{"": true, "proposed": true, "active": true, "rejected": true, "inactive": true, "entered-in-error": true}
	seen := map[string]bool{}
	for _, m := range consent.Moves() {
		line := fmt.Sprint(m.From, "|", m.By, "|", m.Who)
		if !known[m.From] || !known[m.To] || m.To == "" || m.When == "" || seen[line] {
			t.Errorf("%+v", m)
		}
		seen[line] = true
	}
	if _, ok := consent.FindMove(consent.StatusActive, "", consent.SidePatient, ""); ok {
		t.Error("someone makes time pass")
	}
	for _, m := range record.Moves() {
		if !m.From.CanMoveTo(m.To) || m.To == m.From {
			t.Errorf("%+v", m)
		}
	}
}

// model is a negotiation as a layman would keep it.
type model struct {
	consent    consent.Consent
	revocation consent.Revocation
	offers     []consent.Offer
	agreements []consent.Agreement
}

// TestCase08NegotiationKeepsToTheTable lets both sides do anything at any time:
// only moves of the table happen, final statuses stay, offers and versions are
// contiguous, and whatever is permitted lies within the last terms that both
// sides signed after the last revocation.
func TestCase08NegotiationKeepsToTheTable(t *testing.T) {
	reached := map[consent.Status]int{}
	rapid.Check(t, func(t *rapid.T) {
		c, first := asked()
		m := model{consent: c, offers: []consent.Offer{first}}
		at := int64(100)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			at += rapid.Int64Range(0, 50).Draw(t, "later")
			act := byPatient(at)
			if rapid.Bool().Draw(t, "grantee") {
				act = byGrantee(at)
			}
			before := m.view()
			by := m.step(t, act)
			m.check(t, before, by, act)
			reached[m.view().Status]++
		}
	})
	t.Logf("statuses reached: %v", reached)
	for _, status := range []consent.Status{"proposed", "active", "rejected", "inactive", "entered-in-error"} {
		if reached[status] == 0 && !testing.Short() {
			t.Errorf("no program came to %s", status)
		}
	}
}

func (m *model) view() consent.Consent {
	return consent.Assemble(m.consent.Parties, m.consent.Negotiation, m.revocation)
}

// step does one thing and says what, or "" when it was refused.
func (m *model) step(t *rapid.T, act consent.Act) string {
	by := rapid.SampledFrom([]string{
		consent.TxCounter, consent.TxCounter, consent.TxRenew, consent.TxRenew, consent.TxAccept, consent.TxAccept, consent.TxAccept,
		consent.TxReject, consent.TxWithdraw, consent.TxRevoke, consent.TxError,
	}).Draw(t, "by")
	if by == consent.TxError && rapid.IntRange(0, 4).Draw(t, "seldom") > 0 {
		return ""
	}
	c, err := m.view(), error(nil)
	switch by {
	case consent.TxCounter, consent.TxRenew:
		offered := terms()
		offered.Period.Until = act.At + rapid.Int64Range(31, 500).Draw(t, "until")
		var offer consent.Offer
		if c, offer, err = c.Propose(by, len(m.offers)+1, offered, "", 0, act); err == nil {
			m.offers = append(m.offers, offer)
		}
	case consent.TxAccept:
		offer := rapid.SampledFrom(m.offers).Draw(t, "offer")
		if c, err = c.Accept(offer, offer.Digest(), act); err == nil {
			m.agreements = append(m.agreements, *c.Agreement)
		}
	case consent.TxReject, consent.TxWithdraw:
		c, err = c.Decline(by, rapid.IntRange(0, len(m.offers)+1).Draw(t, "number"), act)
	case consent.TxRevoke:
		m.revocation, _, err = m.revocation.Revoke(m.revocation.Number+1, act)
	case consent.TxError:
		m.revocation, _, err = m.revocation.MarkEnteredInError(act)
	}
	if err != nil {
		return ""
	}
	m.consent = c
	return by
}

func (m *model) check(t *rapid.T, before consent.Consent, by string, act consent.Act) {
	after := m.view()
	if by == "" {
		if before.Status != after.Status || before.Offers != after.Offers || before.Open != after.Open {
			t.Fatalf("a refusal changed %+v into %+v", before, after)
		}
		return
	}
	move, ok := consent.FindMove(before.Status, by, act.Side, before.OpenBy)
	if by == consent.TxError && before.Status == consent.StatusEnteredInError {
		ok, move.To = true, before.Status
	}
	if !ok || move.To != after.Status {
		t.Fatalf("%s by the %s moved %s to %s, which is not in the table", by, act.Side, before.Status, after.Status)
	}
	for i, offer := range m.offers {
		if offer.Offer != i+1 {
			t.Fatalf("offer %d has the number %d", i+1, offer.Offer)
		}
	}
	for i, agreement := range m.agreements {
		signed := m.offers[agreement.Offer-1]
		if agreement.Version != i+1 || agreement.OfferDigest != signed.Digest() || agreement.OfferedBy == agreement.AcceptedBy {
			t.Fatalf("agreement %d: %+v", i+1, agreement)
		}
	}
	decision, _ := consent.Permits(after, xrayRecord(), use(), act.At, window)
	if decision != consent.Permit {
		return
	}
	last := m.agreements[len(m.agreements)-1]
	if last.Revocations != m.revocation.Number || m.revocation.EnteredInError || act.At+window >= last.Terms.Period.Until {
		t.Fatalf("permitted at %d outside of %+v under %+v", act.At, last, m.revocation)
	}
}
