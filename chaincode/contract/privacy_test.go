package contract_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// privacy is that of the private tasks of the tests: an update on 1000 examples
// spends ε = 3.2 at first, and three do less than 8.
func privacy() fl.Privacy {
	return fl.Privacy{NoiseMultiplier: 1_100_000, ClippingNorm: fl.One, InverseDelta: 100_000, Epsilon: 8 * fl.One}
}

func privateTerms() fl.Terms {
	t := terms()
	t.Privacy = privacy()
	return t
}

// spentBy is what so many updates of a node on 1000 examples spend, by the rules.
func spentBy(t *testing.T, terms fl.Terms, id string, updates int) fl.Spending {
	t.Helper()
	var task fl.Spending
	for range updates {
		var err error
		if task, _, err = fl.Charge(terms, fl.Node{ID: id, Dataset: secret("data set of ", id), Examples: 1000}, task, fl.Spending{}, 1000); err != nil {
			t.Fatal(err)
		}
	}
	return task
}

func dataset(w *world, id string) fl.Spending {
	w.Helper()
	return query[fl.Spending](w, "task:GetSpending", fl.DatasetRequest{Node: id, Dataset: secret("data set of ", id)})
}

func same(a, b fl.Spending) bool {
	return a.Node == b.Node && a.Dataset == b.Dataset && a.Updates == b.Updates && a.Epsilon == b.Epsilon && a.InverseDelta == b.InverseDelta &&
		slices.Equal(a.Divergences, b.Divergences)
}

func TestUpdatesOfAPrivateTaskSpend(t *testing.T) {
	w := start(t, privateTerms())
	if got := dataset(w, "Hospital1MSP/node1"); got.Updates != 0 || got.Epsilon != 0 {
		t.Errorf("before any update %+v is spent", got)
	}
	trained := map[string]int{}
	for number := 1; number <= 3; number++ {
		for _, id := range w.full(number).Trainers {
			trained[id]++
		}
	}
	state := w.taskState()
	if len(state.Spendings) != len(trained) {
		t.Errorf("%d nodes trained, %d spent", len(trained), len(state.Spendings))
	}
	for _, spending := range state.Spendings {
		want := spentBy(t, privateTerms(), spending.Node, trained[spending.Node])
		if !same(spending, want) || !same(dataset(w, spending.Node), want) {
			t.Errorf("%+v, want %+v", spending, want)
		}
	}
	page := query[fl.SpendingPage](w, "task:ListSpendings", fl.ListRequest{PageSize: 100})
	if len(page.Spendings) != len(trained) || page.Bookmark != "" {
		t.Errorf("%d data sets are listed", len(page.Spendings))
	}
	w.replays()
}

