package testnetwork

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/medfed/medfed"

// house is the top folders from the highest to the lowest; imports go only to
// the same folder or to a later one.
var house = []string{"test-network", "client", "network", "chaincode", "collections", "trainer"}

// leaf is what every folder may import, for it imports nothing of this module: a
// coded error is the same from the kernels to the command line.
const leaf = "chaincode/codes"

// pure is the folders whose rules are functions of their arguments, and what
// they, and anything of this module that they import, may therefore not import.
var (
	pure      = []string{"chaincode/form", "chaincode/consortium", "chaincode/renyi", "chaincode/fl", "chaincode/record", "chaincode/consent"}
	impure    = []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "sync"}
	noFabric  = "github.com/hyperledger/"
	topLevel  = []string{"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "docs"}
	unvisited = []string{"testdata", "vendor"}
)

// source is one Go file of the module, named by its slash-separated path.
type source struct {
	path    string
	imports []string
}

func (s source) folder() string { return path.Dir(s.path) }
func (s source) isTest() bool   { return strings.HasSuffix(s.path, "_test.go") }

func TestImportsPointDownTheHouse(t *testing.T) {
	for _, problem := range upward(sources(t, "..")) {
		t.Error(problem)
	}
}

func TestTheRulesImportNeitherFabricNorClockNorChance(t *testing.T) {
	for _, problem := range impurities(sources(t, "..")) {
		t.Error(problem)
	}
}

func TestTheTopLevelHoldsOnlyWhatTheLayoutNames(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(house, e.Name()) && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("the top level holds %s, which the layout does not name; move it into one of %s", e.Name(), strings.Join(house, ", "))
		}
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	file := func(path string, imports ...string) source { return source{path, imports} }
	for _, c := range []struct {
		name    string
		check   func([]source) []string
		sources []source
		faults  int
	}{
		{"client imports network", upward, []source{file("client/a.go", module+"/network")}, 0},
		{"network imports client", upward, []source{file("network/a.go", module+"/client/gateway")}, 1},
		{"a test of the trainer imports the client", upward, []source{file("trainer/fed/a_test.go", module+"/client")}, 1},
		{"a folder of like name is no member", upward, []source{file("trainer/a.go", "github.com/medfed/medfederation/client")}, 0},
		{"the trainer refuses with a code", upward, []source{file("trainer/a.go", module+"/chaincode/codes")}, 0},
		{"the leaf imports a neighbour", upward, []source{file("chaincode/codes/a.go", module+"/chaincode/fl")}, 1},
		{"the root package is no folder of the house", upward, []source{file("trainer/a.go", module)}, 1},
		{"the rules import Fabric", impurities, []source{file("chaincode/fl/a.go", noFabric+"fabric-chaincode-go/v2/shim")}, 1},
		{"the rules import a clock", impurities, []source{file("chaincode/consent/a.go", "time")}, 1},
		{"the rules import chance", impurities, []source{file("chaincode/fl/a.go", "math/rand/v2")}, 1},
		{"a test of the rules may", impurities, []source{file("chaincode/fl/a_test.go", "math/rand")}, 0},
		{"through another folder", impurities, []source{file("chaincode/fl/a.go", module+"/chaincode/ledger"), file("chaincode/ledger/b.go", "time")}, 1},
		{"contracts may import Fabric", impurities, []source{file("chaincode/contract/a.go", noFabric+"fabric-contract-api-go/v2/contractapi")}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if found := c.check(c.sources); len(found) != c.faults {
				t.Errorf("found %q, want %d faults", found, c.faults)
			}
		})
	}
}

// upward gives the imports that point up the house.
func upward(all []source) []string {
	var problems []string
	for _, s := range all {
		from := slices.Index(house, top(s.path))
		if from < 0 {
			problems = append(problems, fmt.Sprintf("%s lies in no folder of the house", s.path))
			continue
		}
		for _, imported := range s.imports {
			inside, ok := within(imported)
			if !ok || inside == leaf {
				continue
			}
			if s.folder() == leaf && !s.isTest() {
				problems = append(problems, fmt.Sprintf("%s imports %s; %s is a leaf", s.path, imported, leaf))
			}
			if to := slices.Index(house, top(inside)); to < from {
				problems = append(problems, fmt.Sprintf("%s imports %s; arrows point down %s", s.path, imported, strings.Join(house, " > ")))
			}
		}
	}
	return problems
}

// impurities gives what the pure folders import, directly or through folders of
// this module, and must not.
func impurities(all []source) []string {
	byFolder := map[string][]source{}
	for _, s := range all {
		if !s.isTest() {
			byFolder[s.folder()] = append(byFolder[s.folder()], s)
		}
	}
	var problems []string
	for _, root := range pure {
		seen := map[string]bool{}
		queue := []string{root}
		for len(queue) > 0 {
			folder := queue[0]
			queue = queue[1:]
			if seen[folder] {
				continue
			}
			seen[folder] = true
			for _, s := range byFolder[folder] {
				for _, imported := range s.imports {
					if inside, ok := within(imported); ok {
						queue = append(queue, inside)
					}
					if slices.Contains(impure, imported) || strings.HasPrefix(imported, noFabric) {
						problems = append(problems, fmt.Sprintf("%s imports %s; %s is a function of its arguments", s.path, imported, root))
					}
				}
			}
		}
	}
	return problems
}

// within gives the path inside the module of an import of the module's own.
func within(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func top(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// sources gives every Go file of the module at root; modules of their own,
// dotted folders and test data are left out.
func sources(t *testing.T, root string) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, file, entry.Name())
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		s, err := read(root, file)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("found no Go file; the test looked in the wrong folder")
	}
	return all
}

func skip(root, folder, name string) error {
	if folder == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || slices.Contains(unvisited, name) {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func read(root, file string) (source, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	relative, err := filepath.Rel(root, file)
	if err != nil {
		return source{}, err
	}
	s := source{path: filepath.ToSlash(relative)}
	for _, i := range parsed.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, name)
	}
	return s, nil
}
