// Package nn gives Gorgonia's expression graph the layers of an image classifier
// as operations of our own: convolution, batch normalisation, ReLU, max-, average-
// and global average pooling, residual addition, dropout, flatten, linear, softmax
// and cross-entropy. Gorgonia keeps the graph, the
// symbolic differentiation (SymDiff) and the solvers; the layers it ships are not
// used, because several are wrong and all are slow. The inner loops are in
// package kernel; a [Machine] runs the graph.
//
// Values are float32. Images are NHWC inside; parameters have PyTorch's names for
// things and its layouts: a convolution's weight is [filters, channels, height,
// width], a linear layer's [outputs, inputs].
//
// A [Graph] is built for a capacity, the largest batch, and runs any batch up to
// it: [Graph.SetBatch] says how many rows of the inputs count, and every
// operation leaves the other rows alone. The operations keep their buffers, so a
// step allocates none. The bits of a result depend neither on GOMAXPROCS nor on
// the kernel family.
package nn

import (
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// building serialises graph construction, which races inside Gorgonia. Graphs
// run concurrently without it.
var building sync.Mutex

// Build runs f, which constructs graphs or machines, alone in the process.
func Build(f func() error) error {
	building.Lock()
	defer building.Unlock()
	return f()
}

// Graph is a Gorgonia graph under construction together with the number of batch
// rows in use. It must be built inside [Build].
type Graph struct {
	// Expr is Gorgonia's own graph.
	Expr *gorgonia.ExprGraph

	capacity int
	batch    int
	ops      int              // operations made so far
	values   int              // of inputs and results
	data     []*gorgonia.Node // inputs that need no gradient, and what is made of them alone
}

// NewGraph makes an empty graph for batches of 1 to capacity rows.
func NewGraph(capacity int) (*Graph, error) {
	if capacity < 1 {
		return nil, fmt.Errorf("a graph's capacity is %d; it must be at least 1", capacity)
	}
	return &Graph{Expr: gorgonia.NewGraph(), capacity: capacity, batch: capacity}, nil
}

// SetBatch sets the number of rows of the inputs that count from the next run on:
// 1 to the graph's capacity.
func (g *Graph) SetBatch(n int) error {
	if n < 1 || n > g.capacity {
		return fmt.Errorf("batch of %d rows in a graph for 1 to %d", n, g.capacity)
	}
	g.batch = n
	return nil
}

// Values is the number of float32 values that the graph's inputs and results hold:
// most of its memory, which the operations' own room may double.
func (g *Graph) Values() int { return g.values }

// Data makes an input that needs no gradient, such as images [capacity, height,
// width, channels] or labels [capacity], with a value of zeros.
func (g *Graph) Data(name string, shape ...int) *gorgonia.Node {
	n := g.input(name, shape)
	g.data = append(g.data, n)
	return n
}

// Parameter makes an input that is learned, with a value of zeros. Names must be
// unique within the graph: Gorgonia merges inputs of one name and shape.
func (g *Graph) Parameter(name string, shape ...int) *gorgonia.Node { return g.input(name, shape) }

func (g *Graph) input(name string, shape []int) *gorgonia.Node {
	g.values += tensor.Shape(shape).TotalSize()
	return gorgonia.NewTensor(g.Expr, tensor.Float32, len(shape),
		gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(dense(shape)))
}

// needsGradient reports whether the gradient of a layer's input is used.
func (g *Graph) needsGradient(x *gorgonia.Node) bool { return !slices.Contains(g.data, x) }

// Floats returns the backing slice of a float32 tensor value. Writing to it
// changes the value.
func Floats(v gorgonia.Value) []float32 { return v.Data().([]float32) }

func dense(shape []int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
}

// op is a Gorgonia operation with a Go body. A result is valid until the next run, or
// until its memory is needed for another's (see [NewMachine]).
type op struct {
	name   string
	id     int
	inputs []int         // dimensions of each input, 0 for a scalar
	shape  tensor.Shape  // of out
	out    *tensor.Dense // made with the machine that runs the operation
	floats []float32     // of out
	scalar *gorgonia.F32 // instead of out
	body   func(out []float32, in [][]float32)
	views  [][]float32 // the inputs' values

	wrt  []bool
	diff func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error)
}

