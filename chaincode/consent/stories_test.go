package consent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
)

// TestStories plays the stories in testdata: each line is a transaction with who sends
// it and when, and below it stands where the consent is after it, or why it was
// refused. A use is decided by the rules for the grantee, without leaving a trace. Run
// with -rewrite to write anew what comes of the lines.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			text, err := s.tell(t, d)
			if err != nil {
				return err.Error() + "\n"
			}
			return text
		})
	})
}

// story is one consent on one record, as a ledger: what the rules don't read of it
// here is nil and would panic.
type story struct {
	consent.Ledger
	record      record.Record
	parties     *consent.Parties
	negotiation consent.Negotiation
	revocation  consent.Revocation
	offers      map[int]consent.Offer
	agreements  []consent.Agreement
	held        map[int]string // by offer: digest of the private terms at the custodian
}

func (s *story) Record(string) (record.Record, bool, error) { return s.record, true, nil }

func (s *story) Parties(string) (consent.Parties, bool, error) {
	if s.parties == nil {
		return consent.Parties{}, false, nil
	}
	return *s.parties, true, nil
}

func (s *story) Negotiation(string) (consent.Negotiation, bool, error) {
	return s.negotiation, s.parties != nil, nil
}

func (s *story) Revocation(string) (consent.Revocation, bool, error) {
	return s.revocation, s.revocation != consent.Revocation{}, nil
}

func (s *story) Offer(_ string, number int) (consent.Offer, bool, error) {
	offer, found := s.offers[number]
	return offer, found, nil
}

func (s *story) HeldTerms(_, _ string, offer int) (string, error) { return s.held[offer], nil }

func (s *story) tell(t *testing.T, d *datadriven.TestData) (string, error) {
	var at int64
	d.MaybeScanArgs(t, "at", &at)
	call := consortium.Call{At: at, Window: window}
	switch who := by(t, d); who {
	case "patient":
		call.Caller = consortium.Caller{ID: patient, MSP: "Hospital1MSP", Role: consortium.RolePatient}
	case "grantee":
		call.Caller = consortium.Caller{ID: insurer, MSP: "InsurerMSP", Role: consortium.RoleRequester}
	default:
		call.Caller = consortium.Caller{ID: "InsurerMSP/" + who, MSP: "InsurerMSP", Role: consortium.RoleRequester}
	}
	switch d.Cmd {
	case "record":
		*s = story{record: xrayRecord(), offers: map[int]consent.Offer{}, held: map[int]string{}}
		d.MaybeScanArgs(t, "versions", &s.record.Versions)
		return fmt.Sprintf("record active, %d versions\n", s.record.Versions), nil
	case "record-is":
		var status string
		d.ScanArgs(t, "status", &status)
		s.record.Status = record.Status(status)
		return fmt.Sprintf("record %s, %d versions\n", s.record.Status, s.record.Versions), nil
	case "use":
		return s.use(t, d, call)
	}
	change, err := s.send(t, d, call)
	if err != nil {
		return "", err
	}
	s.keep(change)
	return s.shows(change, at), nil
}

// by is who sends a transaction: patient, grantee, or another requester's name.
func by(t *testing.T, d *datadriven.TestData) string {
	who := "patient"
	if d.Cmd == "request" {
		who = "grantee"
	}
	d.MaybeScanArgs(t, "by", &who)
	return who
}

// send calls the transaction's rule.
func (s *story) send(t *testing.T, d *datadriven.TestData, call consortium.Call) (change consent.Change, err error) {
	number := 0
	d.MaybeScanArgs(t, "offer", &number)
	d.MaybeScanArgs(t, "number", &number)
	answer := consent.AnswerRequest{Consent: given, Offer: number}
	switch d.Cmd {
	case "request":
		o := s.offer(t, d, 1)
		_, change, err = consent.Request(s, call, consent.AskRequest{Consent: given, Record: xray, Terms: o.Terms, PrivateDigest: o.PrivateDigest, Expires: o.Expires})
	case "counter":
		_, change, err = consent.Counter(s, call, s.offer(t, d, number))
	case "renew":
		_, change, err = consent.Renew(s, call, s.offer(t, d, number))
	case "hold": // what the contract does with the terms that come by transient
		if _, change, err = consent.PutTerms(s, call, answer); err == nil {
			s.held[number] = s.offers[number].PrivateDigest
		}
	case "accept":
		digest := s.offers[number].Digest()
		if d.HasArg("another") {
			digest = form.Digest("another offer")
		}
		_, change, err = consent.Accept(s, call, consent.AcceptRequest{Consent: given, Offer: number, Digest: digest})
	case "reject":
		_, change, err = consent.Reject(s, call, answer)
	case "withdraw":
		_, change, err = consent.Withdraw(s, call, answer)
	case "revoke":
		_, change, err = consent.Revoke(s, call, consent.RevokeRequest{Consent: given, Number: number})
	case "mark-entered-in-error":
		_, change, err = consent.MarkEnteredInError(s, call, consent.ConsentRequest{Consent: given})
	default:
		t.Fatalf("%s: there is no transaction %s", d.Pos, d.Cmd)
	}
	return change, err
}

