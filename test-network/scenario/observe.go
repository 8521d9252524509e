package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// The kinds of span that a round's time is split by, and the spans themselves:
// what the nodes' journals hold.
const (
	KindTraining = node.SpanTraining
	KindScoring  = node.SpanScoring
	KindIPFS     = node.SpanIPFS
)

// Span is a line of a node's journal.
type Span = node.Span

// observer watches a task from outside: it reads the ledger and, with the
// coordinator's key, measures each global model on the official test split.
type observer struct {
	scenario *Scenario
	ledger   gateway.Contracts
	store    node.Store
	identity *envelope.Identity
	events   <-chan gateway.Event
	terms    fl.Terms
	opened   map[int]time.Time
	rounds   []report.Round
	closers  []io.Closer
}

func (o *observer) close() {
	for _, c := range o.closers {
		_ = c.Close() // only read
	}
}

// watch follows the task until it is over and returns its rounds.
func (o *observer) watch(ctx context.Context) ([]report.Round, error) {
	for {
		select {
		case <-ctx.Done():
			return o.rounds, context.Cause(ctx)
		case <-o.scenario.coordinator.process.done:
			return o.rounds, o.finish(ctx)
		case event, open := <-o.events:
			if !open {
				return o.rounds, codes.Errorf("MF-SCENARIO", "the events of the ledger have ended; see the peers' logs")
			}
			if event.Task != o.scenario.Task {
				continue
			}
			if err := o.note(ctx, event); err != nil {
				return o.rounds, err
			}
		}
	}
}

