package ledgertest

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Scenario is a program of transactions in a file, one step a line, that runs on
// this ledger and on a real network. A failing random test prints one (see
// Ledger.Scenario).
type Scenario struct {
	Name  string `yaml:"name"`
	Steps []Step `yaml:"steps"`
}

// Step does one thing: Submit, Evaluate, Endorse or Commit a transaction, or
// change the world around it. What it expects is checked if given.
type Step struct {
	Submit   string   `yaml:"submit,omitempty"`            // function, endorsed and committed alone
	Evaluate string   `yaml:"evaluate,omitempty"`          // function, run on one peer
	Endorse  string   `yaml:"endorse,omitempty"`           // function, kept under Label for a later commit
	Commit   []string `yaml:"commit,omitempty,flow"`       // labels, ordered one after the other into one block
	Label    string   `yaml:"label,omitempty"`             // name of what was endorsed or answered
	As       string   `yaml:"as,omitempty"`                // "MSP/name" or "MSP/name/role"
	Args     []string `yaml:"args,omitempty,flow"`         // after the function's name
	On       []string `yaml:"on,omitempty,flow"`           // endorsing organisations
	At       string   `yaml:"at,omitempty"`                // timestamp, RFC 3339; the ledger's time otherwise
	Clock    string   `yaml:"clock,omitempty"`             // sets the ledger's time first, RFC 3339
	Advance  string   `yaml:"advance,omitempty"`           // moves the ledger's time first, for instance 30s
	Freeze   string   `yaml:"freeze,omitempty"`            // organisation whose peer stops keeping up
	CatchUp  string   `yaml:"catch_up,omitempty"`          // organisation whose peer keeps up again
	Skew     []string `yaml:"skew,omitempty,flow"`         // organisation and how far its peer's clock is ahead
	Revoke   string   `yaml:"revoke,omitempty"`            // identity, "MSP/name" or "MSP/name/role"
	Expect   *Outcome `yaml:"expect,omitempty"`            // of Submit, Evaluate or Endorse
	Codes    []string `yaml:"expect_codes,omitempty,flow"` // of Commit, in the order in which the chain has them

	Transient map[string]string `yaml:"transient,omitempty"`

	// Fill says what words in the arguments and transient values stand for:
	// "now+24h" for a time in Unix seconds, "digest of <label>" for the SHA-256
	// of what that step answered, in hexadecimal.
	Fill map[string]string `yaml:"fill,omitempty"`
}

// Outcome is what a step should come to; an empty field is not checked.
type Outcome struct {
	Code    string  `yaml:"code,omitempty"`    // validation code of a submit
	Refused string  `yaml:"refused,omitempty"` // part of the error of an endorsement or query
	Payload *string `yaml:"payload,omitempty"` // response
	Event   string  `yaml:"event,omitempty"`   // name
}

// ParseScenario reads a scenario from YAML; an unknown field is an error.
func ParseScenario(text []byte) (*Scenario, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	s := &Scenario{}
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	for i, step := range s.Steps {
		if n := step.actions(); n > 1 {
			return nil, fmt.Errorf("scenario %q, step %d: %d actions in one step", s.Name, i+1, n)
		}
	}
	return s, nil
}

// String writes the scenario as a file.
func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nsteps:\n", onOneLine(s.Name))
	for i := range s.Steps {
		fmt.Fprintf(&b, "  - %s\n", onOneLine(&s.Steps[i]))
	}
	return b.String()
}

// onOneLine writes a value as YAML without a line break.
func onOneLine(value any) string {
	var node yaml.Node
	err := node.Encode(value)
	if err == nil {
		flow(&node)
		var text []byte
		if text, err = yaml.Marshal(&node); err == nil {
			return strings.TrimSuffix(string(text), "\n")
		}
	}
	return "can't be written: " + err.Error()
}

func flow(n *yaml.Node) {
	switch {
	case n.Kind != yaml.ScalarNode:
		n.Style = yaml.FlowStyle
	case strings.ContainsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) }):
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		flow(child)
	}
}

func (s *Step) actions() int {
	n := 0
	for _, given := range []bool{s.Submit != "", s.Evaluate != "", s.Endorse != "", len(s.Commit) > 0} {
		if given {
			n++
		}
	}
	return n
}
