package fl

import (
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

// TestRetention compares the rule with lists of the newest rounds.
func TestRetention(t *testing.T) {
	for _, r := range []Retention{{}, {1, 1}, {2, 5}, {7, 3}} {
		for closed := range 12 {
			updates, models := map[int]bool{}, map[int]bool{0: true}
			for back := range closed {
				updates[closed-back] = r.Updates == 0 || back < r.Updates
				models[closed-back] = r.Models == 0 || back < r.Models
			}
			for round := 1; round <= closed; round++ {
				if got := r.KeepsUpdates(round, closed); got != updates[round] {
					t.Errorf("%+v: the updates of round %d are kept after round %d: %t", r, round, closed, got)
				}
			}
			for round := range closed + 1 {
				if got := r.KeepsModel(round, closed); got != models[round] {
					t.Errorf("%+v: the model of round %d is kept after round %d: %t", r, round, closed, got)
				}
			}
			if !r.KeepsUpdates(closed+1, closed) || !r.KeepsModel(closed+1, closed) {
				t.Errorf("%+v: what round %d makes is not kept after round %d", r, closed+1, closed)
			}
		}
	}
	for _, r := range []Retention{{1, 0}, {0, 1}, {-1, -1}, {MaxRounds + 1, 1}} {
		if err := checkRetention(Terms{Retention: r}); codes.Of(err) != "MF-TERMS-INVALID" {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
