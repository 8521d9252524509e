package testnetwork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// One scenario on both ledgers: it is run on the real network, and what was sent
// there is sent again to the in-memory Fabric, with the same certificates,
// transaction IDs and times, in the blocks that the orderers made of it. Every
// read-write set, public and hashed, validation code, response, refusal and
// event must be the same.
func TestOneScenarioOnBothLedgers(t *testing.T) {
	real := newRealLedger(t)
	scenario := readScenario(t, "../chaincode/contract/testdata/two-ledgers.yaml")
	if _, err := real.Evaluate(&ledgertest.Call{MSP: "AuditorMSP", Name: "auditor", Role: "auditor", Function: "task:GetTask", Args: []string{`{"task":"one-file-two-ledgers"}`}}); err == nil {
		t.Skip("the network has the scenario's task already")
	}
	from, begun := real.height(), time.Now()
	if err := scenario.RunOn(real); err != nil {
		t.Fatal(err)
	}
	blocks := real.blocks(from)
	kinds := map[peer.TxValidationCode]int{}
	for _, r := range real.traces(blocks) {
		kinds[r.Code]++
	}
	for _, code := range []peer.TxValidationCode{
		peer.TxValidationCode_VALID, peer.TxValidationCode_MVCC_READ_CONFLICT,
		peer.TxValidationCode_PHANTOM_READ_CONFLICT, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE,
	} {
		if kinds[code] == 0 {
			t.Errorf("no transaction of the scenario came to %s", code)
		}
	}
	t.Logf("%d steps in %s, %d blocks, %v", len(scenario.Steps), time.Since(begun).Round(time.Second), len(blocks), kinds)

	model := newModel(t)
	for _, difference := range append(real.replay(model), real.differentRecords(blocks, model)...) {
		t.Error(difference)
	}
	for _, difference := range real.differentEvents(from, model) {
		t.Error(difference)
	}
	careless := newModel(t, ledgertest.WithPolicy(ledgertest.OutOf(1, "Hospital1MSP", "Hospital2MSP")))
	if len(append(real.replay(careless), real.differentRecords(blocks, careless)...)) == 0 {
		t.Error("a ledger with another endorsement policy is not told from the real one")
	}
}

func readScenario(t *testing.T, file string) *ledgertest.Scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	scenario, err := ledgertest.ParseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	return scenario
}

