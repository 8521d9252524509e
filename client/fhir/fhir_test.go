package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

// states draws a consent in any state, with its offers and agreements.
func states() *rapid.Generator[consent.State] {
	return rapid.Custom(func(t *rapid.T) consent.State {
		hexes := rapid.StringMatching(`[0-9a-f]{32}`)
		p := consent.Parties{
			Consent: "c-" + hexes.Draw(t, "consent"), Record: "r-" + hexes.Draw(t, "record"), Custodian: "Hospital1MSP",
			Patient: "Hospital1MSP/p-" + hexes.Draw(t, "patient"),
			Grantee: "InsurerMSP/" + rapid.StringMatching(`[a-z<&"]{1,8}`).Draw(t, "grantee"), RequestedAt: 1_700_000_000,
		}
		s := consent.State{Consent: consent.Consent{Parties: p}}
		n := &s.Consent.Negotiation
		n.Status = rapid.SampledFrom([]consent.Status{
			consent.StatusProposed, consent.StatusActive, consent.StatusRejected, consent.StatusInactive, consent.StatusEnteredInError,
		}).Draw(t, "status")
		n.ChangedAt, n.ChangedBy = 1_700_000_100, p.Patient
		n.Offers = rapid.IntRange(1, 3).Draw(t, "offers")
		for number := 1; number <= n.Offers; number++ {
			s.Offers = append(s.Offers, offers(p, number).Draw(t, "offer"))
		}
		if n.Status == consent.StatusActive || n.Status == consent.StatusInactive && rapid.Bool().Draw(t, "agreed") {
			last := s.Offers[n.Offers-1]
			n.Agreement = &consent.Agreement{
				Consent: p.Consent, Version: 1, Offer: last.Offer, OfferDigest: last.Digest(), Decision: consent.Permit,
				Terms: last.Terms, OfferedBy: last.By, AcceptedBy: p.Patient, AcceptedAt: 1_700_000_050,
			}
			s.Agreements = []consent.Agreement{*n.Agreement}
		}
		if n.Status == consent.StatusInactive {
			n.Reason = rapid.SampledFrom([]consent.Reason{consent.ReasonRevoked, consent.ReasonExpired, consent.ReasonWithdrawn}).Draw(t, "reason")
		}
		if n.Status == consent.StatusProposed {
			n.Open, n.OpenBy = n.Offers, consent.SideGrantee
		}
		return s
	})
}

func offers(p consent.Parties, number int) *rapid.Generator[consent.Offer] {
	return rapid.Custom(func(t *rapid.T) consent.Offer {
		scope := consent.Scope{Kind: rapid.SampledFrom([]consent.ScopeKind{consent.ScopeThis, consent.ScopeUpTo, consent.ScopeAllFuture}).Draw(t, "scope")}
		if scope.Kind != consent.ScopeAllFuture {
			scope.Version = rapid.IntRange(1, record.MaxVersions).Draw(t, "version")
		}
		purposes := rapid.SliceOfNDistinct(rapid.SampledFrom(consent.Purposes()), 1, 3, rapid.ID).Draw(t, "purposes")
		slices.Sort(purposes)
		return consent.Offer{
			Consent: p.Consent, Record: p.Record, Offer: number, Side: consent.SideGrantee, By: p.Grantee,
			Terms: consent.Terms{
				Scope:    scope,
				Period:   consent.Period{From: rapid.SampledFrom([]int64{0, 1_700_000_060}).Draw(t, "from"), Until: rapid.Int64Range(1_700_001_000, 1_900_000_000).Draw(t, "until")},
				Purposes: purposes, Compensation: rapid.SampledFrom([]consent.Compensation{"none", "money", "care"}).Draw(t, "compensation"),
			},
			Expires: rapid.SampledFrom([]int64{0, 1_700_000_900}).Draw(t, "expires"), MadeAt: 1_700_000_000 + int64(number),
		}
	})
}

