package nn

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// numbers are the values in [-1, 1) that testdata/reference.py draws, too.
func numbers(seed uint64, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		seed = seed*6364136223846793005 + 1442695040888963407
		v[i] = float32(int64(seed>>40)-1<<23) / (1 << 23)
	}
	return v
}

// nhwc turns images [n][c][h][w] into [n][h][w][c]; nchw turns them back.
func nhwc(v []float32, n, c, h, w int) []float32 { return permuted(v, n, c, h*w) }
func nchw(v []float32, n, c, h, w int) []float32 { return permuted(v, n, h*w, c) }

func permuted(v []float32, n, rows, cols int) []float32 {
	out := make([]float32, len(v))
	for i := range n {
		transpose(i, out, v, rows, cols)
	}
	return out
}

// run builds a graph whose loss is the sum of a layer's output times factors,
// runs it once and returns the output and the gradients of the inputs. A scalar
// output is the loss itself.
func run(t *testing.T, batch int, inputs [][]float32, shapes [][]int, factors []float32, layer func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error)) (out []float32, gradients [][]float32) {
	t.Helper()
	var g *Graph
	var y, loss *gorgonia.Node
	nodes := make([]*gorgonia.Node, len(inputs))
	var machine gorgonia.VM
	err := Build(func() (err error) {
		if g, err = NewGraph(batch); err != nil {
			return err
		}
		for i, shape := range shapes {
			nodes[i] = g.Parameter(fmt.Sprintf("in%d", i), shape...)
			copy(Floats(nodes[i].Value()), inputs[i])
		}
		if y, err = layer(g, nodes); err != nil {
			return err
		}
		if loss = y; !y.IsScalar() {
			if loss, err = g.weightedSum(y, factors); err != nil {
				return err
			}
		}
		if _, err = gorgonia.Grad(loss, nodes...); err != nil {
			return err
		}
		machine, err = NewMachine(g)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		d, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		gradients = append(gradients, slices.Clone(Floats(d)))
	}
	if y.IsScalar() {
		return []float32{y.Value().Data().(float32)}, gradients
	}
	return slices.Clone(Floats(y.Value())), gradients
}

// weightedSum is Σ y·factors as a scalar.
func (g *Graph) weightedSum(y *gorgonia.Node, factors []float32) (*gorgonia.Node, error) {
	o := g.operation("weightedsum", []int{1}, func(out []float32, v [][]float32) {
		var sum float64
		for i, f := range v[0] {
			sum += float64(f) * float64(factors[i])
		}
		out[0] = float32(sum)
	})
	o.scalar, o.wrt = new(gorgonia.F32), []bool{true}
	shape := y.Shape().Clone()
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		d, err := apply(g.operation("weightedsum.input", shape, func(out []float32, v [][]float32) {
			for i, f := range factors {
				out[i] = f * v[0][0]
			}
		}), grad)
		return gorgonia.Nodes{d}, err
	}
	return apply(o, y)
}

// near fails the test unless got is want up to tolerance times the largest
// element of want.
func near(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	var scale float64
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*scale) {
			t.Fatalf("%s[%d] is %v, want %v", what, i, got[i], w)
		}
	}
}

// reference is a case of testdata/reference.json.
type reference struct {
	Layer                     string
	Sizes                     []int
	Out, Evaluated, Mean, Var []float64
	Gradients                 [][]float64
}

// images reports whether an input or output of a layer is a batch of images, and
// of which size: batch, channels, height, width.
func (r reference) images(in bool) ([]int, bool) {
	s := r.Sizes
	switch r.Layer {
	case "conv":
		if in {
			return s[:4], true
		}
		h, w := kernel.ConvShape{Height: s[2], Width: s[3], KernelHeight: s[5], KernelWidth: s[6], Stride: s[7], Padding: s[8]}.Output()
		return []int{s[0], s[4], h, w}, true
	case "batchnorm", "add":
		return s[:4], true
	case "pooledbatchnorm":
		if in {
			return s[:4], true
		}
		return []int{s[0], s[1], s[2] / 2, s[3] / 2}, true
	case "maxpool", "averagepool":
		if in {
			return s[:4], true
		}
		h, w := kernel.PoolShape{Height: s[2], Width: s[3], Window: s[4], Stride: s[5], Padding: s[6]}.Output()
		return []int{s[0], s[1], h, w}, true
	case "flatten", "globalaveragepool":
		return s, in
	}
	return nil, false
}

