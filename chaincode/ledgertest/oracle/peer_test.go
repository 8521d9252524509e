package oracle

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-lib-go/bccsp/sw"
	"github.com/hyperledger/fabric-lib-go/common/metrics/disabled"
	"github.com/hyperledger/fabric-lib-go/healthz"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	pb "github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/channelconfig"
	"github.com/hyperledger/fabric/core/chaincode"
	"github.com/hyperledger/fabric/core/chaincode/implicitcollection"
	"github.com/hyperledger/fabric/core/common/ccprovider"
	"github.com/hyperledger/fabric/core/common/privdata"
	"github.com/hyperledger/fabric/core/ledger"
	"github.com/hyperledger/fabric/core/ledger/kvledger"
	"github.com/hyperledger/fabric/core/scc"
	"github.com/hyperledger/fabric/msp"
	"google.golang.org/protobuf/proto"
)

const channel, chaincodeName = "medfed", "medfed"

// realPeer is Fabric's own code of one peer, without its network.
type realPeer struct {
	t       testing.TB
	org     string
	ledger  ledger.PeerLedger
	handler *chaincode.Handler
	rules   *policyRules
	last    *common.BlockHeader
	closers []func()
}

func newRealPeer(t testing.TB, org string, cc shim.Chaincode, d *definition) *realPeer {
	p := &realPeer{t: t, org: org}
	p.openLedger(d)
	p.startChaincode(cc, d)
	p.rules = newPolicyRules(p, d)
	return p
}

func (p *realPeer) openLedger(d *definition) {
	folder := p.t.TempDir()
	hashes, err := sw.NewDefaultSecurityLevelWithKeystore(sw.NewDummyKeyStore())
	p.must(err)
	provider, err := kvledger.NewProvider(&ledger.Initializer{
		DeployedChaincodeInfoProvider: d, MembershipInfoProvider: &membership{p.org},
		ChaincodeLifecycleEventProvider: d, MetricsProvider: &disabled.Provider{}, HealthCheckRegistry: noHealth{}, HashProvider: hashes,
		Config: &ledger.Config{
			RootFSPath:      folder,
			StateDBConfig:   &ledger.StateDBConfig{StateDatabase: ledger.GoLevelDB},
			HistoryDBConfig: &ledger.HistoryDBConfig{Enabled: true},
			PrivateDataConfig: &ledger.PrivateDataConfig{
				MaxBatchSize: 5000, BatchesInterval: 1000, PurgeInterval: 1, DeprioritizedDataReconcilerInterval: time.Hour,
			},
			SnapshotsConfig: &ledger.SnapshotsConfig{RootDir: filepath.Join(folder, "snapshots")},
		},
	})
	p.must(err)
	p.closers = append(p.closers, provider.Close)
	genesis := genesisBlock(p.t)
	p.ledger, err = provider.CreateFromGenesisBlock(genesis)
	p.must(err)
	p.last = genesis.Header
}

// startChaincode joins a chaincode, through the real shim, to the real handler.
func (p *realPeer) startChaincode(cc shim.Chaincode, d *definition) {
	toPeer, toChaincode := make(chan *pb.ChaincodeMessage, 10), make(chan *pb.ChaincodeMessage, 10)
	ready := make(chan error, 1)
	var queries atomic.Int64
	p.handler = &chaincode.Handler{
		TotalQueryLimit: 100000, Registry: registry{ready}, TXContexts: chaincode.NewTransactionContexts(),
		ActiveTransactions: chaincode.NewActiveTransactions(), BuiltinSCCs: scc.BuiltinSCCs{},
		QueryResponseBuilder:   &chaincode.QueryResponseGenerator{MaxResultLimit: 100},
		IDDeserializerFactory:  privdata.IdentityDeserializerFactoryFunc(func(string) msp.IdentityDeserializer { return deserializer{} }),
		DeployedCCInfoProvider: d, AppConfig: capabilities{}, Metrics: chaincode.NewHandlerMetrics(&disabled.Provider{}),
		UUIDGenerator: chaincode.UUIDGeneratorFunc(func() string { return fmt.Sprint(queries.Add(1)) }),
		UseWriteBatch: true, MaxSizeWriteBatch: 1000, UseGetMultipleKeys: true, MaxSizeGetMultipleKeys: 1000,
		LedgerGetter: p,
	}
	go p.handler.ProcessStream(stream{toPeer, toChaincode})
	go shim.StartInProc(chaincodeName, stream{toChaincode, toPeer}, cc)
	p.closers = append(p.closers, func() { close(toPeer); close(toChaincode) })
	p.must(<-ready)
}

