package testnetwork

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/test-network/scenario"
)

// privateTask are the flags of a private task whose budget holds one update of a
// node with so many examples, and not two.
func privateTask(examples int64) []string {
	terms := fl.Terms{Training: fl.Training{Epochs: 1, BatchSize: 16}, Privacy: fl.Privacy{NoiseMultiplier: 2 * fl.One, InverseDelta: 1000}}
	one := fl.UpdateCost(terms, examples)
	budget := fl.Micro(one.Epsilon(1000)+one.Plus(one).Epsilon(1000)) / 2
	return []string{"--epochs", "1", "--batch-size", "16", "--dp-noise", "2", "--dp-clip", "1", "--dp-delta", "1/1000",
		"--dp-epsilon", budget.String(), "--participation", "1", "--min-updates", "1",
		"--threshold-kind", "absolute", "--threshold", "0", "--rounds", "20", "--max-failed", "20", "--starting-seconds", "60"}
}

// spent is what medfed privacy spent shows, by node and data set.
func spent(t *testing.T, c client) map[string]fl.Spending {
	t.Helper()
	var listed []fl.Spending
	if err := json.Unmarshal([]byte(c.must(t, "privacy", "spent", "--format", "json")), &listed); err != nil {
		t.Fatal(err)
	}
	all := map[string]fl.Spending{}
	for _, s := range listed {
		all[s.Node+" "+s.Dataset] = s
	}
	return all
}

