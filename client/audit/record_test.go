package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/audit"
	"github.com/medfed/medfed/client/gateway"
)

// stateVariable names the state folder of a running default network. With it the
// tests play a task there, and write what testdata holds anew.
const stateVariable = "MEDFED_AUDIT_NETWORK"

const recordedTask = "audited"

// player is an enrolled identity at the network.
type player struct {
	*gateway.Gateway
	contracts gateway.Contracts
}

func enter(t *testing.T, organisation, name string) *player {
	t.Helper()
	state := os.Getenv(stateVariable)
	profile, err := gateway.LoadProfile(filepath.Join(state, "profiles", organisation+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := gateway.LoadIdentity(profile.MSPID(), filepath.Join(state, "identities", organisation, name))
	if err != nil {
		t.Fatal(err)
	}
	// All go through one peer, so that each sees what the one before has done.
	shared, err := gateway.LoadProfile(filepath.Join(state, "profiles", "researchcentre.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.Connect(shared, id, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return &player{g, g.Contracts()}
}

func (p *player) id() string { return p.Identity().ID() }

// salt is the player's own for a round, 0 for that of joining.
func (p *player) salt(round int) string { return secret("salt", p.id(), round) }

func secret(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return hex.EncodeToString(sum[:])
}

// weights refers to weights that are named rather than made.
func weights(parts ...any) fl.ModelRef {
	sum, err := multihash.Sum([]byte(fmt.Sprint(parts...)), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return fl.ModelRef{CID: cid.NewCidV1(cid.DagProtobuf, sum).String(), Digest: secret(append(parts, "weights")...), Size: 100_000}
}

// TestRecord plays two rounds on a real network, with several members moving a
// phase on at once, and records them as the bundle that the other tests verify.
// They also look for a record: register one in two versions as an officer of
// hospital1 with medfed record add, and export again over what this test wrote.
func TestRecord(t *testing.T) {
	if os.Getenv(stateVariable) == "" {
		t.Skip(stateVariable + " names no running network's state folder")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	coordinator := enter(t, "researchcentre", "coordinator")
	nodes := []*player{enter(t, "researchcentre", "node1"), enter(t, "hospital1", "node1"), enter(t, "hospital2", "node1"),
		enter(t, "hospital3", "node1"), enter(t, "hospital4", "node1"), enter(t, "hospital4", "node2")}
	begin(ctx, t, coordinator, nodes)
	for round := 1; round <= 2; round++ {
		play(ctx, t, coordinator, nodes, round)
	}
	record(ctx, t, enter(t, "auditor", "auditor"))
}

func begin(ctx context.Context, t *testing.T, coordinator *player, nodes []*player) {
	const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	initial := weights("initial")
	must(coordinator.contracts.Tasks.CreateTask(ctx, fl.Terms{
		Task: recordedTask, Model: "hmchain-cnn", Data: "synthetic", Channels: 1, ImageSize: 28, Classes: 2,
		Training: fl.Training{Epochs: 1, BatchSize: 128, LearningRate: 50_000, Seed: 7},
		Strategy: fl.StrategyFedAvg, Metric: fl.MetricAccuracy, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000,
		F: 1, Masters: 4, Participation: fl.One, MinUpdates: 1, MaxExamples: 10_000, BaseWeight: 500_000, Rounds: 2, MaxFailed: 3,
		Deadlines: fl.Deadlines{Starting: 600, Training: 600, Committing: 600, Revealing: 600, Aggregating: 600},
		Initial:   initial, Recipient: recipient,
	}))(t)
	for _, n := range nodes {
		must(n.contracts.Tasks.JoinTask(ctx, fl.JoinRequest{Task: recordedTask, Commitment: fl.SaltCommitment(recordedTask, n.id(), n.salt(0)), Recipient: recipient}))(t)
	}
	if err := coordinator.Submit(ctx, "task:StartTask", map[string]any{"task": recordedTask, "first": initial, "nodes": len(nodes)}, nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		must(n.contracts.Tasks.RevealSalt(ctx, fl.RevealSaltRequest{Task: recordedTask, Salt: n.salt(0)}))(t)
	}
}

// play plays one round. Every other trainer's update of the second is poor.
func play(ctx context.Context, t *testing.T, coordinator *player, nodes []*player, number int) {
	// Several at once: all but one of these transactions are committed as invalid.
	together(t, coordinator, nodes, func(p *player) error {
		_, err := p.contracts.Rounds.OpenRound(ctx, fl.RoundRequest{Task: recordedTask, Round: number})
		return err
	})
	round := must(coordinator.contracts.Rounds.GetRound(ctx, fl.RoundRequest{Task: recordedTask, Round: number}))(t).Round
	scores := []fl.Score{{Node: fl.PreviousGlobal, Score: 600_000}}
	for i, id := range round.Trainers {
		p := find(nodes, id)
		must(p.contracts.Rounds.SubmitUpdate(ctx, fl.UpdateRequest{Task: recordedTask, Round: number, Model: weights("update", number, id), NumExamples: 100}))(t)
		scores = append(scores, fl.Score{Node: id, Score: 700_000 - fl.Micro(i*(number-1)*400_000)})
	}
	must(coordinator.contracts.Rounds.CloseTraining(ctx, fl.RoundRequest{Task: recordedTask, Round: number}))(t)
	for _, id := range round.Masters {
		p := find(nodes, id)
		must(p.contracts.Rounds.CommitScores(ctx, fl.CommitRequest{Task: recordedTask, Round: number, Hash: fl.ScoresCommitment(recordedTask, number, id, scores, p.salt(number))}))(t)
	}
	must(coordinator.contracts.Rounds.CloseCommits(ctx, fl.RoundRequest{Task: recordedTask, Round: number}))(t)
	for _, id := range round.Masters {
		p := find(nodes, id)
		must(p.contracts.Rounds.RevealScores(ctx, fl.RevealRequest{Task: recordedTask, Round: number, Scores: scores, Salt: p.salt(number)}))(t)
	}
	must(coordinator.contracts.Rounds.Tally(ctx, fl.RoundRequest{Task: recordedTask, Round: number}))(t)
	global := weights("global", number)
	must(coordinator.contracts.Rounds.ProposeGlobal(ctx, fl.ProposeRequest{Task: recordedTask, Round: number, Model: global}))(t)
	for _, id := range round.Masters {
		must(find(nodes, id).contracts.Rounds.AttestGlobal(ctx, fl.AttestRequest{Task: recordedTask, Round: number, Digest: global.Digest}))(t)
	}
	must(coordinator.contracts.Rounds.CloseRound(ctx, fl.RoundRequest{Task: recordedTask, Round: number}))(t)
}

func together(t *testing.T, coordinator *player, nodes []*player, do func(*player) error) {
	t.Helper()
	var all sync.WaitGroup
	for _, p := range append(slices.Clone(nodes[:2]), coordinator) {
		all.Go(func() {
			if err := do(p); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func find(nodes []*player, id string) *player {
	return nodes[slices.IndexFunc(nodes, func(n *player) bool { return n.id() == id })]
}

// record exports the ledger as it is now to testdata.
func record(ctx context.Context, t *testing.T, auditor *player) {
	bundle := filepath.Join("testdata", "two-rounds.audit")
	if err := os.Remove(bundle); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	done := must(audit.Export(ctx, auditor, auditor.id(), bundle, silent{}))(t)
	if err := os.WriteFile(bundle+".genesis", []byte(done.Genesis+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d blocks in %d bytes", done.Blocks, done.Bytes)
}

// must takes a call's result, and the test's end when there is none.
func must[T any](result T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

type silent struct{}

func (silent) Step(string, int, int) {}
