package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/contract"
)

// pageFile is below the repository's root.
const pageFile = "../../../../docs/transactions.md"

func TestThePageIsThatOfTheMetadata(t *testing.T) {
	metadata, err := contract.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	want, err := markdown(metadata)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/transactions.md is not that of the contract metadata; run go run ./client/cmd/medfed/transactionlist -write")
	}
	for _, listed := range contract.Transactions() {
		if !strings.Contains(want, "\n### "+listed.Contract+":"+listed.Name+"\n") {
			t.Errorf("%s:%s is not on the page", listed.Contract, listed.Name)
		}
	}
}

// The shell makes of the page's examples what the metadata shows: a peer that only
// prints its arguments takes the place of Fabric's.
func TestTheShellReadsTheExamples(t *testing.T) {
	text, err := contract.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	page, err := markdown(text)
	if err != nil {
		t.Fatal(err)
	}
	script := "peer() { printf '%s\\0' \"$@\"; printf '\\n\\0'; }\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(page, -1) {
		script += block[1]
	}
	printed, err := exec.Command("bash", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	calls := strings.Split(strings.TrimSuffix(string(printed), "\n\x00"), "\n\x00")
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, call := range calls[1:] { // the first asks for the metadata
		words := strings.Split(strings.TrimSuffix(call, "\x00"), "\x00")
		var arguments struct{ Args []string }
		var private map[string][]byte
		for i := range words[1:] {
			switch words[i] {
			case "-c":
				err = json.Unmarshal([]byte(words[i+1]), &arguments)
			case "--transient":
				err = json.Unmarshal([]byte(words[i+1]), &private)
			}
			if err != nil {
				t.Fatalf("%s: %v", words[i+1], err)
			}
		}
		name, short, _ := strings.Cut(arguments.Args[0], ":")
		for _, one := range m.Contracts[name].Transactions {
			if one.Name != short {
				continue
			}
			seen++
			if verb := map[bool]string{true: "query", false: "invoke"}[one.Event == nil]; words[1] != verb {
				t.Errorf("%s: peer chaincode %s", arguments.Args[0], words[1])
			}
			if arguments.Args[1] != string(one.Parameters[0].Schema.Example) || len(private) != len(one.Transient) {
				t.Errorf("%q with %s", arguments.Args, private)
			}
			for field, schema := range one.Transient {
				if !bytes.Equal(private[field], schema.Example) {
					t.Errorf("%s: %s is %s", arguments.Args[0], field, private[field])
				}
			}
		}
	}
	if seen != len(contract.Transactions()) {
		t.Errorf("%d of %d transactions are called", seen, len(contract.Transactions()))
	}
}

func TestBoundsAndQuotesAreWritten(t *testing.T) {
	least, most := int64(1), int64(9)
	for _, c := range []struct {
		schema schema
		want   string
	}{
		{schema{Minimum: &least, Maximum: &most}, "1 to 9"},
		{schema{Minimum: &least}, "from 1"},
		{schema{Enum: []string{"", "a"}}, "empty, `a`"},
		{schema{Enum: make([]string, manyValues)}, "one of 12 values, for instance ``"},
		{schema{Pattern: "^a$", MinLength: 1, MaxLength: 2}, "`^a$`; 1 to 2 characters"},
		{schema{MinItems: 2, MaxItems: 3, UniqueItems: true, Items: &schema{Pattern: "^a$"}}, "2 to 3 items; no two the same; each `^a$`"},
	} {
		if got := c.schema.bounds(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.schema, got, c.want)
		}
	}
	if got := quoted("it's"); got != `'it'\''s'` {
		t.Error(got)
	}
	if got := cell("a|b"); got != `a\|b` {
		t.Error(got)
	}
}
