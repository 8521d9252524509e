package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// TestCase01EndorsersAgree runs every transaction of a round on five endorsers
// whose clocks differ, many times over, since a map's order differs by chance.
func TestCase01EndorsersAgree(t *testing.T) {
	w := start(t, terms())
	agree := func(id *ledgertest.Identity, name string, argument any) {
		t.Helper()
		proposal := w.ledger.Propose(id, name, argument)
		first, err := proposal.Endorse()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 4 {
			again, err := proposal.Endorse()
			if err != nil || len(again.Endorsers) != 5 || string(again.Payload) != string(first.Payload) || !reflect.DeepEqual(again.Event, first.Event) {
				t.Fatalf("%s: endorsed as %s and as %s, error %v", name, first.Payload, again.Payload, err)
			}
		}
		if first.Event == nil || first.Event.Name != name {
			t.Errorf("%s sets the event %+v", name, first.Event)
		}
		w.ledger.Commit(first)
	}
	agree(w.coordinator, "round:OpenRound", request(1))
	round := w.state(1).Round
	for _, id := range round.Trainers {
		agree(w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	}
	agree(w.coordinator, "round:CloseTraining", request(1))
	for _, id := range round.Masters {
		agree(w.nodes[id], "round:CommitScores", w.commit(1, id, w.measured(round)))
	}
	agree(w.coordinator, "round:CloseCommits", request(1))
	for _, id := range round.Masters {
		agree(w.nodes[id], "round:RevealScores", w.reveal(1, id, w.measured(round)))
	}
	agree(w.coordinator, "round:Tally", request(1))
	agree(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	for _, id := range round.Masters {
		agree(w.nodes[id], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest})
	}
	agree(w.coordinator, "round:CloseRound", request(1))
	if phase := w.state(1).Round.Phase; phase != fl.RoundClosed {
		t.Errorf("the round is %s", phase)
	}
}

// TestCase03OwnWritesAreNotRead plays a whole task on a Fabric that, as the real
// one, answers a read after the transaction's own write with the committed
// value: the deadline tests and this one would come out otherwise if a
// transaction depended on it.
func TestCase03OwnWritesAreNotRead(t *testing.T) {
	w := start(t, terms())
	for number := 1; number <= 3; number++ {
		w.full(number)
	}
	state := w.taskState()
	if state.Closed != 3 || state.Task.Phase != fl.TaskCompleted {
		t.Errorf("the task came to %+v", state)
	}
}

func TestCase04RevealCommitsBetweenEndorsementAndCommitOfTheTally(t *testing.T) {
	w := start(t, terms())
	round := w.commitAll(1)
	for _, id := range round.Masters[:3] {
		w.do(w.nodes[id], "round:RevealScores", w.reveal(1, id, w.measured(round)))
	}
	w.later(120)
	tally, err := w.ledger.Propose(w.coordinator, "round:Tally", request(1)).Endorse()
	if err != nil {
		t.Fatal(err)
	}
	last := round.Masters[3]
	w.do(w.nodes[last], "round:RevealScores", w.reveal(1, last, w.measured(round)))
	if got := w.ledger.Commit(tally)[0]; got.Code != peer.TxValidationCode_PHANTOM_READ_CONFLICT {
		t.Fatalf("the tally is %s, want a phantom conflict", got.Code)
	}
	if got := w.state(1).Round.Phase; got != fl.RoundRevealing {
		t.Fatalf("the round is %s after a tally that is not valid", got)
	}
	tallied := result[fl.Round](w, w.coordinator, "round:Tally", request(1)) // the client's retry
	if tallied.Phase != fl.RoundAggregating {
		t.Errorf("the round came to %+v", tallied)
	}
	for _, result := range tallied.Results {
		if !result.Accepted {
			t.Errorf("the retry left the fourth reveal out: %+v", result)
		}
	}
	w.replays()
}

// inOneBlock endorses the requests of many before any of them commits.
func (w *world) inOneBlock(name string, ids []string, argument func(id string) any) {
	w.Helper()
	var transactions []*ledgertest.Transaction
	for _, id := range ids {
		transaction, err := w.ledger.Propose(w.nodes[id], name, argument(id)).Endorse()
		if err != nil {
			w.Fatalf("%s by %s: %v", name, id, err)
		}
		transactions = append(transactions, transaction)
	}
	for i, committed := range w.ledger.Commit(transactions...) {
		if err := committed.Err(); err != nil {
			w.Errorf("%s by %s: %v", name, ids[i], err)
		}
	}
}

func TestCase05AllSubmitInOneBlock(t *testing.T) {
	w := newWorld(t)
	w.do(w.coordinator, "task:CreateTask", terms())
	w.inOneBlock("task:JoinTask", nodeIDs(), func(id string) any { return w.join(id) })
	w.do(w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())})
	w.inOneBlock("task:RevealSalt", nodeIDs(), func(id string) any { return w.salt(id) })
	round := w.open(1)
	w.inOneBlock("round:SubmitUpdate", round.Trainers, func(id string) any { return w.update(1, id) })
	w.do(w.coordinator, "round:CloseTraining", request(1))
	w.inOneBlock("round:CommitScores", round.Masters, func(id string) any { return w.commit(1, id, w.measured(round)) })
	w.do(w.coordinator, "round:CloseCommits", request(1))
	w.inOneBlock("round:RevealScores", round.Masters, func(id string) any { return w.reveal(1, id, w.measured(round)) })
	w.do(w.coordinator, "round:Tally", request(1))
	w.do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	w.inOneBlock("round:AttestGlobal", round.Masters, func(id string) any {
		return fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest}
	})
	w.do(w.coordinator, "round:CloseRound", request(1))
}

