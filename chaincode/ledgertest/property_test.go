package ledgertest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/ledgertest"
	"pgregory.net/rapid"
)

// randomProgram draws a transaction over a few keys, so that conflicts are common.
func randomProgram(t *rapid.T) []string {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	line := rapid.Custom(func(t *rapid.T) string {
		k, other := key.Draw(t, "key"), key.Draw(t, "other")
		return rapid.SampledFrom([]string{
			"get " + k, "put " + k + " " + other, "del " + k, "copy " + k + " " + other,
			"range " + min(k, other) + " " + max(k, other), "range " + k + " -", "first a - 1",
			"policyof " + k, "newpolicy " + k + " Hospital1MSP Hospital2MSP",
			"pget both " + k, "pput both " + k + " " + other, "pdel both " + k, "purge both " + k, "phash both " + k,
			"pnewpolicy both " + k + " Hospital1MSP Hospital2MSP",
			"event e " + k,
		}).Draw(t, "line")
	})
	return rapid.SliceOfN(line, 1, 5).Draw(t, "program")
}

// What was found valid, however endorsements and commits interleaved, is what
// the same transactions give one after the other.
func TestValidTransactionsAreSerialisable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, secrets())
		programs := map[string][]string{}
		var pending block
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "commit") > 0 {
				lines := randomProgram(t)
				tx := w.endorse(lines...)
				programs[tx.TxID] = lines
				pending = append(pending, tx)
				continue
			}
			pending = rapid.Permutation(pending).Draw(t, "order")
			n := rapid.IntRange(0, len(pending)).Draw(t, "n")
			w.Commit(pending[:n]...)
			pending = slices.Clone(pending[n:])
		}
		results := w.Commit(pending...)
		if len(results) != len(pending) {
			t.Fatalf("%d results of %d", len(results), len(pending))
		}
		sequential(t, w, programs)
	})
}

// sequential replays the valid transactions of a ledger one by one on another.
func sequential(t *rapid.T, w *world, programs map[string][]string) {
	again := newWorld(t, secrets())
	valid := 0
	for _, r := range transactionsOf(t, w) {
		if r.Code != 0 {
			continue
		}
		valid++
		result, err := again.propose(programs[r.TxID]...).Submit()
		if err != nil {
			t.Fatalf("%q: %v", programs[r.TxID], err)
		}
		if got := fmt.Sprintf("200 \"\" %q", result.Payload); got != r.Response {
			t.Fatalf("%q answered %s and, replayed, %s\n%s", programs[r.TxID], r.Response, got, w.Scenario("not serialisable"))
		}
	}
	if w.state() != again.state() {
		t.Fatalf("after %d transactions %s, and replayed %s\n%s", valid, w.state(), again.state(), w.Scenario("not serialisable"))
	}
}

func transactionsOf(t *rapid.T, w *world) []ledgertest.Trace {
	traces, err := ledgertest.Traces(w.Blocks(), "medfed")
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

// state tells all values, public and private, and what hashes the public side has.
func (w *world) state() string {
	lines := []string{"range - -"}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		lines = append(lines, "policyof "+key, "pget both "+key, "phash both "+key)
	}
	return w.ask(lines...)
}

// Everything done to a ledger, written as a scenario and run again, makes the
// same chain to the byte.
func TestEveryRunCanBeReplayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, secrets())
		var pending block
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			p := w.propose(randomProgram(t)...)
			if rapid.Bool().Draw(t, "alone") {
				p.On("Hospital1MSP")
			}
			tx, err := p.Endorse()
			if err != nil {
				t.Fatal(err)
			}
			pending = append(pending, tx)
			if rapid.Bool().Draw(t, "commit") {
				w.Commit(pending...)
				pending = nil
			}
		}
		replayed(t, w)
	})
}

// Pages put together are the range, whatever their size.
func TestPagesAreTheRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		n, size := rapid.IntRange(1, 250).Draw(t, "n"), rapid.IntRange(1, 130).Draw(t, "size")
		w.fill(n)
		var keys []string
		for bookmark := ""; ; {
			answer := w.ask(fmt.Sprintf("page k l %d %s", size, dash(bookmark)))
			results, rest, _ := strings.Cut(answer, " )")
			keys = append(keys, strings.Fields(results)[1:]...)
			if _, bookmark, _ = strings.Cut(rest, "bookmark "); bookmark == `""` {
				break
			}
			bookmark = strings.Trim(bookmark, `"`)
		}
		if got, want := strings.Join(keys, " "), strings.TrimSuffix(strings.TrimPrefix(w.ask("range k l"), "( "), " )"); got != want {
			t.Fatalf("pages give %s, the range %s", got, want)
		}
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
