package gateway

import (
	"context"
	"strconv"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/medfed/medfed/chaincode/codes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// ledgerQueries is the peers' system chaincode that reads the chain itself.
const ledgerQueries = "qscc"

// maxBlock is the most bytes of one block that are accepted from a peer. The
// orderers make none above 10 MB, which is more than gRPC's own limit.
const maxBlock = 128 << 20

// Channel is the channel that the gateway's transactions go to.
func (g *Gateway) Channel() string { return g.channel }

// Chaincode is the chaincode that the gateway's transactions go to.
func (g *Gateway) Chaincode() string { return g.chaincode }

// Height is how many blocks a peer's ledger has.
func (g *Gateway) Height(ctx context.Context) (uint64, error) {
	answer, err := g.queryLedger(ctx, "GetChainInfo", g.channel)
	if err != nil {
		return 0, err
	}
	return heightIn(answer)
}

func heightIn(answer []byte) (uint64, error) {
	info := &common.BlockchainInfo{}
	if err := proto.Unmarshal(answer, info); err != nil {
		return 0, codes.Wrapf("MF-GATEWAY-RESULT", "the peer's account of its ledger cannot be read: %w; use a peer of Fabric v3", err)
	}
	return info.GetHeight(), nil
}

// Block is a block as a peer delivers it, a serialised common.Block. Blocks are
// numbered from 0, the channel's first.
func (g *Gateway) Block(ctx context.Context, number uint64) ([]byte, error) {
	return g.queryLedger(ctx, "GetBlockByNumber", g.channel, strconv.FormatUint(number, 10))
}

// queryLedger asks a peer's ledger, another's when that peer fails.
func (g *Gateway) queryLedger(ctx context.Context, query string, arguments ...string) ([]byte, error) {
	var answer []byte
	err := g.call(ctx, ledgerQueries+":"+query, false, arguments, nil, func(p *peerConnection, _ string) (_ []byte, failed *failure) {
		answer, failed = g.queryLedgerOnce(ctx, p, query, arguments...)
		return nil, failed
	})
	return answer, err
}

func (g *Gateway) queryLedgerOnce(ctx context.Context, p *peerConnection, query string, arguments ...string) ([]byte, *failure) {
	name := ledgerQueries + ":" + query
	attempt, cancel := g.watched(ctx, g.options.CallTimeout, func() bool { return g.hangs(p) })
	defer cancel()
	proposal, err := p.gateway.GetNetwork(g.channel).GetContract(ledgerQueries).NewProposal(query,
		client.WithArguments(arguments...), client.WithEndorsingOrganizations(p.msp))
	if err != nil {
		return nil, &failure{codes.Wrapf("MF-GATEWAY-IDENTITY", "%s cannot be signed: %w; enrol again", name, err), none}
	}
	answer, err := proposal.EvaluateWithContext(attempt, grpc.MaxCallRecvMsgSize(maxBlock))
	if err != nil {
		f := g.explain(ctx, attempt, name, p, err)
		return nil, &f
	}
	return answer, nil
}
