package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/collections"
)

// FabricVersion is the release of Fabric that the network runs;
// network/tools/servers/go.mod pins its commit.
const FabricVersion = "3.1.1"

// Network is a consortium with the folder its state lies in. Its methods may be
// called from several goroutines and from several programs at once.
type Network struct {
	consortium *Consortium
	state      string // absolute
	bin        string // absolute

	orderers    []*orderer
	peers       []*peer
	authorities []*authority // one for each organisation, in the consortium's order
	swarms      []*swarm
	chaincode   []byte // the package
	processes   []*process
}

// Open binds a consortium to the folder of its state and the folder with the
// servers' programs. It reads and writes nothing. Code: MF-NETWORK-CONSORTIUM.
func Open(c *Consortium, stateDir, binDir string) (*Network, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, codes.Wrapf("MF-NETWORK-CONSORTIUM", "%w; correct consortium.yaml", err)
	}
	state, err := filepath.Abs(stateDir)
	if err != nil || stateDir == "" {
		return nil, codes.Wrapf("MF-NETWORK-STATE", "no state folder (%w); name one", err)
	}
	bin, err := filepath.Abs(binDir)
	if err != nil {
		return nil, codes.Wrapf("MF-NETWORK-BINARY", "%w; name the folder of programs by its absolute path", err)
	}
	n := &Network{consortium: c, state: state, bin: bin}
	n.orderers, n.peers, n.authorities, n.swarms = n.newOrderers(), n.newPeers(), n.newAuthorities(), n.newSwarms()
	n.chaincode = n.newPackage()
	n.processes = append(n.processes, n.rotationProcess())
	for _, p := range n.peers {
		n.processes = append(n.processes, n.peerProcess(p))
	}
	for _, p := range n.peers {
		n.processes = append(n.processes, n.serviceProcess(p))
	}
	for _, o := range n.orderers {
		n.processes = append(n.processes, n.ordererProcess(o))
	}
	for _, a := range n.authorities {
		n.processes = append(n.processes, n.authorityProcess(a))
	}
	if garbage := n.garbageProcess(); len(garbage.args) > 2 { // there are IPFS nodes
		n.processes = append(n.processes, garbage)
	}
	for _, s := range n.swarms {
		for _, node := range s.nodes {
			n.processes = append(n.processes, n.ipfsProcess(s, node))
		}
	}
	return n, nil
}

// Consortium is the description the network is made from.
func (n *Network) Consortium() *Consortium { return n.consortium }

// StateDir is the absolute path of the folder the network's state lies in.
func (n *Network) StateDir() string { return n.state }

// BinDir is the absolute path of the folder of the servers' programs.
func (n *Network) BinDir() string { return n.bin }

// record is what network.json says: how far the network has been made.
type record struct {
	Made       string `json:"made"`       // digest of what certificates, channel and configurations were made from
	Joined     bool   `json:"joined"`     // orderers and peers have joined, the package is installed
	Definition string `json:"definition"` // digest of the committed chaincode definition
	Sequence   int    `json:"sequence"`   // of that definition
	Ready      bool   `json:"ready"`      // every gateway has committed a transaction since the last start
}

func (n *Network) recordFile() string { return n.path("network.json") }

// readRecord gives the empty record for a network that has not been made.
func (n *Network) readRecord() (record, error) {
	var r record
	raw, err := os.ReadFile(n.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, n.recordLost(err)
	}
	return r, nil
}

// recordLost says that network.json is gone or damaged, and how it is made whole:
// Up finds out all but whether consortium.yaml is the same.
func (n *Network) recordLost(cause error) error {
	return codes.Wrapf("MF-NETWORK-STATE", "%s can't be read (%w); the ledgers and keys beside it are whole, so remove nothing: if consortium.yaml is the one that this network was made from, write {\"made\":%q} into that file, and medfed network up finds out the rest", n.recordFile(), cause, n.madeFrom())
}

func (n *Network) writeRecord(r record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(n.recordFile(), raw, 0o600); err != nil {
		return n.stateError(err)
	}
	return nil
}

