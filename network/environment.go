package network

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// Variable is an environment variable.
type Variable struct{ Name, Value string }

// Environment is what Fabric's own peer command takes from the environment to act
// on the channel for an organisation, through its peer or, where it has none, the
// research centre's: as its administrator or, where identity is not "", as that
// enrolled identity. Besides what peer itself reads there are the names under
// which docs/fabric.md passes the rest to its flags:
//
//	ORDERER_ADDRESS, ORDERER_CA      -o, --cafile
//	CHANNEL_NAME                     -C, --channelID
//	PEER_ADDRESS_…, PEER_CA_…        --peerAddresses, --tlsRootCertFiles; one of each for every peer
//	MEDFED_PROFILE, MEDFED_IDENTITY  with an identity: what medfed and other clients connect by
//
// Codes: MF-NETWORK-UNKNOWN (no such organisation), MF-NETWORK-IDENTITY (no such
// identity), MF-NETWORK-DOWN (the network has never been up), MF-NETWORK-CHANGED
// (it was made from another consortium.yaml), MF-NETWORK-STATE.
func (n *Network) Environment(org, identity string) ([]Variable, error) {
	a, err := n.authority(org)
	if err != nil {
		return nil, err
	}
	o := a.Organisation
	msp := n.adminMSP(o)
	if identity != "" {
		msp = n.IdentityDir(org, identity)
	}
	if err := n.mustBeMade(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(msp, "signcerts")); err != nil {
		return nil, codes.Errorf("MF-NETWORK-IDENTITY", "%s has no identity %q; enrol it with medfed identity enroll", org, identity)
	}
	through := n.peers[slices.IndexFunc(n.peers, func(p *peer) bool { return p.CertificateName == n.gatewayPeers(o)[0] })]
	orderer := n.orderers[max(0, slices.IndexFunc(n.orderers, func(one *orderer) bool { return one.MSP == o.ordererMSP() }))]
	all := []Variable{
		{"FABRIC_CFG_PATH", n.nodeDir(through.Name)},
		{"FABRIC_LOGGING_SPEC", "warn:chaincodeCmd=info:cli=info:grpc=error"},
		{"CORE_PEER_TLS_ENABLED", "true"},
		{"CORE_PEER_LOCALMSPID", o.MSP},
		{"CORE_PEER_MSPCONFIGPATH", msp},
		{"CORE_PEER_ADDRESS", through.Address},
		{"CORE_PEER_TLS_ROOTCERT_FILE", through.TLS.CA},
		{"ORDERER_ADDRESS", orderer.Address},
		{"ORDERER_CA", orderer.TLS.CA},
		{"CHANNEL_NAME", n.consortium.Channel},
	}
	for _, p := range n.peers {
		name := strings.ToUpper(strings.ReplaceAll(p.Organisation.Name, "-", "_"))
		all = append(all, Variable{"PEER_ADDRESS_" + name, p.Address}, Variable{"PEER_CA_" + name, p.TLS.CA})
	}
	if identity != "" {
		all = append(all, Variable{"MEDFED_PROFILE", n.Profile(org)}, Variable{"MEDFED_IDENTITY", msp})
	}
	return all, nil
}
