package node

import (
	"slices"
	"time"

	"github.com/medfed/medfed/chaincode/fl"
)

// Kind is what a node can do next.
type Kind string

// What a node can do, in the order of a task.
const (
	Wait          Kind = "wait"
	Join          Kind = "join"
	Start         Kind = "start"
	RevealSalt    Kind = "reveal salt"
	OpenRound     Kind = "open round"
	Train         Kind = "train"
	CloseTraining Kind = "close training"
	Score         Kind = "score"
	CloseCommits  Kind = "close commits"
	Reveal        Kind = "reveal scores"
	Tally         Kind = "tally"
	Attest        Kind = "attest"
	Propose       Kind = "propose"
	CloseRound    Kind = "close round"
	Finished      Kind = "finished"
	Excluded      Kind = "excluded" // the task has started without this node
)

// Action is a node's next step.
type Action struct {
	Kind  Kind
	Round int

	// Turn is this node's place among those that can do it: 0 does it at once,
	// 1 when it has not been done after one stagger, and so on.
	Turn int

	// Until, in Unix seconds, is when waiting is over whatever happens, or when
	// any other step has become pointless; 0 for no such time.
	Until int64
}

// View is what the ledger says.
type View struct {
	Task  fl.TaskState
	Round *fl.RoundState // the newest round, nil when none has been opened
	Now   time.Time
}

// Me is who decides.
type Me struct {
	ID          string
	Coordinator bool // of this task
	ExpectNodes int
}

// Next decides a node's next step from what the ledger says, and from nothing
// else.
func Next(v View, me Me) Action {
	phase := v.Task.Task.Phase
	switch {
	case phase == fl.TaskJoining:
		return joining(v, me)
	case phase.Final():
		return Action{Kind: Finished}
	case !me.Coordinator && !v.joined(me):
		return Action{Kind: Excluded}
	case phase == fl.TaskStarting:
		return starting(v, me)
	case v.Round == nil:
		return v.shared(OpenRound, v.Task.LastRound+1, me)
	}
	switch v.Round.Round.Phase {
	case fl.RoundTraining:
		return training(v, me)
	case fl.RoundCommitting:
		return committing(v, me)
	case fl.RoundRevealing:
		return revealing(v, me)
	case fl.RoundAggregating:
		return aggregating(v, me)
	default:
		return v.shared(OpenRound, v.Round.Round.Number+1, me)
	}
}

func joining(v View, me Me) Action {
	switch {
	case !me.Coordinator && !v.joined(me):
		return Action{Kind: Join}
	case me.Coordinator && me.ExpectNodes > 0 && len(v.Task.Nodes) >= me.ExpectNodes && fl.CheckNodes(v.Task.Task.Terms, v.Task.Nodes) == nil:
		return Action{Kind: Start}
	}
	return Action{Kind: Wait}
}

func starting(v View, me Me) Action {
	revealed := slices.ContainsFunc(v.Task.Salts, func(s fl.BeaconSalt) bool { return s.Node == me.ID })
	deadline := v.Task.Task.Deadline
	switch {
	case v.joined(me) && !revealed:
		return Action{Kind: RevealSalt}
	case len(v.Task.Salts) >= len(v.Task.Nodes) || v.past(deadline):
		return v.shared(OpenRound, 1, me)
	}
	return Action{Kind: Wait, Until: deadline}
}

// In the phases of a round, what any member can do comes first once it can be
// done: a node whose own step fails for ever must not keep it from moving the
// round on after the deadline.

func training(v View, me Me) Action {
	r := v.Round
	sent := slices.ContainsFunc(r.Updates, func(u fl.Update) bool { return u.Node == me.ID })
	switch {
	case v.over(len(r.Updates), len(r.Round.Trainers), v.Task.Task.MinUpdates):
		return v.shared(CloseTraining, r.Round.Number, me)
	case slices.Contains(r.Round.Trainers, me.ID) && !sent:
		return v.own(Train, 0, r.Round.Deadline)
	}
	return v.own(Wait, 0, r.Round.Deadline)
}

