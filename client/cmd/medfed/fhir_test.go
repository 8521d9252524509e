package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/client/fhir"
	"github.com/medfed/medfed/client/gateway"
)

// oneConsent is a ledger that knows one consent and nothing else.
type oneConsent struct {
	ledgerClient
	state consent.State
}

func (l oneConsent) Identity() *gateway.Identity { return &gateway.Identity{} }
func (l oneConsent) Close() error                { return nil }
func (l oneConsent) Evaluate(_ context.Context, _ string, _, result any) error {
	text, err := json.Marshal(l.state)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

// agreed is a consent that is active.
func agreed() consent.State {
	parties := consent.Parties{
		Consent: "c-" + strings.Repeat("1", 32), Record: "r-" + strings.Repeat("2", 32), Custodian: "Hospital1MSP",
		Patient: "Hospital1MSP/p-" + strings.Repeat("3", 32), Grantee: "InsurerMSP/desk", RequestedAt: 1_700_000_000,
	}
	offer := consent.Offer{
		Consent: parties.Consent, Record: parties.Record, Offer: 1, Side: consent.SideGrantee, By: parties.Grantee, MadeAt: 1_700_000_000,
		Terms: consent.Terms{
			Scope: consent.Scope{Kind: consent.ScopeThis, Version: 1}, Period: consent.Period{Until: 1_800_000_000},
			Purposes: []string{"HPAYMT"}, Compensation: consent.CompensationNone,
		},
	}
	agreement := consent.Agreement{
		Consent: parties.Consent, Version: 1, Offer: 1, OfferDigest: offer.Digest(), Decision: consent.Permit, Terms: offer.Terms,
		OfferedBy: parties.Grantee, AcceptedBy: parties.Patient, AcceptedAt: 1_700_000_100,
	}
	return consent.State{
		Consent: consent.Consent{Parties: parties, Negotiation: consent.Negotiation{
			Status: consent.StatusActive, Offers: 1, Agreement: &agreement, ChangedAt: 1_700_000_100, ChangedBy: parties.Patient,
		}},
		Offers: []consent.Offer{offer}, Agreements: []consent.Agreement{agreement},
	}
}

// medfedWith runs a command line on a ledger with one consent.
func medfedWith(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := newApp(&stdout, &stderr)
	a.openLedger = func(string, string) (ledgerClient, error) { return oneConsent{state: agreed()}, nil }
	status = run(context.Background(), a, append(args, "--profile", "p", "--identity", "i"))
	return status, stdout.String(), stderr.String()
}

func TestAConsentGoesOutAndInAsFHIR(t *testing.T) {
	for _, release := range fhir.Releases() {
		status, out, errs := medfedWith(t, "consent", "export", agreed().Consent.Consent, "--fhir", string(release))
		if status != 0 || len(fhir.Validate([]byte(out), release)) > 0 {
			t.Fatalf("%s: exit status %d, said %q, printed %s", release, status, errs, out)
		}
		file := filepath.Join(t.TempDir(), "consent.json")
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, errs = medfedWith(t, "consent", "import", file, "--fhir", string(release))
		for _, want := range []string{"InsurerMSP/desk", "HPAYMT", "permit", "Consent.meta.versionId", "numbers and dates its own versions"} {
			if status != 0 || !strings.Contains(out, want) {
				t.Errorf("%s: exit status %d, said %q, no %q in %s", release, status, errs, want, out)
			}
		}
	}
}

func TestFHIRCommandsRefuseWithACode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "consent.json")
	if err := os.WriteFile(file, []byte(`{"resourceType": "Patient"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		code   string
	}{
		{[]string{"consent", "export", "c-1"}, 3, "MF-IDENTIFIER-OPAQUE"},
		{[]string{"consent", "export", agreed().Consent.Consent, "--fhir", "r3"}, 2, "MF-USAGE"},
		{[]string{"consent", "import", file}, 9, "MF-FHIR-INVALID"},
		{[]string{"consent", "import", file + ".none"}, 9, "MF-FHIR-FILE"},
		{[]string{"consent", "import", filepath.Dir(file)}, 9, "MF-FHIR-FILE"},
	} {
		status, _, errs := medfedWith(t, c.args...)
		if status != c.status || !strings.HasPrefix(errs, "medfed: "+c.code+": ") {
			t.Errorf("%v: exit status %d, said %q; want %d, %s", c.args, status, errs, c.status, c.code)
		}
	}
}
