package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

const smartBFT = "github.com/hyperledger-labs/SmartBFT"

// copyServers copies what the servers are built from, so that a test can change it.
func copyServers(t *testing.T) *module {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "the 'servers'")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "servers"))); err != nil {
		t.Fatal(err)
	}
	m := servers(dir)
	m.out = filepath.Join(t.TempDir(), "a 'bin'")
	return m
}

// The servers are built with each patch in place, which fits the version that go.mod
// pins.
func TestServersArePatched(t *testing.T) {
	m := copyServers(t)
	flags, err := m.patch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var dir strings.Builder
	if err := m.goCommand(t.Context(), &dir, ignore, append(append([]string{"list", "-mod=readonly", "-f", "{{.Dir}}"}, flags...), smartBFT+"/internal/bft")...); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSuffix(dir.String(), "\n"), "controller.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), "close(d.delivered)") {
		t.Errorf("what is built of %s, in %s, is not patched", smartBFT, dir.String())
	}
}

// Another patch makes other programs.
func TestDigestCoversPatches(t *testing.T) {
	m := copyServers(t)
	before, err := m.digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	change(t, m, func(patch string) string { return patch + "\n" })
	if after, err := m.digest(t.Context()); err != nil || after == before {
		t.Errorf("the digest of a changed patch is the same, or %v", err)
	}
}

// A patch that does not fit, or is none, stops the build.
func TestPatchThatDoesNotFit(t *testing.T) {
	for name, broken := range map[string]func(string) string{
		"another version": func(patch string) string { return strings.ReplaceAll(patch, " \tsyncChan  ", " \tsyncChannel  ") },
		"another file":    func(patch string) string { return strings.ReplaceAll(patch, "controller.go", "controllers.go") },
		"no patch":        func(string) string { return "to be written" },
	} {
		m := copyServers(t)
		change(t, m, broken)
		if _, err := m.patch(t.Context()); codes.Of(err) != "MF-TOOLS-MODULES" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func change(t *testing.T, m *module, to func(string) string) {
	t.Helper()
	file := filepath.Join(m.dir, "patches", filepath.FromSlash(smartBFT)+".patch")
	patch, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, to(string(patch)))
}
