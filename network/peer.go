package network

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/medfed/medfed/chaincode/ledger"
)

// peer is a member's peer with its chaincode service.
type peer struct {
	Organisation           *Organisation
	Name                   string // of the peer's process
	Network                string
	CertificateName        string
	MSP                    string
	Address, BindAddress   string
	ChaincodeListenAddress string
	OperationsAddress      string
	TLS                    certificates
	Data, Snapshots        string
	Builder                string
	TimeWindow             string

	ServiceName    string // of the chaincode service's process
	ServiceAddress string
	ServiceTLS     certificates
}

// newPeers lists the members' peers in the consortium's order.
func (n *Network) newPeers() []*peer {
	var all []*peer
	c := n.consortium
	for i := range c.Organisations {
		o := &c.Organisations[i]
		if !o.Kind.Member() {
			continue
		}
		name, host := "peer-"+o.Name, o.peerHost()
		all = append(all, &peer{
			Organisation: o, Name: name, Network: c.Name, MSP: o.MSP,
			CertificateName:        n.certificateName(o, peerName),
			Address:                address(host, c.port(i, peerPort)),
			BindAddress:            address(bindHost(host), c.port(i, peerPort)),
			ChaincodeListenAddress: address(loopback, c.port(i, peerChaincodePort)),
			OperationsAddress:      address(loopback, c.port(i, peerOperationsPort)),
			TLS:                    n.nodeCertificates(o, peerName),
			Data:                   filepath.Join(n.nodeDir(name), "data"),
			Snapshots:              filepath.Join(n.nodeDir(name), "snapshots"),
			Builder:                n.builder(),
			TimeWindow:             (ledger.TimeWindow * time.Second).String(),
			ServiceName:            "chaincode-" + o.Name,
			ServiceAddress:         address(loopback, c.port(i, chaincodePort)),
			ServiceTLS:             n.nodeCertificates(o, chaincodeName),
		})
	}
	return all
}

func (n *Network) peerProcess(p *peer) *process {
	dir := n.nodeDir(p.Name)
	return &process{
		name:    p.Name,
		host:    p.Organisation.peerHost(),
		program: "peer",
		args:    []string{"node", "start"},
		dir:     dir,
		env:     append([]string{"FABRIC_CFG_PATH=" + dir, "MEDFED_CHAINCODE_CONNECTION=" + n.connectionFile(p)}, fabricLogging...),
		ports: map[string]string{
			"peer":       p.BindAddress,
			"chaincode":  p.ChaincodeListenAddress,
			"operations": p.OperationsAddress,
		},
		healthy: func(ctx context.Context) error {
			if err := healthz(ctx, p.OperationsAddress); err != nil {
				return err
			}
			// A peer reports its health well before it takes calls: it first opens its
			// ledgers, or makes their databases anew.
			return handshake(ctx, p.Address, p.CertificateName, p.TLS, p.TLS)
		},
	}
}

func (n *Network) writePeer(p *peer) error {
	return n.writeRendered(filepath.Join(n.nodeDir(p.Name), "core.yaml"), "core.yaml", p)
}

// asAdmin runs the peer's command line as its organisation's administrator.
func (n *Network) asAdmin(ctx context.Context, p *peer, args ...string) ([]byte, error) {
	return n.asAdminOf(ctx, p.Organisation, p, args...)
}

// asAdminOf runs a peer's command line as the administrator of an organisation,
// which may have no peer of its own.
func (n *Network) asAdminOf(ctx context.Context, o *Organisation, p *peer, args ...string) ([]byte, error) {
	env := []string{
		"FABRIC_CFG_PATH=" + n.nodeDir(p.Name),
		"CORE_PEER_LOCALMSPID=" + o.MSP,
		"CORE_PEER_MSPCONFIGPATH=" + n.adminMSP(o),
		"FABRIC_LOGGING_SPEC=ERROR",
	}
	return n.tool(ctx, env, "peer", args...)
}

// joinPeer has a peer join the channel.
func (n *Network) joinPeer(ctx context.Context, p *peer) error {
	_, err := n.asAdmin(ctx, p, "channel", "join", "-b", n.genesisBlock())
	if err != nil && strings.Contains(err.Error(), "already exists") {
		return nil
	}
	return err
}

// awaitSameHeight returns when all peers have the same blocks. Until then they
// can't agree on a transaction that reads what the last blocks wrote.
func (n *Network) awaitSameHeight(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Start)
	defer cancel()
	heights := make([]int, len(n.peers))
	err := poll(limited, func() (bool, error) {
		for i, p := range n.peers {
			var err error
			if heights[i], err = metric(limited, p.OperationsAddress, "ledger_blockchain_height"); err != nil {
				return false, nil
			}
		}
		return slices.Min(heights) == slices.Max(heights), nil
	})
	if err != nil && ctx.Err() == nil {
		last := slices.Index(heights, slices.Min(heights))
		return n.processError(n.peers[last].Name, fmt.Sprintf("does not catch up: the peers have %v blocks", heights))
	}
	return err
}
