package fl

import (
	"encoding/json"
	"slices"
)

// Replayed is what a round should have been, computed from what the nodes
// submitted and the rounds before.
type Replayed struct {
	Round          int
	Beacon         string
	Masters        []string
	Trainers       []string
	Spent          []string // of a private task: nodes that were not drawn to train for want of budget
	Previous       ModelRef
	PreviousRound  int
	Allowance      Micro
	Results        []Result // empty when it never came to a tally
	PreviousMedian Micro
	Global         *ModelRef // nil unless the round closed
	Attestations   int
	Standings      []Standing // after the round, of all nodes that have one, sorted by node
	Spendings      []Spending // after the round, of a private task; sorted by node
}

// Difference is a place where the ledger is not what the rules make of it.
type Difference struct {
	Round    int    // 0 for the task itself
	What     string // the field, or what was submitted and by whom
	Ledger   string // as JSON
	Replayed string // as JSON
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

// Replay computes a task's rounds again: beacons, elections, samples, allowances,
// medians, global models and standings. The rounds are all of the task in order,
// from number 1; the last may still be open.
func Replay(state TaskState, rounds []RoundState) []Replayed {
	task := state.Task
	nodes := Participants(state.Nodes, state.Salts)
	next := Replayed{
		Beacon:    FirstBeacon(task.Terms.Task, state.Salts),
		Previous:  task.First,
		Allowance: FirstAllowance(task.Terms),
		Standings: []Standing{},
	}
	replayed := []Replayed{}
	for i, round := range rounds {
		next.Round = i + 1
		next.Masters, next.Trainers = []string{}, []string{}
		if CheckNodes(task.Terms, nodes) == nil {
			next.Spent = replaySpent(task.Terms, nodes, next.Spendings, round.Round.Spent)
			next.Masters, next.Trainers = Draw(task.Terms, nodes, next.Standings, next.Spent, next.Beacon)
		}
		done := replayRound(task, next, round)
		done.Spendings = ReplaySpendings(task.Terms, nodes, next.Spendings, round.Updates)
		replayed = append(replayed, done)
		next = Replayed{
			Beacon:        NextBeacon(task.Terms.Task, done.Round, done.Beacon, round.Reveals),
			Previous:      done.Previous,
			PreviousRound: done.PreviousRound,
			Allowance:     NextAllowance(task.Terms, done.Allowance, done.Results, done.PreviousMedian),
			Standings:     done.Standings,
			Spendings:     done.Spendings,
		}
		if done.Global != nil {
			next.Previous, next.PreviousRound = *done.Global, done.Round
		}
	}
	return replayed
}

// replayRound adds to a drawn round what came of it, as far as it came.
func replayRound(task Task, drawn Replayed, state RoundState) Replayed {
	done := drawn
	done.Results, done.PreviousMedian = []Result{}, Unscored
	spoke := drawn.Masters
	if state.Round.Phase == RoundFailed && state.Round.FailedIn == RoundCommitting {
		spoke = Committed(state.Commitments)
	}
	if cameToTally(state.Round) {
		spoke = Revealed(state.Reveals)
		if len(state.Reveals) >= Quorum(task.F) {
			done.Results, done.PreviousMedian = Tally(task.Terms, drawn.Allowance, drawn.Trainers, state.Updates, state.Reveals)
		}
	}
	changed := append(ScoredStandings(done.Round, done.Results), SilentStandings(done.Round, drawn.Masters, spoke)...)
	done.Standings = UpdateStandings(drawn.Standings, changed)
	if state.Round.Phase == RoundClosed {
		if agreed, count, ok := Agreed(task.Terms, task.Creator, drawn.Masters, state.Proposals, state.Attestations); ok {
			done.Global, done.Attestations = &agreed.Model, count
		}
	}
	return done
}

// ReplaySpendings adds what a round's updates spent to what the task had spent
// before; nil for a task that does not train privately. Whether a node kept to a
// budget of its own over all tasks can't be seen from one.
func ReplaySpendings(terms Terms, nodes []Node, spendings []Spending, updates []Update) []Spending {
	if !terms.Privacy.On() {
		return nil
	}
	for _, update := range updates {
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == update.Node })
		if i < 0 {
			continue // the draw does not have it either
		}
		node := nodes[i]
		node.Budget = 0
		task, _, err := Charge(terms, node, SpendingOf(spendings, node.ID), Spending{}, update.NumExamples)
		if err == nil {
			spendings = UpdateSpendings(spendings, task)
		}
	}
	return spendings
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

// cameToTally tells whether a round's tally was taken, with or without success.
func cameToTally(round Round) bool {
	switch round.Phase {
	case RoundAggregating, RoundClosed:
		return true
	case RoundFailed:
		return round.FailedIn == RoundRevealing || round.FailedIn == RoundAggregating
	default:
		return false
	}
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
	standings, closed := []Standing{}, 0
	var spendings []Spending
	for i, replayed := range Replay(state, rounds) {
		found.compareRound(replayed, rounds[i])
		standings, spendings = replayed.Standings, replayed.Spendings
		if replayed.Global != nil {
			closed++
		}
	}
	found.compare(0, "standings", state.Standings, standings)
	if len(state.Spendings) > 0 || len(spendings) > 0 {
		found.compare(0, "spendings", state.Spendings, spendings)
	}
	found.compare(0, "last_round", state.LastRound, len(rounds))
	found.compare(0, "closed", state.Closed, closed)
	return found.list
}

// differences collects what does not compare equal.
type differences struct{ list []Difference }

func (d *differences) compareRound(replayed Replayed, state RoundState) {
	number, round := replayed.Round, state.Round
	d.compare(number, "number", round.Number, number)
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
		opened := CommitScores(round.Task, number, reveal.Master, reveal.Scores, reveal.Salt)
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
