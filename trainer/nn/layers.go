package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

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
// bias [F], any stride of at least 1 and zero padding below the kernel's size, as
// PyTorch's Conv2d. The result is [capacity, H', W', F].
func (g *Graph) Conv2D(x, weight, bias *gorgonia.Node, stride, padding int) (*gorgonia.Node, error) {
	if err := firstError(want("input of a convolution", x, g.capacity, 0, 0, 0), want("weight of a convolution", weight, 0, 0, 0, 0)); err != nil {
		return nil, err
	}
	in, w := x.Shape().Clone(), weight.Shape().Clone()
	if err := firstError(want("weight of a convolution", weight, 0, in[3], 0, 0), want("bias of a convolution", bias, w[0])); err != nil {
		return nil, err
	}
	shape := kernel.ConvShape{
		Batch: in[0], Height: in[1], Width: in[2], Channels: in[3],
		Filters: w[0], KernelHeight: w[2], KernelWidth: w[3], Stride: stride, Padding: padding,
	}
	conv, err := kernel.NewConv(shape, g.needsGradient(x))
	if err != nil {
		return nil, err
	}
	height, width := shape.Output()
	o := g.operation("conv2d", []int{in[0], height, width, w[0]}, func(out []float32, v [][]float32) {
		conv.Forward(g.batch, out, v[0], v[1], v[2])
	})
	o.wrt = []bool{g.needsGradient(x), true, true}
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		gradBias := make([]float32, w[0])
		dw, err := apply(g.operation("conv2d.weight", w, func(out []float32, v [][]float32) {
			conv.WeightGradient(g.batch, out, gradBias, v[1], v[0])
		}), n[0], grad)
		if err != nil {
			return nil, err
		}
		db, err := g.after("conv2d.bias", []int{w[0]}, gradBias, dw)
		if err != nil || !g.needsGradient(x) {
			return gorgonia.Nodes{nil, dw, db}, err
		}
		dx, err := apply(g.operation("conv2d.input", in, func(out []float32, v [][]float32) {
			conv.InputGradient(g.batch, out, v[1], v[0])
		}), n[1], grad)
		return gorgonia.Nodes{dx, dw, db}, err
	}
	return apply(o, x, weight, bias)
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
)

// BatchNorm normalises each channel of x [capacity, H, W, C], scales by gamma [C]
// and adds beta [C], as PyTorch's BatchNorm2d with its defaults (epsilon 1e-5,
// momentum 0.1, running variance unbiased), and applies ReLU if relu is set. In
// Training mode each run moves the running statistics once.
func (g *Graph) BatchNorm(x, gamma, beta *gorgonia.Node, running *Statistics, mode Mode, relu bool) (*gorgonia.Node, error) {
	if err := want("input of a batch normalisation", x, g.capacity, 0, 0, 0); err != nil {
		return nil, err
	}
	shape := x.Shape().Clone()
	channels, positions := shape[3], shape[1]*shape[2]
	if err := firstError(want("gamma", gamma, channels), want("beta", beta, channels)); err != nil {
		return nil, err
	}
	if len(running.Mean) != channels || len(running.Var) != channels {
		return nil, fmt.Errorf("running statistics of %d and %d channels for an input of %d", len(running.Mean), len(running.Var), channels)
	}
	norm, err := kernel.NewBatchNorm(g.capacity*positions, channels, relu)
	if err != nil {
		return nil, err
	}
	size := positions * channels
	o := g.operation("batchnorm", shape, func(out []float32, v [][]float32) {
		n := g.batch * size
		if mode == Training {
			norm.Train(out[:n], v[0][:n], v[1], v[2], running.Mean, running.Var)
		} else {
			norm.Apply(out[:n], v[0][:n], v[1], v[2], running.Mean, running.Var)
		}
	})
	o.wrt = []bool{true, true, true}
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		gradGamma, gradBeta := make([]float32, channels), make([]float32, channels)
		dx, err := apply(g.operation("batchnorm.input", shape, func(out []float32, v [][]float32) {
			n := g.batch * size
			norm.Gradient(out[:n], gradGamma, gradBeta, v[1][:n], v[0][:n], v[2])
		}), n[0], grad, n[1])
		if err != nil {
			return nil, err
		}
		dg, err := g.after("batchnorm.gamma", []int{channels}, gradGamma, dx)
		if err != nil {
			return nil, err
		}
		db, err := g.after("batchnorm.beta", []int{channels}, gradBeta, dx)
		return gorgonia.Nodes{dx, dg, db}, err
	}
	return apply(o, x, gamma, beta)
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
		dx, err := apply(g.operation("relu.input", shape, func(out []float32, v [][]float32) {
			for i, f := range v[0][:g.batch*row] {
				if f > 0 {
					out[i] = v[1][i]
				} else {
					out[i] = 0
				}
			}
		}), y, grad)
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

// Flatten turns x [capacity, H, W, C] into [capacity, C·H·W] in PyTorch's order:
// channels first, then rows, then columns.
func (g *Graph) Flatten(x *gorgonia.Node) (*gorgonia.Node, error) {
	if err := want("input of a flatten", x, g.capacity, 0, 0, 0); err != nil {
		return nil, err
	}
	shape := x.Shape().Clone()
	pixels, channels := shape[1]*shape[2], shape[3]
	o := g.operation("flatten", []int{shape[0], channels * pixels}, func(out []float32, v [][]float32) {
		transpose(g.batch, out, v[0], pixels, channels)
	})
	o.wrt = []bool{true}
	o.diff = func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := apply(g.operation("flatten.input", shape, func(out []float32, v [][]float32) {
			transpose(g.batch, out, v[0], channels, pixels)
		}), grad)
		return gorgonia.Nodes{dx}, err
	}
	return apply(o, x)
}

// transpose turns each of n matrices [rows][cols] of in into [cols][rows].
func transpose(n int, out, in []float32, rows, cols int) {
	size := rows * cols
	kernel.Parallel(n, func(i int) {
		from, to := in[i*size:(i+1)*size], out[i*size:(i+1)*size]
		for c := range cols {
			for r := range rows {
				to[c*rows+r] = from[r*cols+c]
			}
		}
	})
}
