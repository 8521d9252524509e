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
	nodes    []fl.Node
	salts    []fl.BeaconSalt

	global    *weights.Weights
	standings []fl.Standing
	spendings []fl.Spending
	rounds    []Round
}

// New prepares a simulation. The errors are coded.
func New(settings Settings, data *dataset.Data) (*Simulation, error) {
	if err := settings.check(data); err != nil {
		return nil, err
	}
	s := &Simulation{settings: settings, data: data, terms: settings.terms(data), standings: []fl.Standing{}, rounds: []Round{}}
	s.spec = model.Spec{Name: settings.Model, Channels: data.Channels, Size: data.Size, Classes: data.Classes}
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
	for _, c := range s.clients {
		salt := settings.salt(c.id, 0)
		node := fl.Node{ID: c.id, Org: fl.OrgOf(c.id), Commitment: fl.SaltCommitment(task, c.id, salt)}
		if settings.Privacy.On() {
			node.Dataset, node.Examples = settings.dataset(c.id), int64(c.data.Len())
		}
		s.nodes = append(s.nodes, node)
		s.salts = append(s.salts, fl.BeaconSalt{Node: c.id, Salt: salt})
	}
	s.global, err = model.Initial(s.spec, settings.Seed)
	return s, err
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
	for s.phase() == fl.TaskRunning {
		round, err := s.play(ctx, hooks.Trained)
		if err != nil {
			return nil, err
		}
		s.rounds = append(s.rounds, round)
		if hooks.Saved != nil {
			if err := hooks.Saved(s.checkpoint()); err != nil {
				return nil, err
			}
		}
	}
	report := &Report{
		Settings: s.settings, Data: s.data.Name, SHA256: s.data.SHA256, Synthetic: s.data.Synthetic,
		Phase: s.phase(), Poisoned: []string{}, Rounds: s.rounds, Spendings: s.spendings, Digest: s.global.Digest(),
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

// Global is the newest global model.
func (s *Simulation) Global() *weights.Weights { return s.global }

// State is the task as a ledger would hold it, for the rules' own replay.
func (s *Simulation) State() (fl.TaskState, []fl.RoundState) {
	rounds, closed := []fl.RoundState{}, 0
	for _, round := range s.rounds {
		rounds = append(rounds, round.RoundState)
		if round.Round.Phase == fl.RoundClosed {
			closed++
		}
	}
	state := fl.TaskState{
		Task:  fl.Task{Terms: s.terms, Phase: s.phase(), Creator: coordinator},
		Nodes: s.nodes, Salts: s.salts, Standings: s.standings, Spendings: s.spendings, LastRound: len(rounds), Closed: closed,
	}
	first, err := model.Initial(s.spec, s.settings.Seed)
	if err == nil {
		state.Task.First = refer(first)
		state.Task.Initial = state.Task.First
	}
	return state, rounds
}

// coordinator proposes the global models.
const coordinator = "CoordinatorMSP/coordinator"

// phase follows from the rounds as a task's does.
func (s *Simulation) phase() fl.TaskPhase {
	closed, failed := 0, 0
	for _, round := range s.rounds {
		if round.Round.Phase == fl.RoundClosed {
			closed, failed = closed+1, 0
		} else {
			failed++
		}
	}
	switch {
	case closed >= s.settings.Rounds:
		return fl.TaskCompleted
	case failed >= s.settings.MaxFailed || s.spent():
		return fl.TaskFailed
	}
	return fl.TaskRunning
}

// spent tells whether the newest round had, and every other would have, too few
// trainers with budget left.
func (s *Simulation) spent() bool {
	n := len(s.rounds)
	if n == 0 {
		return false
	}
	last := s.rounds[n-1].Round
	_, forever := fl.TooFewTrainers(s.terms, s.nodes, last.Spent, last.Trainers)
	return forever
}

// open draws the next round.
func (s *Simulation) open() fl.RoundState {
	beacon, previous, made, allowance := fl.FirstBeacon(task, s.salts), refer(s.global), 0, fl.FirstAllowance(s.terms)
	if n := len(s.rounds); n > 0 {
		last := s.rounds[n-1]
		beacon = fl.NextBeacon(task, n, last.Round.Beacon, last.Reveals)
		allowance = fl.NextAllowance(s.terms, last.Round.Allowance, last.Round.Results, last.Round.PreviousMedian)
		made = last.Round.PreviousRound
		if last.Round.Phase == fl.RoundClosed {
			made = n
		}
	}
	spent := fl.SpentNodes(s.terms, s.nodes, s.spendings, nil)
	masters, trainers := fl.Draw(s.terms, s.nodes, s.standings, spent, beacon)
	return fl.RoundState{
		Round: fl.Round{
			Task: task, Number: len(s.rounds) + 1, Beacon: beacon, Masters: masters, Trainers: trainers, Spent: spent,
			Previous: previous, PreviousRound: made, Allowance: allowance, Results: []fl.Result{}, PreviousMedian: fl.Unscored,
		},
		Updates: []fl.Update{}, Commitments: []fl.ScoreCommitment{}, Reveals: []fl.Reveal{},
		Proposals: []fl.Proposal{}, Attestations: []fl.Attestation{},
	}
}

// play plays the next round to its end.
func (s *Simulation) play(ctx context.Context, trained func(done, total int)) (Round, error) {
	state := s.open()
	if reason, _ := fl.TooFewTrainers(s.terms, s.nodes, state.Round.Spent, state.Round.Trainers); reason != "" {
		return s.fail(state, "", reason), nil
	}
	updates, err := s.trainAll(ctx, &state, trained)
	if err != nil {
		return Round{}, err
	}
	s.spendings = fl.ReplaySpendings(s.terms, s.nodes, s.spendings, state.Updates)
	if len(updates) == 0 {
		return s.fail(state, fl.RoundTraining, "no trainer has an update: their training ran into numbers that are not finite"), nil
	}
	if err := s.scoreAll(ctx, &state, updates); err != nil {
		return Round{}, err
	}
	s.standings = fl.UpdateStandings(s.standings, fl.ScoredStandings(state.Round.Number, state.Round.Results))
	if !fl.AnyAccepted(state.Round.Results) {
		return s.fail(state, fl.RoundRevealing, "no update was accepted"), nil
	}
	global, err := fed.Aggregate(s.settings.Strategy, s.global, accepted(state.Round.Results, updates))
	if err != nil {
		return s.fail(state, fl.RoundAggregating, err.Error()), nil
	}
	s.close(&state, global)
	round := Round{RoundState: state, Epsilon: mostSpent(s.spendings)}
	round.Metrics, err = s.measure(ctx)
	return round, err
}

func (s *Simulation) fail(state fl.RoundState, in fl.RoundPhase, reason string) Round {
	state.Round.Phase, state.Round.FailedIn, state.Round.Reason = fl.RoundFailed, in, reason
	return Round{RoundState: state, Epsilon: mostSpent(s.spendings)}
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

// close makes a model the global one: proposed by the coordinator and attested by
// every master.
func (s *Simulation) close(state *fl.RoundState, global *weights.Weights) {
	s.global = global
	ref := refer(global)
	state.Round.Phase, state.Round.Global = fl.RoundClosed, &ref
	state.Proposals = append(state.Proposals, fl.Proposal{Proposer: coordinator, Model: ref})
	for _, master := range slices.Sorted(slices.Values(state.Round.Masters)) {
		state.Attestations = append(state.Attestations, fl.Attestation{Master: master, Digest: ref.Digest})
	}
	state.Round.Attestations = len(state.Attestations)
}

// trainAll lets the round's trainers train, several at once. One whose training
// runs into numbers that are not finite submits nothing.
func (s *Simulation) trainAll(ctx context.Context, state *fl.RoundState, trained func(done, total int)) ([]fed.Update, error) {
	trainers := slices.Sorted(slices.Values(state.Round.Trainers))
	start, made, refs := fed.Model(s.global), make([]*weights.Weights, len(trainers)), make([]fl.ModelRef, len(trainers))
	before, total := s.closed()*len(trainers), s.settings.Rounds*len(trainers)
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
		state.Updates = append(state.Updates, fl.Update{Node: trainers[i], Model: refs[i], NumExamples: examples})
	}
	return updates, nil
}

// scoreAll lets the masters score, and tallies. Without masters every update that
// is finite is accepted.
func (s *Simulation) scoreAll(ctx context.Context, state *fl.RoundState, updates []fed.Update) error {
	if s.settings.Masters == 0 {
		for _, update := range updates {
			_, finite := update.Weights.Finite()
			state.Round.Results = append(state.Round.Results, fl.Result{Node: update.ID, Median: fl.Unscored, Accepted: finite})
		}
		return nil
	}
	masters := slices.Sorted(slices.Values(state.Round.Masters))
	state.Commitments, state.Reveals = make([]fl.ScoreCommitment, len(masters)), make([]fl.Reveal, len(masters))
	scored := candidates(fed.Model(s.global), updates)
	err := inParallel(ctx, len(masters), func(ctx context.Context, i int) (err error) {
		state.Commitments[i], state.Reveals[i], err = s.scores(ctx, s.client(masters[i]), state.Round.Number, scored)
		return err
	}, func(int) {})
	if err != nil {
		return err
	}
	state.Round.Results, state.Round.PreviousMedian = fl.Tally(s.terms, state.Round.Allowance, state.Round.Trainers, state.Updates, state.Reveals)
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

func (s *Simulation) closed() int {
	n := 0
	for _, round := range s.rounds {
		if round.Round.Phase == fl.RoundClosed {
			n++
		}
	}
	return n
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