func TestAnUpdateSentTwiceSpendsOnce(t *testing.T) {
	w := start(t, privateTerms())
	id := w.open(1).Trainers[0]
	for range 3 {
		w.do(w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	}
	if got := dataset(w, id); !same(got, spentBy(t, privateTerms(), id, 1)) {
		t.Errorf("%+v", got)
	}
}

// TestTheTasksBudgetIsKept lets a task spend one update of every data set: who has
// trained is not drawn again. Once nobody is left to train the task ends, with its
// last global model.
func TestTheTasksBudgetIsKept(t *testing.T) {
	terms := privateTerms()
	terms.Privacy.Epsilon = spentBy(t, terms, "", 1).Epsilon + 1
	terms.MinUpdates, terms.Rounds, terms.MaxFailed = 1, 100, 100
	w := start(t, terms)
	trained := []string{}
	closed := 0
	for number := 1; ; number++ {
		round := w.open(number)
		if want := slices.Sorted(slices.Values(trained)); !slices.Equal(round.Spent, want) {
			t.Errorf("round %d: %v have no budget left, want %v", number, round.Spent, want)
		}
		if round.Phase == fl.RoundFailed {
			if len(round.Trainers) != 0 || round.Reason == "" || round.Deadline != 0 {
				t.Errorf("%+v", round)
			}
			if w.taskState().Task.Phase == fl.TaskFailed {
				break
			}
			continue
		}
		for _, id := range round.Trainers {
			if slices.Contains(trained, id) {
				t.Errorf("%s is drawn again", id)
			}
			trained = append(trained, id)
		}
		w.full(number)
		closed++
	}
	state := w.taskState()
	if len(trained) != len(nodeIDs()) || closed < 2 || state.Closed != closed {
		t.Errorf("%v trained in %d rounds", trained, closed)
	}
	for _, spending := range state.Spendings {
		if spending.Updates != 1 || spending.Epsilon > terms.Privacy.Epsilon {
			t.Errorf("%+v", spending)
		}
	}
	w.replays()
	w.refused("MF-TASK-PHASE", w.coordinator, "round:OpenRound", request(state.LastRound+1))
}

// TestADrawWithoutEnoughBudgetIsRedrawn asks for as many updates as there are nodes
// with budget: rounds that draw one of those as a master fail before they begin, and
// count as rounds that fail in a row.
func TestADrawWithoutEnoughBudgetIsRedrawn(t *testing.T) {
	terms := privateTerms()
	w := newWorld(t)
	w.private = true
	rich := []string{"Hospital1MSP/node1", "Hospital2MSP/node1", "Hospital3MSP/node1"}
	w.do(w.coordinator, "task:CreateTask", terms)
	for _, id := range nodeIDs() {
		join := w.join(id)
		if !slices.Contains(rich, id) {
			join.Budget = 1 // holds nothing
		}
		w.do(w.nodes[id], "task:JoinTask", join)
	}
	w.do(w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms.Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	failed, begun := 0, 0
	for number := 1; w.taskState().Task.Phase == fl.TaskRunning || number == 1; number++ {
		round := w.open(number)
		if len(round.Spent) != len(nodeIDs())-len(rich) {
			t.Errorf("round %d: %v have no budget left", number, round.Spent)
		}
		if full := len(round.Trainers) == len(rich); full != (round.Phase == fl.RoundTraining) {
			t.Errorf("round %d is %s with the trainers %v", number, round.Phase, round.Trainers)
		}
		if round.Phase == fl.RoundTraining {
			begun, failed = begun+1, 0
			w.full(number)
			continue
		}
		failed++
	}
	if phase := w.taskState().Task.Phase; phase == fl.TaskFailed && failed != terms.MaxFailed || phase == fl.TaskCompleted && begun < terms.Rounds {
		t.Errorf("the task is %s after %d rounds and %d that failed in a row", phase, begun, failed)
	}
	w.replays()
}

// TestANodesOwnBudgetIsKeptOverAllTasks has two tasks open a round each before
// anybody trains: who trains in both is refused in the second, and is not drawn
// there again.
func TestANodesOwnBudgetIsKeptOverAllTasks(t *testing.T) {
	budget := spentBy(t, privateTerms(), "", 1).Epsilon + 1 // one update's, not two
	w := newWorld(t)
	w.private = true
	tasks := []string{task, "second"}
	trainers := map[string][]string{}
	for _, name := range tasks {
		w.startWithBudget(name, budget)
		round := result[fl.Round](w, w.coordinator, "round:OpenRound", fl.RoundRequest{Task: name, Round: 1})
		if len(round.Spent) != 0 {
			t.Errorf("%v have no budget left before anybody trained", round.Spent)
		}
		trainers[name] = round.Trainers
	}
	both := 0
	for _, name := range tasks {
		for _, id := range trainers[name] {
			update := w.update(1, id)
			update.Task, update.Model = name, model(fmt.Sprint(name, id))
			if dataset(w, id).Updates == 0 {
				w.do(w.nodes[id], "round:SubmitUpdate", update)
				continue
			}
			w.refused("MF-PRIVACY-BUDGET", w.nodes[id], "round:SubmitUpdate", update)
			both++
		}
	}
	if both == 0 {
		t.Fatal("no node trains in both tasks; draw others")
	}
	spent := []string{}
	for _, id := range nodeIDs() {
		got := dataset(w, id)
		if got.Updates > 1 || got.Epsilon > budget {
			t.Errorf("%s: %+v", id, got)
		}
		if got.Updates == 1 {
			spent = append(spent, id)
		}
	}
	w.startWithBudget("third", budget)
	third := result[fl.Round](w, w.coordinator, "round:OpenRound", fl.RoundRequest{Task: "third", Round: 1})
	if !slices.Equal(third.Spent, spent) {
		t.Errorf("a third task finds %v without budget, want %v", third.Spent, spent)
	}
	for _, id := range third.Trainers {
		if slices.Contains(spent, id) {
			t.Errorf("%s is drawn without budget", id)
		}
	}
}

// startWithBudget makes a private task whose nodes all have a budget of their own.
func (w *world) startWithBudget(name string, budget fl.Micro) {
	w.Helper()
	terms := privateTerms()
	terms.Task = name
	w.do(w.coordinator, "task:CreateTask", terms)
	for _, id := range nodeIDs() {
		join := w.join(id)
		join.Task, join.Budget, join.Commitment = name, budget, fl.SaltCommitment(name, id, secret(id))
		w.do(w.nodes[id], "task:JoinTask", join)
	}
	w.do(w.coordinator, "task:StartTask", fl.StartRequest{Task: name, First: terms.Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:RevealSalt", fl.RevealSaltRequest{Task: name, Salt: secret(id)})
	}
}

// TestARoundIsDrawnOnTheBudgetsThatTheBlockLeaves endorses the opening of a round on
// the same state as another task's update of a node with a budget of its own: of the
// two in one block the opening conflicts, and the next one leaves the node out.
func TestARoundIsDrawnOnTheBudgetsThatTheBlockLeaves(t *testing.T) {
	budget := spentBy(t, privateTerms(), "", 1).Epsilon + 1
	w := newWorld(t)
	w.private = true
	w.startWithBudget(task, budget)
	w.startWithBudget("second", budget)
	id := w.open(1).Trainers[0]
	opening := fl.RoundRequest{Task: "second", Round: 1}
	update, err := w.ledger.Propose(w.nodes[id], "round:SubmitUpdate", w.update(1, id)).Endorse()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := w.ledger.Propose(w.coordinator, "round:OpenRound", opening).Endorse()
	if err != nil {
		t.Fatal(err)
	}
	committed := w.ledger.Commit(update, opened)
	if committed[0].Err() != nil || committed[1].Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Fatalf("%v, %v", committed[0].Err(), committed[1].Code)
	}
	if round := result[fl.Round](w, w.coordinator, "round:OpenRound", opening); !slices.Equal(round.Spent, []string{id}) {
		t.Errorf("%v have no budget left, want %s", round.Spent, id)
	}
}

// TestPrivateUpdatesOfOneBlockAreAllValid has all trainers submit at once: nobody
// writes what another reads.
func TestPrivateUpdatesOfOneBlockAreAllValid(t *testing.T) {
	w := start(t, privateTerms())
	round := w.open(1)
	var endorsed []*ledgertest.Transaction
	for _, id := range round.Trainers {
		transaction, err := w.ledger.Propose(w.nodes[id], "round:SubmitUpdate", w.update(1, id)).Endorse()
		if err != nil {
			t.Fatal(err)
		}
		endorsed = append(endorsed, transaction)
	}
	for _, committed := range w.ledger.Commit(endorsed...) {
		if err := committed.Err(); err != nil {
			t.Error(err)
		}
	}
	for _, id := range round.Trainers {
		if got := dataset(w, id); got.Updates != 1 {
			t.Errorf("%s: %+v", id, got)
		}
	}
}

// TestOneDataSetInTwoTasksAtOnceIsChargedForBoth endorses an update to each of two
// tasks on the same state: the second conflicts, and its retry counts both.
func TestOneDataSetInTwoTasksAtOnceIsChargedForBoth(t *testing.T) {
	w := start(t, privateTerms())
	w.open(1)
	terms := privateTerms()
	terms.Task = "second"
	w.do(w.coordinator, "task:CreateTask", terms)
	for _, id := range nodeIDs() {
		join := w.join(id)
		join.Task, join.Commitment = terms.Task, fl.SaltCommitment(terms.Task, id, secret(id))
		w.do(w.nodes[id], "task:JoinTask", join)
	}
	w.do(w.coordinator, "task:StartTask", fl.StartRequest{Task: terms.Task, First: terms.Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:RevealSalt", fl.RevealSaltRequest{Task: terms.Task, Salt: secret(id)})
	}
	other := result[fl.Round](w, w.coordinator, "round:OpenRound", fl.RoundRequest{Task: terms.Task, Round: 1})
	both := slices.DeleteFunc(slices.Clone(w.state(1).Round.Trainers), func(id string) bool { return !slices.Contains(other.Trainers, id) })
	if len(both) == 0 {
		t.Fatal("no node trains in both tasks; draw others")
	}
	id := both[0]
	second := w.update(1, id)
	second.Task = terms.Task
	var endorsed []*ledgertest.Transaction
	for _, update := range []fl.UpdateRequest{w.update(1, id), second} {
		transaction, err := w.ledger.Propose(w.nodes[id], "round:SubmitUpdate", update).Endorse()
		if err != nil {
			t.Fatal(err)
		}
		endorsed = append(endorsed, transaction)
	}
	committed := w.ledger.Commit(endorsed...)
	if committed[0].Err() != nil || committed[1].Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Fatalf("%v, %v", committed[0].Err(), committed[1].Code)
	}
	w.do(w.nodes[id], "round:SubmitUpdate", second)
	if got := dataset(w, id); !same(got, spentBy(t, privateTerms(), id, 2)) {
		t.Errorf("%+v", got)
	}
	if got := fl.SpendingOf(w.taskState().Spendings, id); !same(got, spentBy(t, privateTerms(), id, 1)) {
		t.Errorf("in one task: %+v", got)
	}
}

func TestPrivateTasksAreJoinedWithADataSet(t *testing.T) {
	w := newWorld(t)
	w.do(w.coordinator, "task:CreateTask", privateTerms())
	id := nodeIDs()[0]
	join := w.join(id)
	w.refused("MF-PRIVACY-DATASET", w.nodes[id], "task:JoinTask", join)
	join.Dataset = "pneumoniamnist"
	w.refused("MF-PRIVACY-DATASET", w.nodes[id], "task:JoinTask", join)
	join.Dataset, join.Budget = secret("data"), -1
	w.refused("MF-PRIVACY-DATASET", w.nodes[id], "task:JoinTask", join)
	join.Budget = 3 * fl.One
	for _, examples := range []int64{0, -1, privateTerms().MaxExamples + 1} {
		join.Examples = examples
		w.refused("MF-PRIVACY-DATASET", w.nodes[id], "task:JoinTask", join)
	}
	join.Examples = 1000
	if node := result[fl.Node](w, w.nodes[id], "task:JoinTask", join); node.Dataset != join.Dataset || node.Examples != 1000 || node.Budget != join.Budget {
		t.Errorf("%+v", node)
	}
	join.Budget++
	w.refused("MF-NODE-EXISTS", w.nodes[id], "task:JoinTask", join)

	open := newWorld(t)
	open.do(open.coordinator, "task:CreateTask", terms())
	join = open.join(id)
	join.Examples = 1
	open.refused("MF-PRIVACY-DATASET", open.nodes[id], "task:JoinTask", join)
	join.Dataset, join.Examples = secret("data"), 0
	open.refused("MF-PRIVACY-DATASET", open.nodes[id], "task:JoinTask", join)
}

// TestAPrivateUpdateCountsTheExamplesItsNodeJoinedWith has a trainer name more, which
// would spend less, and fewer.
func TestAPrivateUpdateCountsTheExamplesItsNodeJoinedWith(t *testing.T) {
	w := start(t, privateTerms())
	id := w.open(1).Trainers[0]
	for _, examples := range []int64{1, 999, 1001, privateTerms().MaxExamples, privateTerms().MaxExamples + 1} {
		update := w.update(1, id)
		update.NumExamples = examples
		w.refused("MF-UPDATE-EXAMPLES", w.nodes[id], "round:SubmitUpdate", update)
	}
	if got := dataset(w, id); got.Updates != 0 {
		t.Errorf("what was refused has spent %+v", got)
	}
}

// TestTasksWithoutPrivacyAreAsBefore looks for any trace of privacy on the ledger.
func TestTasksWithoutPrivacyAreAsBefore(t *testing.T) {
	w := start(t, terms())
	w.full(1)
	for _, word := range []string{"spending", "dataset"} {
		if keys := w.ledger.Keys("\x00" + word + "\x00"); len(keys) != 0 {
			t.Errorf("%s: %q", word, keys)
		}
	}
	for _, key := range w.ledger.Keys("") {
		for _, word := range []string{`"privacy"`, `"dataset"`, `"examples"`, `"budget"`, `"spendings"`, `"spent"`} {
			if strings.Contains(string(w.ledger.State(key)), word) {
				t.Errorf("%q has %s", key, word)
			}
		}
	}
}

func TestReplayNoticesTamperedSpending(t *testing.T) {
	w := start(t, privateTerms())
	w.full(1)
	state, rounds := w.taskState(), []fl.RoundState{w.state(1)}
	if found := fl.Differences(state, rounds); len(found) != 0 {
		t.Fatalf("%+v", found)
	}
	for what, tamper := range map[string]func(*fl.TaskState, []fl.RoundState){
		"less spent":                  func(s *fl.TaskState, _ []fl.RoundState) { s.Spendings[0].Divergences[3]-- },
		"a lower ε":                   func(s *fl.TaskState, _ []fl.RoundState) { s.Spendings[0].Epsilon-- },
		"one left out":                func(s *fl.TaskState, _ []fl.RoundState) { s.Spendings = s.Spendings[1:] },
		"all left out":                func(s *fl.TaskState, _ []fl.RoundState) { s.Spendings = nil },
		"another noise":               func(s *fl.TaskState, _ []fl.RoundState) { s.Task.Privacy.NoiseMultiplier++ },
		"other examples":              func(_ *fl.TaskState, r []fl.RoundState) { r[0].Updates[0].NumExamples *= 2 },
		"a node left out of the draw": func(_ *fl.TaskState, r []fl.RoundState) { r[0].Round.Spent = r[0].Round.Trainers[:1] },
	} {
		changed, changedRounds := clone(t, state), clone(t, rounds)
		tamper(&changed, changedRounds)
		if len(fl.Differences(changed, changedRounds)) == 0 {
			t.Errorf("%s: not noticed", what)
		}
	}
}
