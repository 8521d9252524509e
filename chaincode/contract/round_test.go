package contract_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

func TestWholeTask(t *testing.T) {
	w := start(t, terms())
	previous := terms().Initial
	for number := 1; number <= 3; number++ {
		round := w.full(number)
		if round.Phase != fl.RoundClosed || round.Global == nil || *round.Global != global(number) {
			t.Fatalf("round %d came to %+v", number, round)
		}
		if round.Previous != previous || round.PreviousRound != number-1 || round.Attestations != 4 || round.Deadline != 0 {
			t.Errorf("round %d: %+v", number, round)
		}
		if len(round.Masters) != 4 || len(round.Trainers) != 5 || len(round.Results) != 5 {
			t.Errorf("round %d: %d masters, %d trainers, %d results", number, len(round.Masters), len(round.Trainers), len(round.Results))
		}
		previous = *round.Global
	}
	state := w.taskState()
	if state.Task.Phase != fl.TaskCompleted || state.Closed != 3 || state.LastRound != 3 || len(state.Nodes) != 9 || len(state.Salts) != 9 {
		t.Errorf("the task came to %+v", state)
	}
	w.refused("MF-TASK-PHASE", w.coordinator, "round:OpenRound", request(4))
	w.replays()
}

// The coordinator can't encrypt the first model to nodes that have yet to join:
// it brings the same weights in another envelope when it starts the task.
func TestFirstModelIsSealedForTheNodesWhenTheTaskStarts(t *testing.T) {
	w := newWorld(t)
	w.do(w.coordinator, "task:CreateTask", terms())
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:JoinTask", w.join(id))
	}
	w.refused("MF-TASK-FIRST", w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: model("another"), Nodes: len(nodeIDs())})
	larger := terms().Initial
	larger.Size++
	w.refused("MF-TASK-FIRST", w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: larger, Nodes: len(nodeIDs())})
	sealed := terms().Initial
	sealed.CID = "/ipfs/" + sealed.CID
	w.refused("MF-MODEL-CID", w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: sealed, Nodes: len(nodeIDs())})
	sealed.CID = cidOf("sealed for all").String()
	w.refused("MF-TASK-JOINED", w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: sealed, Nodes: len(nodeIDs()) - 1})
	started := result[fl.Task](w, w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: sealed, Nodes: len(nodeIDs())})
	if started.First != sealed || started.Initial != terms().Initial {
		t.Errorf("started as %+v", started)
	}
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	if round := w.full(1); round.Previous != sealed {
		t.Errorf("round 1 starts from %+v", round.Previous)
	}
	if steps := query[[]fl.LineageStep](w, "round:GetLineage", request(1)); steps[0].Previous != sealed {
		t.Errorf("the lineage is %+v", steps)
	}
	w.replays()
}

func TestOneEventPerTransactionNamedAsIt(t *testing.T) {
	w := start(t, terms())
	w.full(1)
	var names []string
	for _, event := range w.ledger.Events(0) {
		var payload fl.Event
		if err := json.Unmarshal(event.Payload, &payload); err != nil || payload.Task != task || payload.Actor == "" || payload.Phase == "" {
			t.Errorf("event %s carries %s", event.Name, event.Payload)
		}
		names = append(names, event.Name)
	}
	want := []string{"task:CreateTask"}
	want = append(want, slices.Repeat([]string{"task:JoinTask"}, 9)...)
	want = append(want, "task:StartTask")
	want = append(want, slices.Repeat([]string{"task:RevealSalt"}, 9)...)
	want = append(want, "round:OpenRound")
	want = append(want, slices.Repeat([]string{"round:SubmitUpdate"}, 5)...)
	want = append(want, "round:CloseTraining")
	want = append(want, slices.Repeat([]string{"round:CommitScores"}, 4)...)
	want = append(want, "round:CloseCommits")
	want = append(want, slices.Repeat([]string{"round:RevealScores"}, 4)...)
	want = append(want, "round:Tally", "round:ProposeGlobal")
	want = append(want, slices.Repeat([]string{"round:AttestGlobal"}, 4)...)
	want = append(want, "round:CloseRound")
	if !slices.Equal(names, want) {
		t.Errorf("events are %v, want %v", names, want)
	}
	last := parse[fl.Event](t, w.ledger.Events(0)[len(want)-1].Payload)
	if last != (fl.Event{Task: task, Round: 1, Phase: "closed", Actor: "ResearchCentreMSP/coordinator"}) {
		t.Errorf("the last event carries %+v", last)
	}
}

