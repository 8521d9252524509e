package metrics

import (
	"math"

	"github.com/medfed/medfed/chaincode/codes"
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
	// Patients names the patient of each example; nil where each is one of its own.
	Patients []string
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
// is 0 for no intervals. But for the loss and the Brier score nothing depends on the order of
// the examples. Errors: those of Compute, and MF-METRICS-RESAMPLES.
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
	if s.Patients != nil && len(s.Patients) != len(s.Labels) {
		return Report{}, codes.Errorf("MF-METRICS-SHAPE", "%d patients for %d examples; name one for each", len(s.Patients), len(s.Labels))
	}
	ranks := s.ranks()
	result, err := Compute(ranks.probabilities, s.Labels, s.Classes)
	if err != nil {
		return Report{}, err
	}
	result.Loss = s.given().loss()
	r := Report{Result: result, Calibration: calibrationOf(s.given(), ranks), Curves: s.curves()}
	if s.Before != nil {
		e := examples{s.Before, s.Labels, s.Classes}
		before := calibrationOf(e, e)
		r.Before = &before
	}
	if resamples > 0 {
		r.Intervals = s.bootstrap(resamples, seed)
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
	confidence int64 // in units of 1/certain
	right      bool
	bin        int
}

// certain is the confidence of 1. A float32 above 2^-13 is a whole number of its units, so
// that sums are exact and the same in every order; all of 2^27 examples fit.
const certain = 1 << 36

// judge looks at an example; ranks say which class is predicted.
func judge(e, ranks examples, i int) judged {
	predicted, confidence := ranks.predicted(i), 1.0
	if e.finite(i) {
		confidence = min(1, max(0, float64(e.row(i)[predicted])))
	}
	// The products are exact: 24 bits of a float32 by 4, and by a power of 2.
	return judged{int64(math.Round(confidence * certain)), predicted == e.labels[i], max(0, int(math.Ceil(confidence*bins))-1)}
}

// calibrationOf sums up.
func calibrationOf(e, ranks examples) (c Calibration) {
	var b binned
	for i := range e.labels {
		b.add(judge(e, ranks, i), 1)
	}
	c.Error, c.Brier = b.calibrationError(len(e.labels)), e.brier()
	for i, n := range b.examples {
		if n > 0 {
			c.Bins = append(c.Bins, Bin{float64(i) / bins, float64(i+1) / bins, n, float64(b.confidence[i]) / certain / float64(n), ratio(b.right[i], n)})
		}
	}
	return c
}

// binned is sums by bin.
type binned struct {
	confidence      [bins]int64
	examples, right [bins]int
}

// add counts an example so many times.
func (b *binned) add(j judged, times int) {
	b.examples[j.bin] += times
	b.confidence[j.bin] += int64(times) * j.confidence
	if j.right {
		b.right[j.bin] += times
	}
}

// calibrationError is the expected one of n examples.
func (b *binned) calibrationError(n int) float64 {
	total := int64(0)
	for i, right := range b.right {
		apart := int64(right)*certain - b.confidence[i]
		total += max(apart, -apart)
	}
	return float64(total) / certain / float64(n)
}

// brier is the mean. A row that is not finite is certain of a wrong class, and
// probabilities end at 0 and 1.
func (e examples) brier() float64 {
	total := 0.0
	for i, label := range e.labels {
		if !e.finite(i) {
			total += 2
			continue
		}
		for class, p := range e.row(i) {
			d := min(1, max(0, float64(p)))
			if class == label {
				d--
			}
			total += float64(d * d) // the conversion forbids a fused multiply-add
		}
	}
	return min(2, total/float64(len(e.labels)))
}
