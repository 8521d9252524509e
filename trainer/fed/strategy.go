package fed

import (
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// The strategies, by Flower's names in small letters and with its semantics and
// parameters (github.com/adap/flower, flwr.serverapp.strategy).
const (
	// FedAvg is the mean of the updates weighted by num_examples.
	FedAvg = "fedavg"
	// FedProx aggregates as FedAvg; the trainers add proximal_mu/2 times the
	// squared distance from the previous global model to their loss (Li et al.,
	// arXiv 1812.06127). See [Strategy.ProximalMu].
	FedProx = "fedprox"
	// FedAdam takes the distance from the previous global model to the mean as a
	// gradient and steps along it with Adam (Reddi et al., arXiv 2003.00295). It
	// keeps state; see [Model].
	FedAdam = "fedadam"
	// FedAvgM adds server_momentum times its last step to the distance from the previous
	// global model to the mean, and steps server_learning_rate times that (Hsu et al.,
	// arXiv 1909.06335). It keeps state; see [Model].
	FedAvgM = "fedavgm"
	// FedMedian is the median of every value (Yin et al., arXiv 1803.01498); of an
	// even number of updates the mean of the middle two. num_examples is unused.
	FedMedian = "fedmedian"
	// FedTrimmedAvg is the mean of every value without the beta share of the
	// largest and of the smallest (Yin et al.). num_examples is unused.
	FedTrimmedAvg = "fedtrimmedavg"
	// Krum is the update with the least sum of squared distances to its
	// n - num_malicious_nodes - 2 nearest ones, at least one (Blanchard et al.,
	// NeurIPS 2017). It gives its guarantee with 2f+3 updates and works with fewer.
	Krum = "krum"
	// MultiKrum is the mean, weighted by num_examples, of the num_nodes_to_select
	// best updates by Krum's measure.
	MultiKrum = "multikrum"
	// Bulyan chooses n - 2f updates by Krum, one after another without those
	// chosen before, and means of every value the n - 4f nearest to their median
	// (El Mhamdi et al., arXiv 1802.07927). It refuses fewer than 4f+3 updates.
	Bulyan = "bulyan"
)

// Parameter is a number a strategy can be given.
type Parameter struct {
	Name      string
	Default   float64
	Low, High float64 // bounds, both allowed
	Whole     bool    // whole numbers only
}

// clippingNorm goes with every strategy: 0 for none, else every update is first
// moved towards the previous global model until their distance is at most this
// (flat clipping, McMahan et al., arXiv 1710.06963; Flower's
// DifferentialPrivacyServerSideFixedClipping without its noise).
var clippingNorm = Parameter{Name: "clipping_norm", High: 1e30}

// rule is a strategy's parameters and its work on sorted, checked updates. A server
// optimiser steps from the previous global model, and keeps state beside it.
type rule struct {
	name       string
	parameters []Parameter
	optimiser  bool
	aggregate  func(s Strategy, previous *weights.Weights, updates []Update) (*weights.Weights, error)
}

var malicious = Parameter{Name: "num_malicious_nodes", High: 1e6, Whole: true}

// rules in alphabetical order.
func rules() []rule {
	mean := func(_ Strategy, _ *weights.Weights, updates []Update) (*weights.Weights, error) {
		return average(updates), nil
	}
	return []rule{
		{Bulyan, []Parameter{malicious}, false, bulyan},
		{FedAdam, []Parameter{
			{Name: "eta", Default: 0.1, Low: 1e-12, High: 1e6},
			{Name: "beta_1", Default: 0.9, High: 0.999999},
			{Name: "beta_2", Default: 0.99, High: 0.999999},
			{Name: "tau", Default: 1e-3, Low: 1e-12, High: 1e6},
		}, true, fedAdam},
		{FedAvg, nil, false, mean},
		{FedAvgM, []Parameter{
			{Name: "server_learning_rate", Default: 1, Low: 1e-12, High: 1e6},
			{Name: "server_momentum", High: 0.999999},
		}, true, fedAvgM},
		{FedMedian, nil, false, fedMedian},
		{FedProx, []Parameter{{Name: "proximal_mu", High: 1e6}}, false, mean},
		{FedTrimmedAvg, []Parameter{{Name: "beta", Default: 0.2, High: 0.499999}}, false, fedTrimmedAvg},
		{Krum, []Parameter{malicious}, false, krum},
		{MultiKrum, []Parameter{malicious, {Name: "num_nodes_to_select", Default: 1, Low: 1, High: 1e6, Whole: true}}, false, krum},
	}
}

// Strategies lists the strategies by name.
func Strategies() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// Parameters lists what the strategy of that name can be given, clipping_norm
// last; none when there is no such strategy.
func Parameters(name string) []Parameter {
	for _, r := range rules() {
		if r.name == name {
			return append(slices.Clone(r.parameters), clippingNorm)
		}
	}
	return nil
}

// Strategy is an aggregation rule with its parameters.
type Strategy struct {
	rule   rule
	values map[string]float64
}

// Parse reads a strategy as a task names it: the name alone, or with parameters
// that are not at their defaults, as in
//
//	fedavg
//	krum:num_malicious_nodes=1
//	fedtrimmedavg:beta=0.1,clipping_norm=2.5
//
// The error is MF-FED-STRATEGY.
func Parse(text string) (Strategy, error) {
	name, list, given := strings.Cut(text, ":")
	i := slices.IndexFunc(rules(), func(r rule) bool { return r.name == name })
	if i < 0 {
		return Strategy{}, codes.Errorf("MF-FED-STRATEGY", "there is no aggregation strategy %q; choose one of %s", name, strings.Join(Strategies(), ", "))
	}
	s := Strategy{rules()[i], map[string]float64{}}
	if !given {
		return s, nil
	}
	for _, pair := range strings.Split(list, ",") {
		if err := s.set(pair); err != nil {
			return Strategy{}, err
		}
	}
	return s, nil
}

// set takes one name=value.
func (s Strategy) set(pair string) error {
	key, number, _ := strings.Cut(pair, "=")
	all := Parameters(s.rule.name)
	i := slices.IndexFunc(all, func(p Parameter) bool { return p.Name == key })
	if i < 0 {
		var names []string
		for _, p := range all {
			names = append(names, p.Name)
		}
		return codes.Errorf("MF-FED-STRATEGY", "%s has no parameter %q; it takes %s", s.rule.name, key, strings.Join(names, ", "))
	}
	if _, twice := s.values[key]; twice {
		return codes.Errorf("MF-FED-STRATEGY", "%s is given twice; give it once", key)
	}
	p := all[i]
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= p.Low && v <= p.High) || p.Whole && v != float64(int(v)) {
		kind := "number"
		if p.Whole {
			kind = "whole number"
		}
		return codes.Errorf("MF-FED-STRATEGY", "%s is %q; give a %s from %g to %g", key, number, kind, p.Low, p.High)
	}
	s.values[key] = v
	return nil
}

