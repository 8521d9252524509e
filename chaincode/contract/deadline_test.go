package contract_test

import (
	"slices"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/fl"
)

func TestCase31TrainingClosesAtQuorumAfterItsDeadline(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	w.refused("MF-ROUND-EARLY", w.coordinator, "round:CloseTraining", request(1))
	for _, id := range round.Trainers[:3] {
		w.do(w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	}
	w.later(599)
	w.refused("MF-ROUND-EARLY", w.coordinator, "round:CloseTraining", request(1))
	w.later(1)
	closed := result[fl.Round](w, w.nodes[round.Trainers[4]], "round:CloseTraining", request(1))
	if closed.Phase != fl.RoundCommitting || closed.Deadline != w.ledger.Now().Unix()+120 {
		t.Errorf("the round came to %+v", closed)
	}
	w.refused("MF-ROUND-PHASE", w.nodes[round.Trainers[4]], "round:SubmitUpdate", w.update(1, round.Trainers[4]))
	w.replays()
}

func TestCase31RoundBelowQuorumFailsAndIsRedrawn(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	for _, id := range round.Trainers[:2] {
		w.do(w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	}
	w.later(600)
	failed := result[fl.Round](w, w.coordinator, "round:CloseTraining", request(1))
	if failed.Phase != fl.RoundFailed || failed.FailedIn != fl.RoundTraining || failed.Reason == "" || failed.Deadline != 0 {
		t.Errorf("the round came to %+v", failed)
	}
	redrawn := w.open(2)
	if redrawn.Beacon != fl.NextBeacon(task, 1, round.Beacon, nil) {
		t.Errorf("the beacon after a round without reveals is %s", redrawn.Beacon)
	}
	if redrawn.Previous != terms().Initial || redrawn.PreviousRound != 0 || redrawn.Phase != fl.RoundTraining {
		t.Errorf("redrawn as %+v", redrawn)
	}
	if standings := w.taskState().Standings; len(standings) != 0 {
		t.Errorf("a round without a tally set the standings %+v", standings)
	}
	w.replays()
}

func TestCommitsCloseAtQuorumAfterTheirDeadline(t *testing.T) {
	for _, c := range []struct {
		commitments int
		phase       fl.RoundPhase
		silent      int
	}{{3, fl.RoundRevealing, 0}, {2, fl.RoundFailed, 2}} {
		w := start(t, terms())
		round := w.train(1)
		for _, id := range round.Masters[:c.commitments] {
			w.do(w.nodes[id], "round:CommitScores", w.commit(1, id, w.measured(round)))
		}
		w.later(119)
		w.refused("MF-ROUND-EARLY", w.coordinator, "round:CloseCommits", request(1))
		w.later(1)
		closed := result[fl.Round](w, w.coordinator, "round:CloseCommits", request(1))
		if closed.Phase != c.phase {
			t.Errorf("with %d commitments the round came to %+v", c.commitments, closed)
		}
		if got := w.taskState().Standings; len(got) != c.silent {
			t.Errorf("with %d commitments the standings are %+v", c.commitments, got)
		}
		if c.phase == fl.RoundFailed && standingOf(w.taskState(), round.Masters[3]) != (fl.Standing{Node: round.Masters[3], Weight: 1, Round: 1, Reason: fl.ReasonSilent}) {
			t.Errorf("the silent master stands at %+v", standingOf(w.taskState(), round.Masters[3]))
		}
		w.replays()
	}
}

func TestCase22QuorumOfReveals(t *testing.T) {
	for _, c := range []struct {
		reveals int
		phase   fl.RoundPhase
	}{{3, fl.RoundAggregating}, {2, fl.RoundFailed}} {
		w := start(t, terms())
		round := w.commitAll(1)
		for _, id := range round.Masters[:c.reveals] {
			w.do(w.nodes[id], "round:RevealScores", w.reveal(1, id, w.measured(round)))
		}
		w.refused("MF-ROUND-EARLY", w.coordinator, "round:Tally", request(1))
		w.later(120)
		tallied := result[fl.Round](w, w.coordinator, "round:Tally", request(1))
		if tallied.Phase != c.phase {
			t.Errorf("with %d reveals the round came to %+v", c.reveals, tallied)
		}
		if silent := standingOf(w.taskState(), round.Masters[3]); silent.Weight != 1 || silent.Reason != fl.ReasonSilent {
			t.Errorf("the silent master stands at %+v", silent)
		}
		w.replays()
		if c.phase == fl.RoundFailed {
			continue
		}
		// Of the three that revealed, an update of one's own organisation has two
		// scores: too few, and no fault of its trainer.
		for _, result := range tallied.Results {
			own := slices.ContainsFunc(round.Masters[:3], func(m string) bool { return fl.OrgOf(m) == fl.OrgOf(result.Node) })
			if own != (result.Median == fl.Unscored) || own == result.Accepted {
				t.Errorf("result %+v, own organisation scored: %v", result, own)
			}
			if standing := standingOf(w.taskState(), result.Node); own != (standing == fl.Standing{}) {
				t.Errorf("%s stands at %+v", result.Node, standing)
			}
		}
	}
}

func TestPoisonedUpdateIsRejectedAndItsNodeDemoted(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	poisoner := round.Trainers[2]
	w.scores[poisoner] = 120_000
	w.submitUpdates(round)
	closed := w.finish(1)
	for _, result := range closed.Results {
		if result.Accepted != (result.Node != poisoner) {
			t.Errorf("result %+v", result)
		}
	}
	state := w.taskState()
	if got := standingOf(state, poisoner); got != (fl.Standing{Node: poisoner, Weight: 1, Round: 1, Reason: fl.ReasonRejected}) {
		t.Errorf("the poisoner stands at %+v", got)
	}
	if got := standingOf(state, round.Trainers[0]); got.Weight != 900_000 || got.Reason != fl.ReasonAccepted {
		t.Errorf("an honest trainer stands at %+v", got)
	}
	w.replays()
}

func TestRelativeThresholdComparesWithThePreviousGlobalModel(t *testing.T) {
	relative := terms()
	relative.ThresholdKind, relative.Threshold = fl.ThresholdRelative, 50_000
	w := start(t, relative)
	round := w.open(1)
	w.scores[round.Trainers[0]] = 750_000 // the previous global model scores 800000
	w.scores[round.Trainers[1]] = 749_999
	w.submitUpdates(round)
	closed := w.finish(1)
	if closed.PreviousMedian != 800_000 || !closed.Results[0].Accepted || closed.Results[1].Accepted {
		t.Errorf("the round came to %+v", closed)
	}
}

// TestAllowanceWidensAfterRoundsThatAcceptNone: the first global model scores
// 800000 by chance, and every update 650000.
func TestAllowanceWidensAfterRoundsThatAcceptNone(t *testing.T) {
	relative := terms()
	relative.ThresholdKind, relative.Threshold, relative.MaxFailed = fl.ThresholdRelative, 50_000, 10
	w := start(t, relative)
	for _, id := range nodeIDs() {
		w.scores[id] = 650_000
	}
	w.tally(1)
	w.open(2)
	w.later(600)
	w.do(w.coordinator, "round:CloseTraining", request(2)) // too few updates: compared with nothing
	w.tally(3)
	w.tally(4)
	w.later(240)
	w.do(w.coordinator, "round:CloseRound", request(4)) // accepted, and no global model agreed on
	w.open(5)
	state := w.taskState()
	var rounds []fl.RoundState
	for i, want := range []struct {
		allowance fl.Micro
		phase     fl.RoundPhase // in which it failed
	}{
		{50_000, fl.RoundRevealing}, {100_000, fl.RoundTraining}, {100_000, fl.RoundRevealing},
		{150_000, fl.RoundAggregating}, {50_000, ""},
	} {
		rounds = append(rounds, w.state(i+1))
		if got := rounds[i].Round; got.Allowance != want.allowance || got.FailedIn != want.phase {
			t.Errorf("round %d has the allowance %d and failed in %q, want %+v", i+1, got.Allowance, got.FailedIn, want)
		}
	}
	w.replays()
	rounds[3].Round.Allowance = relative.Threshold
	want := []fl.Difference{{Round: 4, What: "allowance", Ledger: "50000", Replayed: "150000"}}
	if found := fl.Differences(state, rounds); !slices.Equal(found, want) {
		t.Errorf("an allowance that was not widened: %+v, want %+v", found, want)
	}
}

func TestRoundWithNothingAcceptedFails(t *testing.T) {
	w := start(t, terms())
	for _, id := range nodeIDs() {
		w.scores[id] = 0
	}
	round := w.tally(1)
	if round.Phase != fl.RoundFailed || round.FailedIn != fl.RoundRevealing || len(round.Results) != 5 {
		t.Errorf("the round came to %+v", round)
	}
	if next := w.open(2); next.Beacon != fl.NextBeacon(task, 1, round.Beacon, w.state(1).Reveals) {
		t.Errorf("the beacon after a failed round with reveals is %s", next.Beacon)
	}
	w.replays()
}

func TestSilentCoordinatorIsReplacedByAMaster(t *testing.T) {
	w := start(t, terms())
	round := w.tally(1)
	master := round.Masters[2]
	propose := fl.ProposeRequest{Task: task, Round: 1, Model: global(1)}
	for _, id := range round.Masters[:3] {
		w.do(w.nodes[id], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest})
	}
	w.refused("MF-ROUND-EARLY", w.nodes[master], "round:CloseRound", request(1))
	w.refused("MF-PROPOSAL-EARLY", w.nodes[master], "round:ProposeGlobal", propose)
	w.later(120)
	w.do(w.nodes[master], "round:ProposeGlobal", propose)
	closed := result[fl.Round](w, w.nodes[master], "round:CloseRound", request(1))
	if closed.Phase != fl.RoundClosed || *closed.Global != global(1) || closed.Attestations != 3 {
		t.Errorf("the round came to %+v", closed)
	}
	w.replays()
}

func TestCase27TwoDigestsMakeNoProgressUntilAQuorumAgrees(t *testing.T) {
	w := start(t, terms())
	round := w.tally(1)
	wrong := model("wrong")
	w.do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: wrong})
	attest := func(master string, digest string) {
		w.do(w.nodes[master], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: digest})
	}
	attest(round.Masters[0], wrong.Digest)
	for _, master := range round.Masters[1:3] {
		attest(master, global(1).Digest)
	}
	w.refused("MF-ROUND-EARLY", w.coordinator, "round:CloseRound", request(1))
	w.later(120)
	w.do(w.nodes[round.Masters[1]], "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.refused("MF-ROUND-EARLY", w.coordinator, "round:CloseRound", request(1))
	w.refused("MF-ATTESTATION-EXISTS", w.nodes[round.Masters[0]], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest})
	attest(round.Masters[3], global(1).Digest)
	closed := result[fl.Round](w, w.coordinator, "round:CloseRound", request(1))
	if closed.Phase != fl.RoundClosed || *closed.Global != global(1) || closed.Attestations != 3 {
		t.Errorf("the round came to %+v", closed)
	}
	w.replays()
}

