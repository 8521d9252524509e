package testnetwork

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/trainer/dataset"
)

// binVariable names the folder of programs; without it the tests on the real
// network are skipped. make test sets it.
const binVariable = "MEDFED_BIN"

// The live network takes the first free block of ports from livePort on, far from
// the default network's, which may be up, and below those that the system gives
// to outgoing connections.
const (
	livePort     = 27000
	livePortStep = 250
	livePortEnd  = 32000
)

// patience is how long a network may take for a step: the machine may be slow and
// have other things to do.
const patience = 5 * time.Minute

// live is the one network that all tests of this package share. TestMain takes
// it down.
var live struct {
	once    sync.Once
	dir     string
	network *network.Network
	err     error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if live.network != nil {
		if err := live.network.Down(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "the network in", live.dir, "was not taken down:", err)
			os.Exit(1)
		}
	}
	if live.dir != "" {
		_ = os.RemoveAll(live.dir)
	}
	os.Exit(status)
}

// liveNetwork brings the network up on the first call.
func liveNetwork(t *testing.T) *network.Network {
	t.Helper()
	bin := programs(t)
	live.once.Do(func() {
		if live.dir, live.err = os.MkdirTemp("", "medfed-live-"); live.err == nil {
			live.network, live.err = bringUp(live.dir, bin, func(*network.Consortium) {})
		}
	})
	if live.err != nil {
		t.Fatal(live.err)
	}
	return live.network
}

// ownNetwork brings up a network that is this test's alone, with another
// description than that of all others, and takes it down at the end.
func ownNetwork(t *testing.T, change func(*network.Consortium)) *network.Network {
	t.Helper()
	n, err := bringUp(t.TempDir(), programs(t), change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// bringUp takes the first block of ports that is free.
func bringUp(dir, bin string, change func(*network.Consortium)) (n *network.Network, err error) {
	for port := livePort; port < livePortEnd; port += livePortStep {
		c, err := network.Load("consortium.yaml")
		if err != nil {
			return nil, err
		}
		c.BasePort = port
		c.Timeouts.Start, c.Timeouts.Ready = patience, patience
		change(c)
		if n, err = network.Open(c, filepath.Join(dir, strconv.Itoa(port)), bin); err != nil {
			return nil, err
		}
		if err = n.Up(context.Background(), nil); err == nil || codes.Of(err) != "MF-NETWORK-PORT" {
			return n, err
		}
	}
	return nil, fmt.Errorf("no %d ports in a row are free from %d to %d", livePortStep, livePort, livePortEnd)
}

func programs(t *testing.T) string {
	t.Helper()
	bin := os.Getenv(binVariable)
	if bin == "" {
		t.Skip(binVariable + " names no folder of programs: nothing is tested on the real network; run make test")
	}
	return bin
}

// smallData is a data set that trains in seconds: real breast ultrasounds where
// MEDFED_DATA has them, synthetic examples elsewhere.
func smallData(t *testing.T) *dataset.Data {
	t.Helper()
	name, folder := dataset.Synthetic, os.Getenv(dataset.FolderVariable)
	if folder != "" {
		if _, err := os.Stat(filepath.Join(folder, "breastmnist.npz")); err == nil {
			name = "breastmnist"
		}
	}
	data, err := dataset.Load(t.Context(), name, dataset.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	if data.Synthetic {
		t.Log("on SYNTHETIC data: " + dataset.FolderVariable + " names no folder with breastmnist.npz")
	}
	return data
}

// client is medfed run as a user runs it.
type client struct {
	program string
	env     []string
}

// as is the client of an identity, such as hospital1/node1.
func as(t *testing.T, n *network.Network, who string) client {
	t.Helper()
	org, name, _ := strings.Cut(who, "/")
	return client{filepath.Join(programs(t), "medfed"), append(os.Environ(),
		"MEDFED_PROFILE="+n.Profile(org), "MEDFED_IDENTITY="+n.IdentityDir(org, name))}
}

// run gives what a command printed and its exit status.
func (c client) run(t *testing.T, args ...string) (output string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must fails the test unless the command succeeds.
func (c client) must(t *testing.T, args ...string) string {
	t.Helper()
	out, status := c.run(t, args...)
	if status != 0 {
		t.Fatalf("medfed %s: exit status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// refused fails the test unless the command is refused with a code that begins so.
func (c client) refused(t *testing.T, code string, args ...string) {
	t.Helper()
	out, status := c.run(t, args...)
	if status == 0 || !strings.Contains(out, code) {
		t.Errorf("medfed %s: exit status %d, want a refusal with %s\n%s", strings.Join(args, " "), status, code, out)
	}
	if !strings.Contains(out, ";") {
		t.Errorf("medfed %s: the refusal does not say what to do\n%s", strings.Join(args, " "), out)
	}
}
