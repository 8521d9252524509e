package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/weights"
)

// score seals this master's scores. The same weights and data give the same
// scores, so they need not be kept until they are revealed.
func (n *Node) score(ctx context.Context, v View, a Action) error {
	scores, err := n.measure(ctx, v)
	if err != nil {
		return err
	}
	hash := fl.ScoresCommitment(n.Task, a.Round, n.ID, scores, n.salt(scoreSalt, a.Round))
	_, err = n.rounds(a.Round).CommitScores(ctx, fl.CommitRequest{Task: n.Task, Round: a.Round, Hash: hash})
	return err
}

// reveal opens what was sealed.
func (n *Node) reveal(ctx context.Context, v View, a Action) error {
	scores, err := n.measure(ctx, v)
	if err != nil {
		return err
	}
	salt := n.salt(scoreSalt, a.Round)
	sealed := slices.IndexFunc(v.Round.Commitments, func(c fl.ScoreCommitment) bool { return c.Master == n.ID })
	opens := func(s []fl.Score) bool {
		return fl.ScoresCommitment(n.Task, a.Round, n.ID, s, salt) == v.Round.Commitments[sealed].Hash
	}
	if scores = asSealed(scores, opens); scores == nil {
		return codes.Errorf("MF-NODE-SEALED", "the scores that %s measures now are not those it sealed in round %d; an update may be out of reach or its data may have changed, see that IPFS and the data are as before", n.ID, a.Round)
	}
	_, err = n.rounds(a.Round).RevealScores(ctx, fl.RevealRequest{Task: n.Task, Round: a.Round, Scores: scores, Salt: salt})
	return err
}

// asSealed finds the scores that open a commitment: those measured now, or those
// with some updates at 0, which were out of reach when they were sealed, by this
// node before it was killed. It is nil when there are none.
func asSealed(scores []fl.Score, opens func([]fl.Score) bool) []fl.Score {
	const mostTries = 1 << 16
	var within []int // scores that can have been 0
	for i, s := range scores {
		if s.Score != 0 && s.Node != fl.PreviousGlobal {
			within = append(within, i)
		}
	}
	for mask := range min(mostTries, 1<<min(len(within), 30)) {
		tried := slices.Clone(scores)
		for bit, i := range within {
			if mask>>bit&1 == 1 {
				tried[i].Score = 0
			}
		}
		if opens(tried) {
			return tried
		}
	}
	return nil
}

// measure scores every update of a round, and the previous global model, on all
// data this master holds: it does not train in the round, so none of it is
// training data of the updates (Hu et al. section 3.2.2, phase 2). An update that
// cannot be fetched, opened, read or evaluated, or that holds NaN or an infinity,
// scores 0.
func (n *Node) measure(ctx context.Context, v View) ([]fl.Score, error) {
	round := v.Round.Round.Number
	candidates := n.models.fetchEach(ctx, v.Round.Updates, round, fetchTime(v))
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	previous, err := n.global(ctx, v.Task, v.Round.Round.Previous, v.Round.Round.PreviousRound, round)
	if err != nil {
		return nil, err
	}
	value, err := n.scoreOf(ctx, v, v.Round.Round.Previous.Digest, previous, fl.PreviousGlobal)
	if err != nil {
		return nil, err // this node's own data or task's terms, not a stranger's weights
	}
	scores := []fl.Score{{Node: fl.PreviousGlobal, Score: value}}
	for i, update := range v.Round.Updates {
		score, err := n.scoreUpdate(ctx, v, update, candidates[i], previous)
		if err != nil {
			return nil, err
		}
		scores = append(scores, fl.Score{Node: update.Node, Score: score})
	}
	n.background.Go(func() { n.keepCopies(ctx, v.Round.Updates, candidates) })
	return fl.SortScores(scores), nil
}

// fetchTime is how long the updates of a phase may take to fetch: half of what
// is left, so that scores can still be sealed when an update is out of reach.
func fetchTime(v View) time.Duration {
	left := time.Unix(v.Round.Round.Deadline, 0).Sub(v.Now)
	return max(time.Second, left/2)
}

// scoreUpdate scores a stranger's weights, nil when there are none. Only the end
// of ctx is an error.
func (n *Node) scoreUpdate(ctx context.Context, v View, update fl.Update, w, previous *weights.Weights) (fl.Micro, error) {
	if w == nil {
		n.Log.Warn("an update scores 0: it cannot be had", "round", v.Round.Round.Number, "node", update.Node)
		return 0, nil
	}
	err := weights.Compatible(fed.Model(previous), w)
	if tensor, ok := w.Finite(); err == nil && !ok {
		err = fmt.Errorf("tensor %q is not finite", tensor)
	}
	var score fl.Micro
	if err == nil {
		score, err = n.scoreOf(ctx, v, update.Model.Digest, w, update.Node)
	}
	if cause := context.Cause(ctx); cause != nil {
		return 0, cause
	}
	if err != nil {
		n.Log.Warn("an update scores 0", "round", v.Round.Round.Number, "node", update.Node, "error", err)
		return 0, nil
	}
	return score, nil
}

// scoreOf evaluates a model on this node's data, once, and gives the task's
// metric in millionths.
func (n *Node) scoreOf(ctx context.Context, v View, digest string, w *weights.Weights, whose string) (fl.Micro, error) {
	if score, known := n.models.score(digest); known {
		return score, nil
	}
	started := time.Now()
	result, err := n.evaluate(ctx, v, w)
	if err != nil {
		return 0, err
	}
	n.journal.write(Span{Round: v.Round.Round.Number, Kind: SpanScoring, Detail: whose, Metrics: &result}, started)
	score := Micro(metricOf(v.Task.Task.Metric, result))
	n.models.remember(digest, score)
	return score, nil
}

// evaluate turns a panic in the arithmetic of a stranger's weights into an error.
func (n *Node) evaluate(ctx context.Context, v View, w *weights.Weights) (result metrics.Result, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("evaluating stopped: %v", fault)
		}
	}()
	return n.Learner.Evaluate(ctx, Spec(v.Task.Task.Terms), fed.Model(w), n.local)
}

func metricOf(metric fl.Metric, r metrics.Result) float64 {
	if metric == fl.MetricAccuracy {
		return r.Accuracy
	}
	return r.AUC
}
