package onnx_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/onnx"
	"github.com/medfed/medfed/trainer/onnxruntime"
	"github.com/medfed/medfed/trainer/weights"
)

// exported is a model with images that it is asked about.
type exported struct {
	description model.Description
	weights     *weights.Weights
	backbone    *weights.Weights // nil for none
	pixels      []float32        // from 0 to 1, [images][channels][height][width]
	probability []float32        // that medfed gives
	data        dataset.Split    // the same as numbers, or their features
	onnx        *onnx.Model
}

// every is a model of each architecture, trained a little on a few images.
func every(t *testing.T) []exported {
	t.Helper()
	var all []exported
	inverted := dataset.Input{Inverted: true}
	window := dataset.Input{Window: dataset.Window{Low: -1000, High: 400.5}, Inverted: true, Mean: []float64{0.3, 0.4, 0.5}, Std: []float64{0.7, 0.8, 0.9}}
	for _, c := range []struct {
		spec        model.Spec
		in          dataset.Input
		temperature float64
	}{
		{model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}, dataset.Input{}, 0},
		{model.Spec{Name: model.HMChainCNN, Channels: 3, Size: 19, Classes: 5}, window, 0.3},
		{model.Spec{Name: model.HMChainEnsemble, Channels: 1, Size: 28, Classes: 3}, inverted, 1},
		{model.Spec{Name: model.HMChainEnsemble, Channels: 1, Size: 28, Classes: 2}, dataset.Input{Window: dataset.Window{High: 4095}, OwnWindow: true}, 2.5},
		{model.Spec{Name: model.ResNet18, Channels: 3, Size: 28, Classes: 4}, dataset.Input{Window: dataset.Window{High: 4095}}, 0},
		{model.Spec{Name: model.VGG16, Channels: 3, Size: 224, Classes: 2}, dataset.ImageNet, 0},
		{model.Spec{Name: model.ResNet50, Channels: 3, Size: 224, Classes: 2}, dataset.ImageNet, 1.7},
	} {
		all = append(all, trained(t, c.spec, c.in, c.temperature, 6))
	}
	return all
}