func TestLineageAndHistory(t *testing.T) {
	w := start(t, terms())
	w.full(1)
	// Round 2 fails: nobody trains. Round 3 starts again from round 1's model.
	w.open(2)
	w.refused("MF-ROUND-NO-GLOBAL", w.coordinator, "round:GetLineage", request(2))
	w.later(600)
	if round := result[fl.Round](w, w.coordinator, "round:CloseTraining", request(2)); round.Phase != fl.RoundFailed {
		t.Fatalf("round 2 came to %+v", round)
	}
	third := w.open(3)
	w.scores[third.Trainers[0]] = 100_000
	w.submitUpdates(third)
	w.finish(3)

	steps := query[[]fl.LineageStep](w, "round:GetLineage", request(3))
	if len(steps) != 2 || steps[0].Round != 3 || steps[1].Round != 1 {
		t.Fatalf("the lineage of round 3 is %+v", steps)
	}
	if steps[0].Previous != global(1) || steps[0].PreviousRound != 1 || steps[0].Global != global(3) {
		t.Errorf("round 3 is not of round 1: %+v", steps[0])
	}
	if !slices.Equal(steps[0].Rejected, third.Trainers[:1]) || len(steps[0].Updates) != 4 || !slices.Equal(steps[0].Masters, third.Masters) {
		t.Errorf("step of round 3: %+v", steps[0])
	}
	if steps[1].Previous != terms().Initial || steps[1].PreviousRound != 0 || len(steps[1].Updates) != 5 {
		t.Errorf("step of round 1: %+v", steps[1])
	}

	entries := query[[]ledger.Change](w, "round:GetRoundHistory", fl.HistoryRequest{Task: task, Round: 3})
	var phases []fl.RoundPhase
	for _, entry := range entries {
		phases = append(phases, parse[fl.Round](t, []byte(entry.Value)).Phase)
	}
	if want := []fl.RoundPhase{fl.RoundTraining, fl.RoundCommitting, fl.RoundRevealing, fl.RoundAggregating, fl.RoundClosed}; !slices.Equal(phases, want) {
		t.Errorf("round 3 went through %v, want %v", phases, want)
	}
	if steps[0].TxID != entries[len(entries)-1].TxID {
		t.Errorf("the lineage says %s closed round 3, the history %s", steps[0].TxID, entries[len(entries)-1].TxID)
	}
	phasesOfTask := []fl.TaskPhase{}
	for _, entry := range query[[]ledger.Change](w, "round:GetRoundHistory", fl.HistoryRequest{Task: task, Round: 0}) {
		phasesOfTask = append(phasesOfTask, parse[fl.Task](t, []byte(entry.Value)).Phase)
	}
	if want := []fl.TaskPhase{fl.TaskJoining, fl.TaskStarting, fl.TaskRunning}; !slices.Equal(phasesOfTask, want) {
		t.Errorf("by way of round 0 the task went through %v, want %v", phasesOfTask, want)
	}
	w.replays()
}

// finish plays a round in which training goes on to its end.
func (w *world) finish(number int) fl.Round {
	w.Helper()
	round := result[fl.Round](w, w.coordinator, "round:CloseTraining", request(number))
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:CommitScores", w.commit(number, id, w.measured(round)))
	}
	w.do(w.coordinator, "round:CloseCommits", request(number))
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:RevealScores", w.reveal(number, id, w.measured(round)))
	}
	w.do(w.coordinator, "round:Tally", request(number))
	w.do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: number, Model: global(number)})
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: number, Digest: global(number).Digest})
	}
	return result[fl.Round](w, w.coordinator, "round:CloseRound", request(number))
}