// build returns the shapes of the layer's inputs and the layer.
func (r reference) build(running *Statistics, mode Mode) ([][]int, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error)) {
	s := r.Sizes
	switch r.Layer {
	case "conv":
		shapes := [][]int{{s[0], s[2], s[3], s[1]}, {s[4], s[1], s[5], s[6]}, {s[4]}}
		if len(s) > 9 {
			return shapes[:2], func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.Conv2D(in[0], in[1], nil, s[7], s[8])
			}
		}
		return shapes, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Conv2D(in[0], in[1], in[2], s[7], s[8])
		}
	case "averagepool":
		return [][]int{{s[0], s[2], s[3], s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.AveragePool(in[0], s[4], s[5], s[6])
		}
	case "globalaveragepool":
		return [][]int{{s[0], s[2], s[3], s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.GlobalAveragePool(in[0])
		}
	case "add":
		shape := []int{s[0], s[2], s[3], s[1]}
		return [][]int{shape, shape}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Add(in[0], in[1], s[4] == 1)
		}
	case "batchnorm":
		return [][]int{{s[0], s[2], s[3], s[1]}, {s[1]}, {s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.BatchNorm(in[0], in[1], in[2], running, mode, s[4] == 1)
		}
	case "pooledbatchnorm":
		return [][]int{{s[0], s[2], s[3], s[1]}, {s[1]}, {s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.PooledBatchNorm(in[0], in[1], in[2], running, mode, s[4] == 1)
		}
	case "maxpool":
		return [][]int{{s[0], s[2], s[3], s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.MaxPool(in[0], s[4], s[5], s[6])
		}
	case "linear":
		return [][]int{{s[0], s[1]}, {s[2], s[1]}, {s[2]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Linear(in[0], in[1], in[2])
		}
	case "flatten":
		return [][]int{{s[0], s[2], s[3], s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Flatten(in[0])
		}
	case "crossentropy":
		return [][]int{{s[0], s[1]}}, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			labels := g.Data("labels", s[0])
			for i := range s[0] {
				Floats(labels.Value())[i] = float32(i % s[1])
			}
			return g.CrossEntropy(in[0], labels, nil)
		}
	}
	return nil, nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// TestReference compares every layer, forward and gradient, with what PyTorch
// computes in float64.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []reference
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, r := range cases {
		t.Run(fmt.Sprint(r.Layer, r.Sizes), func(t *testing.T) {
			running := r.running()
			shapes, layer := r.build(running, Training)
			inputs := r.inputs(shapes)
			factors := numbers(99, len(r.Out))
			if s, ok := r.images(false); ok {
				factors = nhwc(factors, s[0], s[1], s[2], s[3])
			}
			out, gradients := run(t, r.Sizes[0], inputs, shapes, factors, layer)
			if s, ok := r.images(false); ok {
				out = nchw(out, s[0], s[1], s[2], s[3])
			}
			if s, ok := r.images(true); ok {
				gradients[0] = nchw(gradients[0], s[0], s[1], s[2], s[3])
				if r.Layer == "add" {
					gradients[1] = nchw(gradients[1], s[0], s[1], s[2], s[3])
				}
			}
			if r.Layer == "crossentropy" {
				for i := range gradients[0] {
					gradients[0][i] *= 4 // the reference's logits are four times the input
				}
			}
			near(t, "output", out, r.Out, 1e-6)
			for i, want := range r.Gradients {
				near(t, fmt.Sprintf("gradient of input %d", i), gradients[i], want, 3e-6)
			}
			if r.Mean != nil {
				near(t, "running mean", running.Mean, r.Mean, 1e-6)
				near(t, "running variance", running.Var, r.Var, 1e-6)
				_, layer := r.build(running, Evaluating)
				out, _ := run(t, r.Sizes[0], inputs, shapes, factors, layer)
				result, _ := r.images(false)
				near(t, "evaluation", nchw(out, result[0], result[1], result[2], result[3]), r.Evaluated, 1e-6)
			}
		})
	}
}

// running are the statistics that the reference starts from.
func (r reference) running() *Statistics {
	return &Statistics{Mean: slices.Repeat([]float32{0.25}, len(r.Mean)), Var: slices.Repeat([]float32{2}, len(r.Var))}
}

// inputs draws the inputs of the reference.
func (r reference) inputs(shapes [][]int) [][]float32 {
	var inputs [][]float32
	for i, shape := range shapes {
		inputs = append(inputs, numbers(uint64(i+1), product(shape)))
	}
	if s, ok := r.images(true); ok {
		inputs[0] = nhwc(inputs[0], s[0], s[1], s[2], s[3])
		if r.Layer == "add" {
			inputs[1] = nhwc(inputs[1], s[0], s[1], s[2], s[3])
		}
	}
	if r.Layer == "crossentropy" {
		for i := range inputs[0] {
			inputs[0][i] *= 4
		}
	}
	return inputs
}

// TestNumericalGradients compares every gradient with central differences.
func TestNumericalGradients(t *testing.T) {
	type graph = func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error)
	images := []int{2, 4, 5, 3}
	for name, c := range map[string]struct {
		shapes [][]int
		out    int
		layer  graph
	}{
		"convolution": {[][]int{images, {4, 3, 3, 2}, {4}}, 2 * 2 * 3 * 4, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Conv2D(in[0], in[1], in[2], 2, 1)
		}},
		"batch norm": {[][]int{images, {3}, {3}}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.BatchNorm(in[0], in[1], in[2], NewStatistics(3), Training, false)
		}},
		"batch norm evaluated": {[][]int{images, {3}, {3}}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.BatchNorm(in[0], in[1], in[2], NewStatistics(3), Evaluating, false)
		}},
		"pooled batch norm": {[][]int{{2, 4, 6, 3}, {3}, {3}}, 2 * 2 * 3 * 3, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.PooledBatchNorm(in[0], in[1], in[2], NewStatistics(3), Training, false)
		}},
		"relu": {[][]int{images}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) { return g.ReLU(in[0]) }},
		"max-pooling": {[][]int{images}, 2 * 2 * 3 * 3, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.MaxPool(in[0], 3, 2, 1)
		}},
		"average-pooling": {[][]int{images}, 2 * 2 * 3 * 3, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.AveragePool(in[0], 3, 2, 1)
		}},
		"global average pooling": {[][]int{images}, 6, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.GlobalAveragePool(in[0])
		}},
		"add": {[][]int{images, images}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Add(in[0], in[1], false)
		}},
		"dropout": {[][]int{images}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Dropout(in[0], 0.4, rand.NewPCG(1, 2), Training)
		}},
		"residual block": {[][]int{images, {3, 3, 3, 3}, {3}, {3}}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			// Two blocks, the second on the first: inputs with two uses, and a
			// gradient that both sides of an addition read.
			x := in[0]
			for range 2 {
				y, err := g.Conv2D(x, in[1], nil, 1, 1)
				if err != nil {
					return nil, err
				}
				if y, err = g.BatchNorm(y, in[2], in[3], NewStatistics(3), Evaluating, false); err != nil {
					return nil, err
				}
				if x, err = g.Add(y, x, true); err != nil {
					return nil, err
				}
			}
			return x, nil
		}},
		"flatten": {[][]int{images}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) { return g.Flatten(in[0]) }},
		"linear": {[][]int{{2, 7}, {5, 7}, {5}}, 10, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Linear(in[0], in[1], in[2])
		}},
		"cross-entropy": {[][]int{{2, 4}}, 1, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.CrossEntropy(in[0], g.Data("labels", 2), nil)
		}},
		"weighted cross-entropy": {[][]int{{2, 4}}, 1, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			labels := g.Data("labels", 2)
			copy(Floats(labels.Value()), []float32{3, 1})
			return g.CrossEntropy(in[0], labels, []float32{1, 0.5, 2, 4})
		}},
		"two uses of one node": {[][]int{images, {3}, {3}}, 120, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			x, err := g.BatchNorm(in[0], in[1], in[2], NewStatistics(3), Evaluating, false)
			if err != nil {
				return nil, err
			}
			return g.BatchNorm(x, in[1], in[2], NewStatistics(3), Evaluating, false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var inputs [][]float32
			for i, shape := range c.shapes {
				inputs = append(inputs, numbers(uint64(40+i), product(shape)))
			}
			factors := numbers(50, c.out)
			value := func() float64 {
				out, _ := run(t, 2, inputs, c.shapes, factors, c.layer)
				if len(out) == 1 {
					return float64(out[0])
				}
				var sum float64
				for i, f := range out {
					sum += float64(f) * float64(factors[i])
				}
				return sum
			}
			_, gradients := run(t, 2, inputs, c.shapes, factors, c.layer)
			for i := range inputs {
				want := make([]float64, len(inputs[i]))
				for j, v := range inputs[i] {
					const h = 1.0 / 512
					inputs[i][j] = v + h
					above := value()
					inputs[i][j] = v - h
					want[j] = (above - value()) / (2 * h)
					inputs[i][j] = v
				}
				near(t, fmt.Sprintf("gradient of input %d", i), gradients[i], want, 2e-3)
			}
		})
	}
}