// newModel is the default network in memory.
func newModel(t *testing.T, options ...ledgertest.Option) *ledgertest.Ledger {
	t.Helper()
	chaincode, err := contract.New()
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("../collections/collections_config.json")
	if err != nil {
		t.Fatal(err)
	}
	defined, err := ledgertest.ParseCollections(config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledgertest.New(chaincode, append(options, ledgertest.WithCollections(defined...), ledgertest.WithGateway(custodianMSP),
		ledgertest.WithTimeWindow(ledger.TimeWindow*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// realLedger runs scenarios on the real network, through the custodian's
// gateway, and keeps what it sent and what came of it.
type realLedger struct {
	*ward
	clients  map[string]fabricClient
	endorsed map[string]*fabric.Transaction
	sent     map[string]bool // by transaction ID
	deeds    []deed
}

type fabricClient struct {
	gateway  *fabric.Gateway
	contract *fabric.Contract
}

// deed is something that was done on the real network: a proposal endorsed or
// evaluated, or transactions ordered.
type deed struct {
	evaluated bool
	function  string
	at        time.Time
	proposal  []byte // serialised peer.Proposal, nil for an order
	on        []string
	payload   []byte
	refusal   string     // of the first peer that refused
	ordered   [][]string // transaction IDs, by block
}

var _ ledgertest.Target = (*realLedger)(nil)

func newRealLedger(t *testing.T) *realLedger {
	t.Helper()
	w := &ward{t: t, network: liveNetwork(t)}
	_, officer := w.enrol(custodian, "officer", consortium.RoleCustodian)
	for _, o := range w.network.Consortium().Organisations {
		if o.Kind.Member() {
			w.peers = append(w.peers, w.connect(o.Name, officer))
		}
	}
	w.settle()
	return &realLedger{ward: w, clients: map[string]fabricClient{}, endorsed: map[string]*fabric.Transaction{}, sent: map[string]bool{}}
}

// Now is the real time.
func (r *realLedger) Now() time.Time { return time.Now() }

// Change refuses: time, peers and revocation lists are not a scenario's to move.
func (r *realLedger) Change(step *ledgertest.Step) error {
	if step.Clock+step.Advance+step.Freeze+step.CatchUp+step.Revoke != "" || len(step.Skew) > 0 || step.At != "" {
		return errors.New("a real network's time, peers and identities can't be changed")
	}
	return nil
}

// client connects the caller of a transaction.
func (r *realLedger) client(c *ledgertest.Call) fabricClient {
	id := c.MSP + "/" + c.Name
	if known, ok := r.clients[id]; ok {
		return known
	}
	for _, o := range r.network.Consortium().Organisations {
		if o.MSP == c.MSP {
			dir, _ := r.enrol(o.Name, c.Name, consortium.Role(c.Role))
			g, k := r.fabric(c.MSP, dir)
			r.clients[id] = fabricClient{g, k}
		}
	}
	return r.clients[id]
}

// propose makes a proposal, and the deed that it will be.
func (r *realLedger) propose(c *ledgertest.Call, on []string) (*fabric.Proposal, deed) {
	r.t.Helper()
	at := time.Now()
	proposal, err := r.client(c).contract.NewProposal(c.Function, fabric.WithArguments(c.Args...),
		fabric.WithTransient(c.Transient), fabric.WithEndorsingOrganizations(on...))
	r.must(err)
	content, err := proposal.Bytes()
	r.must(err)
	var proposed gatewaypb.ProposedTransaction
	r.must(proto.Unmarshal(content, &proposed))
	return proposal, deed{function: c.Function, at: at, proposal: proposed.GetProposal().GetProposalBytes(), on: c.On}
}

// Evaluate asks one peer.
func (r *realLedger) Evaluate(c *ledgertest.Call) ([]byte, error) {
	proposal, d := r.propose(c, c.On)
	payload, err := proposal.EvaluateWithContext(r.t.Context())
	d.evaluated, d.payload, d.refusal = true, payload, refusalOf(err)
	r.deeds = append(r.deeds, d)
	return payload, withRefusal(err, d.refusal)
}

// Endorse has the gateway choose the endorsers, or asks those that are named. A
// caller's own peer that is not named is asked first, and its endorsement thrown
// away: then it holds what the transaction writes in private, and does not look
// for it when the block comes.
func (r *realLedger) Endorse(c *ledgertest.Call) (payload []byte, event string, err error) {
	proposal, d := r.propose(c, c.On)
	if len(c.On) > 0 && !slices.Contains(c.On, c.MSP) && slices.Contains(append(otherMembers, custodianMSP), c.MSP) {
		if _, err := r.on(c, proposal, c.MSP).EndorseWithContext(r.t.Context()); err != nil {
			return nil, "", err
		}
	}
	transaction, err := proposal.EndorseWithContext(r.t.Context())
	if d.refusal = refusalOf(err); err == nil {
		d.payload = transaction.Result()
		r.endorsed[c.Label], r.sent[transaction.TransactionID()] = transaction, true
		event = r.event(transaction)
	}
	r.deeds = append(r.deeds, d)
	return d.payload, event, withRefusal(err, d.refusal)
}

// on is the same proposal to other organisations.
func (r *realLedger) on(c *ledgertest.Call, proposal *fabric.Proposal, organisations ...string) *fabric.Proposal {
	r.t.Helper()
	content, err := proposal.Bytes()
	r.must(err)
	var proposed gatewaypb.ProposedTransaction
	r.must(proto.Unmarshal(content, &proposed))
	proposed.EndorsingOrganizations = organisations
	content, err = proto.Marshal(&proposed)
	r.must(err)
	again, err := r.client(c).gateway.NewProposal(content)
	r.must(err)
	return again
}

// event is the name of an endorsed transaction's event.
func (r *realLedger) event(transaction *fabric.Transaction) string {
	r.t.Helper()
	content, err := transaction.Bytes()
	r.must(err)
	var prepared gatewaypb.PreparedTransaction
	r.must(proto.Unmarshal(content, &prepared))
	envelope, err := proto.Marshal(prepared.GetEnvelope())
	r.must(err)
	metadata := make([][]byte, len(common.BlockMetadataIndex_name))
	metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = []byte{byte(peer.TxValidationCode_NOT_VALIDATED)}
	traces := r.traces([]*common.Block{{
		Header: &common.BlockHeader{}, Data: &common.BlockData{Data: [][]byte{envelope}}, Metadata: &common.BlockMetadata{Metadata: metadata},
	}})
	name, _, _ := strings.Cut(traces[0].Event, " ")
	return name
}

// refusalOf is what the first peer that refused said.
func refusalOf(err error) string {
	var endorsing *fabric.EndorseError
	var evaluating interface{ GRPCStatus() *status.Status }
	var answer []any
	switch {
	case errors.As(err, &endorsing):
		answer = endorsing.GRPCStatus().Details()
	case errors.As(err, &evaluating):
		answer = evaluating.GRPCStatus().Details()
	}
	for _, detail := range answer {
		if said, ok := detail.(*gatewaypb.ErrorDetail); ok {
			return said.GetMessage()
		}
	}
	return ""
}

func withRefusal(err error, refusal string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", err, refusal)
}

// Commit sends the transactions to the orderers one right after the other, and
// waits until every peer has them.
func (r *realLedger) Commit(labels []string) ([]peer.TxValidationCode, error) {
	commits := make([]*fabric.Commit, len(labels))
	for i, label := range labels {
		transaction, ok := r.endorsed[label]
		if !ok {
			return nil, fmt.Errorf("nothing was endorsed as %q", label)
		}
		var err error
		if commits[i], err = transaction.SubmitWithContext(r.t.Context()); err != nil {
			return nil, err
		}
	}
	codes := map[string]peer.TxValidationCode{}
	var numbers []uint64
	for _, commit := range commits {
		status, err := commit.StatusWithContext(r.t.Context())
		if err != nil {
			return nil, err
		}
		codes[status.TransactionID] = status.Code
		numbers = append(numbers, status.BlockNumber)
	}
	r.settle()
	slices.Sort(numbers)
	var inOrder []peer.TxValidationCode
	var ordered [][]string
	for _, number := range slices.Compact(numbers) {
		var ids []string
		for _, trace := range r.traces([]*common.Block{r.block(number)}) {
			ids = append(ids, trace.TxID)
			inOrder = append(inOrder, codes[trace.TxID])
		}
		ordered = append(ordered, ids)
	}
	r.deeds = append(r.deeds, deed{ordered: ordered})
	return inOrder, nil
}

func (r *realLedger) height() uint64 {
	r.t.Helper()
	h, err := r.peers[0].Height(r.t.Context())
	r.must(err)
	return h
}

func (r *realLedger) block(number uint64) *common.Block {
	r.t.Helper()
	content, err := r.peers[0].Block(r.t.Context(), number)
	r.must(err)
	b := &common.Block{}
	r.must(proto.Unmarshal(content, b))
	return b
}

// blocks are those from a number on.
func (r *realLedger) blocks(from uint64) []*common.Block {
	var blocks []*common.Block
	for number := from; number < r.height(); number++ {
		blocks = append(blocks, r.block(number))
	}
	return blocks
}

// traces reads what this test sent out of blocks.
func (r *realLedger) traces(blocks []*common.Block) []ledgertest.Trace {
	r.t.Helper()
	traces, err := ledgertest.Traces(blocks, "medfed", func(txID string) bool { return r.sent[txID] })
	r.must(err)
	return traces
}

// differentRecords compares what the blocks of both ledgers hold.
func (r *realLedger) differentRecords(blocks []*common.Block, model *ledgertest.Ledger) []string {
	r.t.Helper()
	real, modelled := r.traces(blocks), r.traces(model.Blocks())
	if len(real) != len(modelled) {
		return []string{fmt.Sprintf("%d transactions on the real network and %d in memory", len(real), len(modelled))}
	}
	var differences []string
	for i, here := range real {
		there := modelled[i]
		if here.String() != there.String() || here.TxID != there.TxID || !here.Time.Equal(there.Time) {
			differences = append(differences, fmt.Sprintf("transaction %d, on the real network\n%s %s %s\nand in memory\n%s %s %s",
				i+1, here.TxID, here.Time, here, there.TxID, there.Time, there))
		}
	}
	return differences
}

// replay does on a ledger in memory what was done on the real network, and lists
// what comes to something else there.
func (r *realLedger) replay(model *ledgertest.Ledger) (differences []string) {
	r.t.Helper()
	transactions := map[string]*ledgertest.Transaction{}
	for i, d := range r.deeds {
		for _, ids := range d.ordered {
			block := make([]*ledgertest.Transaction, len(ids))
			for j, id := range ids {
				block[j] = transactions[id]
			}
			if slices.Contains(block, nil) {
				return append(differences, fmt.Sprintf("deed %d orders what the ledger in memory did not endorse", i+1))
			}
			model.Commit(block...)
		}
		if d.proposal == nil {
			continue
		}
		payload, refusal := r.repeat(model, d, transactions)
		if string(payload) != string(d.payload) || refusal != d.refusal {
			differences = append(differences, fmt.Sprintf("%s, deed %d: the real network answered %q %q and the ledger in memory %q %q",
				d.function, i+1, d.payload, d.refusal, payload, refusal))
		}
	}
	return differences
}

// repeat evaluates or endorses a proposal as it was on the real network.
func (r *realLedger) repeat(model *ledgertest.Ledger, d deed, transactions map[string]*ledgertest.Transaction) (payload []byte, refusal string) {
	r.t.Helper()
	model.SetTime(d.at)
	p, err := model.ProposeAgain(d.proposal)
	r.must(err)
	if len(d.on) > 0 {
		p.On(d.on...)
	}
	if d.evaluated {
		payload, err = p.Evaluate()
	} else {
		var transaction *ledgertest.Transaction
		if transaction, err = p.Endorse(); err == nil {
			payload, transactions[transaction.TxID] = transaction.Payload, transaction
		}
	}
	var endorsing *ledgertest.EndorseError
	var evaluating *ledgertest.EvaluateError
	switch {
	case errors.As(err, &evaluating):
		refusal = evaluating.Message
	case errors.As(err, &endorsing) && len(endorsing.Details) > 0:
		refusal = endorsing.Details[0].Message
	case err != nil:
		refusal = err.Error()
	}
	return payload, refusal
}

// differentEvents compares the events that the real network delivers with the
// ledger's.
func (r *realLedger) differentEvents(from uint64, model *ledgertest.Ledger) []string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	profile := r.profile(custodian)
	network := r.client(&ledgertest.Call{MSP: custodianMSP, Name: "officer", Role: string(consortium.RoleCustodian)}).gateway.GetNetwork(profile.Medfed.Channel)
	delivered, err := network.ChaincodeEvents(ctx, profile.Medfed.Chaincode, fabric.WithStartBlock(from))
	r.must(err)
	var differences []string
	for i, want := range model.Events(0) {
		got, open := <-delivered
		for open && !r.sent[got.TransactionID] {
			got, open = <-delivered
		}
		if !open {
			return append(differences, fmt.Sprintf("%d events were delivered, want %d", i, len(model.Events(0))))
		}
		if got.TransactionID != want.TxID || got.EventName != want.Name || string(got.Payload) != string(want.Payload) {
			differences = append(differences, fmt.Sprintf("event %d is %s %s %s, want %s %s %s", i+1,
				got.TransactionID, got.EventName, got.Payload, want.TxID, want.Name, want.Payload))
		}
	}
	return differences
}
