package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// Round is a finished round as a ledger would hold it, without CIDs and times,
// and what its global model was measured to be.
type Round struct {
	fl.RoundState
	Epsilon fl.Micro        `json:"epsilon,omitempty"` // of private training: the most that has been spent of a client's examples so far
	Metrics *metrics.Result `json:"metrics,omitempty"` // of the global model on the curve's split; nil when it failed or there is no curve
}

// Report is what came of a simulation.
type Report struct {
	Settings  Settings        `json:"settings"`
	Data      string          `json:"data"`
	SHA256    string          `json:"sha256"`
	Synthetic bool            `json:"synthetic"`
	Phase     fl.TaskPhase    `json:"phase"`    // completed or failed
	Poisoned  []string        `json:"poisoned"` // the dishonest clients
	Rounds    []Round         `json:"rounds"`
	Spendings []fl.Spending   `json:"spendings,omitempty"` // of private training, by client
	Digest    string          `json:"digest"`              // of the last global model
	Test      *metrics.Result `json:"test,omitempty"`      // of the last global model on the test split, unless that is left alone
	Seconds   float64         `json:"seconds"`             // that this run took, without loading the data
}

// Hooks hear how a simulation comes along. Each may be nil.
type Hooks struct {
	// Trained hears how many updates of how many have been trained. A round that
	// fails takes its own back.
	Trained func(done, total int)
	// Saved is called after every round with what Resume reads.
	Saved func(Checkpoint) error
}

// Simulation is a task being simulated.
type Simulation struct {
	settings Settings
	data     *dataset.Data
	spec     model.Spec
	terms    fl.Terms
	strategy fed.Strategy
	clients  []client

	course *fl.Course // the task as a ledger would hold it
	global *weights.Weights
	rounds []Round
}

// New prepares a simulation. first is the weights of the first model, nil for those that
// [model.Initial] draws from the settings' seed. The errors are coded.
func New(settings Settings, data *dataset.Data, first *weights.Weights) (*Simulation, error) {
	if err := settings.check(data); err != nil {
		return nil, err
	}
	s := &Simulation{settings: settings, data: data, terms: settings.terms(data), rounds: []Round{}}
	s.spec = model.Spec{Name: settings.Model, Channels: data.Channels, Size: data.Size, Classes: len(data.Classes)}
	if s.spec.CheckFrozen() == nil && settings.Backbone.Digest == "" {
		return nil, codes.Errorf("MF-SIMULATE-SETTINGS", "the data for %s are its backbone's features, and the settings do not name the backbone; name it", settings.Model)
	}
	if settings.Privacy.On() {
		if err := s.spec.CheckPrivate(); err != nil {
			return nil, err
		}
	}
	var err error
	if s.strategy, err = fed.Parse(settings.Strategy); err != nil {
		return nil, err
	}
	if s.clients, err = newClients(settings, data); err != nil {
		return nil, err
	}
	if s.global = first; first == nil {
		if s.global, err = model.Initial(s.spec, settings.Seed); err != nil {
			return nil, err
		}
	}
	s.course = s.start()
	return s, nil
}

// start is the task when all clients have joined it and revealed their salts.
func (s *Simulation) start() *fl.Course {
	var nodes []fl.Node
	var salts []fl.BeaconSalt
	for _, c := range s.clients {
		salt := s.settings.salt(c.id, 0)
		node := fl.Node{ID: c.id, Org: fl.OrgOf(c.id), Commitment: fl.SaltCommitment(task, c.id, salt)}
		if s.settings.Privacy.On() {
			node.Dataset, node.Examples = s.settings.dataset(c.id), int64(c.data.Len())
		}
		nodes, salts = append(nodes, node), append(salts, fl.BeaconSalt{Node: c.id, Salt: salt})
	}
	first := refer(s.global)
	terms := s.terms
	terms.Initial = first
	return fl.NewCourse(fl.Task{Terms: terms, First: first, Creator: coordinator}, nodes, salts)
}

