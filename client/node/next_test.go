package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
)

const (
	start = 1_000_000 // when the round's phase began, Unix seconds
	limit = 100       // seconds a phase may take
)

// table is the default consortium in a round: four masters, five trainers.
var (
	masters  = []string{"H1/a", "H2/a", "H3/a", "H4/a"}
	trainers = []string{"H1/b", "H2/b", "H3/b", "H4/b", "RC/a"}
	boss     = "RC/coordinator"
)

// at is a view of the round in a phase, some seconds after the phase began.
func at(phase fl.RoundPhase, seconds int64, change ...func(*View)) View {
	v := View{Now: time.Unix(start+seconds, 0), Round: &fl.RoundState{}}
	v.Task.Task = fl.Task{Phase: fl.TaskRunning, Creator: boss, Terms: fl.Terms{
		Task: "t", Strategy: fl.StrategyFedAvg, F: 1, Masters: 4, Participation: fl.One, MinUpdates: 3, Rounds: 9,
		Deadlines: fl.Deadlines{Starting: limit, Training: limit, Committing: limit, Revealing: limit, Aggregating: limit},
	}}
	for _, id := range slices.Sorted(slices.Values(slices.Concat(masters, trainers))) {
		org, _, _ := strings.Cut(id, "/")
		v.Task.Nodes = append(v.Task.Nodes, fl.Node{ID: id, Org: org})
	}
	v.Task.LastRound = 3
	v.Round.Round = fl.Round{Number: 3, Phase: phase, Deadline: start + limit, Masters: masters, Trainers: trainers}
	if phase.Final() {
		v.Round.Round.Deadline = 0
	}
	for _, f := range change {
		f(&v)
	}
	return v
}

func updates(n int) func(*View) {
	return func(v *View) {
		for _, id := range trainers[:n] {
			v.Round.Updates = append(v.Round.Updates, fl.Update{Node: id})
		}
	}
}

func commitments(n int) func(*View) {
	return func(v *View) {
		for _, id := range masters[:n] {
			v.Round.Commitments = append(v.Round.Commitments, fl.ScoreCommitment{Master: id})
		}
	}
}

func reveals(n int) func(*View) {
	return func(v *View) {
		for _, id := range masters[:n] {
			v.Round.Reveals = append(v.Round.Reveals, fl.Reveal{Master: id})
		}
	}
}

func attestations(n int, digest string) func(*View) {
	return func(v *View) {
		for _, id := range masters[:n] {
			v.Round.Attestations = append(v.Round.Attestations, fl.Attestation{Master: id, Digest: digest})
		}
	}
}

func proposal(by, digest string) func(*View) {
	return func(v *View) {
		v.Round.Proposals = append(v.Round.Proposals, fl.Proposal{Proposer: by, Model: fl.ModelRef{Digest: digest}})
	}
}

func task(phase fl.TaskPhase, change ...func(*View)) func(*View) {
	return func(v *View) {
		v.Task.Task.Phase, v.Round, v.Task.LastRound = phase, nil, 0
		if phase == fl.TaskStarting {
			v.Task.Task.Deadline = start + limit
		}
		for _, f := range change {
			f(v)
		}
	}
}

func salts(n int) func(*View) {
	return func(v *View) {
		for _, node := range v.Task.Nodes[:n] {
			v.Task.Salts = append(v.Task.Salts, fl.BeaconSalt{Node: node.ID})
		}
	}
}

