package consent_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

const (
	window  = 30
	expiry  = 1_000_000
	patient = "Hospital1MSP/p-00000000000000000000000000000001"
	insurer = "InsurerMSP/requester"
	xray    = "r-00000000000000000000000000000001"
	given   = "c-00000000000000000000000000000001"
)

// active is a consent to version 1 for claims until the expiry.
func active() consent.Consent {
	return consent.Consent{
		Parties: consent.Parties{Consent: given, Record: xray, Custodian: "Hospital1MSP", Patient: patient, Grantee: insurer},
		Negotiation: consent.Negotiation{
			Status: consent.StatusActive, Offers: 1,
			Agreement: &consent.Agreement{Consent: given, Version: 1, Offer: 1, Decision: consent.Permit, Terms: terms()},
		},
	}
}

func terms() consent.Terms {
	return consent.Terms{
		Scope:        consent.Scope{Kind: consent.ScopeThis, Version: 1},
		Period:       consent.Period{Until: expiry},
		Purposes:     []string{"CLMATTCH", "COVERAGE"},
		Compensation: consent.CompensationNone,
	}
}

func xrayRecord() record.Record {
	return record.Record{Record: xray, Kind: record.KindImage, Custodian: "Hospital1MSP", Patient: patient, Status: record.Active, Versions: 2}
}

func use() consent.Use {
	return consent.Use{Grantee: insurer, Record: xray, Version: 1, Purpose: "COVERAGE"}
}

// The last second is the one before expiry less window.
func TestCase10ExpiryAndWindow(t *testing.T) {
	for _, c := range []struct {
		at   int64
		want consent.Decision
		code codes.Code
	}{
		{expiry - window - 1, consent.Permit, ""},
		{expiry - window, consent.Deny, "MF-CONSENT-EXPIRED"},
		{expiry, consent.Deny, "MF-CONSENT-EXPIRED"},
		{expiry + 1, consent.Deny, "MF-CONSENT-EXPIRED"},
		{1<<63 - 1, consent.Deny, "MF-CONSENT-EXPIRED"},
	} {
		if got, code := consent.Permits(active(), xrayRecord(), use(), c.at, window); got != c.want || code != c.code {
			t.Errorf("at expiry%+d: %s %s, want %s %s", c.at-expiry, got, code, c.want, c.code)
		}
	}
}

// A period with a beginning has begun once it has for certain.
func TestCase10BeginningAndWindow(t *testing.T) {
	const from = 500_000
	c := active()
	c.Agreement.Terms.Period.From = from
	if got, code := consent.Permits(c, xrayRecord(), use(), from+window-1, window); got != consent.Deny || code != "MF-CONSENT-NOT-STARTED" {
		t.Errorf("a second too early: %s %s", got, code)
	}
	if got, code := consent.Permits(c, xrayRecord(), use(), from+window, window); got != consent.Permit {
		t.Errorf("begun: %s %s", got, code)
	}
}

