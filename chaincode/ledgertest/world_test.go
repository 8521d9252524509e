package ledgertest_test

import (
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/ledgertest/internal/program"
	"pgregory.net/rapid"
)

// world is a ledger of programs with an organisation's client at hand.
type world struct {
	*ledgertest.Ledger
	t     rapid.TB
	alice *ledgertest.Identity
}

var twoPeers = []string{"Hospital1MSP", "Hospital2MSP"}

func newWorld(t rapid.TB, options ...ledgertest.Option) *world {
	t.Helper()
	options = append([]ledgertest.Option{ledgertest.WithPeers(twoPeers...)}, options...)
	l := open(t, program.Chaincode{}, options...)
	return &world{Ledger: l, t: t, alice: l.Identity("Hospital1MSP", "alice", "trainer")}
}

func (w *world) propose(lines ...string) *ledgertest.Proposal {
	args := make([]any, len(lines)-1)
	for i, line := range lines[1:] {
		args[i] = line
	}
	return w.Propose(w.alice, lines[0], args...)
}

// do submits a program that must be valid.
func (w *world) do(lines ...string) *ledgertest.Result {
	w.t.Helper()
	result, err := w.propose(lines...).Submit()
	if err != nil {
		w.t.Fatalf("%q: %v", lines, err)
	}
	return result
}

// refuse submits a program that must not be endorsed.
func (w *world) refuse(text string, lines ...string) {
	w.t.Helper()
	_, err := w.propose(lines...).Endorse()
	wantError(w.t, err, text)
}

// ask evaluates a program.
func (w *world) ask(lines ...string) string {
	w.t.Helper()
	payload, err := w.propose(lines...).Evaluate()
	if err != nil {
		w.t.Fatalf("%q: %v", lines, err)
	}
	return string(payload)
}

// want evaluates a program and compares its answer.
func (w *world) want(answer string, lines ...string) {
	w.t.Helper()
	if got := w.ask(lines...); got != answer {
		w.t.Errorf("%q answers %q, want %q", lines, got, answer)
	}
}

// endorse endorses a program for a later commit.
func (w *world) endorse(lines ...string) *ledgertest.Transaction {
	w.t.Helper()
	tx, err := w.propose(lines...).Endorse()
	if err != nil {
		w.t.Fatalf("%q: %v", lines, err)
	}
	return tx
}

// wantCodes commits transactions in one block and compares their codes.
func (w *world) wantCodes(transactions []*ledgertest.Transaction, codes ...string) {
	w.t.Helper()
	for i, r := range w.Commit(transactions...) {
		if r.Code.String() != codes[i] {
			w.t.Errorf("transaction %d is %s, want %s", i, r.Code, codes[i])
		}
	}
}

type block = []*ledgertest.Transaction
