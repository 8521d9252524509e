package gateway

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"gopkg.in/yaml.v3"
)

// Profile is a connection profile in the usual Fabric form, as far as medfed's
// clients use it, with the x-medfed section that names what Fabric's form has no
// place for. File paths in it are relative to the profile's own folder.
type Profile struct {
	Name   string `yaml:"name"`
	Client struct {
		Organization string `yaml:"organization"`
	} `yaml:"client"`
	Organizations          map[string]Organization `yaml:"organizations"`
	Peers                  map[string]Server       `yaml:"peers"`
	CertificateAuthorities map[string]Server       `yaml:"certificateAuthorities"`
	Channels               map[string]struct {
		Peers map[string]struct{} `yaml:"peers"`
	} `yaml:"channels"`
	Medfed Medfed `yaml:"x-medfed"`
}

// Organization is a member of the consortium: its MSP and the peers its clients
// may use.
type Organization struct {
	MSPID                  string   `yaml:"mspid"`
	Peers                  []string `yaml:"peers"`
	CertificateAuthorities []string `yaml:"certificateAuthorities"`
}

// Server is how to reach a peer or a certificate authority and to know it.
type Server struct {
	URL        string `yaml:"url"`    // grpcs:// or https://
	CAName     string `yaml:"caName"` // of a certificate authority
	TLSCACerts struct {
		Path string `yaml:"path"`
		PEM  string `yaml:"pem"`
	} `yaml:"tlsCACerts"`
	GRPCOptions struct {
		TargetName string `yaml:"ssl-target-name-override"` // name in the server's certificate, when not its host
	} `yaml:"grpcOptions"`
}

// Medfed is the x-medfed section.
type Medfed struct {
	Channel   string `yaml:"channel"`
	Chaincode string `yaml:"chaincode"`
	// DocumentKeys is the folder of the keys of a hospital's private documents, which its
	// officers share.
	DocumentKeys string `yaml:"documentKeys"`
	IPFS         struct {
		Private IPFS `yaml:"private"`
		Public  IPFS `yaml:"public"`
		// Nodes of the public network besides, which no other member removes erased records from.
		PublicErased []IPFS `yaml:"publicErased"`
	} `yaml:"ipfs"`
}

// IPFS is a Kubo node's RPC.
type IPFS struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"tokenFile"`
}

// LoadProfile reads a connection profile. Relative paths in it come back resolved
// against its folder. The error is MF-GATEWAY-PROFILE.
func LoadProfile(path string) (*Profile, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-PROFILE", "the connection profile cannot be read: %w; name the file that network up wrote for your organisation", err)
	}
	p := new(Profile)
	if err := yaml.Unmarshal(content, p); err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-PROFILE", "%s is no connection profile: %w; move it away, and medfed network up writes it again as it was made", path, err)
	}
	p.resolve(filepath.Dir(path))
	if err := p.check(path); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Profile) resolve(folder string) {
	absolute := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	for _, servers := range []map[string]Server{p.Peers, p.CertificateAuthorities} {
		for name, s := range servers {
			absolute(&s.TLSCACerts.Path)
			servers[name] = s
		}
	}
	absolute(&p.Medfed.DocumentKeys)
	absolute(&p.Medfed.IPFS.Private.TokenFile)
	absolute(&p.Medfed.IPFS.Public.TokenFile)
	for i := range p.Medfed.IPFS.PublicErased {
		absolute(&p.Medfed.IPFS.PublicErased[i].TokenFile)
	}
}

func (p *Profile) check(path string) error {
	bad := func(format string, arguments ...any) error {
		return codes.Errorf("MF-GATEWAY-PROFILE", "%s %s; correct it, or move it away, and medfed network up writes it again as it was made", path, fmt.Sprintf(format, arguments...))
	}
	organization, ok := p.Organizations[p.Client.Organization]
	switch {
	case !ok:
		return bad("has no organization %q, which client.organization names", p.Client.Organization)
	case organization.MSPID == "":
		return bad("gives organization %q no mspid", p.Client.Organization)
	case p.Medfed.Channel == "" || p.Medfed.Chaincode == "":
		return bad("has no x-medfed section with channel and chaincode")
	case len(p.peerNames()) == 0:
		return bad("names no peer")
	}
	for _, name := range p.peerNames() {
		peer, ok := p.Peers[name]
		if !ok {
			return bad("has no peer %q, which an organization or the channel names", name)
		}
		if u, err := url.Parse(peer.URL); err != nil || u.Scheme != "grpcs" || u.Port() == "" {
			return bad("gives peer %q the url %q and not grpcs://host:port", name, peer.URL)
		}
	}
	return nil
}

// MSPID is the MSP identifier of the profile's own organization.
func (p *Profile) MSPID() string { return p.Organizations[p.Client.Organization].MSPID }

// Members are the MSP identifiers of the organisations that have a peer on the
// channel, sorted: the cluster of trust, each with a node of the private IPFS.
func (p *Profile) Members() []string {
	var members []string
	for _, peer := range p.peerNames() {
		members = append(members, p.mspOf(peer))
	}
	slices.Sort(members)
	return slices.Compact(members)
}

// peerNames are the peers a client may use: its own organization's in their
// order, then the channel's others by name.
func (p *Profile) peerNames() []string {
	names := slices.Clone(p.Organizations[p.Client.Organization].Peers)
	var others []string
	for name := range p.Channels[p.Medfed.Channel].Peers {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}

// mspOf is the MSP that runs a peer. An organization without peers of its own
// lists another's, so the client's own organization counts last.
func (p *Profile) mspOf(peer string) string {
	for name, organization := range p.Organizations {
		if name != p.Client.Organization && slices.Contains(organization.Peers, peer) {
			return organization.MSPID
		}
	}
	return p.MSPID()
}