// Run plays rounds until as many have closed as the settings ask for, or too many
// in a row have failed, and measures the last global model on the test split, unless
// the settings leave that alone. An error is coded, wraps ctx.Err() or is that of a
// hook.
func (s *Simulation) Run(ctx context.Context, hooks Hooks) (*Report, error) {
	if hooks.Trained == nil {
		hooks.Trained = func(int, int) {}
	}
	started := time.Now()
	for !s.phase().Final() {
		if err := s.play(ctx, hooks.Trained); err != nil {
			return nil, err
		}
		if hooks.Saved != nil {
			if err := hooks.Saved(s.checkpoint()); err != nil {
				return nil, err
			}
		}
	}
	report := &Report{
		Settings: s.settings, Data: s.data.Name, SHA256: s.data.SHA256, Synthetic: s.data.Synthetic,
		Phase: s.phase(), Poisoned: []string{}, Rounds: s.rounds, Spendings: s.course.Spendings, Digest: s.global.Digest(),
	}
	for _, c := range s.clients {
		if c.poisoned {
			report.Poisoned = append(report.Poisoned, c.id)
		}
	}
	if s.data.Test.Len() > 0 && !s.settings.Untested {
		result, err := model.Evaluate(ctx, s.spec, fed.Model(s.global), s.data.Test)
		if err != nil {
			return nil, err
		}
		report.Test = &result
	}
	report.Seconds = time.Since(started).Seconds()
	return report, nil
}

// Terms are the task's, as the ledger would have them.
func (s *Simulation) Terms() fl.Terms { return s.terms }

// Global is the newest global model.
func (s *Simulation) Global() *weights.Weights { return s.global }

// State is the task as a ledger would hold it, for the rules' own replay.
func (s *Simulation) State() (fl.TaskState, []fl.RoundState) {
	return s.course.State(), s.course.Rounds
}

// coordinator proposes the global models.
const coordinator = "CoordinatorMSP/coordinator"

// phase is the task's, which a checkpoint may have taken further than the settings ask.
func (s *Simulation) phase() fl.TaskPhase {
	if s.course.Progress.Closed >= s.settings.Rounds {
		return fl.TaskCompleted
	}
	return s.course.Task.Phase
}

// now is the time of every step. A simulation has no clock: its phases take no time,
// so that whoever has not submitted when a phase ends will not.
const now = 0

// play plays the next round to its end.
func (s *Simulation) play(ctx context.Context, trained func(done, total int)) error {
	if err := s.open(); err != nil {
		return err
	}
	var result *metrics.Result
	if !s.final() {
		global, err := s.finish(ctx, trained)
		if err != nil {
			return err
		}
		if global != nil {
			s.global = global
			if result, err = s.measure(ctx); err != nil {
				return err
			}
		}
	}
	s.rounds = append(s.rounds, Round{RoundState: *s.course.Newest(), Epsilon: mostSpent(s.course.Spendings), Metrics: result})
	return nil
}

// open opens the next round.
func (s *Simulation) open() error {
	return s.course.OpenRound(fl.SpentNodes(s.terms, s.course.Nodes, s.course.Spendings, nil), now)
}

// final reports whether the newest round has come to its end.
func (s *Simulation) final() bool { return s.course.Newest().Round.Phase.Final() }

// finish plays a round that is open. It gives its global model, nil when it failed.
func (s *Simulation) finish(ctx context.Context, trained func(done, total int)) (*weights.Weights, error) {
	updates, err := s.trainAll(ctx, trained)
	if err != nil {
		return nil, err
	}
	if len(updates) == 0 {
		return nil, s.course.FailRound("no trainer has an update: their training ran into numbers that are not finite", now)
	}
	if err := s.course.CloseTraining(now); err != nil {
		return nil, err
	}
	if err := s.scoreAll(ctx, updates); err != nil || s.final() {
		return nil, err
	}
	global, err := fed.Aggregate(s.settings.Strategy, s.global, accepted(s.course.Newest().Round.Results, updates))
	if err != nil {
		return nil, s.course.FailRound(err.Error(), now)
	}
	return global, s.close(refer(global))
}

// close makes a model the global one: proposed by the coordinator and attested by
// every master.
func (s *Simulation) close(global fl.ModelRef) error {
	state := s.course.Newest()
	proposal := fl.Proposal{Proposer: coordinator, Model: global}
	state.Proposals = append(state.Proposals, proposal)
	for _, master := range slices.Sorted(slices.Values(state.Round.Masters)) {
		state.Attestations = append(state.Attestations, fl.Attestation{Master: master, Digest: global.Digest})
	}
	if s.settings.Masters == 0 {
		return s.course.AdoptGlobal(proposal, now)
	}
	return s.course.CloseRound(now)
}

// mostSpent is the largest ε of any client.
func mostSpent(spendings []fl.Spending) fl.Micro {
	var most fl.Micro
	for _, spending := range spendings {
		most = max(most, spending.Epsilon)
	}
	return most
}

