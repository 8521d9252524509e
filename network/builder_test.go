package network

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The external builder leaves a package its own address, and gives the peer's own
// way to medfed's package, which names none.
func TestBuilder(t *testing.T) {
	n, err := Open(loadDefault(t), filepath.Join(t.TempDir(), "a folder"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.writeBuilder(); err != nil {
		t.Fatal(err)
	}
	const own, others = `{"address":"127.0.0.1:1","domain":"own"}`, `{ "address" : "elsewhere:9999", "tls_required":false}`
	write := func(path, content string) {
		t.Helper()
		if err := writeFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(n.path("connection.json"), own)
	for name, c := range map[string]struct {
		connection, released string
	}{
		"medfed's own":   {"{}", own},
		"another's":      {others, others},
		"without a file": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a package")
			step := func(script, from, to string) error {
				if err := os.MkdirAll(filepath.Join(dir, to), 0o700); err != nil {
					t.Fatal(err)
				}
				args := []string{filepath.Join(dir, from), filepath.Join(dir, "metadata"), filepath.Join(dir, to)}
				if script == "release" {
					args = []string{args[0], args[2]}
				}
				cmd := exec.Command(filepath.Join(n.builder(), "bin", script), args...)
				cmd.Env = append(os.Environ(), "MEDFED_CHAINCODE_CONNECTION="+n.path("connection.json"))
				out, err := cmd.CombinedOutput()
				if err != nil && !strings.Contains(string(out), "holds no connection.json") {
					t.Errorf("%s: %v\n%s", script, err, out)
				}
				return err
			}
			write(filepath.Join(dir, "metadata", "metadata.json"), `{"type":"ccaas","label":"x"}`)
			write(filepath.Join(dir, "source", "META-INF", "statedb", "index.json"), "{}")
			if c.connection != "" {
				write(filepath.Join(dir, "source", "connection.json"), c.connection)
			}
			if err := step("build", "source", "built"); (err != nil) != (c.released == "") {
				t.Fatalf("build: %v", err)
			}
			if c.released == "" {
				return
			}
			if err := step("release", "built", "released"); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "released", "chaincode", "server", "connection.json"))
			if err != nil || string(got) != c.released {
				t.Errorf("released %s, %v; want %s", got, err, c.released)
			}
			if _, err := os.Stat(filepath.Join(dir, "released", "statedb", "index.json")); err != nil {
				t.Error(err)
			}
		})
	}
}
