package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
)

const (
	compared       = 2           // peers whose height a refusing one's is held against
	compareTimeout = time.Second // of asking for heights
)

// behind says what a refusal is worth. A peer that has not got all blocks yet refuses
// for want of what others have committed: then the peer that has more of them is
// asked instead. Where that one can't answer, for the question is one organisation's,
// the failure says that it is not there yet, and to ask again.
func (g *Gateway) behind(ctx context.Context, name string, p *peerConnection, failed *failure) (ahead *peerConnection, _ *failure) {
	var refused *Refusal
	if !errors.As(failed.err, &refused) {
		return nil, failed
	}
	asked := append([]*peerConnection{p}, g.answering(p, compared)...)
	heights := g.heights(ctx, asked)
	highest := 0
	for i := range asked {
		if heights[i] > heights[highest] {
			highest = i
		}
	}
	switch {
	case heights[0] == 0 || highest == 0: // not known, or not behind
		return nil, failed
	case slices.Contains(g.peers, asked[highest]):
		g.options.Log.Debug("asking a peer that is ahead", "transaction", name, "behind", p.name, "ahead", asked[highest].name, "error", failed.err)
		return asked[highest], failed
	}
	return nil, &failure{codes.Wrapf("MF-GATEWAY-BEHIND", "%s: peer %s has %d blocks and %s has %d, so what it says may be out of date (%w); ask again when it has caught up",
		name, p.name, heights[0], asked[highest].name, heights[highest], failed.err), again}
}

// answering are so many peers, besides one, that do not hang; those come first that
// may be asked.
func (g *Gateway) answering(besides *peerConnection, most int) []*peerConnection {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*peerConnection
	for _, p := range append(slices.Clone(g.peers), g.others...) {
		if p != besides && !p.hangs && len(all) < most {
			all = append(all, p)
		}
	}
	return all
}

// heights are how many blocks the peers' ledgers have, 0 where one does not say.
func (g *Gateway) heights(ctx context.Context, peers []*peerConnection) []uint64 {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	heights := make([]uint64, len(peers))
	var asking sync.WaitGroup
	for i, p := range peers {
		asking.Go(func() {
			if answer, failed := g.queryLedgerOnce(ctx, p, "GetChainInfo", g.channel); failed == nil {
				heights[i], _ = heightIn(answer)
			}
		})
	}
	asking.Wait()
	return heights
}
