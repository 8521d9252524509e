package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

// root is the repository's.
const root = "../../../.."

func TestEveryCodeHasAnExitStatusAndAMeaning(t *testing.T) {
	found, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 50 {
		t.Fatalf("only %d codes were found; the scan looked in the wrong folder", len(found))
	}
	for code, meaning := range found {
		if !exit.Covered(code) {
			t.Errorf("%s leads to no exit status; add it, or a prefix of it, to client/cmd/medfed/exit", code)
		}
		if meaning == "" {
			t.Errorf("%s has no meaning; document it in its package", code)
		}
	}
}

func TestTheReadmeListsEveryCode(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "codes.md"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	want, err := replace(string(content), markdown(found))
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != want {
		t.Error("the list of codes in docs/codes.md is not that of the source; run go run ./client/cmd/medfed/codelist -write")
	}
}

func TestMeaningsComeFromTableDocumentationAndMessages(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range folders {
		write(name+"/doc.go", "package a\n")
	}
	write("client/a/a.go", `// Package a fails.
//
//	MF-A-DOC  what the documentation says
package a

var (
	_ = codes.Errorf("MF-A-CALL", "the call to %s failed with %05.1f; try again", "x", 1.0)
	_ = fmt.Errorf("MF-A-LITERAL: a literal: %w; look", err)
	_ = errors.New("MF-A-DOC: another message; look")
	_ = codes.Errorf("MF-A-FILLED", "%v; build it again", err)
	_ = "a text that names MF-A-NOTHING"
)
`)
	write("client/a/a_test.go", "package a\n\nvar _ = \"MF-A-TEST: only in tests\"\n")
	write("network/tools/x/go.mod", "module x\n")
	write("network/tools/x/x.go", "package x\n\nvar _ = \"MF-A-OTHER: of another module\"\n")
	found, err := scan(folder)
	if err != nil {
		t.Fatal(err)
	}
	for code, meaning := range map[codes.Code]string{
		"MF-A-CALL": "the call to … failed with …", "MF-A-LITERAL": "a literal",
		"MF-A-FILLED": "build it again", "MF-A-DOC": "what the documentation says",
	} {
		if found[code] != meaning {
			t.Errorf("%s means %q, want %q", code, found[code], meaning)
		}
	}
	for _, code := range []codes.Code{"MF-A-NOTHING", "MF-A-TEST", "MF-A-OTHER"} {
		if _, ok := found[code]; ok {
			t.Errorf("%s was taken", code)
		}
	}
	if text := markdown(found); !strings.Contains(text, "| `MF-TERMS-FAULTS` | 3 | ") {
		t.Errorf("the chaincode's codes are missing in\n%s", text)
	}
}

func TestUpdateReplacesWhatIsBetweenTheMarksOnly(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "README.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := update(folder, "README.md", "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(path)
	if want := "before\n" + begin + "\nnew\n" + end + "\nafter\n"; string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := replace("no marks", "x"); err == nil {
		t.Error("a file without marks was taken")
	}
}
