package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// The groups of a channel's configuration.
const (
	channelGroup     = "Channel"
	applicationGroup = "Application"
	ordererGroup     = "Orderer"
)

// channel is a channel's configuration: whom it trusts with what.
type channel struct {
	sequence      uint64
	root          *common.ConfigGroup
	organisations map[string]*organisation // by MSP identifier
	consenters    []*common.Consenter

	identified map[[sha256.Size]byte]identified // certificates seen, as long as the configuration holds
}

// identified is what became of a serialised identity.
type identified struct {
	id  *identity
	err error
}

// newChannel reads a configuration.
func newChannel(config *common.Config) (*channel, error) {
	c := &channel{
		sequence: config.GetSequence(), root: config.GetChannelGroup(),
		organisations: map[string]*organisation{}, identified: map[[sha256.Size]byte]identified{},
	}
	for _, group := range []string{applicationGroup, ordererGroup} {
		section, ok := c.root.GetGroups()[group]
		if !ok {
			return nil, fmt.Errorf("it has no group %s", group)
		}
		for _, name := range slices.Sorted(maps.Keys(section.GetGroups())) {
			if err := c.addOrganisation(section.Groups[name]); err != nil {
				return nil, fmt.Errorf("organisation %s: %w", name, err)
			}
		}
	}
	consensus := &common.Orderers{}
	if err := value(c.root.Groups[ordererGroup], "Orderers", consensus); err != nil {
		return nil, err
	}
	c.consenters = consensus.GetConsenterMapping()
	if len(c.consenters) == 0 {
		return nil, errors.New("it names no consenter; only ordering by SmartBFT can be checked")
	}
	return c, nil
}

func (c *channel) addOrganisation(group *common.ConfigGroup) error {
	wrapped := &msp.MSPConfig{}
	if err := value(group, "MSP", wrapped); err != nil {
		return err
	}
	if wrapped.GetType() != 0 {
		return errors.New("its MSP is not of X.509 certificates")
	}
	config := &msp.FabricMSPConfig{}
	if err := proto.Unmarshal(wrapped.GetConfig(), config); err != nil {
		return err
	}
	o, err := newOrganisation(config)
	if err != nil {
		return err
	}
	c.organisations[o.id] = o
	return nil
}

// value reads one value of a group.
func value(group *common.ConfigGroup, name string, into proto.Message) error {
	v, ok := group.GetValues()[name]
	if !ok {
		return fmt.Errorf("it has no value %s", name)
	}
	if err := proto.Unmarshal(v.GetValue(), into); err != nil {
		return fmt.Errorf("its value %s can't be read: %w", name, err)
	}
	return nil
}

// identify checks a serialised identity against the channel's organisations.
func (c *channel) identify(serialised []byte) (*identity, error) {
	key := sha256.Sum256(serialised)
	if known, ok := c.identified[key]; ok {
		return known.id, known.err
	}
	id, err := c.identifyAnew(serialised)
	c.identified[key] = identified{id, err}
	return id, err
}

func (c *channel) identifyAnew(serialised []byte) (*identity, error) {
	named := &msp.SerializedIdentity{}
	if err := proto.Unmarshal(serialised, named); err != nil {
		return nil, fmt.Errorf("the identity can't be read: %w", err)
	}
	o, ok := c.organisations[named.GetMspid()]
	if !ok {
		return nil, fmt.Errorf("%q is no organisation of the channel", named.GetMspid())
	}
	return o.identify(named.GetIdBytes())
}

// policyAt finds a policy by its path, for instance
// /Channel/Application/LifecycleEndorsement, and the group it is of.
func (c *channel) policyAt(path string) (*common.Policy, *common.ConfigGroup, bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 3 || parts[0] != "" || parts[1] != channelGroup {
		return nil, nil, false
	}
	group := c.root
	for _, name := range parts[2 : len(parts)-1] {
		next, ok := group.GetGroups()[name]
		if !ok {
			return nil, nil, false
		}
		group = next
	}
	policy, ok := group.GetPolicies()[parts[len(parts)-1]]
	return policy.GetPolicy(), group, ok
}

// applicationGroupOf is the name of the group of an organisation of the
// application, which need not be its MSP identifier.
func (c *channel) applicationGroupOf(mspID string) (string, bool) {
	for name, group := range c.root.Groups[applicationGroup].GetGroups() {
		wrapped, config := &msp.MSPConfig{}, &msp.FabricMSPConfig{}
		if value(group, "MSP", wrapped) == nil && proto.Unmarshal(wrapped.GetConfig(), config) == nil && config.GetName() == mspID {
			return name, true
		}
	}
	return "", false
}
