package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/medfed/medfed/chaincode/codes"
)

// A module of one program, without dependencies.
func writeModule(t *testing.T, program string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "a 'greeter'")
	write(t, filepath.Join(dir, "go.mod"), "module example.test/greeter\n\ngo 1.26\n\ntool example.test/greeter/hello\n")
	write(t, filepath.Join(dir, "hello", "main.go"), program)
	return dir
}

// buildServers builds that module as the servers and returns what is said.
func buildServers(t *testing.T, dir, out string) (said string, err error) {
	t.Helper()
	var b bytes.Buffer
	err = buildAll(t.Context(), []*module{servers(dir)}, out, &plain{out: &b, began: time.Now()})
	return b.String(), err
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const hello = "package main\n\nfunc main() { println(\"hello\") }\n"

func TestBuildsWhatIsNotCurrent(t *testing.T) {
	dir, out := writeModule(t, hello), filepath.Join(t.TempDir(), "bin")
	build := func(want string) {
		t.Helper()
		said, err := buildServers(t, dir, out)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
	build("a 'greeter': built after")
	if said, err := exec.Command(filepath.Join(out, "hello")).CombinedOutput(); err != nil || string(said) != "hello\n" {
		t.Fatalf("the program says %q, %v", said, err)
	}
	build("a 'greeter': current")

	// Each of these makes it build again.
	write(t, filepath.Join(dir, "go.mod"), "module example.test/greeter\n\ngo 1.26.1\n\ntool example.test/greeter/hello\n")
	build("a 'greeter': built after")
	write(t, filepath.Join(out, "hello"), "cut short")
	build("a 'greeter': built after")
	if err := os.Remove(filepath.Join(out, "hello")); err != nil {
		t.Fatal(err)
	}
	build("a 'greeter': built after")
	write(t, filepath.Join(out, ".a 'greeter'.stamp"), "{")
	build("a 'greeter': built after")
	build("a 'greeter': current")
}

// What can't be compiled leaves the program that was there, and no stamp.
func TestFailedBuildKeepsOldProgram(t *testing.T) {
	dir, out := writeModule(t, "package main\n\nfunc main() { undefined() }\n"), t.TempDir()
	write(t, filepath.Join(out, "hello"), "old")
	_, err := buildServers(t, dir, out)
	if err == nil || codes.Of(err) != "MF-TOOLS-BUILD" || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("error %v", err)
	}
	if old, _ := os.ReadFile(filepath.Join(out, "hello")); string(old) != "old" {
		t.Errorf("the program is now %q", old)
	}
	entries, _ := os.ReadDir(out)
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// A module that isn't pinned is built whenever its sources changed.
func TestBuildsWhatIsNotPinned(t *testing.T) {
	dir, out := writeModule(t, hello), t.TempDir()
	for _, word := range []string{"hello", "again"} {
		write(t, filepath.Join(dir, "hello", "main.go"), strings.ReplaceAll(hello, "hello", word))
		m := &module{name: "medfed", dir: dir, targets: []string{"./hello"}}
		if err := buildAll(t.Context(), []*module{m}, out, &plain{out: &bytes.Buffer{}}); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command(filepath.Join(out, "hello")).CombinedOutput(); err != nil || string(said) != word+"\n" {
			t.Errorf("the program says %q, %v", said, err)
		}
	}
	if entries, _ := os.ReadDir(out); len(entries) != 1 {
		t.Errorf("beside the program: %v", entries)
	}
}

func TestRefusals(t *testing.T) {
	dir, blocked := writeModule(t, hello), filepath.Join(t.TempDir(), "file")
	write(t, blocked, "")
	for name, c := range map[string]struct{ dir, out, code string }{
		"no module":       {t.TempDir(), t.TempDir(), "MF-TOOLS-MODULES"},
		"not a folder":    {dir, blocked, "MF-TOOLS-FOLDER"},
		"below no folder": {dir, filepath.Join(blocked, "bin"), "MF-TOOLS-FOLDER"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := buildServers(t, c.dir, c.out)
			if err == nil || string(codes.Of(err)) != c.code {
				t.Errorf("error %v, want code %s", err, c.code)
			}
		})
	}
}

func TestUnknownProgramsAreAUsageError(t *testing.T) {
	if err := run(t.Context(), t.TempDir(), []string{"server"}); codes.Of(err) != "MF-USAGE" {
		t.Errorf("error %v", err)
	}
}

// Modules after the first are built side by side; one that fails ends the others, and
// each has its program.
func TestSeveralModules(t *testing.T) {
	out := t.TempDir()
	var modules []*module
	for _, word := range []string{"one", "two", "three"} {
		dir := writeModule(t, strings.ReplaceAll(hello, "hello", word))
		if err := os.Rename(filepath.Join(dir, "hello"), filepath.Join(dir, word)); err != nil {
			t.Fatal(err)
		}
		modules = append(modules, &module{name: word, dir: dir, targets: []string{"./" + word}})
	}
	var said bytes.Buffer
	if err := buildAll(t.Context(), modules, out, &plain{out: &said, began: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		program, err := exec.Command(filepath.Join(out, m.name)).CombinedOutput()
		if err != nil || string(program) != m.name+"\n" || !strings.Contains(said.String(), m.name+": built after") {
			t.Errorf("%s says %q, %v", m.name, program, err)
		}
	}
	write(t, filepath.Join(modules[2].dir, "three", "main.go"), "package main\n\nfunc main() { undefined() }\n")
	if err := buildAll(t.Context(), modules, out, &plain{out: &said}); codes.Of(err) != "MF-TOOLS-BUILD" {
		t.Errorf("error %v", err)
	}
}

func TestMissingCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	_, err := buildServers(t, writeModule(t, hello), t.TempDir())
	if err == nil || codes.Of(err) != "MF-TOOLS-COMPILER" || !strings.Contains(err.Error(), "no-such-compiler") {
		t.Errorf("error %v", err)
	}
}

// Go tells what it would have to compile: everything with an empty cache, nothing
// after a build, and then what changed.
func TestStalePackagesAreThoseThatGoCompiles(t *testing.T) {
	embeds := strings.Replace(hello, "func", "import _ \"embed\"\n\n//go:embed main.go\nvar source string\n\nfunc", 1)
	dir := writeModule(t, embeds)
	m := &module{name: "medfed", dir: dir, targets: []string{"./hello"}, out: t.TempDir()}
	stale := func() map[string]int64 {
		t.Helper()
		m.links = 0
		if err := m.prepare(t.Context(), &plain{out: &bytes.Buffer{}}); err != nil {
			t.Fatal(err)
		}
		return m.stale
	}
	const main = "example.test/greeter/hello"
	cache, _ := os.LookupEnv("GOCACHE")
	t.Setenv("GOCACHE", t.TempDir())
	if all := stale(); all["runtime"] < 100_000 || all[main] != int64(len(embeds)) || m.links != 1 {
		t.Errorf("with an empty cache: %v, %d programs", all, m.links)
	}
	t.Setenv("GOCACHE", cache)
	if err := m.build(t.Context(), &plain{out: &bytes.Buffer{}, work: newWork(nil)}); err != nil {
		t.Fatal(err)
	}
	if none := stale(); len(none) != 0 {
		t.Errorf("after a build: %v", none)
	}
	write(t, filepath.Join(dir, "hello", "main.go"), embeds+"// changed\n")
	if one := stale(); len(one) != 1 || one[main] == 0 {
		t.Errorf("after a change: %v", one)
	}
}

// The modules name every server and tool that the network needs.
func TestModulesNameTheServers(t *testing.T) {
	want := map[string][]string{
		"servers":   {"configtxgen", "cryptogen", "orderer", "osnadmin", "peer", "ipfs"},
		"fabric-ca": {"fabric-ca-client", "fabric-ca-server"},
	}
	for name, programs := range want {
		named := map[string]bool{}
		for _, tool := range goMod(t, "..", name).Tool {
			named[filepath.Base(tool.Path)] = true
		}
		for _, program := range programs {
			if !named[program] {
				t.Errorf("%s/go.mod has no tool line for %s", name, program)
			}
		}
	}
}

// apart are modules whose versions differ on purpose: names of attributes have dots,
// and the newer viper takes them apart before Fabric CA reads them, so that its
// registrar may register nobody.
var apart = []string{"github.com/spf13/viper", "github.com/spf13/cast", "github.com/fsnotify/fsnotify"}

// A module that medfed and the servers need has one version, so that it is compiled
// once.
func TestSharedModulesHaveOneVersion(t *testing.T) {
	seen := map[string]string{}
	shared := 0
	for _, folder := range [][]string{{"..", "..", ".."}, {"..", "servers"}, {"..", "fabric-ca"}} {
		for _, r := range goMod(t, folder...).Require {
			version, ok := seen[r.Mod.Path]
			seen[r.Mod.Path] = r.Mod.Version
			switch {
			case slices.Contains(apart, r.Mod.Path):
			case ok && version != r.Mod.Version:
				t.Errorf("%s is %s, and %s in %s; take the newer", r.Mod.Path, version, r.Mod.Version, filepath.Join(folder...))
			case ok:
				shared++
			}
		}
	}
	if shared < 100 {
		t.Errorf("only %d modules are shared", shared)
	}
}

func goMod(t *testing.T, folder ...string) *modfile.File {
	t.Helper()
	path := filepath.Join(append(folder, "go.mod")...)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(path, raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