// trained is one of every.
func trained(t *testing.T, spec model.Spec, in dataset.Input, temperature float64, images int) exported {
	t.Helper()
	classes := make([]string, spec.Classes)
	for i := range classes {
		classes[i] = fmt.Sprintf("class %d, so called", i)
	}
	e := exported{description: spec.Describe(classes, in)}
	e.description.Temperature = temperature
	random := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, images*spec.Channels*spec.Size*spec.Size)
	e.pixels = make([]float32, len(values))
	area, dark, contrast := spec.Size*spec.Size, 0.0, 0.0
	for i := range e.pixels {
		image, c, at := i/(area*spec.Channels), i/area%spec.Channels, i%area
		if at == 0 && c == 0 { // images that differ in noise alone have features that hardly differ
			dark, contrast = random.Float64()*0.5, 0.1+random.Float64()*0.4
		}
		v := dark + contrast*random.Float64()
		e.pixels[i] = float32(int(255*v)) / 255
		if in.Window != (dataset.Window{}) && !in.OwnWindow {
			e.pixels[i] = float32(int(6000*v - 1500))
		}
		values[(image*area+at)*spec.Channels+c] = number(e.description.Input, float64(e.pixels[i]), c)
	}
	if spec.Frozen() {
		var err error
		if e.backbone, err = model.InitialBackbone(spec, 3); err != nil {
			t.Fatal(err)
		}
		x, err := model.NewExtractor(spec, func() (*weights.Weights, error) { return model.InitialBackbone(spec, 3) }, 4)
		if err != nil {
			t.Fatal(err)
		}
		if values, err = x.Features(t.Context(), values); err != nil {
			t.Fatal(err)
		}
	}
	data := dataset.Split{Values: values, Labels: make([]int, images)}
	for i := range data.Labels {
		data.Labels[i] = i % spec.Classes
	}
	e.data = data
	start, err := model.Initial(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	if e.weights, err = model.Train(t.Context(), spec, start, data, model.TrainOptions{Epochs: 2, BatchSize: 8, LearningRate: 0.05, Momentum: 0.9, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	if e.probability, err = model.Predict(t.Context(), spec, e.weights, data); err != nil {
		t.Fatal(err)
	}
	e.probability = e.description.Calibrated(e.probability)
	if e.onnx, err = e.description.ONNX(e.weights, e.backbone, e.weights.Digest()); err != nil {
		t.Fatal(err)
	}
	return e
}

// number is what an Input makes of a value of channel c that the graph is given.
func number(in dataset.Input, v float64, c int) float32 {
	if w := in.Window; w != (dataset.Window{}) && !in.OwnWindow {
		v = min(max((v-w.Low)/(w.High-w.Low), 0), 1)
	}
	if in.Inverted {
		v = 1 - v
	}
	return float32((v - in.Mean[c]) / in.Std[c])
}

// TestEveryArchitecture reads the files of every architecture back: what goes in and
// comes out, what they say of themselves, and that the graph is whole. Then an independent
// implementation runs them.
func TestEveryArchitecture(t *testing.T) {
	for _, e := range every(t) {
		d := e.description
		t.Run(fmt.Sprintf("%s of %d classes at %g", d.Architecture, len(d.Classes), d.Temperature), func(t *testing.T) {
			m := read(t, written(t, e.onnx))
			if !reflect.DeepEqual(m, e.onnx) {
				t.Error("what is read is not what was written")
			}
			in, out := m.Graph.Inputs, m.Graph.Outputs
			if len(in) != 1 || in[0].Name != "pixels" || !slices.Equal(in[0].Shape, []int{onnx.Batch, d.Channels, d.Size, d.Size}) {
				t.Errorf("inputs %+v", in)
			}
			if len(out) != 1 || out[0].Name != "probabilities" || !slices.Equal(out[0].Shape, []int{onnx.Batch, len(d.Classes)}) {
				t.Errorf("outputs %+v", out)
			}
			said := map[string]string{}
			for _, p := range m.Metadata {
				said[p.Key] = p.Value
			}
			if !strings.Contains(said["medfed"], `"architecture":"`+d.Architecture) || !strings.HasPrefix(said["classes"], `["class 0, so called","class 1`) ||
				said["digest"] != e.weights.Digest() || said["notice"] != "not for diagnosis" || !strings.Contains(m.Doc, "not for diagnosis") {
				t.Errorf("the file says %q and %v", m.Doc, said)
			}
			checkWhole(t, m.Graph)
			checkWeights(t, m.Graph, e)
			t.Run("ONNX Runtime", func(t *testing.T) { checkRuns(t, e) })
		})
	}
}

// checkWhole reports names that are given twice, used before they are there, or never
// used.
func checkWhole(t *testing.T, g onnx.Graph) {
	t.Helper()
	used := map[string]bool{}
	give := func(name string) {
		if _, twice := used[name]; twice || name == "" {
			t.Errorf("%q is given twice", name)
		}
		used[name] = false
	}
	for _, v := range g.Inputs {
		give(v.Name)
	}
	for _, c := range g.Constants {
		give(c.Name)
		n := 1
		for _, size := range c.Shape {
			n *= size
		}
		if n != len(c.Data) {
			t.Errorf("%s has the shape %v and %d values", c.Name, c.Shape, len(c.Data))
		}
	}
	for _, n := range g.Nodes {
		for _, name := range n.Inputs {
			if _, there := used[name]; !there {
				t.Errorf("%s takes %q, which is not there yet", n.Op, name)
			}
			used[name] = true
		}
		give(n.Output)
	}
	for _, v := range g.Outputs {
		if _, there := used[v.Name]; !there {
			t.Errorf("nothing gives %s", v.Name)
		}
		used[v.Name] = true
	}
	for name, is := range maps.All(used) {
		if !is {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// checkWeights reports tensors of the weights that the graph does not have as they are, and
// convolutions of the backbone that do not have the batch normalisation behind them folded
// in. The variance of a head's features is in its scale.
func checkWeights(t *testing.T, g onnx.Graph, e exported) {
	t.Helper()
	has := map[string]onnx.Tensor{}
	for _, c := range g.Constants {
		has[c.Name] = c
	}
	for _, tensor := range e.weights.Tensors {
		found := has[tensor.Name]
		if tensor.Name != "norm.running_var" && (!slices.Equal(found.Shape, tensor.Shape) || !slices.Equal(found.Data, tensor.Data)) {
			t.Errorf("%s is not in the graph as it is", tensor.Name)
		}
	}
	if e.backbone == nil {
		return
	}
	for _, tensor := range e.backbone.Tensors {
		if len(tensor.Shape) != 4 {
			continue
		}
		scale := func(int) float64 { return 1 }
		if e.description.Architecture == model.ResNet50 {
			of := strings.NewReplacer("conv", "bn", "downsample.0", "downsample.1").Replace(strings.TrimSuffix(tensor.Name, "weight"))
			gamma, variance := e.backbone.Find(of+"weight").Data, e.backbone.Find(of+"running_var").Data
			scale = func(filter int) float64 { return float64(gamma[filter]) / math.Sqrt(float64(variance[filter])+1e-5) }
		}
		found, each := has["backbone."+tensor.Name], len(tensor.Data)/tensor.Shape[0]
		if !slices.Equal(found.Shape, tensor.Shape) {
			t.Errorf("%s has the shape %v", tensor.Name, found.Shape)
			continue
		}
		for i, v := range tensor.Data {
			if want := float64(v) * scale(i/each); math.Abs(float64(found.Data[i])-want) > 1e-6*math.Abs(want) {
				t.Errorf("value %d of %s is %v, want %v", i, tensor.Name, found.Data[i], want)
				break
			}
		}
	}
}

// checkRuns holds what ONNX Runtime makes of the images, the first alone, against medfed's
// probabilities.
func checkRuns(t *testing.T, e exported) {
	runtime, err := onnxruntime.Find("../..")
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, written(t, e.onnx), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := runtime.Run(t.Context(), path, e.pixels, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Inputs) != 1 || result.Inputs[0].Name != "pixels" || len(result.Outputs) != 1 || result.Outputs[0].Name != "probabilities" {
		t.Errorf("it sees %+v and %+v", result.Inputs, result.Outputs)
	}
	if len(result.Values) != len(e.probability) {
		t.Fatalf("%d probabilities instead of %d", len(result.Values), len(e.probability))
	}
	for i, p := range e.probability {
		if !(math.Abs(float64(p)-result.Values[i]) <= 1e-5) {
			t.Errorf("probability %d is %v here and %v there", i, p, result.Values[i])
		}
	}
}

// TestCertaintiesBeyondFloat32 are calibrated as medfed does it, where a probability can't
// be told from 0: by its logarithm, down to that of the smallest number.
func TestCertaintiesBeyondFloat32(t *testing.T) {
	e := trained(t, model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 16, Classes: 2}, dataset.Input{}, 20, 6)
	spec := e.description.Spec()
	var probabilities []float32
	for factor := 1; !slices.Contains(probabilities, 0); factor *= 2 {
		if factor > 1<<20 {
			t.Fatalf("no probability of %v is 0", probabilities)
		}
		for _, name := range []string{"classifier.4.weight", "classifier.4.bias"} {
			for i := range e.weights.Find(name).Data {
				e.weights.Find(name).Data[i] *= 2
			}
		}
		var err error
		if probabilities, err = model.Predict(t.Context(), spec, e.weights, e.data); err != nil {
			t.Fatal(err)
		}
	}
	e.probability = e.description.Calibrated(probabilities)
	var err error
	if e.onnx, err = e.description.ONNX(e.weights, nil, ""); err != nil {
		t.Fatal(err)
	}
	checkRuns(t, e)
}

func TestExportRefuses(t *testing.T) {
	e := trained(t, model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 16, Classes: 2}, dataset.Input{}, 0, 2)
	d := e.description
	d.Classes = append(d.Classes, "a third")
	if _, err := d.ONNX(e.weights, nil, ""); codes.Of(err) != "MF-WEIGHTS-INCOMPATIBLE" {
		t.Errorf("weights of two classes for three: %v", err)
	}
	d = e.description
	d.Temperature = -1
	if _, err := d.ONNX(e.weights, nil, ""); codes.Of(err) != "MF-MODEL-DESCRIPTION" {
		t.Errorf("a temperature below 0: %v", err)
	}
	d = e.description
	d.Input.Window = dataset.Window{Low: 1, High: 1}
	if _, err := d.ONNX(e.weights, nil, ""); codes.Of(err) != "MF-DATA-INPUT" {
		t.Errorf("a window of nothing: %v", err)
	}
	head := model.Spec{Name: model.VGG16, Channels: 3, Size: 224, Classes: 2}
	w, err := model.Initial(head, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := head.Describe([]string{"a", "b"}, dataset.ImageNet).ONNX(w, nil, ""); codes.Of(err) != "MF-WEIGHTS-INCOMPATIBLE" {
		t.Errorf("a head without a backbone: %v", err)
	}
}

// TestThePagesExample runs what docs/model.md has for JavaScript, on a model of the shape
// that the page has.
func TestThePagesExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```js\n")
	example, _, ended := strings.Cut(example, "```")
	if !found || !ended {
		t.Fatal("the page has no example")
	}
	runtime, err := onnxruntime.Find("../..")
	if err != nil {
		t.Skip(err)
	}
	folder := t.TempDir()
	e := trained(t, model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}, dataset.Input{}, 0, 2)
	if err := model.WriteONNX(filepath.Join(folder, "lungs.onnx"), e.onnx); err != nil {
		t.Fatal(err)
	}
	out, err := runtime.Script(t.Context(), folder, example)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "[ 1, 2 ] Float32Array(2)") {
		t.Errorf("the example prints %s", out)
	}
}
