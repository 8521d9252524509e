package network

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
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
