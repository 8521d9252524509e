package metrics

import (
	"math"
	"slices"
	"strconv"

	"github.com/medfed/medfed/chaincode/codes"
)

// A temperature T divides a model's logits: softmax(logits/T), which of probabilities are
// their powers of 1/T, their sum brought to 1. Above 1 it makes a model less certain. It
// changes neither the predicted class nor, of two classes, the order of the examples (Guo
// et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599, section
// 4.2).

// Bounds of a temperature.
const (
	MinTemperature = 0.05
	MaxTemperature = 20
)

// Tempered applies a temperature to rows of probabilities, each by itself. A 1 changes
// nothing; a row that is not finite stays as it is. What a float32 can't tell from 0
// counts as its smallest value.
func Tempered(probabilities []float32, classes int, temperature float64) []float32 {
	out := make([]float32, len(probabilities))
	copy(out, probabilities)
	if temperature == 1 {
		return out
	}
	e := examples{probabilities: probabilities, classes: classes}
	weights := make([]float64, classes)
	for i := range len(probabilities) / classes {
		if !e.finite(i) {
			continue
		}
		sum := powers(weights, e.row(i), 1/temperature)
		for class, w := range weights {
			out[i*classes+class] = float32(w / sum)
		}
	}
	return out
}

// logarithm of a probability, above that of 0.
func logarithm(p float32) float64 {
	return math.Log(max(float64(p), math.SmallestNonzeroFloat32))
}

// powers writes the powers of a row, all over that of the largest, and returns their sum.
func powers(out []float64, row []float32, exponent float64) (sum float64) {
	highest := math.Inf(-1)
	for class, p := range row {
		out[class] = logarithm(p)
		highest = max(highest, out[class])
	}
	for class, l := range out {
		out[class] = math.Exp((l - highest) * exponent)
		sum += out[class]
	}
	return sum
}

// FitTemperature finds the temperature that makes the cross-entropy of the examples least,
// to four digits. It searches by halving: in 1/T the cross-entropy is convex. The error is
// MF-METRICS-TEMPERATURE where no temperature from [MinTemperature] to [MaxTemperature] is
// the best - of a model that is right about all of the examples each lower one is better -,
// where only one class has examples, and where a row is not finite; or one of Compute's.
func FitTemperature(probabilities []float32, labels []int, classes int) (float64, error) {
	if err := check(probabilities, labels, classes); err != nil {
		return 0, err
	}
	e := examples{probabilities, labels, classes}
	for i := range labels {
		if !e.finite(i) {
			return 0, codes.Errorf("MF-METRICS-TEMPERATURE", "the model gives no finite probabilities to example %d; take weights that are finite", i)
		}
	}
	if !slices.ContainsFunc(labels, func(label int) bool { return label != labels[0] }) {
		return 0, codes.Errorf("MF-METRICS-TEMPERATURE", "all %d examples are of one class; calibrate on examples of at least two", len(labels))
	}
	low, high := math.Log(1/float64(MaxTemperature)), math.Log(1/float64(MinTemperature))
	weights := make([]float64, classes)
	switch {
	case e.slope(math.Exp(high), weights) <= 0:
		return 0, codes.Errorf("MF-METRICS-TEMPERATURE", "the lower the temperature the better, down to %v: the model is right about nearly all of the %d examples; calibrate on more, which it was not trained on", MinTemperature, len(labels))
	case e.slope(math.Exp(low), weights) >= 0:
		return 0, codes.Errorf("MF-METRICS-TEMPERATURE", "the higher the temperature the better, up to %v: the model tells nothing of the %d examples; check that the classes are the model's, or train it longer", MaxTemperature, len(labels))
	}
	for range 60 {
		if middle := (low + high) / 2; e.slope(math.Exp(middle), weights) < 0 {
			low = middle
		} else {
			high = middle
		}
	}
	return strconv.ParseFloat(strconv.FormatFloat(math.Exp(-(low+high)/2), 'g', 4, 64), 64)
}

// slope is the derivative of the cross-entropy, summed over the examples, by the exponent:
// how far the mean logarithm of the probabilities lies above that of the label's.
func (e examples) slope(exponent float64, weights []float64) (total float64) {
	for i, label := range e.labels {
		row := e.row(i)
		sum := powers(weights, row, exponent)
		for class, w := range weights {
			total += w / sum * (logarithm(row[class]) - logarithm(row[label]))
		}
	}
	return total
}
