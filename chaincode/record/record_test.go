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
func TestCheckStaged(t *testing.T) {
	const canary = "CANARY"
	asked := record.VersionRequest{Record: xray, Version: 1}
	whole := record.SealedVersion{Record: xray, Version: 1, Sealed: base64.StdEncoding.EncodeToString([]byte("sealed"))}
	if err := record.CheckStaged(whole, asked); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*record.SealedVersion){
		"record":        func(v *record.SealedVersion) { v.Record = canary },
		"other record":  func(v *record.SealedVersion) { v.Record = "r-" + strings.Repeat("2", 32) },
		"version":       func(v *record.SealedVersion) { v.Version = 0 },
		"other version": func(v *record.SealedVersion) { v.Version = 2 },
		"plain":         func(v *record.SealedVersion) { v.Sealed = canary + "!" },
		"nothing":       func(v *record.SealedVersion) { v.Sealed = "" },
		"newlines":      func(v *record.SealedVersion) { v.Sealed = "AAAA\nAAAA" },
		"huge":          func(v *record.SealedVersion) { v.Sealed = strings.Repeat("AAAA", record.MaxSealed) },
	} {
		v := whole
		change(&v)
		if err := record.CheckStaged(v, asked); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContentDigest(t *testing.T) {
	of := record.ContentDigest(hex64("1"), aCID, hex64("2"))
	if err := record.CheckContentDigest(of); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{record.ContentDigest(hex64("3"), aCID, hex64("2")), record.ContentDigest(hex64("1"), aCID+"a", hex64("2")), record.ContentDigest(hex64("1"), aCID, hex64("3"))} {
		if other == of {
			t.Error("another content has the same digest")
		}
	}
	for _, none := range []string{"", "CANARY", strings.ToUpper(of)} {
		wantCode(t, record.CheckContentDigest(none), "MF-RECORD-DIGEST")
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
