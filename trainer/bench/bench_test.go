package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/pytorch"
	"github.com/medfed/medfed/trainer/weights"
)

// stepped is a start and the same step from it twice.
func stepped() (start, a, b *weights.Weights) {
	start = &weights.Weights{Tensors: []weights.Tensor{{Name: "classifier.0.weight", Shape: []int{4}, Data: []float32{1, -2, 0.5, 0}}}}
	a = start.Clone()
	for i := range a.Tensors[0].Data {
		a.Tensors[0].Data[i] += 0.01 * float32(i+1)
	}
	return start, a, a.Clone()
}

func TestOtherResultsGiveNoNumber(t *testing.T) {
	for name, spoil := range map[string]func(v []float32, start []float32){
		"a little off":    func(v, _ []float32) { v[1] += 0.002 },
		"NaN":             func(v, _ []float32) { v[0] = float32(math.NaN()) },
		"infinite":        func(v, _ []float32) { v[0] = float32(math.Inf(1)) },
		"no step at all":  func(v, start []float32) { copy(v, start) },
		"the other way":   func(v, start []float32) { v[2] = 2*start[2] - v[2] },
		"twice the steps": func(v, start []float32) { v[3] = start[3] + 2*(v[3]-start[3]) },
	} {
		start, ours, theirs := stepped()
		if err := sameStep(start, ours, theirs, tolerance); err != nil {
			t.Fatal(err)
		}
		spoil(ours.Tensors[0].Data, start.Tensors[0].Data)
		if sameStep(start, ours, theirs, tolerance) == nil {
			t.Errorf("ours, %s: taken for the same", name)
		}
		start, ours, theirs = stepped()
		spoil(theirs.Tensors[0].Data, start.Tensors[0].Data)
		if sameStep(start, ours, theirs, tolerance) == nil {
			t.Errorf("theirs, %s: taken for the same", name)
		}
	}
	start, _, _ := stepped()
	if sameStep(start, start, start, tolerance) == nil {
		t.Error("two sides that do nothing are taken for the same")
	}
}

func TestDifferent(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		got, want []float32
		least     float64
	}{
		{[]float32{1, 2}, []float32{1}, 1}, {nil, nil, 1}, {[]float32{nan}, []float32{nan}, 1}, {[]float32{inf}, []float32{inf}, 1},
		{[]float32{1, 0}, []float32{0, 0}, 1}, {[]float32{1, 2.2}, []float32{1, 2}, 0.09},
	} {
		if d := different(c.got, c.want); !(d >= c.least) {
			t.Errorf("%v and %v differ by %v", c.got, c.want, d)
		}
	}
	if d := different([]float32{1, 2}, []float32{1, 2}); d != 0 {
		t.Errorf("equal values differ by %v", d)
	}
}

func TestTurnsAlternateAndMediansAreOfAllButTheFirst(t *testing.T) {
	var order string
	side := func(name string, times ...time.Duration) contender {
		turn := 0
		return func() (time.Duration, error) {
			order += name
			turn++
			return times[turn-1], nil
		}
	}
	ms := time.Millisecond
	medians, err := alternate(t.Context(), 3, side("a", 99*ms, 99*ms, 3*ms, 1*ms, 2*ms), side("b", 99*ms, 99*ms, 9*ms, 5*ms, 5*ms))
	if err != nil || order != "ababababab" || medians[0] != 2 || medians[1] != 5 {
		t.Errorf("got %v, %v in order %s", medians, err, order)
	}
	broken := errors.New("broken")
	if _, err := alternate(t.Context(), 1, func() (time.Duration, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// What was not measured is null, and said.
func TestWhatIsMissingIsNull(t *testing.T) {
	r := &result{Machine: describe(), Step: map[string]stepRatios{}, Milliseconds: map[string]float64{}, Missing: []string{}}
	r.missing("against PyTorch: %v", pytorch.ErrAbsent)
	path := filepath.Join(t.TempDir(), "bench", "trainer.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]any
	if err := json.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"speedup_vs_stock", "peak_mb"} {
		if v, there := written[name]; !there || v != nil {
			t.Errorf("%s is %v", name, v)
		}
	}
	if f := written["forward"].(map[string]any); f["resnet50"] != nil || f["vgg16"] != nil {
		t.Errorf("forward is %v", f)
	}
	if missing := written["missing"].([]any); len(missing) != 1 || !strings.Contains(missing[0].(string), "python3-torch") {
		t.Errorf("missing is %v", missing)
	}
}

func TestMemoryIsMeasuredWithoutTheDataSet(t *testing.T) {
	if set, err := memorySet(t.Context(), dataset.Options{Cache: t.TempDir()}); set != dataset.Synthetic || err == nil {
		t.Errorf("got %s, %v", set, err)
	}
	real, err := dataset.Lookup("pneumoniamnist")
	if err != nil {
		t.Fatal(err)
	}
	synthetic, err := dataset.Lookup(dataset.Synthetic)
	if err != nil {
		t.Fatal(err)
	}
	if real.Train != synthetic.Train || real.Test != synthetic.Test || real.Size != synthetic.Size || real.Channels != synthetic.Channels {
		t.Errorf("the synthetic set %+v is not of the size of %+v", synthetic, real)
	}
}

func TestABusyMachineIsSaid(t *testing.T) {
	for load, busy := range map[string]bool{"0.20 9.00 9.00": false, "1.00 0.10 0.10": true, "36.59 58.71 57.83": true, "unknown": true} {
		if (machine{Cores: 2, LoadBefore: load}).busy() != busy {
			t.Errorf("load %s: want busy %v", load, busy)
		}
	}
}

func TestTrainerStepsWhenItIsAskedTo(t *testing.T) {
	spec := model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 16, Classes: 2}
	start, err := model.Initial(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	trained := startTrainer(t.Context(), spec, start, noise(spec, 4))
	for range 3 {
		if took, err := trained.step(); err != nil || took <= 0 {
			t.Errorf("a step takes %v, %v", took, err)
		}
	}
	trained.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := startTrainer(ctx, spec, start, noise(spec, 4))
	if _, err := ended.step(); err == nil {
		// The step may have been under way; the next one is not.
		if _, err := ended.step(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	ended.stop()
}

func TestPeakLoopRuns(t *testing.T) {
	loop, operations := peakLoop()
	if loop == nil {
		t.Skip("this processor has no loop that measures its peak")
	}
	loop(1000)
	if operations <= 0 {
		t.Errorf("%v operations a round", operations)
	}
}