// A private task on the real network: every node trains once and has then spent its
// budget. medfed privacy spent shows it after every round; nobody is drawn twice, no
// round waits for who has nothing left, and the task ends when nobody has.
func TestAPrivateTaskSpendsAndEndsWithItsBudget(t *testing.T) {
	n, data := liveNetwork(t), smallData(t)
	reader := as(t, n, "auditor/auditor")
	before := spent(t, reader)
	const task = "budgeted"
	var s *scenario.Scenario
	terms := append([]string{"--data", data.Name, "--training-seconds", "60", "--committing-seconds", "60", "--revealing-seconds", "60", "--aggregating-seconds", "60"},
		privateTask(int64(len(data.Train.Labels)/9))...)
	s, err := scenario.Prepare(scenario.Config{
		Network: n, Programs: programs(t), Dir: t.TempDir(), Task: task, Seed: 1, Data: data, Folder: dataFolder(), Terms: terms,
		OnRound: func(r report.Round) {
			t.Logf("round %d %s with %d updates in %.1f s", r.Round, r.Phase, len(r.Updates), r.Seconds.Total)
			checkSpent(t, s, reader, before)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rounds, err := s.Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "MF-SCENARIO: the task is failed after") {
		t.Fatalf("%v\n%s", err, s.Logs())
	}
	closed := 0
	for _, r := range rounds {
		if r.Phase == report.PhaseClosed {
			closed++
		}
	}
	coordinator := as(t, n, "researchcentre/coordinator")
	var state fl.TaskState
	if err := json.Unmarshal([]byte(coordinator.must(t, "task", "show", task, "--format", "json")), &state); err != nil {
		t.Fatal(err)
	}
	if closed < 2 || state.Task.Phase != fl.TaskFailed {
		t.Errorf("the task is %s after %d rounds closed, want its budgets spent after 2 at least", state.Task.Phase, closed)
	}
	if len(state.Spendings) != len(state.Nodes) {
		t.Errorf("%d of %d nodes have spent", len(state.Spendings), len(state.Nodes))
	}
	for _, spending := range state.Spendings {
		if spending.Updates != 1 || spending.Epsilon > state.Task.Privacy.Epsilon {
			t.Errorf("%s has spent ε = %d of %d in %d updates", spending.Node, spending.Epsilon, state.Task.Privacy.Epsilon, spending.Updates)
		}
	}
	if out := coordinator.must(t, "round", "show", task); !strings.Contains(out, "too few nodes have budget left") || !strings.Contains(out, "not drawn to train: Hospital1MSP/node1") {
		t.Errorf("the last round does not say why the task ended:\n%s", out)
	}
}

// checkSpent compares what the ledger says has been spent since with what the task's
// updates spend by the rules.
func checkSpent(t *testing.T, s *scenario.Scenario, reader client, before map[string]fl.Spending) {
	state, err := s.TaskState(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	updates := map[string]int{}
	for number := 1; number <= state.LastRound; number++ {
		round, err := s.Round(t.Context(), number)
		if err != nil {
			t.Error(err)
			return
		}
		for _, u := range round.Updates {
			updates[u.Node]++
		}
	}
	shown := spent(t, reader)
	for _, node := range state.Nodes {
		key := node.ID + " " + node.Dataset
		want := before[key].Divergences
		for range updates[node.ID] {
			want = want.Plus(fl.UpdateCost(state.Task.Terms, node.Examples))
		}
		got := shown[key]
		if got.Updates != before[key].Updates+updates[node.ID] || got.Updates > 0 && got.Epsilon != fl.Micro(want.Epsilon(state.Task.Privacy.InverseDelta)) {
			t.Errorf("medfed privacy spent shows %d updates and ε = %d of %s, who made %d in the task", got.Updates, got.Epsilon, node.ID, updates[node.ID])
		}
	}
}

// hand plays a private task by hand, so that nodes can do what medfed never does.
type hand struct {
	*ward
	gateway.Contracts                              // the coordinator's
	cli               client                       // the coordinator's
	nodes             map[string]gateway.Contracts // by ID
	ids               []string
}

func newHand(t *testing.T) *hand {
	h := &hand{ward: &ward{t: t, network: liveNetwork(t)}, nodes: map[string]gateway.Contracts{}}
	for _, o := range h.network.Consortium().Organisations {
		for _, i := range o.Identities {
			if i.Role != consortium.RoleTrainer && i.Role != consortium.RoleCoordinator {
				continue
			}
			_, identity := h.enrol(o.Name, i.Name, i.Role)
			contracts := h.connect(custodian, identity).Contracts()
			if i.Role == consortium.RoleCoordinator {
				h.Contracts, h.cli = contracts, as(t, h.network, o.Name+"/"+i.Name)
				continue
			}
			h.nodes[identity.ID()], h.ids = contracts, append(h.ids, identity.ID())
		}
	}
	slices.Sort(h.ids)
	return h
}

// handExamples are those of every node.
const handExamples = 100

// secretOf is 32 bytes in hexadecimal.
func secretOf(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return hex.EncodeToString(sum[:])
}

// join is a node's request to join.
func (h *hand) join(task, id string, budget fl.Micro) fl.JoinRequest {
	org, name, _ := strings.Cut(id, "/")
	for _, o := range h.network.Consortium().Organisations {
		if o.MSP == org {
			org = o.Name
		}
	}
	key, err := session.AgeKey(h.network.IdentityDir(org, name))
	h.must(err)
	return fl.JoinRequest{
		Task: task, Commitment: fl.SaltCommitment(task, id, secretOf(task, id)), Recipient: key.Recipient(),
		Dataset: secretOf("data set of ", id), Examples: handExamples, Budget: budget,
	}
}

// open creates a task, which all nodes join, and opens its first round.
func (h *hand) open(task string, budget fl.Micro) fl.Round {
	h.t.Helper()
	h.cli.must(h.t, append([]string{"task", "create", task, "--data", "synthetic"}, privateTask(handExamples)...)...)
	for _, id := range h.ids {
		_, err := h.nodes[id].Tasks.JoinTask(h.t.Context(), h.join(task, id, budget))
		h.must(err)
	}
	state, err := h.Tasks.GetTask(h.t.Context(), fl.TaskRequest{Task: task})
	h.must(err)
	_, err = h.Tasks.StartTask(h.t.Context(), fl.StartRequest{Task: task, First: state.Task.Initial, Nodes: len(h.ids)})
	h.must(err)
	for _, id := range h.ids {
		_, err := h.nodes[id].Tasks.RevealSalt(h.t.Context(), fl.RevealSaltRequest{Task: task, Salt: secretOf(task, id)})
		h.must(err)
	}
	round, err := h.Rounds.OpenRound(h.t.Context(), fl.RoundRequest{Task: task, Round: 1})
	h.must(err)
	return round
}

// update is a trainer's request to submit weights that nobody else has.
func (h *hand) update(task, id string) fl.UpdateRequest {
	h.t.Helper()
	state, err := h.Tasks.GetTask(h.t.Context(), fl.TaskRequest{Task: task})
	h.must(err)
	model := state.Task.Initial
	model.Digest = secretOf("weights", task, id)
	return fl.UpdateRequest{Task: task, Round: 1, Model: model, NumExamples: handExamples}
}

// What a private task's rules refuse on the real network: to join without a data
// set or without its examples; an update that counts other examples than its node
// joined with; and one that a hospital's own budget over all tasks does not hold.
// Who has nothing left of its own budget is not drawn any more.
func TestPrivateBudgetsAreRefusedByTheChaincode(t *testing.T) {
	h := newHand(t)
	terms := fl.Terms{Training: fl.Training{Epochs: 1, BatchSize: 16}, Privacy: fl.Privacy{NoiseMultiplier: 2 * fl.One}}
	budget := fl.Micro(fl.UpdateCost(terms, handExamples).Epsilon(1000)) + 1 // one update's, not two
	first := h.open("budget-1", budget)
	second := h.open("budget-2", budget)
	if len(first.Spent)+len(second.Spent) != 0 {
		t.Errorf("before anybody trained %v and %v have no budget left", first.Spent, second.Spent)
	}
	both := slices.DeleteFunc(slices.Clone(first.Trainers), func(id string) bool { return !slices.Contains(second.Trainers, id) })
	if len(both) == 0 {
		t.Fatalf("no node trains in both tasks: %v, %v", first.Trainers, second.Trainers)
	}
	id := both[0]
	for _, examples := range []int64{handExamples - 1, handExamples + 1, 100 * handExamples} {
		update := h.update("budget-1", id)
		update.NumExamples = examples
		_, err := h.nodes[id].Rounds.SubmitUpdate(t.Context(), update)
		h.denied("MF-UPDATE-EXAMPLES", err)
	}
	_, err := h.nodes[id].Rounds.SubmitUpdate(t.Context(), h.update("budget-1", id))
	h.must(err)
	_, err = h.nodes[id].Rounds.SubmitUpdate(t.Context(), h.update("budget-2", id))
	h.denied("MF-PRIVACY-BUDGET", err)
	if err != nil && !strings.Contains(err.Error(), "the node's own budget is") {
		t.Errorf("the refusal does not name the budget: %v", err)
	}
	account, err := h.Tasks.GetSpending(t.Context(), fl.DatasetRequest{Node: id, Dataset: h.join("", id, 0).Dataset})
	h.must(err)
	if account.Updates != 1 || account.Epsilon > budget {
		t.Errorf("ε = %d has been spent in %d updates, the budget is %d", account.Epsilon, account.Updates, budget)
	}
	third := h.open("budget-3", budget)
	if !slices.Equal(third.Spent, []string{id}) || slices.Contains(third.Trainers, id) {
		t.Errorf("without budget are %v, want %s; the trainers are %v", third.Spent, id, third.Trainers)
	}

	h.cli.must(t, append([]string{"task", "create", "budget-4", "--data", "synthetic"}, privateTask(handExamples)...)...)
	for _, bad := range []func(*fl.JoinRequest){
		func(r *fl.JoinRequest) { r.Dataset, r.Examples = "", 0 },
		func(r *fl.JoinRequest) { r.Dataset = "" },
		func(r *fl.JoinRequest) { r.Examples = 0 },
		func(r *fl.JoinRequest) { r.Examples = -1 },
		func(r *fl.JoinRequest) { r.Budget = -1 },
	} {
		join := h.join("budget-4", id, budget)
		bad(&join)
		_, err := h.nodes[id].Tasks.JoinTask(t.Context(), join)
		h.denied("MF-PRIVACY-DATASET", err)
	}
}
