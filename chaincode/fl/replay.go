package fl

import (
	"encoding/json"
	"slices"
)

// Difference is a place where the ledger is not what the rules make of it.
type Difference struct {
	Round    int    // 0 for the task itself
	What     string // the field, or what was submitted and by whom
	Ledger   string // as JSON
	Replayed string // as JSON
}

// Replay takes a task's steps again, with what the nodes submitted, as far as the
// ledger says that they were taken: beacons, elections, samples, allowances, medians,
// global models, standings and phases follow. The rounds are all of the task in order,
// from number 1; the last may still be open. When a round can't be opened after what
// the replay made of the one before, it and those after it are missing.
func Replay(state TaskState, rounds []RoundState) *Course {
	course := NewCourse(state.Task, state.Nodes, state.Salts)
	nodes := Participants(state.Nodes, state.Salts)
	for _, onLedger := range rounds {
		spent := replaySpent(state.Task.Terms, nodes, course.Spendings, onLedger.Round.Spent)
		if course.OpenRound(spent, onLedger.Round.OpenedAt) != nil {
			break
		}
		for _, update := range onLedger.Updates {
			course.Submit(update)
		}
		round := course.Newest()
		round.Commitments, round.Reveals = onLedger.Commitments, onLedger.Reveals
		round.Proposals, round.Attestations = onLedger.Proposals, onLedger.Attestations
		course.replayMoves(onLedger.Round)
	}
	return course
}

// replayMoves takes the newest round through the phases that it has left on the
// ledger. When that was the ledger does not say, so that all deadlines have passed.
func (c *Course) replayMoves(onLedger Round) {
	for _, end := range []struct {
		of   RoundPhase
		step func(now int64) error
	}{
		{RoundTraining, c.CloseTraining}, {RoundCommitting, c.CloseCommits}, {RoundRevealing, c.Tally}, {RoundAggregating, c.CloseRound},
	} {
		late := c.Newest().Round.Deadline + c.Task.Deadlines.Aggregating
		if !onLedger.hasLeft(end.of) || end.step(late) != nil {
			return
		}
	}
}

// hasLeft reports whether a round has been in a phase and has left it.
func (r Round) hasLeft(phase RoundPhase) bool {
	if r.Phase == RoundFailed {
		return r.FailedIn == phase || phase.Before(r.FailedIn) && r.FailedIn != ""
	}
	return phase.Before(r.Phase)
}

// replaySpent are the nodes that have no budget left: those that the task's own
// spending says, and of the nodes with a budget over all tasks, which can't be seen
// from one, those that the round says.
func replaySpent(terms Terms, nodes []Node, spendings []Spending, onLedger []string) []string {
	spent := SpentNodes(terms, nodes, spendings, spendings)
	var all []string
	for _, node := range nodes {
		if slices.Contains(spent, node.ID) || node.Budget > 0 && slices.Contains(onLedger, node.ID) {
			all = append(all, node.ID)
		}
	}
	return all
}

// Differences replays a task and lists where the ledger says otherwise: none
// when every beacon, election, sample, allowance, median, threshold, standing and
// global model is what the rules give, and every salt and score opens its
// commitment.
func Differences(state TaskState, rounds []RoundState) []Difference {
	found := differences{[]Difference{}}
	for _, salt := range state.Salts {
		i := slices.IndexFunc(state.Nodes, func(n Node) bool { return n.ID == salt.Node })
		if i < 0 {
			found.compare(0, "salt of "+salt.Node, salt.Node, "")
			continue
		}
		found.compare(0, "salt of "+salt.Node, state.Nodes[i].Commitment, SaltCommitment(state.Task.Terms.Task, salt.Node, salt.Salt))
	}
	found.compare(0, "first", state.Task.First.Digest, state.Task.Initial.Digest)
	replayed := Replay(state, rounds)
	for i, round := range rounds {
		again := Round{Number: i + 1}
		if i < len(replayed.Rounds) {
			again = replayed.Rounds[i].Round
		}
		found.compareRound(i+1, round, again)
	}
	if len(rounds) > 0 {
		found.compare(0, "phase", state.Task.Phase, replayed.Task.Phase)
	}
	found.compare(0, "standings", state.Standings, replayed.Standings)
	if len(state.Spendings) > 0 || len(replayed.Spendings) > 0 {
		found.compare(0, "spendings", state.Spendings, replayed.Spendings)
	}
	found.compare(0, "last_round", state.LastRound, replayed.Progress.LastRound)
	found.compare(0, "closed", state.Closed, replayed.Progress.Closed)
	return found.list
}

// differences collects what does not compare equal.
type differences struct{ list []Difference }

// compareRound compares a round as it is on the ledger with what the replay made of it.
func (d *differences) compareRound(number int, state RoundState, replayed Round) {
	round := state.Round
	d.compare(number, "phase", round.Phase, replayed.Phase)
	d.compare(number, "failed_in", round.FailedIn, replayed.FailedIn)
	d.compare(number, "number", round.Number, replayed.Number)
	d.compare(number, "beacon", round.Beacon, replayed.Beacon)
	d.compare(number, "masters", round.Masters, replayed.Masters)
	d.compare(number, "trainers", round.Trainers, replayed.Trainers)
	d.compare(number, "spent", round.Spent, replayed.Spent)
	d.compare(number, "previous", round.Previous, replayed.Previous)
	d.compare(number, "previous_round", round.PreviousRound, replayed.PreviousRound)
	d.compare(number, "allowance", round.Allowance, replayed.Allowance)
	d.compare(number, "results", round.Results, replayed.Results)
	d.compare(number, "previous_median", round.PreviousMedian, replayed.PreviousMedian)
	d.compare(number, "global", round.Global, replayed.Global)
	d.compare(number, "attestations", round.Attestations, replayed.Attestations)
	for _, reveal := range state.Reveals {
		committed := ""
		for _, commitment := range state.Commitments {
			if commitment.Master == reveal.Master {
				committed = commitment.Hash
			}
		}
		opened := ScoresCommitment(round.Task, number, reveal.Master, reveal.Scores, reveal.Salt)
		d.compare(number, "commitment of "+reveal.Master, committed, opened)
	}
}

// compare notes two values that differ as JSON.
func (d *differences) compare(round int, what string, onLedger, replayed any) {
	left, right := asJSON(onLedger), asJSON(replayed)
	if left != right {
		d.list = append(d.list, Difference{Round: round, What: what, Ledger: left, Replayed: right})
	}
}

func asJSON(value any) string {
	bytes, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(bytes)
}
