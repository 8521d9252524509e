package node

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
)

// TestWhatIsNoLongerKeptIsRemoved: of a task of seven rounds there remain the updates of the
// newest two and the global models of the newest three, and the first model. What no terms
// limit, remains.
func TestWhatIsNoLongerKeptIsRemoved(t *testing.T) {
	for name, r := range map[string]fl.Retention{"limited": {Updates: 2, Models: 3}, "unlimited": {}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(terms *fl.Terms) { terms.Rounds, terms.Retention = 7, r })
			w.run(w.nodes...)
			w.wantCompleted()
			expected := 2 // the first model, as the coordinator alone can open it and as all can
			for round := 1; round <= 7; round++ {
				state := w.round(round)
				kept := r.KeepsUpdates(round, 7)
				// The task ends with its last round, and with it what nodes do beside their steps.
				removed := !r.KeepsUpdates(round, 6)
				for _, update := range state.Updates {
					if has := w.files.has(update.Model.CID); has && removed || !has && kept {
						t.Errorf("round %d: an update is there: %t", round, has)
					}
				}
				kept, removed = r.KeepsModel(round, 7), !r.KeepsModel(round, 6)
				if has := w.files.has(state.Round.Global.CID); has && removed || !has && kept {
					t.Errorf("round %d: the global model is there: %t", round, has)
				}
				expected += len(state.Updates) + len(state.Proposals)
			}
			if !w.files.has(w.terms.Initial.CID) {
				t.Error("the first model is gone")
			}
			if r != (fl.Retention{}) {
				expected = 2 + 3*(5+4) + 4 // of three rounds at most, and a model more
			}
			if left := len(w.files.content); left > expected {
				t.Errorf("%d files are left, more than %d", left, expected)
			}
		})
	}
}

// TestRemovalThatFails is gone on with after the next round, from where it stopped.
func TestRemovalThatFails(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) { terms.Rounds, terms.Retention = 4, fl.Retention{Updates: 1, Models: 1} })
	w.files.stuck = true
	w.run(w.nodes...)
	w.wantCompleted()
	n, err := New(w.config(w.nodes[0]))
	if err != nil {
		t.Fatal(err)
	}
	n.retain(t.Context(), w.task(), 3)
	if n.retained.updates != 0 || !w.files.has(w.round(1).Updates[0].Model.CID) {
		t.Errorf("removed up to round %d, though nothing can be", n.retained.updates)
	}
	w.files.stuck = false
	for range 2 {
		n.retain(t.Context(), w.task(), 3)
		if n.retained.updates != 2 || n.retained.models != 2 {
			t.Errorf("removed up to round %d, models up to %d", n.retained.updates, n.retained.models)
		}
	}
	for round := 1; round <= 4; round++ {
		state := w.round(round)
		gone := !slices.ContainsFunc(state.Updates, func(u fl.Update) bool { return w.files.has(u.Model.CID) })
		if gone != (round < 3) || w.files.has(state.Round.Global.CID) == gone {
			t.Errorf("round %d: the updates are gone: %t; the global model is there: %t", round, gone, w.files.has(state.Round.Global.CID))
		}
	}
}

// TestWhatTheLedgerNeverHeardOfIsRemoved: a node that was killed between IPFS and the ledger
// finds what it stored by the pin's name, and removes it once the round is over, with terms
// that keep everything too. What others have stored, and what is of a round to come, stays.
func TestWhatTheLedgerNeverHeardOfIsRemoved(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 2 })
	lost := map[string]string{}
	for _, id := range w.nodes {
		n, err := New(w.config(id))
		if err != nil {
			t.Fatal(err)
		}
		other := n.pinPrefix() + "2/of something else"
		for _, name := range []string{n.pinName(0), n.pinName(1), n.pinName(2), n.pinName(3), other, "x" + n.pinName(1)} {
			cid, err := w.files.AddNamed(t.Context(), name, strings.NewReader(id+name))
			if err != nil {
				t.Fatal(err)
			}
			lost[cid] = name
		}
	}
	w.run(w.nodes...)
	w.wantCompleted()
	for _, id := range w.nodes { // each sees the last round's end when it comes again, if it has not
		n, err := New(w.config(id))
		if err != nil {
			t.Fatal(err)
		}
		n.retain(t.Context(), w.task(), 2)
		for cid, name := range lost {
			over := slices.Contains([]string{n.pinName(0), n.pinName(1), n.pinName(2)}, name)
			if own := strings.Contains(name, n.pinPrefix()); own && w.files.has(cid) == over {
				t.Errorf("%s is there: %t", name, over)
			}
		}
	}
	for round := 1; round <= 2; round++ {
		for _, update := range w.round(round).Updates {
			if !w.files.has(update.Model.CID) {
				t.Errorf("round %d: an update that the ledger names is gone", round)
			}
		}
	}
	if first := w.task().Task.First.CID; !w.files.has(first) {
		t.Error("the first model is gone")
	}
}

// TestStrayFilesAreLookedForOnce: with terms that keep everything, a round is read again for
// what a node stored in it only when the node starts.
func TestStrayFilesAreLookedForOnce(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 3 })
	w.run(w.nodes...)
	w.wantCompleted()
	c := w.config(w.round(1).Updates[0].Node)
	reads := &counting{Ledger: c.Ledger}
	c.Ledger = reads
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.retain(t.Context(), w.task(), 3)
	if reads.of["round:GetRound"] == 0 {
		t.Error("no round is read at the start")
	}
	for range 2 {
		reads.of = nil
		n.retain(t.Context(), w.task(), 3)
	}
	if got := reads.of["round:GetRound"]; got > 0 {
		t.Errorf("%d rounds are read again", got)
	}
}

// counting counts what is asked of a ledger.
type counting struct {
	Ledger
	of map[string]int
}

func (c *counting) Evaluate(ctx context.Context, transaction string, request, result any) error {
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[transaction]++
	return c.Ledger.Evaluate(ctx, transaction, request, result)
}