// layoutVersion changes when the software makes a state folder in another way,
// so that it does not go on with one it no longer understands.
const layoutVersion = 2

// madeFrom is the digest of what can't change once a network has been made. The
// chaincode's definition can, and identities can be added.
func (n *Network) madeFrom() string {
	fixed := *n.consortium
	fixed.Chaincode = Chaincode{Name: n.consortium.Chaincode.Name}
	fixed.Collections = collections.Settings{}
	fixed.Timeouts = Timeouts{}
	fixed.Organisations = nil
	for _, o := range n.consortium.Organisations {
		o.Identities = nil
		fixed.Organisations = append(fixed.Organisations, o)
	}
	return digest(layoutVersion, n.state, fixed)
}

// mustBeMade refuses a state folder that holds no network, or that of another
// consortium.
func (n *Network) mustBeMade() error {
	r, err := n.readRecord()
	if err != nil {
		return err
	}
	if r.Made == "" {
		return codes.Errorf("MF-NETWORK-DOWN", "the network has never been up; bring it up with medfed network up")
	}
	return n.mustBeOurs(r)
}

// mustBeOurs refuses what was made from another description.
func (n *Network) mustBeOurs(r record) error {
	if r.Made == "" || r.Made == n.madeFrom() {
		return nil
	}
	return codes.Errorf("MF-NETWORK-CHANGED", "%s was made from another consortium.yaml or by another version of medfed, or was moved; restore that, or give this network up: medfed network down --remove deletes its ledgers, its certificates and everybody's keys for good, and medfed network up makes a new one", n.state)
}

func digest(parts ...any) string {
	raw, _ := json.Marshal(parts) // plain data
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// begin makes the state folder, locks it, and marks it as this software's before
// anything is made or removed in it. It refuses a folder that holds something
// else.
func (n *Network) begin(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(n.state, 0o700); err != nil {
		return nil, n.stateError(err)
	}
	entries, err := os.ReadDir(n.state)
	if err != nil {
		return nil, n.stateError(err)
	}
	if !n.made() && exists(n.genesisBlock()) {
		return nil, n.recordLost(fs.ErrNotExist)
	}
	for _, entry := range entries {
		if !n.made() && entry.Name() != locks {
			return nil, codes.Errorf("MF-NETWORK-STATE", "%s holds %s and is no network's; name an empty or a new folder", n.state, entry.Name())
		}
	}
	unlock, err = n.lock(ctx, wholeNetwork)
	if err != nil || n.made() {
		return unlock, err
	}
	if err := n.writeRecord(record{}); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// take locks the network for what concerns every process, and finds those that run
// though what is written down of them is lost.
func (n *Network) take(ctx context.Context) (unlock func(), err error) {
	if unlock, err = n.lock(ctx, wholeNetwork); err != nil {
		return nil, err
	}
	if err := n.findAgain(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// takePeer is take for the work on one organisation's peer.
func (n *Network) takePeer(ctx context.Context, org string) (p *peer, unlock func(), err error) {
	if p, err = n.peerOf(org); err != nil {
		return nil, nil, err
	}
	if err := n.mustBeMade(); err != nil {
		return nil, nil, err
	}
	unlock, err = n.take(ctx)
	return p, unlock, err
}

// made says whether the state folder has the record of a network.
func (n *Network) made() bool { return exists(n.recordFile()) }

// holdsNetwork says whether the state folder is a network's, even one that has
// lost its record.
func (n *Network) holdsNetwork() bool { return n.made() || exists(n.genesisBlock()) }

// lock takes a lock that other programs respect, waits for it while the context
// lives, and returns what releases it.
func (n *Network) lock(ctx context.Context, name string) (unlock func(), err error) {
	path := n.path(locks, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, n.stateError(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, n.stateError(err)
	}
	err = poll(ctx, func() (bool, error) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

const (
	// locks is the folder of the locks.
	locks = "locks"
	// wholeNetwork is the lock of what concerns every process.
	wholeNetwork = "network"
)
