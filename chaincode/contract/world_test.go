package contract_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

const task = "pneumonia"

// recipient is an age recipient anyone can encrypt to.
const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// world is a consortium with a task: nine nodes of five organisations, and the
// contracts on an in-memory Fabric whose five endorsers' clocks differ.
type world struct {
	rapid.TB
	ledger      *ledgertest.Ledger
	coordinator *ledgertest.Identity
	nodes       map[string]*ledgertest.Identity // by ID
	scores      map[string]fl.Micro             // what honest masters measure, by trainer; 900000 otherwise
	private     bool                            // the task trains privately: nodes join with their data set
}

// nodeIDs are the default nodes: two in each hospital and one in the research centre.
func nodeIDs() []string {
	ids := []string{"ResearchCentreMSP/node1"}
	for hospital := 1; hospital <= 4; hospital++ {
		for node := 1; node <= 2; node++ {
			ids = append(ids, fmt.Sprintf("Hospital%dMSP/node%d", hospital, node))
		}
	}
	slices.Sort(ids)
	return ids
}

// terms are those of the default task: f = 1 with four masters.
func terms() fl.Terms {
	return fl.Terms{
		Task: task, Model: "hmchain-cnn", Data: "pneumoniamnist", Channels: 1, ImageSize: 28, Classes: 2,
		Training: fl.Training{Epochs: 1, BatchSize: 128, LearningRate: 50_000, Momentum: 900_000, Seed: 7},
		Strategy: fl.StrategyFedAvg, Metric: fl.MetricAccuracy, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000,
		F: 1, Masters: 4, Participation: fl.One, MinUpdates: 3, MaxExamples: 10_000, BaseWeight: 500_000,
		Rounds: 3, MaxFailed: 3,
		Deadlines: fl.Deadlines{Starting: 60, Training: 600, Committing: 120, Revealing: 120, Aggregating: 120},
		Initial:   model("initial"), Recipient: recipient,
	}
}

// model refers to weights that are named rather than made.
func model(name string) fl.ModelRef {
	digest := sha256.Sum256([]byte("weights " + name))
	return fl.ModelRef{CID: cidOf(name).String(), Digest: hex.EncodeToString(digest[:]), Size: 100_000}
}

func cidOf(name string) cid.Cid {
	hash, err := multihash.Sum([]byte("ciphertext "+name), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, hash)
}

// secret is 32 bytes of a node's own randomness, in hexadecimal.
func secret(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return hex.EncodeToString(sum[:])
}

// newChaincode makes the contracts once: they keep no state.
var newChaincode = sync.OnceValues(contract.New)

// newWorld is a consortium without a task.
func newWorld(t rapid.TB, options ...ledgertest.Option) *world {
	t.Helper()
	chaincode, err := newChaincode()
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, ledgertest.WithTimeWindow(ledger.TimeWindow*time.Second))
	l, err := ledgertest.New(chaincode, options...)
	if err != nil {
		t.Fatal(err)
	}
	skews := []time.Duration{-20 * time.Second, 7 * time.Second, 0, 13 * time.Second, -time.Second}
	for i, peer := range l.Peers() {
		peer.SetSkew(skews[i])
	}
	w := &world{TB: t, ledger: l, nodes: map[string]*ledgertest.Identity{}, scores: map[string]fl.Micro{}}
	w.coordinator = l.Identity("ResearchCentreMSP", "coordinator", "coordinator")
	for _, id := range nodeIDs() {
		org, name, _ := strings.Cut(id, "/")
		w.nodes[id] = l.Identity(org, name, "trainer")
	}
	return w
}

// start makes a consortium whose task waits for its first round.
func start(t rapid.TB, terms fl.Terms, options ...ledgertest.Option) *world {
	t.Helper()
	w := newWorld(t, options...)
	w.private = terms.Privacy.On()
	w.do(w.coordinator, "task:CreateTask", terms)
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:JoinTask", w.join(id))
	}
	w.do(w.coordinator, "task:StartTask", fl.StartRequest{Task: task, First: terms.Initial, Nodes: len(nodeIDs())})
	for _, id := range nodeIDs() {
		w.do(w.nodes[id], "task:RevealSalt", w.salt(id))
	}
	return w
}

// join is a node's request to join.
func (w *world) join(id string) fl.JoinRequest {
	request := fl.JoinRequest{Task: task, Commitment: fl.SaltCommitment(task, id, secret(id)), Recipient: recipient}
	if w.private {
		request.Dataset, request.Examples = secret("data set of ", id), 1000
	}
	return request
}

// salt is a node's request to reveal its salt.
func (w *world) salt(id string) fl.RevealSaltRequest {
	return fl.RevealSaltRequest{Task: task, Salt: secret(id)}
}

// update is a trainer's request to submit its update.
func (w *world) update(round int, id string) fl.UpdateRequest {
	return fl.UpdateRequest{Task: task, Round: round, Model: model(fmt.Sprint("update ", round, id)), NumExamples: 1000}
}

// measured is what a master scores: honest masters agree.
func (w *world) measured(round fl.Round) []fl.Score {
	scores := []fl.Score{{Node: fl.PreviousGlobal, Score: 800_000}}
	for _, trainer := range round.Trainers {
		score, given := w.scores[trainer]
		if !given {
			score = 900_000
		}
		scores = append(scores, fl.Score{Node: trainer, Score: score})
	}
	return scores
}

// commit is a master's request to seal scores.
func (w *world) commit(number int, id string, scores []fl.Score) fl.CommitRequest {
	return fl.CommitRequest{Task: task, Round: number, Hash: fl.ScoresCommitment(task, number, id, scores, secret("scores", number, id))}
}

