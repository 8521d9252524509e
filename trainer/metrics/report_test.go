package metrics

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
)

var coarse = []float32{0, 0.1, 0.25, 0.5, 0.75, 1}

// drawSample draws a sample, its rows brought to a sum of 1 where they have one, with few
// values, so that ties are common.
func drawSample(t *rapid.T) Sample {
	p, labels, classes := drawExamples(t, append([]float32{nan}, coarse...))
	for i := range labels {
		row, sum := p[i*classes:(i+1)*classes], float32(0)
		for _, v := range row {
			sum += v
		}
		for k := range row {
			if sum > 0 {
				row[k] /= sum
			}
		}
	}
	s := Sample{Probabilities: p, Labels: labels, Classes: classes}
	if rapid.Bool().Draw(t, "patients") {
		s.Patients = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), len(labels), len(labels)).Draw(t, "patient")
	}
	return s
}

func measure(t rapid.TB, s Sample, resamples int) Report {
	t.Helper()
	r, err := s.Measure(resamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatalf("a report that JSON cannot hold: %v", err)
	}
	return r
}

// naiveCalibration finds each bin by comparing fractions, and sums up one bin at a time.
func naiveCalibration(s Sample) (calibrationError, brier float64) {
	n := float64(len(s.Labels))
	for bin := range 15 {
		count, right, confidence := 0.0, 0.0, 0.0
		for i, label := range s.Labels {
			row := s.Probabilities[i*s.Classes : (i+1)*s.Classes]
			top, class := float64(row[0]), 0
			for k, p := range row {
				if float64(p) > top {
					top, class = float64(p), k
				}
			}
			if slices.ContainsFunc(row, func(p float32) bool { return p-p != 0 }) {
				top, class = 1, -1
			}
			x := new(big.Rat).SetFloat64(top)
			above, atMost := x.Cmp(big.NewRat(int64(bin), 15)) > 0, x.Cmp(big.NewRat(int64(bin+1), 15)) <= 0
			if !(above && atMost || bin == 0 && top == 0) {
				continue
			}
			count++
			confidence += top
			if class == label {
				right++
			}
		}
		if count > 0 {
			calibrationError += count / n * math.Abs(right/count-confidence/count)
		}
	}
	for i, label := range s.Labels {
		squares := 0.0
		for k, p := range s.Probabilities[i*s.Classes : (i+1)*s.Classes] {
			truth := 0.0
			if k == label {
				truth = 1
			}
			squares += (float64(p) - truth) * (float64(p) - truth)
		}
		if math.IsNaN(squares) {
			squares = 2
		}
		brier += squares / n
	}
	return calibrationError, brier
}

func TestCalibrationIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t)
		r := measure(t, s, 0)
		calibrationError, brier := naiveCalibration(s)
		if !near(r.Calibration.Error, calibrationError) || !near(r.Calibration.Brier, brier) {
			t.Fatalf("calibration error %v and Brier score %v, want %v and %v", r.Calibration.Error, r.Calibration.Brier, calibrationError, brier)
		}
		n := 0
		for _, b := range r.Calibration.Bins {
			n += b.NumExamples
			if b.Confidence < b.Low-1e-12 || b.Confidence > b.High+1e-12 {
				t.Fatalf("a mean of %v in the bin %+v", b.Confidence, b)
			}
		}
		if n != len(s.Labels) {
			t.Fatalf("the bins hold %d of %d examples", n, len(s.Labels))
		}
		if plain, err := Compute(s.Probabilities, s.Labels, s.Classes); err != nil || !reflect.DeepEqual(plain, r.Result) {
			t.Fatalf("the result is %+v and that of Compute %+v", r.Result, plain)
		}
	})
}

