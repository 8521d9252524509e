package contract

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// roundCall is what a round's transaction finds when it begins: who calls, when, the
// task and the round.
type roundCall struct {
	ctx    *ledger.Context
	caller consortium.Caller
	now    int64
	task   fl.Task
	round  fl.Round
}

// gate refuses a caller whom the transaction is not for. Who trains or scores in a
// round the rules of fl say.
type gate func(*roundCall) error

// enterTask begins a transaction that needs no round yet.
func enterTask(ctx *ledger.Context, task string, gate gate) (*roundCall, error) {
	call, err := begin(ctx, task)
	if err != nil {
		return nil, err
	}
	return call, gate(call)
}

// enterRound begins a transaction of a round that is there.
func enterRound(ctx *ledger.Context, task string, number int, gate gate) (*roundCall, error) {
	call, err := begin(ctx, task)
	if err != nil {
		return nil, err
	}
	if call.round, err = readRound(ctx, task, number); err != nil {
		return nil, err
	}
	return call, gate(call)
}

func begin(ctx *ledger.Context, task string) (*roundCall, error) {
	call := &roundCall{ctx: ctx}
	var err error
	if call.caller, err = ctx.CallerAs(consortium.RoleCoordinator, consortium.RoleTrainer); err != nil {
		return nil, err
	}
	if call.now, err = ctx.Now(); err != nil {
		return nil, err
	}
	call.task, err = readTask(ctx, task)
	return call, err
}

// anyMember lets the task's coordinator and every joined node pass.
func anyMember(call *roundCall) error {
	if call.isCoordinator() {
		return nil
	}
	joined := false
	if call.caller.Role == consortium.RoleTrainer {
		var err error
		if joined, err = ledger.Exists(call.ctx, ledger.NodeKey(call.task.Terms.Task, call.caller.ID)); err != nil {
			return err
		}
	}
	if !joined {
		return codes.Errorf("MF-TASK-DENIED", "%s is neither the task's coordinator nor one of its nodes; ask one of them", call.caller.ID)
	}
	return nil
}

// aTrainer lets pass who is enrolled to train, and so to score.
func aTrainer(call *roundCall) error { return call.caller.MustBe(consortium.RoleTrainer) }

// coordinatorOrTrainer lets the task's coordinator pass, and who is enrolled to train.
func coordinatorOrTrainer(call *roundCall) error {
	if call.isCoordinator() {
		return nil
	}
	return aTrainer(call)
}

func (call *roundCall) isCoordinator() bool {
	return call.caller.Role == consortium.RoleCoordinator && call.caller.ID == call.task.Creator
}

// key names what the caller itself submits to the round.
func (call *roundCall) key(constructor func(task string, round int, node string) ledger.Key) ledger.Key {
	return constructor(call.task.Terms.Task, call.round.Number, call.caller.ID)
}

// end writes what the transaction's step gave and sets its one event.
func (call *roundCall) end(changes fl.Changes) error {
	if changes.Round != nil {
		call.round = *changes.Round
	}
	if err := writeChanges(call.ctx, call.task.Terms.Task, call.round.Number, changes); err != nil {
		return err
	}
	return call.ctx.Emit(fl.Event{
		Task: call.task.Terms.Task, Round: call.round.Number, Phase: string(call.round.Phase), Actor: call.caller.ID,
	})
}

// endRound is end, and answers with the round as it is then.
func (call *roundCall) endRound(changes fl.Changes) (*fl.Round, error) {
	err := call.end(changes)
	return &call.round, err
}
