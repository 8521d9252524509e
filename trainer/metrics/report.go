package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Sample is labelled examples with the probabilities that a model gives them.
type Sample struct {
	Probabilities []float32 // [examples][classes]
	// Before, where not nil, are the probabilities before a temperature was applied. Of two
	// classes they alone rank the examples: a temperature changes no order, but what it
	// brings near 0, 1 or a half may no longer differ as a float32.
	Before  []float32
	Labels  []int
	Classes int
}

// Report is all that is told of a sample.
type Report struct {
	Result
	Calibration Calibration
	Before      *Calibration // without the temperature, where there is one
	Curves      []Curve      // of each class that has examples and is not all; of two classes of the second
	Intervals   *Intervals   // nil without resamples
}

// Measure is [Compute] and what is told beside it. Result is that of Compute; resamples
// is 0 for no intervals. But for the loss nothing depends on the order of the examples.
// Errors: those of Compute, and MF-METRICS-RESAMPLES.
func (s Sample) Measure(resamples int, seed int64) (Report, error) {
	if err := checkResamples(resamples); err != nil {
		return Report{}, err
	}
	if err := check(s.Probabilities, s.Labels, s.Classes); err != nil {
		return Report{}, err
	}
	if s.Before != nil {
		if err := check(s.Before, s.Labels, s.Classes); err != nil {
			return Report{}, err
		}
	}
	ranks := s.ranks()
	result, err := Compute(ranks.probabilities, s.Labels, s.Classes)
	if err != nil {
		return Report{}, err
	}
	result.Loss = s.given().loss()
	order := s.order()
	r := Report{Result: result, Calibration: calibrationOf(judge(s.given(), ranks, order)), Curves: s.curves()}
	r.Calibration.Brier = s.given().brier(order)
	if s.Before != nil {
		e := examples{s.Before, s.Labels, s.Classes}
		before := calibrationOf(judge(e, e, order))
		before.Brier = e.brier(order)
		r.Before = &before
	}
	if resamples > 0 {
		r.Intervals = s.bootstrap(order, resamples, seed)
	}
	return r, nil
}

// given is the examples with the probabilities that are told.
func (s Sample) given() examples { return examples{s.Probabilities, s.Labels, s.Classes} }

// ranks is the examples with what ranks them.
func (s Sample) ranks() examples {
	e := s.given()
	if s.Before != nil && s.Classes == 2 {
		e.probabilities = s.Before
	}
	return e
}

// order sorts the examples by what is known of them, so that sums and resamples do not
// depend on the order in which they came.
func (s Sample) order() []int {
	order := make([]int, len(s.Labels))
	for i := range order {
		order[i] = i
	}
	given, before := s.given(), s.given()
	if s.Before != nil {
		before.probabilities = s.Before
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.Labels[a], s.Labels[b]), slices.Compare(before.row(a), before.row(b)), slices.Compare(given.row(a), given.row(b)))
	})
	return order
}

// bins is how many bins of confidence there are, as in Guo et al.'s experiments.
const bins = 15

// Calibration says how far probabilities are the frequencies that they claim to be, by
// the probability of the predicted class, the confidence (Guo et al., "On Calibration of
// Modern Neural Networks", ICML 2017, arXiv 1706.04599, section 2).
type Calibration struct {
	Error float64 `json:"error"` // expected calibration error, 0 to 1: how far accuracy and confidence of a bin are apart, weighed by its examples
	Brier float64 `json:"brier"` // mean squared distance of a row of probabilities from the truth, 0 to 2 (Brier, Monthly Weather Review 78, 1950)
	Bins  []Bin   `json:"bins"`  // that have examples: the reliability diagram
}

// Bin is the examples whose confidence is above Low and at most High.
type Bin struct {
	Low         float64 `json:"low"`
	High        float64 `json:"high"`
	NumExamples int     `json:"num_examples"`
	Confidence  float64 `json:"confidence"` // mean
	Accuracy    float64 `json:"accuracy"`   // share whose predicted class is their label
}

// judged is an example as calibration sees it. A row that is not finite is certain of the
// wrong class.
type judged struct {
	confidence float64
	right      bool
	bin        int
}

// judge looks at the examples in an order; ranks say which class is predicted.
func judge(e, ranks examples, order []int) []judged {
	all := make([]judged, len(order))
	for k, i := range order {
		predicted, confidence := ranks.predicted(i), 1.0
		if e.finite(i) {
			confidence = min(1, max(0, float64(e.row(i)[predicted])))
		}
		// The product is exact: 24 bits of a float32 by 4.
		all[k] = judged{confidence, predicted == e.labels[i], max(0, int(math.Ceil(confidence*bins))-1)}
	}
	return all
}

// calibrationOf sums up; without the Brier score.
func calibrationOf(all []judged) (c Calibration) {
	var b binned
	for _, j := range all {
		b.add(j, 1)
	}
	c.Error = b.calibrationError(len(all))
	for i, n := range b.examples {
		if n > 0 {
			c.Bins = append(c.Bins, Bin{float64(i) / bins, float64(i+1) / bins, n, b.confidence[i] / float64(n), ratio(b.right[i], n)})
		}
	}
	return c
}

// binned is sums by bin.
type binned struct {
	confidence      [bins]float64
	examples, right [bins]int
}

// add counts an example so many times.
func (b *binned) add(j judged, times int) {
	b.examples[j.bin] += times
	b.confidence[j.bin] += float64(float64(times) * j.confidence) // the conversion forbids a fused multiply-add
	if j.right {
		b.right[j.bin] += times
	}
}

// calibrationError is the expected one of n examples.
func (b *binned) calibrationError(n int) float64 {
	total := 0.0
	for i := range b.examples {
		total += math.Abs(float64(b.right[i]) - b.confidence[i])
	}
	return total / float64(n)
}

// brier sums up in an order. A row that is not finite is certain of a wrong class, and
// probabilities end at 0 and 1.
func (e examples) brier(order []int) float64 {
	total := 0.0
	for _, i := range order {
		if !e.finite(i) {
			total += 2
			continue
		}
		for class, p := range e.row(i) {
			d := min(1, max(0, float64(p)))
			if class == e.labels[i] {
				d--
			}
			total += float64(d * d) // no fused multiply-add
		}
	}
	return min(2, total/float64(len(order)))
}
