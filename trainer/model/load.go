package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// Fit says how the tensors of a file fit the parameters of a model.
type Fit struct {
	Missing   []string // parameters that the file lacks
	Misshapen []string // parameters that it has in another shape, with both shapes
	Unused    []string // tensors that no parameter has the name of
}

// Err is nil when every parameter was found; else it is MF-MODEL-LOAD and lists those
// that were not.
func (f Fit) Err() error {
	var faults []string
	if len(f.Missing) > 0 {
		faults = append(faults, "missing: "+strings.Join(f.Missing, ", "))
	}
	if len(f.Misshapen) > 0 {
		faults = append(faults, "misshapen: "+strings.Join(f.Misshapen, ", "))
	}
	if faults == nil {
		return nil
	}
	return codes.Errorf("MF-MODEL-LOAD", "the weights are not those of this model (%s); bring a state dict of this architecture", strings.Join(faults, "; "))
}

// Load takes the parameters of a model by name from tensors in any order, such as
// a state dict. The result has exactly these parameters, in their order, and shares
// no memory with from; it is nil when one is missing or misshapen, which the fit
// tells.
func Load(parameters []Parameter, from *weights.Weights) (*weights.Weights, Fit) {
	var fit Fit
	w := new(weights.Weights)
	used := make(map[string]bool, len(parameters))
	for _, p := range parameters {
		used[p.Name] = true
		t := from.Find(p.Name)
		switch {
		case t == nil:
			fit.Missing = append(fit.Missing, p.Name)
		case !slices.Equal(t.Shape, p.Shape):
			fit.Misshapen = append(fit.Misshapen, fmt.Sprintf("%s %v instead of %v", p.Name, t.Shape, p.Shape))
		default:
			w.Tensors = append(w.Tensors, weights.Tensor{Name: p.Name, Shape: slices.Clone(p.Shape), Data: slices.Clone(t.Data)})
		}
	}
	for _, t := range from.Tensors {
		if !used[t.Name] {
			fit.Unused = append(fit.Unused, t.Name)
		}
	}
	if fit.Err() != nil {
		return nil, fit
	}
	return w, fit
}
