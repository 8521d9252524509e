package node

import (
	"context"
	"slices"
	"sync"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/weights"
)

// retained is up to which round what is no longer kept has been removed.
type retained struct {
	removing        sync.Mutex // held meanwhile
	updates, models int

	mu     sync.Mutex
	stored map[int][]string // CIDs of what this node has stored in a round, for the ledger may not name all
}

func (r *retained) note(round int, cid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stored == nil {
		r.stored = map[int][]string{}
	}
	r.stored[round] = append(r.stored[round], cid)
}

// of is what this node has stored in a round.
func (r *retained) of(round int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.stored[round])
}

func (r *retained) forget(round int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.stored, round)
}

// keepCopies pins, as a master, the updates that were had on the organisation's own IPFS node:
// beside its trainer's, each then has a copy for as long as it is kept.
func (n *Node) keepCopies(ctx context.Context, updates []fl.Update, had []*weights.Weights) {
	store, pins := n.Store.(pinner)
	if !pins {
		return
	}
	for i, update := range updates {
		if had[i] == nil {
			continue
		}
		if err := store.Pin(ctx, update.Model.CID); err != nil && ctx.Err() == nil {
			n.Log.Warn("no copy of an update is kept", "node", update.Node, "error", err)
		}
	}
}

// retain removes from the organisation's IPFS node the updates and global models, its own and
// those that came through it, which a task no longer keeps once a round has closed. What
// fails is tried again after the next round. A node that starts again begins with the first
// round: what is removed already costs a question.
func (n *Node) retain(ctx context.Context, r fl.Retention, closed int) {
	store, removes := n.Store.(remover)
	if !removes || !n.retained.removing.TryLock() {
		return
	}
	defer n.retained.removing.Unlock()
	for round := n.retained.updates + 1; !r.KeepsUpdates(round, closed); round++ {
		if err := n.removeUpdates(ctx, store, round); err != nil {
			n.removalFailed(ctx, "updates", round, err)
			return
		}
		n.retained.updates = round
	}
	for round := n.retained.models + 1; !r.KeepsModel(round, closed); round++ {
		if err := n.removeModel(ctx, store, round); err != nil {
			n.removalFailed(ctx, "the global model", round, err)
			return
		}
		n.retained.models = round
	}
}

func (n *Node) removalFailed(ctx context.Context, what string, round int, err error) {
	if ctx.Err() == nil {
		n.Log.Warn(what+" could not be removed from IPFS", "round", round, "error", err)
	}
}

func (n *Node) removeUpdates(ctx context.Context, store remover, round int) error {
	state, err := n.rounds(round).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: round})
	if err != nil {
		return err
	}
	cids := n.retained.of(round) // an update that came too late, a proposal that others did not take
	for _, update := range state.Updates {
		cids = append(cids, update.Model.CID)
	}
	for _, cid := range cids {
		if global := state.Round.Global; global != nil && cid == global.CID {
			continue
		}
		if err := store.Remove(ctx, cid); err != nil {
			return err
		}
	}
	n.retained.forget(round)
	return nil
}

func (n *Node) removeModel(ctx context.Context, store remover, round int) error {
	state, err := n.rounds(round).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: round})
	if err != nil || state.Round.Global == nil {
		return err
	}
	return store.Remove(ctx, state.Round.Global.CID)
}
