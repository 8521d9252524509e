package contract

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// openFirst opens round 1 and sets the task running, once all nodes revealed
// their salts or the deadline passed. A node that did not reveal takes no part.
// When too few did, round and task fail.
func (s *scene) openFirst() (*fl.Round, error) {
	task := s.task.Terms.Task
	nodes, err := ledger.List[fl.Node](s.ctx, ledger.Nodes(task))
	if err != nil {
		return nil, err
	}
	salts, err := ledger.List[fl.BeaconSalt](s.ctx, ledger.Salts(task))
	if err != nil {
		return nil, err
	}
	if len(salts) < len(nodes) && s.now < s.task.Deadline {
		return nil, codes.Errorf("MF-ROUND-EARLY", "%d of %d nodes have revealed their salts at %d; wait for the rest, or until the deadline at %d", len(salts), len(nodes), s.now, s.task.Deadline)
	}
	s.round = s.newRound(1, fl.FirstBeacon(task, salts), s.task.First, 0)
	s.round.Allowance = fl.FirstAllowance(s.task.Terms)
	participants := fl.Participants(nodes, salts)
	if fl.CheckNodes(s.task.Terms, participants) != nil {
		s.round.Reason = "too few nodes revealed their salts by the deadline"
		if err := moveTask(s.ctx, &s.task, fl.TaskFailed); err != nil {
			return nil, err
		}
		return s.open(fl.RoundFailed, fl.Progress{LastRound: 1, Failed: 1})
	}
	if err := moveTask(s.ctx, &s.task, fl.TaskRunning); err != nil {
		return nil, err
	}
	return s.draw(participants, nil, fl.Progress{LastRound: 1})
}

// openNext opens the round after the last, which must be final. A failed round
// is redrawn so, from the global model it started from.
func (s *scene) openNext(progress fl.Progress) (*fl.Round, error) {
	task := s.task.Terms.Task
	last, err := readRound(s.ctx, task, progress.LastRound)
	if err != nil {
		return nil, err
	}
	if !last.Phase.Final() {
		return nil, codes.Errorf("MF-ROUND-OPEN", "round %d is still %s; bring it to its end first", last.Number, last.Phase)
	}
	state, err := readState(s.ctx, last)
	if err != nil {
		return nil, err
	}
	nodes, standings, err := s.participants()
	if err != nil {
		return nil, err
	}
	previous, previousRound := last.Previous, last.PreviousRound
	if last.Global != nil {
		previous, previousRound = *last.Global, last.Number
	}
	s.now = max(s.now, last.ChangedAt)
	beacon := fl.NextBeacon(task, last.Number, last.Beacon, state.Reveals)
	s.round = s.newRound(last.Number+1, beacon, previous, previousRound)
	s.round.Allowance = fl.NextAllowance(s.task.Terms, last.Allowance, last.Results, last.PreviousMedian)
	progress.LastRound++
	return s.draw(nodes, standings, progress)
}

// draw opens a round with the masters and trainers that its beacon draws. A private
// task may have too few nodes with budget left among those that are no masters: the
// round fails before it begins, rather than wait for them, and is redrawn. When no
// draw can have enough of them any more, the task fails with it; its last global
// model stands.
func (s *scene) draw(nodes []fl.Node, standings []fl.Standing, progress fl.Progress) (*fl.Round, error) {
	var err error
	if s.round.Spent, err = s.spent(nodes); err != nil {
		return nil, err
	}
	s.round.Masters, s.round.Trainers = fl.Draw(s.task.Terms, nodes, standings, s.round.Spent, s.round.Beacon)
	reason, forever := fl.TooFewTrainers(s.task.Terms, nodes, s.round.Spent, s.round.Trainers)
	if reason == "" {
		return s.open(fl.RoundTraining, progress)
	}
	s.round.Reason = reason
	progress.Failed++
	if forever || progress.Failed >= s.task.MaxFailed {
		if err := moveTask(s.ctx, &s.task, fl.TaskFailed); err != nil {
			return nil, err
		}
	}
	return s.open(fl.RoundFailed, progress)
}

