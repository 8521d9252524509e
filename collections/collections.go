// Package collections decides who can see what. From the organisations of a
// consortium it makes the private data collections of the channel
// (collections_config.json) and the page that shows them as a table
// (README.md), so that neither can drift from the other.
//
// It knows neither the network nor the ledger: the chaincode takes the
// collections' names from here, the network their definition.
package collections

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Kind says what an organisation is in the consortium.
type Kind string

// The kinds of organisation. Hospitals and the research centre are the members
// of the cluster of trust: each has a peer. Partners (insurers, foreign
// laboratories) and the auditor have none.
const (
	Hospital       Kind = "hospital"
	ResearchCentre Kind = "research-centre"
	Partner        Kind = "partner"
	Auditor        Kind = "auditor"
)

// kinds are all of them.
var kinds = []Kind{Hospital, ResearchCentre, Partner, Auditor}

// Member says whether an organisation of this kind belongs to the cluster of
// trust and therefore runs a peer.
func (k Kind) Member() bool { return k == Hospital || k == ResearchCentre }

// Organisation is what the generator needs to know of an organisation.
type Organisation struct {
	Name string `yaml:"name"` // for instance hospital1
	MSP  string `yaml:"msp"`  // MSP identifier, for instance Hospital1MSP
	Kind Kind   `yaml:"kind"`
}

// mspPattern is what a word of Fabric's policy language may be.
var mspPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,39}$`)

// Check refuses an organisation of an unknown kind, or with an MSP identifier
// that Fabric's policies can't name.
func (o Organisation) Check() error {
	if !mspPattern.MatchString(o.MSP) {
		return fmt.Errorf("MSP identifier %q does not match %s", o.MSP, mspPattern)
	}
	if !slices.Contains(kinds, o.Kind) {
		return fmt.Errorf("kind %q is none of %v", o.Kind, kinds)
	}
	return nil
}

// Setting is what a consortium may choose for a kind of collection.
type Setting struct {
	// BlockToLive is how many blocks a value stays on the peers before they
	// remove it for good, 0 for ever. Blocks are not time: an idle channel
	// makes none, a busy one ten a second.
	BlockToLive uint64 `yaml:"blockToLive"`
}

// Settings are a consortium's choices for its collections.
type Settings struct {
	Records Setting `yaml:"records"`
	Grants  Setting `yaml:"grants"`
}

// Consortium is the part of consortium.yaml that decides who sees what.
type Consortium struct {
	Organisations []Organisation `yaml:"organisations"`
	Collections   Settings       `yaml:"collections"`
}

// Collection is one entry of collections_config.json, in Fabric's format.
type Collection struct {
	Name              string            `json:"name"`
	Policy            string            `json:"policy"` // whose peers hold the values
	RequiredPeerCount int               `json:"requiredPeerCount"`
	MaxPeerCount      int               `json:"maxPeerCount"`
	BlockToLive       uint64            `json:"blockToLive"`
	MemberOnlyRead    bool              `json:"memberOnlyRead"`  // only members' clients read
	MemberOnlyWrite   bool              `json:"memberOnlyWrite"` // only members' clients write
	EndorsementPolicy EndorsementPolicy `json:"endorsementPolicy"`
}

// holder is an organisation in a collection's policy.
var holder = regexp.MustCompile(`'([A-Za-z0-9]+)\.member'`)

// Holders are the MSP identifiers of the organisations whose peers hold the values.
func (c Collection) Holders() []string {
	var msps []string
	for _, found := range holder.FindAllStringSubmatch(c.Policy, -1) {
		msps = append(msps, found[1])
	}
	return msps
}

// EndorsementPolicy says which peers must endorse a write to a collection.
type EndorsementPolicy struct {
	SignaturePolicy string `json:"signaturePolicy"`
}

// Records names the collection in which the custodian with this MSP identifier
// keeps the private part of its records: CID, key wraps, patient identifier.
func Records(msp string) string { return "records-" + msp }

// Grants names the collection in which the custodian with this MSP identifier
// keeps what grantees may read: CID and key wrap of each grant.
func Grants(msp string) string { return "grants-" + msp }

// OfHospitals is a consortium of hospitals alone, by their MSP identifiers: all
// that collections are made from.
func OfHospitals(msps ...string) Consortium {
	var c Consortium
	for _, msp := range msps {
		c.Organisations = append(c.Organisations, Organisation{Name: msp, MSP: msp, Kind: Hospital})
	}
	return c
}

// Load reads the part of a consortium.yaml that decides who sees what.
func Load(path string) (Consortium, error) {
	var c Consortium
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := yaml.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Check refuses organisations that no collections can be made for.
func (c Consortium) Check() error {
	seen := map[string]bool{}
	for _, o := range c.Organisations {
		if err := o.Check(); err != nil {
			return fmt.Errorf("organisation %s: %w", o.Name, err)
		}
		if seen[o.MSP] {
			return fmt.Errorf("organisation %s: MSP identifier %s is taken by another one", o.Name, o.MSP)
		}
		seen[o.MSP] = true
	}
	return nil
}

// Members are the MSP identifiers of the cluster of trust, in the consortium's order.
func (c Consortium) Members() []string {
	var msps []string
	for _, o := range c.Organisations {
		if o.Kind.Member() {
			msps = append(msps, o.MSP)
		}
	}
	return msps
}

// Generate makes the consortium's collections: for each hospital its records
// and its grants, held by its own peer only, which also must endorse every write
// to them. A grantee is no member of the grants collection it reads from, so
// there memberOnlyRead is off and the chaincode alone decides who reads.
func (c Consortium) Generate() []Collection {
	all := []Collection{} // JSON's [], not null
	for _, o := range c.Organisations {
		if o.Kind != Hospital {
			continue
		}
		records := ofCustodian(Records(o.MSP), o.MSP, c.Collections.Records)
		grants := ofCustodian(Grants(o.MSP), o.MSP, c.Collections.Grants)
		grants.MemberOnlyRead = false
		all = append(all, records, grants)
	}
	return all
}

// ofCustodian is a collection that one organisation alone holds and endorses.
func ofCustodian(name, msp string, s Setting) Collection {
	return Collection{
		Name:              name,
		Policy:            anyOf([]string{msp}, "member"),
		BlockToLive:       s.BlockToLive,
		MemberOnlyRead:    true,
		MemberOnlyWrite:   true,
		EndorsementPolicy: EndorsementPolicy{anyOf([]string{msp}, "peer")},
	}
}

// Majority is Fabric's signature policy for more than half of the organisations,
// for instance OutOf(2, 'AMSP.peer', 'BMSP.peer', 'CMSP.peer'). Unlike an
// ImplicitMeta majority it makes a validator check each signature once.
func Majority(msps []string, role string) string {
	return fmt.Sprintf("OutOf(%d, %s)", len(msps)/2+1, principals(msps, role))
}

// anyOf is Fabric's signature policy for any one of the organisations.
func anyOf(msps []string, role string) string {
	return "OR(" + principals(msps, role) + ")"
}

func principals(msps []string, role string) string {
	list := make([]string, len(msps))
	for i, msp := range msps {
		list[i] = fmt.Sprintf("'%s.%s'", msp, role)
	}
	return strings.Join(list, ", ")
}

// JSON is the collections_config.json of these collections, indented and ending
// in a newline.
func JSON(all []Collection) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(all)
	return out.Bytes(), err
}