func TestCopyInTheSameBlockIsNotValid(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	honest, err := w.ledger.Propose(w.nodes[round.Trainers[0]], "round:SubmitUpdate", w.update(1, round.Trainers[0])).Endorse()
	if err != nil {
		t.Fatal(err)
	}
	copied, err := w.ledger.Propose(w.nodes[round.Trainers[1]], "round:SubmitUpdate", w.update(1, round.Trainers[0])).Endorse()
	if err != nil {
		t.Fatal(err)
	}
	results := w.ledger.Commit(honest, copied)
	if !results[0].Valid() || results[1].Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("the update is %s and its copy %s", results[0].Code, results[1].Code)
	}
	w.refused("MF-UPDATE-COPIED", w.nodes[round.Trainers[1]], "round:SubmitUpdate", w.update(1, round.Trainers[0]))
}

func TestLateUpdateDoesNotSlipIntoAClosedTraining(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	for _, id := range round.Trainers[:4] {
		w.do(w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	}
	late, err := w.ledger.Propose(w.nodes[round.Trainers[4]], "round:SubmitUpdate", w.update(1, round.Trainers[4])).Endorse()
	if err != nil {
		t.Fatal(err)
	}
	w.later(600)
	w.do(w.coordinator, "round:CloseTraining", request(1))
	var conflict *ledgertest.CommitError
	if err := w.ledger.Commit(late)[0].Err(); !errors.As(err, &conflict) || conflict.Code != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("the late update: %v", err)
	}
}

