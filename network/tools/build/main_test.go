package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

// A module of one program, without dependencies, in a folder of modules.
func writeModule(t *testing.T, program string) (tools string) {
	t.Helper()
	tools = t.TempDir()
	write(t, filepath.Join(tools, "greeter", "go.mod"), "module example.test/greeter\n\ngo 1.26\n\ntool example.test/greeter/hello\n")
	write(t, filepath.Join(tools, "greeter", "hello", "main.go"), program)
	return tools
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
	tools, out := writeModule(t, hello), filepath.Join(t.TempDir(), "bin")
	build := func(want string) {
		t.Helper()
		var said bytes.Buffer
		if err := buildAll(t.Context(), tools, out, &plain{&said}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), want) {
			t.Errorf("said %q, want %q", said.String(), want)
		}
	}
	build("greeter: built in")
	if said, err := exec.Command(filepath.Join(out, "hello")).CombinedOutput(); err != nil || string(said) != "hello\n" {
		t.Fatalf("the program says %q, %v", said, err)
	}
	build("greeter: current")

	// Each of these makes it build again.
	write(t, filepath.Join(tools, "greeter", "go.mod"), "module example.test/greeter\n\ngo 1.26.1\n\ntool example.test/greeter/hello\n")
	build("greeter: built in")
	write(t, filepath.Join(out, "hello"), "cut short")
	build("greeter: built in")
	if err := os.Remove(filepath.Join(out, "hello")); err != nil {
		t.Fatal(err)
	}
	build("greeter: built in")
	write(t, filepath.Join(out, ".greeter.stamp"), "{")
	build("greeter: built in")
	build("greeter: current")
}

// What can't be compiled leaves the program that was there, and no stamp.
func TestFailedBuildKeepsOldProgram(t *testing.T) {
	tools, out := writeModule(t, "package main\n\nfunc main() { undefined() }\n"), t.TempDir()
	write(t, filepath.Join(out, "hello"), "old")
	err := buildAll(t.Context(), tools, out, &plain{&bytes.Buffer{}})
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

func TestRefusals(t *testing.T) {
	tools, blocked := writeModule(t, hello), filepath.Join(t.TempDir(), "file")
	write(t, blocked, "")
	for name, c := range map[string]struct{ tools, out, code string }{
		"no modules":      {t.TempDir(), t.TempDir(), "MF-TOOLS-MODULES"},
		"not a folder":    {tools, blocked, "MF-TOOLS-FOLDER"},
		"below no folder": {tools, filepath.Join(blocked, "bin"), "MF-TOOLS-FOLDER"},
	} {
		t.Run(name, func(t *testing.T) {
			err := buildAll(t.Context(), c.tools, c.out, &plain{&bytes.Buffer{}})
			if err == nil || string(codes.Of(err)) != c.code {
				t.Errorf("error %v, want code %s", err, c.code)
			}
		})
	}
}

func TestMissingCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	err := buildAll(t.Context(), writeModule(t, hello), t.TempDir(), &plain{&bytes.Buffer{}})
	if err == nil || codes.Of(err) != "MF-TOOLS-COMPILER" || !strings.Contains(err.Error(), "no-such-compiler") {
		t.Errorf("error %v", err)
	}
}

// In a pipe: a line at the start, one for each tenth, one at the end.
func TestPlainProgress(t *testing.T) {
	var said bytes.Buffer
	p := (&plain{&said}).begin("fabric")
	p.note("go: downloading example.test/a v1.0.0")
	p.note("go: downloading example.test/b v1.0.0")
	p.total(20)
	for i := range 4 {
		p.note(fmt.Sprintf("example.test/a/p%d", i))
	}
	p.note("# example.test/a/p4")
	p.note("p4.go:1:1: warning: not a package")
	p.end(true)
	want := "fabric: resolving\n" +
		"fabric: building from 20 packages, 2 modules downloaded\n" +
		"fabric: 2 of at most 20 packages compiled\n" +
		"fabric: 4 of at most 20 packages compiled\n" +
		"fabric: built in 0s\n"
	if said.String() != want {
		t.Errorf("said:\n%swant:\n%s", said.String(), want)
	}
}

// The modules of the repository name every server the network needs.
func TestModulesNameTheServers(t *testing.T) {
	want := map[string][]string{
		"fabric":    {"configtxgen", "cryptogen", "orderer", "osnadmin", "peer"},
		"fabric-ca": {"fabric-ca-client", "fabric-ca-server"},
		"ipfs":      {"ipfs"},
	}
	for name, programs := range want {
		raw, err := os.ReadFile(filepath.Join("..", name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range programs {
			if !strings.Contains(string(raw), "/cmd/"+program+"\n") {
				t.Errorf("%s/go.mod has no tool line for %s", name, program)
			}
		}
	}
}
