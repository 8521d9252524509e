package model

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"github.com/medfed/medfed/trainer/nn"
)

// extent is the size of what goes from one layer to the next.
type extent struct{ height, width, channels int }

func (e extent) values() int { return e.height * e.width * e.channels }

// layer is one step of an architecture. An architecture is written down once, as
// a list of layers; its tensors, its graph and its frozen form all come from it.
type layer interface {
	// slots are the layer's tensors, in the order of a PyTorch state dict, and the
	// size of its result, for an input of the given size.
	slots(in extent) ([]slot, extent)
	// add adds the layer behind x to the graph of n.
	add(n *network, x *gorgonia.Node) (*gorgonia.Node, error)
}

// The layers. A name is the module's in PyTorch's state dict.
type (
	conv struct {
		name                             string
		filters, kernel, stride, padding int
		bias                             bool
	}
	// norm is a batch normalisation, with ReLU behind it if relu is set, and behind
	// that max-pooling 2×2 if pool is set.
	norm struct {
		name       string
		relu, pool bool
	}
	// featureNorm is a batch normalisation of features, without scale and shift: by the
	// statistics as they stand, also in training. A feature of variance 0 becomes 0.
	featureNorm struct{ name string }
	relu        struct{}
	maxPool     struct{ window, stride, padding int }
	// globalPool is the mean of each channel.
	globalPool struct{}
	flatten    struct{}
	linear     struct {
		name    string
		outputs int
	}
	dropout struct{ probability float64 }
	// residual is body plus shortcut, both behind the same input, and a ReLU. An
	// empty shortcut is the input itself.
	residual struct{ body, shortcut []layer }
)

// slotsOf lists the tensors of layers, and the size of their result.
func slotsOf(layers []layer, in extent) ([]slot, extent) {
	var all []slot
	for _, l := range layers {
		var s []slot
		s, in = l.slots(in)
		all = append(all, s...)
	}
	return all, in
}

// addAll adds layers behind x, one behind the other.
func (n *network) addAll(layers []layer, x *gorgonia.Node) (*gorgonia.Node, error) {
	var err error
	for _, l := range layers {
		if x, err = l.add(n, x); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (c conv) slots(in extent) ([]slot, extent) {
	fan := in.channels * c.kernel * c.kernel
	all := []slot{{c.name + ".weight", weight, []int{c.filters, in.channels, c.kernel, c.kernel}, fan}}
	if c.bias {
		all = append(all, slot{c.name + ".bias", bias, []int{c.filters}, fan})
	}
	out := func(n int) int { return (n+2*c.padding-c.kernel)/c.stride + 1 }
	return all, extent{out(in.height), out(in.width), c.filters}
}

func (c conv) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	w := n.parameter()
	var b *gorgonia.Node
	if c.bias {
		b = n.parameter()
	}
	return n.graph.Conv2D(x, w, b, c.stride, c.padding)
}

func (m norm) slots(in extent) ([]slot, extent) {
	shape := []int{in.channels}
	return []slot{
		{m.name + ".weight", gamma, shape, 0}, {m.name + ".bias", beta, shape, 0},
		{m.name + ".running_mean", mean, shape, 0}, {m.name + ".running_var", variance, shape, 0},
	}, m.extent(in)
}

// extent is the size of the result.
func (m norm) extent(in extent) extent {
	if m.pool {
		in.height, in.width = in.height/2, in.width/2
	}
	return in
}

func (m norm) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	scale, shift, running := n.parameter(), n.parameter(), nn.NewStatistics(x.Shape()[3])
	n.tensors = append(n.tensors, running.Mean, running.Var)
	if m.pool {
		return n.graph.PooledBatchNorm(x, scale, shift, running, n.design.mode, m.relu)
	}
	return n.graph.BatchNorm(x, scale, shift, running, n.design.mode, m.relu)
}

func (m featureNorm) slots(in extent) ([]slot, extent) {
	shape := []int{in.channels}
	return []slot{{m.name + ".running_mean", mean, shape, 0}, {m.name + ".running_var", variance, shape, 0}}, in
}

func (m featureNorm) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	running := nn.NewStatistics(x.Shape()[1])
	n.tensors = append(n.tensors, running.Mean, running.Var)
	return n.graph.Normalise(x, running)
}

func (relu) slots(in extent) ([]slot, extent) { return nil, in }

func (relu) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) { return n.graph.ReLU(x) }

func (p maxPool) slots(in extent) ([]slot, extent) {
	out := func(n int) int { return (n+2*p.padding-p.window)/p.stride + 1 }
	return nil, extent{out(in.height), out(in.width), in.channels}
}

func (p maxPool) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	return n.graph.MaxPool(x, p.window, p.stride, p.padding)
}

func (globalPool) slots(in extent) ([]slot, extent) { return nil, extent{1, 1, in.channels} }

func (globalPool) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	return n.graph.GlobalAveragePool(x)
}

func (flatten) slots(in extent) ([]slot, extent) { return nil, extent{1, 1, in.values()} }

func (flatten) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) { return n.graph.Flatten(x) }

func (l linear) slots(in extent) ([]slot, extent) {
	return []slot{
		{l.name + ".weight", weight, []int{l.outputs, in.channels}, in.channels},
		{l.name + ".bias", bias, []int{l.outputs}, in.channels},
	}, extent{1, 1, l.outputs}
}

func (l linear) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	return n.graph.Linear(x, n.parameter(), n.parameter())
}

func (dropout) slots(in extent) ([]slot, extent) { return nil, in }

func (d dropout) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	source := rand.NewPCG(0, 0)
	n.dropouts = append(n.dropouts, source)
	return n.graph.Dropout(x, d.probability, source, n.design.mode)
}

func (r residual) slots(in extent) ([]slot, extent) {
	body, out := slotsOf(r.body, in)
	shortcut, side := slotsOf(r.shortcut, in)
	if side != out {
		panic(fmt.Sprintf("a residual block's body gives %+v, its shortcut %+v", out, side))
	}
	return append(body, shortcut...), out
}

func (r residual) add(n *network, x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := n.addAll(r.body, x)
	if err != nil {
		return nil, err
	}
	if x, err = n.addAll(r.shortcut, x); err != nil {
		return nil, err
	}
	return n.graph.Add(y, x, true)
}