// TestDropout: about the wanted share of the elements is zero and the rest is
// scaled up, the gradient knows the same elements, one seed gives one choice, and
// evaluation changes nothing.
func TestDropout(t *testing.T) {
	const n = 4000
	x, factors := slices.Repeat([]float32{2}, n), slices.Repeat([]float32{3}, n)
	with := func(seed uint64, mode Mode) (out, gradient []float32) {
		out, gradients := run(t, 4, [][]float32{x}, [][]int{{4, n / 4}}, factors, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			y, err := g.Dropout(in[0], 0.25, rand.NewPCG(seed, 0), mode)
			if err != nil || mode == Training {
				return y, err
			}
			return g.Add(y, y, false) // the layer must not be the input itself
		})
		return out, gradients[0]
	}
	out, gradient := with(1, Training)
	dropped := 0
	for i, v := range out {
		switch {
		case v == 0 && gradient[i] == 0:
			dropped++
		case v != 2/float32(0.75) || gradient[i] != 3/float32(0.75):
			t.Fatalf("element %d is %v, its gradient %v", i, v, gradient[i])
		}
	}
	if dropped < n/5 || dropped > 3*n/10 {
		t.Errorf("%d of %d elements dropped, want about a quarter", dropped, n)
	}
	if again, _ := with(1, Training); !slices.Equal(out, again) {
		t.Error("one seed gives two choices")
	}
	if other, _ := with(2, Training); slices.Equal(out, other) {
		t.Error("two seeds give one choice")
	}
	if out, _ := with(1, Evaluating); !slices.Equal(out, slices.Repeat([]float32{4}, n)) {
		t.Error("dropout acts in evaluation")
	}
}