// reveal is a master's request to open them.
func (w *world) reveal(number int, id string, scores []fl.Score) fl.RevealRequest {
	return fl.RevealRequest{Task: task, Round: number, Scores: scores, Salt: secret("scores", number, id)}
}

// global is the model that masters compute in a round.
func global(round int) fl.ModelRef { return model(fmt.Sprint("global ", round)) }

func request(round int) fl.RoundRequest { return fl.RoundRequest{Task: task, Round: round} }

// Steps of a round, each by all who take part in it.

func (w *world) open(number int) fl.Round {
	w.Helper()
	return result[fl.Round](w, w.coordinator, "round:OpenRound", request(number))
}

func (w *world) submitUpdates(round fl.Round) {
	w.Helper()
	for _, id := range round.Trainers {
		w.do(w.nodes[id], "round:SubmitUpdate", w.update(round.Number, id))
	}
}

func (w *world) train(number int) fl.Round {
	w.Helper()
	round := w.open(number)
	w.submitUpdates(round)
	return result[fl.Round](w, w.coordinator, "round:CloseTraining", request(number))
}

func (w *world) commitAll(number int) fl.Round {
	w.Helper()
	round := w.train(number)
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:CommitScores", w.commit(number, id, w.measured(round)))
	}
	return result[fl.Round](w, w.coordinator, "round:CloseCommits", request(number))
}

func (w *world) revealAll(number int) fl.Round {
	w.Helper()
	round := w.commitAll(number)
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:RevealScores", w.reveal(number, id, w.measured(round)))
	}
	return round
}

func (w *world) tally(number int) fl.Round {
	w.Helper()
	w.revealAll(number)
	return result[fl.Round](w, w.coordinator, "round:Tally", request(number))
}

// full plays a whole round.
func (w *world) full(number int) fl.Round {
	w.Helper()
	round := w.tally(number)
	if round.Phase != fl.RoundAggregating {
		return round
	}
	w.do(w.coordinator, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: number, Model: global(number)})
	for _, id := range round.Masters {
		w.do(w.nodes[id], "round:AttestGlobal", fl.AttestRequest{Task: task, Round: number, Digest: global(number).Digest})
	}
	return result[fl.Round](w, w.coordinator, "round:CloseRound", request(number))
}

// later lets the ledger's time pass.
func (w *world) later(seconds int64) { w.ledger.Advance(time.Duration(seconds) * time.Second) }

// do submits a transaction that must succeed.
func (w *world) do(id *ledgertest.Identity, name string, argument any) *ledgertest.Result {
	w.Helper()
	submitted, err := w.ledger.Submit(id, name, argument)
	if err != nil {
		w.Fatalf("%s by %s: %v", name, id, err)
	}
	return submitted
}

// result submits a transaction that must succeed and reads its response.
func result[T any](w *world, id *ledgertest.Identity, name string, argument any) T {
	w.Helper()
	return parse[T](w, w.do(id, name, argument).Payload)
}

// query evaluates a query that must succeed.
func query[T any](w *world, name string, argument any) T {
	w.Helper()
	payload, err := w.ledger.Evaluate(w.coordinator, name, argument)
	if err != nil {
		w.Fatalf("%s: %v", name, err)
	}
	return parse[T](w, payload)
}

func parse[T any](t rapid.TB, payload []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(payload, &value); err != nil {
		t.Fatalf("response %s: %v", payload, err)
	}
	return value
}

// refused submits a transaction that must be refused with a code and must not
// come to the ledger.
func (w *world) refused(code codes.Code, id *ledgertest.Identity, name string, argument any) {
	w.Helper()
	height := w.ledger.Height()
	_, err := w.ledger.Submit(id, name, argument)
	var refusal *ledgertest.EndorseError
	if !errors.As(err, &refusal) {
		w.Fatalf("%s by %s: got %v, want a refusal with %s", name, id, err, code)
	}
	if got := answered(err); got != code {
		w.Fatalf("%s by %s: got %v, want %s", name, id, err, code)
	}
	for _, detail := range refusal.Details {
		if !strings.Contains(detail.Message, ", "+string(code)+": ") || !strings.Contains(detail.Message, "; ") {
			w.Fatalf("%s by %s: %q does not say what happened and what to do", name, id, detail.Message)
		}
	}
	if w.ledger.Height() != height {
		w.Fatalf("%s by %s was refused and yet committed", name, id)
	}
}

// state is everything the ledger knows of a round.
func (w *world) state(number int) fl.RoundState {
	w.Helper()
	return query[fl.RoundState](w, "round:GetRound", request(number))
}

// taskState is everything the ledger knows of the task.
func (w *world) taskState() fl.TaskState {
	w.Helper()
	return query[fl.TaskState](w, "task:GetTask", fl.TaskRequest{Task: task})
}

// replays checks that the pure rules give what is on the ledger.
func (w *world) replays() {
	w.Helper()
	state := w.taskState()
	var rounds []fl.RoundState
	for number := 1; number <= state.LastRound; number++ {
		rounds = append(rounds, w.state(number))
	}
	for _, difference := range fl.Differences(state, rounds) {
		w.Errorf("replay: %+v", difference)
	}
}

func standingOf(state fl.TaskState, node string) fl.Standing {
	for _, standing := range state.Standings {
		if standing.Node == node {
			return standing
		}
	}
	return fl.Standing{}
}

func TestRecipientOfTests(t *testing.T) {
	if _, err := age.ParseX25519Recipient(recipient); err != nil {
		t.Fatal(err)
	}
}

// answered is the code in what the in-memory peers answered: like the real ones
// they give it in a text, with words of their own before it.
func answered(err error) codes.Code {
	if err == nil {
		return ""
	}
	refusal := codes.Parse(err.Error())
	if refusal == nil {
		return ""
	}
	return refusal.Code
}
