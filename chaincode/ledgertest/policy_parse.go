package ledgertest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
)

// ParsePolicy reads Fabric's policy language: AND, OR and OutOf over principals
// such as 'Hospital1MSP.peer', nested as deep as need be.
func ParsePolicy(text string) (Policy, error) {
	p := &policyParser{rest: text}
	rule, err := p.rule()
	if err != nil {
		return Policy{}, fmt.Errorf("policy %q: %w", text, err)
	}
	if p.space(); p.rest != "" {
		return Policy{}, fmt.Errorf("policy %q: unexpected %q after its end", text, p.rest)
	}
	if rule.GetNOutOf() == nil {
		return Policy{}, fmt.Errorf("policy %q: a policy is AND, OR or OutOf of principals", text)
	}
	return newPolicy(&common.SignaturePolicyEnvelope{Rule: rule, Identities: p.principals})
}

// MustPolicy is ParsePolicy for policies written in a test; it panics on a
// mistake.
func MustPolicy(text string) Policy {
	p, err := ParsePolicy(text)
	if err != nil {
		panic(err)
	}
	return p
}

var (
	gatePattern      = regexp.MustCompile(`^(And|and|AND|Or|or|OR|OutOf|outof|OUTOF)\s*\(`)
	principalPattern = regexp.MustCompile(`^['"]([[:alnum:].-]+)\.(admin|member|client|peer|orderer)['"]`)
	numberPattern    = regexp.MustCompile(`^['"]?([0-9]+)['"]?`)
)

type policyParser struct {
	rest       string
	principals []*msp.MSPPrincipal
}

func (p *policyParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *policyParser) take(pattern *regexp.Regexp) []string {
	p.space()
	match := pattern.FindStringSubmatch(p.rest)
	if match != nil {
		p.rest = p.rest[len(match[0]):]
	}
	return match
}

func (p *policyParser) takeByte(b byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != b {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *policyParser) rule() (*common.SignaturePolicy, error) {
	if match := p.take(principalPattern); match != nil {
		role := msp.MSPRole_MSPRoleType_value[strings.ToUpper(match[2])]
		p.principals = append(p.principals, principal(match[1], msp.MSPRole_MSPRoleType(role)))
		return signedBy(len(p.principals) - 1), nil
	}
	match := p.take(gatePattern)
	if match == nil {
		return nil, fmt.Errorf("expected a gate or a quoted principal at %q", p.rest)
	}
	return p.gate(strings.ToLower(match[1]))
}

func (p *policyParser) gate(name string) (*common.SignaturePolicy, error) {
	n := 1
	if name == "outof" {
		match := p.take(numberPattern)
		if match == nil || !p.takeByte(',') {
			return nil, fmt.Errorf("expected a number and a comma at %q", p.rest)
		}
		n, _ = strconv.Atoi(match[1])
	}
	rules, err := p.rules()
	if err != nil {
		return nil, err
	}
	if name == "and" {
		n = len(rules)
	}
	if n > len(rules)+1 {
		return nil, fmt.Errorf("invalid t-out-of-n predicate, t %d, n %d", n, len(rules))
	}
	return nOutOf(n, rules), nil
}

func (p *policyParser) rules() ([]*common.SignaturePolicy, error) {
	var rules []*common.SignaturePolicy
	for {
		rule, err := p.rule()
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
		if p.takeByte(')') {
			return rules, nil
		}
		if !p.takeByte(',') {
			return nil, fmt.Errorf("expected , or ) at %q", p.rest)
		}
	}
}
