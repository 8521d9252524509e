package model

import (
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// A head begins with the normalisation of its features: a batch normalisation without
// scale and shift. Features never change in training, so that its statistics need not run
// along: they are those of all examples, exact and there before the first step (precise
// batch-norm statistics: Wu and Johnson, "Rethinking \"Batch\" in BatchNorm", arXiv
// 2105.07576, section 3). They are tensors of the weights like the others, so that a model
// means the same wherever it is used, whatever else is measured with it.

// headMean is the first tensor of a head.
const headMean = "norm.running_mean"

// InitialHead is [Initial] for the head behind a frozen backbone, whose statistics are
// those of the given features. In private training they stay for good: then these must be
// nobody's. Errors: those of [Spec.CheckFrozen], and MF-MODEL-DATA.
func InitialHead(spec Spec, seed int64, features dataset.Split) (*weights.Weights, error) {
	if err := spec.CheckFrozen(); err != nil {
		return nil, err
	}
	if err := spec.checkData(features); err != nil {
		return nil, err
	}
	w, err := Initial(spec, seed)
	if err != nil {
		return nil, err
	}
	return w, measureFeatures(features, w.Tensors[0].Data, w.Tensors[1].Data)
}

// measureFeatures sets mean and variance of each feature to those of the examples, the
// variance as of a whole population. Sums are in float64, in which those of equal features
// are exact: their variance is 0.
func measureFeatures(data dataset.Split, mean, variance []float32) error {
	n, width := float64(data.Len()), len(mean)
	means, squares := make([]float64, width), make([]float64, width)
	if err := data.Each(func(features []float32) {
		for j, v := range features {
			means[j] += float64(v)
		}
	}); err != nil {
		return err
	}
	for j := range means {
		means[j] /= n
	}
	if err := data.Each(func(features []float32) {
		for j, v := range features {
			d := float64(v) - means[j]
			squares[j] += float64(d * d) // the conversion forbids a fused multiply-add
		}
	}); err != nil {
		return err
	}
	for j := range means {
		mean[j], variance[j] = float32(means[j]), float32(squares[j]/n)
	}
	return nil
}