func TestCase13Denials(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*consent.Consent, *record.Record, *consent.Use)
		want   codes.Code
	}{
		{"permitted", func(*consent.Consent, *record.Record, *consent.Use) {}, ""},
		{"no consent", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { *c = consent.Consent{} }, "MF-CONSENT-UNKNOWN"},
		{"draft", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Status = consent.StatusDraft }, "MF-CONSENT-NOT-ACTIVE"},
		{"proposed", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Status = consent.StatusProposed }, "MF-CONSENT-NOT-ACTIVE"},
		{"rejected", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Status = consent.StatusRejected }, "MF-CONSENT-NOT-ACTIVE"},
		{"inactive", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Status = consent.StatusInactive }, "MF-CONSENT-NOT-ACTIVE"},
		{"revoked", func(c *consent.Consent, _ *record.Record, _ *consent.Use) {
			c.Status, c.Reason = consent.StatusInactive, consent.ReasonRevoked
		}, "MF-CONSENT-REVOKED"},
		{"expired", func(c *consent.Consent, _ *record.Record, _ *consent.Use) {
			c.Status, c.Reason = consent.StatusInactive, consent.ReasonExpired
		}, "MF-CONSENT-EXPIRED"},
		{"entered in error", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Status = consent.StatusEnteredInError }, "MF-CONSENT-ENTERED-IN-ERROR"},
		{"a status of no table", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Status = "ACTIVE" }, "MF-CONSENT-NOT-ACTIVE"},
		{"no agreement", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Agreement = nil }, "MF-CONSENT-NO-DECISION"},
		{"missing decision", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Agreement.Decision = "" }, "MF-CONSENT-NO-DECISION"},
		{"decision to deny", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Agreement.Decision = consent.Deny }, "MF-CONSENT-NO-DECISION"},
		{"agreed before a revocation", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Revocations = 1 }, "MF-CONSENT-REVOKED"},
		{"other grantee", func(_ *consent.Consent, _ *record.Record, u *consent.Use) { u.Grantee = "ForeignLabMSP/requester" }, "MF-CONSENT-OTHER-GRANTEE"},
		{"no grantee", func(c *consent.Consent, _ *record.Record, u *consent.Use) { c.Grantee, u.Grantee = "", "" }, "MF-CONSENT-OTHER-GRANTEE"},
		{"other record", func(_ *consent.Consent, r *record.Record, u *consent.Use) {
			r.Record, u.Record = "r-00000000000000000000000000000002", "r-00000000000000000000000000000002"
		}, "MF-CONSENT-OTHER-RECORD"},
		{"record unknown", func(_ *consent.Consent, r *record.Record, _ *consent.Use) { *r = record.Record{} }, "MF-CONSENT-OTHER-RECORD"},
		{"other purpose", func(_ *consent.Consent, _ *record.Record, u *consent.Use) { u.Purpose = "HRESCH" }, "MF-CONSENT-OTHER-PURPOSE"},
		{"no purpose", func(c *consent.Consent, _ *record.Record, u *consent.Use) {
			c.Agreement.Terms.Purposes, u.Purpose = []string{""}, ""
		}, "MF-CONSENT-OTHER-PURPOSE"},
		{"later version than granted", func(_ *consent.Consent, _ *record.Record, u *consent.Use) { u.Version = 2 }, "MF-CONSENT-OUT-OF-SCOPE"},
		{"version 0", func(c *consent.Consent, _ *record.Record, u *consent.Use) {
			c.Agreement.Terms.Scope.Version, u.Version = 0, 0
		}, "MF-CONSENT-OUT-OF-SCOPE"},
		{"scope of no kind", func(c *consent.Consent, _ *record.Record, _ *consent.Use) { c.Agreement.Terms.Scope.Kind = "" }, "MF-CONSENT-OUT-OF-SCOPE"},
		{"version that is not there yet", func(c *consent.Consent, _ *record.Record, u *consent.Use) {
			c.Agreement.Terms.Scope, u.Version = consent.Scope{Kind: consent.ScopeAllFuture}, 3
		}, "MF-VERSION-UNKNOWN"},
		{"deprecated record goes on", func(_ *consent.Consent, r *record.Record, _ *consent.Use) { r.Status = record.Deprecated }, ""},
		{"record being erased", func(_ *consent.Consent, r *record.Record, _ *consent.Use) { r.Status = record.Erasing }, "MF-RECORD-ERASED"},
		{"record of no status", func(_ *consent.Consent, r *record.Record, _ *consent.Use) { r.Status = "" }, "MF-RECORD-ERASED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, what, how := active(), xrayRecord(), use()
			c.change(&who, &what, &how)
			decision, code := consent.Permits(who, what, how, expiry/2, window)
			if code != c.want || (decision == consent.Permit) != (c.want == "") {
				t.Errorf("%s %q, want code %q", decision, code, c.want)
			}
		})
	}
}