func committing(v View, me Me) Action {
	r := v.Round
	sealed := slices.ContainsFunc(r.Commitments, func(c fl.ScoreCommitment) bool { return c.Master == me.ID })
	switch {
	case v.over(len(r.Commitments), len(r.Round.Masters), fl.Quorum(v.Task.Task.F)):
		return v.shared(CloseCommits, r.Round.Number, me)
	case slices.Contains(r.Round.Masters, me.ID) && !sealed:
		return v.own(Score, 0, r.Round.Deadline)
	}
	return v.own(Wait, 0, r.Round.Deadline)
}

func revealing(v View, me Me) Action {
	r := v.Round
	sealed := slices.ContainsFunc(r.Commitments, func(c fl.ScoreCommitment) bool { return c.Master == me.ID })
	opened := slices.ContainsFunc(r.Reveals, func(o fl.Reveal) bool { return o.Master == me.ID })
	switch {
	case v.over(len(r.Reveals), len(r.Commitments), fl.Quorum(v.Task.Task.F)):
		return v.shared(Tally, r.Round.Number, me)
	case sealed && !opened:
		return v.own(Reveal, 0, r.Round.Deadline)
	}
	return v.own(Wait, 0, r.Round.Deadline)
}

func aggregating(v View, me Me) Action {
	r, task := v.Round, v.Task.Task
	end := r.Round.Deadline + task.Deadlines.Aggregating
	_, _, agreed := fl.Agreed(task.Terms, task.Creator, r.Round.Masters, r.Proposals, r.Attestations)
	place := slices.Index(r.Round.Masters, me.ID)
	proposed := slices.ContainsFunc(r.Proposals, func(p fl.Proposal) bool { return p.Proposer == me.ID })
	switch {
	case agreed || v.past(end):
		return v.shared(CloseRound, r.Round.Number, me)
	case place >= 0 && v.attested(me) == "":
		return v.own(Attest, 0, end)
	case me.Coordinator && !proposed:
		return v.own(Propose, 0, end)
	case place >= 0 && !proposed && v.past(r.Round.Deadline) && !v.isProposed(v.attested(me)):
		return v.own(Propose, place, end)
	case !v.past(r.Round.Deadline):
		return v.own(Wait, 0, r.Round.Deadline)
	}
	return v.own(Wait, 0, end)
}

// joined reports whether this node is one of the task's.
func (v View) joined(me Me) bool {
	return slices.ContainsFunc(v.Task.Nodes, func(n fl.Node) bool { return n.ID == me.ID })
}

// attested is the digest this node has attested, "" for none.
func (v View) attested(me Me) string {
	for _, a := range v.Round.Attestations {
		if a.Master == me.ID {
			return a.Digest
		}
	}
	return ""
}

// isProposed reports whether anyone has proposed that digest.
func (v View) isProposed(digest string) bool {
	return slices.ContainsFunc(v.Round.Proposals, func(p fl.Proposal) bool { return p.Model.Digest == digest })
}

// over reports whether the chaincode would end the round's phase now.
func (v View) over(have, all, quorum int) bool {
	return fl.Over(have, all, quorum, v.past(v.Round.Round.Deadline)) != fl.Wait
}

// past reports whether a deadline has come. A deadline is a whole second of the
// client's own clock, which is what its transactions will claim.
func (v View) past(deadline int64) bool { return deadline > 0 && v.Now.Unix() >= deadline }

// own is a step, or a wait, of this node alone in the newest round.
func (v View) own(k Kind, turn int, until int64) Action {
	return Action{Kind: k, Round: v.Round.Round.Number, Turn: turn, Until: until}
}

// shared is a step that any member can do: the coordinator at once, the nodes
// after it in an order that begins with another one each round.
func (v View) shared(k Kind, round int, me Me) Action {
	action := Action{Kind: k, Round: round}
	if !me.Coordinator {
		nodes := len(v.Task.Nodes)
		place := slices.IndexFunc(v.Task.Nodes, func(n fl.Node) bool { return n.ID == me.ID })
		action.Turn = 1 + (place+nodes-round%nodes)%nodes
	}
	return action
}