// TestNormalise: features by the statistics as they stand, in a graph for gradients and
// without; what never changed becomes 0, and NaN stays.
func TestNormalise(t *testing.T) {
	nan := float32(math.NaN())
	in := []float32{5, 7, -1, 1e-20, 3, 7.5, nan, 3e-20}
	want := []float32{2, 0, -2, -1, 1, 0, nan, 1}
	running := &Statistics{Mean: []float32{1, 7, 1, 2e-20}, Var: []float32{4, 0, 1, 1e-40}}
	before := &Statistics{Mean: slices.Clone(running.Mean), Var: slices.Clone(running.Var)}
	for _, capacity := range []int{2, 5} {
		var y *gorgonia.Node
		var machine *Machine
		err := Build(func() error {
			g, err := NewGraph(capacity)
			if err != nil {
				return err
			}
			x, w, b := g.Data("x", capacity, 4), g.Parameter("w", 3, 4), g.Parameter("b", 3)
			copy(Floats(x.Value()), in)
			if y, err = g.Normalise(x, running); err != nil {
				return err
			}
			dropped, err := g.Dropout(y, 0.5, rand.NewPCG(1, 1), Training)
			if err != nil {
				return err
			}
			if g.needsGradient(dropped) {
				t.Error("what is made of data alone needs a gradient")
			}
			logits, err := g.Linear(dropped, w, b)
			if err != nil {
				return err
			}
			loss, err := g.CrossEntropy(logits, g.Data("labels", capacity), nil)
			if err != nil {
				return err
			}
			if _, err = gorgonia.Grad(loss, w, b); err != nil {
				return err
			}
			if machine, err = NewMachine(g); err != nil {
				return err
			}
			return g.SetBatch(2)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		for i, v := range Floats(y.Value())[:8] {
			if math.Abs(float64(v-want[i])) > 1e-5 || (v != v) != (want[i] != want[i]) {
				t.Errorf("capacity %d: feature %d is %v, want %v", capacity, i, v, want[i])
			}
		}
	}
	if !slices.Equal(running.Mean, before.Mean) || !slices.Equal(running.Var, before.Var) {
		t.Errorf("the statistics became %v", running)
	}
}

// TestMeasuring: the output is that of training, and the running statistics are the
// batch's mean and unbiased variance, wherever they stood.
func TestMeasuring(t *testing.T) {
	const rows, channels = 4 * 6 * 6, 3
	x, factors := numbers(9, rows*channels), slices.Repeat([]float32{1}, rows*channels)
	scale, shift := []float32{1, -2, 0.5}, []float32{0, 1, 2}
	with := func(mode Mode) ([]float32, *Statistics) {
		running := NewStatistics(channels)
		running.Mean[0], running.Var[1] = 7, 40
		out, _ := run(t, 4, [][]float32{x, scale, shift}, [][]int{{4, 6, 6, channels}, {channels}, {channels}}, factors, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.BatchNorm(in[0], in[1], in[2], running, mode, false)
		})
		return out, running
	}
	out, running := with(Measuring)
	if trained, _ := with(Training); !slices.Equal(out, trained) {
		t.Error("the output is not that of training")
	}
	means, variances := make([]float64, channels), make([]float64, channels)
	for c := range channels {
		for r := range rows {
			means[c] += float64(x[r*channels+c]) / rows
		}
		for r := range rows {
			d := float64(x[r*channels+c]) - means[c]
			variances[c] += d * d / (rows - 1)
		}
	}
	near(t, "running mean", running.Mean, means, 1e-6)
	near(t, "running variance", running.Var, variances, 1e-6)
}

// TestNotANumber: NaN and infinities pass through the new operations, and zero
// times one of them is NaN.
func TestNotANumber(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	in := []float32{nan, inf, -inf, 1, 2, 3, 4, 5}
	for name, c := range map[string]struct {
		want  []float32
		size  int // of the output
		layer func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error)
	}{
		"add": {[]float32{nan, inf, 0, 2, 4, 6, 8, 10}, 8, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Add(in[0], in[0], true)
		}},
		"relu": {[]float32{nan, inf, 0, 1, 2, 3, 4, 5}, 8, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.ReLU(in[0])
		}},
		"global average pooling": {[]float32{nan, inf, -inf, 3}, 4, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.GlobalAveragePool(in[0])
		}},
		"average-pooling": {[]float32{nan, inf, -inf, 3}, 24, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.AveragePool(in[0], 2, 1, 1)
		}},
		"dropout": {[]float32{nan, inf, -inf, 1, 2, 3, 4, 5}, 8, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Dropout(in[0], 0, rand.NewPCG(1, 1), Training)
		}},
		"dropout of nearly all": {[]float32{nan, nan, nan, 0, 0, 0, 0, 0}, 8, func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.Dropout(in[0], math.Nextafter(1, 0), rand.NewPCG(1, 1), Training)
		}},
	} {
		shape := []int{1, 2, 1, 4}
		out, _ := run(t, 1, [][]float32{in}, [][]int{shape}, make([]float32, c.size), c.layer)
		if name == "average-pooling" {
			// Windows of the padded 4×6 plane; those of the middle see one column.
			got := out
			out = nil
			for ch := range 4 {
				out = append(out, 4*got[(1*2+0)*4+ch]/2) // rows 0 and 1, column 0
			}
		}
		for i, want := range c.want {
			if got := out[i]; got != want && (got == got || want == want) {
				t.Errorf("%s: element %d is %v, want %v", name, i, got, want)
			}
		}
	}
}

