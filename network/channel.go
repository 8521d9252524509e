package network

import (
	"context"
	"path/filepath"

	"github.com/medfed/medfed/collections"
)

// makeChannel has configtxgen make the channel's first block.
func (n *Network) makeChannel(ctx context.Context) error {
	dir := n.path("channel")
	if err := n.writeRendered(filepath.Join(dir, "configtx.yaml"), "configtx.yaml", n.channelConfig()); err != nil {
		return err
	}
	_, err := n.tool(ctx, []string{"FABRIC_CFG_PATH=" + dir}, "configtxgen",
		"-profile", "Channel", "-channelID", n.consortium.Channel, "-outputBlock", n.genesisBlock())
	return err
}

// channelOrganisation is an organisation as the channel knows it.
type channelOrganisation struct {
	MSP, OrgMSPDir string
	PeerHost       string // anchor peer, "" for an organisation without one
	PeerPort       int
}

func (n *Network) channelConfig() any {
	members := n.consortium.whoSeesWhat().Members()
	config := struct {
		Orderers                      []*orderer
		Organisations                 []channelOrganisation
		Ordering                      Ordering
		MajorityAdmins, MajorityPeers string
	}{
		Orderers:       n.orderers,
		Ordering:       n.consortium.Ordering,
		MajorityAdmins: collections.Majority(members, "admin"),
		MajorityPeers:  collections.Majority(members, "peer"),
	}
	for i := range n.consortium.Organisations {
		o := &n.consortium.Organisations[i]
		org := channelOrganisation{MSP: o.MSP, OrgMSPDir: filepath.Join(n.orgCrypto(o), "msp")}
		if o.Kind.Member() {
			org.PeerHost, org.PeerPort = o.peerHost(), n.consortium.port(i, peerPort)
		}
		config.Organisations = append(config.Organisations, org)
	}
	return config
}
