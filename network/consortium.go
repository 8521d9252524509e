// Package network turns one description of a consortium (consortium.yaml) into
// a running network: certificates, the channel's first block, collections, node
// configurations, Fabric CAs, IPFS swarms and the native processes of all of
// them. Nothing runs in a container.
//
// Load reads the description, Open binds it to a state folder, Up brings the
// network up and may be called at any time: what is already there stays, what
// is missing is made, what has stopped is started again.
package network

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/collections"
)

// Consortium is a consortium described once. Everything about a network that is
// not derived from it is a constant of the software.
type Consortium struct {
	Name          string               `yaml:"name"`
	Domain        string               `yaml:"domain"`   // of the nodes' certificate names
	Channel       string               `yaml:"channel"`  //
	BasePort      int                  `yaml:"basePort"` // every port is this one plus a fixed offset
	Organisations []Organisation       `yaml:"organisations"`
	Ordering      Ordering             `yaml:"ordering"`
	Chaincode     Chaincode            `yaml:"chaincode"`
	Collections   collections.Settings `yaml:"collections"`
	IPFS          IPFS                 `yaml:"ipfs"`
	Timeouts      Timeouts             `yaml:"timeouts"`
}

// Organisation is one organisation with its nodes and the identities that its
// Fabric CA enrols when the network comes up.
type Organisation struct {
	collections.Organisation `yaml:",inline"`

	Host       string     `yaml:"host"`    // where its nodes run: an IP address or a DNS name
	Hosts      Hosts      `yaml:"hosts"`   // nodes that run elsewhere
	Orderer    bool       `yaml:"orderer"` // whether it runs one of the orderers
	Identities []Identity `yaml:"identities"`
}

// Hosts places single nodes of an organisation on hosts of their own. The
// chaincode service always runs beside its peer.
type Hosts struct {
	Peer    string `yaml:"peer"`
	Orderer string `yaml:"orderer"`
	CA      string `yaml:"ca"`
	IPFS    string `yaml:"ipfs"`
}

// Identity is a person, node or program that an organisation's Fabric CA vouches for.
type Identity struct {
	Name string          `yaml:"name"` // the certificate's common name
	Role consortium.Role `yaml:"role"` // the certificate's medfed.role attribute
}

// Ordering tunes SmartBFT.
type Ordering struct {
	BatchInterval            time.Duration `yaml:"batchInterval"` // how long a block waits for more transactions
	MaxMessages              int           `yaml:"maxMessages"`   // transactions in a block
	RequestForwardTimeout    time.Duration `yaml:"requestForwardTimeout"`
	RequestComplainTimeout   time.Duration `yaml:"requestComplainTimeout"`
	LeaderHeartbeatTimeout   time.Duration `yaml:"leaderHeartbeatTimeout"`
	ViewChangeTimeout        time.Duration `yaml:"viewChangeTimeout"`
	ViewChangeResendInterval time.Duration `yaml:"viewChangeResendInterval"`
}

// Chaincode is what the members agree on when they deploy.
type Chaincode struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	// Endorsement is "majority" (more than half of the members' peers) or a
	// signature policy in Fabric's words.
	Endorsement string `yaml:"endorsement"`
}

// IPFS says which swarms exist.
type IPFS struct {
	Private bool         `yaml:"private"` // one node for each member, closed by a swarm key
	Public  []PublicNode `yaml:"public"`  // nodes of the second, public network
}

// PublicNode is a node of the public IPFS network.
type PublicNode struct {
	Name string `yaml:"name"`
	Host string `yaml:"host"`
}

// Timeouts bound what Up and Down wait for.
type Timeouts struct {
	Start time.Duration `yaml:"start"` // until a started process is healthy
	Ready time.Duration `yaml:"ready"` // until every gateway has committed a transaction
	Stop  time.Duration `yaml:"stop"`  // until a process that was asked to end is killed
}

// majority is the word for the default endorsement policy.
const majority = "majority"

// minOrderers is the least number of orderers that survives a faulty one (3f+1).
const minOrderers = 4

