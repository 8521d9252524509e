package gateway

import (
	"context"
	"iter"

	"github.com/medfed/medfed/chaincode/fl"
)

// Tasks are the transactions of the contract task.
type Tasks struct{ Caller }

// CreateTask fixes a task's terms. Caller: a coordinator.
func (t Tasks) CreateTask(ctx context.Context, terms fl.Terms) (fl.Task, error) {
	return createTask(ctx, t, terms)
}

// JoinTask enters the caller as a node. Caller: a trainer.
func (t Tasks) JoinTask(ctx context.Context, r fl.JoinRequest) (fl.Node, error) {
	return joinTask(ctx, t, r)
}

// StartTask ends joining with the first model encrypted to all that have joined.
// Caller: the coordinator who created the task.
func (t Tasks) StartTask(ctx context.Context, r fl.StartRequest) (fl.Task, error) {
	return startTask(ctx, t, r)
}

// RevealSalt opens the caller's commitment for round 1's beacon. Caller: a joined
// node.
func (t Tasks) RevealSalt(ctx context.Context, r fl.RevealSaltRequest) (fl.BeaconSalt, error) {
	return revealSalt(ctx, t, r)
}

// GetTask gives a task with its nodes and how far it has come.
func (t Tasks) GetTask(ctx context.Context, r fl.TaskRequest) (fl.TaskState, error) {
	return getTask(ctx, t, r)
}

// ListTasks gives all tasks by name.
func (t Tasks) ListTasks(ctx context.Context) iter.Seq2[fl.Task, error] {
	return pages(func(bookmark string) ([]fl.Task, string, error) {
		page, err := listTasks(ctx, t, fl.ListRequest{Bookmark: bookmark, PageSize: pageSize})
		return page.Tasks, page.Bookmark, err
	})
}

// GetSpending gives what all private tasks have spent of a node's data set.
func (t Tasks) GetSpending(ctx context.Context, r fl.DatasetRequest) (fl.Spending, error) {
	return getSpending(ctx, t, r)
}

// ListSpendings gives what all private tasks have spent of every data set, by node.
func (t Tasks) ListSpendings(ctx context.Context) iter.Seq2[fl.Spending, error] {
	return pages(func(bookmark string) ([]fl.Spending, string, error) {
		page, err := listSpendings(ctx, t, fl.ListRequest{Bookmark: bookmark, PageSize: pageSize})
		return page.Spendings, page.Bookmark, err
	})
}