// TestShorterBatch: a graph for seven rows used for three gives the bits of a
// graph for three.
func TestShorterBatch(t *testing.T) {
	var want []float32
	for _, capacity := range []int{3, 7} {
		var g *Graph
		var params gorgonia.Nodes
		var loss *gorgonia.Node
		var machine gorgonia.VM
		running := NewStatistics(4)
		err := Build(func() (err error) {
			g, params, loss, err = smallNet(capacity, running)
			if err != nil {
				return err
			}
			if machine, err = NewMachine(g); err != nil {
				return err
			}
			return g.SetBatch(3)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		got := append([]float32{loss.Value().Data().(float32)}, append(running.Mean, running.Var...)...)
		for _, p := range params {
			d, err := p.Grad()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, Floats(d)...)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Error("three rows in a graph for seven differ from a graph for three")
		}
	}
}

// parameters makes parameters of fixed numbers and adds them to a list.
func parameters(g *Graph, list *gorgonia.Nodes) func(shape ...int) *gorgonia.Node {
	return func(shape ...int) *gorgonia.Node {
		p := g.Parameter(fmt.Sprint("p", len(*list)), shape...)
		copy(Floats(p.Value()), numbers(uint64(len(*list)), product(shape)))
		*list = append(*list, p)
		return p
	}
}

// smallNet is a net of every layer, on fixed numbers.
func smallNet(capacity int, running *Statistics) (*Graph, gorgonia.Nodes, *gorgonia.Node, error) {
	g, err := NewGraph(capacity)
	if err != nil {
		return nil, nil, nil, err
	}
	images, labels := g.Data("images", capacity, 8, 8, 2), g.Data("labels", capacity)
	copy(Floats(images.Value()), numbers(1, capacity*128))
	copy(Floats(labels.Value()), []float32{0, 2, 1})
	var params gorgonia.Nodes
	param := parameters(g, &params)
	chain := []func(x *gorgonia.Node) (*gorgonia.Node, error){
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.Conv2D(x, param(4, 2, 3, 3), param(4), 1, 1) },
		func(x *gorgonia.Node) (*gorgonia.Node, error) {
			return g.BatchNorm(x, param(4), param(4), running, Training, true)
		},
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.MaxPool(x, 2, 2, 0) },
		g.Flatten,
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.Linear(x, param(5, 64), param(5)) },
		g.ReLU,
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.Linear(x, param(3, 5), param(3)) },
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.CrossEntropy(x, labels, nil) },
	}
	x := images
	for _, layer := range chain {
		if x, err = layer(x); err != nil {
			return nil, nil, nil, err
		}
	}
	_, err = gorgonia.Grad(x, params...)
	return g, params, x, err
}

