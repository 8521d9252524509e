package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

func TestTaskFromJoiningToTheLastGlobalModel(t *testing.T) {
	w := newWorld(t, nil)
	w.run(w.nodes...)
	w.wantCompleted()
	for number := 1; number <= w.terms.Rounds; number++ {
		r := w.round(number)
		if len(r.Updates) != 5 || len(r.Reveals) != 4 || len(r.Proposals) != 1 || len(r.Attestations) < 3 {
			t.Errorf("round %d: %d updates, %d reveals, %d proposals, %d attestations", number, len(r.Updates), len(r.Reveals), len(r.Proposals), len(r.Attestations))
		}
		for _, reveal := range r.Reveals {
			if len(reveal.Scores) != 6 {
				t.Errorf("round %d: %s scored %d models of 6", number, reveal.Master, len(reveal.Scores))
			}
		}
		for _, update := range r.Updates {
			if w.files.pins[update.Model.CID] < 1 {
				t.Errorf("no master keeps a copy of the update of %s in round %d", update.Node, number)
			}
		}
		if w.files.pins[r.Round.Global.CID] < 1 {
			t.Errorf("nobody pinned the global model of round %d", number)
		}
	}
	for cid, gets := range w.files.gets {
		if gets > len(w.nodes) {
			t.Errorf("%s was fetched %d times by %d nodes", cid, gets, len(w.nodes))
		}
	}
	w.wantJournals()
}

// wantJournals checks that what took time is in the journals.
func (w *world) wantJournals() {
	w.t.Helper()
	kinds := map[string]int{}
	for _, id := range w.nodes {
		for _, s := range w.spans(id) {
			kinds[s.Kind]++
			if s.Node != id || s.Task != "t" || s.Seconds < 0 || s.Time.IsZero() {
				w.t.Errorf("%+v", s)
			}
			if s.Kind == SpanEvaluation && (s.Metrics == nil || s.Metrics.NumExamples != 4 || s.Round < 1) {
				w.t.Errorf("%+v", s)
			}
		}
	}
	for _, kind := range []string{SpanTraining, SpanScoring, SpanAggregating, SpanIPFS, SpanLedger} {
		if kinds[kind] < w.terms.Rounds {
			w.t.Errorf("%d spans of %s", kinds[kind], kind)
		}
	}
	if kinds[SpanEvaluation] != w.terms.Rounds {
		w.t.Errorf("%d evaluations of %d global models", kinds[SpanEvaluation], w.terms.Rounds)
	}
}

// killer ends a node at one of its calls: before the call has any effect, or
// after, when its answer is lost.
type killer struct {
	strike func(step string) (before, after bool)
	kill   context.CancelCauseFunc
}

var errKilled = errors.New("killed")

func (k *killer) around(step string, call func() error) error {
	before, after := k.strike(step)
	if before {
		k.kill(errKilled)
		return errKilled
	}
	err := call()
	if after {
		k.kill(errKilled)
		return errKilled
	}
	return err
}

// mortal* pass a node's calls through its killer.
type mortalLedger struct {
	Ledger
	*killer
}

func (m mortalLedger) Submit(ctx context.Context, transaction string, request, result any) error {
	argument, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var in struct{ Round int }
	if err := json.Unmarshal(argument, &in); err != nil {
		return err
	}
	return m.around(fmt.Sprintf("%s %d", transaction, in.Round), func() error { return m.Ledger.Submit(ctx, transaction, request, result) })
}

type mortalStore struct {
	Store
	*killer
}

func (m mortalStore) Add(ctx context.Context, r io.Reader) (cid string, err error) {
	err = m.around("add", func() error { cid, err = m.Store.Add(ctx, r); return err })
	return cid, err
}

func (m mortalStore) Get(ctx context.Context, cid string) (r io.ReadCloser, err error) {
	err = m.around("get "+cid, func() error { r, err = m.Store.Get(ctx, cid); return err })
	return r, err
}

type mortalLearner struct {
	Learner
	*killer
}

func (m mortalLearner) Train(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions) (w *weights.Weights, err error) {
	err = m.around(fmt.Sprint("train ", o.Seed), func() error { w, err = m.Learner.Train(ctx, spec, start, data, o); return err })
	return w, err
}

