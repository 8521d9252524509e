package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// Machine runs the operations of a graph, each into its own buffer. It is a
// [gorgonia.VM]. Unlike Gorgonia's own machines it allocates nothing and copies no
// value when it runs, and a gradient is that of the last run alone: it need not be
// cleared in between.
//
// Value and Grad of the graph's nodes give the results of the last run. A machine is
// used by one goroutine at a time; machines of different graphs run at once.
type Machine struct {
	operations []*op // each behind those that it needs
}

var _ gorgonia.VM = (*Machine)(nil)

// NewMachine makes the machine of a complete graph, gradients included. With nodes
// to be read after a run, the results of others share memory where they are never
// needed at the same time, and their values are lost by then; without, every result
// stays. It must be called inside [Build].
func NewMachine(g *Graph, read ...*gorgonia.Node) (*Machine, error) {
	m := &Machine{}
	// A node is made after its inputs, so that they come before it here.
	nodes := g.Expr.AllNodes()
	operations := make(map[*gorgonia.Node]*op, len(nodes))
	for _, n := range nodes {
		o, err := operationOf(g, n)
		if err != nil {
			return nil, fmt.Errorf("machine of a graph: node %v: %w", n, err)
		}
		operations[n] = o
	}
	g.place(nodes, operations, read)
	values := make(map[*gorgonia.Node][]float32, len(nodes))
	for _, n := range nodes {
		value, err := m.add(g, n, operations[n], values)
		if err != nil {
			return nil, fmt.Errorf("machine of a graph: node %v: %w", n, err)
		}
		values[n] = value
	}
	return m, nil
}

// add adds what computes a node, nil for an input or a constant, and returns its
// value.
func (m *Machine) add(g *Graph, n *gorgonia.Node, o *op, values map[*gorgonia.Node][]float32) ([]float32, error) {
	if o == nil {
		return constant(n.Value()), nil
	}
	o.views = o.views[:0]
	for inputs := g.Expr.From(n.ID()); inputs.Next(); {
		value := values[inputs.Node().(*gorgonia.Node)]
		if value == nil {
			return nil, fmt.Errorf("the input %v has no value", inputs.Node())
		}
		o.views = append(o.views, value)
	}
	m.operations = append(m.operations, o)
	return o.floats, gorgonia.UnsafeLet(n, o.value())
}

// operationOf is what computes a node: nil for an input or a constant. Of Gorgonia's
// own operations there is the addition, which the differentiation makes of the
// gradients of a node that is used more than once.
func operationOf(g *Graph, n *gorgonia.Node) (*op, error) {
	switch o := n.Op().(type) {
	case nil:
		return nil, nil
	case *op:
		return o, nil
	default:
		if o.Arity() == 0 && n.Value() != nil {
			return nil, nil
		}
		if _, ok := o.(gorgonia.BinaryOp); ok && o.String() == "+ false" {
			return g.sum(n), nil
		}
		return nil, fmt.Errorf("there is no %s here", o)
	}
}

// constant is the value of an input or a constant; nil if it is not float32.
func constant(v gorgonia.Value) []float32 {
	if v == nil {
		return nil
	}
	switch data := v.Data().(type) {
	case []float32:
		return data
	case float32:
		return []float32{data}
	}
	return nil
}

// sumChunk is the number of values that are added at once.
const sumChunk = 1 << 14

// sum makes an operation that does the addition n.
func (g *Graph) sum(n *gorgonia.Node) *op {
	var o *op
	chunk := func(i int) {
		first, last := i*sumChunk, min((i+1)*sumChunk, len(o.floats))
		a, b := o.views[0][first:last], o.views[1][first:last]
		for j, out := 0, o.floats[first:last]; j < len(out); j++ {
			out[j] = a[j] + b[j]
		}
	}
	o = g.operation("sum", n.Shape(), func(out []float32, _ [][]float32) {
		kernel.Parallel((len(out)+sumChunk-1)/sumChunk, chunk)
	})
	return o
}

// RunAll runs every operation once. It does not fail.
func (m *Machine) RunAll() error {
	for _, o := range m.operations {
		o.run()
	}
	return nil
}

// Reset does nothing: every run begins from the beginning.
func (m *Machine) Reset() {}

// Close does nothing: a machine holds no resources but memory.
func (m *Machine) Close() error { return nil }
