package nn

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// want checks that a node has the given shape; 0 stands for any size.
func want(what string, n *gorgonia.Node, shape ...int) error {
	got := n.Shape()
	ok := len(got) == len(shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = shape[i] == 0 || shape[i] == got[i]
	}
	if !ok {
		return fmt.Errorf("%s has shape %v; want %v (0: any)", what, got, shape)
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Conv2D is a convolution of x [capacity, H, W, C] with weight [F, C, KH, KW] and
// bias [F] (nil for none), any stride of at least 1 and zero padding below the
// kernel's size, as PyTorch's Conv2d. The result is [capacity, H', W', F].
func (g *Graph) Conv2D(x, weight, bias *gorgonia.Node, stride, padding int) (*gorgonia.Node, error) {
	if err := firstError(want("input of a convolution", x, g.capacity, 0, 0, 0), want("weight of a convolution", weight, 0, 0, 0, 0)); err != nil {
		return nil, err
	}
	in, w := x.Shape().Clone(), weight.Shape().Clone()
	if err := want("weight of a convolution", weight, 0, in[3], 0, 0); err != nil {
		return nil, err
	}
	inputs := gorgonia.Nodes{x, weight}
	if bias != nil {
		if err := want("bias of a convolution", bias, w[0]); err != nil {
			return nil, err
		}
		inputs = append(inputs, bias)
	}
	shape := kernel.ConvShape{
		Batch: in[0], Height: in[1], Width: in[2], Channels: in[3],
		Filters: w[0], KernelHeight: w[2], KernelWidth: w[3], Stride: stride, Padding: padding,
	}
	conv, err := kernel.NewConv(shape)
	if err != nil {
		return nil, err
	}
	height, width := shape.Output()
	o := g.operation("conv2d", []int{in[0], height, width, w[0]}, func(out []float32, v [][]float32) {
		var b []float32
		if len(v) > 2 {
			b = v[2]
		}
		conv.Forward(g.batch, out, v[0], v[1], b)
	})
	o.wrt = []bool{g.needsGradient(x), true, true}[:len(inputs)]
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		var gradBias []float32
		if bias != nil {
			gradBias = make([]float32, w[0])
		}
		dw, err := apply(g.operation("conv2d.weight", w, func(out []float32, v [][]float32) {
			conv.WeightGradient(g.batch, out, gradBias, v[1], v[0])
		}), n[0], grad)
		if err != nil {
			return nil, err
		}
		gradients := gorgonia.Nodes{nil, dw}
		if bias != nil {
			db, err := g.after("conv2d.bias", []int{w[0]}, gradBias, dw)
			if err != nil {
				return nil, err
			}
			gradients = append(gradients, db)
		}
		if g.needsGradient(x) {
			gradients[0], err = apply(g.operation("conv2d.input", in, func(out []float32, v [][]float32) {
				conv.InputGradient(g.batch, out, v[1], v[0])
			}), n[1], grad)
		}
		return gradients, err
	}
	return apply(o, inputs...)
}

// Linear is a fully connected layer of x [capacity, inputs] with weight [outputs,
// inputs] and bias [outputs]. The result is [capacity, outputs].
func (g *Graph) Linear(x, weight, bias *gorgonia.Node) (*gorgonia.Node, error) {
	if err := firstError(want("input of a linear layer", x, g.capacity, 0), want("weight of a linear layer", weight, 0, x.Shape()[1])); err != nil {
		return nil, err
	}
	in, w := x.Shape().Clone(), weight.Shape().Clone()
	if err := want("bias of a linear layer", bias, w[0]); err != nil {
		return nil, err
	}
	linear, err := kernel.NewLinear(in[0], in[1], w[0])
	if err != nil {
		return nil, err
	}
	o := g.operation("linear", []int{in[0], w[0]}, func(out []float32, v [][]float32) {
		linear.Forward(g.batch, out, v[0], v[1], v[2])
	})
	o.wrt = []bool{g.needsGradient(x), true, true}
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		gradBias := make([]float32, w[0])
		dw, err := apply(g.operation("linear.weight", w, func(out []float32, v [][]float32) {
			linear.WeightGradient(g.batch, out, gradBias, v[1], v[0])
		}), n[0], grad)
		if err != nil {
			return nil, err
		}
		db, err := g.after("linear.bias", []int{w[0]}, gradBias, dw)
		if err != nil || !g.needsGradient(x) {
			return gorgonia.Nodes{nil, dw, db}, err
		}
		dx, err := apply(g.operation("linear.input", in, func(out []float32, v [][]float32) {
			linear.InputGradient(g.batch, out, v[1], v[0])
		}), n[1], grad)
		return gorgonia.Nodes{dx, dw, db}, err
	}
	return apply(o, x, weight, bias)
}

