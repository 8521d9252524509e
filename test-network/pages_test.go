package testnetwork

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/trainer/dataset"
	catalogue "github.com/medfed/medfed/trainer/dataset/source"
)

// pages are the pages with commands for the shell, and the test that runs those of
// each, all but the ones in notRun.
var pages = map[string]func(*testing.T){
	"README.md":                TestReadme,
	"docs/running.md":          TestRunningPage,
	"docs/training.md":         TestTrainingPage,
	"docs/private-training.md": TestPrivateTrainingPage,
	"docs/model.md":            TestModelPage,
	"docs/fabric.md":           TestFabricPage,
	"docs/CONTRIBUTING.md":     TestContributingPage,
}

// notRun are the commands that no test takes from their page, and why.
var notRun = []struct{ page, command, why string }{
	{"README.md", "make demo", "the demo itself is tested beside its source"},
	{"README.md", "make test", "it runs this"},
	{"README.md", "make up", "the tests' network is up, at ports of its own"},
	{"docs/running.md", `MEDFED_BIN="$PWD/.run/bin" MEDFED_SCALE=10000 go test -count=1 -timeout 60m -v -run AccessListAtScale ./test-network`, "it measures for many minutes, and is skipped elsewhere"},
	{"docs/cases.md", "go test ./chaincode/... ./client/... ./trainer/fed -run TestCase08", "make test runs these tests; TestTheCasesAreListed knows their names"},
	{"docs/CONTRIBUTING.md", "make build", "make test does"},
	{"docs/CONTRIBUTING.md", "make tools", "make test does"},
	{"docs/CONTRIBUTING.md", "make lint", ".ci/run does"},
	{"docs/CONTRIBUTING.md", "make test SHORT=1", "it runs this"},
	{"docs/CONTRIBUTING.md", "make heal", "it takes a quarter of an hour, and its bars want a quiet machine"},
	{"docs/CONTRIBUTING.md", "make test", "it runs this"},
}

// generated is the page whose commands a program writes and TestTransactionsPage sends.
const generated = "docs/transactions.md"

// A command on a page is run by a test or listed with the reason why it is not; a
// listed one is still there.
func TestEveryCommandOfThePagesIsRun(t *testing.T) {
	unseen := map[string]bool{}
	for _, n := range notRun {
		unseen[n.page+": "+n.command] = true
	}
	for _, page := range markdown(t) {
		all := commandsOf(t, page)
		for _, command := range all {
			delete(unseen, page+": "+command)
		}
		run := runCommands(t, page)
		if _, tested := pages[page]; tested != (len(run) > 0) {
			t.Errorf("%s has %d commands that are not in notRun, and a test in pages: %t\n%s", page, len(run), tested, strings.Join(run, "\n"))
		}
	}
	for _, gone := range slices.Sorted(maps.Keys(unseen)) {
		t.Errorf("notRun has what is not on the page: %s", gone)
	}
}