// operation makes an op with a tensor result of the given shape. The id makes
// its hash unique in the graph: Gorgonia merges nodes of equal hash.
func (g *Graph) operation(name string, shape []int, body func(out []float32, in [][]float32)) *op {
	g.ops++
	g.values += tensor.Shape(shape).TotalSize()
	return &op{name: name, id: g.ops, shape: shape, body: body}
}

// rowwise makes an operation that computes row i of the batch for itself.
func (g *Graph) rowwise(name string, shape []int, body func(i int, out []float32, in [][]float32)) *op {
	var o *op
	row := func(i int) { body(i, o.floats, o.views) } // made once: to make it is an allocation
	o = g.operation(name, shape, func([]float32, [][]float32) { kernel.Parallel(g.batch, row) })
	return o
}

// apply adds a node that computes o from the inputs.
func apply(o *op, inputs ...*gorgonia.Node) (*gorgonia.Node, error) {
	for _, n := range inputs {
		o.inputs = append(o.inputs, n.Dims())
	}
	o.views = make([][]float32, len(inputs))
	n, err := gorgonia.ApplyOp(o, inputs...)
	if err != nil {
		return nil, fmt.Errorf("layer %v: %w", o, err)
	}
	return n, nil
}

// applyToData is apply for data, whose result is data again: nothing in front of it is
// learned.
func (g *Graph) applyToData(o *op, x *gorgonia.Node) (*gorgonia.Node, error) {
	o.wrt = []bool{false}
	y, err := apply(o, x)
	g.data = append(g.data, y)
	return y, err
}

// after makes a node whose value is the buffer side, written by the operation of
// node first: the second result of an operation that has two.
func (g *Graph) after(name string, shape []int, side []float32, first *gorgonia.Node) (*gorgonia.Node, error) {
	return apply(g.operation(name, shape, func(out []float32, _ [][]float32) { copy(out, side) }), first)
}

func (o *op) Arity() int           { return len(o.inputs) }
func (o *op) ReturnsPtr() bool     { return true }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }
func (o *op) Hashcode() uint32     { return uint32(o.id) }
func (o *op) String() string       { return fmt.Sprintf("%s#%d", o.name, o.id) }
func (o *op) WriteHash(h hash.Hash) {
	fmt.Fprintf(h, "medfed/%s#%d", o.name, o.id)
}

func (o *op) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.inputs)+1)
	for _, dims := range o.inputs {
		types = append(types, typeOf(dims))
	}
	if o.scalar != nil {
		return hm.NewFnType(append(types, tensor.Float32)...)
	}
	return hm.NewFnType(append(types, typeOf(len(o.shape)))...)
}

func typeOf(dims int) hm.Type {
	if dims == 0 {
		return tensor.Float32
	}
	return gorgonia.TensorType{Dims: dims, Of: tensor.Float32}
}

func (o *op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	if o.scalar != nil {
		return tensor.ScalarShape(), nil
	}
	return o.shape, nil
}

// place lets the result lie in values, which are as many as it has.
func (o *op) place(values []float32) {
	o.floats = values
	o.out = tensor.New(tensor.WithShape(o.shape...), tensor.WithBacking(values))
}

// run computes the result from the inputs' values.
func (o *op) run() {
	o.body(o.floats, o.views)
	if o.scalar != nil {
		*o.scalar = gorgonia.F32(o.floats[0])
	}
}

// value is the result.
func (o *op) value() gorgonia.Value {
	if o.scalar != nil {
		return o.scalar
	}
	return o.out
}

// Do runs the operation for one of Gorgonia's machines.
func (o *op) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	if o.out == nil {
		o.place(make([]float32, o.shape.TotalSize()))
	}
	for i, v := range in {
		switch data := v.Data().(type) {
		case []float32:
			o.views[i] = data
		case float32:
			o.views[i] = []float32{data}
		default:
			return nil, fmt.Errorf("layer %v: input %d is a %T, not float32", o, i, data)
		}
	}
	o.run()
	return o.value(), nil
}

// DiffWRT tells for which inputs there is a gradient.
func (o *op) DiffWRT(inputs int) []bool {
	if o.wrt == nil {
		return make([]bool, inputs)
	}
	return o.wrt
}

// SymDiff adds the nodes that compute the gradients of the inputs.
func (o *op) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.diff == nil {
		return nil, fmt.Errorf("layer %v has no gradient", o)
	}
	return o.diff(in, out, grad)
}