// KeepsState reports whether a global model carries more than the model; see [Model].
func (s Strategy) KeepsState() bool { return s.rule.optimiser }

// Name is the strategy's name without parameters.
func (s Strategy) Name() string { return s.rule.name }

// String is what [Parse] reads, in its one shortest form: parameters at their
// defaults left out, the others in the order of [Parameters].
func (s Strategy) String() string {
	var pairs []string
	for _, p := range Parameters(s.rule.name) {
		if v := s.value(p.Name); v != p.Default {
			pairs = append(pairs, p.Name+"="+strconv.FormatFloat(v, 'g', -1, 64))
		}
	}
	if len(pairs) == 0 {
		return s.rule.name
	}
	return s.rule.name + ":" + strings.Join(pairs, ",")
}

// ProximalMu is the factor of the proximal term the trainers add to their loss:
// 0 for all strategies but FedProx.
func (s Strategy) ProximalMu() float64 { return s.value("proximal_mu") }

// value is a parameter's value or its default; 0 when there is no such parameter.
func (s Strategy) value(name string) float64 {
	if v, ok := s.values[name]; ok {
		return v
	}
	for _, p := range s.rule.parameters {
		if p.Name == name {
			return p.Default
		}
	}
	return 0
}

// Aggregate makes the next global model of the updates of a round by a strategy
// as [Parse] reads it: the same bytes whatever the order of updates, on every
// machine. previous is the global model the updates started from; nil where the
// strategy can do without. Neither it nor the updates are changed. The errors are
// those of the package.
func Aggregate(strategy string, previous *weights.Weights, updates []Update) (*weights.Weights, error) {
	s, err := Parse(strategy)
	if err != nil {
		return nil, err
	}
	sorted, err := ordered(Model(previous), updates)
	if err != nil {
		return nil, err
	}
	if s.rule.optimiser && previous == nil {
		return nil, codes.Errorf("MF-FED-PREVIOUS", "%s steps from the previous global model; give it", s.rule.name)
	}
	if norm := s.value(clippingNorm.Name); norm > 0 {
		if sorted, err = clip(Model(previous), sorted, norm); err != nil {
			return nil, err
		}
	}
	return s.rule.aggregate(s, previous, sorted)
}
