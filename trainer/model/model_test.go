package model

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/weights"
)

var small = Spec{Name: HMChainCNN, Channels: 1, Size: 16, Classes: 3}

// numbers are the values in [-1, 1) that testdata/reference.py draws, too.
func numbers(seed uint64, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		seed = seed*6364136223846793005 + 1442695040888963407
		v[i] = float32(int64(seed>>40)-1<<23) / (1 << 23)
	}
	return v
}

// examples draws n noisy images; the height of a bright stripe tells the class.
func examples(spec Spec, n int) dataset.Split {
	row := spec.Size * spec.Channels
	data := dataset.Split{Values: numbers(3, n*spec.Size*row)}
	for i := range n {
		class := i % spec.Classes
		data.Labels = append(data.Labels, class)
		first, last := class*spec.Size/spec.Classes, (class+1)*spec.Size/spec.Classes
		for j := first * row; j < last*row; j++ {
			data.Values[i*spec.Size*row+j] = 1
		}
	}
	return data
}

func initial(t testing.TB, spec Spec) *weights.Weights {
	t.Helper()
	w, err := Initial(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// digest is what testdata/reference.json keeps of a tensor.
type digest struct {
	Sample           []float64
	Norm, Projection float64
}

// near fails the test unless v has the digest up to tolerance, relative to the
// largest sampled entry and to the norm.
func (d digest) near(t *testing.T, what string, v []float32, tolerance float64) {
	t.Helper()
	var scale, norm, projection float64
	for _, s := range d.Sample {
		scale = max(scale, math.Abs(s))
	}
	for i, r := range numbers(7, len(v)) {
		norm += float64(v[i]) * float64(v[i])
		projection += float64(v[i]) * float64(r)
	}
	norm = math.Sqrt(norm)
	for i, want := range d.Sample {
		if got := float64(v[i*len(v)/len(d.Sample)]); !(math.Abs(got-want) <= tolerance*scale) {
			t.Errorf("%s: sample %d is %v, want %v", what, i, got, want)
		}
	}
	if !(math.Abs(norm-d.Norm) <= tolerance*d.Norm) || !(math.Abs(projection-d.Projection) <= tolerance*d.Norm) {
		t.Errorf("%s: norm %v, projection %v, want %v and %v", what, norm, projection, d.Norm, d.Projection)
	}
}

// reference is a case of testdata/reference.json or testdata/architectures.json.
type reference struct {
	Model                          string // "" for hmchain-cnn
	Channels, Size, Classes, Batch int
	Seed                           uint64 // of the images; 0 for 5
	Rate, Momentum                 float64
	Names                          []string
	Scales                         map[string]float32
	Evaluated, Trained             digest
	Gradients, Running, Stepped    map[string]digest
	Losses                         []float64
	Loss                           float64
	Float32                        float64 // the largest error of PyTorch's gradients in float32
}

func (r reference) spec() Spec {
	return Spec{Name: cmp.Or(r.Model, HMChainCNN), Channels: r.Channels, Size: r.Size, Classes: r.Classes}
}

// weights draws the weights from which the reference starts.
func (r reference) weights() *weights.Weights { return r.draw(r.spec().slots()) }

func (r reference) draw(slots []slot) *weights.Weights {
	w := emptyOf(slots)
	for i, slot := range slots {
		u := numbers(uint64(1000+i), slot.size())
		for j := range u {
			switch slot.kind {
			case weight:
				u[j] *= r.Scales[slot.name]
			case bias, beta:
				u[j] /= 8
			case gamma:
				u[j] = 1 + u[j]/4
			case mean:
				u[j] /= 4
			case variance:
				u[j] = 1 + u[j]/2
			}
		}
		w.Tensors[i].Data = u
	}
	return w
}

// data draws the images of the reference, turned from NCHW to NHWC.
func (r reference) data() (data dataset.Split, order []int) {
	pixels := r.Size * r.Size
	from := numbers(cmp.Or(r.Seed, 5), r.Batch*r.Channels*pixels)
	data.Values = make([]float32, len(from))
	for n := range r.Batch {
		for c := range r.Channels {
			for p := range pixels {
				data.Values[(n*pixels+p)*r.Channels+c] = from[(n*r.Channels+c)*pixels+p]
			}
		}
		data.Labels = append(data.Labels, n%r.Classes)
		order = append(order, n)
	}
	return data, order
}

// TestReference compares the network with what PyTorch computes in float64:
// evaluation, the first step strictly, the later ones loosely, because rounding
// errors grow along a trajectory.
func TestReference(t *testing.T) {
	for _, r := range references(t, "testdata/reference.json") {
		start := r.weights()
		r.checkNames(t, start)
		data, order := r.data()
		probabilities, err := Predict(context.Background(), r.spec(), start, data)
		if err != nil {
			t.Fatal(err)
		}
		r.Evaluated.near(t, "evaluation", probabilities, 1e-5)
		trained := r.train(t, start, data, order)
		if probabilities, err = Predict(context.Background(), r.spec(), trained, data); err != nil {
			t.Fatal(err)
		}
		r.Trained.near(t, "evaluation after training", probabilities, 2e-3)
	}
}

func references(t *testing.T, file string) []reference {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []reference
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// checkNames compares names and their order with PyTorch's.
func (r reference) checkNames(t *testing.T, w *weights.Weights) {
	t.Helper()
	names := make([]string, 0, len(w.Tensors))
	for _, tensor := range w.Tensors {
		names = append(names, tensor.Name)
	}
	if !slices.Equal(names, r.Names) {
		t.Fatalf("the tensors are %v, PyTorch's are %v", names, r.Names)
	}
}

// train follows the reference's trajectory.
func (r reference) train(t *testing.T, start *weights.Weights, data dataset.Split, order []int) *weights.Weights {
	n, err := build(design{r.spec(), r.Batch, nn.Training})
	if err != nil {
		t.Fatal(err)
	}
	n.load(start)
	if err := n.feed(data, order); err != nil {
		t.Fatal(err)
	}
	solver := TrainOptions{LearningRate: r.Rate, Momentum: r.Momentum}.solver()
	for step, want := range r.Losses {
		if err := n.run(); err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			r.firstStep(t, n, 1e-5)
		}
		if err := solver.Step(n.moved); err != nil {
			t.Fatal(err)
		}
		tolerance := 1e-6
		if step > 0 {
			tolerance = 2e-3
		}
		if got := n.loss(); !(math.Abs(got-want) <= tolerance) {
			t.Errorf("loss of step %d is %v, want %v", step, got, want)
		}
		if step == 0 {
			for _, tensor := range n.store().Tensors {
				if want, ok := r.Stepped[tensor.Name]; ok {
					want.near(t, "after a step: "+tensor.Name, tensor.Data, 1e-5)
				}
			}
		}
	}
	return n.store()
}

// firstStep compares gradients up to tolerance, and running statistics, after one
// run.
func (r reference) firstStep(t *testing.T, n *network, tolerance float64) {
	learned := 0
	for i, slot := range n.design.spec.slots() {
		if !slot.learned() {
			r.Running[slot.name].near(t, slot.name, n.tensors[i], 1e-5)
			continue
		}
		grad, err := n.learned[learned].Grad()
		if err != nil {
			t.Fatal(err)
		}
		learned++
		// A bias in front of a batch normalisation has no effect: its gradient is
		// zero up to rounding.
		if slot.kind == bias && n.design.spec.Name == HMChainCNN && strings.HasPrefix(slot.name, "features") {
			for _, g := range nn.Floats(grad) {
				if math.Abs(float64(g)) > 1e-5 {
					t.Errorf("gradient of %s is %v, want nothing", slot.name, g)
				}
			}
			continue
		}
		r.Gradients[slot.name].near(t, "gradient of "+slot.name, nn.Floats(grad), tolerance)
	}
}

func train(t testing.TB, spec Spec, start *weights.Weights, data dataset.Split, o TrainOptions) *weights.Weights {
	t.Helper()
	w, err := Train(context.Background(), spec, start, data, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestLearns: a few steps on an easy task, for every shape of image, with
// batches of two sizes.
func TestLearns(t *testing.T) {
	for _, spec := range []Spec{small, {HMChainCNN, 3, 17, 2}, {HMChainCNN, 1, 28, 4}} {
		data := examples(spec, 50)
		start := initial(t, spec)
		before := start.Digest()
		var steps []int
		w := train(t, spec, start, data, TrainOptions{
			Epochs: 8, BatchSize: 16, LearningRate: 0.02, Momentum: 0.5, Seed: 2,
			Progress: func(done, total int) {
				if total != 32 {
					t.Fatalf("%d steps in all, want 32", total)
				}
				steps = append(steps, done)
			},
		})
		if len(steps) != 32 || steps[0] != 1 || steps[31] != 32 {
			t.Errorf("%+v: progress was %v", spec, steps)
		}
		if start.Digest() != before {
			t.Errorf("%+v: training changed its start", spec)
		}
		result, err := Evaluate(context.Background(), spec, w, data)
		if err != nil {
			t.Fatal(err)
		}
		if result.Accuracy < 0.9 || result.NumExamples != 50 {
			t.Errorf("%+v: accuracy %v on %d examples after training", spec, result.Accuracy, result.NumExamples)
		}
	}
}

// TestReproducible: the same seed gives the same bytes for any number of
// processors, any kernel family and whether the network was built or idle;
// another seed gives others.
func TestReproducible(t *testing.T) {
	data := examples(small, 37)
	o := TrainOptions{Epochs: 2, BatchSize: 10, LearningRate: 0.05, Momentum: 0.9, Seed: 3}
	want := train(t, small, initial(t, small), data, o).Digest()
	for _, procs := range []int{1, 2, 3} {
		before := runtime.GOMAXPROCS(procs)
		got := train(t, small, initial(t, small), data, o).Digest()
		runtime.GOMAXPROCS(before)
		if got != want {
			t.Errorf("%d processors give other bytes", procs)
		}
	}
	for _, l := range kernel.Levels() {
		restore, err := kernel.Use(l)
		if err != nil {
			t.Fatal(err)
		}
		got := train(t, small, initial(t, small), data, o).Digest()
		restore()
		if got != want {
			t.Errorf("%v gives other bytes", l)
		}
	}
	o.Seed++
	if train(t, small, initial(t, small), data, o).Digest() == want {
		t.Error("another seed gives the same bytes")
	}
}

// TestInitial: the bytes are fixed for ever, bounds are PyTorch's, and in a training
// step on the images that they were measured on the running statistics stay.
func TestInitial(t *testing.T) {
	w := initial(t, Spec{HMChainCNN, 1, 28, 2})
	if got, want := w.Digest(), initialDigest; got != want {
		t.Errorf("the digest of the initial weights is %s, was %s", got, want)
	}
	if other, err := Initial(Spec{HMChainCNN, 1, 28, 2}, 2); err != nil || other.Digest() == w.Digest() {
		t.Errorf("seeds 1 and 2 give the same weights (%v)", err)
	}
	for i, slot := range (Spec{HMChainCNN, 1, 28, 2}).slots() {
		data := w.Tensors[i].Data
		low, high := slices.Min(data), slices.Max(data)
		switch slot.kind {
		case weight, bias:
			bound := float32(1 / math.Sqrt(float64(slot.fanIn)))
			if low < -bound || high > bound || len(data) > 100 && (low > -0.9*bound || high < 0.9*bound) {
				t.Errorf("%s lies in [%v, %v], want nearly all of ±%v", slot.name, low, high, bound)
			}
		case gamma:
			if low != 1 || high != 1 {
				t.Errorf("%s is not one", slot.name)
			}
		case beta:
			if low != 0 || high != 0 {
				t.Errorf("%s is not zero", slot.name)
			}
		}
	}
	for _, spec := range []Spec{{HMChainCNN, 1, 28, 2}, {HMChainEnsemble, 3, 16, 4}, {ResNet18, 1, 28, 2}} {
		w := initial(t, spec)
		trained := train(t, spec, w, dataset.ValueNoise(measuredImages, spec.Channels, spec.Size), TrainOptions{Epochs: 1, BatchSize: measuredImages, LearningRate: 0.1})
		for i, slot := range spec.slots() {
			for j, v := range w.Tensors[i].Data {
				if moved := trained.Tensors[i].Data[j]; !slot.learned() && math.Abs(float64(moved-v)) > 1e-5*math.Abs(float64(v))+1e-7 {
					t.Fatalf("%s: a step moves element %d of %s from %v to %v", spec.Name, j, slot.name, v, moved)
				}
			}
		}
	}
}

// TestPoisonedWeights: NaN and infinities in any tensor give valid metrics.
func TestPoisonedWeights(t *testing.T) {
	data := examples(small, 30)
	for _, poison := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 3e38, -1} {
		for i := range initial(t, small).Tensors {
			w := initial(t, small)
			for j := range w.Tensors[i].Data {
				w.Tensors[i].Data[j] = poison
			}
			r, err := Evaluate(context.Background(), small, w, data)
			if err != nil {
				t.Fatalf("%v in %s: %v", poison, w.Tensors[i].Name, err)
			}
			for _, v := range []float64{r.Accuracy, r.AUC, r.Sensitivity, r.Specificity} {
				if !(v >= 0 && v <= 1) {
					t.Errorf("%v in %s: metrics %+v", poison, w.Tensors[i].Name, r)
				}
			}
			if poison != poison && r.Accuracy != 0 {
				t.Errorf("NaN in %s: accuracy %v, want 0", w.Tensors[i].Name, r.Accuracy)
			}
		}
	}
	w := initial(t, small)
	w.Tensors[0].Data[0] = float32(math.NaN())
	if _, err := Train(context.Background(), small, w, data, TrainOptions{Epochs: 1, BatchSize: 10, LearningRate: 0.1}); code(err) != "MF-MODEL-DIVERGED" {
		t.Errorf("training NaN: %v", err)
	}
	o := TrainOptions{Epochs: 1, BatchSize: 30, LearningRate: 1e300}
	if _, err := Train(context.Background(), small, initial(t, small), data, o); code(err) != "MF-MODEL-DIVERGED" {
		t.Errorf("a single step out of all bounds: %v", err)
	}
	// The network that diverged is used again, without a trace of it.
	o = TrainOptions{Epochs: 1, BatchSize: 10, LearningRate: 0.1}
	fresh, err := build(design{small, 10, nn.Training})
	if err != nil {
		t.Fatal(err)
	}
	fresh.load(initial(t, small))
	if err := fresh.train(context.Background(), data, o); err != nil {
		t.Fatal(err)
	}
	if train(t, small, initial(t, small), data, o).Digest() != fresh.store().Digest() {
		t.Error("a network that saw NaN trains differently")
	}
}

// code is the code an error begins with.
func code(err error) string {
	if err == nil {
		return ""
	}
	before, _, _ := strings.Cut(err.Error(), ":")
	return before
}

// TestRefusals: everything a user can get wrong has its code.
func TestRefusals(t *testing.T) {
	good := TrainOptions{Epochs: 1, BatchSize: 4, LearningRate: 0.1}
	data := examples(small, 8)
	for name, c := range map[string]struct {
		change func(s *Spec, w *weights.Weights, d *dataset.Split, o *TrainOptions)
		code   string
		train  bool // not for Evaluate
	}{
		"name":          {func(s *Spec, _ *weights.Weights, _ *dataset.Split, _ *TrainOptions) { s.Name = "vgg" }, "MF-MODEL-NAME", false},
		"channels":      {func(s *Spec, _ *weights.Weights, _ *dataset.Split, _ *TrainOptions) { s.Channels = 2 }, "MF-MODEL-SHAPE", false},
		"size":          {func(s *Spec, _ *weights.Weights, _ *dataset.Split, _ *TrainOptions) { s.Size = 15 }, "MF-MODEL-SHAPE", false},
		"huge size":     {func(s *Spec, _ *weights.Weights, _ *dataset.Split, _ *TrainOptions) { s.Size = 224 }, "MF-MODEL-SHAPE", false},
		"classes":       {func(s *Spec, _ *weights.Weights, _ *dataset.Split, _ *TrainOptions) { s.Classes = 1 }, "MF-MODEL-SHAPE", false},
		"epochs":        {func(_ *Spec, _ *weights.Weights, _ *dataset.Split, o *TrainOptions) { o.Epochs = 0 }, "MF-MODEL-OPTIONS", true},
		"batch size":    {func(_ *Spec, _ *weights.Weights, _ *dataset.Split, o *TrainOptions) { o.BatchSize = -1 }, "MF-MODEL-OPTIONS", true},
		"learning rate": {func(_ *Spec, _ *weights.Weights, _ *dataset.Split, o *TrainOptions) { o.LearningRate = math.NaN() }, "MF-MODEL-OPTIONS", true},
		"momentum":      {func(_ *Spec, _ *weights.Weights, _ *dataset.Split, o *TrainOptions) { o.Momentum = 1 }, "MF-MODEL-OPTIONS", true},
		"no weights":    {func(_ *Spec, w *weights.Weights, _ *dataset.Split, _ *TrainOptions) { w.Tensors = nil }, "MF-WEIGHTS-INCOMPATIBLE", false},
		"other weights": {func(_ *Spec, w *weights.Weights, _ *dataset.Split, _ *TrainOptions) { w.Tensors[3].Name = "x" }, "MF-WEIGHTS-INCOMPATIBLE", false},
		"short weights": {func(_ *Spec, w *weights.Weights, _ *dataset.Split, _ *TrainOptions) {
			w.Tensors[3].Data = w.Tensors[3].Data[1:]
		}, "MF-WEIGHTS-SHAPE", false},
		"other size weights": {func(s *Spec, _ *weights.Weights, d *dataset.Split, _ *TrainOptions) {
			s.Size = 28
			*d = examples(*s, 8)
		}, "MF-WEIGHTS-INCOMPATIBLE", false},
		"no examples":    {func(_ *Spec, _ *weights.Weights, d *dataset.Split, _ *TrainOptions) { *d = dataset.Split{} }, "MF-MODEL-DATA", false},
		"fewer images":   {func(_ *Spec, _ *weights.Weights, d *dataset.Split, _ *TrainOptions) { d.Values = d.Values[5:] }, "MF-MODEL-DATA", false},
		"class too high": {func(_ *Spec, _ *weights.Weights, d *dataset.Split, _ *TrainOptions) { d.Labels[7] = 3 }, "MF-MODEL-DATA", false},
	} {
		s, w, o := small, initial(t, small), good
		d := dataset.Split{Values: data.Values, Labels: slices.Clone(data.Labels)}
		c.change(&s, w, &d, &o)
		if _, err := Train(context.Background(), s, w, d, o); code(err) != c.code {
			t.Errorf("%s: training: %v, want %s", name, err, c.code)
		}
		if _, err := Evaluate(context.Background(), s, w, d); !c.train && code(err) != c.code {
			t.Errorf("%s: evaluation: %v, want %s", name, err, c.code)
		}
	}
	if _, err := Initial(Spec{Name: "resnet"}, 1); code(err) != "MF-MODEL-NAME" {
		t.Errorf("initial weights of an unknown name: %v", err)
	}
	if _, err := Evaluate(context.Background(), small, nil, data); code(err) != "MF-WEIGHTS-INCOMPATIBLE" {
		t.Errorf("evaluation of nil: %v", err)
	}
}

// TestCancelled: the end of the context ends training between two steps, and the
// next training is as if nothing had been.
func TestCancelled(t *testing.T) {
	data := examples(small, 30)
	o := TrainOptions{Epochs: 3, BatchSize: 10, LearningRate: 0.1, Momentum: 0.5}
	want := train(t, small, initial(t, small), data, o).Digest()
	ctx, cancel := context.WithCancel(context.Background())
	interrupted := o
	interrupted.Progress = func(done, _ int) {
		if done == 4 {
			cancel()
		}
		if done > 4 {
			t.Error("training went on after the end of its context")
		}
	}
	if _, err := Train(ctx, small, initial(t, small), data, interrupted); !errors.Is(err, context.Canceled) {
		t.Errorf("training gave %v", err)
	}
	if _, err := Evaluate(ctx, small, initial(t, small), data); !errors.Is(err, context.Canceled) {
		t.Errorf("evaluation gave %v", err)
	}
	if train(t, small, initial(t, small), data, o).Digest() != want {
		t.Error("training after an interruption gives other bytes")
	}
}

// TestConcurrent: trainings and evaluations at the same time do not disturb one
// another, and idle networks stay few.
func TestConcurrent(t *testing.T) {
	data := examples(small, 20)
	o := TrainOptions{Epochs: 1, BatchSize: 8, LearningRate: 0.1}
	want := train(t, small, initial(t, small), data, o).Digest()
	results := make(chan error, 6)
	for range cap(results) {
		go func() {
			start, err := Initial(small, 1)
			if err != nil {
				results <- err
				return
			}
			w, err := Train(context.Background(), small, start, data, o)
			if err == nil && w.Digest() != want {
				err = errors.New("concurrent training gives other bytes")
			}
			if err == nil {
				_, err = Evaluate(context.Background(), small, w, data)
			}
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if len(idle.networks) > maxIdle {
		t.Errorf("%d idle networks are kept", len(idle.networks))
	}
}

// TestEvaluationKnowsNoBatch: of every architecture, an example alone gets the same
// answer as in company, to the last bit.
func TestEvaluationKnowsNoBatch(t *testing.T) {
	for _, name := range Names() {
		spec := Spec{name, 3, 16, 3}
		if own := (Spec{name, 3, 224, 3}); own.CheckFrozen() == nil {
			spec = own
		}
		most := spec.evaluationBatch()
		data := inputs(spec, most+6)
		o := TrainOptions{Epochs: 1, BatchSize: 64, LearningRate: 0.01, Seed: 1}
		w := train(t, spec, initial(t, spec), data.Select([]int{0, 1, 2, 3, 4, 5, 6, 7}), o)
		all, err := Predict(t.Context(), spec, w, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{0, 17, most - 1, most, most + 5} {
			alone, err := Predict(t.Context(), spec, w, data.Select([]int{i}))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(alone, all[i*spec.Classes:(i+1)*spec.Classes]) {
				t.Errorf("%s: example %d alone gets %v, in company %v", name, i, alone, all[i*spec.Classes:(i+1)*spec.Classes])
			}
		}
	}
}

// initialDigest is the digest of the initial weights for 28×28 grey images, two
// classes and seed 1.
const initialDigest = "3167c95168ae4ef55cac0547a2dc9a1700172049ea38b2e42fcc183affaac290"
