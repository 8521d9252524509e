package testnetwork

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tests of docs/cases.md from the source")

// cases is the page that lists what must hold, and its tests by number.
const cases = "../docs/cases.md"

var (
	caseTest = regexp.MustCompile(`(?m)^func (TestCase(\d\d)\w+)\(`)
	caseRow  = regexp.MustCompile(`^\| (\d+) \| (.*) \| (.*)\|$`)
)

// TestTheCasesAreListed holds docs/cases.md against the tests: each case has one
// at least, and each test whose name bears a case's number stands beside it.
func TestTheCasesAreListed(t *testing.T) {
	tests := caseTests(t)
	page, err := os.ReadFile(cases)
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	lines := strings.Split(string(page), "\n")
	for i, line := range lines {
		row := caseRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		listed++
		number, err := strconv.Atoi(row[1])
		if err != nil || number != listed {
			t.Errorf("%q: the cases are numbered from 1 without gaps", line)
		}
		if len(tests[number]) == 0 {
			t.Errorf("case %d has no test; name one TestCase%02d…", number, number)
		}
		lines[i] = fmt.Sprintf("| %s | %s | %s |", row[1], row[2], strings.Join(tests[number], "<br>"))
		delete(tests, number)
	}
	for number, names := range tests {
		t.Errorf("there is no case %d in docs/cases.md, but the tests %s; add a line to it", number, strings.Join(names, ", "))
	}
	written := strings.Join(lines, "\n")
	if *update {
		if err := os.WriteFile(cases, []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if written != string(page) {
		t.Error("docs/cases.md is not what the tests say; run go test ./test-network -run TestTheCasesAreListed -update")
	}
}

// caseTests gives the tests of each case as links to their files, in the order of
// their names.
func caseTests(t *testing.T) map[int][]string {
	t.Helper()
	tests := map[int][]string{}
	for _, s := range sources(t, "..") {
		if !s.isTest() {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(s.path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range caseTest.FindAllStringSubmatch(string(text), -1) {
			number, err := strconv.Atoi(found[2])
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(found[1], "TestCase"+found[2])
			tests[number] = append(tests[number], fmt.Sprintf("[%s](../%s) `%s`", name, s.path, s.folder()))
		}
	}
	for _, names := range tests {
		slices.Sort(names)
	}
	return tests
}
