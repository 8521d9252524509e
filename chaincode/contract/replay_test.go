package contract_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
)

// played is a task with a closed round, a round failed for silence, a closed
// round with a rejected update, and an open one.
func played(t *testing.T) (fl.TaskState, []fl.RoundState) {
	w := start(t, terms())
	w.full(1)
	second := w.train(2)
	w.do(w.nodes[second.Masters[0]], "round:CommitScores", w.commit(2, second.Masters[0], w.measured(second)))
	w.later(120)
	w.do(w.coordinator, "round:CloseCommits", request(2))
	third := w.open(3)
	w.scores[third.Trainers[0]] = 100_000
	w.submitUpdates(third)
	w.finish(3)
	w.train(4)
	var rounds []fl.RoundState
	for number := 1; number <= 4; number++ {
		rounds = append(rounds, w.state(number))
	}
	return w.taskState(), rounds
}

func TestReplayEqualsTheLedger(t *testing.T) {
	state, rounds := played(t)
	if got := fl.Differences(state, rounds); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	replayed := fl.Replay(state, rounds)
	if again := replayed.Rounds; len(again) != 4 || *again[2].Round.Global != global(3) || again[3].Round.Previous != global(3) || again[1].Round.Global != nil {
		t.Errorf("%+v", replayed)
	}
	if !slices.Equal(replayed.Standings, state.Standings) {
		t.Errorf("standings %+v, want %+v", replayed.Standings, state.Standings)
	}
}

// TestReplayNoticesEveryTampering changes one thing of a history at a time.
func TestReplayNoticesEveryTampering(t *testing.T) {
	state, rounds := played(t)
	for what, tamper := range map[string]func(*fl.TaskState, []fl.RoundState){
		"beacon":            func(_ *fl.TaskState, r []fl.RoundState) { r[2].Round.Beacon = r[1].Round.Beacon },
		"master":            func(_ *fl.TaskState, r []fl.RoundState) { r[0].Round.Masters[0] = r[0].Round.Trainers[0] },
		"masters swapped":   func(_ *fl.TaskState, r []fl.RoundState) { slices.Reverse(r[0].Round.Masters) },
		"trainer":           func(_ *fl.TaskState, r []fl.RoundState) { r[3].Round.Trainers[0] = r[3].Round.Masters[0] },
		"accepted":          func(_ *fl.TaskState, r []fl.RoundState) { r[2].Round.Results[0].Accepted = true },
		"median":            func(_ *fl.TaskState, r []fl.RoundState) { r[2].Round.Results[1].Median-- },
		"allowance":         func(_ *fl.TaskState, r []fl.RoundState) { r[2].Round.Allowance = 50_000 },
		"previous median":   func(_ *fl.TaskState, r []fl.RoundState) { r[0].Round.PreviousMedian = 0 },
		"results dropped":   func(_ *fl.TaskState, r []fl.RoundState) { r[0].Round.Results = nil },
		"score":             func(_ *fl.TaskState, r []fl.RoundState) { r[0].Reveals[0].Scores[0].Score++ },
		"reveal dropped":    func(_ *fl.TaskState, r []fl.RoundState) { r[0].Reveals = r[0].Reveals[1:] },
		"revealed salt":     func(_ *fl.TaskState, r []fl.RoundState) { r[2].Reveals[0].Salt = secret("x") },
		"commitment":        func(_ *fl.TaskState, r []fl.RoundState) { r[0].Commitments[0].Hash = secret("x") },
		"commitment gone":   func(_ *fl.TaskState, r []fl.RoundState) { r[0].Commitments = nil },
		"update dropped":    func(_ *fl.TaskState, r []fl.RoundState) { r[0].Updates = r[0].Updates[1:] },
		"global":            func(_ *fl.TaskState, r []fl.RoundState) { r[0].Round.Global.Digest = secret("x") },
		"attestations":      func(_ *fl.TaskState, r []fl.RoundState) { r[0].Round.Attestations = 3 },
		"attesters dropped": func(_ *fl.TaskState, r []fl.RoundState) { r[0].Attestations = r[0].Attestations[:2] },
		"previous":          func(_ *fl.TaskState, r []fl.RoundState) { r[3].Round.Previous = terms().Initial },
		"previous round":    func(_ *fl.TaskState, r []fl.RoundState) { r[3].Round.PreviousRound = 1 },
		"number":            func(_ *fl.TaskState, r []fl.RoundState) { r[3].Round.Number = 5 },
		"failed elsewhere":  func(_ *fl.TaskState, r []fl.RoundState) { r[1].Round.FailedIn = fl.RoundTraining },
		"standing":          func(s *fl.TaskState, _ []fl.RoundState) { s.Standings[0].Weight++ },
		"beacon salt":       func(s *fl.TaskState, _ []fl.RoundState) { s.Salts[0].Salt = secret("x") },
		"beacon salt gone":  func(s *fl.TaskState, _ []fl.RoundState) { s.Salts = s.Salts[1:] },
		"salt of no node":   func(s *fl.TaskState, _ []fl.RoundState) { s.Nodes = s.Nodes[1:] },
		"node's commitment": func(s *fl.TaskState, _ []fl.RoundState) { s.Nodes[0].Commitment = secret("x") },
		"threshold":         func(s *fl.TaskState, _ []fl.RoundState) { s.Task.Threshold = 950_000 },
		"masters of terms":  func(s *fl.TaskState, _ []fl.RoundState) { s.Task.Masters = 5 },
		"first model": func(s *fl.TaskState, r []fl.RoundState) {
			s.Task.First = model("another")
			for i := range r[:2] {
				r[i].Round.Previous = s.Task.First
			}
		},
		"a round left out": func(_ *fl.TaskState, r []fl.RoundState) { r[0], r[1] = r[1], r[0] },
	} {
		changed, changedRounds := clone(t, state), clone(t, rounds)
		tamper(&changed, changedRounds)
		if len(fl.Differences(changed, changedRounds)) == 0 {
			t.Errorf("%s: not noticed", what)
		}
	}
	if len(fl.Differences(state, rounds[:3])) == 0 {
		t.Error("the last round left out: not noticed")
	}
}

func clone[T any](t *testing.T, value T) T {
	t.Helper()
	bytes, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return parse[T](t, bytes)
}