// TestAnExportIsValidAndSaysTheTerms exports any consent in both releases: the
// export is valid, and reading it gives parties, record and terms back.
func TestAnExportIsValidAndSaysTheTerms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := states().Draw(t, "state")
		for _, release := range Releases() {
			text, err := Export(s, release)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Import(text, release)
			if err != nil {
				t.Fatal(err)
			}
			want := stated(s)
			if want.Period.From == 0 {
				want.Period.From = acceptedAt(s)
			}
			if fmt.Sprint(got.Terms) != fmt.Sprint(want) || got.Record != s.Consent.Record || got.Consent != s.Consent.Consent {
				t.Fatalf("%s: terms %v of %s became %v of %s", release, want, s.Consent.Record, got.Terms, got.Record)
			}
			if got.Grantor.ID != s.Consent.Patient || got.Grantee.ID != s.Consent.Grantee || got.Controller.ID != s.Consent.Custodian || !got.Grantee.Own {
				t.Fatalf("%s: parties became %v, %v, %v", release, got.Grantor, got.Grantee, got.Controller)
			}
			if release == R4 && got.Status != s.Consent.Status {
				t.Fatalf("status %s became %s", s.Consent.Status, got.Status)
			}
			if got.Decision != consent.Permit {
				t.Fatalf("%s: the rule was not understood whole: %v, missing %v", release, got.Unmapped, got.Missing)
			}
			everyLeafHasItsFate(t, text, got)
		}
	})
}

type reporter interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
}

// everyLeafHasItsFate counts the leaves of a resource on its own and asks that
// each is mapped or unmapped once, with a word on it.
func everyLeafHasItsFate(t reporter, text []byte, got *Imported) {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range slices.Concat(got.Mapped, got.Unmapped) {
		if seen[f.Path] || f.To == "" == (f.Why == "") || !strings.HasPrefix(f.Path, "Consent.") {
			t.Errorf("%+v is said twice or badly", f)
		}
		seen[f.Path] = true
	}
	if want := countLeaves(value); len(seen) != want {
		t.Errorf("the resource has %d leaves, %d have a fate", want, len(seen))
	}
}

func countLeaves(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		for _, item := range v {
			n += countLeaves(item)
		}
	case []any:
		for _, item := range v {
			n += countLeaves(item)
		}
	case nil:
	default:
		return 1
	}
	return n
}

// TestTheR4ExamplesOfHL7 imports the twelve example Consents of the
// specification. None of them permits anything on medfed's ledger: all leave the
// record open, and most permit by default.
func TestTheR4ExamplesOfHL7(t *testing.T) {
	folder := os.Getenv("MEDFED_FHIR")
	if folder == "" {
		t.Skip("MEDFED_FHIR names no folder with hl7-r4-examples")
	}
	files, err := filepath.Glob(filepath.Join(folder, "hl7-r4-examples", "Consent-*.json"))
	if err != nil || len(files) != 12 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Consent-consent-example-"), ".json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Import(text, R4)
			if err != nil {
				t.Fatal(err)
			}
			everyLeafHasItsFate(t, text, got)
			if got.Decision != consent.Deny || got.Status != consent.StatusActive || got.Controller.ID != "Organization/f001" || !slices.Contains(got.Missing, "record") {
				t.Errorf("it became %+v", got)
			}
			for path, to := range exampleFields[name] {
				f := fieldAt(got, path)
				if f.To != to && !strings.Contains(f.Why, to) {
					t.Errorf("%s went to %q, %q; want %q", path, f.To, f.Why, to)
				}
			}
			for _, f := range got.Unmapped {
				if strings.Contains(f.Why, "has no field") {
					t.Errorf("%s is not said why", f.Path)
				}
			}
		})
	}
}

func fieldAt(i *Imported, path string) Field {
	for _, f := range slices.Concat(i.Mapped, i.Unmapped) {
		if f.Path == path {
			return f
		}
	}
	return Field{}
}

