package network

import (
	"context"
	"fmt"
	"io"
	"time"
)

// An upload that is killed leaves blocks that nothing pinned holds, and so does a file that
// was read through a node. Nobody may come again who knows of them, so a small process of
// the network has each IPFS node collect its garbage. Kubo's own daemon does so only where
// its repository is nearly as large as it may be. Reading goes on meanwhile; what is added
// waits, and a collection waits for what is being added, whose blocks it leaves alone.
const (
	garbageFirst    = time.Minute // after up, which may have followed an unclean end
	garbageInterval = time.Hour   // then
)

// GarbageNode is an IPFS node whose garbage is collected.
type GarbageNode struct {
	RPC     string // host:port
	Collect func(context.Context) error
}

// garbageProcess is the process that has the IPFS nodes collect their garbage.
func (n *Network) garbageProcess() *process {
	args := []string{"network", "collect-garbage"}
	for _, s := range n.swarms {
		for _, node := range s.nodes {
			args = append(args, node.rpc(), n.tokenFile(node))
		}
	}
	return &process{
		name: "garbage-collection", host: loopback, program: "medfed", args: args,
		dir: n.state, ports: map[string]string{},
		healthy: func(context.Context) error { return nil }, // it serves nobody
	}
}

// CollectGarbage has IPFS nodes remove the blocks that no pin holds, one node after another,
// a minute from now and then every hour, until the context ends. A node that can't is
// written to log and asked again the next time.
func CollectGarbage(ctx context.Context, nodes []GarbageNode, log io.Writer) {
	timer := time.NewTimer(garbageFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for _, node := range nodes {
			if err := node.Collect(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintf(log, "%s no garbage is collected on %s: %v\n", time.Now().UTC().Format(time.DateTime), node.RPC, err)
			}
		}
		timer.Reset(garbageInterval)
	}
}