// Every line is a moment at which any node may have been killed and started
// anew: the step depends on the ledger alone.
func TestNext(t *testing.T) {
	none := func(*View) {}
	nobody := func(v *View) { v.Task.Nodes = nil }
	demanding := func(v *View) { v.Task.Task.MinUpdates = 6 } // of five that are left to train
	for _, c := range []struct {
		what string
		view View
		who  string
		want Action
	}{
		{"joining, new node", at("", 0, task(fl.TaskJoining), nobody), "H1/a", Action{Kind: Join}},
		{"joining, joined", at("", 0, task(fl.TaskJoining)), "H1/a", Action{Kind: Wait}},
		{"joining, enough for the coordinator", at("", 0, task(fl.TaskJoining)), boss, Action{Kind: Start}},
		{"joining, too few for the coordinator", at("", 0, task(fl.TaskJoining), nobody), boss, Action{Kind: Wait}},
		{"joining, as many as are expected, too few for the terms", at("", 0, task(fl.TaskJoining), demanding), boss, Action{Kind: Wait}},

		{"starting, not revealed", at("", 0, task(fl.TaskStarting)), "H1/a", Action{Kind: RevealSalt}},
		{"starting, not revealed and late", at("", limit, task(fl.TaskStarting)), "H1/a", Action{Kind: RevealSalt}},
		{"starting, revealed", at("", 0, task(fl.TaskStarting, salts(1))), "H1/a", Action{Kind: Wait, Until: start + limit}},
		{"starting, coordinator", at("", 0, task(fl.TaskStarting, salts(8))), boss, Action{Kind: Wait, Until: start + limit}},
		{"starting, all revealed, coordinator", at("", 0, task(fl.TaskStarting, salts(9))), boss, Action{Kind: OpenRound, Round: 1}},
		{"starting, all revealed, first node", at("", 0, task(fl.TaskStarting, salts(9))), "H1/b", Action{Kind: OpenRound, Round: 1, Turn: 1}},
		{"starting, all revealed, last node", at("", 0, task(fl.TaskStarting, salts(9))), "H1/a", Action{Kind: OpenRound, Round: 1, Turn: 9}},
		{"starting, deadline, coordinator", at("", limit, task(fl.TaskStarting, salts(4))), boss, Action{Kind: OpenRound, Round: 1}},
		{"starting, stranger", at("", 0, task(fl.TaskStarting)), "H9/x", Action{Kind: Excluded}},

		{"running, no round read", at("", 0, func(v *View) { v.Round = nil; v.Task.LastRound = 0 }), boss, Action{Kind: OpenRound, Round: 1}},
		{"completed", at(fl.RoundClosed, 0, func(v *View) { v.Task.Task.Phase = fl.TaskCompleted }), "H1/a", Action{Kind: Finished}},
		{"failed", at(fl.RoundFailed, 0, func(v *View) { v.Task.Task.Phase = fl.TaskFailed }), boss, Action{Kind: Finished}},
		{"completed, stranger", at(fl.RoundClosed, 0, func(v *View) { v.Task.Task.Phase = fl.TaskCompleted }), "H9/x", Action{Kind: Finished}},
		{"running, stranger", at(fl.RoundTraining, 0), "H9/x", Action{Kind: Excluded}},

		{"training, trainer", at(fl.RoundTraining, 0), "H1/b", Action{Kind: Train, Round: 3, Until: start + limit}},
		{"training, trainer that sent", at(fl.RoundTraining, 0, updates(1)), "H1/b", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"training, master", at(fl.RoundTraining, 0, updates(4)), "H1/a", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"training, coordinator", at(fl.RoundTraining, 99, updates(4)), boss, Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"training, all in, coordinator", at(fl.RoundTraining, 1, updates(5)), boss, Action{Kind: CloseTraining, Round: 3}},
		{"training, all in, node after the coordinator", at(fl.RoundTraining, 1, updates(5)), "H2/b", Action{Kind: CloseTraining, Round: 3, Turn: 1}},
		{"training, deadline, coordinator", at(fl.RoundTraining, limit, updates(3)), boss, Action{Kind: CloseTraining, Round: 3}},
		{"training, deadline, nothing in", at(fl.RoundTraining, limit), boss, Action{Kind: CloseTraining, Round: 3}},
		{"training, deadline, late trainer", at(fl.RoundTraining, limit), "H2/b", Action{Kind: CloseTraining, Round: 3, Turn: 1}},

		{"committing, master", at(fl.RoundCommitting, 0), "H1/a", Action{Kind: Score, Round: 3, Until: start + limit}},
		{"committing, master that sealed", at(fl.RoundCommitting, 0, commitments(1)), "H1/a", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"committing, trainer", at(fl.RoundCommitting, 0), "H1/b", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"committing, all in, coordinator", at(fl.RoundCommitting, 0, commitments(4)), boss, Action{Kind: CloseCommits, Round: 3}},
		{"committing, quorum, coordinator", at(fl.RoundCommitting, 0, commitments(3)), boss, Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"committing, deadline, coordinator", at(fl.RoundCommitting, limit, commitments(2)), boss, Action{Kind: CloseCommits, Round: 3}},
		{"committing, deadline, late master", at(fl.RoundCommitting, limit, commitments(3)), "H4/a", Action{Kind: CloseCommits, Round: 3, Turn: 4}},

		{"revealing, master that sealed", at(fl.RoundRevealing, 0, commitments(3)), "H1/a", Action{Kind: Reveal, Round: 3, Until: start + limit}},
		{"revealing, master that opened", at(fl.RoundRevealing, 0, commitments(3), reveals(1)), "H1/a", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"revealing, master that did not seal", at(fl.RoundRevealing, 0, commitments(3)), "H4/a", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"revealing, all opened, coordinator", at(fl.RoundRevealing, 0, commitments(3), reveals(3)), boss, Action{Kind: Tally, Round: 3}},
		{"revealing, two of three, coordinator", at(fl.RoundRevealing, 0, commitments(3), reveals(2)), boss, Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"revealing, deadline, coordinator", at(fl.RoundRevealing, limit, commitments(4), reveals(3)), boss, Action{Kind: Tally, Round: 3}},

		{"aggregating, master", at(fl.RoundAggregating, 0), "H1/a", Action{Kind: Attest, Round: 3, Until: start + 2*limit}},
		{"aggregating, master that attested", at(fl.RoundAggregating, 0, attestations(1, "d")), "H1/a", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"aggregating, trainer", at(fl.RoundAggregating, 0), "H1/b", Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"aggregating, coordinator", at(fl.RoundAggregating, 0, attestations(4, "d")), boss, Action{Kind: Propose, Round: 3, Until: start + 2*limit}},
		{"aggregating, coordinator that proposed", at(fl.RoundAggregating, 0, attestations(2, "d"), proposal(boss, "d")), boss, Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"aggregating, agreed, coordinator", at(fl.RoundAggregating, 0, attestations(3, "d"), proposal(boss, "d")), boss, Action{Kind: CloseRound, Round: 3}},
		{"aggregating, agreed, last master need not attest", at(fl.RoundAggregating, 0, attestations(3, "d"), proposal(boss, "d")), "H4/a", Action{Kind: CloseRound, Round: 3, Turn: 4}},
		{"aggregating, other digest, coordinator", at(fl.RoundAggregating, 0, attestations(3, "d"), proposal(boss, "e")), boss, Action{Kind: Wait, Round: 3, Until: start + limit}},
		{"aggregating, coordinator silent, first master", at(fl.RoundAggregating, limit, attestations(4, "d")), "H1/a", Action{Kind: Propose, Round: 3, Until: start + 2*limit}},
		{"aggregating, coordinator silent, third master", at(fl.RoundAggregating, limit, attestations(4, "d")), "H3/a", Action{Kind: Propose, Round: 3, Turn: 2, Until: start + 2*limit}},
		{"aggregating, coordinator silent, a master proposed", at(fl.RoundAggregating, limit, attestations(2, "d"), proposal("H1/a", "d")), "H2/a", Action{Kind: Wait, Round: 3, Until: start + 2*limit}},
		{"aggregating, false proposal past the deadline", at(fl.RoundAggregating, limit, attestations(4, "d"), proposal(boss, "e")), "H1/a", Action{Kind: Propose, Round: 3, Until: start + 2*limit}},
		{"aggregating, twice the deadline", at(fl.RoundAggregating, 2*limit), boss, Action{Kind: CloseRound, Round: 3}},
		{"aggregating, twice the deadline, master", at(fl.RoundAggregating, 2*limit), "H1/b", Action{Kind: CloseRound, Round: 3, Turn: 8}},

		{"closed, coordinator", at(fl.RoundClosed, 0), boss, Action{Kind: OpenRound, Round: 4}},
		{"closed, first node of round 4", at(fl.RoundClosed, 0), "H3/a", Action{Kind: OpenRound, Round: 4, Turn: 1}},
		{"failed round is redrawn", at(fl.RoundFailed, 0, none), boss, Action{Kind: OpenRound, Round: 4}},
	} {
		t.Run(c.what, func(t *testing.T) {
			me := Me{ID: c.who, Coordinator: c.who == boss, ExpectNodes: 9}
			if got := Next(c.view, me); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// Whatever the ledger says: when the round can be moved on, every member moves it
// on, the coordinator at once and each node in a turn of its own; when it cannot,
// nobody tries; and nobody repeats what the ledger already has of it.
func TestNextProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		phase := rapid.SampledFrom([]fl.RoundPhase{fl.RoundTraining, fl.RoundCommitting, fl.RoundRevealing, fl.RoundAggregating, fl.RoundClosed, fl.RoundFailed}).Draw(r, "phase")
		some := func(what string, most int) int { return rapid.IntRange(0, most).Draw(r, what) }
		v := at(phase, int64(rapid.IntRange(0, 3*limit).Draw(r, "seconds")),
			updates(some("updates", 5)), commitments(some("commitments", 4)), attestations(some("attestations", 4), "d"))
		reveals(some("reveals", len(v.Round.Commitments)))(&v)
		if rapid.Bool().Draw(r, "proposed") {
			proposal(rapid.SampledFrom(append(masters, boss)).Draw(r, "by"), rapid.SampledFrom([]string{"d", "e"}).Draw(r, "digest"))(&v)
		}
		v.Round.Round.Number = rapid.IntRange(1, 40).Draw(r, "round")
		lead := Next(v, Me{ID: boss, Coordinator: true})
		_, move := moves[lead.Kind]
		var turns []int
		for _, n := range v.Task.Nodes {
			a := Next(v, Me{ID: n.ID})
			if a.Until != 0 && a.Until <= v.Now.Unix() {
				r.Fatalf("%s: %+v is over before it begins", n.ID, a)
			}
			if _, moving := moves[a.Kind]; moving != move || move && (a.Kind != lead.Kind || a.Round != lead.Round) {
				r.Fatalf("%s does %+v where the coordinator does %+v", n.ID, a, lead)
			}
			if move {
				turns = append(turns, a.Turn)
			}
			if done(v, n.ID, a.Kind) {
				r.Fatalf("%s repeats %s", n.ID, a.Kind)
			}
		}
		slices.Sort(turns)
		if move && (lead.Turn != 0 || fmt.Sprint(turns) != "[1 2 3 4 5 6 7 8 9]") {
			r.Fatalf("turns %d and %v", lead.Turn, turns)
		}
	})
}

// done reports whether the ledger already has a node's own step.
func done(v View, id string, k Kind) bool {
	switch k {
	case Train:
		return slices.ContainsFunc(v.Round.Updates, func(u fl.Update) bool { return u.Node == id })
	case Score:
		return slices.ContainsFunc(v.Round.Commitments, func(c fl.ScoreCommitment) bool { return c.Master == id })
	case Reveal:
		return slices.ContainsFunc(v.Round.Reveals, func(c fl.Reveal) bool { return c.Master == id })
	case Attest:
		return v.attested(Me{ID: id}) != ""
	case Propose:
		return slices.ContainsFunc(v.Round.Proposals, func(p fl.Proposal) bool { return p.Proposer == id })
	}
	return false
}
