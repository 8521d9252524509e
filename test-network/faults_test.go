package testnetwork

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/test-network/scenario"
)

// faultRounds is how many rounds a task with a fault in it has: the fault comes
// in the second, so that there is one before and one after it.
const (
	faultRounds = 3
	faultRound  = 2
)

// moment is when a round has come to a phase.
type moment struct {
	round int
	phase fl.RoundPhase
}

// inFaultRound is the moment at which a phase of round 2 begins.
func inFaultRound(phase fl.RoundPhase) moment { return moment{faultRound, phase} }

// perturbed runs a small task on the live network and breaks something at a
// moment. The task must complete all the same. Its phases end when everyone has
// answered: the deadlines are for a machine that is as slow as can be, and a test
// whose node stays silent sets a shorter one.
func perturbed(t *testing.T, task string, at moment, fault func(*scenario.Scenario, fl.RoundState), flags ...string) []report.Round {
	t.Helper()
	n := liveNetwork(t)
	data := smallData(t)
	struck := false
	s, err := scenario.Prepare(scenario.Config{
		Network: n, Programs: programs(t), Dir: t.TempDir(), Task: task, Seed: 1, Data: data, Folder: dataFolder(),
		Terms: append([]string{"--data", data.Name, "--rounds", strconv.Itoa(faultRounds), "--epochs", "1", "--batch-size", "32",
			"--threshold-kind", "absolute", "--threshold", "0", "--min-updates", "3", "--starting-seconds", "120",
			"--training-seconds", "120", "--committing-seconds", "120", "--revealing-seconds", "120", "--aggregating-seconds", "120"}, flags...),
		OnPhase: func(s *scenario.Scenario, e fl.Event) {
			if struck || e.Round < at.round || e.Phase != string(at.phase) { // a round that failed is redrawn
				return
			}
			struck = true
			state, err := s.Round(t.Context(), e.Round)
			if err != nil {
				t.Error(err)
				return
			}
			fault(s, state)
		},
		OnRound: func(r report.Round) { t.Logf("round %d %s in %.1f s", r.Round, r.Phase, r.Seconds.Total) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	rounds, err := s.Run(ctx)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, s.Logs(), ordererLogs(t, n))
	}
	if !struck {
		t.Fatal("the fault was never injected")
	}
	closed := 0
	for _, r := range rounds {
		if r.Phase == report.PhaseClosed {
			closed++
		}
	}
	if closed != faultRounds {
		t.Errorf("%d rounds closed, want %d", closed, faultRounds)
	}
	return rounds
}

// Case 29: a client killed between any two steps goes on where it was. The one
// that is killed is stopped first, so that it has not sent its update for certain.
func TestCase29NodeKilledWhileItTrains(t *testing.T) {
	var victim string
	var round int
	rounds := perturbed(t, "kill-node", inFaultRound(fl.RoundTraining), func(s *scenario.Scenario, state fl.RoundState) {
		round = state.Round.Number
		for _, trainer := range state.Round.Trainers {
			stop(t, s, trainer)
			state, err := s.Round(t.Context(), round)
			if err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(state.Updates, func(u fl.Update) bool { return u.Node == trainer }) {
				victim = trainer
				kill(t, s, victim)
				return
			}
			resume(t, s, trainer)
		}
		t.Error("every trainer had sent its update before it could be stopped")
	}, "--epochs", epochs(t, 2400))
	updates := rounds[round-1].Updates
	if !slices.ContainsFunc(updates, func(u report.Update) bool { return u.Node == victim && u.Accepted }) {
		t.Errorf("the update of %s, which was killed while it trained, is not among %v", victim, updates)
	}
}

// epochs is after how many a node of the default network has seen so many images:
// the work is about the same on each data set.
func epochs(t *testing.T, images int) string {
	t.Helper()
	const nodes = 9
	share := len(smallData(t).Train.Labels) / nodes
	return strconv.Itoa((images + share - 1) / share)
}

// Case 29: a master killed after it sealed its scores reveals the same ones.
func TestCase29MasterKilledBetweenCommitAndReveal(t *testing.T) {
	rounds := perturbed(t, "kill-master", inFaultRound(fl.RoundRevealing), func(s *scenario.Scenario, state fl.RoundState) {
		kill(t, s, state.Round.Masters[0])
		kill(t, s, state.Round.Masters[1])
	})
	if r := rounds[faultRound-1]; r.Phase != report.PhaseClosed || r.Attestations < 3 {
		t.Errorf("round %d is %s with %d attestations, want it closed with at least 3", r.Round, r.Phase, r.Attestations)
	}
}

// Case 29: the coordinator killed while the masters aggregate.
func TestCase29CoordinatorKilled(t *testing.T) {
	perturbed(t, "kill-coordinator", inFaultRound(fl.RoundAggregating), func(s *scenario.Scenario, _ fl.RoundState) {
		kill(t, s, s.Coordinator())
	})
}

// Case 28: the ordering leader killed in mid-round.
func TestCase28LeadingOrdererKilled(t *testing.T) {
	n := liveNetwork(t)
	perturbed(t, "kill-orderer", inFaultRound(fl.RoundTraining), func(*scenario.Scenario, fl.RoundState) {
		leader := leadingOrderer(t, n)
		signal(t, n, leader, syscall.SIGKILL)
		t.Cleanup(func() { restart(t, n, leader) })
	})
}

// Case 28: the ordering leader stopped, which looks to the others like a host
// that no longer answers.
func TestCase28LeadingOrdererStopped(t *testing.T) {
	n := liveNetwork(t)
	perturbed(t, "stop-orderer", inFaultRound(fl.RoundCommitting), func(*scenario.Scenario, fl.RoundState) {
		leader := leadingOrderer(t, n)
		signal(t, n, leader, syscall.SIGSTOP)
		t.Cleanup(func() { signal(t, n, leader, syscall.SIGCONT) })
	})
}

// A hospital's peer killed in mid-round: its nodes go on through another's.
func TestPeerKilled(t *testing.T) {
	n := liveNetwork(t)
	perturbed(t, "kill-peer", inFaultRound(fl.RoundTraining), func(*scenario.Scenario, fl.RoundState) {
		signal(t, n, "peer-hospital2", syscall.SIGKILL)
		t.Cleanup(func() { restart(t, n, "peer-hospital2") })
	})
}

// An organisation whose chaincode service takes what it is sent and answers nothing
// stops nobody: its own nodes' transactions go through another's peer, and nobody
// asks it to endorse. What a transaction takes on a machine as busy as this one is
// what it took in the round before.
func TestAnOrganisationThatHangsStopsNobody(t *testing.T) {
	n := liveNetwork(t)
	const service = "chaincode-hospital1"
	var folder string
	var from time.Time
	perturbed(t, "hang", inFaultRound(fl.RoundTraining), func(s *scenario.Scenario, _ fl.RoundState) {
		folder, from = s.Dir, time.Now()
		signal(t, n, service, syscall.SIGSTOP)
		t.Cleanup(func() { signal(t, n, service, syscall.SIGCONT) })
	})
	before, after := node.Span{}, node.Span{}
	of := map[string]int{}
	for _, s := range transactions(t, folder) {
		slowest := &before
		if s.Time.After(from) {
			slowest = &after
			of[fl.OrgOf(s.Node)]++
		}
		if s.Seconds > slowest.Seconds {
			*slowest = s
		}
	}
	const most = 5.0 // seconds
	t.Logf("slowest before %.1f s, after %.1f s (%s of %s)", before.Seconds, after.Seconds, after.Detail, after.Node)
	if after.Seconds > most+before.Seconds {
		t.Errorf("%s of %s took %.1f s while %s hung, want at most %.1f s", after.Detail, after.Node, after.Seconds, service, most+before.Seconds)
	}
	if of["Hospital1MSP"] == 0 {
		t.Errorf("no transaction is of a node whose own chaincode service hung: %v", of)
	}
}

// transactions are what the nodes of a scenario in a folder have submitted.
func transactions(t *testing.T, folder string) []node.Span {
	t.Helper()
	journals, err := filepath.Glob(filepath.Join(folder, "nodes", "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	var all []node.Span
	for _, journal := range journals {
		content, err := os.ReadFile(journal)
		if err != nil {
			t.Fatal(err)
		}
		spans, err := node.ReadJournal(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, slices.DeleteFunc(spans, func(s node.Span) bool { return s.Kind != node.SpanLedger })...)
	}
	return all
}

// Case 31: a trainer that never answers; the round closes at quorum after its
// deadline. The trainer is stopped before its round opens, or it might answer
// after all: once round 1 is tallied, the rules say who trains in round 2. Where
// the machine is so slow that the others don't send theirs in time either, the
// round fails and is redrawn.
func TestCase31SilentTrainer(t *testing.T) {
	var victim string
	var tallied int
	rounds := perturbed(t, "silent-trainer", moment{faultRound - 1, fl.RoundAggregating}, func(s *scenario.Scenario, state fl.RoundState) {
		task, err := s.TaskState(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		tallied = state.Round.Number
		beacon := fl.NextBeacon(task.Task.Terms.Task, state.Round.Number, state.Round.Beacon, state.Reveals)
		_, trainers := fl.Draw(task.Task.Terms, fl.Participants(task.Nodes, task.Salts), task.Standings, nil, beacon)
		victim = trainers[0]
		stop(t, s, victim)
	}, "--training-seconds", "30", "--committing-seconds", "30", "--revealing-seconds", "30", "--aggregating-seconds", "30", "--max-failed", "20")
	if r := rounds[tallied]; !slices.Contains(r.Trainers, victim) {
		t.Fatalf("the rules drew %s as a trainer of round %d, the ledger %v", victim, r.Round, r.Trainers)
	}
	without := 0
	for _, r := range rounds[tallied:] {
		if r.Phase != report.PhaseClosed || !slices.Contains(r.Trainers, victim) {
			continue
		}
		without++
		if slices.ContainsFunc(r.Updates, func(u report.Update) bool { return u.Node == victim }) {
			t.Errorf("round %d has an update of %s, which was stopped before it", r.Round, victim)
		}
	}
	if without == 0 {
		t.Errorf("no round closed at quorum without %s: %+v", victim, rounds)
	}
}

func stop(t *testing.T, s *scenario.Scenario, id string) {
	t.Helper()
	if err := s.Participant(id).Signal(syscall.SIGSTOP); err != nil {
		t.Errorf("%s: %v", id, err)
	}
}

func resume(t *testing.T, s *scenario.Scenario, id string) {
	t.Helper()
	if err := s.Participant(id).Signal(syscall.SIGCONT); err != nil {
		t.Errorf("%s: %v", id, err)
	}
}

func kill(t *testing.T, s *scenario.Scenario, id string) {
	t.Helper()
	if err := s.Participant(id).Signal(syscall.SIGKILL); err != nil {
		t.Errorf("%s: %v", id, err)
	}
}

func signal(t *testing.T, n *network.Network, process string, signal syscall.Signal) {
	t.Helper()
	if err := n.SignalProcess(process, signal); err != nil {
		t.Error(err)
	}
}

// restart starts a process again, for the tests to come, whatever has become of
// this one.
func restart(t *testing.T, n *network.Network, process string) {
	t.Helper()
	if err := n.StartProcess(context.WithoutCancel(t.Context()), process); err != nil {
		t.Error(err)
	}
}

// ordererLogs is what the orderers have last said.
func ordererLogs(t *testing.T, n *network.Network) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.StateDir(), "logs", "orderer*"))
	if err != nil {
		t.Error(err)
	}
	var logs strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		const last = 20_000
		fmt.Fprintf(&logs, "%s\n%s\n", filepath.Base(file), content[max(0, len(content)-last):])
	}
	return logs.String()
}

// leadingOrderer asks the orderers' metrics who leads.
func leadingOrderer(t *testing.T, n *network.Network) string {
	t.Helper()
	processes, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if !strings.HasPrefix(p.Name, "orderer") || p.State != network.Healthy {
			continue
		}
		if leader := metric(t, "http://"+p.Addresses["operations"]+"/metrics", "consensus_BFT_leader_id"); leader != "" {
			return "orderer" + leader
		}
	}
	t.Error("no orderer tells who leads; orderer1 is taken")
	return "orderer1"
}

// metric reads one value of a Prometheus page, "" when it is not there.
func metric(t *testing.T, url, name string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 2 && (fields[0] == name || strings.HasPrefix(fields[0], name+"{")) {
			return fields[1]
		}
	}
	return ""
}
