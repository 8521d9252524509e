package metrics

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// Intervals say between which values a measure lies, were other examples of the same kind
// taken: percentile intervals of the bootstrap (Efron and Tibshirani, "An Introduction to
// the Bootstrap", 1993, chapter 13). The examples are drawn with replacement, as many as
// there are; what is left of the resamples' values when the lowest and the highest 2.5 %
// are dropped is the interval. A resample in which a measure is not defined has no part in
// its interval; it is nil where it is defined in too few.
//
// They hold for examples that are independent: where one patient has several, they are too
// narrow.
type Intervals struct {
	Level       float64   `json:"level"` // 0.95
	Resamples   int       `json:"resamples"`
	Seed        int64     `json:"seed"`
	Accuracy    *Interval `json:"accuracy,omitempty"`
	AUC         *Interval `json:"auc,omitempty"`
	Sensitivity *Interval `json:"sensitivity,omitempty"`
	Specificity *Interval `json:"specificity,omitempty"`
	Calibration *Interval `json:"calibration_error,omitempty"`
}

// Interval is from Low to High, both included.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Bounds of the number of resamples. DefaultResamples is the least that Efron and
// Tibshirani advise for percentile intervals.
const (
	DefaultResamples = 1000
	MinResamples     = 100
	MaxResamples     = 100_000
)

func checkResamples(n int) error {
	if n != 0 && (n < MinResamples || n > MaxResamples) {
		return codes.Errorf("MF-METRICS-RESAMPLES", "%d resamples; use 0 for no intervals, or %d to %d", n, MinResamples, MaxResamples)
	}
	return nil
}

// bootstrapStream is the stream of the source of numbers, apart from all others of a seed.
const bootstrapStream = 0x626f6f74

// bootstrap resamples. It depends on the sample, the number and the seed alone.
func (s Sample) bootstrap(order []int, resamples int, seed int64) *Intervals {
	r := newResampler(s, order)
	source := rand.NewPCG(uint64(seed), bootstrapStream)
	var accuracy, auc, sensitivity, specificity, calibration []float64
	for range resamples {
		r.draw(source)
		a, sensitive, specific, calibrationError := r.rates()
		accuracy, calibration = append(accuracy, a), append(calibration, calibrationError)
		for _, m := range []struct {
			of     mean
			values *[]float64
		}{{r.auc(), &auc}, {sensitive, &sensitivity}, {specific, &specificity}} {
			if m.of.n > 0 {
				*m.values = append(*m.values, m.of.value())
			}
		}
	}
	return &Intervals{
		Level: 0.95, Resamples: resamples, Seed: seed,
		Accuracy: percentile(accuracy), AUC: percentile(auc), Sensitivity: percentile(sensitivity),
		Specificity: percentile(specificity), Calibration: percentile(calibration),
	}
}

// percentile is the interval of n values: the k-th smallest and the k-th largest, k the
// whole part of 0.025·(n+1) (Efron and Tibshirani, section 12.5).
func percentile(values []float64) *Interval {
	n := len(values)
	k := (n + 1) * 25 / 1000
	if k == 0 {
		return nil
	}
	slices.Sort(values)
	return &Interval{values[k-1], values[n-k]}
}

// resampler holds what is the same in all resamples.
type resampler struct {
	judged            []judged
	labels, predicted []int
	classes           int
	ranked            [][]rankedAt // by class that has an AUC: the examples by ascending score
	times             []int        // each example was drawn
}

// rankedAt is an example in the order of its scores.
type rankedAt struct {
	example  int
	positive bool
	ends     bool // the last of those with its score
}

func newResampler(s Sample, order []int) *resampler {
	ranks := s.ranks()
	r := &resampler{judged: judge(s.given(), ranks, order), classes: s.Classes, times: make([]int, len(order))}
	for _, i := range order {
		r.labels, r.predicted = append(r.labels, s.Labels[i]), append(r.predicted, ranks.predicted(i))
	}
	for class := firstClass(s.Classes); class < s.Classes; class++ {
		scores, list := make([]float64, len(order)), make([]rankedAt, len(order))
		for k, i := range order {
			scores[k], list[k] = ranks.score(i, class), rankedAt{example: k, positive: s.Labels[i] == class}
		}
		slices.SortStableFunc(list, func(a, b rankedAt) int { return cmp.Compare(scores[a.example], scores[b.example]) })
		for k := range list {
			list[k].ends = k+1 == len(list) || scores[list[k].example] != scores[list[k+1].example]
		}
		r.ranked = append(r.ranked, list)
	}
	return r
}

// draw draws as many examples as there are. One is more likely than another by at most
// 2^-64 of their number.
func (r *resampler) draw(source *rand.PCG) {
	clear(r.times)
	for range r.times {
		example, _ := bits.Mul64(source.Uint64(), uint64(len(r.times)))
		r.times[example]++
	}
}

// rates are the measures of what was drawn that need no ranks.
func (r *resampler) rates() (accuracy float64, sensitivity, specificity mean, calibrationError float64) {
	t := newTallies(r.classes)
	var b binned
	right := 0
	for i, times := range r.times {
		if times == 0 {
			continue
		}
		label, predicted := r.labels[i], r.predicted[i]
		t.positives[label] += times
		t.predicted[predicted] += times
		if label == predicted {
			t.hits[label] += times
			right += times
		}
		b.add(r.judged[i], times)
	}
	sensitivity, specificity = t.rates(len(r.times))
	return ratio(right, len(r.times)), sensitivity, specificity, b.calibrationError(len(r.times))
}

// auc is the mean of the AUCs of the classes for which it is defined.
func (r *resampler) auc() (total mean) {
	for _, list := range r.ranked {
		var positives, below, doubledU, p, n int
		for _, at := range list {
			if at.positive {
				p += r.times[at.example]
			} else {
				n += r.times[at.example]
			}
			if at.ends {
				doubledU += p * (2*below + n)
				positives, below = positives+p, below+n
				p, n = 0, 0
			}
		}
		total.add(doubledU, 2*positives*below)
	}
	return total
}
