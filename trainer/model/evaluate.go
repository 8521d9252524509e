package model

import (
	"context"
	"fmt"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/weights"
)

// Numbers of examples evaluated at once: of larger images no more than 32 of 64×64 have
// pixels, so that the memory hardly grows with the images' size, but enough to keep all
// cores busy.
const mostEvaluated, leastEvaluated, pixelsEvaluated = 64, 16, 32 * 64 * 64

// evaluationBatch is the number of examples evaluated at once. It does not change the
// result: in evaluation no image knows of another.
func (s Spec) evaluationBatch() int {
	if s.Frozen() {
		return mostEvaluated
	}
	return min(max(pixelsEvaluated/(s.Size*s.Size), leastEvaluated), mostEvaluated)
}

// Evaluate measures weights on data, with the running batch-norm statistics of
// the weights and without changing them. The same arguments give the same bits
// whatever the number of cores.
//
// Weights may hold NaN or infinities, as a poisoned update does: where the model
// has no finite answer for an image, package metrics counts the worst one.
//
// Errors: those of [Spec.Validate], MF-WEIGHTS-INCOMPATIBLE, MF-MODEL-DATA, or one
// that wraps ctx.Err().
func Evaluate(ctx context.Context, spec Spec, w *weights.Weights, data dataset.Split) (metrics.Result, error) {
	probabilities, err := Predict(ctx, spec, w, data)
	if err != nil {
		return metrics.Result{}, err
	}
	return metrics.Compute(probabilities, data.Labels, spec.Classes)
}

// Predict returns the probabilities [examples][classes] that the model gives to
// each example, whatever its label; NaN where the weights give no number. Those of an
// example do not depend on the others. Errors are those of Evaluate.
func Predict(ctx context.Context, spec Spec, w *weights.Weights, data dataset.Split) ([]float32, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := spec.check(w); err != nil {
		return nil, err
	}
	if err := spec.checkData(data); err != nil {
		return nil, err
	}
	return spec.predictMembers(ctx, w, data)
}

// predict is the function of that name for a spec that is no ensemble, and checked
// arguments.
func (s Spec) predict(ctx context.Context, w *weights.Weights, data dataset.Split) ([]float32, error) {
	n, err := acquire(design{s, s.evaluationBatch(), nn.Evaluating})
	if err != nil {
		return nil, err
	}
	defer release(n)
	n.load(w)
	return n.predict(ctx, data)
}

// predict is the loop over batches, which allocates nothing.
func (n *network) predict(ctx context.Context, data dataset.Split) ([]float32, error) {
	kernel.Enter()
	defer kernel.Leave()
	probabilities := nn.Floats(n.result.Value())
	examples, classes := len(data.Labels), n.design.spec.Classes
	all := make([]float32, 0, examples*classes)
	most := n.design.spec.evaluationBatch()
	batch := make([]int, 0, most)
	for first := 0; first < examples; first += most {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("evaluation stopped after %d of %d images: %w", first, examples, err)
		}
		batch = batch[:0]
		for i := first; i < min(first+most, examples); i++ {
			batch = append(batch, i)
		}
		if err := n.feed(data, batch); err != nil {
			return nil, err
		}
		if err := n.run(); err != nil {
			return nil, fmt.Errorf("evaluation: %w", err)
		}
		all = append(all, probabilities[:len(batch)*classes]...)
	}
	return all, nil
}