// Load reads and checks a consortium.yaml. Unknown fields are refused, so that a
// misspelt one can't be silently ignored. Errors have the code
// MF-NETWORK-CONSORTIUM.
func Load(path string) (*Consortium, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, codes.Wrapf("MF-NETWORK-CONSORTIUM", "%w; name a readable consortium.yaml", err)
	}
	c := &Consortium{}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil {
		return nil, codes.Wrapf("MF-NETWORK-CONSORTIUM", "%s: %w; correct the file", path, err)
	}
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, codes.Wrapf("MF-NETWORK-CONSORTIUM", "%s: %w; correct the file", path, err)
	}
	return c, nil
}

// setDefaults fills what a consortium.yaml may leave out.
func (c *Consortium) setDefaults() {
	fill(&c.BasePort, 17000)
	fill(&c.Ordering.BatchInterval, 100*time.Millisecond)
	fill(&c.Ordering.MaxMessages, 500)
	fill(&c.Ordering.RequestForwardTimeout, time.Second)
	fill(&c.Ordering.RequestComplainTimeout, 3*time.Second)
	fill(&c.Ordering.LeaderHeartbeatTimeout, 5*time.Second)
	fill(&c.Ordering.ViewChangeTimeout, 5*time.Second)
	fill(&c.Ordering.ViewChangeResendInterval, time.Second)
	fill(&c.Chaincode.Endorsement, majority)
	fill(&c.Timeouts.Start, time.Minute)
	fill(&c.Timeouts.Ready, time.Minute)
	fill(&c.Timeouts.Stop, 10*time.Second)
	for i := range c.Organisations {
		fill(&c.Organisations[i].Host, "127.0.0.1")
	}
	for i := range c.IPFS.Public {
		fill(&c.IPFS.Public[i].Host, "127.0.0.1")
	}
}

func fill[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }

