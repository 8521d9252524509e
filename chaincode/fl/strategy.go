package fl

import (
	"math/big"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// The strategies whose names these rules need: the server optimisers and FedAvg, the
// mean of the accepted updates weighted by num_examples (McMahan et al. 2017; Hu et
// al. section 4.2).
const (
	StrategyFedAvg  = "fedavg"
	strategyFedAdam = "fedadam"
	strategyFedAvgM = "fedavgm"
)

// StrategyParameter is a number that a strategy can be given. Its bounds, both
// allowed, are decimal numbers as text, since the ledger knows no others.
type StrategyParameter struct {
	Name      string
	Low, High string
	Whole     bool // whole numbers only
}

// StrategyRule is a strategy and what it can be given.
type StrategyRule struct {
	Name       string
	Parameters []StrategyParameter
}

// StrategyRules lists the strategies of the trainer, package trainer/fed, in
// alphabetical order: the chaincode can't import it, and a test of the client
// holds the two against each other.
func StrategyRules() []StrategyRule {
	malicious := StrategyParameter{"num_malicious_nodes", "0", "1000000", true}
	clipping := StrategyParameter{"clipping_norm", "0", "1e30", false}
	return []StrategyRule{
		{"bulyan", []StrategyParameter{malicious, clipping}},
		{strategyFedAdam, []StrategyParameter{
			{"eta", "1e-12", "1000000", false}, {"beta_1", "0", "0.999999", false},
			{"beta_2", "0", "0.999999", false}, {"tau", "1e-12", "1000000", false}, clipping,
		}},
		{StrategyFedAvg, []StrategyParameter{clipping}},
		{strategyFedAvgM, []StrategyParameter{
			{"server_learning_rate", "1e-12", "1000000", false}, {"server_momentum", "0", "0.999999", false}, clipping,
		}},
		{"fedmedian", []StrategyParameter{clipping}},
		{"fedprox", []StrategyParameter{{"proximal_mu", "0", "1000000", false}, clipping}},
		{"fedtrimmedavg", []StrategyParameter{{"beta", "0", "0.499999", false}, clipping}},
		{"krum", []StrategyParameter{malicious, clipping}},
		{"multikrum", []StrategyParameter{malicious, {"num_nodes_to_select", "1", "1000000", true}, clipping}},
	}
}

// CheckStrategy refuses a text that the trainer can't read as a strategy: a name,
// or a name, a colon and parameters as name=number, separated by commas. A number
// is an unsigned decimal one, with or without places and exponent.
func CheckStrategy(text string) error {
	name, list, given := strings.Cut(text, ":")
	rules := StrategyRules()
	i := slices.IndexFunc(rules, func(r StrategyRule) bool { return r.Name == name })
	if i < 0 {
		return codes.Errorf("MF-TERMS-STRATEGY", "the aggregation strategy is not known; use one of %s", strategyNames(rules))
	}
	if !given {
		return nil
	}
	seen := []string{}
	for _, pair := range strings.Split(list, ",") {
		key, number, _ := strings.Cut(pair, "=")
		if slices.Contains(seen, key) {
			return codes.Errorf("MF-TERMS-STRATEGY", "a parameter of %s is given twice; give it once", name)
		}
		seen = append(seen, key)
		if err := rules[i].check(key, number); err != nil {
			return err
		}
	}
	return nil
}

func strategyNames(rules []StrategyRule) string {
	names := []string{}
	for _, r := range rules {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

// check refuses a parameter that the strategy does not have, or a number outside
// its bounds.
func (r StrategyRule) check(key, number string) error {
	names := []string{}
	for _, p := range r.Parameters {
		names = append(names, p.Name)
		if p.Name != key {
			continue
		}
		if value, ok := decimalNumber(number); ok && p.holds(value) {
			return nil
		}
		kind := "decimal"
		if p.Whole {
			kind = "whole"
		}
		return codes.Errorf("MF-TERMS-STRATEGY", "%s is not a %s number from %s to %s; give one", p.Name, kind, p.Low, p.High)
	}
	return codes.Errorf("MF-TERMS-STRATEGY", "%s has no such parameter; it takes %s", r.Name, strings.Join(names, ", "))
}

func (p StrategyParameter) holds(value *big.Rat) bool {
	low, _ := decimalNumber(p.Low)
	high, _ := decimalNumber(p.High)
	return value.Cmp(low) >= 0 && value.Cmp(high) <= 0 && (!p.Whole || value.IsInt())
}

// maxDecimal bounds the length of a number, and so the work of reading it.
const maxDecimal = 40

// decimalNumber reads digits, with or without places and an exponent of one or
// two digits, exactly.
func decimalNumber(text string) (*big.Rat, bool) {
	if len(text) > maxDecimal {
		return nil, false
	}
	mantissa, exponent, scaled := strings.Cut(text, "e")
	if scaled {
		if exponent != "" && (exponent[0] == '-' || exponent[0] == '+') {
			exponent = exponent[1:]
		}
		if !isDigits(exponent) || len(exponent) > 2 {
			return nil, false
		}
	}
	whole, places, pointed := strings.Cut(mantissa, ".")
	if !isDigits(whole) || pointed && !isDigits(places) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// isDigits reports whether a text is one or more of 0-9.
func isDigits(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// GlobalSizes are the least and the most bytes that a global model of the task
// can have, of which every update has those of the first. A server optimiser keeps one
// more number for every learned one beside the model or, FedAdam, two, under names of
// their own: more than the model, less than four times it. The masters' attestations decide which
// it is, and a node does not use weights that are not what they attested.
func GlobalSizes(terms Terms) (least, most int64) {
	size := terms.Initial.Size
	if name, _, _ := strings.Cut(terms.Strategy, ":"); name == strategyFedAdam || name == strategyFedAvgM {
		return size + 1, min(4*size, MaxModelSize)
	}
	return size, size
}