// exampleFields are places of the examples and the field they go to, or a word of
// why they go nowhere.
var exampleFields = map[string]map[string]string{
	"Emergency": {
		"Consent.provision.purpose[0].code":              "terms.purposes",
		"Consent.provision.provision[0].type":            "one rule",
		"Consent.policyRule.coding[0].code":              "implied",
		"Consent.category[0].coding[0].code":             "59284-0",
		"Consent.source.ofType(Attachment).title":        "no document",
		"Consent.provision.actor[0].role.coding[0].code": "implied",
	},
	"basic":       {"Consent.provision.period.start": "terms.period.from", "Consent.policyRule.coding[0].code": "denies"},
	"grantor":     {"Consent.provision.actor[1].reference.reference": "grantee", "Consent.provision.actor[1].reference.display": "grantee"},
	"notThem":     {"Consent.provision.action[0].coding[0].code": "implied", "Consent.provision.action[1].coding[0].code": "access only"},
	"notThis":     {"Consent.provision.data[0].reference.reference": "one record"},
	"notTime":     {"Consent.provision.period.end": "terms.period.until"},
	"pkb":         {"Consent.provision.securityLabel[0].code": "name a record", "Consent.provision.provision[10].securityLabel[0].code": "one rule"},
	"signature":   {"Consent.performer[0].reference": "grantor", "Consent.identifier[0].value": "opaque", "Consent.dateTime": "signed", "Consent.provision.provision[0].actor[0].role.coding[0].code": "no other actor"},
	"smartonfhir": {"Consent.performer[0].reference": "only the patient", "Consent.provision.provision[0].class[0].code": "name a record"},
}

// sample is a consent that is always the same.
func sample() consent.State { return states().Example(7) }

// TestValidateRefusesWhatTheSpecificationRefuses damages a valid export in one
// place each.
func TestValidateRefusesWhatTheSpecificationRefuses(t *testing.T) {
	for _, c := range []struct {
		release  Release
		what     string
		old, new string
		path     string
	}{
		{R4, "an unknown element", `"status": "`, `"stauts": "`, "Consent.text.stauts"},
		{R4, "an unknown code", `"meaning": "instance"`, `"meaning": "example"`, "Consent.provision.provision[0].data[0].meaning"},
		{R4, "a wrong target", `"type": "Patient"`, `"type": "Device"`, "Consent.patient"},
		{R4, "no policy", `"policyRule"`, `"policy_Rule"`, "Consent"},
		{R4, "no patient", `"patient": {`, `"_patient": {`, "Consent"},
		{R4, "a wrong type", `"dateTime": "20`, `"dateTime": "2O`, "Consent.dateTime"},
		{R5, "an R4 element", `"grantor": [`, `"performer": [`, "Consent.performer"},
		{R5, "a date with a time", `"date": "2023-11-14"`, `"date": "2023-11-14T00:00:00Z"`, "Consent.date"},
		{R5, "another decision", `"decision": "deny"`, `"decision": "maybe"`, "Consent.decision"},
		{R5, "active content", `<p>`, `<script/><p>`, "Consent.text.div"},
		{R5, "an element twice", `"decision": "deny"`, `"decision": "deny", "decision": "permit"`, "Consent"},
	} {
		text, err := Export(sample(), c.release)
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Replace(text, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(text, damaged) {
			t.Fatalf("%s: nothing was damaged in\n%s", c.what, text)
		}
		problems := Validate(damaged, c.release)
		if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Path == c.path }) {
			t.Errorf("%s: %v, want a problem at %s", c.what, problems, c.path)
		}
		if _, err := Import(damaged, c.release); err == nil || !strings.HasPrefix(err.Error(), "MF-FHIR-INVALID: ") {
			t.Errorf("%s: import says %v", c.what, err)
		}
	}
}

