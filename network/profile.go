package network

import (
	"os"

	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/collections"
)

// profile is a connection profile in the usual Fabric form, with what medfed's
// clients need besides under x-medfed. It holds the certificates themselves, so
// that it serves wherever it is copied to and whoever reads it.
type profile struct {
	Name          string                         `yaml:"name"`
	Version       string                         `yaml:"version"`
	Client        profileClient                  `yaml:"client"`
	Organizations map[string]profileOrganization `yaml:"organizations"`
	Peers         map[string]profileServer       `yaml:"peers"`
	Authorities   map[string]profileServer       `yaml:"certificateAuthorities"`
	Channels      map[string]profileChannel      `yaml:"channels"`
	Medfed        profileMedfed                  `yaml:"x-medfed"`
}

type profileClient struct {
	Organization string `yaml:"organization"`
}

type profileOrganization struct {
	MSP         string   `yaml:"mspid"`
	Peers       []string `yaml:"peers"`
	Authorities []string `yaml:"certificateAuthorities,omitempty"`
}

type profileServer struct {
	URL         string            `yaml:"url"`
	CAName      string            `yaml:"caName,omitempty"`
	TLSCACerts  profilePEM        `yaml:"tlsCACerts"`
	GRPCOptions map[string]string `yaml:"grpcOptions,omitempty"`
}

type profilePEM struct {
	PEM string `yaml:"pem"`
}

type profileChannel struct {
	Peers map[string]map[string]bool `yaml:"peers"`
}

type profileMedfed struct {
	Channel   string `yaml:"channel"`
	Chaincode string `yaml:"chaincode"`
	// DocumentKeys is absolute: the officers of a hospital share one folder, wherever they
	// have the profile.
	DocumentKeys string       `yaml:"documentKeys,omitempty"`
	IPFS         profileNodes `yaml:"ipfs,omitempty"`
}

type profileNodes struct {
	Private      *profileIPFS  `yaml:"private,omitempty"`
	Public       *profileIPFS  `yaml:"public,omitempty"`
	PublicErased []profileIPFS `yaml:"publicErased,omitempty"`
}

type profileIPFS struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"tokenFile"` // absolute: the node takes calls from this machine only
}

// Profile is the path of an organisation's connection profile.
func (n *Network) Profile(org string) string { return n.path("profiles", org+".yaml") }

// writeProfile writes an organisation's connection profile. Its own peer comes
// first; an organisation without one is given the research centre's.
func (n *Network) writeProfile(i int) error {
	o := &n.consortium.Organisations[i]
	p := profile{
		Name:          n.consortium.Name + "-" + o.Name,
		Version:       "1.0.0",
		Client:        profileClient{o.Name},
		Organizations: map[string]profileOrganization{},
		Peers:         map[string]profileServer{},
		Authorities:   map[string]profileServer{},
		Channels:      map[string]profileChannel{n.consortium.Channel: {Peers: map[string]map[string]bool{}}},
		Medfed:        profileMedfed{n.consortium.Channel, n.consortium.Chaincode.Name, n.documentKeys(o), n.profileIPFS(i)},
	}
	for _, peer := range n.peers {
		trusted, err := os.ReadFile(peer.TLS.CA)
		if err != nil {
			return n.stateError(err)
		}
		p.Organizations[peer.Organisation.Name] = profileOrganization{MSP: peer.MSP, Peers: []string{peer.CertificateName}}
		p.Peers[peer.CertificateName] = profileServer{
			URL:         "grpcs://" + peer.Address,
			TLSCACerts:  profilePEM{string(trusted)},
			GRPCOptions: map[string]string{"ssl-target-name-override": peer.CertificateName},
		}
		p.Channels[n.consortium.Channel].Peers[peer.CertificateName] = map[string]bool{
			"endorsingPeer": true, "chaincodeQuery": true, "ledgerQuery": true, "eventSource": true,
		}
	}
	ca := n.authorities[i]
	trusted, err := os.ReadFile(ca.TLS.CA)
	if err != nil {
		return n.stateError(err)
	}
	p.Organizations[o.Name] = profileOrganization{o.MSP, n.gatewayPeers(o), []string{ca.Name}}
	p.Authorities[ca.Name] = profileServer{URL: "https://" + ca.Address, CAName: ca.Name, TLSCACerts: profilePEM{string(trusted)}}
	if folder := n.documentKeys(o); folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return n.stateError(err)
		}
	}
	content, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	if err := writeFile(n.Profile(o.Name), content, 0o600); err != nil {
		return n.stateError(err)
	}
	return nil
}

// documentKeys is the folder of the keys of a hospital's private documents, "" for an
// organisation that keeps no records.
func (n *Network) documentKeys(o *Organisation) string {
	if o.Kind != collections.Hospital {
		return ""
	}
	return n.path("keys", o.Name)
}

// gatewayPeers are the peers an organisation's clients connect to: its own, or
// the research centres', or any.
func (n *Network) gatewayPeers(o *Organisation) []string {
	var own, centres, all []string
	for _, p := range n.peers {
		all = append(all, p.CertificateName)
		if p.Organisation == o {
			own = append(own, p.CertificateName)
		}
		if p.Organisation.Kind == collections.ResearchCentre {
			centres = append(centres, p.CertificateName)
		}
	}
	for _, peers := range [][]string{own, centres} {
		if len(peers) > 0 {
			return peers
		}
	}
	return all
}

// profileIPFS are an organisation's IPFS nodes: its own of the private swarm, and one
// of the public network, which the organisations share. Every public node is in the
// profile of a member, which removes from it what is erased: where there are more of
// them than members, a member has several.
func (n *Network) profileIPFS(i int) profileNodes {
	var nodes profileNodes
	o, members, turn := &n.consortium.Organisations[i], 0, i
	for k := range n.consortium.Organisations {
		if !n.consortium.Organisations[k].Kind.Member() {
			continue
		}
		if k == i {
			turn = members
		}
		members++
	}
	for _, s := range n.swarms {
		for k, node := range s.nodes {
			entry := profileIPFS{"http://" + node.rpc(), n.tokenFile(node)}
			switch {
			case s.private && node.Owner == o.Name:
				nodes.Private = &entry
			case s.private:
			case k == turn%len(s.nodes):
				nodes.Public = &entry
			case o.Kind.Member() && k%members == turn:
				nodes.PublicErased = append(nodes.PublicErased, entry)
			}
		}
	}
	return nodes
}