// The forms names may have: they become file names, certificate names and words
// of Fabric's policy language.
var (
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	domainPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	versionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]{0,39}$`)
	personPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// roles are those a Fabric CA may put into a certificate.
var roles = []consortium.Role{consortium.RoleCoordinator, consortium.RoleTrainer, consortium.RoleCustodian,
	consortium.RolePatient, consortium.RoleRequester, consortium.RoleAuditor}

// validate refuses a description no network can be made from.
func (c *Consortium) validate() error {
	checks := []struct {
		field, value string
		form         *regexp.Regexp
	}{
		{"name", c.Name, namePattern},
		{"domain", c.Domain, domainPattern},
		{"channel", c.Channel, namePattern},
		{"chaincode.name", c.Chaincode.Name, namePattern},
		{"chaincode.version", c.Chaincode.Version, versionPattern},
	}
	for _, check := range checks {
		if !check.form.MatchString(check.value) {
			return fmt.Errorf("%s %q does not match %s", check.field, check.value, check.form)
		}
	}
	if last := c.BasePort + c.portCount(); c.BasePort < 1024 || last > 65536 {
		return fmt.Errorf("basePort %d: the network's ports are %d to %d, but must lie within 1024 to 65535", c.BasePort, c.BasePort, last-1)
	}
	for _, check := range []func() error{c.validateOrganisations, c.validateMembers, c.validatePublicNodes, c.validateTimes} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Consortium) validateOrganisations() error {
	seen := map[string]bool{}
	for i := range c.Organisations {
		o := &c.Organisations[i]
		if !namePattern.MatchString(o.Name) {
			return fmt.Errorf("organisation %q does not match %s", o.Name, namePattern)
		}
		for _, name := range []string{o.Name, o.MSP, o.ordererMSP()} {
			if seen[name] {
				return fmt.Errorf("organisation %s: %q is taken by another one", o.Name, name)
			}
			seen[name] = true
		}
		if err := o.validate(); err != nil {
			return fmt.Errorf("organisation %s: %w", o.Name, err)
		}
	}
	return nil
}

func (o *Organisation) validate() error {
	if err := o.Organisation.Check(); err != nil {
		return err
	}
	for _, host := range []string{o.Host, o.peerHost(), o.ordererHost(), o.caHost(), o.ipfsHost()} {
		if err := validHost(host); err != nil {
			return err
		}
	}
	names := map[string]bool{registrar: true}
	for _, identity := range o.Identities {
		if names[identity.Name] {
			return fmt.Errorf("identity %q: the name is taken", identity.Name)
		}
		names[identity.Name] = true
		if err := validIdentity(identity.Name, identity.Role); err != nil {
			return err
		}
	}
	return nil
}

// validIdentity checks what an identity is to be enrolled with.
func validIdentity(name string, role consortium.Role) error {
	if !personPattern.MatchString(name) {
		return fmt.Errorf("identity %q does not match %s", name, personPattern)
	}
	if !slices.Contains(roles, role) {
		return fmt.Errorf("identity %s: role %q is none of %v", name, role, roles)
	}
	return nil
}

func validHost(host string) error {
	if net.ParseIP(host) == nil && !domainPattern.MatchString(host) {
		return fmt.Errorf("host %q is neither an IP address nor a DNS name", host)
	}
	return nil
}

// validateMembers checks what depends on how many nodes of a kind there are.
func (c *Consortium) validateMembers() error {
	members, orderers := 0, 0
	for _, o := range c.Organisations {
		if o.Kind.Member() {
			members++
		}
		if o.Orderer {
			orderers++
		}
	}
	if members == 0 {
		return fmt.Errorf("no organisation is a %s or a %s: somebody has to run a peer", collections.Hospital, collections.ResearchCentre)
	}
	if orderers < minOrderers {
		return fmt.Errorf("%d orderers: %d are the fewest that survive a faulty one", orderers, minOrderers)
	}
	return nil
}

func (c *Consortium) validatePublicNodes() error {
	seen := map[string]bool{}
	for _, o := range c.Organisations {
		seen[o.Name] = true
	}
	for _, node := range c.IPFS.Public {
		if !namePattern.MatchString(node.Name) || seen[node.Name] {
			return fmt.Errorf("ipfs.public: name %q is taken or does not match %s", node.Name, namePattern)
		}
		seen[node.Name] = true
		if err := validHost(node.Host); err != nil {
			return fmt.Errorf("ipfs.public %s: %w", node.Name, err)
		}
	}
	return nil
}

func (c *Consortium) validateTimes() error {
	t := c.Ordering
	for _, d := range []time.Duration{t.BatchInterval, t.RequestForwardTimeout, t.RequestComplainTimeout, t.LeaderHeartbeatTimeout,
		t.ViewChangeTimeout, t.ViewChangeResendInterval, c.Timeouts.Start, c.Timeouts.Ready, c.Timeouts.Stop} {
		if d <= 0 {
			return fmt.Errorf("a time under ordering or timeouts is %v, but must be positive", d)
		}
	}
	if t.MaxMessages <= 0 {
		return fmt.Errorf("ordering.maxMessages is %d, but must be positive", t.MaxMessages)
	}
	if t.RequestComplainTimeout <= t.RequestForwardTimeout {
		return fmt.Errorf("ordering.requestComplainTimeout (%v) must exceed requestForwardTimeout (%v)", t.RequestComplainTimeout, t.RequestForwardTimeout)
	}
	return nil
}

// whoSeesWhat is the part of the consortium its collections are made from.
func (c *Consortium) whoSeesWhat() collections.Consortium {
	part := collections.Consortium{Collections: c.Collections}
	for _, o := range c.Organisations {
		part.Organisations = append(part.Organisations, o.Organisation)
	}
	return part
}

// endorsement is the chaincode's endorsement policy in Fabric's words.
func (c *Consortium) endorsement() string {
	if c.Chaincode.Endorsement == majority {
		return collections.Majority(c.whoSeesWhat().Members(), "peer")
	}
	return c.Chaincode.Endorsement
}

// ordererMSP is the MSP identifier of the organisation's orderer. Orderers have
// certificates of their own CA, so that no orderer can endorse.
func (o *Organisation) ordererMSP() string {
	return strings.TrimSuffix(o.MSP, "MSP") + "OrdererMSP"
}

func (o *Organisation) peerHost() string    { return cmp.Or(o.Hosts.Peer, o.Host) }
func (o *Organisation) ordererHost() string { return cmp.Or(o.Hosts.Orderer, o.Host) }
func (o *Organisation) caHost() string      { return cmp.Or(o.Hosts.CA, o.Host) }
func (o *Organisation) ipfsHost() string    { return cmp.Or(o.Hosts.IPFS, o.Host) }
