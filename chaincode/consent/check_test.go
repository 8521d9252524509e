package consent_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

func hex64(digit string) string { return strings.Repeat(digit, 64) }

func TestCheckTerms(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*consent.Terms)
		want   codes.Code
	}{
		{"whole", func(*consent.Terms) {}, ""},
		{"up to a later version", func(t *consent.Terms) { t.Scope = consent.Scope{Kind: "up-to", Version: 9} }, ""},
		{"all future", func(t *consent.Terms) { t.Scope = consent.Scope{Kind: "all-future"} }, ""},
		{"all future of a version", func(t *consent.Terms) { t.Scope = consent.Scope{Kind: "all-future", Version: 1} }, "MF-TERMS-SCOPE"},
		{"this of none", func(t *consent.Terms) { t.Scope = consent.Scope{Kind: "this"} }, "MF-TERMS-SCOPE"},
		{"scope of no kind", func(t *consent.Terms) { t.Scope = consent.Scope{Kind: "THIS", Version: 1} }, "MF-TERMS-SCOPE"},
		{"reversed", func(t *consent.Terms) { t.Period = consent.Period{From: 9000, Until: 9000} }, "MF-TERMS-PERIOD"},
		{"before all time", func(t *consent.Terms) { t.Period = consent.Period{From: -1, Until: 9000} }, "MF-TERMS-PERIOD"},
		{"over", func(t *consent.Terms) { t.Period.Until = 100 + window }, "MF-TERMS-PERIOD"},
		{"just not over", func(t *consent.Terms) { t.Period.Until = 101 + window }, ""},
		{"for ever", func(t *consent.Terms) { t.Period.Until = 1<<63 - 1 }, "MF-TERMS-PERIOD"},
		{"no purpose", func(t *consent.Terms) { t.Purposes = nil }, "MF-TERMS-PURPOSE"},
		{"twice one purpose", func(t *consent.Terms) { t.Purposes = []string{"HRESCH", "HRESCH"} }, "MF-TERMS-PURPOSE"},
		{"out of order", func(t *consent.Terms) { t.Purposes = []string{"TREAT", "HRESCH"} }, "MF-TERMS-PURPOSE"},
		{"a purpose of one's own", func(t *consent.Terms) { t.Purposes = []string{"CURIOSITY"} }, "MF-TERMS-PURPOSE"},
		{"compensation of no kind", func(t *consent.Terms) { t.Compensation = "" }, "MF-TERMS-COMPENSATION"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := terms()
			c.change(&changed)
			err := consent.CheckTerms(changed, 100, window)
			if c.want == "" && err == nil {
				return
			}
			wantCode(t, err, c.want)
		})
	}
}

func TestCheckOfferPrivate(t *testing.T) {
	money := terms()
	money.Compensation = consent.CompensationMoney
	wantCode(t, consent.CheckOffer(money, "", 0, byGrantee(100)), "MF-OFFER-PRIVATE")
	wantCode(t, consent.CheckOffer(money, "abc", 0, byGrantee(100)), "MF-OFFER-PRIVATE")
	wantCode(t, consent.CheckOffer(terms(), "", -1, byGrantee(100)), "MF-OFFER-EXPIRED")
	if err := consent.CheckOffer(money, hex64("a"), 0, byGrantee(100)); err != nil {
		t.Error(err)
	}
}

func TestCheckPrivateTerms(t *testing.T) {
	whole := func(kind consent.Compensation) consent.PrivateTerms {
		p := consent.PrivateTerms{Consent: given, Offer: 1}
		switch kind {
		case consent.CompensationMoney:
			p.Amount, p.Currency = 25_000, "EUR"
		case consent.CompensationCare:
			p.Care = "a place in the trial"
		}
		return p
	}
	kinds := []consent.Compensation{consent.CompensationNone, consent.CompensationMoney, consent.CompensationCare}
	for _, has := range kinds {
		for _, needs := range kinds {
			if err := consent.CheckPrivateTerms(whole(has), needs); (err == nil) != (has == needs) {
				t.Errorf("%s where %s is needed: %v", has, needs, err)
			}
		}
	}
	for name, change := range map[string]func(*consent.PrivateTerms){
		"negative":      func(p *consent.PrivateTerms) { p.Amount = -1 },
		"currency":      func(p *consent.PrivateTerms) { p.Currency = "eur" },
		"long note":     func(p *consent.PrivateTerms) { p.Note = strings.Repeat("x", consent.MaxText+1) },
		"control code":  func(p *consent.PrivateTerms) { p.Note = "a\x00b" },
		"invalid UTF-8": func(p *consent.PrivateTerms) { p.Note = "\xff" },
	} {
		p := whole(consent.CompensationMoney)
		change(&p)
		if err := consent.CheckPrivateTerms(p, consent.CompensationMoney); codes.Of(err) != "MF-PRIVATE-INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantCode(t, consent.CheckPrivateTerms(whole("none"), "gift"), "MF-PRIVATE-INVALID")
}

func TestPurposes(t *testing.T) {
	codes := consent.Purposes()
	if len(codes) != 59 || !slices.IsSorted(codes) || len(slices.Compact(codes)) != 59 {
		t.Errorf("%d codes", len(codes))
	}
	if consent.IsPurpose("PurposeOfUse") || consent.IsPurpose("") || !consent.IsPurpose("TREAT") {
		t.Error("a code is taken for another")
	}
}

// Case 6: an identifier is refused unless it is exactly what its kind is.
func TestCase06OpaqueIdentifiers(t *testing.T) {
	digits := strings.Repeat("0f", 16)
	checks := map[string]func(string) error{"r-": record.CheckRecordID, "c-": consent.CheckConsentID, "a-": consent.CheckAccessID, "p-": record.CheckPseudonym}
	for prefix, check := range checks {
		if err := check(prefix + digits); err != nil {
			t.Error(err)
		}
		for other := range checks {
			if other != prefix && check(other+digits) == nil {
				t.Errorf("%s passes for %s", other, prefix)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[rcap]-[0-9a-gA-F]{30,34}`)).Draw(t, "text")
		for prefix, check := range checks {
			rest, ok := strings.CutPrefix(text, prefix)
			want := ok && len(rest) == 32 && strings.Trim(rest, "0123456789abcdef") == ""
			if err := check(text); (err == nil) != want {
				t.Fatalf("%q as %s: %v", text, prefix, err)
			}
		}
	})
}