// oraclePermits is Permits as a layman would write it: every condition in a row,
// no order, no codes.
func oraclePermits(c consent.Consent, r record.Record, u consent.Use, at, window int64) bool {
	if c.Agreement == nil {
		return false
	}
	a := c.Agreement
	versions := map[int]bool{}
	for v := 1; v <= r.Versions; v++ {
		switch {
		case a.Terms.Scope.Kind == "this" && v == a.Terms.Scope.Version,
			a.Terms.Scope.Kind == "up-to" && v <= a.Terms.Scope.Version,
			a.Terms.Scope.Kind == "all-future":
			versions[v] = true
		}
	}
	earliest, latest := at-window, at+window // where the real time may be
	return c.Status == "active" && a.Decision == "permit" && a.Revocations == c.Revocations &&
		c.Consent != "" && c.Grantee != "" && c.Grantee == u.Grantee &&
		c.Record == u.Record && r.Record == u.Record && u.Record != "" &&
		(r.Status == "active" || r.Status == "deprecated") &&
		latest < a.Terms.Period.Until && (a.Terms.Period.From == 0 || earliest >= a.Terms.Period.From) &&
		u.Purpose != "" && slices.Contains(a.Terms.Purposes, u.Purpose) && versions[u.Version]
}

// change changes one thing about a use that would be permitted, often to
// something that is permitted still.
func change(t *rapid.T, c *consent.Consent, r *record.Record, u *consent.Use, at *int64) {
	a := c.Agreement
	if a == nil {
		a = &consent.Agreement{}
	}
	switch rapid.IntRange(0, 12).Draw(t, "what") {
	case 0:
		c.Status = rapid.SampledFrom([]consent.Status{"", "draft", "proposed", "active", "rejected", "inactive", "entered-in-error"}).Draw(t, "status")
	case 1:
		c.Agreement = nil
	case 2:
		a.Decision = rapid.SampledFrom([]consent.Decision{"", consent.Deny, consent.Permit}).Draw(t, "decision")
	case 3:
		a.Terms.Scope.Kind = rapid.SampledFrom([]consent.ScopeKind{"this", "up-to", "all-future", ""}).Draw(t, "kind")
	case 4:
		a.Terms.Scope.Version = rapid.IntRange(0, 4).Draw(t, "scope")
	case 5:
		a.Terms.Period.From = *at + rapid.Int64Range(-window-2, window+2).Draw(t, "from")
	case 6:
		a.Terms.Period.Until = *at + rapid.Int64Range(-window-2, window+2).Draw(t, "until")
	case 7:
		a.Terms.Purposes = rapid.SampledFrom([][]string{{"COVERAGE"}, {"COVERAGE", "HRESCH"}, {"HRESCH"}, {""}, nil}).Draw(t, "purposes")
	case 8:
		u.Purpose = rapid.SampledFrom([]string{"", "COVERAGE", "CLMATTCH", "HRESCH"}).Draw(t, "purpose")
	case 9:
		c.Revocations = rapid.IntRange(0, 1).Draw(t, "revocations")
	case 10:
		u.Grantee = rapid.SampledFrom([]string{"", "ForeignLabMSP/requester", insurer}).Draw(t, "grantee")
		u.Record = rapid.SampledFrom([]string{"", xray, "r-00000000000000000000000000000002"}).Draw(t, "record")
	case 11:
		r.Status = rapid.SampledFrom([]record.Status{"active", "deprecated", "erasing", "erased", ""}).Draw(t, "record status")
		r.Versions = rapid.IntRange(0, 5).Draw(t, "versions")
	case 12:
		u.Version = rapid.IntRange(-1, 6).Draw(t, "version")
	}
}

func TestPermitsEqualsOracle(t *testing.T) {
	permits := 0
	rapid.Check(t, func(t *rapid.T) {
		c, r, u, at := active(), xrayRecord(), use(), int64(expiry/2)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			change(t, &c, &r, &u, &at)
		}
		decision, code := consent.Permits(c, r, u, at, window)
		if want := oraclePermits(c, r, u, at, window); (decision == consent.Permit) != want || (code == "") != want {
			t.Fatalf("%s %q, the oracle says %v: %+v %+v %+v at %d", decision, code, want, c, r, u, at)
		}
		if decision == consent.Permit {
			permits++
		}
	})
	t.Logf("%d permits", permits)
	if permits == 0 {
		t.Error("the property never saw a permit")
	}
}
