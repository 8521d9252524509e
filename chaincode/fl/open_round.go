package fl

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// Opening is what a round is opened on.
type Opening struct {
	Nodes     []Node       // all that have joined
	Salts     []BeaconSalt // all that are revealed
	Standings []Standing   // all there are
	Spent     []string     // nodes without budget for an update, see SpentNodes
	Last      Round        // the round before, the zero value for round 1
	Reveals   []Reveal     // of the round before
}

// OpenRound opens the round after the last: its beacon comes from the salts of the
// round before, and its masters and trainers from the beacon. Round 1 also sets the
// task running. A round that can't begin fails where it is opened.
func OpenRound(task Task, progress Progress, on Opening, number int, now int64) (Changes, error) {
	if number != progress.LastRound+1 {
		return Changes{}, codes.Errorf("MF-ROUND-NUMBER", "round %d can't be opened after round %d; open round %d", number, progress.LastRound, progress.LastRound+1)
	}
	switch task.Phase {
	case TaskStarting:
		return openFirst(task, progress, on, now)
	case TaskRunning:
		return openNext(task, progress, on, now)
	default:
		return Changes{}, codes.Errorf("MF-TASK-PHASE", "the task is %s; rounds are opened while it is starting or running", task.Phase)
	}
}

// openFirst opens round 1 and sets the task running, once all nodes revealed their
// salts or the deadline passed. A node that did not reveal takes no part. When too few
// did, round and task fail.
func openFirst(task Task, progress Progress, on Opening, now int64) (Changes, error) {
	if len(on.Salts) < len(on.Nodes) && now < task.Deadline {
		return Changes{}, codes.Errorf("MF-ROUND-EARLY", "%d of %d nodes have revealed their salts at %d; wait for the rest, or until the deadline at %d", len(on.Salts), len(on.Nodes), now, task.Deadline)
	}
	round := newRound(task, 1, FirstBeacon(task.Terms.Task, on.Salts), now)
	round.Previous, round.Allowance = task.First, FirstAllowance(task.Terms)
	progress.LastRound = 1
	if CheckNodes(task.Terms, Participants(on.Nodes, on.Salts)) != nil {
		return fail(task, progress, round, "too few nodes revealed their salts by the deadline", true, now)
	}
	if err := task.moveTo(TaskRunning); err != nil {
		return Changes{}, err
	}
	changes, err := draw(task, progress, round, on, now)
	if changes.Task == nil {
		changes.Task = &task
	}
	return changes, err
}

// openNext opens the round after the last, which must be final. A failed round is
// redrawn so, from the global model it started from.
func openNext(task Task, progress Progress, on Opening, now int64) (Changes, error) {
	last := on.Last
	if !last.Phase.Final() {
		return Changes{}, codes.Errorf("MF-ROUND-OPEN", "round %d is still %s; bring it to its end first", last.Number, last.Phase)
	}
	now = max(now, last.ChangedAt)
	round := newRound(task, last.Number+1, NextBeacon(task.Terms.Task, last.Number, last.Beacon, on.Reveals), now)
	round.Previous, round.PreviousRound = last.Previous, last.PreviousRound
	if last.Global != nil {
		round.Previous, round.PreviousRound = *last.Global, last.Number
	}
	round.Allowance = NextAllowance(task.Terms, last.Allowance, last.Results, last.PreviousMedian)
	progress.LastRound++
	return draw(task, progress, round, on, now)
}

// draw opens a round with the masters and trainers that its beacon draws. A private
// task may have too few nodes with budget left among those that are no masters: the
// round fails before it begins, rather than wait for them, and is redrawn. When no
// draw can have enough of them any more, the task fails with it; its last global
// model stands.
func draw(task Task, progress Progress, round Round, on Opening, now int64) (Changes, error) {
	nodes := Participants(on.Nodes, on.Salts)
	round.Spent = on.Spent
	round.Masters, round.Trainers = Draw(task.Terms, nodes, on.Standings, round.Spent, round.Beacon)
	if reason, forever := TooFewTrainers(task.Terms, nodes, round.Spent, round.Trainers); reason != "" {
		return fail(task, progress, round, reason, forever, now)
	}
	changes, err := move(task, round, RoundTraining, now)
	changes.Progress = &progress
	return changes, err
}

// newRound is a round before its first phase.
func newRound(task Task, number int, beacon string, now int64) Round {
	return Round{
		Task: task.Terms.Task, Number: number, Beacon: beacon, Masters: []string{}, Trainers: []string{},
		OpenedAt: now, Results: []Result{}, PreviousMedian: Unscored,
	}
}

// Participants are the nodes that revealed their salts: the others take no part
// in the rounds.
func Participants(nodes []Node, salts []BeaconSalt) []Node {
	participants := []Node{}
	for _, node := range nodes {
		if slices.ContainsFunc(salts, func(s BeaconSalt) bool { return s.Node == node.ID }) {
			participants = append(participants, node)
		}
	}
	return participants
}
