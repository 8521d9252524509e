package testnetwork

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/network"
)

// commands finds the shell commands of a page.
var commands = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// The page for Fabric developers is true: its commands, as they stand there, query
// and invoke medfed's chaincode with Fabric's own peer, and deploy another chaincode
// beside it and invoke that. Only the network and the service's port are others.
func TestFabricPage(t *testing.T) {
	w := newWard(t)
	page, err := os.ReadFile("../docs/fabric.md")
	w.must(err)
	var script strings.Builder
	script.WriteString(`set -euo pipefail
trap 'kill $(jobs -p)' EXIT
export PATH="$MEDFED_BIN:$PATH"
medfed() { command medfed "$@" --state "$STATE" --bin "$MEDFED_BIN" --consortium "$CONSORTIUM"; }
cd ..
`)
	for _, block := range commands.FindAllStringSubmatch(string(page), -1) {
		script.WriteString(block[1])
	}
	wanted := []string{
		"Blockchain info:", `{"tasks":[`, "Chaincode invoke successful", `{"identity":"ResearchCentreMSP/ada","role":"coordinator","number":1,`,
		"Chaincode code package identifier: hello:", "\ngood morning\n",
	}
	if modules := os.Getenv(modulesVariable); modules == "" {
		t.Log(modulesVariable + " names no packages: the page's JavaScript is not run")
	} else {
		before, calls, after := fabricScript(t)
		folder := t.TempDir()
		w.must(os.Symlink(modules, filepath.Join(folder, "node_modules")))
		w.must(os.WriteFile(filepath.Join(folder, "hello.mjs"), []byte(before+calls+after), 0o600))
		script.WriteString("eval \"$(medfed network env hospital1 node1)\"\nnode '" + folder + "/hello.mjs'\n")
		wanted = append(wanted, "\ngood evening\n")
	}
	const address = "127.0.0.1:17990"
	if strings.Count(script.String(), address) != 2 {
		t.Fatalf("the page does not name the service's address %s twice", address)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.must(listener.Close())
	out := bash(t, w.network, strings.ReplaceAll(script.String(), address, listener.Addr().String()))
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands do not print %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	w.verified() // another chaincode's transactions are no difference
}

// bash runs a script about a network to its end, and with it all that it starts.
func bash(t *testing.T, n *network.Network, script string) (output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Env = append(os.Environ(), "STATE="+n.StateDir(), "CONSORTIUM="+consortiumFile(t, n), "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// consortiumFile writes the description a network was made from, for commands.
func consortiumFile(t *testing.T, n *network.Network) string {
	t.Helper()
	content, err := yaml.Marshal(n.Consortium())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "consortium.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A profile and an identity serve wherever they are copied to.
func TestProfileServesFromAnyFolder(t *testing.T) {
	w := newWard(t)
	elsewhere := t.TempDir()
	profile, err := os.ReadFile(w.network.Profile(custodian))
	w.must(err)
	w.must(os.WriteFile(filepath.Join(elsewhere, "p.yaml"), profile, 0o600))
	w.must(os.CopyFS(filepath.Join(elsewhere, "identity"), os.DirFS(w.network.IdentityDir(custodian, "node1"))))
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "medfed"), "task", "list", "--profile", "p.yaml", "--identity", "identity")
	cmd.Dir = elsewhere
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "TASK") {
		t.Errorf("from another folder: %v\n%s", err, out)
	}

	copied, err := gateway.LoadProfile(filepath.Join(elsewhere, "p.yaml"))
	w.must(err)
	store, err := ipfs.Open(ipfs.Config{URL: copied.Medfed.IPFS.Private.URL, TokenFile: copied.Medfed.IPFS.Private.TokenFile})
	w.must(err)
	if _, err := store.Add(t.Context(), strings.NewReader("one")); err != nil {
		t.Errorf("IPFS by the copied profile: %v", err)
	}
}
