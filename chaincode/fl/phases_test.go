package fl_test

import (
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
)

func TestTablesHaveNoWayOutOfAFinalPhaseAndAWayOutOfEveryOther(t *testing.T) {
	for _, move := range fl.RoundMoves() {
		if move.From.Final() {
			t.Errorf("a %s round moves to %s", move.From, move.To)
		}
		if !move.From.CanMoveTo(move.To) || move.By == "" || move.When == "" {
			t.Errorf("%+v", move)
		}
	}
	for _, move := range fl.TaskMoves() {
		if move.From.Final() {
			t.Errorf("a %s task moves to %s", move.From, move.To)
		}
		if !move.From.CanMoveTo(move.To) || move.By == "" || move.When == "" {
			t.Errorf("%+v", move)
		}
	}
	for _, phase := range []fl.RoundPhase{fl.RoundTraining, fl.RoundCommitting, fl.RoundRevealing, fl.RoundAggregating} {
		if !phase.CanMoveTo(fl.RoundFailed) || phase.Final() {
			t.Errorf("a %s round can't fail", phase)
		}
	}
}

func TestRoundsGoOneWay(t *testing.T) {
	order := []fl.RoundPhase{fl.RoundTraining, fl.RoundCommitting, fl.RoundRevealing, fl.RoundAggregating, fl.RoundClosed}
	for i, from := range order {
		for j, to := range order {
			if from.CanMoveTo(to) != (j == i+1) {
				t.Errorf("%s to %s", from, to)
			}
			if from.Before(to) != (i < j) {
				t.Errorf("%s before %s", from, to)
			}
		}
		if from.Before(fl.RoundFailed) != (from != fl.RoundClosed) {
			t.Errorf("%s before failed", from)
		}
	}
	if fl.RoundFailed.Before(fl.RoundClosed) || fl.RoundPhase("nonsense").CanMoveTo(fl.RoundTraining) {
		t.Error("a way that is none")
	}
}

func TestDeadlinesOfPhases(t *testing.T) {
	d := fl.Deadlines{Starting: 1, Training: 2, Committing: 3, Revealing: 4, Aggregating: 5}
	var got []int64
	for _, phase := range []fl.RoundPhase{fl.RoundTraining, fl.RoundCommitting, fl.RoundRevealing, fl.RoundAggregating, fl.RoundClosed, fl.RoundFailed} {
		got = append(got, d.Of(phase))
	}
	if !slices.Equal(got, []int64{2, 3, 4, 5, 0, 0}) {
		t.Errorf("%v", got)
	}
}