// By hand: two bins, of confidence 0.8 with half right, and of 0.6 with all right.
func TestCalibrationByHand(t *testing.T) {
	r := measure(t, Sample{Probabilities: binary(0.8, 0.8, 0.4, 0.4), Labels: []int{1, 0, 0, 0}, Classes: 2}, 0)
	if want := 0.5*0.3 + 0.5*0.4; math.Abs(r.Calibration.Error-want) > 1e-7 || len(r.Calibration.Bins) != 2 {
		t.Errorf("%+v, want an error of %v", r.Calibration, want)
	}
	if want := (2*0.04 + 2*0.64 + 4*0.16) / 4; math.Abs(r.Calibration.Brier-want) > 1e-7 {
		t.Errorf("Brier score %v, want %v", r.Calibration.Brier, want)
	}
}

// TestCurveIsItsDefinition counts, for every threshold that there can be, who is taken for
// the class, and asks that the curve holds just the corners of that.
func TestCurveIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, labels, classes := drawExamples(t, coarse)
		r := measure(t, Sample{Probabilities: p, Labels: labels, Classes: classes}, 0)
		for class := range classes {
			var curve *Curve
			for i := range r.Curves {
				if r.Curves[i].Class == class {
					curve = &r.Curves[i]
				}
			}
			positives := len(labels) - len(slices.DeleteFunc(slices.Clone(labels), func(l int) bool { return l == class }))
			if defined := positives > 0 && positives < len(labels) && (classes > 2 || class == 1); defined != (curve != nil) {
				t.Fatalf("class %d of %v has the curve %v", class, labels, curve)
			}
			if curve == nil {
				continue
			}
			for _, threshold := range append([]float32{2}, coarse...) {
				var hits, alarms float64
				for i, label := range labels {
					if p[i*classes+class] >= threshold && label == class {
						hits++
					} else if p[i*classes+class] >= threshold {
						alarms++
					}
				}
				x, y := alarms/float64(len(labels)-positives), hits/float64(positives)
				if !onCurve(curve.Points, x, y) {
					t.Fatalf("a threshold of %v gives %v, %v, which is not on %+v", threshold, x, y, curve.Points)
				}
			}
			if area := areaUnder(curve.Points); !near(area, curve.AUC) {
				t.Fatalf("an area of %v, and the AUC is %v", area, curve.AUC)
			}
			for i, point := range curve.Points {
				if (point.Threshold == nil) != (i == 0) {
					t.Fatalf("point %d of %+v", i, curve.Points)
				}
			}
		}
		if classes == 2 && len(r.Curves) == 1 && r.Curves[0].AUC != r.AUC {
			t.Fatalf("the curve's AUC is %v, and the AUC %v", r.Curves[0].AUC, r.AUC)
		}
	})
}

func onCurve(points []Point, x, y float64) bool {
	for i, b := range points {
		a := points[max(0, i-1)]
		if x < a.FalsePositives-1e-12 || x > b.FalsePositives+1e-12 || y < a.TruePositives-1e-12 || y > b.TruePositives+1e-12 {
			continue
		}
		if near((x-a.FalsePositives)*(b.TruePositives-a.TruePositives), (y-a.TruePositives)*(b.FalsePositives-a.FalsePositives)) {
			return true
		}
	}
	return false
}

func areaUnder(points []Point) (area float64) {
	for i, b := range points[1:] {
		area += (b.FalsePositives - points[i].FalsePositives) * (b.TruePositives + points[i].TruePositives) / 2
	}
	return area
}

