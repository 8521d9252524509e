package node

import (
	"context"
	"fmt"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/weights"
)

// aggregate computes the global model from the accepted updates (Hu et al.
// section 4.3, equation 4) and attests or proposes it.
func (n *Node) aggregate(ctx context.Context, v View, a Action) error {
	global, err := n.combine(ctx, v.Task, *v.Round, a.Round)
	if err != nil {
		return err
	}
	if a.Kind == Attest {
		n.attests = global.Digest()
		_, err = n.rounds(a.Round).AttestGlobal(ctx, fl.AttestRequest{Task: n.Task, Round: a.Round, Digest: global.Digest()})
		return err
	}
	ref, err := n.store(ctx, v, a, global)
	if err != nil {
		return err
	}
	_, err = n.rounds(a.Round).ProposeGlobal(ctx, fl.ProposeRequest{Task: n.Task, Round: a.Round, Model: ref})
	return err
}

// combine aggregates the accepted updates of a round, on behalf of the round
// being worked on.
func (n *Node) combine(ctx context.Context, task fl.TaskState, state fl.RoundState, working int) (*weights.Weights, error) {
	var accepted []fl.Update
	for _, result := range state.Round.Results {
		for _, update := range state.Updates {
			if result.Accepted && update.Node == result.Node {
				accepted = append(accepted, update)
			}
		}
	}
	fetched, err := n.models.fetchAll(ctx, accepted, working)
	if err != nil {
		return nil, err
	}
	previous, err := n.global(ctx, task, state.Round.Previous, state.Round.PreviousRound, working)
	if err != nil {
		return nil, err
	}
	updates := make([]fed.Update, len(accepted))
	for i, update := range accepted {
		updates[i] = fed.Update{ID: update.Node, Weights: fetched[i], NumExamples: update.NumExamples}
	}
	defer n.journal.span(SpanAggregating, working, "")()
	global, err := n.Learner.Aggregate(task.Task.Strategy, previous, updates)
	if err == nil {
		n.models.keep(global.Digest(), global)
	}
	return global, err
}

// global gives a global model, that of round made, or the task's first for 0. One
// that cannot be had from IPFS, because its origin is dead or its proposer lied
// about the CID, is computed again from the updates it was made of: the digest
// that the masters attested decides.
func (n *Node) global(ctx context.Context, task fl.TaskState, ref fl.ModelRef, made, working int) (*weights.Weights, error) {
	w, err := n.models.fetch(ctx, ref, working)
	if err == nil || made == 0 || ctx.Err() != nil {
		return w, err
	}
	n.Log.Warn("computing a global model again that cannot be fetched", "round", made, "error", err)
	state, readErr := n.rounds(working).GetRound(ctx, fl.RoundRequest{Task: n.Task, Round: made})
	if readErr != nil {
		return nil, fmt.Errorf("%w (nor can it be computed again: %w)", err, readErr)
	}
	again, combineErr := n.combine(ctx, task, state, working)
	if combineErr != nil {
		return nil, fmt.Errorf("%w (nor can it be computed again: %w)", err, combineErr)
	}
	if digest := again.Digest(); digest != ref.Digest {
		return nil, codes.Errorf("MF-MODEL-MISMATCH", "the global model of round %d cannot be fetched, and computed again it has the digest %s where the ledger says %s; use the trainer's version that the task's nodes use", made, digest, ref.Digest)
	}
	return again, nil
}

// newestGlobal is the newest global model that a view shows, and the round that
// made it, 0 when none has closed.
func newestGlobal(v View) (fl.ModelRef, int) {
	if v.Round == nil {
		return v.Task.Task.NewestGlobal(nil)
	}
	return v.Task.Task.NewestGlobal(&v.Round.Round)
}

// attend does, beside the steps, what a new global model calls for: a coordinator
// with a test split measures it for the journal, a master that attested it pins a
// copy on its own IPFS node, and from that node goes what is no longer kept.
func (n *Node) attend(ctx context.Context, v View) {
	ref, made := newestGlobal(v)
	if made == 0 {
		return
	}
	if n.Test.Len() > 0 && made > n.measured {
		n.measured = made
		n.background.Go(func() { n.report(ctx, v, ref, made) })
	}
	if made > n.cleared {
		n.cleared = made
		n.background.Go(func() { n.retain(ctx, v.Task, made) })
	}
	store, pins := n.Store.(pinner)
	attested := n.attests == ref.Digest || made == v.Round.Round.Number && v.attested(Me{ID: n.ID}) == ref.Digest
	if pins && made > n.pinned && attested {
		n.pinned = made
		n.background.Go(func() {
			if err := store.Pin(ctx, ref.CID); err != nil && ctx.Err() == nil {
				n.Log.Warn("the global model was not pinned", "round", made, "error", err)
			}
		})
	}
}

// report measures a global model on the test split.
func (n *Node) report(ctx context.Context, v View, ref fl.ModelRef, made int) {
	result, started, err := metrics.Result{}, time.Now(), error(nil)
	w, err := n.global(ctx, v.Task, ref, made, made)
	if err == nil {
		started = time.Now()
		result, err = n.Learner.Evaluate(ctx, Spec(v.Task.Task.Terms), fed.Model(w), n.Test)
	}
	if err != nil {
		if ctx.Err() == nil {
			n.Log.Warn("the global model was not measured", "round", made, "error", err)
		}
		return
	}
	n.journal.write(Span{Round: made, Kind: SpanEvaluation, Detail: "test " + ref.Digest, Metrics: &result}, started)
	n.Log.Info("global model", "round", made, "accuracy", result.Accuracy, "auc", result.AUC)
}
