package ledgertest

import (
	"fmt"
	"strings"
	"time"
)

// Run replays the scenario on a ledger and stops at the first step that comes
// to something else than it expects.
func (s *Scenario) Run(l *Ledger) error {
	r := &runner{ledger: l, endorsed: map[string]*Transaction{}}
	for i, step := range s.Steps {
		if err := r.run(&step); err != nil {
			return fmt.Errorf("scenario %q, step %d: %w", s.Name, i+1, err)
		}
	}
	return nil
}

type runner struct {
	ledger   *Ledger
	endorsed map[string]*Transaction
}

func (r *runner) run(step *Step) error {
	if err := r.prepare(step); err != nil {
		return err
	}
	switch {
	case step.Submit != "":
		return r.submit(step)
	case step.Evaluate != "":
		p, err := r.proposal(step, step.Evaluate)
		if err != nil {
			return err
		}
		payload, err := p.Evaluate()
		return step.Expect.check("VALID", payload, nil, err)
	case step.Endorse != "":
		return r.endorse(step)
	case len(step.Commit) > 0:
		return r.commit(step)
	}
	return nil
}

// prepare changes the world around the step's transaction.
func (r *runner) prepare(step *Step) error {
	if step.Clock != "" {
		at, err := time.Parse(time.RFC3339Nano, step.Clock)
		if err != nil {
			return err
		}
		r.ledger.SetTime(at)
	}
	if step.Advance != "" {
		d, err := time.ParseDuration(step.Advance)
		if err != nil {
			return err
		}
		r.ledger.Advance(d)
	}
	if step.Revoke != "" {
		id, err := r.identity(step.Revoke)
		if err != nil {
			return err
		}
		r.ledger.Revoke(id)
	}
	return r.preparePeers(step)
}

func (r *runner) preparePeers(step *Step) error {
	for _, name := range []string{step.Freeze, step.CatchUp} {
		if name != "" && r.ledger.Peer(name) == nil {
			return fmt.Errorf("organisation %q has no peer", name)
		}
	}
	if step.Freeze != "" {
		r.ledger.Peer(step.Freeze).Freeze()
	}
	if step.CatchUp != "" {
		r.ledger.Peer(step.CatchUp).CatchUp()
	}
	if len(step.Skew) == 0 {
		return nil
	}
	if len(step.Skew) != 2 || r.ledger.Peer(step.Skew[0]) == nil {
		return fmt.Errorf("skew %q is not an organisation with a peer and a duration", step.Skew)
	}
	d, err := time.ParseDuration(step.Skew[1])
	if err == nil {
		r.ledger.Peer(step.Skew[0]).SetSkew(d)
	}
	return err
}

func (r *runner) identity(as string) (*Identity, error) {
	parts := strings.SplitN(as, "/", 3)
	if len(parts) < 2 {
		return nil, fmt.Errorf("identity %q is not \"MSP/name\" or \"MSP/name/role\"", as)
	}
	return r.ledger.Identity(parts[0], parts[1], strings.Join(parts[2:], "")), nil
}

func (r *runner) proposal(step *Step, function string) (*Proposal, error) {
	id, err := r.identity(step.As)
	if err != nil {
		return nil, err
	}
	args := make([]any, len(step.Args))
	for i, arg := range step.Args {
		args[i] = arg
	}
	p := r.ledger.Propose(id, function, args...)
	if len(step.Transient) > 0 {
		data := map[string][]byte{}
		for key, value := range step.Transient {
			data[key] = []byte(value)
		}
		p.Transient(data)
	}
	if step.At != "" {
		at, err := time.Parse(time.RFC3339Nano, step.At)
		if err != nil {
			return nil, err
		}
		p.At(at)
	}
	if len(step.On) > 0 {
		p.On(step.On...)
	}
	return p, nil
}

func (r *runner) submit(step *Step) error {
	p, err := r.proposal(step, step.Submit)
	if err != nil {
		return err
	}
	result, err := p.Submit()
	if result == nil {
		return step.Expect.check("", nil, nil, err)
	}
	return step.Expect.check(result.Code.String(), result.Payload, result.Event, nil)
}

func (r *runner) endorse(step *Step) error {
	p, err := r.proposal(step, step.Endorse)
	if err != nil {
		return err
	}
	tx, err := p.Endorse()
	if tx == nil {
		return step.Expect.check("", nil, nil, err)
	}
	r.endorsed[step.Label] = tx
	return step.Expect.check("", tx.Payload, tx.Event, nil)
}

func (r *runner) commit(step *Step) error {
	var transactions []*Transaction
	for _, label := range step.Commit {
		tx, ok := r.endorsed[label]
		if !ok {
			return fmt.Errorf("nothing was endorsed as %q", label)
		}
		transactions = append(transactions, tx)
	}
	for i, result := range r.ledger.Commit(transactions...) {
		if i < len(step.Codes) && step.Codes[i] != result.Code.String() {
			return fmt.Errorf("%s is %s, want %s", step.Commit[i], result.Code, step.Codes[i])
		}
	}
	return nil
}

// check compares what a step came to with what it expects. Without an
// expectation a refusal is an error: a scenario says when it wants one.
func (o *Outcome) check(code string, payload []byte, event *Event, err error) error {
	if o == nil {
		return err
	}
	if o.Refused != "" {
		if err == nil || !strings.Contains(err.Error(), o.Refused) {
			return fmt.Errorf("came to %s and error %v, want a refusal with %q", code, err, o.Refused)
		}
		return nil
	}
	switch {
	case err != nil:
		return err
	case o.Code != "" && code != "" && o.Code != code:
		return fmt.Errorf("code %s, want %s", code, o.Code)
	case o.Payload != nil && *o.Payload != string(payload):
		return fmt.Errorf("payload %q, want %q", payload, *o.Payload)
	case o.Event != "" && (event == nil || event.Name != o.Event):
		return fmt.Errorf("event %v, want %s", event, o.Event)
	}
	return nil
}