// Statistics are the running statistics of a batch normalisation, one value per
// channel. They belong to the caller, who may read and write them between runs.
type Statistics struct {
	Mean, Var []float32
}

// NewStatistics are the statistics a new layer starts from: mean 0, variance 1.
func NewStatistics(channels int) *Statistics {
	s := &Statistics{Mean: make([]float32, channels), Var: make([]float32, channels)}
	for i := range s.Var {
		s.Var[i] = 1
	}
	return s
}

// Mode says what a graph is for.
type Mode int

const (
	// Evaluating uses the running statistics and changes nothing.
	Evaluating Mode = iota
	// Training uses the batch's statistics and updates the running ones.
	Training
	// Frozen uses the running statistics and changes nothing, and is for gradients:
	// no example has a part in what is computed for another, as private training
	// needs it.
	Frozen
	// Measuring uses the batch's statistics, as Training does, and sets the running
	// ones to them.
	Measuring
)

// Gradients reports whether a graph of the mode is for gradients.
func (m Mode) Gradients() bool { return m == Training || m == Frozen }

// momentum is the weight of a batch in the running statistics: PyTorch's 0.1 in
// training, all of it to measure.
func (m Mode) momentum() float64 {
	if m == Measuring {
		return 1
	}
	return 0.1
}

// BatchNorm normalises each channel of x [capacity, H, W, C], scales by gamma [C]
// and adds beta [C], as PyTorch's BatchNorm2d with its defaults (epsilon 1e-5,
// momentum 0.1, running variance unbiased), and applies ReLU if relu is set. In
// Training mode each run moves the running statistics once, in Measuring mode all the
// way.
func (g *Graph) BatchNorm(x, gamma, beta *gorgonia.Node, running *Statistics, mode Mode, relu bool) (*gorgonia.Node, error) {
	if err := checkNorm(g.capacity, x, gamma, beta, running); err != nil {
		return nil, err
	}
	shape := x.Shape().Clone()
	norm, err := kernel.NewBatchNorm(g.capacity*shape[1]*shape[2], shape[3], relu)
	if err != nil {
		return nil, err
	}
	return g.normalised("batchnorm", shape, norm, x, gamma, beta, running, mode)
}

// PooledBatchNorm is BatchNorm and behind it a max-pooling of 2×2 windows with stride
// 2, in one where height and width are even. The result is [capacity, H/2, W/2, C].
func (g *Graph) PooledBatchNorm(x, gamma, beta *gorgonia.Node, running *Statistics, mode Mode, relu bool) (*gorgonia.Node, error) {
	if err := checkNorm(g.capacity, x, gamma, beta, running); err != nil {
		return nil, err
	}
	shape := x.Shape()
	if shape[1]%2 != 0 || shape[2]%2 != 0 {
		y, err := g.BatchNorm(x, gamma, beta, running, mode, relu)
		if err != nil {
			return nil, err
		}
		return g.MaxPool(y, 2, 2, 0)
	}
	norm, err := kernel.NewPooledBatchNorm(g.capacity, shape[1], shape[2], shape[3], relu)
	if err != nil {
		return nil, err
	}
	return g.normalised("pooledbatchnorm", []int{g.capacity, shape[1] / 2, shape[2] / 2, shape[3]}, norm, x, gamma, beta, running, mode)
}

func checkNorm(capacity int, x, gamma, beta *gorgonia.Node, running *Statistics) error {
	if err := want("input of a batch normalisation", x, capacity, 0, 0, 0); err != nil {
		return err
	}
	channels := x.Shape()[3]
	if len(running.Mean) != channels || len(running.Var) != channels {
		return fmt.Errorf("running statistics of %d and %d channels for an input of %d", len(running.Mean), len(running.Var), channels)
	}
	return firstError(want("gamma", gamma, channels), want("beta", beta, channels))
}

