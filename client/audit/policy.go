package audit

import (
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// errPolicy says that the signers are not those a policy asks for.
var errPolicy = errors.New("the signers do not satisfy the policy")

// checkApplication evaluates a chaincode's or a collection's policy, a
// serialised ApplicationPolicy: a signature policy of its own, or the name of
// one of the channel's.
func (c *channel) checkApplication(serialised []byte, signers []*identity) error {
	policy := &peer.ApplicationPolicy{}
	if err := proto.Unmarshal(serialised, policy); err != nil {
		return fmt.Errorf("the policy can't be read: %w", err)
	}
	switch kind := policy.GetType().(type) {
	case *peer.ApplicationPolicy_SignaturePolicy:
		return checkSignaturePolicy(kind.SignaturePolicy, signers)
	case *peer.ApplicationPolicy_ChannelConfigPolicyReference:
		return c.checkReference(kind.ChannelConfigPolicyReference, signers)
	default:
		return errors.New("the policy is neither a signature policy nor one of the channel's")
	}
}

// checkReference evaluates a policy of the channel's configuration.
func (c *channel) checkReference(path string, signers []*identity) error {
	policy, group, ok := c.policyAt(path)
	if !ok {
		return fmt.Errorf("the channel has no policy %s", path)
	}
	return checkConfigured(policy, group, signers)
}

func checkConfigured(policy *common.Policy, group *common.ConfigGroup, signers []*identity) error {
	switch common.Policy_PolicyType(policy.GetType()) {
	case common.Policy_SIGNATURE:
		envelope := &common.SignaturePolicyEnvelope{}
		if err := proto.Unmarshal(policy.GetValue(), envelope); err != nil {
			return fmt.Errorf("the policy can't be read: %w", err)
		}
		return checkSignaturePolicy(envelope, signers)
	case common.Policy_IMPLICIT_META:
		meta := &common.ImplicitMetaPolicy{}
		if err := proto.Unmarshal(policy.GetValue(), meta); err != nil {
			return fmt.Errorf("the policy can't be read: %w", err)
		}
		return checkImplicit(meta, group, signers)
	default:
		return fmt.Errorf("a policy of the kind %d is not known", policy.GetType())
	}
}

// checkImplicit evaluates a policy that counts the groups below it whose policy
// of one name is satisfied.
func checkImplicit(meta *common.ImplicitMetaPolicy, group *common.ConfigGroup, signers []*identity) error {
	needed := 1
	switch n := len(group.GetGroups()); {
	case n == 0:
		needed = 0
	case meta.GetRule() == common.ImplicitMetaPolicy_ALL:
		needed = n
	case meta.GetRule() == common.ImplicitMetaPolicy_MAJORITY:
		needed = n/2 + 1
	}
	for _, below := range group.GetGroups() {
		policy, ok := below.GetPolicies()[meta.GetSubPolicy()]
		if ok && checkConfigured(policy.GetPolicy(), below, signers) == nil {
			needed--
		}
	}
	if needed > 0 {
		return errPolicy
	}
	return nil
}

// checkSignaturePolicy evaluates a signature policy over signers, each of whom
// counts once.
func checkSignaturePolicy(envelope *common.SignaturePolicyEnvelope, signers []*identity) error {
	e := evaluation{envelope, signers}
	if err := e.check(envelope.GetRule()); err != nil {
		return err
	}
	if !e.holds(envelope.GetRule(), make([]bool, len(signers))) {
		return errPolicy
	}
	return nil
}

type evaluation struct {
	*common.SignaturePolicyEnvelope
	signers []*identity
}

// check refuses a rule that can't be evaluated.
func (e evaluation) check(rule *common.SignaturePolicy) error {
	switch kind := rule.GetType().(type) {
	case *common.SignaturePolicy_SignedBy:
		if kind.SignedBy < 0 || int(kind.SignedBy) >= len(e.Identities) {
			return fmt.Errorf("the policy asks for principal %d of %d", kind.SignedBy, len(e.Identities))
		}
		return nil
	case *common.SignaturePolicy_NOutOf_:
		for _, r := range kind.NOutOf.GetRules() {
			if err := e.check(r); err != nil {
				return err
			}
		}
		return nil
	default:
		return errors.New("the policy has an empty rule")
	}
}

// holds evaluates a rule as Fabric does: in order, taking for each principal the
// first signer that is not used yet. A rule that fails uses nobody.
func (e evaluation) holds(rule *common.SignaturePolicy, used []bool) bool {
	if by, ok := rule.GetType().(*common.SignaturePolicy_SignedBy); ok {
		for i, signer := range e.signers {
			if !used[i] && signer.satisfies(e.Identities[by.SignedBy]) {
				used[i] = true
				return true
			}
		}
		return false
	}
	gate := rule.GetNOutOf()
	satisfied := int32(0)
	attempt := make([]bool, len(used))
	for _, r := range gate.GetRules() {
		copy(attempt, used)
		if e.holds(r, attempt) {
			satisfied++
			copy(used, attempt)
		}
	}
	return satisfied >= gate.GetN()
}