// Epsilon is the most that private training has spent of a client's examples, in
// millionths.
func (r *Report) Epsilon() fl.Micro { return mostSpent(r.Spendings) }

// trainAll lets the round's trainers train, several at once. One whose training
// runs into numbers that are not finite submits nothing.
func (s *Simulation) trainAll(ctx context.Context, trained func(done, total int)) ([]fed.Update, error) {
	state := s.course.Newest()
	trainers := slices.Sorted(slices.Values(state.Round.Trainers))
	start, made, refs := fed.Model(s.global), make([]*weights.Weights, len(trainers)), make([]fl.ModelRef, len(trainers))
	before, total := s.course.Progress.Closed*len(trainers), s.settings.Rounds*len(trainers)
	err := inParallel(ctx, len(trainers), func(ctx context.Context, i int) error {
		w, err := s.train(ctx, s.client(trainers[i]), state.Round.Number, start)
		if err != nil && codes.Of(err) != "MF-MODEL-DIVERGED" {
			return fmt.Errorf("%s in round %d: %w", trainers[i], state.Round.Number, err)
		}
		if made[i] = w; w != nil {
			refs[i] = refer(w)
		}
		return nil
	}, func(done int) { trained(before+done, total) })
	if err != nil {
		return nil, err
	}
	var updates []fed.Update
	for i, w := range made {
		if w == nil {
			continue
		}
		examples := int64(s.client(trainers[i]).data.Len())
		updates = append(updates, fed.Update{ID: trainers[i], Weights: w, NumExamples: examples})
		s.course.Submit(fl.Update{Node: trainers[i], Model: refs[i], NumExamples: examples})
	}
	return updates, nil
}

// scoreAll lets the masters score, and tallies.
func (s *Simulation) scoreAll(ctx context.Context, updates []fed.Update) error {
	state := s.course.Newest()
	if s.settings.Masters == 0 {
		return s.acceptAll(updates)
	}
	masters := slices.Sorted(slices.Values(state.Round.Masters))
	commitments, reveals := make([]fl.ScoreCommitment, len(masters)), make([]fl.Reveal, len(masters))
	scored := candidates(fed.Model(s.global), updates)
	err := inParallel(ctx, len(masters), func(ctx context.Context, i int) (err error) {
		commitments[i], reveals[i], err = s.scores(ctx, s.client(masters[i]), state.Round.Number, scored)
		return err
	}, func(int) {})
	if err != nil {
		return err
	}
	state.Commitments = commitments
	if err := s.course.CloseCommits(now); err != nil {
		return err
	}
	state.Reveals = reveals
	return s.course.Tally(now)
}

// acceptAll is what a task on a ledger can't do: without masters every update that is
// finite is accepted, unscored.
func (s *Simulation) acceptAll(updates []fed.Update) error {
	var results []fl.Result
	for _, update := range updates {
		_, finite := update.Weights.Finite()
		results = append(results, fl.Result{Node: update.ID, Median: fl.Unscored, Accepted: finite})
	}
	return s.unscored(results)
}

// unscored takes the newest round past its masters, of which there are none.
func (s *Simulation) unscored(results []fl.Result) error {
	round := &s.course.Newest().Round
	round.Results, round.Phase = results, fl.RoundRevealing
	if !fl.AnyAccepted(results) {
		return s.course.FailRound("no update was accepted", now)
	}
	round.Phase = fl.RoundAggregating
	return nil
}

// measure measures the global model for the curve.
func (s *Simulation) measure(ctx context.Context) (*metrics.Result, error) {
	split := s.data.Validation
	switch s.settings.Curve {
	case CurveNone:
		return nil, nil
	case CurveTest:
		split = s.data.Test
	}
	if split.Len() == 0 {
		return nil, nil
	}
	result, err := model.Evaluate(ctx, s.spec, fed.Model(s.global), split)
	return &result, err
}

func (s *Simulation) client(id string) *client {
	return &s.clients[slices.IndexFunc(s.clients, func(c client) bool { return c.id == id })]
}

// accepted keeps the updates that the results accept.
func accepted(results []fl.Result, updates []fed.Update) []fed.Update {
	return slices.DeleteFunc(slices.Clone(updates), func(u fed.Update) bool {
		return !slices.ContainsFunc(results, func(r fl.Result) bool { return r.Node == u.ID && r.Accepted })
	})
}

// refer names weights that lie nowhere: they have no CID.
func refer(w *weights.Weights) fl.ModelRef {
	return fl.ModelRef{Digest: w.Digest(), Size: w.Size()}
}
