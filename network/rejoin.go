package network

import (
	"context"
	"os"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// RejoinPeer takes from an organisation's peer everything it has stored, as the
// loss of its disk would, and has it join the channel again: it gets the blocks
// from the orderers and its collections' values from the other members that hold
// them. What it alone held is lost, a hospital's own collections among it. Orderers,
// peers and chaincode services that do not run are started. It returns when the peer's gateway has
// committed a transaction; the report, which may be nil, hears what is lost.
//
// Codes: MF-NETWORK-UNKNOWN (no such organisation, or it has no peer),
// MF-NETWORK-DOWN (the network has never been up), MF-NETWORK-CHANGED,
// MF-NETWORK-PROCESS, MF-NETWORK-TOOL, MF-NETWORK-READY, MF-NETWORK-STATE.
func (n *Network) RejoinPeer(ctx context.Context, org string, report Reporter) error {
	p, unlock, err := n.takePeer(ctx, org)
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
	lost, err := n.lostChains(ctx)
	if err != nil {
		return err
	}
	if err := n.start(ctx, n.ledgerServers(), func() {}); err != nil {
		return err
	}
	return n.rejoin(ctx, &reporting{to: report}, lost)
}

// peerOf is an organisation's own peer.
func (n *Network) peerOf(org string) (*peer, error) {
	a, err := n.authority(org)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(n.peers, func(p *peer) bool { return p.Organisation == a.Organisation })
	if i < 0 {
		return nil, codes.Errorf("MF-NETWORK-UNKNOWN", "%s is a %s and runs no peer; name a hospital or a research centre", org, a.Organisation.Kind)
	}
	return n.peers[i], nil
}