func (m mortalLearner) Evaluate(ctx context.Context, spec model.Spec, w *weights.Weights, data dataset.Split) (r metrics.Result, err error) {
	err = m.around("evaluate "+w.Digest(), func() error { r, err = m.Learner.Evaluate(ctx, spec, w, data); return err })
	return r, err
}

// runMortal runs all nodes and starts each anew, with nothing but its keys and
// data, when it is killed.
func (w *world) runMortal(strike func(id, step string) (before, after bool)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 9*time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for _, id := range w.nodes {
		group.Go(func() {
			for w.liveOnce(ctx, id, strike) {
			}
		})
	}
	group.Wait()
	w.wantCompleted()
}

// liveOnce runs a node until it is killed, which it reports, or its task is over.
func (w *world) liveOnce(ctx context.Context, id string, strike func(id, step string) (before, after bool)) (killed bool) {
	life, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	k := &killer{func(step string) (before, after bool) { return strike(id, step) }, kill}
	c := w.config(id)
	c.Ledger, c.Store, c.Learner = mortalLedger{c.Ledger, k}, mortalStore{c.Store, k}, mortalLearner{c.Learner, k}
	n, err := New(c)
	if err == nil {
		err = n.Run(life)
	}
	if errors.Is(context.Cause(life), errKilled) {
		return true
	}
	if err != nil {
		w.t.Errorf("%s: %v", id, err)
	}
	return false
}

// Case29 of the checklist: kill a client between any two steps and it resumes,
// with nothing doubled. Here every node is killed at every one of its steps: the
// first time before the step has an effect, the second time after, when only the
// answer is lost.
func TestCase29KilledAtEveryStepItResumes(t *testing.T) {
	w := newWorld(t, nil)
	var mu sync.Mutex
	times, kills := map[string]int{}, 0
	w.runMortal(func(id, step string) (before, after bool) {
		mu.Lock()
		defer mu.Unlock()
		key := id + " " + step
		times[key]++
		if times[key] <= 2 {
			kills++
		}
		return times[key] == 1, times[key] == 2
	})
	if kills < 20*len(w.nodes) {
		t.Errorf("%d kills of %d nodes are too few for every step", kills, len(w.nodes))
	}
	t.Logf("%d kills", kills)
}

func TestNodesKilledAtRandomAllTheTime(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 1 })
		var mu sync.Mutex
		chance := rand.New(rand.NewPCG(seed, 0))
		w.runMortal(func(string, string) (before, after bool) {
			mu.Lock()
			defer mu.Unlock()
			return chance.Float64() < 0.15, chance.Float64() < 0.15
		})
	}
}