// normaliser is a kernel of batch normalisation.
type normaliser interface {
	Train(out, in, gamma, beta, runningMean, runningVar []float32, momentum float64)
	Apply(out, in, gamma, beta, runningMean, runningVar []float32)
	Gradient(gradIn, gradGamma, gradBeta, gradOut, in, gamma []float32)
}

// normalised adds a kernel of batch normalisation whose result has the given shape.
func (g *Graph) normalised(name string, shape []int, norm normaliser, x, gamma, beta *gorgonia.Node, running *Statistics, mode Mode) (*gorgonia.Node, error) {
	in := x.Shape().Clone()
	channels := in[3]
	size, result := in.TotalSize()/g.capacity, tensor.Shape(shape).TotalSize()/g.capacity
	o := g.operation(name, shape, func(out []float32, v [][]float32) {
		n := g.batch
		if mode == Training || mode == Measuring {
			norm.Train(out[:n*result], v[0][:n*size], v[1], v[2], running.Mean, running.Var, mode.momentum())
		} else {
			norm.Apply(out[:n*result], v[0][:n*size], v[1], v[2], running.Mean, running.Var)
		}
	})
	o.wrt = []bool{true, true, true}
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		gradGamma, gradBeta := make([]float32, channels), make([]float32, channels)
		dx, err := apply(g.operation(name+".input", in, func(out []float32, v [][]float32) {
			n := g.batch
			norm.Gradient(out[:n*size], gradGamma, gradBeta, v[1][:n*result], v[0][:n*size], v[2])
		}), n[0], grad, n[1])
		if err != nil {
			return nil, err
		}
		dg, err := g.after(name+".gamma", []int{channels}, gradGamma, dx)
		if err != nil {
			return nil, err
		}
		db, err := g.after(name+".beta", []int{channels}, gradBeta, dx)
		return gorgonia.Nodes{dx, dg, db}, err
	}
	return apply(o, x, gamma, beta)
}

// Normalise takes the mean from each feature of x [capacity, features] and divides by the
// square root of the variance, those of running as they stand, whatever the graph is for:
// a batch normalisation without scale and shift (PyTorch's BatchNorm1d in evaluation, with
// affine=False and eps=0). A feature of variance 0 becomes 0. x must be data: no gradient
// goes through.
func (g *Graph) Normalise(x *gorgonia.Node, running *Statistics) (*gorgonia.Node, error) {
	if err := want("input of a normalisation", x, g.capacity, 0); err != nil {
		return nil, err
	}
	shape := x.Shape().Clone()
	features := shape[1]
	switch {
	case g.needsGradient(x):
		return nil, fmt.Errorf("the input %v of a normalisation needs a gradient; it must be data", x)
	case len(running.Mean) != features || len(running.Var) != features:
		return nil, fmt.Errorf("running statistics of %d and %d features for an input of %d", len(running.Mean), len(running.Var), features)
	}
	scale := make([]float64, features)
	var o *op
	row := func(i int) {
		in, out := o.views[0][i*features:(i+1)*features], o.floats[i*features:(i+1)*features]
		for j, f := range in {
			out[j] = float32((float64(f) - float64(running.Mean[j])) * scale[j])
		}
	}
	o = g.operation("normalise", shape, func([]float32, [][]float32) {
		for j, variance := range running.Var {
			if scale[j] = 0; variance != 0 {
				scale[j] = 1 / math.Sqrt(float64(variance))
			}
		}
		kernel.Parallel(g.batch, row)
	})
	return g.applyToData(o, x)
}

// ReLU is max(x, 0) of any tensor whose first dimension is the capacity. A NaN
// stays one.
func (g *Graph) ReLU(x *gorgonia.Node) (*gorgonia.Node, error) {
	shape := x.Shape().Clone()
	if len(shape) == 0 || shape[0] != g.capacity {
		return nil, fmt.Errorf("input of a ReLU has shape %v; want a first dimension of %d", shape, g.capacity)
	}
	row := shape.TotalSize() / g.capacity
	o := g.operation("relu", shape, func(out []float32, v [][]float32) {
		for i, f := range v[0][:g.batch*row] {
			if f < 0 {
				f = 0
			}
			out[i] = f
		}
	})
	o.wrt = []bool{true}
	o.diff = func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := g.positive("relu.input", y, grad)
		return gorgonia.Nodes{dx}, err
	}
	return apply(o, x)
}

