package metrics

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/integrate"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

var nan = float32(math.NaN())

func compute(t testing.TB, probabilities []float32, labels []int, classes int) Result {
	t.Helper()
	r, err := Compute(probabilities, labels, classes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatalf("a result that JSON cannot hold: %v", err)
	}
	return r
}

// binary makes two-class rows from the probability of class 1.
func binary(p ...float32) []float32 {
	var rows []float32
	for _, p := range p {
		rows = append(rows, 1-p, p)
	}
	return rows
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12 }

func TestBinary(t *testing.T) {
	// AUC 0.75 is the example in the documentation of sklearn.metrics.roc_auc_score.
	r := compute(t, binary(0.1, 0.4, 0.35, 0.8), []int{0, 0, 1, 1}, 2)
	want := Result{
		Accuracy: 0.75, AUC: 0.75, Sensitivity: 0.5, Specificity: 1,
		Loss: r.Loss, NumExamples: 4, Confusion: [][]int{{2, 0}, {1, 1}},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
	loss := -(math.Log(0.9) + math.Log(0.6) + math.Log(0.35) + math.Log(0.8)) / 4
	if math.Abs(r.Loss-loss) > 1e-7 {
		t.Errorf("loss %v, want %v", r.Loss, loss)
	}
}

func TestMultiClass(t *testing.T) {
	p := []float32{
		0.7, 0.2, 0.1,
		0.4, 0.5, 0.1,
		0.2, 0.6, 0.2,
		0.1, 0.1, 0.8,
		0.5, 0.2, 0.3,
	}
	r := compute(t, p, []int{0, 0, 1, 2, 2}, 3)
	if want := [][]int{{1, 1, 0}, {0, 1, 0}, {1, 0, 1}}; !reflect.DeepEqual(r.Confusion, want) {
		t.Errorf("confusion %v, want %v", r.Confusion, want)
	}
	// By hand: class 0 wins 5 of 6 pairs, class 1 4 of 4, class 2 6 of 6.
	if want := (5.0/6 + 1 + 1) / 3; !near(r.AUC, want) {
		t.Errorf("AUC %v, want %v", r.AUC, want)
	}
	if want := (1.0/2 + 1 + 1.0/2) / 3; !near(r.Sensitivity, want) {
		t.Errorf("sensitivity %v, want %v", r.Sensitivity, want)
	}
	if want := (2.0/3 + 3.0/4 + 1) / 3; !near(r.Specificity, want) {
		t.Errorf("specificity %v, want %v", r.Specificity, want)
	}
}

func TestDefinedEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		p      []float32
		labels []int
		want   Result
	}{
		{"all NaN", []float32{nan, nan, nan, nan}, []int{0, 1},
			Result{Loss: MaxLoss, NumExamples: 2, Confusion: [][]int{{0, 1}, {1, 0}}}},
		{"all infinite", []float32{inf, -inf, inf, -inf}, []int{0, 1},
			Result{Loss: MaxLoss, NumExamples: 2, Confusion: [][]int{{0, 1}, {1, 0}}}},
		{"one NaN positive ranks last", []float32{1, 0, nan, 1, 0, 1}, []int{0, 1, 1},
			Result{Accuracy: 2.0 / 3, AUC: 0.5, Sensitivity: 0.5, Specificity: 1, Loss: MaxLoss / 3, NumExamples: 3, Confusion: [][]int{{1, 0}, {1, 1}}}},
		{"one value for all", []float32{.5, .5, .5, .5}, []int{0, 1},
			Result{Accuracy: 0.5, AUC: 0.5, Specificity: 1, Loss: math.Ln2, NumExamples: 2, Confusion: [][]int{{1, 0}, {1, 0}}}},
		{"no negatives", []float32{0, 1}, []int{1},
			Result{Accuracy: 1, AUC: 0.5, Sensitivity: 1, NumExamples: 1, Confusion: [][]int{{0, 0}, {0, 1}}, Absent: []int{0}}},
		{"no positives", []float32{1, 0}, []int{0},
			Result{Accuracy: 1, AUC: 0.5, Specificity: 1, NumExamples: 1, Confusion: [][]int{{1, 0}, {0, 0}}, Absent: []int{1}}},
		{"no negatives and NaN", []float32{0, nan}, []int{1},
			Result{Loss: MaxLoss, NumExamples: 1, Confusion: [][]int{{0, 0}, {1, 0}}, Absent: []int{0}}},
		{"certain and wrong", []float32{1, 0, 0, 1}, []int{1, 0},
			Result{Loss: MaxLoss, NumExamples: 2, Confusion: [][]int{{0, 1}, {1, 0}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := compute(t, c.p, c.labels, 2)
			if !near(got.Loss, c.want.Loss) {
				t.Errorf("loss %v, want %v", got.Loss, c.want.Loss)
			}
			got.Loss = c.want.Loss
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestAbsentClassIsLeftOutOfMeans(t *testing.T) {
	r := compute(t, []float32{0.8, 0.1, 0.1, 0.1, 0.8, 0.1}, []int{0, 1}, 3)
	if r.AUC != 1 || r.Sensitivity != 1 || r.Specificity != 1 || !reflect.DeepEqual(r.Absent, []int{2}) {
		t.Errorf("got %+v", r)
	}
}

func TestComputeRefuses(t *testing.T) {
	for _, c := range []struct {
		code    string
		p       []float32
		labels  []int
		classes int
	}{
		{"CLASSES", []float32{1}, []int{0}, 1},
		{"CLASSES", nil, nil, -1},
		{"EMPTY", nil, nil, 2},
		{"SHAPE", []float32{1, 0, 1}, []int{0}, 2},
		{"SHAPE", []float32{1, 0, 1, 0}, []int{0}, 2},
		{"SHAPE", nil, []int{0}, 2},
		{"LABEL", []float32{1, 0}, []int{2}, 2},
		{"LABEL", []float32{1, 0}, []int{-1}, 2},
	} {
		_, err := Compute(c.p, c.labels, c.classes)
		if err == nil || !strings.HasPrefix(err.Error(), "MF-METRICS-"+c.code+": ") {
			t.Errorf("%v of %v: got %v, want %s", c.labels, c.p, err, c.code)
		}
	}
}

// drawExamples draws few distinct values, so that ties are common, and NaN when
// asked to.
func drawExamples(t *rapid.T, values []float32) ([]float32, []int, int) {
	classes := rapid.IntRange(2, 4).Draw(t, "classes")
	labels := rapid.SliceOfN(rapid.IntRange(0, classes-1), 1, 30).Draw(t, "labels")
	n := len(labels) * classes
	return rapid.SliceOfN(rapid.SampledFrom(values), n, n).Draw(t, "probabilities"), labels, classes
}

// TestAgainstPairCounting holds AUC against its definition: pairs, one by one.
func TestAgainstPairCounting(t *testing.T) {
	pairs := func(p []float32, labels []int, classes, class int) (float64, bool) {
		won, total := 0.0, 0.0
		for i, a := range labels {
			for j, b := range labels {
				if a != class || b == class {
					continue
				}
				total++
				x, y := p[i*classes+class], p[j*classes+class]
				if x > y {
					won++
				} else if x == y {
					won += 0.5
				}
			}
		}
		return won / total, total > 0
	}
	rapid.Check(t, func(t *rapid.T) {
		p, labels, classes := drawExamples(t, []float32{0, 0.1, 0.25, 0.5, 0.75, 1})
		want, defined := 0.0, 0.0
		for class := range classes {
			if classes == 2 && class == 0 {
				continue
			}
			if a, ok := pairs(p, labels, classes, class); ok {
				want += a
				defined++
			}
		}
		want /= defined
		if defined == 0 {
			want = 0.5
		}
		r, err := Compute(p, labels, classes)
		if err != nil || !near(r.AUC, want) {
			t.Fatalf("AUC %v, want %v (%v)", r.AUC, want, err)
		}
	})
}

// TestAgainstGonum holds the binary AUC against gonum's ROC curve.
func TestAgainstGonum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float32Range(0, 1), 2, 60).Draw(t, "p")
		labels := rapid.SliceOfN(rapid.IntRange(0, 1), len(p), len(p)).Draw(t, "labels")
		if !slices.Contains(labels, 0) || !slices.Contains(labels, 1) {
			t.Skip("one class only")
		}
		order := make([]int, len(p))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, float64(p[a]-p[b]))) })
		var scores []float64
		var positive []bool
		for _, i := range order {
			scores = append(scores, float64(p[i]))
			positive = append(positive, labels[i] == 1)
		}
		tpr, fpr, _ := stat.ROC(nil, scores, positive, nil)
		want := integrate.Trapezoidal(fpr, tpr)
		r, err := Compute(binary(p...), labels, 2)
		if err != nil || math.Abs(r.AUC-want) > 1e-9 {
			t.Fatalf("AUC %v, gonum %v (%v)", r.AUC, want, err)
		}
	})
}

