package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/client/gateway"
)

func TestBlocksAreReadFromAPeerThatIsUp(t *testing.T) {
	c := newConsortium(t, 2)
	g := c.connect(t, gateway.Options{})
	height, err := proto.Marshal(&common.BlockchainInfo{Height: 12})
	if err != nil {
		t.Fatal(err)
	}
	c.peers[0].do(func() {
		c.peers[0].onEvaluate = func() ([]byte, error) { return nil, status.Error(codes.Unavailable, "down") }
	})
	c.peers[1].do(func() { c.peers[1].onEvaluate = func() ([]byte, error) { return height, nil } })
	if got, err := g.Height(context.Background()); err != nil || got != 12 {
		t.Errorf("height %d, %v", got, err)
	}
	large := []byte(strings.Repeat("b", 8<<20)) // more than gRPC takes unless told to
	c.peers[1].do(func() { c.peers[1].onEvaluate = func() ([]byte, error) { return large, nil } })
	if got, err := g.Block(context.Background(), 3); err != nil || len(got) != len(large) {
		t.Errorf("block of %d bytes, %v", len(got), err)
	}
	if g.Channel() != "medfed" || g.Chaincode() != "medfed" {
		t.Errorf("channel %s, chaincode %s", g.Channel(), g.Chaincode())
	}
	c.peers[1].do(func() { c.peers[1].onEvaluate = func() ([]byte, error) { return []byte("no answer"), nil } })
	if _, err := g.Height(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "MF-GATEWAY-RESULT") {
		t.Errorf("got %v", err)
	}
}
