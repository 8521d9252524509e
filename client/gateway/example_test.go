package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/client/gateway"
)

// On a network: a connection profile, an enrolled identity's MSP folder, and the
// contracts. Connect does not wait for the peers; the first call does.
func Example() {
	profile, err := gateway.LoadProfile("profiles/researchcentre.yaml")
	if err != nil {
		log.Fatal(err)
	}
	identity, err := gateway.LoadIdentity(profile.MSPID(), "identities/researchcentre/coordinator")
	if err != nil {
		log.Fatal(err)
	}
	g, err := gateway.Connect(profile, identity, gateway.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := g.Events(ctx, nil) // before the first look, so that nothing falls between
	task, err := g.Contracts().Tasks.GetTask(ctx, fl.TaskRequest{Task: "pneumonia"})
	if err != nil {
		log.Fatal(err)
	}
	for event := range events {
		fmt.Println(task.Task.Task, event.Name, event.Round, event.Phase)
	}
}

// The contracts take anything that carries out transactions by name: here the
// chaincode in memory, as one coordinator sees it.
func ExampleContractsOf() {
	ctx := context.Background()
	contracts := gateway.ContractsOf(newCoordinator())
	if _, err := contracts.Tasks.CreateTask(ctx, exampleTerms); err != nil {
		log.Fatal(err)
	}
	for task, err := range contracts.Tasks.ListTasks(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(task.Task, task.Phase, "by", task.Creator)
	}

	// What the chaincode refuses has its code.
	_, err := contracts.Rounds.GetRound(ctx, fl.RoundRequest{Task: "pneumonia", Round: 1})
	fmt.Println(codes.Of(err))
	// Output:
	// pneumonia joining by ResearchCentreMSP/coordinator
	// MF-ROUND-UNKNOWN
}

var exampleTerms = fl.Terms{
	Task: "pneumonia", Model: "hmchain-cnn", Data: "pneumoniamnist", Channels: 1, ImageSize: 28, Classes: 2,
	Training: fl.Training{Epochs: 1, BatchSize: 32, LearningRate: 10_000},
	Strategy: fl.StrategyFedAvg, Metric: fl.MetricAUC, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000,
	F: 1, Masters: 4, Participation: fl.One, MinUpdates: 3, MaxExamples: 10_000, BaseWeight: 500_000, Rounds: 5, MaxFailed: 3,
	Deadlines: fl.Deadlines{Starting: 600, Training: 600, Committing: 600, Revealing: 600, Aggregating: 600},
	Recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
	Initial: fl.ModelRef{
		CID:    "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
		Digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Size: 100_000,
	},
}

// coordinator carries out transactions on a ledger in memory.
type coordinator struct {
	gateway.PrivateCaller // reaches no collections
	ledger                *ledgertest.Ledger
	identity              *ledgertest.Identity
}

func newCoordinator() *coordinator {
	chaincode, err := contract.New()
	if err != nil {
		log.Fatal(err)
	}
	ledger, err := ledgertest.New(chaincode)
	if err != nil {
		log.Fatal(err)
	}
	return &coordinator{ledger: ledger, identity: ledger.Identity("ResearchCentreMSP", "coordinator", "coordinator")}
}

func (c *coordinator) Submit(_ context.Context, name string, request, result any) error {
	receipt, err := c.ledger.Submit(c.identity, name, request)
	if err != nil {
		return codes.Parse(err.Error())
	}
	return json.Unmarshal(receipt.Payload, result)
}

func (c *coordinator) Evaluate(_ context.Context, name string, request, result any) error {
	answer, err := c.ledger.Evaluate(c.identity, name, request)
	if err != nil {
		return codes.Parse(err.Error())
	}
	return json.Unmarshal(answer, result)
}
