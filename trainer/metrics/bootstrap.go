package metrics

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// Intervals say between which values a measure lies, were other patients of the same kind
// taken: percentile intervals of the bootstrap (Efron and Tibshirani, "An Introduction to
// the Bootstrap", 1993, chapter 13). Patients are drawn with replacement, as many as there
// are, each with all examples, for those of one patient are not independent (Field and
// Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B 69, 2007); where nobody knows
// the patients or each has one, examples are drawn. What is left of the resamples' values when the lowest and
// the highest 2.5 % are dropped is the interval. A resample in which a measure is not defined
// has no part in its interval; it is nil where it is defined in too few. Where all examples
// are right it says little: they are in every resample.
type Intervals struct {
	Level       float64   `json:"level"` // 0.95
	Resamples   int       `json:"resamples"`
	Seed        int64     `json:"seed"`
	Drawn       int       `json:"drawn"` // in each resample: as many as there are
	Unit        string    `json:"unit"`  // that is drawn: UnitPatients or UnitExamples
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

// What is drawn.
const (
	UnitPatients = "patients"
	UnitExamples = "examples"
)

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
func (s Sample) bootstrap(resamples int, seed int64) *Intervals {
	r := newResampler(s)
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
	unit := UnitExamples
	if len(r.units) < len(s.Labels) {
		unit = UnitPatients
	}
	return &Intervals{
		Level: 0.95, Resamples: resamples, Seed: seed, Drawn: len(r.units), Unit: unit,
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
	units             [][]int      // examples of each unit that is drawn
	times             []int        // each example was drawn
	n                 int          // examples were drawn
}

// rankedAt is an example in the order of its scores.
type rankedAt struct {
	example  int32
	positive bool
	ends     bool // the last of those with its score
}

func newResampler(s Sample) *resampler {
	given, ranks := s.given(), s.ranks()
	r := &resampler{labels: s.Labels, classes: s.Classes, units: s.units(), times: make([]int, len(s.Labels))}
	for i := range s.Labels {
		r.judged, r.predicted = append(r.judged, judge(given, ranks, i)), append(r.predicted, ranks.predicted(i))
	}
	for class := firstClass(s.Classes); class < s.Classes; class++ {
		scores, list := make([]float64, len(s.Labels)), make([]rankedAt, len(s.Labels))
		for i, label := range s.Labels {
			scores[i], list[i] = ranks.score(i, class), rankedAt{example: int32(i), positive: label == class}
		}
		slices.SortFunc(list, func(a, b rankedAt) int { return cmp.Compare(scores[a.example], scores[b.example]) })
		for k := range list {
			list[k].ends = k+1 == len(list) || scores[list[k].example] != scores[list[k+1].example]
		}
		r.ranked = append(r.ranked, list)
	}
	return r
}

// units are the examples of each patient, in an order that rests on what is known of them:
// neither the order in which examples came nor a patient's name changes an interval.
func (s Sample) units() [][]int {
	order := make([]int, len(s.Labels))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, s.compare)
	var units [][]int
	of := map[string]int{}
	for _, i := range order {
		if s.Patients == nil {
			units = append(units, []int{i})
			continue
		}
		unit, ok := of[s.Patients[i]]
		if !ok {
			unit = len(units)
			of[s.Patients[i]], units = unit, append(units, nil)
		}
		units[unit] = append(units[unit], i)
	}
	slices.SortFunc(units, func(a, b []int) int { return slices.CompareFunc(a, b, s.compare) })
	return units
}

// compare orders examples by label and probabilities; those that are equal in these may
// take each other's place.
func (s Sample) compare(a, b int) int {
	given, before := s.given(), s.given()
	if s.Before != nil {
		before.probabilities = s.Before
	}
	return cmp.Or(cmp.Compare(s.Labels[a], s.Labels[b]), slices.Compare(before.row(a), before.row(b)), slices.Compare(given.row(a), given.row(b)))
}

// draw draws as many units as there are. One is more likely than another by at most 2^-64
// of their number.
func (r *resampler) draw(source *rand.PCG) {
	clear(r.times)
	r.n = 0
	for range r.units {
		drawn, _ := bits.Mul64(source.Uint64(), uint64(len(r.units)))
		for _, example := range r.units[drawn] {
			r.times[example]++
			r.n++
		}
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
	sensitivity, specificity = t.rates(r.n)
	return ratio(right, r.n), sensitivity, specificity, b.calibrationError(r.n)
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