// MaxPool takes the maximum of each window × window square of x [capacity, H, W,
// C], as PyTorch's MaxPool2d: the first of equal values gets the gradient, NaN
// wins over every number.
func (g *Graph) MaxPool(x *gorgonia.Node, window, stride, padding int) (*gorgonia.Node, error) {
	if err := want("input of a max-pooling", x, g.capacity, 0, 0, 0); err != nil {
		return nil, err
	}
	in := x.Shape().Clone()
	shape := kernel.PoolShape{
		Batch: in[0], Height: in[1], Width: in[2], Channels: in[3],
		Window: window, Stride: stride, Padding: padding,
	}
	pool, err := kernel.NewMaxPool(shape)
	if err != nil {
		return nil, err
	}
	height, width := shape.Output()
	o := g.operation("maxpool", []int{in[0], height, width, in[3]}, func(out []float32, v [][]float32) {
		pool.Forward(g.batch, out, v[0])
	})
	o.wrt = []bool{true}
	o.diff = func(n gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := apply(g.operation("maxpool.input", in, func(out []float32, v [][]float32) {
			pool.Gradient(g.batch, out, v[2], v[1], v[0])
		}), n[0], y, grad)
		return gorgonia.Nodes{dx}, err
	}
	return apply(o, x)
}

// AveragePool takes the mean of each window × window square of x [capacity, H, W,
// C], zeros of the padding counted in, as PyTorch's AvgPool2d.
func (g *Graph) AveragePool(x *gorgonia.Node, window, stride, padding int) (*gorgonia.Node, error) {
	if err := want("input of an average-pooling", x, g.capacity, 0, 0, 0); err != nil {
		return nil, err
	}
	in := x.Shape().Clone()
	shape := kernel.PoolShape{
		Batch: in[0], Height: in[1], Width: in[2], Channels: in[3],
		Window: window, Stride: stride, Padding: padding,
	}
	pool, err := kernel.NewAveragePool(shape)
	if err != nil {
		return nil, err
	}
	height, width := shape.Output()
	return g.averaged("averagepool", x, []int{in[0], height, width, in[3]}, pool)
}

// GlobalAveragePool takes the mean of each channel of x [capacity, H, W, C]. The
// result is [capacity, C], as PyTorch's AdaptiveAvgPool2d(1) and a flatten.
func (g *Graph) GlobalAveragePool(x *gorgonia.Node) (*gorgonia.Node, error) {
	if err := want("input of a global average pooling", x, g.capacity, 0, 0, 0); err != nil {
		return nil, err
	}
	in := x.Shape()
	pool, err := kernel.NewGlobalAveragePool(in[1], in[2], in[3])
	if err != nil {
		return nil, err
	}
	return g.averaged("globalaveragepool", x, []int{in[0], in[3]}, pool)
}

// averaged is a pooling whose gradient depends on nothing but the output's.
func (g *Graph) averaged(name string, x *gorgonia.Node, out []int, pool interface {
	Forward(n int, out, in []float32)
	Gradient(n int, gradIn, gradOut []float32)
}) (*gorgonia.Node, error) {
	in := x.Shape().Clone()
	o := g.operation(name, out, func(out []float32, v [][]float32) { pool.Forward(g.batch, out, v[0]) })
	o.wrt = []bool{true}
	o.diff = func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := apply(g.operation(name+".input", in, func(out []float32, v [][]float32) {
			pool.Gradient(g.batch, out, v[0])
		}), grad)
		return gorgonia.Nodes{dx}, err
	}
	return apply(o, x)
}

// Add is a + b of two tensors of one shape whose first dimension is the capacity,
// with ReLU behind it if relu is set: the end of a residual block (He et al.,
// "Deep Residual Learning for Image Recognition", 2015). A NaN stays one.
func (g *Graph) Add(a, b *gorgonia.Node, relu bool) (*gorgonia.Node, error) {
	shape := a.Shape().Clone()
	if len(shape) == 0 || shape[0] != g.capacity || !shape.Eq(b.Shape()) {
		return nil, fmt.Errorf("inputs of an addition have shapes %v and %v; want one shape with a first dimension of %d", shape, b.Shape(), g.capacity)
	}
	row := shape.TotalSize() / g.capacity
	o := g.rowwise("add", shape, func(i int, out []float32, v [][]float32) {
		first, second := v[0][i*row:(i+1)*row], v[1][i*row:(i+1)*row]
		to := out[i*row : (i+1)*row]
		for j, f := range first {
			f += second[j]
			if relu && f < 0 {
				f = 0
			}
			to[j] = f
		}
	})
	o.wrt = []bool{true, true}
	o.diff = func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		if !relu {
			return gorgonia.Nodes{grad, grad}, nil
		}
		d, err := g.positive("add.inputs", y, grad)
		return gorgonia.Nodes{d, d}, err
	}
	return apply(o, a, b)
}

