package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// takes is what advice says that could do harm: something is taken away, ended,
// or made in the place of something else.
var takes = regexp.MustCompile(`(?i)\b(remov(e|es|ing)|--remove|delet(e|es|ing)|wip(e|es)|clear|discard|drop it|overwrit(e|es)|replace|anew|afresh|again as new|start over|make (a|an|another|it)|mak(e|es) a new|write (it|them) (again|anew)|writ(es|ten) it again|into that file|(move|put) (it|them|that) (away|back)|put the copy|take (it|them) out|end (it|them)|kill|no other)\b`)

// ran is every sentence of such advice, as it stands after the first semicolon of a
// message, with the test that does what it says, by folder and function. A test
// that is not run by its own name is a step of one that is.
var ran = map[string]string{
	// What nothing is lost by.
	"the ledgers and keys beside it are whole, so remove nothing: if consortium.yaml is the one that this network was made from, write {\"made\":%q} into that file, and medfed network up finds out the rest": "network interruptedDeployment",
	"let it go on with kill -CONT %d":                                                                  "network healsWhatHangs",
	"find out what it is (ss -ltnp), end it if it is %s, and try again":                                "network TestADamagedFileIsTold",
	"move it away, and medfed network up writes it again as it was made":                               "network interruptedDeployment",
	"correct it, or move it away, and medfed network up writes it again as it was made":                "network interruptedDeployment",
	"repair it or take it out of the data set, or have bad files skipped (--skip-bad-images)":          "trainer/dataset TestBadFilesAreRefusedOrSkippedByName",
	"it is not the data set: move it away and fetch %s, or name the folder that has the official file": "trainer/dataset/source TestAWrongFileIsMovedAway",
	"export it anew":       "trainer/dicom TestRefused",
	"export the file anew": "trainer/dicom TestRefused",

	// What says what is lost by it.
	"restore that, or give this network up: medfed network down --remove deletes its ledgers, its certificates and everybody's keys for good, and medfed network up makes a new one": "network TestUpRefuses",
	"remove this file, which holds that one run's result and no more, and it is run again":                                                                                           "client/reproduce TestDamagedRunsAreNotTaken",
	"restore it from its copy: no other key opens what was encrypted to it, and a node can't go on in a task with another":                                                           "client/envelope TestIdentityFilesThatAreRefused",
	"restore the key file it had: no other lets it go on in this task":                                                                                                               "client/node TestWhatEndsANodeAtOnce",
	"without one, add the records' files again as new records":                                                                                                                       "test-network TestCase20PurgedAndExpiredStayGoneWhenAPeerRejoins",
	"say so with --remove": "test-network TestCase20PurgedAndExpiredStayGoneWhenAPeerRejoins",
}

// advice is the sentences of the source below root that say what takes matches. What
// ends in a full stop is documentation and no message.
func advice(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	eachFile(t, root, func(path string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if _, sentence, ok := strings.Cut(text, "; "); err == nil && ok && !strings.Contains(text, "\n") && !strings.HasSuffix(text, ".") && takes.MatchString(sentence) {
				found[sentence] = path
			}
			return true
		})
	})
	return found
}

// eachFile parses the source of the folders whose codes a user can see.
func eachFile(t *testing.T, root string, visit func(path string, file *ast.File)) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == "testdata" || hasModule(path)):
				return fs.SkipDir
			case entry.IsDir() || filepath.Ext(path) != ".go":
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, path)
			visit(filepath.ToSlash(relative), file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Advice to take something away, or to make it anew, is in no message before a test
// has done what it says.
func TestAdviceIsRun(t *testing.T) {
	const root = "../../../.."
	tests := map[string]bool{}
	eachFile(t, root, func(path string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, declared := range file.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok && function.Recv == nil {
				tests[filepath.ToSlash(filepath.Dir(path))+" "+function.Name.Name] = true
			}
		}
	})
	found := advice(t, root)
	for sentence, path := range found {
		if _, listed := ran[sentence]; !listed {
			t.Errorf("%s gives advice that no test is known to run: %q", path, sentence)
		}
	}
	for sentence, test := range ran {
		if _, given := found[sentence]; !given {
			t.Errorf("no message says %q any more", sentence)
		}
		if !tests[test] {
			t.Errorf("there is no test %s, which is to run %q", test, sentence)
		}
	}
	t.Logf("%d sentences of advice are run by tests", len(ran))
}
