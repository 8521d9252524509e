package collections

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write collections_config.json and README.md's table from the default consortium.yaml")

const defaultConsortium = "../test-network/consortium.yaml"

// The committed file is what the generator makes of the default consortium.
// After a change of either: go test ./collections -update
func TestCommittedFileIsGenerated(t *testing.T) {
	generated, err := JSON(load(t).Generate())
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "collections_config.json", string(generated))
}

// The page's table is what the generator makes of the default consortium.
func TestPageShowsGeneratedTable(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	between := regexp.MustCompile(`(?s)(<!-- table[^>]*-->\n).*(<!-- end of table -->)`)
	if !between.Match(page) {
		t.Fatal("README.md has lost the marks around its table")
	}
	table := load(t).Table()
	compare(t, "README.md", between.ReplaceAllString(string(page), "${1}\n"+table+"\n${2}"))
}

// Every rule of the collections, on a consortium made for it.
func TestGenerate(t *testing.T) {
	c := Consortium{
		Organisations: []Organisation{
			{"a", "AMSP", Hospital}, {"b", "BMSP", Hospital}, {"r", "RMSP", ResearchCentre},
			{"p", "PMSP", Partner}, {"x", "XMSP", Auditor},
		},
		Collections: Settings{
			Records: Setting{BlockToLive: 7},
			Grants:  Setting{BlockToLive: 9},
		},
	}
	custodian := func(name, msp string, live uint64, memberOnlyRead bool) Collection {
		return Collection{Name: name, Policy: "OR('" + msp + ".member')", BlockToLive: live, MemberOnlyRead: memberOnlyRead,
			MemberOnlyWrite: true, EndorsementPolicy: EndorsementPolicy{"OR('" + msp + ".peer')"}}
	}
	want := []Collection{
		custodian("records-AMSP", "AMSP", 7, true), custodian("grants-AMSP", "AMSP", 9, false),
		custodian("records-BMSP", "BMSP", 7, true), custodian("grants-BMSP", "BMSP", 9, false),
	}
	got := c.Generate()
	if len(got) != len(want) {
		t.Fatalf("%d collections, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("collection %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// Outsiders see no value, except a grantee its own grants.
func TestTableShowsOutsidersNoValue(t *testing.T) {
	c := load(t)
	for _, one := range c.Generate() {
		for _, o := range c.Organisations {
			outsider := !o.Kind.Member()
			if seen := sees(one, o); outsider && seen == seesValue {
				t.Errorf("%s sees the values of %s", o.Name, one.Name)
			} else if outsider && seen == seesGrant && !strings.HasPrefix(one.Name, "grants-") {
				t.Errorf("%s can ask for values of %s", o.Name, one.Name)
			}
		}
	}
}

// The peer refuses a configuration with fields it does not know.
func TestJSONHasFabricsFields(t *testing.T) {
	raw, err := JSON(load(t).Generate()[:1])
	if err != nil {
		t.Fatal(err)
	}
	var fields []map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name", "policy", "requiredPeerCount", "maxPeerCount", "blockToLive", "memberOnlyRead", "memberOnlyWrite", "endorsementPolicy"} {
		if _, ok := fields[0][name]; !ok {
			t.Errorf("no field %s in %s", name, raw)
		}
	}
	if len(fields[0]) != 8 {
		t.Errorf("%d fields in %s", len(fields[0]), raw)
	}
}

// What no collections can be made for is refused; without a hospital there are none.
func TestCheck(t *testing.T) {
	if err := OfHospitals("AMSP", "BMSP").Check(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Consortium{
		"no word of a policy": OfHospitals("A MSP"),
		"empty":               OfHospitals("AMSP", ""),
		"twice":               OfHospitals("AMSP", "BMSP", "AMSP"),
		"unknown kind":        {Organisations: []Organisation{{"a", "AMSP", "observer"}}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), "organisation") {
			t.Errorf("%s: %v", name, err)
		}
	}
	none, err := JSON(Consortium{Organisations: []Organisation{{"r", "RMSP", ResearchCentre}}}.Generate())
	if err != nil || string(none) != "[]\n" {
		t.Errorf("without a hospital: %s, %v", none, err)
	}
}

func TestMajority(t *testing.T) {
	for n, want := range map[int]string{1: "OutOf(1, 'a.peer')", 2: "OutOf(2, 'a.peer', 'b.peer')", 4: "OutOf(3, 'a.peer', 'b.peer', 'c.peer', 'd.peer')"} {
		if got := Majority([]string{"a", "b", "c", "d"}[:n], "peer"); got != want {
			t.Errorf("majority of %d: %s, want %s", n, got, want)
		}
	}
}

func TestLoadRefusesWhatIsNoYAML(t *testing.T) {
	path := filepath.Join(t.TempDir(), "consortium.yaml")
	if _, err := Load(path); err == nil {
		t.Error("a missing file was read")
	}
	if err := os.WriteFile(path, []byte("organisations: [:"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the file", err)
	}
}

func load(t *testing.T) Consortium {
	t.Helper()
	c, err := Load(defaultConsortium)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// compare checks a committed file against what was generated, or writes it
// under -update.
func compare(t *testing.T, path, generated string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(generated), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != generated {
		t.Errorf("%s is not what %s gives; run: go test ./collections -update", path, defaultConsortium)
	}
}