// The coordinator starts the task and is never seen again.
func TestTaskWithoutItsCoordinator(t *testing.T) {
	w := newWorld(t, nil)
	w.configure = func(c *Config) { c.Poll, c.Stagger = 200*time.Millisecond, 200*time.Millisecond }
	w.onEvent(func(r fl.RoundState) {
		if r.Round.Phase == fl.RoundAggregating && len(r.Attestations) == len(r.Round.Masters) {
			w.chain.jump(r.Round.Deadline)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		n, err := New(w.config(w.coordinator()))
		if err == nil {
			err = n.Run(ctx)
		}
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	events := w.account(w.coordinator()).Events(t.Context(), nil)
	group.Go(func() {
		for event := range events {
			if event.Name == "task:StartTask" {
				cancel()
				return
			}
		}
	})
	w.run(w.trainers()...)
	group.Wait()
	w.wantCompleted()
	for number := 1; number <= w.terms.Rounds; number++ {
		if by := w.round(number).Proposals[0].Proposer; by == w.coordinator() {
			t.Errorf("round %d was proposed by the dead coordinator", number)
		}
	}
}

// Case31 of the checklist: a trainer that never answers does not hold up a round
// beyond its deadline.
func TestCase31ATrainerThatNeverAnswers(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 3 })
	silent := w.nodes[3]
	w.configure = func(c *Config) {
		if c.ID == silent {
			c.Ledger = muted{c.Ledger}
		}
	}
	// Only a phase that waits for the silent node may be cut short: any other may
	// have ended since its state was read, and the next deadline would pass with it.
	waiting := func(ids []string, spoken int) bool {
		return slices.Contains(ids, silent) && spoken == len(ids)-1
	}
	w.onEvent(func(r fl.RoundState) {
		training := r.Round.Phase == fl.RoundTraining && waiting(r.Round.Trainers, len(r.Updates))
		committing := r.Round.Phase == fl.RoundCommitting && waiting(r.Round.Masters, len(r.Commitments))
		if training || committing {
			w.chain.jump(r.Round.Deadline)
		}
	})
	w.run(w.nodes...)
	w.wantCompleted()
	for number := 1; number <= w.terms.Rounds; number++ {
		r := w.round(number)
		if slices.ContainsFunc(r.Updates, func(u fl.Update) bool { return u.Node == silent }) || slices.ContainsFunc(r.Reveals, func(r fl.Reveal) bool { return r.Master == silent }) {
			t.Errorf("the silent node spoke in round %d", number)
		}
	}
}

// muted joins and reveals, and has nothing to say in a round.
type muted struct{ Ledger }

func (m muted) Submit(ctx context.Context, transaction string, request, result any) error {
	if transaction[:5] == "round" {
		return codes.Errorf("MF-GATEWAY-UNREACHABLE", "the wire is cut; mend it")
	}
	return m.Ledger.Submit(ctx, transaction, request, result)
}

// Case25 of the checklist, from the clients' side: weights poisoned from the first
// round on are rejected by the median, and their sender is not elected.
func TestCase25PoisonedUpdatesAreRejected(t *testing.T) {
	nan := float32(math.NaN())
	for name, poison := range map[string]func(i int, v float32) float32{
		"sign":     func(_ int, v float32) float32 { return -v },
		"times100": func(_ int, v float32) float32 { return 100 * v },
		"nan": func(i int, v float32) float32 { // one is enough, and the digest differs each round
			if i == 0 {
				return nan
			}
			return v
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 4 })
			villain := w.nodes[2]
			w.configure = func(c *Config) {
				if c.ID == villain {
					c.Tamper = func(_ int, w *weights.Weights) *weights.Weights {
						bad := w.Clone()
						for i, v := range bad.Tensors[0].Data {
							bad.Tensors[0].Data[i] = poison(i, v)
						}
						return bad
					}
				}
			}
			w.run(w.nodes...)
			w.wantCompleted()
			trained := false
			for number := 1; number <= w.terms.Rounds; number++ {
				r := w.round(number).Round
				if trained && slices.Contains(r.Masters, villain) {
					t.Errorf("the villain is a master of round %d", number)
				}
				for _, result := range r.Results {
					if result.Node == villain {
						trained = true
						if result.Accepted || result.Median > 100_000 {
							t.Errorf("round %d: %+v", number, result)
						}
					}
				}
			}
		})
	}
}

// A proposer whose CID leads nowhere does not end the task: whoever needs the
// global model computes it again from the updates.
func TestGlobalModelThatCannotBeFetchedIsComputedAgain(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 3 })
	lost := &losing{files: w.files}
	w.configure = func(c *Config) {
		if c.Coordinator {
			c.Store = lost
		}
	}
	w.run(w.nodes...)
	state := w.task()
	if state.Task.Phase != fl.TaskCompleted || state.LastRound != 3 {
		t.Fatalf("the task is %s after %d rounds", state.Task.Phase, state.LastRound)
	}
	if lost.lost != 3 {
		t.Errorf("%d global models were lost of 3", lost.lost)
	}
}

// losing adds all but the first model to nowhere.
type losing struct {
	*files
	adds, lost int
}

func (l *losing) AddNamed(ctx context.Context, name string, r io.Reader) (string, error) {
	if l.adds++; l.adds == 1 {
		return l.files.AddNamed(ctx, name, r)
	}
	l.lost++
	nowhere := &files{content: map[string][]byte{}}
	return nowhere.Add(ctx, r)
}