func TestACurveHasNoPointOnAStraightLine(t *testing.T) {
	r := measure(t, Sample{Probabilities: binary(0.9, 0.8, 0.7, 0.3, 0.2, 0.1), Labels: []int{1, 1, 1, 0, 0, 0}, Classes: 2}, 0)
	var got [][2]float64
	for _, p := range r.Curves[0].Points {
		got = append(got, [2]float64{p.FalsePositives, p.TruePositives})
	}
	if want := [][2]float64{{0, 0}, {0, 1}, {1, 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// naiveIntervals makes each resample as a list of examples and measures it by Compute. The
// patients are sorted by their examples, and these by label and probabilities.
func naiveIntervals(s Sample, resamples int, seed int64) map[string][]float64 {
	type example struct {
		label int
		row   []float32
	}
	compare := func(a, b example) int { return cmp.Or(a.label-b.label, slices.Compare(a.row, b.row)) }
	byPatient := map[string][]example{}
	for i, label := range s.Labels {
		patient := fmt.Sprint(i)
		if s.Patients != nil {
			patient = s.Patients[i]
		}
		byPatient[patient] = append(byPatient[patient], example{label, s.Probabilities[i*s.Classes : (i+1)*s.Classes]})
	}
	var patients [][]example
	for _, all := range byPatient {
		slices.SortFunc(all, compare)
		patients = append(patients, all)
	}
	slices.SortFunc(patients, func(a, b []example) int { return slices.CompareFunc(a, b, compare) })
	source := rand.NewPCG(uint64(seed), bootstrapStream)
	values := map[string][]float64{}
	for range resamples {
		drawn := Sample{Classes: s.Classes}
		for range patients {
			k, _ := bits.Mul64(source.Uint64(), uint64(len(patients)))
			for _, e := range patients[k] {
				drawn.Labels = append(drawn.Labels, e.label)
				drawn.Probabilities = append(drawn.Probabilities, e.row...)
			}
		}
		r, _ := Compute(drawn.Probabilities, drawn.Labels, drawn.Classes)
		values["accuracy"] = append(values["accuracy"], r.Accuracy)
		calibrationError, _ := naiveCalibration(drawn)
		values["calibration"] = append(values["calibration"], calibrationError)
		present := s.Classes - len(r.Absent)
		if present > 1 {
			values["auc"] = append(values["auc"], r.AUC)
		}
		if present > 1 || s.Classes > 2 || drawn.Labels[0] == 1 {
			values["sensitivity"] = append(values["sensitivity"], r.Sensitivity)
		}
		if present > 1 || s.Classes > 2 || drawn.Labels[0] == 0 {
			values["specificity"] = append(values["specificity"], r.Specificity)
		}
	}
	for _, v := range values {
		slices.Sort(v)
	}
	return values
}

func TestIntervalsAreTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t)
		got := measure(t, s, 100).Intervals
		want := naiveIntervals(s, 100, 1)
		for name, interval := range map[string]*Interval{
			"accuracy": got.Accuracy, "auc": got.AUC, "sensitivity": got.Sensitivity, "specificity": got.Specificity, "calibration": got.Calibration,
		} {
			v := want[name]
			k := int(0.025 * float64(len(v)+1)) // whole part
			if k == 0 {
				if interval != nil {
					t.Fatalf("%s has an interval of %d values", name, len(v))
				}
				continue
			}
			if interval == nil || !near(interval.Low, v[k-1]) || !near(interval.High, v[len(v)-k]) {
				t.Fatalf("%s lies in %v, want %v to %v", name, interval, v[k-1], v[len(v)-k])
			}
		}
	})
}

// TestIntervalsCoverTheTruth: of many data sets of a model whose accuracy is known, nearly
// 95 % have it in their interval.
func TestIntervalsCoverTheTruth(t *testing.T) {
	const truth, sets, n = 0.8, 300, 200
	r := rand.New(rand.NewPCG(1, 1))
	covered := 0
	for range sets {
		var p []float32
		labels := make([]int, n)
		for i := range labels {
			labels[i] = r.IntN(2)
			said := labels[i]
			if r.Float64() >= truth {
				said = 1 - said
			}
			p = append(p, binary(float32(0.25+0.5*float64(said)))...)
		}
		if a := measure(t, Sample{Probabilities: p, Labels: labels, Classes: 2}, 200).Intervals.Accuracy; a.Low <= truth && truth <= a.High {
			covered++
		}
	}
	if share := float64(covered) / sets; share < 0.91 || share > 0.98 {
		t.Errorf("%v of the intervals hold the truth", share)
	}
}

