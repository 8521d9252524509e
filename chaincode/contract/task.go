package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/renyi"
)

// taskContract is the name before the colon in task:CreateTask.
const taskContract = "task"

// TaskContract is the life of a task outside its rounds: a coordinator fixes the
// terms, nodes join with a sealed salt, and reveal it when the task starts.
type TaskContract struct{ contractapi.Contract }

// NewTaskContract makes the contract.
func NewTaskContract() *TaskContract {
	return &TaskContract{contractapi.Contract{
		Name:                      taskContract,
		Info:                      info("Tasks", "Federated jobs: their terms, their nodes and the salts of their first beacon."),
		TransactionContextHandler: new(ledger.Context),
	}}
}

// GetEvaluateTransactions names the queries.
func (*TaskContract) GetEvaluateTransactions() []string { return evaluated(taskContract) }

// CreateTask writes a task whose terms hold. Caller: a coordinator.
func (*TaskContract) CreateTask(ctx *ledger.Context, terms fl.Terms) (*fl.Task, error) {
	caller, err := ctx.CallerAs(ledger.RoleCoordinator)
	if err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	if err := fl.CheckTerms(terms); err != nil {
		return nil, err
	}
	task, found, err := ledger.Get[fl.Task](ctx, ledger.TaskKey(terms.Task))
	if err != nil {
		return nil, err
	}
	if found {
		if task.Terms != terms || task.Creator != caller.ID {
			return nil, codes.Errorf("MF-TASK-EXISTS", "the task %s exists with other terms or another coordinator; choose another name", terms.Task)
		}
		return &task, emitTask(ctx, "CreateTask", task, caller)
	}
	task = fl.Task{Terms: terms, First: terms.Initial, Phase: fl.TaskJoining, Creator: caller.ID, CreatedAt: now}
	if err := ledger.Put(ctx, ledger.TaskKey(terms.Task), task); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, ledger.ProgressKey(terms.Task), fl.Progress{}); err != nil {
		return nil, err
	}
	first := fl.DigestUse{Node: caller.ID, Round: 0}
	if err := ledger.Put(ctx, ledger.DigestKey(terms.Task, terms.Initial.Digest), first); err != nil {
		return nil, err
	}
	return &task, emitTask(ctx, "CreateTask", task, caller)
}

