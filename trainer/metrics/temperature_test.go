package metrics

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
)

// softmax is that of logits over a temperature, as the definition has it.
func softmax(logits []float64, classes int, temperature float64) []float32 {
	var p []float32
	for row := range slices.Chunk(logits, classes) {
		sum := 0.0
		for _, z := range row {
			sum += math.Exp(z / temperature)
		}
		for _, z := range row {
			p = append(p, float32(math.Exp(z/temperature)/sum))
		}
	}
	return p
}

// drawLogits draws them with labels that follow the softmax of the logits over a
// temperature: so that this is the best one.
func drawLogits(r *rand.Rand, n, classes int, temperature float64) (logits []float64, labels []int) {
	for i := range n {
		for range classes {
			logits = append(logits, 3*temperature*r.NormFloat64())
		}
		u, label := r.Float64(), 0
		for _, p := range softmax(logits[i*classes:], classes, temperature) {
			if u -= float64(p); u <= 0 {
				break
			}
			label++
		}
		labels = append(labels, min(label, classes-1))
	}
	return logits, labels
}

func crossEntropy(p []float32, labels []int, classes int) (total float64) {
	for i, label := range labels {
		total -= math.Log(max(float64(p[i*classes+label]), math.SmallestNonzeroFloat32))
	}
	return total / float64(len(labels))
}

func TestTemperedIsTheSoftmaxOfLogitsOverIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes := rapid.IntRange(2, 5).Draw(t, "classes")
		logits := rapid.SliceOfN(rapid.Float64Range(-8, 8), classes, classes).Draw(t, "logits")
		temperature := rapid.Float64Range(MinTemperature, MaxTemperature).Draw(t, "temperature")
		got, want := Tempered(softmax(logits, classes, 1), classes, temperature), softmax(logits, classes, temperature)
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-5 {
				t.Fatalf("%v of %v over %v, want %v", got, logits, temperature, want)
			}
		}
	})
}

func TestTemperedEdges(t *testing.T) {
	p := []float32{0, 1, nan, 1, 0.3, 0.7, 1e-30, 1}
	if got := Tempered(p[4:], 2, 1); !slices.Equal(got, p[4:]) {
		t.Errorf("a temperature of 1 made %v of %v", got, p[4:])
	}
	all := Tempered(p, 2, 2.5)
	for i := range 4 {
		if alone := Tempered(p[2*i:2*i+2], 2, 2.5); math.Float32bits(alone[0]) != math.Float32bits(all[2*i]) || math.Float32bits(alone[1]) != math.Float32bits(all[2*i+1]) {
			t.Errorf("row %d alone is %v, among others %v", i, alone, all[2*i:2*i+2])
		}
	}
	if !(all[0] > 0 && all[0] < 1e-10) || !math.IsNaN(float64(all[2])) || all[3] != 1 {
		t.Errorf("got %v", all)
	}
	if got := Tempered([]float32{0.5, 0.5}, 2, 7); got[0] != 0.5 || got[1] != 0.5 {
		t.Errorf("got %v", got)
	}
}

// TestTheFitIsTheBest holds a fitted temperature against many others.
func TestTheFitIsTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		classes := rapid.IntRange(2, 4).Draw(t, "classes")
		logits, labels := drawLogits(r, 60, classes, rapid.Float64Range(0.5, 4).Draw(t, "temperature"))
		p := softmax(logits, classes, 1)
		fitted, err := FitTemperature(p, labels, classes)
		if code := codes.Of(err); code != "" {
			if code != "MF-METRICS-TEMPERATURE" {
				t.Fatal(err)
			}
			t.Skip("no best one")
		}
		best := crossEntropy(Tempered(p, classes, fitted), labels, classes)
		for other := MinTemperature; other <= MaxTemperature; other *= 1.05 {
			if l := crossEntropy(Tempered(p, classes, other), labels, classes); l < best-1e-6 {
				t.Fatalf("a cross-entropy of %v at %v, and of %v at %v", best, fitted, l, other)
			}
		}
	})
}

