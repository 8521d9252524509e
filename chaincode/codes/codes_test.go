package codes_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
)

func TestErrorReadsCodeThenDetail(t *testing.T) {
	err := codes.Errorf("MF-TASK-UNKNOWN", "there is no task %s; see the list of tasks", "covid")
	if got, want := err.Error(), "MF-TASK-UNKNOWN: there is no task covid; see the list of tasks"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		message string
		code    codes.Code
	}{
		{"", ""},
		{"no code", ""},
		{"MF-", ""},
		{"MF--X", ""},
		{"XMF-A", ""},
		{"MF-ROUND-EARLY: 1 of 2", "MF-ROUND-EARLY"},
		{"chaincode response 500, MF-ROUND-EARLY: wait", "MF-ROUND-EARLY"},
		{"MF-ROUND-: cut", "MF-ROUND"},
		{"MF- then MF-A1-B2.", "MF-A1-B2"},
	} {
		if got := parsed(c.message); got != c.code {
			t.Errorf("Parse(%q) = %q, want %q", c.message, got, c.code)
		}
	}
}

// parsed is the code that Parse finds, "" for none.
func parsed(message string) codes.Code {
	if refusal := codes.Parse(message); refusal != nil {
		return refusal.Code
	}
	return ""
}

func TestParseUndoesError(t *testing.T) {
	err := codes.Errorf("MF-TASK-UNKNOWN", "there is no task covid; see the list")
	if got := codes.Parse("peer0 said: " + err.Error()); got == nil || *got != *err {
		t.Errorf("got %+v, want %+v", got, err)
	}
}

func TestAnErrorIsFoundByItsCodeAndItsCause(t *testing.T) {
	inner := codes.Wrapf("MF-MODEL-LOAD", "the file can't be read: %w; name another", fs.ErrNotExist)
	outer := fmt.Errorf("node1: %w", codes.Wrapf("MF-NODE-CONFIG", "%w; see the node", inner))
	if codes.Of(outer) != "MF-NODE-CONFIG" || codes.Of(inner) != "MF-MODEL-LOAD" || codes.Of(fs.ErrNotExist) != "" || codes.Of(nil) != "" {
		t.Error("the first coded error of the chain gives the code")
	}
	if !errors.Is(outer, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	two := codes.Wrapf("MF-NODE-CONFIG", "%w and %w; see both", fs.ErrExist, fs.ErrClosed)
	if !errors.Is(two, fs.ErrExist) || !errors.Is(two, fs.ErrClosed) {
		t.Error("one of two causes is lost")
	}
}

// The oracle is the regular expression that the hand-written search replaces.
func TestParseEqualsPattern(t *testing.T) {
	pattern := regexp.MustCompile(`\bMF(?:-[A-Z0-9]+)+`)
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.StringMatching(`(MF|M|F|-|[A-C0-1]|a|_| |:){0,30}`).Draw(t, "message")
		if got, want := parsed(message), pattern.FindString(message); string(got) != want {
			t.Fatalf("Parse(%q) = %q, want %q", message, got, want)
		}
	})
}

func TestTableIsSortedAndSaysOneThingEach(t *testing.T) {
	table := codes.Table()
	for i, entry := range table {
		if parsed(string(entry.Code)) != entry.Code {
			t.Errorf("%s is not a code", entry.Code)
		}
		if i > 0 && table[i-1].Code >= entry.Code {
			t.Errorf("%s is not after %s", entry.Code, table[i-1].Code)
		}
		if !strings.HasSuffix(entry.Meaning, ".") || strings.Contains(entry.Meaning, "\n") {
			t.Errorf("the meaning of %s is not one sentence: %q", entry.Code, entry.Meaning)
		}
	}
}

// TestTableHoldsExactlyTheCodesOfTheSource reads the chaincode's source: every
// code written in it is in the table, and every code of the table is written in
// it.
func TestTableHoldsExactlyTheCodesOfTheSource(t *testing.T) {
	written := map[codes.Code]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == filepath.Join("..", "codes", "table.go"):
			return nil
		}
		return collect(path, written)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(written) == 0 {
		t.Fatal("no code found in the source")
	}
	listed := codes.Table()
	for code, where := range written {
		if !slices.ContainsFunc(listed, func(e codes.Entry) bool { return e.Code == code }) {
			t.Errorf("%s of %s is not in the table", code, where)
		}
	}
	for _, entry := range listed {
		if written[entry.Code] == "" {
			t.Errorf("%s of the table is nowhere in the source", entry.Code)
		}
	}
}

// collect notes the string literals of a file that are a code and nothing else.
func collect(path string, written map[codes.Code]string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		if err == nil && text != "" && string(parsed(text)) == text {
			written[codes.Code(text)] = set.Position(literal.Pos()).String()
		}
		return true
	})
	return nil
}