// TestNeverOutOfRange: whatever the values, every number is finite and in range,
// the confusion matrix holds every example, and spoiling a row never helps.
func TestNeverOutOfRange(t *testing.T) {
	values := []float32{0, 0.5, 1, nan, float32(math.Inf(1)), float32(math.Inf(-1)), -3, 7, math.MaxFloat32}
	rapid.Check(t, func(t *rapid.T) {
		p, labels, classes := drawExamples(t, values)
		r, err := Compute(p, labels, classes)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []float64{r.Accuracy, r.AUC, r.Sensitivity, r.Specificity, r.Loss / MaxLoss} {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("%v in %+v", v, r)
			}
		}
		held := 0
		for _, row := range r.Confusion {
			held += sum(row)
		}
		if held != len(labels) {
			t.Fatalf("the confusion matrix holds %d of %d examples", held, len(labels))
		}
		spoilt := slices.Clone(p)
		spoilt[rapid.IntRange(0, len(p)-1).Draw(t, "at")] = nan
		s, err := Compute(spoilt, labels, classes)
		if err != nil || s.Accuracy > r.Accuracy || s.AUC > r.AUC+1e-12 || s.Loss < r.Loss-1e-12 {
			t.Fatalf("a NaN improved %+v to %+v (%v)", r, s, err)
		}
	})
}

func TestOrderOfExamplesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, labels, classes := drawExamples(t, []float32{0, 0.25, 0.5, 1, nan})
		order := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range labels {
				if !yield(i) {
					return
				}
			}
		})).Draw(t, "order")
		var q []float32
		var other []int
		for _, i := range order {
			q = append(q, p[i*classes:(i+1)*classes]...)
			other = append(other, labels[i])
		}
		a, _ := Compute(p, labels, classes)
		b, _ := Compute(q, other, classes)
		a.Loss, b.Loss = 0, 0 // a sum of floats in another order
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v in another order is %+v", a, b)
		}
	})
}