// offer reads the terms of a line: version 1 for COVERAGE until 10000 where it says
// nothing else.
func (s *story) offer(t *testing.T, d *datadriven.TestData, number int) consent.OfferRequest {
	o := consent.OfferRequest{Consent: given, Offer: number, Terms: terms()}
	o.Terms.Period.Until, o.Terms.Purposes = 10_000, nil
	scope := "this"
	d.MaybeScanArgs(t, "scope", &scope)
	d.MaybeScanArgs(t, "version", &o.Terms.Scope.Version)
	o.Terms.Scope.Kind = consent.ScopeKind(scope)
	d.MaybeScanArgs(t, "from", &o.Terms.Period.From)
	d.MaybeScanArgs(t, "until", &o.Terms.Period.Until)
	d.MaybeScanArgs(t, "expires", &o.Expires)
	if d.MaybeScanArgs(t, "purpose", &o.Terms.Purposes); o.Terms.Purposes == nil {
		o.Terms.Purposes = []string{"COVERAGE"}
	}
	if d.HasArg("money") {
		o.Terms.Compensation, o.PrivateDigest = consent.CompensationMoney, form.Digest("an amount")
	}
	return o
}

// use asks the rules for one use of the consent.
func (s *story) use(t *testing.T, d *datadriven.TestData, call consortium.Call) (string, error) {
	use := consent.Use{Grantee: insurer, Record: xray, Version: 1, Purpose: "COVERAGE"}
	d.MaybeScanArgs(t, "version", &use.Version)
	d.MaybeScanArgs(t, "purpose", &use.Purpose)
	if who := by(t, d); d.HasArg("by") {
		use.Grantee = "InsurerMSP/" + who
	}
	c, _, err := consent.FindConsent(s, given)
	if err != nil && codes.Of(err) != "MF-CONSENT-UNKNOWN" {
		return "", err
	}
	decision, code := consent.Permits(c, s.record, use, call.At, call.Window)
	return strings.TrimSuffix(fmt.Sprintf("%s %s", decision, code), " ") + "\n", nil
}

// keep writes what a transaction makes, and refuses to write a second time what is
// written once.
func (s *story) keep(change consent.Change) {
	if change.Parties != nil {
		s.parties = change.Parties
	}
	if o := change.Offer; o != nil {
		if _, there := s.offers[o.Offer]; there {
			panic(fmt.Sprintf("offer %d is written twice", o.Offer))
		}
		s.offers[o.Offer] = *o
	}
	if a := change.Agreement; a != nil {
		if a.Version != len(s.agreements)+1 {
			panic(fmt.Sprintf("agreement %d follows %d", a.Version, len(s.agreements)))
		}
		s.agreements = append(s.agreements, *a)
	}
	if change.Negotiation != nil {
		s.negotiation = *change.Negotiation
	}
	if change.Revocation != nil {
		s.revocation = *change.Revocation
	}
}

// shows tells where the consent is.
func (s *story) shows(change consent.Change, at int64) string {
	assembled, revocation, err := consent.FindConsent(s, given)
	if err != nil {
		return err.Error() + "\n"
	}
	c := assembled.Seen(at, window)
	var b strings.Builder
	fmt.Fprintf(&b, "%s", c.Status)
	if c.Reason != "" {
		fmt.Fprintf(&b, ", %s", c.Reason)
	}
	if c.Open != 0 {
		fmt.Fprintf(&b, "; offer %d by the %s is open", c.Open, c.OpenBy)
	}
	if a := c.Agreement; a != nil {
		fmt.Fprintf(&b, "; version %d until %d", a.Version, a.Terms.Period.Until)
	}
	if revocation.Number > 0 {
		fmt.Fprintf(&b, "; revoked %d times", revocation.Number)
	}
	nothing := change
	nothing.Consent, nothing.Event = "", record.Event{}
	if nothing == (consent.Change{}) {
		b.WriteString("; nothing was written")
	}
	return b.String() + "\n"
}