// participants reads the nodes that take part in the rounds and their standings.
func (s *scene) participants() ([]fl.Node, []fl.Standing, error) {
	task := s.task.Terms.Task
	nodes, err := ledger.List[fl.Node](s.ctx, ledger.Nodes(task))
	if err != nil {
		return nil, nil, err
	}
	salts, err := ledger.List[fl.BeaconSalt](s.ctx, ledger.Salts(task))
	if err != nil {
		return nil, nil, err
	}
	standings, err := ledger.List[fl.Standing](s.ctx, ledger.Standings(task))
	return fl.Participants(nodes, salts), standings, err
}

// newRound is a round before its first phase.
func (s *scene) newRound(number int, beacon string, previous fl.ModelRef, previousRound int) fl.Round {
	return fl.Round{
		Task:           s.task.Terms.Task,
		Number:         number,
		Beacon:         beacon,
		Masters:        []string{},
		Trainers:       []string{},
		Previous:       previous,
		PreviousRound:  previousRound,
		OpenedAt:       s.now,
		Results:        []fl.Result{},
		PreviousMedian: fl.Unscored,
	}
}

// open writes a new round and how far the task has come with it.
func (s *scene) open(phase fl.RoundPhase, progress fl.Progress) (*fl.Round, error) {
	if err := ledger.Put(s.ctx, ledger.ProgressKey(s.task.Terms.Task), progress); err != nil {
		return nil, err
	}
	return s.moveOn(phase)
}

// moveOn writes the round in its next phase, if the table has the move.
func (s *scene) moveOn(to fl.RoundPhase) (*fl.Round, error) {
	if !s.round.Phase.CanMoveTo(to) {
		return nil, codes.Errorf("MF-INTERNAL", "a round can't move from %s to %s; report this", s.round.Phase, to)
	}
	s.round.Phase = to
	s.round.ChangedAt = s.now
	s.round.Deadline = 0
	if !to.Final() {
		s.round.Deadline = s.now + s.task.Deadlines.Of(to)
	}
	if err := ledger.Put(s.ctx, ledger.RoundKey(s.round.Task, s.round.Number), s.round); err != nil {
		return nil, err
	}
	return s.done()
}

// fail ends the round without a global model; after too many in a row the task
// fails with it.
func (s *scene) fail(reason string, standings []fl.Standing) (*fl.Round, error) {
	progress, err := readProgress(s.ctx, s.round.Task)
	if err != nil {
		return nil, err
	}
	progress.Failed++
	if err := ledger.Put(s.ctx, ledger.ProgressKey(s.round.Task), progress); err != nil {
		return nil, err
	}
	if progress.Failed >= s.task.MaxFailed {
		if err := moveTask(s.ctx, &s.task, fl.TaskFailed); err != nil {
			return nil, err
		}
	}
	if err := s.putStandings(standings); err != nil {
		return nil, err
	}
	s.round.Reason, s.round.FailedIn = reason, s.round.Phase
	return s.moveOn(fl.RoundFailed)
}

// close ends the round with its global model; the last one completes the task.
func (s *scene) close(agreed fl.Proposal) (*fl.Round, error) {
	progress, err := readProgress(s.ctx, s.round.Task)
	if err != nil {
		return nil, err
	}
	progress.Closed, progress.Failed = progress.Closed+1, 0
	if err := ledger.Put(s.ctx, ledger.ProgressKey(s.round.Task), progress); err != nil {
		return nil, err
	}
	if progress.Closed >= s.task.Rounds {
		if err := moveTask(s.ctx, &s.task, fl.TaskCompleted); err != nil {
			return nil, err
		}
	}
	if err := s.reserveGlobal(agreed); err != nil {
		return nil, err
	}
	return s.moveOn(fl.RoundClosed)
}

// reserveGlobal keeps trainers from passing the global model off as an update.
// The mean of a single update is that update, whose digest is taken already.
func (s *scene) reserveGlobal(agreed fl.Proposal) error {
	key := ledger.DigestKey(s.round.Task, agreed.Model.Digest)
	taken, err := ledger.Exists(s.ctx, key)
	if err != nil || taken {
		return err
	}
	return ledger.Put(s.ctx, key, fl.DigestUse{Node: agreed.Proposer, Round: s.round.Number})
}

// putStandings writes the weights of the next election that have changed.
func (s *scene) putStandings(standings []fl.Standing) error {
	for _, standing := range standings {
		if err := ledger.Put(s.ctx, ledger.StandingKey(s.round.Task, standing.Node), standing); err != nil {
			return err
		}
	}
	return nil
}
