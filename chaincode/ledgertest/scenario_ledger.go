package ledgertest

import (
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// ledgerTarget runs scenarios on a ledger.
type ledgerTarget struct {
	*Ledger
	endorsed map[string]*Transaction
}

var _ Target = (*ledgerTarget)(nil)

// Change moves the time, revokes an identity or changes peers.
func (t *ledgerTarget) Change(step *Step) error {
	if step.Clock != "" {
		at, err := time.Parse(time.RFC3339Nano, step.Clock)
		if err != nil {
			return err
		}
		t.SetTime(at)
	}
	if step.Advance != "" {
		d, err := time.ParseDuration(step.Advance)
		if err != nil {
			return err
		}
		t.Advance(d)
	}
	if step.Revoke != "" {
		msp, name, role, err := splitIdentity(step.Revoke)
		if err != nil {
			return err
		}
		t.Revoke(t.Identity(msp, name, role))
	}
	return t.changePeers(step)
}

func (t *ledgerTarget) changePeers(step *Step) error {
	for _, name := range []string{step.Freeze, step.CatchUp} {
		if name != "" && t.Peer(name) == nil {
			return fmt.Errorf("organisation %q has no peer", name)
		}
	}
	if step.Freeze != "" {
		t.Peer(step.Freeze).Freeze()
	}
	if step.CatchUp != "" {
		t.Peer(step.CatchUp).CatchUp()
	}
	if len(step.Skew) == 0 {
		return nil
	}
	if len(step.Skew) != 2 || t.Peer(step.Skew[0]) == nil {
		return fmt.Errorf("skew %q is not an organisation with a peer and a duration", step.Skew)
	}
	d, err := time.ParseDuration(step.Skew[1])
	if err == nil {
		t.Peer(step.Skew[0]).SetSkew(d)
	}
	return err
}

func (t *ledgerTarget) proposal(c *Call) *Proposal {
	args := make([]any, len(c.Args))
	for i, arg := range c.Args {
		args[i] = arg
	}
	p := t.Propose(t.Identity(c.MSP, c.Name, c.Role), c.Function, args...)
	if len(c.Transient) > 0 {
		p.Transient(c.Transient)
	}
	if !c.At.IsZero() {
		p.At(c.At)
	}
	if len(c.On) > 0 {
		p.On(c.On...)
	}
	return p
}

// Evaluate hides the Ledger's method of that name.
func (t *ledgerTarget) Evaluate(c *Call) ([]byte, error) { return t.proposal(c).Evaluate() }

// Endorse endorses on the call's peers.
func (t *ledgerTarget) Endorse(c *Call) (payload []byte, event string, err error) {
	tx, err := t.proposal(c).Endorse()
	if err != nil {
		return nil, "", err
	}
	t.endorsed[c.Label] = tx
	if tx.Event != nil {
		event = tx.Event.Name
	}
	return tx.Payload, event, nil
}

// Commit makes one block.
func (t *ledgerTarget) Commit(labels []string) ([]peer.TxValidationCode, error) {
	transactions := make([]*Transaction, len(labels))
	for i, label := range labels {
		tx, ok := t.endorsed[label]
		if !ok {
			return nil, fmt.Errorf("nothing was endorsed as %q", label)
		}
		transactions[i] = tx
	}
	codes := make([]peer.TxValidationCode, len(labels))
	for i, result := range t.Ledger.Commit(transactions...) {
		codes[i] = result.Code
	}
	return codes, nil
}