func (p *realPeer) close() {
	for _, c := range p.closers {
		c()
	}
}

// GetLedger gives the handler its channel.
func (p *realPeer) GetLedger(string) ledger.PeerLedger { return p.ledger }

// answer is what the peer makes of a proposal.
type answer struct {
	response *pb.Response
	event    *pb.ChaincodeEvent
	results  *ledger.TxSimulationResults
	public   []byte
}

// simulate runs a serialised proposal as an endorser does.
func (p *realPeer) simulate(txID string, proposalBytes []byte) (*answer, error) {
	simulator, err := p.ledger.NewTxSimulator(txID)
	p.must(err)
	defer simulator.Done()
	history, err := p.ledger.NewHistoryQueryExecutor()
	p.must(err)
	proposal := &pb.Proposal{}
	p.must(proto.Unmarshal(proposalBytes, proposal))
	signed := &pb.SignedProposal{ProposalBytes: proposalBytes}
	params := &ccprovider.TransactionParams{
		TxID: txID, ChannelID: channel, SignedProp: signed, Proposal: proposal, TXSimulator: simulator, HistoryQueryExecutor: history,
	}
	reply, err := p.handler.Execute(params, chaincodeName, &pb.ChaincodeMessage{
		Type: pb.ChaincodeMessage_TRANSACTION, Payload: inputOf(p.t, proposal), Txid: txID, ChannelId: channel,
	}, time.Minute)
	p.must(err)
	if reply.Type == pb.ChaincodeMessage_ERROR {
		return nil, fmt.Errorf("%s", reply.Payload)
	}
	a := &answer{response: &pb.Response{}, event: reply.ChaincodeEvent}
	p.must(proto.Unmarshal(reply.Payload, a.response))
	if a.response.Status >= shim.ERRORTHRESHOLD {
		return nil, fmt.Errorf("chaincode response %d, %s", a.response.Status, a.response.Message)
	}
	if a.results, err = simulator.GetTxSimulationResults(); err != nil {
		return nil, err
	}
	a.public, err = a.results.GetPubSimulationBytes()
	p.must(err)
	return a, nil
}

func inputOf(t testing.TB, proposal *pb.Proposal) []byte {
	payload, spec := &pb.ChaincodeProposalPayload{}, &pb.ChaincodeInvocationSpec{}
	if err := proto.Unmarshal(proposal.Payload, payload); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(payload.Input, spec); err != nil {
		t.Fatal(err)
	}
	input, err := proto.Marshal(spec.ChaincodeSpec.Input)
	if err != nil {
		t.Fatal(err)
	}
	return input
}

func (p *realPeer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// stream joins handler and shim in one process.
type stream struct {
	receive <-chan *pb.ChaincodeMessage
	send    chan<- *pb.ChaincodeMessage
}

func (s stream) Recv() (*pb.ChaincodeMessage, error) {
	if m, ok := <-s.receive; ok {
		return m, nil
	}
	return nil, io.EOF
}

func (s stream) Send(m *pb.ChaincodeMessage) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = io.EOF // the test is over
		}
	}()
	s.send <- m
	return nil
}

func (s stream) CloseSend() error { return nil }

type registry struct{ ready chan error }

func (registry) Register(*chaincode.Handler) error { return nil }
func (r registry) Ready(string)                    { r.ready <- nil }
func (r registry) Failed(_ string, err error)      { r.ready <- err }
func (registry) Deregister(string) error           { return nil }

type noHealth struct{}

func (noHealth) RegisterChecker(string, healthz.HealthChecker) error { return nil }

// capabilities are those of an application at V2_5.
type capabilities struct{ channelconfig.Application }

func (capabilities) GetApplicationConfig(string) (channelconfig.Application, bool) {
	return capabilities{}, true
}
func (capabilities) Capabilities() channelconfig.ApplicationCapabilities { return v25{} }

type v25 struct {
	channelconfig.ApplicationCapabilities
}

func (v25) KeyLevelEndorsement() bool { return true }
func (v25) PurgePvtData() bool        { return true }

type membership struct{ org string }

func (m *membership) AmMemberOf(_ string, config *pb.CollectionPolicyConfig) (bool, error) {
	for _, identity := range config.GetSignaturePolicy().GetIdentities() {
		if strings.Contains(string(identity.Principal), m.org) {
			return true, nil
		}
	}
	return false, nil
}

func (m *membership) MyImplicitCollectionName() string { return implicitcollection.NameForOrg(m.org) }