// JoinTask enters the caller as a node while the task is joining. Caller: a
// trainer.
func (*TaskContract) JoinTask(ctx *ledger.Context, request fl.JoinRequest) (*fl.Node, error) {
	caller, err := ctx.CallerAs(ledger.RoleTrainer)
	if err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	task, err := readTask(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	node, found, err := ledger.Get[fl.Node](ctx, ledger.NodeKey(request.Task, caller.ID))
	if err != nil {
		return nil, err
	}
	if found {
		if node.Commitment != request.Commitment || node.Recipient != request.Recipient || node.Dataset != request.Dataset || node.Examples != request.Examples || node.Budget != request.Budget {
			return nil, codes.Errorf("MF-NODE-EXISTS", "%s has joined with another commitment, recipient, data set, number of examples or budget; go on with the first", caller.ID)
		}
		return &node, emitTask(ctx, "JoinTask", task, caller)
	}
	if task.Phase != fl.TaskJoining {
		return nil, codes.Errorf("MF-TASK-PHASE", "the task is %s and takes no more nodes; join another task", task.Phase)
	}
	if !form.IsHex32(request.Commitment) {
		return nil, codes.Errorf("MF-COMMITMENT-INVALID", "the commitment is not 64 lower-case hexadecimal digits; send the hash of the beacon salt")
	}
	if err := form.CheckRecipient(request.Recipient); err != nil {
		return nil, err
	}
	if err := fl.CheckDataset(task.Terms, request); err != nil {
		return nil, err
	}
	node = fl.Node{
		ID: caller.ID, Org: caller.MSP, Commitment: request.Commitment, Recipient: request.Recipient, JoinedAt: now,
		Dataset: request.Dataset, Examples: request.Examples, Budget: request.Budget,
	}
	if err := ledger.Put(ctx, ledger.NodeKey(request.Task, caller.ID), node); err != nil {
		return nil, err
	}
	return &node, emitTask(ctx, "JoinTask", task, caller)
}

// StartTask ends joining, if enough nodes of enough organisations have joined. It
// brings the first model in an envelope that all of them can open.
// Caller: the coordinator who created the task.
func (*TaskContract) StartTask(ctx *ledger.Context, request fl.StartRequest) (*fl.Task, error) {
	caller, err := ctx.CallerAs(ledger.RoleCoordinator)
	if err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	task, err := readTask(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	if caller.ID != task.Creator {
		return nil, codes.Errorf("MF-TASK-DENIED", "%s did not create the task; its coordinator %s starts it", caller.ID, task.Creator)
	}
	if task.Phase != fl.TaskJoining {
		return &task, emitTask(ctx, "StartTask", task, caller)
	}
	nodes, err := ledger.List[fl.Node](ctx, ledger.Nodes(request.Task))
	if err != nil {
		return nil, err
	}
	if err := fl.CheckNodes(task.Terms, nodes); err != nil {
		return nil, err
	}
	if err := fl.CheckModel(request.First); err != nil {
		return nil, err
	}
	if request.Nodes != len(nodes) {
		return nil, codes.Errorf("MF-TASK-JOINED", "%d nodes have joined, but the first model was encrypted to %d; encrypt it to all of them", len(nodes), request.Nodes)
	}
	if request.First.Digest != task.Initial.Digest || request.First.Size != task.Initial.Size {
		return nil, codes.Errorf("MF-TASK-FIRST", "the first model sent is not the one the task was created with; encrypt that one to all nodes")
	}
	task.First = request.First
	task.Deadline = max(now, task.CreatedAt) + task.Deadlines.Starting
	if err := moveTask(ctx, &task, fl.TaskStarting); err != nil {
		return nil, err
	}
	return &task, emitTask(ctx, "StartTask", task, caller)
}

// RevealSalt opens the caller's commitment while the task is starting. Caller: a
// joined node.
func (*TaskContract) RevealSalt(ctx *ledger.Context, request fl.RevealSaltRequest) (*fl.BeaconSalt, error) {
	caller, err := ctx.CallerAs(ledger.RoleTrainer)
	if err != nil {
		return nil, err
	}
	task, err := readTask(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	node, found, err := ledger.Get[fl.Node](ctx, ledger.NodeKey(request.Task, caller.ID))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, codes.Errorf("MF-NODE-UNKNOWN", "%s has not joined the task; join a task while it is joining", caller.ID)
	}
	if !form.IsHex32(request.Salt) || fl.SaltCommitment(request.Task, caller.ID, request.Salt) != node.Commitment {
		return nil, codes.Errorf("MF-SALT-MISMATCH", "the salt does not open the commitment %s made when it joined; send that salt", caller.ID)
	}
	salt := fl.BeaconSalt{Node: caller.ID, Salt: request.Salt}
	revealed, err := ledger.Exists(ctx, ledger.SaltKey(request.Task, caller.ID))
	if err != nil {
		return nil, err
	}
	if revealed {
		return &salt, emitTask(ctx, "RevealSalt", task, caller)
	}
	if task.Phase != fl.TaskStarting {
		return nil, codes.Errorf("MF-TASK-PHASE", "the task is %s; salts are revealed while it is starting", task.Phase)
	}
	if err := ledger.Put(ctx, ledger.SaltKey(request.Task, caller.ID), salt); err != nil {
		return nil, err
	}
	return &salt, emitTask(ctx, "RevealSalt", task, caller)
}

// GetTask gives a task with its nodes and how far it has come.
func (*TaskContract) GetTask(ctx *ledger.Context, request fl.TaskRequest) (*fl.TaskState, error) {
	task, err := readTask(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	progress, err := readProgress(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	state := fl.TaskState{Task: task, LastRound: progress.LastRound, Closed: progress.Closed}
	if state.Nodes, err = ledger.List[fl.Node](ctx, ledger.Nodes(request.Task)); err != nil {
		return nil, err
	}
	if state.Salts, err = ledger.List[fl.BeaconSalt](ctx, ledger.Salts(request.Task)); err != nil {
		return nil, err
	}
	if state.Standings, err = ledger.List[fl.Standing](ctx, ledger.Standings(request.Task)); err != nil {
		return nil, err
	}
	if task.Privacy.On() {
		if state.Spendings, err = ledger.List[fl.Spending](ctx, ledger.Spendings(request.Task)); err != nil {
			return nil, err
		}
	}
	return &state, nil
}

// ListTasks gives one page of all tasks.
func (*TaskContract) ListTasks(ctx *ledger.Context, request fl.ListRequest) (*fl.TaskPage, error) {
	tasks, bookmark, err := ledger.Page[fl.Task](ctx, ledger.Tasks(), request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	return &fl.TaskPage{Tasks: tasks, Bookmark: bookmark}, nil
}

// GetSpending gives what all private tasks have spent of a node's data set: the
// zero value when they have spent nothing.
func (*TaskContract) GetSpending(ctx *ledger.Context, request fl.DatasetRequest) (*fl.Spending, error) {
	spending, _, err := ledger.Get[fl.Spending](ctx, ledger.DatasetKey(request.Node, request.Dataset))
	if err != nil {
		return nil, err
	}
	if spending.Divergences == nil {
		spending = fl.Spending{Node: request.Node, Dataset: request.Dataset, Divergences: renyi.Divergences{}}
	}
	return &spending, nil
}

// ListSpendings gives one page of what all private tasks have spent of every data
// set, by node.
func (*TaskContract) ListSpendings(ctx *ledger.Context, request fl.ListRequest) (*fl.SpendingPage, error) {
	spendings, bookmark, err := ledger.Page[fl.Spending](ctx, ledger.Datasets(), request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	return &fl.SpendingPage{Spendings: spendings, Bookmark: bookmark}, nil
}

// readTask reads a task that must be there.
func readTask(ctx *ledger.Context, name string) (fl.Task, error) {
	if err := fl.CheckTaskName(name); err != nil {
		return fl.Task{}, err
	}
	task, found, err := ledger.Get[fl.Task](ctx, ledger.TaskKey(name))
	if err != nil {
		return fl.Task{}, err
	}
	if !found {
		return fl.Task{}, codes.Errorf("MF-TASK-UNKNOWN", "there is no task %s; see the list of tasks", name)
	}
	return task, nil
}

// readProgress reads how far a task has come.
func readProgress(ctx *ledger.Context, task string) (fl.Progress, error) {
	progress, found, err := ledger.Get[fl.Progress](ctx, ledger.ProgressKey(task))
	if err == nil && !found {
		err = codes.Errorf("MF-LEDGER-CORRUPT", "the task %s has no progress; report this", task)
	}
	return progress, err
}

// moveTask writes a task in its next phase, if the table has the move.
func moveTask(ctx *ledger.Context, task *fl.Task, to fl.TaskPhase) error {
	if !task.Phase.CanMoveTo(to) {
		return codes.Errorf("MF-INTERNAL", "a task can't move from %s to %s; report this", task.Phase, to)
	}
	if to != fl.TaskStarting {
		task.Deadline = 0
	}
	task.Phase = to
	return ledger.Put(ctx, ledger.TaskKey(task.Terms.Task), task)
}

// emitTask sets the one event of a task's transaction.
func emitTask(ctx *ledger.Context, name string, task fl.Task, caller ledger.Caller) error {
	return ctx.Emit(fl.Event{Task: task.Terms.Task, Round: 0, Phase: string(task.Phase), Actor: caller.ID})
}

// history gives every committed value of a key, oldest first.
func history(ctx *ledger.Context, key ledger.Key) ([]fl.HistoryEntry, error) {
	changes, err := ledger.History(ctx, key)
	if err != nil {
		return nil, err
	}
	entries := []fl.HistoryEntry{}
	for _, change := range changes {
		entries = append(entries, fl.HistoryEntry(change))
	}
	return entries, nil
}