// TestIntervalsOfPatientsCoverTheTruth: where a patient's ten examples are all right or all
// wrong, ten as many examples tell no more than the patients do.
func TestIntervalsOfPatientsCoverTheTruth(t *testing.T) {
	const truth, sets, patients, each = 0.8, 200, 60, 10
	r := rand.New(rand.NewPCG(1, 1))
	covered := map[bool]int{}
	for range sets {
		s := Sample{Classes: 2}
		for patient := range patients {
			said, label := 0, r.IntN(2)
			if said = label; r.Float64() >= truth {
				said = 1 - label
			}
			for range each {
				s.Labels, s.Patients = append(s.Labels, label), append(s.Patients, fmt.Sprint(patient))
				s.Probabilities = append(s.Probabilities, binary(float32(0.25+0.5*float64(said)))...)
			}
		}
		for _, known := range []bool{true, false} {
			if !known {
				s.Patients = nil
			}
			if a := measure(t, s, 200).Intervals.Accuracy; a.Low <= truth && truth <= a.High {
				covered[known]++
			}
		}
	}
	if share := float64(covered[true]) / sets; share < 0.88 || share > 0.99 {
		t.Errorf("%v of the intervals over patients hold the truth", share)
	}
	if share := float64(covered[false]) / sets; share > 0.7 {
		t.Errorf("%v of the intervals over examples hold the truth; this test tells nothing", share)
	}
}

// TestIntervalsStayWhatTheyAre: the same numbers on every machine.
func TestIntervalsStayWhatTheyAre(t *testing.T) {
	var p []float32
	var labels []int
	for i := range 60 {
		labels = append(labels, i%2)
		p = append(p, binary(float32((i*37)%60+10*(i%2))/70)...)
	}
	got := *measure(t, Sample{Probabilities: p, Labels: labels, Classes: 2}, 1000).Intervals
	want := Intervals{
		Level: 0.95, Resamples: 1000, Seed: 1, Drawn: 60, Unit: UnitExamples, Accuracy: &Interval{0.45, 0.7}, AUC: &Interval{0.5261401557285873, 0.7957351290684624},
		Sensitivity: &Interval{0.38235294117647056, 0.7419354838709677}, Specificity: &Interval{0.41935483870967744, 0.7777777777777778},
		Calibration: &Interval{0.09761904776096345, 0.2897619068622589},
	}
	if !reflect.DeepEqual(got, want) {
		text, _ := json.Marshal(got)
		t.Errorf("%s", text)
	}
}

func TestAReportDoesNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t)
		other := Sample{Classes: s.Classes}
		indices := make([]int, len(s.Labels))
		for i := range indices {
			indices[i] = i
		}
		for _, i := range rapid.Permutation(indices).Draw(t, "order") {
			other.Labels = append(other.Labels, s.Labels[i])
			if s.Patients != nil {
				other.Patients = append(other.Patients, s.Patients[i]+" by another name")
			}
			other.Probabilities = append(other.Probabilities, s.Probabilities[i*s.Classes:(i+1)*s.Classes]...)
		}
		a, b := measure(t, s, 100), measure(t, other, 100)
		a.Loss, b.Loss, a.Calibration.Brier, b.Calibration.Brier = 0, 0, 0, 0 // sums of floats in another order
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v in another order is %+v", a, b)
		}
	})
}

func TestMeasureRefuses(t *testing.T) {
	good := Sample{Probabilities: binary(0.1, 0.9), Labels: []int{0, 1}, Classes: 2}
	for _, resamples := range []int{-1, 1, 99, 100_001} {
		if _, err := good.Measure(resamples, 1); codes.Of(err) != "MF-METRICS-RESAMPLES" {
			t.Errorf("%d resamples: %v", resamples, err)
		}
	}
	one := good
	one.Patients = []string{"a"}
	if _, err := one.Measure(0, 1); codes.Of(err) != "MF-METRICS-SHAPE" {
		t.Errorf("got %v", err)
	}
	short := good
	short.Before = []float32{1}
	if _, err := short.Measure(0, 1); codes.Of(err) != "MF-METRICS-SHAPE" {
		t.Errorf("got %v", err)
	}
	if _, err := (Sample{}).Measure(0, 1); codes.Of(err) != "MF-METRICS-CLASSES" {
		t.Errorf("got %v", err)
	}
}
