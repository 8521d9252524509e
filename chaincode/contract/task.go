package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
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
	return &TaskContract{newContract(taskContract, "Tasks", "Federated jobs: their terms, their nodes and the salts of their first beacon.")}
}

// GetEvaluateTransactions names the queries.
func (*TaskContract) GetEvaluateTransactions() []string { return evaluated(taskContract) }

// CreateTask writes a task whose terms hold. Caller: a coordinator.
func (*TaskContract) CreateTask(ctx *ledger.Context, terms fl.Terms) (*fl.Task, error) {
	caller, err := ctx.CallerAs(consortium.RoleCoordinator)
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
	there, err := optional[fl.Task](ctx, ledger.TaskKey(terms.Task))
	if err != nil {
		return nil, err
	}
	task, changes, err := fl.CreateTask(there, terms, caller.ID, now)
	if err != nil {
		return nil, err
	}
	return &task, endTask(ctx, task, changes, caller)
}

// JoinTask enters the caller as a node while the task is joining. Caller: a
// trainer.
func (*TaskContract) JoinTask(ctx *ledger.Context, request fl.JoinRequest) (*fl.Node, error) {
	caller, err := ctx.CallerAs(consortium.RoleTrainer)
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
	there, err := optional[fl.Node](ctx, ledger.NodeKey(request.Task, caller.ID))
	if err != nil {
		return nil, err
	}
	node, changes, err := fl.JoinTask(task, there, request, caller.ID, caller.MSP, now)
	if err != nil {
		return nil, err
	}
	return &node, endTask(ctx, task, changes, caller)
}

// StartTask ends joining, if enough nodes of enough organisations have joined. It
// brings the first model in an envelope that all of them can open.
// Caller: the coordinator who created the task.
func (*TaskContract) StartTask(ctx *ledger.Context, request fl.StartRequest) (*fl.Task, error) {
	caller, err := ctx.CallerAs(consortium.RoleCoordinator)
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
	nodes, err := ledger.List[fl.Node](ctx, ledger.Nodes(request.Task))
	if err != nil {
		return nil, err
	}
	task, changes, err := fl.StartTask(task, nodes, request, caller.ID, now)
	if err != nil {
		return nil, err
	}
	return &task, endTask(ctx, task, changes, caller)
}

// RevealSalt opens the caller's commitment while the task is starting. Caller: a
// joined node.
func (*TaskContract) RevealSalt(ctx *ledger.Context, request fl.RevealSaltRequest) (*fl.BeaconSalt, error) {
	caller, err := ctx.CallerAs(consortium.RoleTrainer)
	if err != nil {
		return nil, err
	}
	task, err := readTask(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	node, err := optional[fl.Node](ctx, ledger.NodeKey(request.Task, caller.ID))
	if err != nil {
		return nil, err
	}
	revealed, err := ledger.Exists(ctx, ledger.SaltKey(request.Task, caller.ID))
	if err != nil {
		return nil, err
	}
	salt, changes, err := fl.RevealSalt(task, node, revealed, request, caller.ID)
	if err != nil {
		return nil, err
	}
	return &salt, endTask(ctx, task, changes, caller)
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

// endTask writes what the transaction's step gave and sets its one event.
func endTask(ctx *ledger.Context, task fl.Task, changes fl.Changes, caller consortium.Caller) error {
	if err := writeChanges(ctx, task.Terms.Task, 0, changes); err != nil {
		return err
	}
	return ctx.Emit(fl.Event{Task: task.Terms.Task, Round: 0, Phase: string(task.Phase), Actor: caller.ID})
}
