package model

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/weights"
)

// TestArchitectures compares ResNet-18 (evaluation, loss, every gradient and
// running statistic) and the features of the backbones with what PyTorch and
// torchvision compute in float64 under the same names.
func TestArchitectures(t *testing.T) {
	for _, r := range references(t, "testdata/architectures.json") {
		t.Run(r.Model, func(t *testing.T) {
			data, order := r.data()
			if r.spec().Frozen() {
				r.checkFeatures(t, data.Values)
				return
			}
			start := r.weights()
			w := &weights.Weights{Tensors: slices.Clone(start.Tensors)}
			r.checkNames(t, w)
			probabilities, err := Predict(context.Background(), r.spec(), start, data)
			if err != nil {
				t.Fatal(err)
			}
			r.Evaluated.near(t, "evaluation", probabilities, 2e-5)
			n, err := build(design{r.spec(), r.Batch, nn.Training})
			if err != nil {
				t.Fatal(err)
			}
			n.load(start)
			if err := n.feed(data, order); err != nil {
				t.Fatal(err)
			}
			if err := n.run(); err != nil {
				t.Fatal(err)
			}
			if got := n.loss(); !(math.Abs(got-r.Loss) <= 2e-5) {
				t.Errorf("loss is %v, want %v", got, r.Loss)
			}
			// The images keep every ReLU's input away from zero (architectures.py says
			// why), so what is left is rounding; PyTorch's own is the measure. Winograd's
			// method rounds larger intermediate numbers: the largest error is seven times
			// PyTorch's, 3.2e-5 of the largest gradient of a tensor.
			r.firstStep(t, n, 10*r.Float32)
		})
	}
}

// checkFeatures compares a backbone's features, alone and as a part of a batch.
func (r reference) checkFeatures(t *testing.T, images []float32) {
	slots, _ := r.spec().backbone()
	w := r.draw(slots)
	// torchvision's resnet50 ends in a linear layer, which is no part of a backbone.
	r.checkNames(t, w)
	for _, batch := range []int{1, 3} {
		b, err := NewExtractor(r.spec(), loading(w), batch)
		if err != nil {
			t.Fatal(err)
		}
		features, err := b.Features(context.Background(), images)
		if err != nil {
			t.Fatal(err)
		}
		r.Evaluated.near(t, "features", features, 2e-5)
	}
}

