package contract

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// scene is what a round's transaction finds when it begins: who calls, when,
// the task and the round.
type scene struct {
	ctx    *ledger.Context
	name   string // of the transaction, and so of its event
	caller ledger.Caller
	now    int64 // never before the round's last change, whatever the caller claims
	task   fl.Task
	round  fl.Round
}

// gate refuses a caller that the transaction is not for.
type gate func(*scene) error

// enterTask begins a transaction that needs no round yet.
func enterTask(ctx *ledger.Context, name, task string, gate gate) (*scene, error) {
	s, err := begin(ctx, name, task)
	if err != nil {
		return nil, err
	}
	return s, gate(s)
}

// enterRound begins a transaction of a round that is there.
func enterRound(ctx *ledger.Context, name, task string, number int, gate gate) (*scene, error) {
	s, err := begin(ctx, name, task)
	if err != nil {
		return nil, err
	}
	if s.round, err = readRound(ctx, task, number); err != nil {
		return nil, err
	}
	s.now = max(s.now, s.round.ChangedAt)
	return s, gate(s)
}

func begin(ctx *ledger.Context, name, task string) (*scene, error) {
	s := &scene{ctx: ctx, name: name}
	var err error
	if s.caller, err = ctx.CallerAs(ledger.RoleCoordinator, ledger.RoleTrainer); err != nil {
		return nil, err
	}
	if s.now, err = ctx.Now(); err != nil {
		return nil, err
	}
	s.task, err = readTask(ctx, task)
	return s, err
}

// anyMember lets the task's coordinator and every joined node pass.
func anyMember(s *scene) error {
	if s.isCoordinator() {
		return nil
	}
	joined := false
	if s.caller.Role == ledger.RoleTrainer {
		var err error
		if joined, err = ledger.Exists(s.ctx, ledger.NodeKey(s.task.Terms.Task, s.caller.ID)); err != nil {
			return err
		}
	}
	if !joined {
		return codes.Errorf("MF-TASK-DENIED", "%s is neither the task's coordinator nor one of its nodes; ask one of them", s.caller.ID)
	}
	return nil
}

// aTrainer lets the trainers sampled for the round pass.
func aTrainer(s *scene) error {
	if err := s.caller.MustBe(ledger.RoleTrainer); err != nil {
		return err
	}
	if !slices.Contains(s.round.Trainers, s.caller.ID) {
		return codes.Errorf("MF-ROUND-NOT-TRAINER", "%s was not sampled to train in round %d; wait for the next round", s.caller.ID, s.round.Number)
	}
	return nil
}

// aMaster lets the masters elected for the round pass.
func aMaster(s *scene) error {
	if err := s.caller.MustBe(ledger.RoleTrainer); err != nil {
		return err
	}
	if !slices.Contains(s.round.Masters, s.caller.ID) {
		return codes.Errorf("MF-ROUND-NOT-MASTER", "%s was not elected master of round %d; wait for the next round", s.caller.ID, s.round.Number)
	}
	return nil
}

// coordinatorOrMaster lets the task's coordinator and the round's masters pass.
func coordinatorOrMaster(s *scene) error {
	if s.isCoordinator() {
		return nil
	}
	return aMaster(s)
}

func (s *scene) isCoordinator() bool {
	return s.caller.Role == ledger.RoleCoordinator && s.caller.ID == s.task.Creator
}

// mustBe refuses a round that is in another phase.
func (s *scene) mustBe(phase fl.RoundPhase) error {
	if s.round.Phase == phase {
		return nil
	}
	return codes.Errorf("MF-ROUND-PHASE", "round %d is %s and this is done while it is %s; look at the round and do what its phase asks", s.round.Number, s.round.Phase, phase)
}

// isPast tells whether the round has already left a phase.
func (s *scene) isPast(phase fl.RoundPhase) bool { return phase.Before(s.round.Phase) }

// pastDeadline tells whether the phase may be moved on without all.
func (s *scene) pastDeadline() bool { return s.now >= s.round.Deadline }

// tooEarly refuses to end a phase that goes on.
func (s *scene) tooEarly(have, all int, what string) error {
	return codes.Errorf("MF-ROUND-EARLY", "%d of %d %s are in at %d; wait for the rest, or until the deadline at %d", have, all, what, s.now, s.round.Deadline)
}

// key names what the caller itself submits to the round.
func (s *scene) key(constructor func(task string, round int, node string) ledger.Key) ledger.Key {
	return constructor(s.task.Terms.Task, s.round.Number, s.caller.ID)
}

// checkUpdate refuses weights that can't be of the task's model.
func (s *scene) checkUpdate(model fl.ModelRef) error {
	return checkSize(model, s.task.Initial.Size, s.task.Initial.Size)
}

// checkGlobal refuses weights that can't be a global model of the task.
func (s *scene) checkGlobal(model fl.ModelRef) error {
	least, most := fl.GlobalSizes(s.task.Terms)
	return checkSize(model, least, most)
}

func checkSize(model fl.ModelRef, least, most int64) error {
	if err := fl.CheckModel(model); err != nil {
		return err
	}
	if model.Size < least || model.Size > most {
		return codes.Errorf("MF-MODEL-SIZE", "the weights have %d bytes and the task's model has %d to %d; send weights of that model", model.Size, least, most)
	}
	return nil
}

// claimDigest makes a digest the caller's in this round, and refuses one that is
// another's or of an earlier round.
func (s *scene) claimDigest(digest string) error {
	key := ledger.DigestKey(s.task.Terms.Task, digest)
	use, found, err := ledger.Get[fl.DigestUse](s.ctx, key)
	if err != nil {
		return err
	}
	if found {
		return codes.Errorf("MF-UPDATE-COPIED", "these weights were first used by %s in round %d; train your own", use.Node, use.Round)
	}
	return ledger.Put(s.ctx, key, fl.DigestUse{Node: s.caller.ID, Round: s.round.Number})
}

// emit sets the transaction's one event.
func (s *scene) emit() error {
	return s.ctx.Emit(fl.Event{
		Task:  s.task.Terms.Task,
		Round: s.round.Number,
		Phase: string(s.round.Phase),
		Actor: s.caller.ID,
	})
}

// done answers with the round as it is.
func (s *scene) done() (*fl.Round, error) { return &s.round, s.emit() }
