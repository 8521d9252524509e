package ledgertest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// Target is where a scenario runs: a Ledger, or a real network.
type Target interface {
	// Now is the target's time.
	Now() time.Time
	// Change does what a step says of time, peers and identities, or refuses.
	Change(step *Step) error
	// Evaluate gives the answer of one peer.
	Evaluate(c *Call) ([]byte, error)
	// Endorse keeps an endorsed transaction under the call's label and gives its
	// response and the name of its event.
	Endorse(c *Call) (payload []byte, event string, err error)
	// Commit orders what was endorsed under these labels, one right after the
	// other, and gives the validation codes in the order of the chain.
	Commit(labels []string) ([]peer.TxValidationCode, error)
}

// Call is a transaction that a scenario wants.
type Call struct {
	Label, Function string
	MSP, Name, Role string // of who calls
	Args            []string
	Transient       map[string][]byte
	On              []string  // endorsing organisations, none for the gateway's choice
	At              time.Time // zero for the target's time
}

// Run runs the scenario on a ledger. It stops at the first step that comes to
// something else than it expects, or after which a check fails.
func (s *Scenario) Run(l *Ledger, checks ...func() error) error {
	return s.RunOn(&ledgerTarget{Ledger: l, endorsed: map[string]*Transaction{}}, checks...)
}

// RunOn runs the scenario on any target.
func (s *Scenario) RunOn(target Target, checks ...func() error) error {
	r := &runner{target: target, answers: map[string][]byte{}}
	for i := range s.Steps {
		err := r.run(i, &s.Steps[i])
		for _, check := range checks {
			if err == nil {
				err = check()
			}
		}
		if err != nil {
			return fmt.Errorf("scenario %q, step %d: %w", s.Name, i+1, err)
		}
	}
	return nil
}

type runner struct {
	target  Target
	answers map[string][]byte // responses by label
}

func (r *runner) run(i int, step *Step) error {
	if err := r.target.Change(step); err != nil {
		return err
	}
	switch {
	case step.Submit != "":
		return r.submit(i, step)
	case step.Evaluate != "":
		c, err := r.call(i, step, step.Evaluate)
		if err != nil {
			return err
		}
		payload, err := r.target.Evaluate(c)
		r.answers[c.Label] = payload
		return step.Expect.check("VALID", payload, "", err)
	case step.Endorse != "":
		_, err := r.endorse(i, step, step.Endorse)
		return err
	case len(step.Commit) > 0:
		return r.commit(step)
	}
	return nil
}

// call is a step's transaction. Without a label it is named by its place.
func (r *runner) call(i int, step *Step, function string) (*Call, error) {
	c := &Call{Label: step.Label, Function: function, On: step.On}
	if c.Label == "" {
		c.Label = fmt.Sprint("step ", i+1)
	}
	var err error
	if c.MSP, c.Name, c.Role, err = splitIdentity(step.As); err != nil {
		return nil, err
	}
	words, err := r.words(step)
	if err != nil {
		return nil, err
	}
	for _, arg := range step.Args {
		c.Args = append(c.Args, words.Replace(arg))
	}
	for key, value := range step.Transient {
		if c.Transient == nil {
			c.Transient = map[string][]byte{}
		}
		c.Transient[key] = []byte(words.Replace(value))
	}
	if step.At != "" {
		c.At, err = time.Parse(time.RFC3339Nano, step.At)
	}
	return c, err
}

// words gives the words of a step that stand for something.
func (r *runner) words(step *Step) (*strings.Replacer, error) {
	var pairs []string
	for word, source := range step.Fill {
		if label, ok := strings.CutPrefix(source, "digest of "); ok {
			answer, answered := r.answers[label]
			if !answered {
				return nil, fmt.Errorf("nothing was answered as %q", label)
			}
			sum := sha256.Sum256(answer)
			pairs = append(pairs, word, hex.EncodeToString(sum[:]))
			continue
		}
		away, ok := strings.CutPrefix(source, "now")
		d, err := time.ParseDuration(away)
		if !ok || err != nil {
			return nil, fmt.Errorf("%s can't be filled with %q; write now+1h or digest of a label", word, source)
		}
		pairs = append(pairs, word, fmt.Sprint(r.target.Now().Add(d).Unix()))
	}
	return strings.NewReplacer(pairs...), nil
}

// splitIdentity reads "MSP/name" or "MSP/name/role".
func splitIdentity(as string) (msp, name, role string, err error) {
	parts := strings.SplitN(as, "/", 3)
	if len(parts) < 2 {
		return "", "", "", fmt.Errorf("identity %q is not \"MSP/name\" or \"MSP/name/role\"", as)
	}
	return parts[0], parts[1], strings.Join(parts[2:], ""), nil
}

func (r *runner) submit(i int, step *Step) error {
	endorsed, err := r.endorse(i, step, step.Submit)
	if err != nil || endorsed == "" {
		return err
	}
	codes, err := r.target.Commit([]string{endorsed})
	if err != nil {
		return err
	}
	if step.Expect != nil && step.Expect.Code != "" && codes[0].String() != step.Expect.Code {
		return fmt.Errorf("code %s, want %s", codes[0], step.Expect.Code)
	}
	return nil
}

// endorse gives the label of what was endorsed, "" if it was refused as expected.
func (r *runner) endorse(i int, step *Step, function string) (string, error) {
	c, err := r.call(i, step, function)
	if err != nil {
		return "", err
	}
	payload, event, refusal := r.target.Endorse(c)
	if err := step.Expect.check("", payload, event, refusal); err != nil || refusal != nil {
		return "", err
	}
	r.answers[c.Label] = payload
	return c.Label, nil
}

func (r *runner) commit(step *Step) error {
	codes, err := r.target.Commit(step.Commit)
	if err != nil {
		return err
	}
	for i, code := range codes {
		if i < len(step.Codes) && step.Codes[i] != code.String() {
			return fmt.Errorf("%s is %s, want %s", step.Commit[i], code, step.Codes[i])
		}
	}
	return nil
}

// check compares what a step came to with what it expects. Without an
// expectation a refusal is an error: a scenario says when it wants one.
func (o *Outcome) check(code string, payload []byte, event string, err error) error {
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
	case o.Event != "" && event != o.Event:
		return fmt.Errorf("event %q, want %s", event, o.Event)
	}
	return nil
}