// TestSoftmax: rows sum to one, large logits do not overflow, and a row without
// a finite answer is NaN.
func TestSoftmax(t *testing.T) {
	inf := float32(math.Inf(1))
	logits := []float32{1, 2, 3, 1000, 1000, -1000, -inf, 0, 0, inf, 0, 1}
	var y *gorgonia.Node
	var machine gorgonia.VM
	err := Build(func() error {
		g, err := NewGraph(4)
		if err != nil {
			return err
		}
		x := g.Data("logits", 4, 3)
		copy(Floats(x.Value()), logits)
		y, err = g.Softmax(x)
		if err != nil {
			return err
		}
		machine, err = NewMachine(g)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	got := Floats(y.Value())
	near(t, "probabilities", got[:9], []float64{0.09003057317, 0.2447284711, 0.6652409558, 0.5, 0.5, 0, 0, 0.5, 0.5}, 1e-7)
	if p := got[9]; p == p {
		t.Errorf("probability of an infinite logit is %v, want NaN", p)
	}
}

// TestWrongShapes: a layer refuses inputs that do not fit, with an error.
func TestWrongShapes(t *testing.T) {
	g, err := NewGraph(2)
	if err != nil {
		t.Fatal(err)
	}
	x, w, b := g.Data("x", 2, 4, 4, 3), g.Parameter("w", 5, 3, 3, 3), g.Parameter("b", 5)
	flat, other := g.Data("flat", 2, 6), g.Data("other", 3, 4, 4, 3)
	for name, f := range map[string]func() (*gorgonia.Node, error){
		"capacity":            func() (*gorgonia.Node, error) { return g.Conv2D(other, w, b, 1, 0) },
		"channels":            func() (*gorgonia.Node, error) { return g.Conv2D(x, g.Parameter("w2", 5, 2, 3, 3), b, 1, 0) },
		"bias":                func() (*gorgonia.Node, error) { return g.Conv2D(x, w, g.Parameter("b2", 4), 1, 0) },
		"stride":              func() (*gorgonia.Node, error) { return g.Conv2D(x, w, b, 0, 0) },
		"linear of images":    func() (*gorgonia.Node, error) { return g.Linear(x, w, b) },
		"linear inputs":       func() (*gorgonia.Node, error) { return g.Linear(flat, g.Parameter("w3", 5, 7), b) },
		"linear bias":         func() (*gorgonia.Node, error) { return g.Linear(flat, g.Parameter("w4", 4, 6), b) },
		"batch norm channels": func() (*gorgonia.Node, error) { return g.BatchNorm(x, b, b, NewStatistics(3), Training, false) },
		"statistics": func() (*gorgonia.Node, error) {
			return g.BatchNorm(x, g.Parameter("g", 3), g.Parameter("h", 3), NewStatistics(4), Training, false)
		},
		"normalise learned": func() (*gorgonia.Node, error) {
			return g.Normalise(g.Parameter("learned", 2, 6), NewStatistics(6))
		},
		"normalise images":     func() (*gorgonia.Node, error) { return g.Normalise(x, NewStatistics(3)) },
		"normalise statistics": func() (*gorgonia.Node, error) { return g.Normalise(flat, NewStatistics(5)) },
		"pool window":          func() (*gorgonia.Node, error) { return g.MaxPool(x, 5, 1, 0) },
		"flat pool":            func() (*gorgonia.Node, error) { return g.MaxPool(flat, 2, 2, 0) },
		"add shapes":           func() (*gorgonia.Node, error) { return g.Add(x, flat, false) },
		"add capacity":         func() (*gorgonia.Node, error) { return g.Add(other, other, false) },
		"dropout of 1":         func() (*gorgonia.Node, error) { return g.Dropout(x, 1, rand.NewPCG(1, 1), Training) },
		"dropout NaN":          func() (*gorgonia.Node, error) { return g.Dropout(x, math.NaN(), rand.NewPCG(1, 1), Training) },
		"average pool":         func() (*gorgonia.Node, error) { return g.AveragePool(x, 5, 1, 0) },
		"flat average":         func() (*gorgonia.Node, error) { return g.GlobalAveragePool(flat) },
		"flat flatten":         func() (*gorgonia.Node, error) { return g.Flatten(flat) },
		"relu capacity":        func() (*gorgonia.Node, error) { return g.ReLU(other) },
		"labels":               func() (*gorgonia.Node, error) { return g.CrossEntropy(flat, g.Data("labels", 3), nil) },
		"softmax":              func() (*gorgonia.Node, error) { return g.Softmax(x) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := g.SetBatch(3); err == nil {
		t.Error("a batch above the capacity is accepted")
	}
	if _, err := NewGraph(0); err == nil {
		t.Error("a graph for no rows is accepted")
	}
}

// TestProcessors: the number of processors does not change a bit of a step.
func TestProcessors(t *testing.T) {
	step := func(procs int) []float32 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		var got []float32
		err := Build(func() error {
			g, params, loss, err := smallNet(6, NewStatistics(4))
			if err != nil {
				return err
			}
			machine, err := NewMachine(g)
			if err != nil {
				return err
			}
			if err := machine.RunAll(); err != nil {
				return err
			}
			got = append(got, loss.Value().Data().(float32))
			for _, p := range params {
				d, err := p.Grad()
				if err != nil {
					return err
				}
				got = append(got, Floats(d)...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := step(1)
	for _, procs := range []int{2, 4} {
		if !slices.Equal(step(procs), want) {
			t.Errorf("%d processors give other bits than one", procs)
		}
	}
}