// TestValidateHoldsEveryCardinality takes away each required element, doubles
// each single one and makes a single value of each list, wherever the export has
// them.
func TestValidateHoldsEveryCardinality(t *testing.T) {
	for _, release := range Releases() {
		text, err := Export(sample(), release)
		if err != nil {
			t.Fatal(err)
		}
		changes, root := 0, mustDecode(t, text)
		eachObject(tablesOf(release), "Consent", root, func(kind string, object map[string]any) {
			for _, e := range tablesOf(release)[kind] {
				value, present := object[e.name]
				if !present {
					continue
				}
				changes++
				if object[e.name] = []any{value}; e.many {
					object[e.name] = value.([]any)[0]
				}
				if len(Validate(encode(t, root), release)) == 0 {
					t.Errorf("%s: %s.%s may be wrapped", release, kind, e.name)
				}
				delete(object, e.name)
				if e.required && len(Validate(encode(t, root), release)) == 0 {
					t.Errorf("%s: %s.%s may be absent", release, kind, e.name)
				}
				object[e.name] = value
			}
		})
		if changes < 50 {
			t.Errorf("only %d elements were tried", changes)
		}
	}
}

func eachObject(t tables, kind string, object map[string]any, visit func(string, map[string]any)) {
	for _, e := range t[kind] {
		list, isList := object[e.name].([]any)
		if !isList {
			list = []any{object[e.name]}
		}
		for _, item := range list {
			if child, ok := item.(map[string]any); ok && t[e.kind] != nil {
				eachObject(t, e.kind, child, visit)
			}
		}
	}
	visit(kind, object)
}

func mustDecode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	root, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAnythingButAPlainPermitIsDenied changes an export so that it means less or
// something else, validly: the import must not say permit.
func TestAnythingButAPlainPermitIsDenied(t *testing.T) {
	for _, c := range []struct {
		release  Release
		old, new string
	}{
		{R4, `"OPTOUT"`, `"OPTIN"`},
		{R4, `"type": "permit"`, `"type": "deny"`},
		{R4, `"type": "permit"`, `"type": "permit", "securityLabel": [{"code": "PSY"}]`},
		{R4, `"code": "access"`, `"code": "correct"`},
		{R4, `"code": "IRCP"`, `"code": "AUT"`},
		{R4, `"scope": {`, `"modifierExtension": [{"url": "https://example.org/not", "valueBoolean": true}], "scope": {`},
		{R4, `"scope": {`, `"implicitRules": "https://example.org/rules", "scope": {`},
		{R5, `"decision": "deny"`, `"decision": "permit"`},
		{R5, `"purpose": [`, `"provision": [{"purpose": [{"code": "HMARKT"}]}], "purpose": [`},
		{R5, `"meaning": "instance"`, `"meaning": "related"`},
	} {
		text, err := Export(sample(), c.release)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(text, []byte(c.old), []byte(c.new), 1)
		got, err := Import(changed, c.release)
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		if bytes.Equal(text, changed) || got.Decision != consent.Deny {
			t.Errorf("%s: the decision is %s", c.new, got.Decision)
		}
		everyLeafHasItsFate(t, changed, got)
	}
}

func TestExportNeedsAReleaseAndAnOffer(t *testing.T) {
	if _, err := Export(sample(), "r3"); err == nil || !strings.HasPrefix(err.Error(), "MF-FHIR-RELEASE: ") {
		t.Errorf("release r3: %v", err)
	}
	if _, err := Export(consent.State{}, R4); err == nil || !strings.HasPrefix(err.Error(), "MF-FHIR-EXPORT: ") {
		t.Errorf("no offer: %v", err)
	}
	if _, err := Import([]byte("{}"), "r3"); err == nil || !strings.HasPrefix(err.Error(), "MF-FHIR-RELEASE: ") {
		t.Errorf("release r3: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	for _, release := range Releases() {
		text, err := Export(sample(), release)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, string(release))
	}
	f.Add([]byte(`{"resourceType":"Consent"}`), "r4")
	f.Fuzz(func(t *testing.T, text []byte, release string) {
		if got, err := Import(text, Release(release)); err == nil && got.Decision == consent.Permit && len(got.Missing) > 0 {
			t.Errorf("it permits and misses %v", got.Missing)
		}
	})
}
