package network

import (
	"context"
	"os"

	"github.com/medfed/medfed/chaincode/codes"
)

// RejoinPeer takes from a member's peer everything it has stored, as the loss of
// its disk would, and has it join the channel again: it gets the blocks from the
// orderers and its collections' values from the other members that hold them.
// What it alone held is lost, a hospital's own collections among it, and costs a
// second for each block that wrote some. It returns when the peer's gateway has committed a
// transaction. Name is that of the peer's process. The network must be up.
//
// Codes: MF-NETWORK-UNKNOWN (no such peer), MF-NETWORK-PROCESS, MF-NETWORK-TOOL,
// MF-NETWORK-READY, MF-NETWORK-STATE.
func (n *Network) RejoinPeer(ctx context.Context, name string) error {
	p, err := n.peer(name)
	if err != nil {
		return err
	}
	unlock, err := n.lock(ctx, wholeNetwork)
	if err != nil {
		return err
	}
	defer unlock()
	if err := n.stop(ctx, p.Name); err != nil {
		return err
	}
	for _, folder := range []string{p.Data, p.Snapshots} {
		if err := os.RemoveAll(folder); err != nil {
			return n.stateError(err)
		}
	}
	if err := n.StartProcess(ctx, p.Name); err != nil {
		return err
	}
	if err := n.joinPeer(ctx, p); err != nil {
		return err
	}
	if err := n.install(ctx, p); err != nil {
		return err
	}
	if err := n.awaitSameHeight(ctx); err != nil {
		return err
	}
	return n.awaitGateway(ctx, p)
}

func (n *Network) peer(name string) (*peer, error) {
	var known []string
	for _, p := range n.peers {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return nil, codes.Errorf("MF-NETWORK-UNKNOWN", "there is no peer %q; it is one of %v", name, known)
}
