package fed

import (
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// The state of a server optimiser travels with the global model, so that the digest
// the masters attest covers it and a node that comes late finds it: it stands after
// the model's own tensors, in tensors whose names begin with the strategy's and a dot.

func isState(name string) bool {
	return strings.HasPrefix(name, FedAdam+".") || strings.HasPrefix(name, FedAvgM+".")
}

// Model is the global model without the state a server optimiser keeps beside
// it: what nodes train from and evaluate. Weights without state are returned as
// they are; in any case the tensors share memory with global. nil gives nil.
func Model(global *weights.Weights) *weights.Weights {
	if global == nil || !slices.ContainsFunc(global.Tensors, func(t weights.Tensor) bool { return isState(t.Name) }) {
		return global
	}
	model := &weights.Weights{}
	for _, t := range global.Tensors {
		if !isState(t.Name) {
			model.Tensors = append(model.Tensors, t)
		}
	}
	return model
}

// isStatistic reports whether a tensor is measured rather than trained: the
// running statistics of batch normalisation. Server optimisers average them, where
// Flower steps them too: a step could make a variance negative.
func isStatistic(name string) bool {
	return strings.HasSuffix(name, ".running_mean") || strings.HasSuffix(name, ".running_var")
}

// readTensor copies the state of the model's tensor t.
func readTensor(global *weights.Weights, prefix string, t weights.Tensor) (weights.Tensor, error) {
	found := global.Find(prefix + t.Name)
	if found == nil || !slices.Equal(found.Shape, t.Shape) {
		return weights.Tensor{}, damaged(prefix + t.Name)
	}
	return weights.Tensor{Name: found.Name, Shape: slices.Clone(found.Shape), Data: slices.Clone(found.Data)}, nil
}

func damaged(name string) error {
	return codes.Errorf("MF-FED-STATE", "the state %q in the previous global model is missing, misshapen or out of range; fetch the model again", name)
}

func zeros(prefix string, t weights.Tensor) weights.Tensor {
	return weights.Tensor{Name: prefix + t.Name, Shape: slices.Clone(t.Shape), Data: make([]float32, len(t.Data))}
}

// finite refuses an aggregate that holds what is not finite; rate is the parameter to
// lower then.
func finite(w *weights.Weights, rate string) (*weights.Weights, error) {
	if name, ok := w.Finite(); !ok {
		return nil, codes.Errorf("MF-FED-NOTFINITE", "tensor %q of the aggregate would hold NaN or an infinity; lower %s or clip the updates", name, rate)
	}
	return w, nil
}
