package network

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mostHealing is how long Up may take to make a lost folder whole again.
const mostHealing = 40 * time.Second

// losses collects what Up reports as lost.
type losses struct {
	printer
	mu  sync.Mutex
	all map[string]Loss
}

func (l *losses) Lost(loss Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[loss.Process] = loss
	l.t.Log(loss)
}

// heal brings the network up within the time, with every process but the lost
// running on, and gives what was lost.
func heal(t *testing.T, n *Network, lost ...string) map[string]Loss {
	t.Helper()
	before := map[string]int{}
	for _, p := range n.processes {
		before[p.name], _ = n.current(p.name)
	}
	l := &losses{printer: printer{t, time.Now()}, all: map[string]Loss{}}
	if err := n.Up(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(l.began); took > mostHealing {
		t.Errorf("healed in %.1fs, more than %v", took.Seconds(), mostHealing)
	} else {
		t.Logf("%v healed in %.1fs", lost, took.Seconds())
	}
	for name, s := range statuses(t, n, Healthy) {
		if healed := slices.Contains(lost, name); healed == (s.PID == before[name]) {
			t.Errorf("%s, of which healed is %t, had process %d and has %d", name, healed, before[name], s.PID)
		}
		if _, told := l.all[name]; told != slices.Contains(lost, name) {
			t.Errorf("%s: a loss is told: %t", name, told)
		}
	}
	return l.all
}

// What hangs is named with what to do. Up ends it and starts it again, with all others
// running on.
func healsWhatHangs(t *testing.T, n *Network) {
	const asleep, orderer, node = "peer-hospital4", "orderer2", "ipfs-hospital2"
	if err := n.SignalProcess(asleep, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pid, _ := n.current(asleep)
	advice := fmt.Sprintf("kill -CONT %d", pid)
	all, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		want := Healthy
		if s.Name == asleep {
			want = Hanging
		}
		if s.State != want || (want == Hanging) != strings.Contains(s.Problem, advice) {
			t.Errorf("%s is %s, want %s: %s", s.Name, s.State, want, s.Problem)
		}
	}
	if out, err := exec.Command("sh", "-c", advice).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v, %s", advice, err, out)
	}
	statuses(t, n, Healthy)
	for _, name := range []string{asleep, orderer, node} {
		if err := n.SignalProcess(name, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	for name, loss := range heal(t, n, asleep, orderer, node) {
		if said := loss.String(); !strings.Contains(said, name+" ran and did not answer") || loss.Lost != "" {
			t.Errorf("said %q", said)
		}
	}
	if err := n.awaitGateway(t.Context(), n.peers[3]); err != nil {
		t.Error(err)
	}
}

// damaged gives what CheckBlocks finds wrong, by peer.
func damaged(t *testing.T, n *Network) map[string]ChainStatus {
	t.Helper()
	found, err := n.CheckBlocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]ChainStatus{}
	for _, c := range found {
		if c.Damage != "" {
			all[c.Process] = c
		}
	}
	return all
}

// Any one bit of a peer's block files that is another is found, in that peer and in
// no other, and the peer is made whole with what its finding says.
func findsADamagedBlock(t *testing.T, n *Network) {
	p := n.peers[2]
	if all := damaged(t, n); len(all) > 0 {
		t.Fatalf("before anything was damaged: %+v", all)
	}
	if err := n.StopProcess(t.Context(), p.Name); err != nil {
		t.Fatal(err)
	}
	file := blockFiles(n.blockFolder(p))[0]
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	random := rand.New(rand.NewPCG(1, 2))
	for k := range 100 {
		at, bit := random.IntN(len(good)), byte(1)<<random.IntN(8)
		if k == 0 {
			at, bit = 0, 1 // in a length
		}
		bad[at] ^= bit
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if all := damaged(t, n); len(all) != 1 || all[p.Name].Damage == "" {
			t.Errorf("bit %08b of byte %d of %d: %+v", bit, at, len(good), all)
		}
		if k < 99 {
			bad[at] ^= bit
		}
	}
	restore := damaged(t, n)[p.Name].Restore
	if !strings.HasPrefix(restore, "medfed network repair "+p.Organisation.Name) {
		t.Errorf("advice %q", restore)
	}
	began := time.Now()
	if err := n.RepairPeer(t.Context(), p.Organisation.Name); err != nil {
		t.Fatal(err)
	}
	t.Logf("repaired in %.1fs", time.Since(began).Seconds())
	if all := damaged(t, n); len(all) > 0 {
		t.Errorf("after the repair: %+v", all)
	}
	endorses(t, n, p)
	up(t, n)
	statuses(t, n, Healthy)
}

// The folders of a peer, of an orderer and of an IPFS node are deleted while they
// run: Up alone makes them whole, and says what is lost for good.
func healsWhatWasDeleted(t *testing.T, n *Network) {
	peer, orderer, node := n.peers[1], n.orderers[2], n.swarms[0].nodes[2]
	old, err := n.peerID(node)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{peer.Name, orderer.Name, node.Name} {
		if err := os.RemoveAll(n.nodeDir(name)); err != nil {
			t.Fatal(err)
		}
	}
	told := heal(t, n, peer.Name, orderer.Name, node.Name)
	if l := told[peer.Name]; !strings.Contains(l.Lost, "records-"+peer.MSP) || !strings.Contains(l.Lost, "grants-"+peer.MSP) || l.Restore == "" {
		t.Errorf("a custodian's loss is told as %+v", l)
	}
	if l := told[orderer.Name]; l.Lost != "" {
		t.Errorf("an orderer loses nothing for good, told is %+v", l)
	}
	if id, err := n.peerID(node); err != nil || id == old {
		t.Errorf("the node still has peer ID %s: %v", id, err)
	}
	neighboursKnow(t, n)
	endorses(t, n, peer)
	up(t, n)
}

// A repository that somebody has made by hand, with another peer ID and none of
// the network's settings, becomes the network's.
func healsWhatWasMadeByHand(t *testing.T, n *Network) {
	s, node := n.swarms[0], n.swarms[0].nodes[0]
	if err := n.StopProcess(t.Context(), node.Name); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(n.nodeDir(node.Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.tool(t.Context(), n.ipfsEnvironment(s, node), "ipfs", "init"); err != nil {
		t.Fatal(err)
	}
	heal(t, n, node.Name)
	neighboursKnow(t, n)

	// Without its block store a repository is not whole, but its keys are.
	id, err := n.peerID(node)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(n.nodeDir(node.Name) + "/blocks"); err != nil {
		t.Fatal(err)
	}
	heal(t, n, node.Name)
	if again, err := n.peerID(node); err != nil || again != id {
		t.Errorf("peer ID %s became %s: %v", id, again, err)
	}
	neighboursKnow(t, n)
}

// neighboursKnow makes sure that every node, as it runs, keeps connections to
// exactly the peer IDs that the others have now, and exchanges blocks with them.
func neighboursKnow(t *testing.T, n *Network) {
	t.Helper()
	for _, s := range n.swarms {
		ids := map[string]bool{}
		for _, node := range s.nodes {
			id, err := n.peerID(node)
			if err != nil {
				t.Fatal(err)
			}
			ids[id] = true
		}
		for k, node := range s.nodes {
			var kept struct{ Peers []neighbour }
			if err := n.callRPC(t.Context(), node, "swarm/peering/ls", nil, &kept); err != nil {
				t.Fatal(err)
			}
			if len(kept.Peers) != len(s.nodes)-1 || slices.ContainsFunc(kept.Peers, func(p neighbour) bool { return !ids[p.ID] }) {
				t.Errorf("%s keeps %v, the nodes are %v", node.Name, kept.Peers, ids)
			}
			content := t.Name() + node.Name
			cid, other := put(t, n, node, content), s.nodes[(k+1)%len(s.nodes)]
			if status, got := rpc(t, other, bearer(t, n, other), "block/get", url.Values{"arg": {cid}}, nil); status != http.StatusOK || string(got) != content {
				t.Errorf("%s got %q of %s", other.Name, got, node.Name)
			}
		}
	}
}

// endorses makes sure that a peer knows the chaincode and reaches it.
func endorses(t *testing.T, n *Network, p *peer) {
	t.Helper()
	args := []string{"chaincode", "query", "-C", n.consortium.Channel, "-n", n.consortium.Chaincode.Name, "-c", `{"Args":["task:ListTasks","{\"page_size\":1}"]}`}
	if _, err := n.asAdmin(t.Context(), p, args...); err != nil {
		t.Error(err)
	}
}

// A process is found again by its environment when the file that it is written
// down in is empty, damaged or gone, and Down ends it; what only looks like it is
// left alone.
func TestAProcessIsFoundWithoutItsFile(t *testing.T) {
	damages := map[string]func(file string) error{
		"empty":   func(file string) error { return os.Truncate(file, 0) },
		"damaged": func(file string) error { return os.WriteFile(file, []byte(`{"pid":`), 0o600) },
		"gone":    os.Remove,
		"another": func(file string) error { return os.WriteFile(file, []byte(`{"pid": 1, "started": "x"}`), 0o600) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			n := scripted(t, map[string]string{"orderer": forever})
			if err := n.writeRecord(record{Made: n.madeFrom()}); err != nil {
				t.Fatal(err)
			}
			p := &process{name: "orderer1", program: "orderer", dir: n.state}
			stranger := exec.Command("sleep", "600")
			stranger.Env = []string{markVariable + "=" + filepath.Join(t.TempDir(), "run", "orderer1.json")}
			for _, err := range []error{n.launch(p), stranger.Start()} {
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() { _, _ = stranger.Process.Kill(), stranger.Wait() })
			pid, _ := n.current(p.name)
			if err := damage(n.runFile(p.name)); err != nil {
				t.Fatal(err)
			}
			if _, alive := n.current(p.name); alive {
				t.Fatal("the file says that it runs")
			}
			if all, err := n.Status(t.Context()); err != nil || !slices.ContainsFunc(all, func(s ProcessStatus) bool { return s.Name == p.name && s.PID == pid }) {
				t.Errorf("status does not find process %d: %v", pid, err)
			}
			if err := damage(n.runFile(p.name)); err != nil {
				t.Fatal(err)
			}
			if err := n.Down(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, runs := startOf(pid); runs {
				t.Error("down left it running")
			}
			if _, runs := startOf(stranger.Process.Pid); !runs {
				t.Error("another network's process was ended")
			}
		})
	}
}

// The damaged file of a process that is not found is told while something listens
// on its ports, and is no trouble after that.
func TestADamagedFileIsTold(t *testing.T) {
	n := scripted(t, nil)
	n.consortium.BasePort = freeSpan(t, n.consortium.portCount())
	n, err := Open(n.consortium, n.state, n.bin)
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.process("orderer1")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{n.writeRecord(record{Made: n.madeFrom()}), os.WriteFile(n.runFile(p.name), nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", p.ports["orderer"])
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(context.Context) error{n.Down, n.Remove, func(ctx context.Context) error { return n.Up(ctx, nil) }} {
		hasCode(t, do(t.Context()), "MF-NETWORK-RUNFILE", p.name, p.ports["orderer"])
	}
	if err := listener.Close(); err != nil { // as the message says
		t.Fatal(err)
	}
	if err := n.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := n.started(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A process that ran before and does not answer is given up after some questions. Up, which
// the message names, ends it, also by force, and starts it again. One that does not answer
// then either is told.
func TestAProcessThatHangsIsStartedAgain(t *testing.T) {
	n := scripted(t, map[string]string{"server": `trap "" TERM; ` + forever})
	n.consortium.Timeouts.Stop = 500 * time.Millisecond // in vain
	first := 0
	p := &process{name: "server1", program: "server", dir: n.state}
	p.healthy = func(context.Context) error {
		if pid, _ := n.current(p.name); pid == first {
			return context.DeadlineExceeded
		}
		return nil
	}
	t.Cleanup(func() { n.kill(context.WithoutCancel(t.Context()), p.name) })
	if err := n.launch(p); err != nil {
		t.Fatal(err)
	}
	first, _ = n.current(p.name)
	hasCode(t, n.start(t.Context(), []*process{p}, func() {}), "MF-NETWORK-HANGS", p.name, "medfed network up")
	for round, hung := range []bool{true, false} { // as the message says
		l := &losses{printer: printer{t, time.Now()}, all: map[string]Loss{}}
		before, _ := n.current(p.name)
		anew, err := n.startAnew(t.Context(), &reporting{to: l}, []*process{p}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		after, alive := n.current(p.name)
		if _, told := l.all[p.name]; anew != hung || told != hung || !alive || (after != before) != hung {
			t.Errorf("%d: started again: %t, told: %t, runs: %t, process %d and then %d", round, anew, told, alive, before, after)
		}
	}
	n.consortium.Timeouts.Start = 200 * time.Millisecond
	p.healthy = func(context.Context) error { return context.DeadlineExceeded }
	_, err := n.startAnew(t.Context(), &reporting{}, []*process{p}, func() {})
	hasCode(t, err, "MF-NETWORK-PROCESS", p.name)
}

// A full disk is told before anything is started, and with room again it is not.
func TestAFullDiskIsTold(t *testing.T) {
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=72m", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", disk).Run() })
	n, err := Open(loadDefault(t), filepath.Join(disk, "state"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.writeRecord(record{Made: n.madeFrom()}); err != nil {
		t.Fatal(err)
	}
	if err := n.CheckRoom(); err != nil {
		t.Fatalf("with room: %v", err)
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	hasCode(t, n.CheckRoom(), "MF-NETWORK-DISK", disk, "outside of that folder")
	hasCode(t, n.Up(t.Context(), nil), "MF-NETWORK-DISK")
	if err := os.Remove(filler); err != nil { // as the message says
		t.Fatal(err)
	}
	if err := n.CheckRoom(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