// markdown is every page but the generated one, by its path from the top.
func markdown(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	if err := fs.WalkDir(os.DirFS(".."), "docs", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".md" && path != generated {
			all = append(all, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// fence begins or ends a block of a page.
var fence = regexp.MustCompile("(?m)^[ \t]*```(.*)$")

// commandsOf takes the commands for the shell from a page, in their order.
func commandsOf(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range fence.FindAllStringSubmatch(string(text), -1) {
		if kind := f[1]; i%2 == 0 && kind != "" && kind != "sh" && kind != "js" {
			t.Errorf("%s has a block of %q; write ```sh where it is commands for the shell", page, kind)
		}
	}
	var all []string
	for _, block := range commands.FindAllStringSubmatch(string(text), -1) {
		file, err := syntax.NewParser().Parse(strings.NewReader(block[1]), page)
		if err != nil {
			t.Fatalf("no shell understands %v", err)
		}
		for _, s := range file.Stmts {
			all = append(all, block[1][s.Pos().Offset():s.End().Offset()])
		}
	}
	return all
}

// runCommands are those of a page that are not in notRun.
func runCommands(t *testing.T, page string) []string {
	t.Helper()
	return slices.DeleteFunc(commandsOf(t, page), func(command string) bool {
		for _, n := range notRun {
			if n.page == page && n.command == command {
				return true
			}
		}
		return false
	})
}

// The README is true: who enters its commands from top to bottom trains a model with
// nine nodes, looks at what became of it, shares a record and verifies the ledger. The
// nodes have shares of their own: the first has 524 examples, the others 523.
func TestReadme(t *testing.T) {
	newTerminal(t).enter("README.md",
		"of lungs: closed", "523 examples", "file +lungs-", "test split", "test accuracy", ", permit", "grants purged", "differences +0")
}

// So is the page on running a consortium.
func TestRunningPage(t *testing.T) {
	newTerminal(t).enter("docs/running.md",
		"staged", "pneumonia +1", "status +rejected", "custodian +[0-9a-f]{64}", ", permit", `"resourceType": "Consent"`, "entered in error", "5 of 5 members", "meaningless +yes", "differences +0")
}

// So are those on training.
func TestTrainingPage(t *testing.T) {
	term := newTerminal(t)
	for _, command := range commandsOf(t, "docs/running.md") { // the page takes from there
		if strings.HasPrefix(command, "export PATH=") || strings.HasPrefix(command, "as() {") {
			term.run(command)
		}
	}
	term.enter("docs/training.md",
		"krum", "random backbone, seed 1", "task +xrays, joining", "xrays, round 0", "task +private, joining", "updates", "EPSILON")
}

func TestPrivateTrainingPage(t *testing.T) {
	term := newTerminal(t)
	term.run(`export PATH="$PWD/.run/bin:$PATH"`)
	term.enter("docs/private-training.md", "noise multiplier 4.5")
}

// And that on a model's file.
func TestModelPage(t *testing.T) {
	term := newTerminal(t)
	term.run(`export PATH="$PWD/.run/bin:$PATH"`)
	term.enter("docs/model.md", `classes +"normal", "pneumonia"`, "CLASS +normal +pneumonia", "not for diagnosis", "heat-maps in looked-at", "xrays, test split", "calibration +error", "temperature +[0-9.]+: probabilities")
}

// What is left of the page for contributors needs no network.
func TestContributingPage(t *testing.T) {
	for _, command := range runCommands(t, "docs/CONTRIBUTING.md") {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// terminal is a person's shell in what looks like a checkout whose network is up.
type terminal struct {
	*ward
	dir  string
	in   io.Writer
	out  *bufio.Scanner
	said strings.Builder
}

// newTerminal opens one on the network that all tests share. All that it starts ends
// with the test.
func newTerminal(t *testing.T) *terminal { return newTerminalOf(t, liveNetwork(t)) }

// newTerminalOf opens one on a network.
func newTerminalOf(t *testing.T, n *network.Network) *terminal {
	term := &terminal{ward: &ward{t: t, network: n}, dir: filepath.Join(t.TempDir(), "it's a checkout")}
	_, node := term.enrol(custodian, "node1", consortium.RoleTrainer)
	for _, o := range n.Consortium().Organisations {
		if o.Kind.Member() {
			term.peers = append(term.peers, term.connect(o.Name, node))
		}
	}
	bin, err := filepath.Abs(programs(t))
	term.must(err)
	for link, to := range map[string]string{
		".run/network": n.StateDir(), ".run/bin": bin, "test-network/consortium.yaml": consortiumFile(t, n),
	} {
		term.must(os.MkdirAll(filepath.Join(term.dir, filepath.Dir(link)), 0o700))
		term.must(os.Symlink(to, filepath.Join(term.dir, link)))
	}
	term.files()
	term.open()
	return term
}

// files are those that the pages name as the reader's own.
func (term *terminal) files() {
	data, err := dataset.Load(term.t.Context(), dataset.Synthetic, dataset.Options{})
	term.must(err)
	manifest := "file,label,split,patient_id,sha256\n"
	for number, name := range []string{
		"xray.png", "inbox/normal/1.png", "inbox/pneumonia/2.png",
		"xrays/normal/1.png", "xrays/normal/2.png", "xrays/pneumonia/1.png", "xrays/pneumonia/2.png", "xrays/normal/3.png", "xrays/pneumonia/3.png",
	} {
		path := filepath.Join(term.dir, filepath.FromSlash(name))
		term.must(os.MkdirAll(filepath.Dir(path), 0o700))
		term.must(scenario.WriteImage(path, data, number))
		if file, of := strings.CutPrefix(name, "xrays/"); of {
			part := "train"
			if strings.HasSuffix(file, "3.png") {
				part = "test"
			}
			label, _, _ := strings.Cut(file, "/")
			manifest += fmt.Sprintf("%s,%s,%s,patient-%d,\n", file, label, part, number)
		}
	}
	for name, content := range map[string]string{"xrays/manifest.csv": manifest, "id.txt": "MRN-4711\n"} {
		term.must(os.WriteFile(filepath.Join(term.dir, filepath.FromSlash(name)), []byte(content), 0o600))
	}
}

// open starts the shell. medfed's variables are the page's to set, but for that of the
// reader's data.
func (term *terminal) open() {
	ctx, cancel := context.WithTimeout(term.t.Context(), 2*patience)
	cmd := exec.CommandContext(ctx, "bash")
	cmd.Dir = term.dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MEDFED_") && !strings.HasPrefix(v, dataset.FolderVariable+"=")
	})
	cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+filepath.Join(term.dir, "cache")) // of features
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	in, err := cmd.StdinPipe()
	term.must(err)
	out, written, err := os.Pipe()
	term.must(err)
	cmd.Stdout, cmd.Stderr = written, written
	term.must(cmd.Start())
	term.must(written.Close())
	term.t.Cleanup(func() {
		_ = cmd.Cancel()
		cancel()
		_ = cmd.Wait()
		_ = out.Close()
	})
	term.in, term.out = in, bufio.NewScanner(out)
	term.out.Buffer(nil, 1<<20)
	term.run("set -euo pipefail")
}

// enter runs a page's commands, each once every peer has what the one before
// committed, as it is where people act seconds apart. Each of the patterns is printed.
func (term *terminal) enter(page string, patterns ...string) {
	for _, command := range runCommands(term.t, page) {
		term.settle()
		term.run(shortened(term.filled(command)))
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(term.said.String()) {
			term.t.Errorf("the commands of %s print nothing like %q", page, pattern)
		}
	}
	if term.t.Failed() {
		term.t.Log(term.said.String())
	}
}

// ended is the line after the output of a command that did not fail.
const ended = "--- it has ended ---"

// run has the shell run a command to its end, which a failure also is for the shell.
func (term *terminal) run(command string) {
	term.t.Helper()
	fmt.Fprintf(&term.said, "$ %s\n", command)
	fmt.Fprintf(term.in, "{ %s\n} </dev/null\nprintf '\\n%%s\\n' '%s'\n", command, ended)
	for term.out.Scan() {
		if term.out.Text() == ended {
			return
		}
		term.said.WriteString(term.out.Text() + "\n")
	}
	term.t.Fatalf("the last command failed or took too long:\n%s", term.said.String())
}

// placeholders stand on the pages for what a command before has printed last.
var placeholders = map[string]*regexp.Regexp{
	"r-...":   regexp.MustCompile(`(?m)^(?:record|ingested +\S+) +(r-[0-9a-f]{32})`),
	"c-...":   regexp.MustCompile(`(?m)^consent +(c-[0-9a-f]{32})`),
	"bafy...": regexp.MustCompile(`"(baf[0-9a-z]{40,})"`),
	"HASH":    regexp.MustCompile(`(?m)^first block +([0-9a-f]{64})`),
}

// filled puts into a command what its placeholders stand for.
func (term *terminal) filled(command string) string {
	term.t.Helper()
	for placeholder, printed := range placeholders {
		if !strings.Contains(command, placeholder) {
			continue
		}
		all := printed.FindAllStringSubmatch(term.said.String(), -1)
		if all == nil {
			term.t.Fatalf("nothing was printed that %s of %q stands for:\n%s", placeholder, command, term.said.String())
		}
		command = strings.ReplaceAll(command, placeholder, all[len(all)-1][1])
	}
	return command
}

// shortened makes a command's work small, by flags that outdo the page's: fewer rounds,
// clients and images, masters that accept whatever so short a training gives, and
// deadlines for a machine that is as slow as can be. Data and weights that are not at
// hand are replaced by synthetic data and random weights. A node joins its task, and
// does not wait for the others, who are not on the page.
func shortened(command string) string {
	command = strings.ReplaceAll(command, " --backbone vgg16.pth", "")
	switch {
	case strings.Contains(command, " node run ") && !strings.Contains(command, "&"):
		return fmt.Sprintf("grep -m 1 kind=wait < <(%s --verbose 2>&1 | tee node.log) || { cat node.log; false; }", command)
	case strings.Contains(command, " task create "):
		command += " --rounds 2 --epochs 1 --threshold-kind absolute --threshold 0 --starting-seconds 120 --revealing-seconds 120"
	case strings.Contains(command, " simulate "):
		command += " --rounds 1 --epochs 1"
	default:
		return command
	}
	switch {
	case strings.Contains(command, "resnet18"):
		return command + " --images xrays --clients 1 --masters 0 --participation 1"
	case strings.Contains(command, "vgg16"):
		return command
	case strings.Contains(command, " --participation 1 "):
		command += " --participation 0.2"
	}
	set := catalogue.Preferred
	if named := namedSet.FindStringSubmatch(command); named != nil {
		set = named[1]
	}
	if !atHand(set) {
		command += " --data " + dataset.Synthetic
	}
	return command
}

// namedSet is a data set that a command names.
var namedSet = regexp.MustCompile(`--data (\w+mnist)\b`)

// atHand reports whether MEDFED_DATA has a data set.
func atHand(set string) bool {
	_, err := os.Stat(filepath.Join(dataFolder(), set+".npz"))
	return dataFolder() != "" && err == nil
}
