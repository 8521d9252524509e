package fl_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
)

func TestAllowanceWidensAfterTalliesThatAcceptNone(t *testing.T) {
	var (
		relative = fl.Terms{ThresholdKind: fl.ThresholdRelative, Threshold: 200_000}
		strict   = fl.Terms{ThresholdKind: fl.ThresholdRelative}
		absolute = fl.Terms{ThresholdKind: fl.ThresholdAbsolute, Threshold: 200_000}

		none     = []fl.Result{{Node: "A/t", Median: 500_000, Scores: 3}, {Node: "B/t", Median: fl.Unscored, Scores: 2}}
		one      = []fl.Result{{Node: "A/t", Median: 500_000, Scores: 3}, {Node: "B/t", Median: 800_000, Scores: 3, Accepted: true}}
		unscored = []fl.Result{{Node: "A/t", Median: fl.Unscored, Scores: 2}}
	)
	for _, c := range []struct {
		name      string
		terms     fl.Terms
		allowance fl.Micro
		results   []fl.Result
		previous  fl.Micro
		want      fl.Micro
	}{
		{"none accepted", relative, 200_000, none, 900_000, 400_000},
		{"none accepted again", relative, 400_000, none, 900_000, 600_000},
		{"up to one", relative, 900_000, none, 1_000_000, fl.One},
		{"one already", relative, fl.One, none, 1_000_000, fl.One},
		{"one accepted", relative, 600_000, one, 900_000, 200_000},
		{"no tally", relative, 400_000, []fl.Result{}, fl.Unscored, 400_000},
		{"a tally of no updates", relative, 400_000, []fl.Result{}, 900_000, 400_000},
		{"no update with scores enough", relative, 400_000, unscored, 900_000, 400_000},
		{"previous global model not scored", relative, 400_000, none, fl.Unscored, 400_000},
		{"threshold 0", strict, 0, none, 900_000, 0},
		{"absolute threshold", absolute, 0, none, 900_000, 0},
		{"absolute threshold, one accepted", absolute, 0, one, 900_000, 0},
	} {
		if got := fl.NextAllowance(c.terms, c.allowance, c.results, c.previous); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for _, terms := range []fl.Terms{relative, strict, absolute} {
		want := terms.Threshold
		if terms.ThresholdKind == fl.ThresholdAbsolute {
			want = 0
		}
		if got := fl.FirstAllowance(terms); got != want {
			t.Errorf("the first allowance of %s %d is %d, want %d", terms.ThresholdKind, terms.Threshold, got, want)
		}
	}
}

// TestAllowanceCountsTheRoundsInARow says the rule in another way: the threshold
// once, and once more for each comparison that accepted none since the last that
// accepted any.
func TestAllowanceCountsTheRoundsInARow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := plays(t)
		allowance, rejected := fl.FirstAllowance(first.terms), 0
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			p := plays(t)
			p.terms, p.allowance = first.terms, allowance
			results, previous := fl.Results(p.terms, p.allowance, p.trainers, p.updates, p.reveals)
			allowance = fl.NextAllowance(p.terms, allowance, results, previous)
			accepted, compared := 0, 0
			for _, r := range results {
				if r.Accepted {
					accepted++
				}
				if r.Scores > 2*p.terms.F && previous >= 0 {
					compared++
				}
			}
			switch {
			case accepted > 0:
				rejected = 0
			case compared > 0:
				rejected++
			}
			want := p.terms.Threshold * fl.Micro(rejected+1)
			if p.terms.ThresholdKind == fl.ThresholdAbsolute {
				want = 0
			}
			if want > fl.One {
				want = fl.One
			}
			if allowance != want {
				t.Fatalf("after %d comparisons in a row that accepted none the allowance is %d, want %d", rejected, allowance, want)
			}
		}
	})
}
