package record_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/record"
)

const (
	xray = "r-00000000000000000000000000000001"
	aCID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
)

func hex64(digit string) string { return strings.Repeat(digit, 64) }

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

// Refusals of private input say nothing of it.
func TestCheckPrivateVersion(t *testing.T) {
	const canary = "CANARY"
	wrap := base64.StdEncoding.EncodeToString([]byte("wrapped"))
	whole := record.PrivateVersion{
		Record: xray, Version: 1, Salt: hex64("1"), CID: aCID, PlainDigest: hex64("2"), ContentType: "image/png",
		PatientIdentifier: canary, CustodianWrap: wrap, PatientWrap: wrap,
	}
	if err := record.CheckPrivateVersion(whole); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*record.PrivateVersion){
		"record":     func(v *record.PrivateVersion) { v.Record = canary },
		"version":    func(v *record.PrivateVersion) { v.Version = 0 },
		"salt":       func(v *record.PrivateVersion) { v.Salt = canary },
		"digest":     func(v *record.PrivateVersion) { v.PlainDigest = canary },
		"cid":        func(v *record.PrivateVersion) { v.CID = canary },
		"identifier": func(v *record.PrivateVersion) { v.PatientIdentifier = strings.Repeat(canary, 100) },
		"nobody":     func(v *record.PrivateVersion) { v.PatientIdentifier = "" },
		"type":       func(v *record.PrivateVersion) { v.ContentType = canary + "\n" },
		"wrap":       func(v *record.PrivateVersion) { v.CustodianWrap = canary + "!" },
		"no wrap":    func(v *record.PrivateVersion) { v.PatientWrap = "" },
		"newlines":   func(v *record.PrivateVersion) { v.PatientWrap = "AAAA\nAAAA" },
		"huge wrap":  func(v *record.PrivateVersion) { v.PatientWrap = strings.Repeat("AAAA", record.MaxWrap) },
	} {
		v := whole
		change(&v)
		if err := record.CheckPrivateVersion(v); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	whole := record.Version{Record: xray, Version: 1, Digest: hex64("a"), Size: 1, Holders: []string{"Hospital1MSP", "ResearchCentreMSP"}}
	if err := record.CheckVersion(whole, "Hospital1MSP"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, record.CheckVersion(whole, "Hospital2MSP"), "MF-RECORD-HOLDERS")
	for _, c := range []struct {
		change func(*record.Version)
		want   codes.Code
	}{
		{func(v *record.Version) { v.Digest = strings.ToUpper(v.Digest) }, "MF-RECORD-DIGEST"},
		{func(v *record.Version) { v.Size = 0 }, "MF-RECORD-SIZE"},
		{func(v *record.Version) { v.Holders = v.Holders[:1] }, "MF-RECORD-HOLDERS"},
		{func(v *record.Version) { v.Holders = []string{"Hospital1MSP", "Hospital1MSP"} }, "MF-RECORD-HOLDERS"},
		{func(v *record.Version) { v.Holders = []string{"ResearchCentreMSP", "Hospital1MSP"} }, "MF-RECORD-HOLDERS"},
	} {
		v := whole
		c.change(&v)
		wantCode(t, record.CheckVersion(v, "Hospital1MSP"), c.want)
	}
}

func TestKindsAreThoseOfTable1(t *testing.T) {
	for _, kind := range []record.Kind{"ehr", "emr", "research", "biomedical", "neuroscience", "genome", "image"} {
		if err := record.CheckKind(kind); err != nil {
			t.Error(err)
		}
	}
	wantCode(t, record.CheckKind("x-ray"), "MF-RECORD-KIND")
}

func TestHoldersAndMissing(t *testing.T) {
	versions := []record.Version{{Holders: []string{"B", "C"}}, {Holders: []string{"A", "B"}}}
	if got := record.Holders(versions); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Error(got)
	}
	named := record.ErasureMembers{Record: "r", Members: []string{"C", "D"}}
	if got := named.With(record.Holders(versions)); !slices.Equal(got.Members, []string{"A", "B", "C", "D"}) || got.Record != "r" {
		t.Error(got)
	}
	if got := record.MissingAttestations([]string{"A", "B", "C"}, []record.Attestation{{Member: "B"}, {Member: "D"}}); !slices.Equal(got, []string{"A", "C"}) {
		t.Error(got)
	}
}