// TestATemperatureIsFoundAgain: labels are drawn from a model's own softmax over a known
// temperature. What calibrates them is it, and the calibration error falls.
func TestATemperatureIsFoundAgain(t *testing.T) {
	for _, truth := range []float64{0.5, 1, 2.5} {
		for _, classes := range []int{2, 5} {
			logits, labels := drawLogits(rand.New(rand.NewPCG(7, 7)), 4000, classes, truth)
			p := softmax(logits, classes, 1)
			fitted, err := FitTemperature(p, labels, classes)
			if err != nil || math.Abs(fitted/truth-1) > 0.08 {
				t.Errorf("%v for %v (%v)", fitted, truth, err)
				continue
			}
			r := measure(t, Sample{Probabilities: Tempered(p, classes, fitted), Before: p, Labels: labels, Classes: classes}, 0)
			if r.Calibration.Error > 0.03 || truth != 1 && r.Before.Error < 2*r.Calibration.Error {
				t.Errorf("at %v the calibration error went from %v to %v", truth, r.Before.Error, r.Calibration.Error)
			}
		}
	}
}

func TestFitTemperatureRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		p       []float32
		labels  []int
		classes int
		code    codes.Code
	}{
		"all right":         {binary(0.1, 0.2, 0.8), []int{0, 0, 1}, 2, "MF-METRICS-TEMPERATURE"},
		"all wrong":         {binary(0.1, 0.2, 0.8), []int{1, 1, 0}, 2, "MF-METRICS-TEMPERATURE"},
		"nothing told":      {binary(0.5, 0.5), []int{0, 1}, 2, "MF-METRICS-TEMPERATURE"},
		"one class":         {binary(0.4, 0.6), []int{1, 1}, 2, "MF-METRICS-TEMPERATURE"},
		"not a number":      {[]float32{0.5, nan, 0.5, 0.5}, []int{0, 1}, 2, "MF-METRICS-TEMPERATURE"},
		"certain and right": {binary(0, 1), []int{0, 1}, 2, "MF-METRICS-TEMPERATURE"},
		"nothing":           {nil, nil, 2, "MF-METRICS-EMPTY"},
	} {
		if got, err := FitTemperature(c.p, c.labels, c.classes); codes.Of(err) != c.code {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// What is certain and wrong once costs much, and no infinity.
func TestOneCertainMistakeIsBounded(t *testing.T) {
	p, labels := binary(0), []int{1}
	for i := range 1000 {
		p, labels = append(p, binary(float32(i%2))...), append(labels, i%2)
	}
	// 1 of 1001 is wrong by the logarithm of float32's smallest value.
	if got, err := FitTemperature(p, labels, 2); err != nil || math.Abs(got-MaxLoss/math.Log(1000)) > 0.01 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestATemperatureRanksNothingAnew: of two classes everything that rests on the order
// stays, to the last bit, also where values that differed are the same afterwards.
func TestATemperatureRanksNothingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.OneOf(rapid.Float32Range(0, 1), rapid.SampledFrom([]float32{1e-30, 2e-30, 1 - 1e-7, 1, 0.50000006, 0.5})), 1, 30).Draw(t, "p")
		labels := rapid.SliceOfN(rapid.IntRange(0, 1), len(p), len(p)).Draw(t, "labels")
		before := binary(p...)
		s := Sample{Probabilities: Tempered(before, 2, rapid.Float64Range(MinTemperature, MaxTemperature).Draw(t, "temperature")), Before: before, Labels: labels, Classes: 2}
		got, want := measure(t, s, 100), measure(t, Sample{Probabilities: before, Labels: labels, Classes: 2}, 100)
		if !reflect.DeepEqual(*got.Before, want.Calibration) {
			t.Fatalf("calibration before is %+v, and without a temperature %+v", got.Before, want.Calibration)
		}
		got.Loss, want.Loss = 0, 0
		if !reflect.DeepEqual(got.Result, want.Result) {
			t.Fatalf("%+v became %+v", want.Result, got.Result)
		}
		for i, c := range got.Curves {
			for j, point := range c.Points {
				if before := want.Curves[i].Points[j]; point.FalsePositives != before.FalsePositives || point.TruePositives != before.TruePositives {
					t.Fatalf("%+v became %+v", want.Curves, got.Curves)
				}
			}
		}
	})
}
