package gateway

import (
	"context"

	"github.com/medfed/medfed/chaincode/fl"
)

// Caller carries out transactions and queries by name; [Gateway] is one.
type Caller interface {
	Submit(ctx context.Context, name string, request, result any) error
	Evaluate(ctx context.Context, name string, request, result any) error
}

// Contracts are the chaincode's transactions as typed calls. Every one is
// idempotent: repeating it returns the first result.
type Contracts struct{ Caller }

// Contracts are the transactions through this gateway.
func (g *Gateway) Contracts() Contracts { return Contracts{g} }

// submit and evaluate give a call's answer its type.
func submit[T any](ctx context.Context, c Caller, name string, request any) (result T, err error) {
	err = c.Submit(ctx, name, request, &result)
	return result, err
}

func evaluate[T any](ctx context.Context, c Caller, name string, request any) (result T, err error) {
	err = c.Evaluate(ctx, name, request, &result)
	return result, err
}

// CreateTask fixes a task's terms. Caller: a coordinator.
func (c Contracts) CreateTask(ctx context.Context, terms fl.Terms) (fl.Task, error) {
	return submit[fl.Task](ctx, c, "task:CreateTask", terms)
}

// JoinTask enters the caller as a node. Caller: a trainer.
func (c Contracts) JoinTask(ctx context.Context, request fl.JoinRequest) (fl.Node, error) {
	return submit[fl.Node](ctx, c, "task:JoinTask", request)
}

// StartTask ends joining with the first model encrypted to all that have joined.
// Caller: the coordinator who created the task.
func (c Contracts) StartTask(ctx context.Context, task string, first fl.ModelRef, nodes int) (fl.Task, error) {
	return submit[fl.Task](ctx, c, "task:StartTask", fl.StartRequest{Task: task, First: first, Nodes: nodes})
}

// RevealSalt opens the caller's commitment for round 1's beacon. Caller: a joined
// node.
func (c Contracts) RevealSalt(ctx context.Context, task, salt string) (fl.BeaconSalt, error) {
	return submit[fl.BeaconSalt](ctx, c, "task:RevealSalt", fl.RevealSaltRequest{Task: task, Salt: salt})
}

// GetTask gives a task with its nodes and how far it has come.
func (c Contracts) GetTask(ctx context.Context, task string) (fl.TaskState, error) {
	return evaluate[fl.TaskState](ctx, c, "task:GetTask", fl.TaskRequest{Task: task})
}

// ListTasks gives one page of the tasks by name, 1 to 1000 of them; bookmark is
// "" for the first page and the last page's Bookmark for the next.
func (c Contracts) ListTasks(ctx context.Context, bookmark string, pageSize int) (fl.TaskPage, error) {
	return evaluate[fl.TaskPage](ctx, c, "task:ListTasks", fl.ListRequest{Bookmark: bookmark, PageSize: pageSize})
}

// GetSpending gives what all private tasks have spent of a node's data set.
func (c Contracts) GetSpending(ctx context.Context, request fl.DatasetRequest) (fl.Spending, error) {
	return evaluate[fl.Spending](ctx, c, "task:GetSpending", request)
}

// ListSpendings gives one page of what all private tasks have spent of data sets,
// paged as ListTasks.
func (c Contracts) ListSpendings(ctx context.Context, bookmark string, pageSize int) (fl.SpendingPage, error) {
	return evaluate[fl.SpendingPage](ctx, c, "task:ListSpendings", fl.ListRequest{Bookmark: bookmark, PageSize: pageSize})
}

// GetTaskHistory gives every committed value of a task's document, oldest first.
func (c Contracts) GetTaskHistory(ctx context.Context, task string) ([]fl.HistoryEntry, error) {
	return evaluate[[]fl.HistoryEntry](ctx, c, "task:GetTaskHistory", fl.TaskRequest{Task: task})
}
