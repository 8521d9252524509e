package network

import (
	"context"
	"os"
	"slices"
)

// makeCertificates has cryptogen make the certificates of all servers: for each
// organisation a CA and a TLS CA, and for each orderer a CA pair of its own.
func (n *Network) makeCertificates(ctx context.Context) error {
	config := n.path("crypto", "crypto-config.yaml")
	if err := n.writeRendered(config, "crypto-config.yaml", n.cryptoConfig()); err != nil {
		return err
	}
	if _, err := n.tool(ctx, nil, "cryptogen", "generate", "--config="+config, "--output="+n.path("crypto")); err != nil {
		return err
	}
	return n.dropUnusedIdentities()
}

// cryptoNode is a server that gets a certificate.
type cryptoNode struct {
	Name string
	SANs []string
}

// cryptoOrganisation is one CA pair and its servers.
type cryptoOrganisation struct {
	MSP, Domain string
	SANs        []string
	Nodes       []cryptoNode
}

func (n *Network) cryptoConfig() any {
	var config struct{ Orderers, Organisations []cryptoOrganisation }
	for i := range n.consortium.Organisations {
		o := &n.consortium.Organisations[i]
		if o.Orderer {
			config.Orderers = append(config.Orderers, cryptoOrganisation{MSP: o.ordererMSP(), Domain: n.ordererDomain(o), SANs: hosts(o.ordererHost())})
		}
		org := cryptoOrganisation{MSP: o.MSP, Domain: n.domain(o)}
		if o.Kind.Member() {
			org.Nodes = append(org.Nodes, cryptoNode{peerName, hosts(o.peerHost())}, cryptoNode{chaincodeName, hosts(o.peerHost())})
		}
		org.Nodes = append(org.Nodes, cryptoNode{caServerName, hosts(o.caHost())})
		config.Organisations = append(config.Organisations, org)
	}
	return config
}

// hosts are the names a server's certificate is valid for besides its own.
func hosts(host string) []string {
	all := []string{host, "localhost", loopback}
	slices.Sort(all)
	return slices.Compact(all)
}

// dropUnusedIdentities removes the signing identities that cryptogen makes for
// servers which only need TLS: an endorsement by one of them would be valid.
func (n *Network) dropUnusedIdentities() error {
	for i := range n.consortium.Organisations {
		o := &n.consortium.Organisations[i]
		for _, node := range []string{chaincodeName, caServerName} {
			if err := os.RemoveAll(n.nodeCertificates(o, node).MSP); err != nil {
				return n.stateError(err)
			}
		}
	}
	return nil
}
