package node

import (
	"context"
	"math"
	"slices"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// perform does one step on the view it was decided on. A step of a round ends
// when its time is over or an event says that the round has moved on.
func (n *Node) perform(ctx context.Context, v View, a Action) error {
	switch a.Kind {
	case Join:
		terms := v.Task.Task.Terms
		request := fl.JoinRequest{
			Task: n.Task, Recipient: n.Identity.Recipient(), Commitment: fl.SaltCommitment(n.Task, n.ID, n.salt(beaconSalt, 0)),
			Dataset: n.dataset(terms), Examples: n.examples(terms), Budget: n.budget(terms),
		}
		_, err := n.tasks(a.Round).JoinTask(ctx, request)
		return err
	case Start:
		return n.start(ctx, v, a)
	case RevealSalt:
		_, err := n.tasks(a.Round).RevealSalt(ctx, fl.RevealSaltRequest{Task: n.Task, Salt: n.salt(beaconSalt, 0)})
		return err
	case OpenRound, CloseTraining, CloseCommits, Tally, CloseRound:
		_, err := moves[a.Kind](n.rounds(a.Round), ctx, fl.RoundRequest{Task: n.Task, Round: a.Round})
		return err
	}
	ctx, done := n.running.begin(ctx, v, a)
	defer done()
	var err error
	switch a.Kind {
	case Train:
		err = n.train(ctx, v, a)
	case Score:
		err = n.score(ctx, v, a)
	case Reveal:
		err = n.reveal(ctx, v, a)
	case Attest, Propose:
		err = n.aggregate(ctx, v, a)
	case Wait:
		n.prepare(ctx, v)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// start encrypts the first model, which only the coordinator could open so far,
// to all nodes that have joined.
func (n *Node) start(ctx context.Context, v View, a Action) error {
	first, err := n.models.fetch(ctx, v.Task.Task.Initial, 0)
	if err != nil {
		return err
	}
	ref, err := n.models.put(ctx, first, Recipients(v.Task), 0, n.pinName(0))
	if err != nil {
		return err
	}
	_, err = n.tasks(a.Round).StartTask(ctx, fl.StartRequest{Task: n.Task, First: ref, Nodes: len(v.Task.Nodes)})
	return err
}

// moves are the transactions that move a round on.
var moves = map[Kind]func(gateway.Rounds, context.Context, fl.RoundRequest) (fl.Round, error){
	OpenRound:     gateway.Rounds.OpenRound,
	CloseTraining: gateway.Rounds.CloseTraining,
	CloseCommits:  gateway.Rounds.CloseCommits,
	Tally:         gateway.Rounds.Tally,
	CloseRound:    gateway.Rounds.CloseRound,
}

// made is what this node made for the round it is in, so that a failed submit
// does not cost a second training or a second copy in IPFS.
type made struct {
	round   int
	trained *weights.Weights
	failed  error // of a training that would fail again
	stored  map[Kind]fl.ModelRef
	tried   map[string]bool // digests that prepare has tried to get
}

// in forgets what was made for other rounds.
func (m *made) in(round int) *made {
	if m.round != round {
		*m = made{round: round, stored: map[Kind]fl.ModelRef{}, tried: map[string]bool{}}
	}
	return m
}

// train makes this node's update from the previous global model (Hu et al.
// section 4.2) and submits it.
func (n *Node) train(ctx context.Context, v View, a Action) error {
	made := n.made.in(a.Round)
	if made.failed != nil {
		return made.failed
	}
	if made.trained == nil {
		if err := n.afford(ctx, v); err != nil {
			return err
		}
		start, err := n.global(ctx, v.Task, v.Round.Round.Previous, v.Round.Round.PreviousRound, a.Round)
		if err != nil {
			return err
		}
		if made.trained, err = n.fit(ctx, v.Task.Task.Terms, start, a.Round); err != nil {
			if ctx.Err() == nil { // it is deterministic
				made.failed = err
			}
			return err
		}
		if n.Tamper != nil {
			made.trained = n.Tamper(a.Round, made.trained)
		}
	}
	ref, err := n.store(ctx, v, a, made.trained)
	if err != nil {
		return err
	}
	_, err = n.rounds(a.Round).SubmitUpdate(ctx, fl.UpdateRequest{Task: n.Task, Round: a.Round, Model: ref, NumExamples: int64(n.Train.Len())})
	return err
}

func (n *Node) fit(ctx context.Context, terms fl.Terms, start *weights.Weights, round int) (*weights.Weights, error) {
	defer n.journal.span(SpanTraining, round, "")()
	strategy, err := fed.Parse(terms.Strategy)
	if err != nil {
		return nil, err
	}
	options := TrainOptions(terms.Training, strategy, round, trainingSeed(terms.Training.Seed, round, n.ID))
	if terms.Privacy.On() {
		return n.Learner.TrainPrivately(ctx, Spec(terms), fed.Model(start), n.Train, options, PrivateOptions(terms.Privacy, n.noise(round)))
	}
	return n.Learner.Train(ctx, Spec(terms), fed.Model(start), n.Train, options)
}

// store puts what a step made into IPFS, once a round.
func (n *Node) store(ctx context.Context, v View, a Action, w *weights.Weights) (fl.ModelRef, error) {
	made := n.made.in(a.Round)
	if ref, done := made.stored[a.Kind]; done {
		return ref, nil
	}
	ref, err := n.models.put(ctx, w, Recipients(v.Task), a.Round, n.pinName(a.Round))
	if err == nil {
		made.stored[a.Kind] = ref
	}
	return ref, err
}

// Recipients are all who may read a task's weights: its nodes and its
// coordinator, the task's cluster of trust.
func Recipients(t fl.TaskState) []string {
	all := []string{t.Task.Recipient}
	for _, node := range t.Nodes {
		all = append(all, node.Recipient)
	}
	return all
}

// Spec is the architecture that a task's terms name.
func Spec(t fl.Terms) model.Spec {
	return model.Spec{Name: t.Model, Channels: t.Channels, Size: t.ImageSize, Classes: t.Classes}
}

// Input is how the terms have an image become numbers. Terms that are older than their
// Input mean what their architecture has.
func Input(t fl.Terms) dataset.Input {
	if !t.Input.Given() {
		return Spec(t).Input().Whole(t.Channels)
	}
	in := dataset.Input{
		Window:    dataset.Window{Low: Float(t.Input.WindowLow), High: Float(t.Input.WindowHigh)},
		OwnWindow: t.Input.OwnWindow, Inverted: t.Input.Inverted, Fit: dataset.Fit(t.Input.Fit),
	}
	for c := range t.Input.Mean {
		in.Mean, in.Std = append(in.Mean, Float(t.Input.Mean[c])), append(in.Std, Float(t.Input.Std[c]))
	}
	return in
}

// InputOnLedger is the ledger's form of an Input that leaves nothing out: in millionths,
// rounded to the nearest.
func InputOnLedger(in dataset.Input) fl.Input {
	micro := func(v float64) fl.Micro { return fl.Micro(math.Round(v * float64(fl.One))) }
	out := fl.Input{WindowLow: micro(in.Window.Low), WindowHigh: micro(in.Window.High), OwnWindow: in.OwnWindow, Inverted: in.Inverted, Fit: string(in.Fit)}
	for c := range in.Mean {
		out.Mean, out.Std = append(out.Mean, micro(in.Mean[c])), append(out.Std, micro(in.Std[c]))
	}
	return out
}

// prepare uses the time a node has to wait for what its next steps need: everyone
// fetches a new global model, and a master scores the updates that are in. Each
// is tried once; what fails is tried, and reported, when it is needed.
func (n *Node) prepare(ctx context.Context, v View) {
	if v.Round == nil || n.Coordinator {
		return
	}
	tried := n.made.in(v.Round.Round.Number).tried
	fetch := func(ref fl.ModelRef) *weights.Weights {
		if tried[ref.Digest] {
			return n.models.find(ref.Digest)
		}
		tried[ref.Digest] = true
		w, err := n.models.fetch(ctx, ref, v.Round.Round.Number)
		if err != nil {
			n.Log.Debug("a model is not yet to be had", "digest", ref.Digest, "error", err)
		}
		return w
	}
	ref, _ := newestGlobal(v)
	global := fetch(ref)
	if global == nil || v.Round.Round.Phase != fl.RoundTraining || !slices.Contains(v.Round.Round.Masters, n.ID) {
		return
	}
	if _, err := n.scoreOf(ctx, v, ref.Digest, global, fl.PreviousGlobal); err != nil {
		return
	}
	for _, update := range v.Round.Updates {
		if tried[update.Model.Digest] {
			continue
		}
		if w := fetch(update.Model); w != nil {
			_, _ = n.scoreUpdate(ctx, v, update, w, global) // remembered
		}
	}
}