// positive is the gradient of a ReLU: grad where its result y is above zero, else
// zero.
func (g *Graph) positive(name string, y, grad *gorgonia.Node) (*gorgonia.Node, error) {
	shape := y.Shape().Clone()
	row := shape.TotalSize() / g.capacity
	return apply(g.rowwise(name, shape, func(i int, out []float32, v [][]float32) {
		d := v[1][i*row : (i+1)*row]
		to := out[i*row : (i+1)*row]
		for j, f := range v[0][i*row : (i+1)*row] {
			if f > 0 {
				to[j] = d[j]
			} else {
				to[j] = 0
			}
		}
	}), y, grad)
}

// Dropout multiplies each element of x, whose first dimension is the capacity, by
// 0 with the given probability, 0 to below 1, and else by 1/(1-probability), as
// PyTorch's Dropout: NaN and infinities times 0 are NaN. Each run takes one number
// from source for each element of the batch, in order; the caller seeds it. In
// a mode without gradients the result is x.
func (g *Graph) Dropout(x *gorgonia.Node, probability float64, source *rand.PCG, mode Mode) (*gorgonia.Node, error) {
	shape := x.Shape().Clone()
	if len(shape) == 0 || shape[0] != g.capacity {
		return nil, fmt.Errorf("input of a dropout has shape %v; want a first dimension of %d", shape, g.capacity)
	}
	if !(probability >= 0 && probability < 1) {
		return nil, fmt.Errorf("a dropout's probability is %v; it must be at least 0 and below 1", probability)
	}
	if !mode.Gradients() {
		return x, nil
	}
	row := shape.TotalSize() / g.capacity
	factors := make([]float32, shape.TotalSize())
	kept := float32(1 / (1 - probability))
	o := g.operation("dropout", shape, func(out []float32, v [][]float32) {
		for i, f := range v[0][:g.batch*row] {
			factors[i] = 0
			if unit := float64(source.Uint64()>>11) * 0x1p-53; unit >= probability {
				factors[i] = kept
			}
			out[i] = f * factors[i]
		}
	})
	if !g.needsGradient(x) {
		return g.applyToData(o, x)
	}
	o.wrt = []bool{true}
	o.diff = func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		// The result is an input only so that it is there before the gradient.
		dx, err := apply(g.operation("dropout.input", shape, func(out []float32, v [][]float32) {
			for i, d := range v[1][:g.batch*row] {
				out[i] = d * factors[i]
			}
		}), y, grad)
		return gorgonia.Nodes{dx}, err
	}
	return apply(o, x)
}

// Flatten turns x [capacity, H, W, C] into [capacity, C·H·W] in PyTorch's order:
// channels first, then rows, then columns.
func (g *Graph) Flatten(x *gorgonia.Node) (*gorgonia.Node, error) {
	if err := want("input of a flatten", x, g.capacity, 0, 0, 0); err != nil {
		return nil, err
	}
	shape := x.Shape().Clone()
	pixels, channels := shape[1]*shape[2], shape[3]
	o := g.rowwise("flatten", []int{shape[0], channels * pixels}, func(i int, out []float32, v [][]float32) {
		transpose(i, out, v[0], pixels, channels)
	})
	o.wrt = []bool{true}
	o.diff = func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := apply(g.rowwise("flatten.input", shape, func(i int, out []float32, v [][]float32) {
			transpose(i, out, v[0], channels, pixels)
		}), grad)
		return gorgonia.Nodes{dx}, err
	}
	return apply(o, x)
}

// transpose turns matrix i [rows][cols] of in into [cols][rows].
func transpose(i int, out, in []float32, rows, cols int) {
	size := rows * cols
	from, to := in[i*size:(i+1)*size], out[i*size:(i+1)*size]
	for c := range cols {
		for r := range rows {
			to[c*rows+r] = from[r*cols+c]
		}
	}
}
