package ledgertest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// Policy is a Fabric signature policy: who must have signed. The zero Policy is
// none at all.
type Policy struct {
	envelope *common.SignaturePolicyEnvelope
	roles    []*msp.MSPRole // one for each principal of the envelope
}

// OutOf asks for the signatures of peers of n of the organisations.
func OutOf(n int, organisations ...string) Policy {
	envelope := &common.SignaturePolicyEnvelope{}
	rules := make([]*common.SignaturePolicy, len(organisations))
	for i, organisation := range organisations {
		envelope.Identities = append(envelope.Identities, principal(organisation, msp.MSPRole_PEER))
		rules[i] = signedBy(i)
	}
	envelope.Rule = nOutOf(n, rules)
	return mustPolicy(envelope)
}

// Majority asks for the signatures of peers of more than half of the organisations.
func Majority(organisations ...string) Policy {
	return OutOf(len(organisations)/2+1, organisations...)
}

// Members is the policy of a collection or a channel to which any member of one
// of the organisations belongs.
func Members(organisations ...string) Policy {
	envelope := &common.SignaturePolicyEnvelope{}
	rules := make([]*common.SignaturePolicy, len(organisations))
	for i, organisation := range organisations {
		envelope.Identities = append(envelope.Identities, principal(organisation, msp.MSPRole_MEMBER))
		rules[i] = signedBy(i)
	}
	envelope.Rule = nOutOf(1, rules)
	return mustPolicy(envelope)
}

// PolicyOf reads a serialised SignaturePolicyEnvelope, the form in which a
// chaincode sets a key's validation parameter.
func PolicyOf(serialised []byte) (Policy, error) {
	envelope := &common.SignaturePolicyEnvelope{}
	if err := proto.Unmarshal(serialised, envelope); err != nil {
		return Policy{}, fmt.Errorf("not a signature policy: %w", err)
	}
	return newPolicy(envelope)
}

func newPolicy(envelope *common.SignaturePolicyEnvelope) (Policy, error) {
	p := Policy{envelope: envelope}
	for i, identity := range envelope.Identities {
		if identity.PrincipalClassification != msp.MSPPrincipal_ROLE {
			return Policy{}, fmt.Errorf("principal %d is a %v; only roles are modelled", i, identity.PrincipalClassification)
		}
		role := &msp.MSPRole{}
		if err := proto.Unmarshal(identity.Principal, role); err != nil {
			return Policy{}, fmt.Errorf("principal %d: %w", i, err)
		}
		p.roles = append(p.roles, role)
	}
	if err := checkRule(envelope.Rule, len(p.roles)); err != nil {
		return Policy{}, err
	}
	return p, nil
}

func mustPolicy(envelope *common.SignaturePolicyEnvelope) Policy {
	p, err := newPolicy(envelope)
	if err != nil {
		panic(err)
	}
	return p
}

func checkRule(rule *common.SignaturePolicy, principals int) error {
	switch t := rule.GetType().(type) {
	case *common.SignaturePolicy_SignedBy:
		if t.SignedBy < 0 || int(t.SignedBy) >= principals {
			return fmt.Errorf("identity index out of range, requested %d, but identities length is %d", t.SignedBy, principals)
		}
	case *common.SignaturePolicy_NOutOf_:
		for _, r := range t.NOutOf.GetRules() {
			if err := checkRule(r, principals); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("empty policy element")
	}
	return nil
}

// IsZero reports whether there is no policy.
func (p Policy) IsZero() bool { return p.envelope == nil }

// Bytes serialises the policy as a validation parameter of a key.
func (p Policy) Bytes() []byte {
	if p.IsZero() {
		return nil
	}
	return marshal(p.envelope)
}

// Organisations lists the MSP identifiers that the policy names, sorted.
func (p Policy) Organisations() []string {
	var names []string
	for _, role := range p.roles {
		names = append(names, role.MspIdentifier)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// String writes the policy in Fabric's policy language.
func (p Policy) String() string {
	if p.IsZero() {
		return ""
	}
	return p.ruleString(p.envelope.Rule)
}

func (p Policy) ruleString(rule *common.SignaturePolicy) string {
	if t, ok := rule.Type.(*common.SignaturePolicy_SignedBy); ok {
		role := p.roles[t.SignedBy]
		return fmt.Sprintf("'%s.%s'", role.MspIdentifier, strings.ToLower(role.Role.String()))
	}
	gate := rule.GetNOutOf()
	parts := []string{fmt.Sprint(gate.N)}
	for _, r := range gate.Rules {
		parts = append(parts, p.ruleString(r))
	}
	return "OutOf(" + strings.Join(parts, ", ") + ")"
}

// satisfiedBy evaluates the policy over a set of signers; each signer counts
// once, as in a peer.
func (p Policy) satisfiedBy(signers []*Identity) bool {
	var distinct []*Identity
	for _, s := range signers {
		if !slices.Contains(distinct, s) {
			distinct = append(distinct, s)
		}
	}
	return p.evaluate(p.envelope.Rule, distinct, make([]bool, len(distinct)))
}

func (p Policy) evaluate(rule *common.SignaturePolicy, signers []*Identity, used []bool) bool {
	if t, ok := rule.Type.(*common.SignaturePolicy_SignedBy); ok {
		for i, signer := range signers {
			if !used[i] && signer.is(p.roles[t.SignedBy]) {
				used[i] = true
				return true
			}
		}
		return false
	}
	gate := rule.GetNOutOf()
	verified := int32(0)
	attempt := make([]bool, len(used))
	for _, r := range gate.Rules {
		copy(attempt, used)
		if p.evaluate(r, signers, attempt) {
			verified++
			copy(used, attempt)
		}
	}
	return verified >= gate.N
}

func principal(organisation string, role msp.MSPRole_MSPRoleType) *msp.MSPPrincipal {
	return &msp.MSPPrincipal{
		PrincipalClassification: msp.MSPPrincipal_ROLE,
		Principal:               marshal(&msp.MSPRole{MspIdentifier: organisation, Role: role}),
	}
}

func signedBy(i int) *common.SignaturePolicy {
	return &common.SignaturePolicy{Type: &common.SignaturePolicy_SignedBy{SignedBy: int32(i)}}
}

func nOutOf(n int, rules []*common.SignaturePolicy) *common.SignaturePolicy {
	return &common.SignaturePolicy{Type: &common.SignaturePolicy_NOutOf_{
		NOutOf: &common.SignaturePolicy_NOutOf{N: int32(n), Rules: rules},
	}}
}

// marshal serialises a message the same way every time. The messages of this
// package hold nothing that can't be serialised except strings taken from a
// chaincode, which are checked where they enter.
func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("ledgertest: %T: %v", m, err))
	}
	return b
}

// mustUnmarshal reads back what marshal wrote.
func mustUnmarshal(b []byte, m proto.Message) {
	if err := proto.Unmarshal(b, m); err != nil {
		panic(fmt.Sprintf("ledgertest: %T: %v", m, err))
	}
}