func TestCase27SameElectionAtAnotherTimeAndTransaction(t *testing.T) {
	w := start(t, terms())
	first := w.ledger.Propose(w.coordinator, "round:OpenRound", request(1))
	second := w.ledger.Propose(w.nodes[nodeIDs()[0]], "round:OpenRound", request(1)).At(w.ledger.Now().Add(9 * time.Second))
	drawn := make([]fl.Round, 2)
	for i, proposal := range []interface {
		Evaluate() ([]byte, error)
	}{first, second} {
		payload, err := proposal.Evaluate()
		if err != nil {
			t.Fatal(err)
		}
		drawn[i] = parse[fl.Round](t, payload)
	}
	if !slices.Equal(drawn[0].Masters, drawn[1].Masters) || !slices.Equal(drawn[0].Trainers, drawn[1].Trainers) || drawn[0].OpenedAt == drawn[1].OpenedAt {
		t.Errorf("drawn as %+v and as %+v", drawn[0], drawn[1])
	}
}

func TestRoundWithoutAgreementFailsAfterTwiceItsTime(t *testing.T) {
	w := start(t, terms())
	w.tally(1)
	w.do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.later(239)
	w.refused("MF-ROUND-EARLY", w.coordinator, "round:CloseRound", request(1))
	w.later(1)
	failed := result[fl.Round](w, w.coordinator, "round:CloseRound", request(1))
	if failed.Phase != fl.RoundFailed || failed.FailedIn != fl.RoundAggregating || failed.Global != nil {
		t.Errorf("the round came to %+v", failed)
	}
	if next := w.open(2); next.Previous != terms().Initial {
		t.Errorf("the next round starts from %+v", next.Previous)
	}
	w.replays()
}

