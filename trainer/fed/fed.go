// Package fed makes one global model of many updates. Masters attest the
// digest of what they computed themselves, so an aggregate is the same bytes on
// every machine: updates are taken in the order of their IDs whatever order they
// arrive in, sums run in that order in float64, each value is rounded to float32
// once, and every product that is added to something is rounded first, which
// keeps a compiler from fusing the two where the machine could.
//
// Errors begin with a stable code:
//
//	MF-FED-STRATEGY      no strategy has that name, or not that parameter
//	MF-FED-EMPTY         there are no updates
//	MF-FED-TOOFEW        the strategy needs more updates
//	MF-FED-DUPLICATE     two updates have one ID
//	MF-FED-EXAMPLES      an update's num_examples is not positive, or their sum too large
//	MF-FED-NOTFINITE     an update holds NaN or an infinity, or the aggregate would
//	MF-FED-PREVIOUS      the strategy needs the previous global model
//	MF-FED-STATE         the state of a server optimiser is damaged
//	MF-WEIGHTS-INCOMPATIBLE  the updates are not of one architecture
package fed

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// Update is what one node trained in a round.
type Update struct {
	ID          string // unique in the round; fixes the order of all sums
	Weights     *weights.Weights
	NumExamples int64 // images trained on; positive
}

// maxExamples bounds the sum of num_examples, so that it is exact in float64.
const maxExamples = 1 << 53

// ordered checks the updates and returns them sorted by ID. The slice given is
// left as it is.
func ordered(previous *weights.Weights, updates []Update) ([]Update, error) {
	if len(updates) == 0 {
		return nil, codes.Errorf("MF-FED-EMPTY", "there are no updates to aggregate; a round needs at least one")
	}
	sorted := slices.SortedFunc(slices.Values(updates), func(a, b Update) int { return cmp.Compare(a.ID, b.ID) })
	reference := previous
	if reference == nil {
		reference = sorted[0].Weights
	}
	total := int64(0)
	for i, u := range sorted {
		if i > 0 && sorted[i-1].ID == u.ID {
			return nil, codes.Errorf("MF-FED-DUPLICATE", "two updates have the ID %q; give each node one", u.ID)
		}
		if u.NumExamples <= 0 || u.NumExamples > maxExamples-total {
			return nil, codes.Errorf("MF-FED-EXAMPLES", "update %q has num_examples %d; it is at least 1 and the sum at most %d", u.ID, u.NumExamples, int64(maxExamples))
		}
		total += u.NumExamples
		if err := checkWeights(reference, u.Weights); err != nil {
			return nil, fmt.Errorf("%w (update %q)", err, u.ID)
		}
	}
	return sorted, nil
}

// checkWeights reports whether w can be averaged with weights like reference.
func checkWeights(reference, w *weights.Weights) error {
	if reference == nil || w == nil {
		return codes.Errorf("MF-WEIGHTS-INCOMPATIBLE", "an update has no weights; leave it out")
	}
	if err := w.Validate(); err != nil {
		return err
	}
	if err := weights.Compatible(reference, w); err != nil {
		return err
	}
	if name, ok := w.Finite(); !ok {
		return codes.Errorf("MF-FED-NOTFINITE", "tensor %q holds NaN or an infinity; reject the update", name)
	}
	return nil
}

// combine makes weights of which every value is made of the updates' values at
// the same place, which f gets in the order of updates and may overwrite.
func combine(updates []Update, f func(values []float32) float32) *weights.Weights {
	out := &weights.Weights{Tensors: make([]weights.Tensor, len(updates[0].Weights.Tensors))}
	values := make([]float32, len(updates))
	for i, t := range updates[0].Weights.Tensors {
		data := make([]float32, len(t.Data))
		for j := range data {
			for k := range updates {
				values[k] = updates[k].Weights.Tensors[i].Data[j]
			}
			data[j] = f(values)
		}
		out.Tensors[i] = weights.Tensor{Name: t.Name, Shape: slices.Clone(t.Shape), Data: data}
	}
	return out
}

// average is the mean weighted by num_examples (FedAvg: McMahan et al., arXiv
// 1602.05629, algorithm 1).
func average(updates []Update) *weights.Weights {
	share := make([]float64, len(updates))
	total := 0.0
	for i, u := range updates {
		share[i] = float64(u.NumExamples)
		total += share[i]
	}
	return combine(updates, func(values []float32) float32 {
		sum := 0.0
		for i, v := range values {
			sum += float64(share[i] * float64(v)) // the conversion forbids a fused multiply-add
		}
		return float32(sum / total)
	})
}