// finish makes sure that a coordinator which has ended did so because the task
// is completed, and catches up with rounds whose events are still on their way.
func (o *observer) finish(ctx context.Context) error {
	state, err := o.ledger.Tasks.GetTask(ctx, fl.TaskRequest{Task: o.scenario.Task})
	if err != nil {
		return err
	}
	if state.Task.Phase != fl.TaskCompleted {
		return codes.Errorf("MF-SCENARIO", "the task is %s after %d rounds; see the logs in %s", state.Task.Phase, state.LastRound, o.scenario.Dir)
	}
	for number := len(o.rounds) + 1; number <= state.LastRound; number++ {
		if err := o.finishRound(ctx, number, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// note keeps what an event says.
func (o *observer) note(ctx context.Context, event gateway.Event) error {
	now := time.Now()
	if event.Name == "round:OpenRound" {
		if _, again := o.opened[event.Round]; !again {
			o.opened[event.Round] = now
		}
	}
	if o.scenario.OnPhase != nil {
		o.scenario.OnPhase(o.scenario, event.Event)
	}
	if event.Round == len(o.rounds)+1 && fl.RoundPhase(event.Phase).Final() {
		return o.finishRound(ctx, event.Round, now)
	}
	return nil
}

// finishRound reads a final round, measures its global model and passes it on.
func (o *observer) finishRound(ctx context.Context, number int, at time.Time) error {
	state, err := o.ledger.Rounds.GetRound(ctx, fl.RoundRequest{Task: o.scenario.Task, Round: number})
	if err != nil {
		return err
	}
	spans, err := o.spans(number)
	if err != nil {
		return err
	}
	opened, seen := o.opened[number]
	if !seen {
		opened = time.Unix(state.Round.OpenedAt, 0)
	}
	round := fromLedger(state)
	round.Seconds = Split(opened, at, spans)
	if state.Round.Global != nil {
		w, err := node.Fetch(ctx, o.store, *state.Round.Global, o.identity)
		if err != nil {
			return err
		}
		if round.Global, err = o.measure(ctx, *state.Round.Global, w); err != nil {
			return err
		}
		if o.last(state) {
			if round.Hospitals, err = o.perHospital(ctx, w); err != nil {
				return err
			}
		}
	}
	o.rounds = append(o.rounds, round)
	if o.scenario.OnRound != nil {
		o.scenario.OnRound(round)
	}
	return nil
}

// last reports whether a closed round is the task's last.
func (o *observer) last(state fl.RoundState) bool {
	closed := 1
	for _, r := range o.rounds {
		if r.Phase == report.PhaseClosed {
			closed++
		}
	}
	return state.Round.Phase == fl.RoundClosed && closed == o.terms.Rounds
}

func fromLedger(state fl.RoundState) report.Round {
	round := report.Round{
		Round: state.Round.Number, Phase: string(state.Round.Phase), Attestations: state.Round.Attestations,
		Masters: state.Round.Masters, Trainers: state.Round.Trainers,
	}
	for _, update := range state.Updates {
		u := report.Update{
			Node: update.Node, Org: fl.OrgOf(update.Node), CID: update.Model.CID, Digest: update.Model.Digest,
			NumExamples: update.NumExamples, MedianMicro: fl.Unscored,
		}
		for _, result := range state.Round.Results {
			if result.Node == update.Node {
				u.MedianMicro, u.Accepted = result.Median, result.Accepted
			}
		}
		round.Updates = append(round.Updates, u)
	}
	return round
}

// measure evaluates a global model on the official test split.
func (o *observer) measure(ctx context.Context, ref fl.ModelRef, w *weights.Weights) (*report.Global, error) {
	result, err := o.evaluate(ctx, w, o.scenario.Data.Test)
	if err != nil {
		return nil, err
	}
	return &report.Global{CID: ref.CID, Digest: ref.Digest, Accuracy: result.Accuracy, AUC: result.AUC,
		Sensitivity: result.Sensitivity, Specificity: result.Specificity}, nil
}

func (o *observer) evaluate(ctx context.Context, w *weights.Weights, data dataset.Split) (metrics.Result, error) {
	return model.Evaluate(ctx, node.Spec(o.terms), fed.Model(w), data)
}

// perHospital evaluates a global model on the validation examples of each
// organisation's nodes.
func (o *observer) perHospital(ctx context.Context, w *weights.Weights) ([]report.LocalResult, error) {
	shards, err := dataset.Partition{Kind: dataset.IID}.Shards(o.scenario.Data.Validation, len(o.scenario.nodes), o.scenario.Seed)
	if err != nil {
		return nil, err
	}
	var orgs []string
	byOrg := map[string][]int{}
	for _, m := range o.scenario.nodes {
		org := fl.OrgOf(m.id)
		if byOrg[org] == nil {
			orgs = append(orgs, org)
		}
		byOrg[org] = append(byOrg[org], shards[m.shard]...)
	}
	var results []report.LocalResult
	for _, org := range orgs {
		r, err := o.evaluate(ctx, w, o.scenario.Data.Validation.Select(byOrg[org]))
		if err != nil {
			return nil, err
		}
		results = append(results, report.LocalResult{Org: org, NumExamples: r.NumExamples, Accuracy: r.Accuracy, AUC: r.AUC,
			Sensitivity: r.Sensitivity, Specificity: r.Specificity})
	}
	return results, nil
}

// spans reads what all journals say of a round.
func (o *observer) spans(round int) ([]Span, error) {
	var all []Span
	for _, m := range append(o.scenario.members(), &o.scenario.coordinator) {
		f, err := os.Open(o.scenario.journal(m))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var span Span
			// A node killed while it wrote leaves half a line.
			if json.Unmarshal(lines.Bytes(), &span) == nil && span.Round == round && span.Task == o.scenario.Task {
				all = append(all, span)
			}
		}
		err = errors.Join(lines.Err(), f.Close())
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// observe connects to the ledger and begins to follow its events.
func (s *Scenario) observe(ctx context.Context) (*observer, error) {
	connection, err := session.Connect(s.coordinator.profile, s.coordinator.identity)
	if err != nil {
		return nil, err
	}
	o := &observer{scenario: s, ledger: connection.Contracts(), opened: map[int]time.Time{}, closers: []io.Closer{connection}}
	stores, err := session.OpenStores(s.coordinator.profile)
	if err == nil {
		o.store, err = stores.NeedPrivate()
	}
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	if o.identity, err = session.AgeKey(s.coordinator.identity); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	state, err := o.ledger.Tasks.GetTask(ctx, fl.TaskRequest{Task: s.Task})
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	o.terms = state.Task.Terms
	o.events = connection.Events(ctx, nil)
	return o, nil
}
