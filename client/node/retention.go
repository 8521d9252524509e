package node

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/trainer/weights"
)

// retained is up to which round what is no longer kept has been removed.
type retained struct {
	removing        sync.Mutex // held meanwhile
	updates, models int
	stray           int // before which round what the ledger does not name has been looked for
}

// pinPrefix begins the names of this node's pins for its task.
func (n *Node) pinPrefix() string { return fmt.Sprintf("medfed/%s/%.16s/", n.Task, form.Digest(n.ID)) }

// pinName is the name under which a node pins what it has made in a round, 0 for the first
// model. The ledger may never hear of it: a node is killed before it has submitted, an update
// comes too late, others take another proposal.
func (n *Node) pinName(round int) string { return n.pinPrefix() + strconv.Itoa(round) }

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
func (n *Node) retain(ctx context.Context, task fl.TaskState, closed int) {
	store, removes := n.Store.(remover)
	if !removes || !n.retained.removing.TryLock() {
		return
	}
	defer n.retained.removing.Unlock()
	r := task.Task.Retention
	if err := n.removeStray(ctx, store, task, closed); err != nil {
		n.removalFailed(ctx, "what the ledger does not name", closed, err)
	}
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

// removeStray removes what this node has stored in rounds that are over and the ledger does
// not name; a proposal that others did not take goes with the updates of its round.
func (n *Node) removeStray(ctx context.Context, store remover, task fl.TaskState, closed int) error {
	pins, names := n.Store.(namer)
	if !names {
		return nil
	}
	named, err := pins.Named(ctx, n.pinPrefix())
	if err != nil {
		return err
	}
	of := map[int][]string{}
	for cid, name := range named {
		round, err := strconv.Atoi(strings.TrimPrefix(name, n.pinPrefix()))
		seen := round < n.retained.stray && task.Task.Retention.KeepsUpdates(round, closed)
		if err == nil && round <= closed && !seen {
			of[round] = append(of[round], cid)
		}
	}
	for round, cids := range of {
		kept, err := n.namedOnLedger(ctx, task, round, closed)
		if err != nil {
			return err
		}
		for _, cid := range cids {
			if kept[cid] {
				continue
			}
			if err := store.Remove(ctx, cid); err != nil {
				return err
			}
		}
	}
	n.retained.stray = closed + 1
	return nil
}

// namedOnLedger is what the ledger names of a round, by CID, its updates and proposals only
// as long as they are kept.
func (n *Node) namedOnLedger(ctx context.Context, task fl.TaskState, round, closed int) (map[string]bool, error) {
	if round == 0 {
		return map[string]bool{task.Task.Initial.CID: true, task.Task.First.CID: true}, nil
	}
	state, err := n.rounds(round).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: round})
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	if state.Round.Global != nil {
		kept[state.Round.Global.CID] = true
	}
	if task.Task.Retention.KeepsUpdates(round, closed) {
		for _, update := range state.Updates {
			kept[update.Model.CID] = true
		}
		for _, proposal := range state.Proposals {
			kept[proposal.Model.CID] = true
		}
	}
	return kept, nil
}

func (n *Node) removeUpdates(ctx context.Context, store remover, round int) error {
	state, err := n.rounds(round).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: round})
	if err != nil {
		return err
	}
	for _, update := range state.Updates {
		if global := state.Round.Global; global != nil && update.Model.CID == global.CID {
			continue
		}
		if err := store.Remove(ctx, update.Model.CID); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) removeModel(ctx context.Context, store remover, round int) error {
	state, err := n.rounds(round).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: round})
	if err != nil || state.Round.Global == nil {
		return err
	}
	return store.Remove(ctx, state.Round.Global.CID)
}
