package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

const smartBFT = "github.com/hyperledger-labs/SmartBFT"

// copyServers copies what the servers of a module are built from, so that a test can
// change it.
func copyServers(t *testing.T, name string) *module {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "the 'servers'")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", name))); err != nil {
		t.Fatal(err)
	}
	m := servers(dir)
	m.out = filepath.Join(t.TempDir(), "a 'bin'")
	return m
}

// The servers are built with each patch in place, which fits the version that go.mod
// pins.
func TestServersArePatched(t *testing.T) {
	for _, c := range []struct{ module, pkg, file, with, without string }{
		{"servers", smartBFT + "/internal/bft", "controller.go", "close(d.delivered)", "deliverChan"},
		{"servers", "github.com/ipfs/kubo/plugin/loader", "preload.go", "flatfs", "telemetry"},
		{"fabric-ca", "github.com/mattn/go-sqlite3", "sqlite3.go", "CFLAGS: -O0", "\x00"},
	} {
		m := copyServers(t, c.module)
		flags, err := m.patch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var dir strings.Builder
		if err := m.goCommand(t.Context(), &dir, ignore, slices.Concat([]string{"list", "-mod=readonly", "-f", "{{.Dir}}"}, flags, []string{c.pkg})...); err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(filepath.Join(strings.TrimSuffix(dir.String(), "\n"), c.file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), c.with) || strings.Contains(string(source), c.without) {
			t.Errorf("what is built of %s, in %s, is not patched", c.pkg, dir.String())
		}
	}
}

// Another patch makes other programs.
func TestDigestCoversPatches(t *testing.T) {
	m := copyServers(t, "servers")
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
		m := copyServers(t, "servers")
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
