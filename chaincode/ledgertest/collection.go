package ledgertest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Collection is the definition of a private data collection.
type Collection struct {
	Name            string
	Members         Policy // whose members belong to it, see Members
	MemberOnlyRead  bool   // only members' clients may read through a peer
	MemberOnlyWrite bool   // only members' clients may write through a peer
	BlockToLive     uint64 // blocks after which values expire, 0 for never
	Endorsement     Policy // zero: the chaincode's policy
}

// ParseCollections reads a collections_config.json, the form that the peer's
// lifecycle commands take.
func ParseCollections(config []byte) ([]Collection, error) {
	var raw []struct {
		Name              string `json:"name"`
		Policy            string `json:"policy"`
		BlockToLive       uint64 `json:"blockToLive"`
		MemberOnlyRead    bool   `json:"memberOnlyRead"`
		MemberOnlyWrite   bool   `json:"memberOnlyWrite"`
		EndorsementPolicy struct {
			SignaturePolicy string `json:"signaturePolicy"`
		} `json:"endorsementPolicy"`
	}
	if err := json.Unmarshal(config, &raw); err != nil {
		return nil, fmt.Errorf("collections: %w", err)
	}
	collections := make([]Collection, len(raw))
	for i, c := range raw {
		members, err := ParsePolicy(c.Policy)
		if err != nil {
			return nil, fmt.Errorf("collection %q: %w", c.Name, err)
		}
		collections[i] = Collection{
			Name: c.Name, Members: members, BlockToLive: c.BlockToLive,
			MemberOnlyRead: c.MemberOnlyRead, MemberOnlyWrite: c.MemberOnlyWrite,
		}
		if text := c.EndorsementPolicy.SignaturePolicy; text != "" {
			if collections[i].Endorsement, err = ParsePolicy(text); err != nil {
				return nil, fmt.Errorf("collection %q: %w", c.Name, err)
			}
		}
	}
	return collections, nil
}

// implicitPrefix begins the name of the collection that each organisation of a
// channel has without asking.
const implicitPrefix = "_implicit_org_"

// collection finds a definition: an explicit one, or the implicit one of an
// organisation.
func (l *Ledger) collection(name string) (*Collection, bool) {
	if c, ok := l.collections[name]; ok {
		return c, true
	}
	organisation, ok := strings.CutPrefix(name, implicitPrefix)
	if !ok || !l.organisations[organisation] {
		return nil, false
	}
	return &Collection{Name: name, Members: Members(organisation), Endorsement: OutOf(1, organisation)}, true
}

// has reports whether an identity belongs to the collection.
func (c *Collection) has(id *Identity) bool { return c.Members.satisfiedBy([]*Identity{id}) }

// expiry is the block whose commit removes a value committed in block, or 0 for
// none.
func (c *Collection) expiry(block uint64) uint64 {
	if c.BlockToLive == 0 {
		return 0
	}
	return block + c.BlockToLive + 1
}
