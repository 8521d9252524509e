package fl_test

import (
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
)

func TestStandings(t *testing.T) {
	scored := fl.ScoredStandings(4, []fl.Result{
		{Node: "A/accepted", Median: 875_000, Accepted: true},
		{Node: "B/zero", Median: 0, Accepted: true},
		{Node: "C/rejected", Median: 400_000},
		{Node: "D/unscored", Median: fl.Unscored},
	})
	want := []fl.Standing{
		{Node: "A/accepted", Weight: 875_000, Round: 4, Reason: "accepted"},
		{Node: "B/zero", Weight: 1, Round: 4, Reason: "accepted"},
		{Node: "C/rejected", Weight: 1, Round: 4, Reason: "rejected"},
	}
	if !slices.Equal(scored, want) {
		t.Errorf("scored %+v, want %+v", scored, want)
	}
	silent := fl.SilentStandings(4, []string{"E/1", "F/1"}, []string{"F/1", "G/1"})
	if !slices.Equal(silent, []fl.Standing{{Node: "E/1", Weight: 1, Round: 4, Reason: "silent"}}) {
		t.Errorf("silent %+v", silent)
	}
	old := []fl.Standing{{Node: "C/rejected", Weight: 900_000, Round: 3, Reason: "accepted"}, {Node: "Z/old", Weight: 5}}
	updated := fl.UpdateStandings(old, append(scored, silent...))
	if len(updated) != 5 || updated[2].Weight != 1 || updated[4] != old[1] || !slices.IsSortedFunc(updated, func(a, b fl.Standing) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	}) {
		t.Errorf("updated %+v", updated)
	}
}

// The same masters and trainers would be drawn for ever if a round in which all
// updates were rejected took the trainers' weight and left the masters theirs.
func TestARoundInWhichNothingWasAcceptedLeavesStandingsAlone(t *testing.T) {
	scored := fl.ScoredStandings(4, []fl.Result{{Node: "A/a", Median: 10, Scores: 3}, {Node: "B/b", Median: fl.Unscored}})
	if len(scored) != 0 {
		t.Errorf("standings %v after a round in which nothing was accepted", scored)
	}
}
