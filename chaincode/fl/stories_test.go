package fl_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/medfed/medfed/chaincode/fl"
)

// TestStories plays the stories in testdata: each line is a step with its time, and
// below it stands what came of it. Masters are m1, m2, … and trainers t1, t2, … in
// drawn order. Run with -rewrite to write anew what comes of the steps.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var at int64
			d.MaybeScanArgs(t, "at", &at)
			if err := s.step(t, d, at); err != nil {
				return err.Error() + "\n"
			}
			return s.shows()
		})
	})
}

// story is a task that is being told.
type story struct {
	course *fl.Course
}

func (s *story) step(t *testing.T, d *datadriven.TestData, at int64) error {
	switch d.Cmd {
	case "task":
		s.begin(t, d)
		return nil
	case "open":
		var spent []string
		d.MaybeScanArgs(t, "spent", &spent)
		for i, org := range spent {
			spent[i] = org + "/n"
		}
		return s.course.OpenRound(spent, at)
	case "close-training":
		return s.course.CloseTraining(at)
	case "close-commits":
		return s.course.CloseCommits(at)
	case "tally":
		return s.course.Tally(at)
	case "close":
		return s.course.CloseRound(at)
	}
	for _, arg := range d.CmdArgs {
		if node, ok := s.named(arg.Key); ok {
			if err := s.submit(d.Cmd, node, arg.Vals, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin makes a task that is starting; its nodes are A/n, B/n, … of which the silent
// do not reveal their salts.
func (s *story) begin(t *testing.T, d *datadriven.TestData) {
	terms := validTerms()
	nodes, silent := 6, 0
	terms.MinUpdates, terms.Rounds, terms.MaxFailed = 2, 2, 3
	terms.Participation, terms.Masters, terms.F = fl.One, 4, 1
	terms.ThresholdKind, terms.Threshold = fl.ThresholdRelative, 50_000
	terms.Deadlines = fl.Deadlines{Starting: 10, Training: 10, Committing: 10, Revealing: 10, Aggregating: 10}
	for name, value := range map[string]*int{
		"nodes": &nodes, "silent": &silent, "rounds": &terms.Rounds, "max-failed": &terms.MaxFailed, "min-updates": &terms.MinUpdates,
	} {
		d.MaybeScanArgs(t, name, value)
	}
	if d.HasArg("private") {
		terms.Privacy = privacy()
	}
	task := fl.Task{Terms: terms, First: terms.Initial, Creator: "R/coordinator"}
	var all []fl.Node
	var salts []fl.BeaconSalt
	for i := range nodes {
		node := fl.Node{ID: string(rune('A'+i)) + "/n", Org: string(rune('A' + i))}
		all = append(all, node)
		if i < nodes-silent {
			salts = append(salts, fl.BeaconSalt{Node: node.ID, Salt: beacon(i)})
		}
	}
	s.course = fl.NewCourse(task, all, salts)
	s.course.Task.Deadline = 10
}

// named finds a node of the newest round by its place.
func (s *story) named(name string) (string, bool) {
	var place int
	state := s.course.Newest().Round
	for prefix, nodes := range map[string][]string{"m": state.Masters, "t": state.Trainers} {
		if n, _ := fmt.Sscanf(name, prefix+"%d", &place); n == 1 && place >= 1 && place <= len(nodes) {
			return nodes[place-1], true
		}
	}
	if name == "coordinator" {
		return s.course.Task.Creator, true
	}
	return "", false
}

// submit takes a node's own step and keeps what it gives.
func (s *story) submit(what, node string, values []string, at int64) error {
	state := s.course.Newest()
	task, round := s.course.Task, state.Round
	score := fl.Micro(0)
	if len(values) > 0 {
		if _, err := fmt.Sscan(values[0], &score); err != nil {
			return err
		}
	}
	model := fl.ModelRef{CID: task.Initial.CID, Digest: beacon(what + node), Size: task.Initial.Size}
	scores := []fl.Score{{Node: fl.PreviousGlobal, Score: 800_000}}
	for _, update := range state.Updates {
		scores = append(scores, fl.Score{Node: update.Node, Score: score})
	}
	var changes fl.Changes
	var err error
	switch what {
	case "update":
		_, changes, err = fl.SubmitUpdate(task, round, fl.Submission{}, fl.UpdateRequest{Model: model, NumExamples: 10}, node, at)
	case "commit":
		hash := fl.ScoresCommitment(round.Task, round.Number, node, scores, beacon(node))
		_, changes, err = fl.CommitScores(round, nil, fl.CommitRequest{Hash: hash}, node)
	case "reveal":
		i := slices.IndexFunc(state.Commitments, func(c fl.ScoreCommitment) bool { return c.Master == node })
		var sealed *fl.ScoreCommitment
		if i >= 0 {
			sealed = &state.Commitments[i]
		}
		_, changes, err = fl.RevealScores(round, sealed, false, fl.RevealRequest{Scores: scores, Salt: beacon(node)}, node)
	case "propose":
		model.Digest = beacon("global")
		_, changes, err = fl.ProposeGlobal(task, round, nil, fl.ProposeRequest{Model: model}, node, node == task.Creator, at)
	case "attest":
		_, changes, err = fl.AttestGlobal(round, nil, fl.AttestRequest{Digest: beacon("global")}, node)
	default:
		return fmt.Errorf("there is no step %s", what)
	}
	s.keep(state, changes)
	return err
}

func (s *story) keep(state *fl.RoundState, changes fl.Changes) {
	if changes.Update != nil {
		s.course.Submit(*changes.Update)
	}
	if changes.Commitment != nil {
		state.Commitments = append(state.Commitments, *changes.Commitment)
	}
	if changes.Reveal != nil {
		state.Reveals = append(state.Reveals, *changes.Reveal)
	}
	if changes.Proposal != nil {
		state.Proposals = append(state.Proposals, *changes.Proposal)
	}
	if changes.Attestation != nil {
		state.Attestations = append(state.Attestations, *changes.Attestation)
	}
}

// shows tells how task and newest round stand.
func (s *story) shows() string {
	var b strings.Builder
	fmt.Fprintf(&b, "task %s, %d closed, %d failed in a row\n", s.course.Task.Phase, s.course.Progress.Closed, s.course.Progress.Failed)
	if len(s.course.Rounds) == 0 {
		return b.String()
	}
	state := s.course.Newest()
	round := state.Round
	fmt.Fprintf(&b, "round %d %s", round.Number, round.Phase)
	if round.Deadline > 0 {
		fmt.Fprintf(&b, " until %d", round.Deadline)
	}
	if round.Reason != "" {
		fmt.Fprintf(&b, ": %s", round.Reason)
	}
	switch round.Phase {
	case fl.RoundTraining:
		fmt.Fprintf(&b, "; masters %s; trainers %s; %d updates; allowance %d", strings.Join(round.Masters, " "), strings.Join(round.Trainers, " "), len(state.Updates), round.Allowance)
	case fl.RoundCommitting:
		fmt.Fprintf(&b, "; %d commitments", len(state.Commitments))
	case fl.RoundRevealing:
		fmt.Fprintf(&b, "; %d reveals", len(state.Reveals))
	case fl.RoundAggregating:
		fmt.Fprintf(&b, "; %d proposals, %d attestations", len(state.Proposals), len(state.Attestations))
	}
	b.WriteByte('\n')
	for _, result := range round.Results {
		fmt.Fprintf(&b, "  %s scored %d by %d, accepted %t\n", result.Node, result.Median, result.Scores, result.Accepted)
	}
	for _, standing := range s.course.Standings {
		fmt.Fprintf(&b, "  %s weighs %d: %s in round %d\n", standing.Node, standing.Weight, standing.Reason, standing.Round)
	}
	return b.String()
}
