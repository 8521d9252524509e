package audit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
)

// A channel's configuration is a tree of groups, values and policies. Each of
// them has a version and a mod_policy: the name of the policy that whoever
// changes it must satisfy. A block with a configuration holds the update that led
// to it as well, with the signatures of those who wanted it. Orderers apply the
// update and sign the block; so that a quorum of orderers who collude can't change
// the channel by themselves, it is applied again here (the same rules as Fabric's
// common/configtx) and must be authorised and lead to the configuration of the
// block.

// element is a group, a value or a policy of a configuration.
type element struct {
	is interface {
		proto.Message
		GetVersion() uint64
		GetModPolicy() string
	}
	group string // path of the group that its mod_policy is looked up in: a group's own, or the one it is in
}

// elementsOf lists a configuration by kind and path, for instance
// "value /Channel/Orderer/BatchSize".
func elementsOf(root *common.ConfigGroup) map[string]element {
	all := map[string]element{}
	var visit func(string, *common.ConfigGroup)
	visit = func(path string, group *common.ConfigGroup) {
		all["group "+path] = element{group, path}
		for name, value := range group.GetValues() {
			all["value "+path+"/"+name] = element{value, path}
		}
		for name, policy := range group.GetPolicies() {
			all["policy "+path+"/"+name] = element{policy, path}
		}
		for name, below := range group.GetGroups() {
			visit(path+"/"+name, below)
		}
	}
	visit("/"+channelGroup, root)
	return all
}

// checkUpdate checks that a configuration is what its update makes of the one in
// force, and that those who signed the update may change what it changes. It
// returns how many of the update's signatures hold.
func (c *channel) checkUpdate(channelID string, next *common.ConfigEnvelope) (int, error) {
	payload, signed, update := &common.Payload{}, &common.ConfigUpdateEnvelope{}, &common.ConfigUpdate{}
	if err := errors.Join(
		proto.Unmarshal(next.GetLastUpdate().GetPayload(), payload), proto.Unmarshal(payload.GetData(), signed), proto.Unmarshal(signed.GetConfigUpdate(), update),
	); err != nil {
		return 0, fmt.Errorf("the update that led to it can't be read: %w", err)
	}
	if update.GetChannelId() != channelID {
		return 0, fmt.Errorf("the update that led to it is of the channel %q", update.GetChannelId())
	}
	signers := c.signersOf(signed)
	result, err := c.updated(update, signers)
	if err != nil {
		return 0, err
	}
	if !proto.Equal(result, next.GetConfig().GetChannelGroup()) {
		return 0, errors.New("it is not what the update that led to it makes of the one before")
	}
	return len(signers), nil
}

// signersOf are those whose certificate and signature of an update are good, each
// once.
func (c *channel) signersOf(signed *common.ConfigUpdateEnvelope) []*identity {
	var good []*identity
	seen := map[string]bool{}
	for _, s := range signed.GetSignatures() {
		header := &common.SignatureHeader{}
		if proto.Unmarshal(s.GetSignatureHeader(), header) != nil {
			continue
		}
		id, err := c.identify(header.GetCreator())
		if err != nil || seen[id.key()] {
			continue
		}
		message := append(slices.Clone(s.GetSignatureHeader()), signed.GetConfigUpdate()...)
		if id.verify(message, s.GetSignature()) != nil {
			continue
		}
		seen[id.key()] = true
		good = append(good, id)
	}
	return good
}

// updated applies an update to the configuration in force: what it has read must
// be there in the same version, and each element that it writes anew must be
// authorised. An element that was not there needs nothing of its own, for the
// group that it appears in is written with it.
func (c *channel) updated(update *common.ConfigUpdate, signers []*identity) (*common.ConfigGroup, error) {
	all, read, write := elementsOf(c.root), elementsOf(update.GetReadSet()), elementsOf(update.GetWriteSet())
	for _, path := range slices.Sorted(maps.Keys(read)) {
		if now, ok := all[path]; !ok || now.is.GetVersion() != read[path].is.GetVersion() {
			return nil, fmt.Errorf("the update that led to it was made for another version of the %s", path)
		}
	}
	changed := 0
	for _, path := range slices.Sorted(maps.Keys(write)) {
		e := write[path]
		if before, ok := read[path]; ok && before.is.GetVersion() == e.is.GetVersion() {
			continue
		}
		if err := c.checkChange(path, all, e, signers); err != nil {
			return nil, err
		}
		all[path] = e
		changed++
	}
	if changed == 0 {
		return nil, errors.New("the update that led to it changes nothing")
	}
	return assembled("/"+channelGroup, all)
}

// checkChange checks one element of an update against the configuration in force.
func (c *channel) checkChange(path string, all map[string]element, e element, signers []*identity) error {
	if e.is.GetModPolicy() == "" {
		return fmt.Errorf("the update that led to it leaves the %s without a mod_policy", path)
	}
	before, ok := all[path]
	switch {
	case !ok && e.is.GetVersion() != 0:
		return fmt.Errorf("the update that led to it makes the %s as version %d and not 0", path, e.is.GetVersion())
	case !ok:
		return nil
	case e.is.GetVersion() != before.is.GetVersion()+1:
		return fmt.Errorf("the update that led to it makes version %d of the %s follow version %d", e.is.GetVersion(), path, before.is.GetVersion())
	}
	policy := before.is.GetModPolicy()
	if !strings.HasPrefix(policy, "/") {
		policy = before.group + "/" + policy
	}
	if err := c.checkReference(policy, signers); err != nil {
		return fmt.Errorf("the %s was changed by %d signers, and %s was not satisfied: %w", path, len(signers), policy, err)
	}
	return nil
}

// assembled puts a configuration together again: a group holds what its newest
// version names.
func assembled(path string, all map[string]element) (*common.ConfigGroup, error) {
	is, ok := all["group "+path].is.(*common.ConfigGroup)
	if !ok {
		return nil, fmt.Errorf("it has no group %s", path)
	}
	group := proto.Clone(is).(*common.ConfigGroup)
	group.ModPolicy = orAdmins(group.ModPolicy)
	for name := range group.Values {
		value, _ := all["value "+path+"/"+name].is.(*common.ConfigValue)
		group.Values[name] = proto.Clone(value).(*common.ConfigValue)
		group.Values[name].ModPolicy = orAdmins(value.GetModPolicy())
	}
	for name := range group.Policies {
		policy, _ := all["policy "+path+"/"+name].is.(*common.ConfigPolicy)
		group.Policies[name] = proto.Clone(policy).(*common.ConfigPolicy)
		group.Policies[name].ModPolicy = orAdmins(policy.GetModPolicy())
	}
	for name := range group.Groups {
		below, err := assembled(path+"/"+name, all)
		if err != nil {
			return nil, err
		}
		group.Groups[name] = below
	}
	return group, nil
}

// orAdmins is a mod_policy after an update: Fabric gives those that have none the
// policy Admins.
func orAdmins(policy string) string {
	if policy == "" {
		return "Admins"
	}
	return policy
}