// TestEveryTransactionIsIdempotent submits each transaction of a whole task
// three times: at once, and when the task is long over. The first's result comes
// back and the world state stays as it is.
func TestEveryTransactionIsIdempotent(t *testing.T) {
	once := terms()
	once.Rounds = 1
	w := newWorld(t)
	type step struct {
		id       *ledgertest.Identity
		name     string
		argument any
		response string
	}
	var steps []step
	do := func(id *ledgertest.Identity, name string, argument any) {
		t.Helper()
		first := w.do(id, name, argument)
		before := w.publicState()
		again := w.do(id, name, argument)
		if string(again.Payload) != string(first.Payload) || again.Event == nil {
			t.Errorf("%s again gives %s, first %s", name, again.Payload, first.Payload)
		}
		if after := w.publicState(); after != before {
			t.Errorf("%s again changed the world state", name)
		}
		steps = append(steps, step{id, name, argument, string(first.Payload)})
	}
	do(w.coordinator, "task:CreateTask", once)
	for _, id := range nodeIDs() {
		do(w.nodes[id], "task:JoinTask", w.join(id))
	}
	do(w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms().Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs() {
		do(w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	do(w.coordinator, "round:OpenRound", request(1))
	round := w.state(1).Round
	for _, id := range round.Trainers {
		do(w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	}
	do(w.coordinator, "round:CloseTraining", request(1))
	for _, id := range round.Masters {
		do(w.nodes[id], "round:CommitScores", w.commit(1, id, w.measured(round)))
	}
	do(w.coordinator, "round:CloseCommits", request(1))
	for _, id := range round.Masters {
		do(w.nodes[id], "round:RevealScores", w.reveal(1, id, w.measured(round)))
	}
	do(w.coordinator, "round:Tally", request(1))
	do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: 1, Model: global(1)})
	for _, id := range round.Masters {
		do(w.nodes[id], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: 1, Digest: global(1).Digest})
	}
	do(w.coordinator, "round:CloseRound", request(1))

	before := w.publicState()
	last := steps[len(steps)-1].response
	for _, s := range steps {
		w.later(1)
		again := w.do(s.id, s.name, s.argument)
		want := s.response
		switch s.name { // a move that has happened answers with what it moved, as it is now
		case "round:OpenRound", "round:CloseTraining", "round:CloseCommits", "round:Tally":
			want = last
		case "task:CreateTask", "task:StartTask":
			want = marshal(t, w.taskState().Task)
		}
		if string(again.Payload) != want {
			t.Errorf("%s at the end gives %s, want %s", s.name, again.Payload, want)
		}
	}
	if after := w.publicState(); after != before {
		t.Error("transactions repeated at the end changed the world state")
	}
}

// An update sealed anew has another CID and is the same update.
func TestSameWeightsSealedAnewAreTheSameUpdate(t *testing.T) {
	w := start(t, terms())
	round := w.open(1)
	id := round.Trainers[0]
	first := result[fl.Update](w, w.nodes[id], "round:SubmitUpdate", w.update(1, id))
	again := w.update(1, id)
	again.Model.CID = cidOf("sealed anew").String()
	if got := result[fl.Update](w, w.nodes[id], "round:SubmitUpdate", again); got != first {
		t.Errorf("got %+v, want the first %+v", got, first)
	}
}

func TestListTasksPages(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		named := terms()
		named.Task = fmt.Sprintf("task-%d", i)
		w.do(w.coordinator, "task:CreateTask", named)
	}
	var names []string
	bookmark := ""
	for pages := 0; ; pages++ {
		page := query[fl.TaskPage](w, "task:ListTasks", fl.ListRequest{PageSize: 3, Bookmark: bookmark})
		for _, task := range page.Tasks {
			names = append(names, task.Terms.Task)
		}
		if bookmark = page.Bookmark; bookmark == "" || pages > 5 {
			break
		}
	}
	if got := strings.Join(names, " "); got != "task-0 task-1 task-2 task-3 task-4 task-5 task-6" {
		t.Errorf("listed %s", got)
	}
	page := query[fl.TaskPage](w, "task:ListTasks", `{"page_size":10}`)
	if len(page.Tasks) != 7 || page.Bookmark != "" {
		t.Errorf("one page of all: %+v", page)
	}
}

// publicState is all keys and values of the world state.
func (w *world) publicState() string {
	var text strings.Builder
	for _, key := range w.ledger.Keys("") {
		fmt.Fprintf(&text, "%q %s\n", key, w.ledger.State(key))
	}
	return text.String()
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	bytes, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes)
}
