package model

import (
	"runtime"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
)

// allocations counts what f allocates: the least of some runs.
func allocations(f func()) int {
	var least int
	for i := range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := int(after.Mallocs - before.Mallocs); i == 0 || n < least {
			least = n
		}
	}
	return least
}

// perStep is what each of some steps allocates, rounded down as by
// testing.AllocsPerRun, because now and then the runtime allocates something itself.
// That function is of no use here: it counts on one processor alone.
func perStep(allocated, steps int) int { return allocated / steps }

// More steps of a training allocate no more than fewer: what it allocates, it does
// before the first. So does an evaluation.
func TestStepsAllocateNothing(t *testing.T) {
	head := Spec{VGG16, 3, 224, 2}
	plain := TrainOptions{BatchSize: 3, LearningRate: 0.001}
	all := TrainOptions{
		BatchSize: 12, LearningRate: 0.001, Momentum: 0.9, ProximalMu: 0.1, BalanceClasses: true,
		Augmentation: dataset.Augmentation{Flip: true, Shift: 1, Rotate: 10, Contrast: 0.1},
	}
	ofHead := all
	ofHead.Augmentation = dataset.Augmentation{}
	for _, procs := range []int{1, 2} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		for _, c := range []struct {
			name    string
			spec    Spec
			data    dataset.Split
			options TrainOptions
		}{
			{"six-layer CNN", Spec{HMChainCNN, 1, 28, 2}, examples(Spec{HMChainCNN, 1, 28, 2}, 12), plain},
			{"six-layer CNN of odd sizes, with all that training has", Spec{HMChainCNN, 3, 21, 5}, examples(Spec{HMChainCNN, 3, 21, 5}, 12), all},
			{"ResNet-18", Spec{ResNet18, 1, 16, 2}, examples(Spec{ResNet18, 1, 16, 2}, 4), TrainOptions{BatchSize: 2, LearningRate: 0.001}},
			{"head of a frozen backbone", head, featuresOf(head, 12), ofHead},
		} {
			training, err := build(design{c.spec, c.options.BatchSize, nn.Training})
			if err != nil {
				t.Fatal(err)
			}
			training.load(initial(t, c.spec))
			train := func(epochs int) int {
				c.options.Epochs = epochs
				return allocations(func() {
					if err := training.train(t.Context(), c.data, c.options); err != nil {
						t.Fatal(err)
					}
				})
			}
			perEpoch := (len(c.data.Labels) + c.options.BatchSize - 1) / c.options.BatchSize
			const steps = 8
			if few, many := train(1), train(1+steps/perEpoch); perStep(many-few, steps) > 0 {
				t.Errorf("%s on %d processors: %d more steps of training make %d allocations", c.name, procs, steps, many-few)
			}
			evaluating, err := build(design{c.spec, 4, nn.Evaluating})
			if err != nil {
				t.Fatal(err)
			}
			evaluating.load(initial(t, c.spec))
			batch := []int{0, 1, 2, 3}
			evaluate := allocations(func() {
				for range 10 {
					if err := evaluating.feed(c.data, batch); err != nil {
						t.Fatal(err)
					}
					if err := evaluating.run(); err != nil {
						t.Fatal(err)
					}
				}
			})
			if perStep(evaluate, 10) > 0 {
				t.Errorf("%s on %d processors: 10 batches of evaluation make %d allocations", c.name, procs, evaluate)
			}
		}
	}
}

// The same of a private training.
func TestPrivateStepsAllocateNothing(t *testing.T) {
	data, start := randomExamples(6, privateSpec, 3), initial(t, privateSpec)
	n := privateNetwork(t, start)
	o := TrainOptions{BatchSize: 2, LearningRate: 0.001, Momentum: 0.9}
	p := PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: secretOf("x")}
	train := func(epochs int) int {
		o.Epochs = epochs
		g := generatorsOf(t, p, start, data, o)
		return allocations(func() {
			if err := n.trainPrivately(t.Context(), data, o, p, g); err != nil {
				t.Fatal(err)
			}
		})
	}
	const steps = 4 * 3
	if few, many := train(2), train(6); perStep(many-few, steps) > 0 {
		t.Errorf("%d more steps of private training make %d allocations", steps, many-few)
	}
}

// TestMemoryOfANetworkIsFree when it is gone: the one that measures the first weights,
// beside which what they are for must have room.
func TestMemoryOfANetworkIsFree(t *testing.T) {
	held := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	large := Spec{HMChainCNN, 1, 64, 2}
	n, err := build(design{large, measuredImages, nn.Measuring})
	if err != nil {
		t.Fatal(err)
	}
	of := 4 * float64(n.graph.Values()) / 1e6
	n = nil
	before := held()
	w := initial(t, large)
	if more := held() - before; more > of/2 {
		t.Errorf("%.0f MB are held after the first weights were drawn, of a network of %.0f MB", more, of)
	}
	runtime.KeepAlive(w)
}