// TestResNet18Learns: the loss of a residual network falls, and again in the same
// way, whatever the number of processors.
func TestResNet18Learns(t *testing.T) {
	spec := Spec{ResNet18, 1, 16, 2}
	data := examples(spec, 4)
	losses := func(procs int) (losses []float64) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		n, err := build(design{spec, 4, nn.Training})
		if err != nil {
			t.Fatal(err)
		}
		n.load(initial(t, spec))
		if err := n.feed(data, []int{0, 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		solver, pull := TrainOptions{LearningRate: 0.01, Momentum: 0.5}.solver(), n.proximal(0)
		for range 4 {
			loss, err := n.step(solver, pull)
			if err != nil {
				t.Fatal(err)
			}
			losses = append(losses, loss)
		}
		return losses
	}
	first := losses(2)
	if last := first[len(first)-1]; !(last < first[0]/2) {
		t.Errorf("the losses are %v", first)
	}
	if again := losses(1); !slices.Equal(first, again) {
		t.Errorf("the losses are %v on two processors, %v on one", first, again)
	}
}

// featuresOf are examples whose class is told by a few of their values.
func featuresOf(spec Spec, n int) dataset.Split {
	d := dataset.Split{Values: numbers(9, n*spec.Inputs())}
	for i := range n {
		d.Labels = append(d.Labels, i%spec.Classes)
		for j := i % spec.Classes; j < spec.Inputs(); j += 10 {
			d.Values[i*spec.Inputs()+j]++
		}
	}
	return d
}

// TestHeadLearns: the head behind a frozen backbone trains on features, with
// dropout from the seed: the same seed gives the same bytes, another others, and
// evaluation knows no dropout.
func TestHeadLearns(t *testing.T) {
	for _, name := range []string{VGG16, ResNet50} {
		spec := Spec{name, 3, 224, 2}
		data := featuresOf(spec, 40)
		start := initial(t, spec)
		o := TrainOptions{Epochs: 10, BatchSize: 8, LearningRate: 0.02, Momentum: 0.9, Seed: 2}
		w := train(t, spec, start, data, o)
		var accuracy [2]float64
		for i := range accuracy {
			result, err := Evaluate(context.Background(), spec, w, data)
			if err != nil {
				t.Fatal(err)
			}
			accuracy[i] = result.Accuracy
		}
		if accuracy[0] < 0.9 || accuracy[0] != accuracy[1] {
			t.Errorf("%s: accuracies of two evaluations after training are %v", name, accuracy)
		}
		if train(t, spec, start, data, o).Digest() != w.Digest() {
			t.Errorf("%s: one seed gives two heads", name)
		}
	}
}

// TestDropoutIsSeeded: with a single batch of all examples the seed's only effect
// besides their order is dropout.
func TestDropoutIsSeeded(t *testing.T) {
	spec := Spec{VGG16, 3, 224, 2}
	data := featuresOf(spec, 4)
	o := TrainOptions{Epochs: 1, BatchSize: 4, LearningRate: 0.1, Seed: 1}
	first := train(t, spec, initial(t, spec), data, o)
	o.Seed = 2
	second := train(t, spec, initial(t, spec), data, o)
	var far float64
	for i, tensor := range first.Tensors {
		for j, v := range tensor.Data {
			far = max(far, math.Abs(float64(v-second.Tensors[i].Data[j])))
		}
	}
	if far < 1e-4 {
		t.Errorf("two seeds move no weight by more than %g", far)
	}
}

// TestLoad: parameters are found by name in any order; what is missing or
// misshapen is listed.
func TestLoad(t *testing.T) {
	start := initial(t, small)
	shuffled := start.Clone()
	slices.Reverse(shuffled.Tensors)
	shuffled.Tensors = append(shuffled.Tensors, weights.Tensor{Name: "features.1.num_batches_tracked", Data: []float32{1}})
	w, fit := Load(small.Parameters(), shuffled)
	if err := fit.Err(); err != nil {
		t.Fatal(err)
	}
	if w.Digest() != start.Digest() || !slices.Equal(fit.Unused, []string{"features.1.num_batches_tracked"}) {
		t.Errorf("the loaded weights differ, or %v is not what was unused", fit.Unused)
	}
	shuffled.Tensors[0].Name = "other"
	shuffled.Tensors[1].Shape = []int{1, 64 * small.Size}
	w, fit = Load(small.Parameters(), shuffled)
	if code(fit.Err()) != "MF-MODEL-LOAD" || w != nil || len(fit.Missing) != 1 || len(fit.Misshapen) != 1 || len(fit.Unused) != 2 {
		t.Errorf("the fit is %+v", fit)
	}
	last := start.Tensors[len(start.Tensors)-1].Name
	if err := fit.Err(); err == nil || !strings.Contains(err.Error(), last) || !strings.Contains(err.Error(), "[1 1024]") {
		t.Errorf("the error names neither %s nor a shape: %v", last, err)
	}
}

// TestBackboneRefusals: what a user can get wrong has its code.
func TestBackboneRefusals(t *testing.T) {
	spec := Spec{ResNet50, 3, 224, 2}
	if _, err := InitialBackbone(small, 1); code(err) != "MF-MODEL-NAME" {
		t.Errorf("a backbone of a model without: %v", err)
	}
	if _, err := InitialBackbone(Spec{ResNet50, 1, 224, 2}, 1); code(err) != "MF-MODEL-SHAPE" {
		t.Errorf("a backbone for grey images: %v", err)
	}
	if _, err := NewExtractor(spec, loading(initial(t, small)), 1); code(err) != "MF-WEIGHTS-INCOMPATIBLE" {
		t.Errorf("other weights: %v", err)
	}
	w, err := InitialBackbone(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewExtractor(spec, loading(w), 0); code(err) != "MF-MODEL-OPTIONS" {
		t.Errorf("no batch: %v", err)
	}
	b, err := NewExtractor(spec, loading(w), 1)
	if err != nil {
		t.Fatal(err)
	}
	// A block of four buffers of the largest results, 56×56×256, is alive at once; in
	// all there are 17 million values an image.
	held := 0
	for _, size := range b.sizes {
		held += size
	}
	if largest := 56 * 56 * 256; held > 4*largest {
		t.Errorf("the buffers of an image hold %d values, more than four results of %d", held, largest)
	}
	if _, err := b.Features(context.Background(), make([]float32, 5)); code(err) != "MF-MODEL-DATA" {
		t.Errorf("five values: %v", err)
	}
	if _, err := Evaluate(context.Background(), spec, initial(t, spec), examples(small, 3)); code(err) != "MF-MODEL-DATA" {
		t.Errorf("images for a head: %v", err)
	}
}
