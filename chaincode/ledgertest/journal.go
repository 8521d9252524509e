package ledgertest

import (
	"fmt"
	"sync"
	"time"
)

// journal is what was done to a ledger, in order, so that it can be written as
// a scenario.
type journal struct {
	mu      sync.Mutex
	entries []journalEntry
}

type journalKind int

const (
	endorsed journalKind = iota
	evaluated
	committed
	changed
)

type journalEntry struct {
	kind     journalKind
	proposal *Proposal
	block    *block
	step     *Step // of a change
	now      time.Time
	err      error
}

func (j *journal) add(e journalEntry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// Scenario writes down everything that was done to the ledger so far, with what
// it came to: the file that makes a failing random test repeatable. Identities
// appear by organisation, name and role only.
func (l *Ledger) Scenario(name string) *Scenario {
	l.journal.mu.Lock()
	defer l.journal.mu.Unlock()
	w := &scenarioWriter{scenario: &Scenario{Name: name}, now: Start, labels: map[string]string{}}
	for _, e := range l.journal.entries {
		w.write(e)
	}
	return w.scenario
}

type scenarioWriter struct {
	scenario *Scenario
	now      time.Time
	labels   map[string]string // by transaction ID
}

func (w *scenarioWriter) write(e journalEntry) {
	var step Step
	switch e.kind {
	case changed:
		step = *e.step
	case endorsed:
		step = w.transaction(e)
		step.Endorse, step.Label = string(e.proposal.args[0]), fmt.Sprintf("tx%d", len(w.labels)+1)
		w.labels[e.proposal.txID] = step.Label
	case evaluated:
		step = w.transaction(e)
		step.Evaluate = string(e.proposal.args[0])
	case committed:
		if w.joinSubmit(e) {
			return
		}
		for _, r := range e.block.results {
			step.Commit = append(step.Commit, w.labels[r.TxID])
			step.Codes = append(step.Codes, r.Code.String())
		}
	}
	if !e.now.Equal(w.now) {
		w.now = e.now
		step.Clock = e.now.Format(time.RFC3339Nano)
	}
	w.scenario.Steps = append(w.scenario.Steps, step)
}

// joinSubmit turns an endorsement that was committed at once into a submit.
func (w *scenarioWriter) joinSubmit(e journalEntry) bool {
	steps := w.scenario.Steps
	if len(steps) == 0 || len(e.block.results) != 1 || !e.now.Equal(w.now) {
		return false
	}
	last := &steps[len(steps)-1]
	result := e.block.results[0]
	if last.Endorse == "" || w.labels[result.TxID] != last.Label {
		return false
	}
	last.Submit, last.Endorse, last.Label = last.Endorse, "", ""
	last.Expect = &Outcome{Code: result.Code.String()}
	return true
}

func (w *scenarioWriter) transaction(e journalEntry) Step {
	p := e.proposal
	step := Step{As: p.creator.scenarioName(), On: p.on}
	for _, arg := range p.args[1:] {
		step.Args = append(step.Args, string(arg))
	}
	for key, value := range p.transient {
		if step.Transient == nil {
			step.Transient = map[string]string{}
		}
		step.Transient[key] = string(value)
	}
	if !p.time.Equal(e.now) {
		step.At = p.time.Format(time.RFC3339Nano)
	}
	switch err := e.err.(type) {
	case *EndorseError:
		step.Expect = &Outcome{Refused: err.Message}
		if len(err.Details) > 0 {
			step.Expect.Refused = err.Details[0].Message
		}
	case *EvaluateError:
		step.Expect = &Outcome{Refused: err.Message}
	}
	return step
}
