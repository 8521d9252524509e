package ledgertest

import (
	"bytes"
	"fmt"
	"time"
)

// Deterministic runs the proposal several times on every peer that may endorse
// it, without committing anything, and says where two runs differ in read-write
// set, event or response. A chaincode that refuses must refuse alike everywhere.
//
// It sleeps for pause before each run. Inside a testing/synctest bubble that
// costs nothing and moves the chaincode's own clock, so that a contract that
// asks time.Now is found out.
func (p *Proposal) Deterministic(runs int, pause time.Duration) error {
	p.seal()
	l := p.ledger
	l.mu.RLock()
	defer l.mu.RUnlock()
	peers, err := l.candidates(p)
	if err != nil {
		return err
	}
	var first *simulated
	var firstErr error
	for run := range runs {
		for i, q := range peers {
			time.Sleep(pause)
			answer, err := l.simulate(p, q)
			if run == 0 && i == 0 {
				first, firstErr = answer, err
				continue
			}
			if err := sameAnswer(first, firstErr, answer, err); err != nil {
				return fmt.Errorf("run %d on %s against run 1 on %s: %w", run+1, q, peers[0], err)
			}
		}
	}
	return nil
}

// candidates are the peers that could endorse a proposal.
func (l *Ledger) candidates(p *Proposal) ([]*Peer, error) {
	if len(p.on) > 0 {
		return l.peersOf(p.on)
	}
	first, err := l.simulate(p, l.gatewayPeer(p.creator))
	if err != nil {
		return l.peers, nil // a refusal is compared too
	}
	return l.eligible(p, first), nil
}

func sameAnswer(a *simulated, aErr error, b *simulated, bErr error) error {
	if (aErr == nil) != (bErr == nil) {
		return fmt.Errorf("one endorsed and one refused: %v against %v", aErr, bErr)
	}
	if aErr != nil {
		textA, textB := aErr.(*EndorseError).Details[0].Message, bErr.(*EndorseError).Details[0].Message
		if textA != textB {
			return fmt.Errorf("refusals differ: %s against %s", textA, textB)
		}
		return nil
	}
	if !bytes.Equal(a.payload, b.payload) {
		return fmt.Errorf("%s", difference(a, b))
	}
	return nil
}