func TestTaskFailsAfterTooManyFailedRoundsInARow(t *testing.T) {
	w := start(t, terms())
	number := 0
	fail := func() {
		number++
		w.open(number)
		w.later(600)
		w.do(w.coordinator, "round:CloseTraining", request(number))
	}
	fail()
	fail()
	number++
	w.full(number) // a closed round starts the count again
	fail()
	fail()
	if phase := w.taskState().Task.Phase; phase != fl.TaskRunning {
		t.Fatalf("the task is %s", phase)
	}
	fail()
	if phase := w.taskState().Task.Phase; phase != fl.TaskFailed {
		t.Errorf("the task is %s", phase)
	}
	w.refused("MF-TASK-PHASE", w.coordinator, "round:OpenRound", request(number+1))
	w.replays()
}

// starting is a task in which only the first n nodes have revealed their salts.
func starting(t *testing.T, n int) *world {
	w := newWorld(t)
	w.do(w.coordinator, "task:CreateTask", terms())
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:JoinTask", w.join(id))
	}
	w.do(w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs()[:n] {
		w.do(w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	w.refused("MF-ROUND-EARLY", w.coordinator, "round:OpenRound", request(1))
	w.later(60)
	return w
}

func TestNodesThatDoNotRevealTakeNoPart(t *testing.T) {
	w := starting(t, 7)
	round := w.open(1)
	if round.Phase != fl.RoundTraining || len(round.Masters)+len(round.Trainers) != 7 {
		t.Errorf("opened as %+v", round)
	}
	for _, id := range nodeIDs()[7:] {
		if slices.Contains(round.Masters, id) || slices.Contains(round.Trainers, id) {
			t.Errorf("%s takes part", id)
		}
		w.refused("MF-TASK-PHASE", w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	if phase := w.taskState().Task.Phase; phase != fl.TaskRunning {
		t.Errorf("the task is %s", phase)
	}
	w.submitUpdates(round)
	w.finish(1)
	w.replays()
}

func TestTaskFailsWhenTooFewReveal(t *testing.T) {
	w := starting(t, 6) // of three organisations
	round := w.open(1)
	if round.Phase != fl.RoundFailed || round.Reason == "" || len(round.Masters) != 0 {
		t.Errorf("opened as %+v", round)
	}
	if phase := w.taskState().Task.Phase; phase != fl.TaskFailed {
		t.Errorf("the task is %s", phase)
	}
	if again := w.open(1); again.Phase != fl.RoundFailed {
		t.Errorf("opened again as %+v", again)
	}
	w.replays()
}

// A client's clock within the window may lie behind; the ledger's own times
// never run backwards for it.
func TestTimesNeverRunBackwards(t *testing.T) {
	w := newWorld(t)
	created := result[fl.Task](w, w.coordinator, "task:CreateTask", terms())
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:JoinTask", w.join(id))
	}
	early := func(name string, argument any) []byte {
		t.Helper()
		submitted, err := w.ledger.Propose(w.coordinator, name, argument).At(w.ledger.Now().Add(-10 * time.Second)).Submit()
		if err != nil {
			t.Fatal(err)
		}
		return submitted.Payload
	}
	started := parse[fl.Task](t, early("task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())}))
	if started.Deadline != created.CreatedAt+60 {
		t.Errorf("created at %d, starts until %d", created.CreatedAt, started.Deadline)
	}
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	round := w.open(1)
	w.submitUpdates(round)
	closed := parse[fl.Round](t, early("round:CloseTraining", request(1)))
	if closed.ChangedAt != round.ChangedAt || closed.Deadline != round.ChangedAt+120 {
		t.Errorf("opened at %d, changed at %d, deadline %d", round.ChangedAt, closed.ChangedAt, closed.Deadline)
	}
	w.later(120)
	failed := result[fl.Round](w, w.coordinator, "round:CloseCommits", request(1))
	next := parse[fl.Round](t, early("round:OpenRound", request(2)))
	if next.OpenedAt != failed.ChangedAt || next.Deadline != failed.ChangedAt+600 {
		t.Errorf("round 1 ended at %d, round 2 opened at %d until %d", failed.ChangedAt, next.OpenedAt, next.Deadline)
	}
}
