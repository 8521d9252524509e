package contract

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// charge writes what the caller's update spends of its data set in a private task,
// and refuses what the task's budget or the node's own does not hold. Only the
// node itself writes these two documents: updates of different trainers never
// conflict, and two tasks that train on one data set at once do.
func (s *scene) charge(examples int64) error {
	if !s.task.Privacy.On() {
		return nil
	}
	task := s.task.Terms.Task
	node, found, err := ledger.Get[fl.Node](s.ctx, ledger.NodeKey(task, s.caller.ID))
	if err != nil {
		return err
	}
	if !found {
		return codes.Errorf("MF-NODE-UNKNOWN", "%s has not joined the task; join a task while it is joining", s.caller.ID)
	}
	inTask, _, err := ledger.Get[fl.Spending](s.ctx, ledger.SpendingKey(task, node.ID))
	if err != nil {
		return err
	}
	inAll, _, err := ledger.Get[fl.Spending](s.ctx, ledger.DatasetKey(node.ID, node.Dataset))
	if err != nil {
		return err
	}
	inTask, inAll, err = fl.Charge(s.task.Terms, node, inTask, inAll, examples)
	if err != nil {
		return err
	}
	if err := ledger.Put(s.ctx, ledger.SpendingKey(task, node.ID), inTask); err != nil {
		return err
	}
	return ledger.Put(s.ctx, ledger.DatasetKey(node.ID, node.Dataset), inAll)
}

// spent are the nodes of a private task whose budgets hold no further update. Of
// what all tasks have spent it reads only the data sets that have a budget over all
// tasks: an update to another task that is charged to one of those in the same block
// conflicts, and the round is opened again on what it left.
func (s *scene) spent(nodes []fl.Node) ([]string, error) {
	if !s.task.Privacy.On() {
		return nil, nil
	}
	inTask, err := ledger.List[fl.Spending](s.ctx, ledger.Spendings(s.task.Terms.Task))
	if err != nil {
		return nil, err
	}
	var inAll []fl.Spending
	for _, node := range nodes {
		if node.Budget == 0 {
			continue
		}
		spending, found, err := ledger.Get[fl.Spending](s.ctx, ledger.DatasetKey(node.ID, node.Dataset))
		if err != nil {
			return nil, err
		}
		if found {
			inAll = append(inAll, spending)
		}
	}
	return fl.SpentNodes(s.task.Terms, nodes, inTask, inAll), nil
}
