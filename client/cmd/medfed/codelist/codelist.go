package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

// folders are where codes are given that a user of medfed can see.
var folders = []string{"chaincode", "client", "network", "trainer", "test-network"}

// The list stands between these lines of docs/codes.md.
const (
	begin = "<!-- codes: go run ./client/cmd/medfed/codelist -write -->"
	end   = "<!-- end of codes -->"
)

// scan finds every code in the source below root, with its meaning.
func scan(root string) (map[codes.Code]string, error) {
	found := map[codes.Code]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "ledgertest" || hasModule(path)):
				return fs.SkipDir
			case entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			return scanFile(path, found)
		})
		if err != nil {
			return nil, err
		}
	}
	for _, entry := range codes.Table() {
		found[entry.Code] = strings.TrimSuffix(entry.Meaning, ".")
	}
	return found, nil
}

func hasModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

var (
	// message is a literal that begins with a code: "MF-X-Y: what happened; …".
	message = regexp.MustCompile(`^(MF(?:-[A-Z0-9]+)+)(?:: (.*))?`)
	// documented is a line of a package's list of codes.
	documented = regexp.MustCompile(`(?m)^//\t(MF(?:-[A-Z0-9]+)+) +(.+)$`)
	// verb is a place in a message that is filled in when it is given.
	verb = regexp.MustCompile(`%[-+#0-9.\[\]]*[a-zA-Z]`)
)

// scanFile takes a file's codes: those of its documentation win over messages.
func scanFile(path string, found map[codes.Code]string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			takeCall(n, found)
		case *ast.BasicLit:
			if code, words := split(n); code != "" && words != "" {
				note(found, code, words)
			}
		}
		return true
	})
	for _, match := range documented.FindAllStringSubmatch(string(text), -1) {
		found[codes.Code(match[1])] = match[2]
	}
	return nil
}

// takeCall takes codes.Errorf("MF-X-Y", "what happened; …").
func takeCall(call *ast.CallExpr, found map[codes.Code]string) {
	for i := 0; i+1 < len(call.Args); i++ {
		literal, ok := call.Args[i].(*ast.BasicLit)
		if !ok {
			continue
		}
		code, words := split(literal)
		next, ok := call.Args[i+1].(*ast.BasicLit)
		if code == "" || words != "" || !ok || !isErrorf(call) {
			continue
		}
		if text, err := strconv.Unquote(next.Value); err == nil {
			note(found, code, text)
		}
	}
}

func isErrorf(call *ast.CallExpr) bool {
	switch called := call.Fun.(type) {
	case *ast.SelectorExpr:
		return called.Sel.Name == "Errorf" || called.Sel.Name == "Wrapf"
	case *ast.Ident:
		return called.Name == "Errorf" || called.Name == "Wrapf"
	}
	return false
}

// split parts a literal into the code it begins with and the words after it.
func split(literal *ast.BasicLit) (codes.Code, string) {
	if literal.Kind != token.STRING {
		return "", ""
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return "", ""
	}
	match := message.FindStringSubmatch(text)
	if match == nil {
		return "", ""
	}
	return codes.Code(match[1]), match[2]
}

// letters tells a message from one that is all filled in.
var letters = regexp.MustCompile(`[a-z]{2}`)

// note keeps the first message of a code: what happened, or what to do where the
// former is all filled in when it is given.
func note(found map[codes.Code]string, code codes.Code, text string) {
	if found[code] != "" {
		return
	}
	for _, part := range strings.SplitN(text, ";", 2) {
		words := verb.ReplaceAllString(part, "…")
		words = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(words), " (…)"), ": …")
		if letters.MatchString(words) {
			found[code] = words
			return
		}
	}
}

// markdown is the two tables of docs/codes.md.
func markdown(found map[codes.Code]string) string {
	var b strings.Builder
	b.WriteString(exit.Markdown())
	b.WriteString("\n| code | exit | meaning |\n|---|---:|---|\n")
	for _, code := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", code, exit.OfCode(code), strings.ReplaceAll(found[code], "|", `\|`))
	}
	return b.String()
}

// update puts the text between the marks of a file.
func update(root, file, text string) error {
	path := filepath.Join(root, file)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	next, err := replace(string(content), text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(next), 0o644)
}

// replace gives the content with the text between its marks.
func replace(content, text string) (string, error) {
	before, rest, ok := strings.Cut(content, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("the lines %q and %q are missing", begin, end)
	}
	return before + begin + "\n" + text + end + after, nil
}
