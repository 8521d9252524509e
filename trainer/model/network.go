package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/weights"
)

// design is all that a built network depends on.
type design struct {
	spec     Spec
	capacity int // the largest batch
	mode     nn.Mode
}

// network is a design as a Gorgonia graph with its machine. It is used by one
// goroutine at a time.
type network struct {
	design   design
	graph    *nn.Graph
	machine  *nn.Machine
	images   []float32                            // value of the input: images NHWC, or features
	labels   []float32                            // value of the labels; nil without gradients
	balance  []float32                            // weights of the classes; nil without gradients
	view     func(out, in []float32, example int) // what is fed of an example; nil for all there is
	room     []float32                            // for an example that is to be viewed
	slots    []slot
	tensors  [][]float32 // values of the slots, in order
	learned  gorgonia.Nodes
	moved    []gorgonia.ValueGrad // learned, as a solver wants them
	gradient [][]float32          // of learned, as the last run has them; nil without
	dropouts []*rand.PCG          // their sources of numbers
	result   *gorgonia.Node       // the loss, a scalar, or without gradients the probabilities
}

// build makes a network.
func build(d design) (n *network, err error) {
	err = nn.Build(func() error {
		n, err = assemble(d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", d.spec.Name, err)
	}
	return n, nil
}

// assemble is build without the lock.
func assemble(d design) (*network, error) {
	graph, err := nn.NewGraph(d.capacity)
	if err != nil {
		return nil, err
	}
	n := &network{design: d, graph: graph}
	logits, err := n.layers()
	if err != nil {
		return nil, err
	}
	if !d.mode.Gradients() {
		if n.result, err = graph.Softmax(logits); err != nil {
			return nil, err
		}
		n.machine, err = nn.NewMachine(graph, n.result)
		return n, err
	}
	labels := graph.Data("labels", d.capacity)
	n.labels = nn.Floats(labels.Value())
	n.balance = make([]float32, d.spec.Classes)
	n.weighClasses(dataset.Split{}, false)
	if n.result, err = graph.CrossEntropy(logits, labels, n.balance); err != nil {
		return nil, err
	}
	gradients, err := gorgonia.Grad(n.result, n.learned...)
	if err != nil {
		return nil, err
	}
	if n.machine, err = nn.NewMachine(graph, append(gradients, n.result)...); err != nil {
		return nil, err
	}
	n.moved = gorgonia.NodesToValueGrads(n.learned)
	for _, p := range n.learned {
		gradient, err := p.Grad()
		if err != nil {
			return nil, err
		}
		n.gradient = append(n.gradient, nn.Floats(gradient))
	}
	return n, nil
}

// layers adds the spec's layers to the graph and returns the logits.
func (n *network) layers() (*gorgonia.Node, error) {
	d := n.design
	in := d.spec.input()
	shape := []int{d.capacity, in.height, in.width, in.channels}
	if d.spec.Frozen() {
		shape = []int{d.capacity, in.channels}
	}
	images := n.graph.Data("images", shape...)
	n.images = nn.Floats(images.Value())
	n.room = make([]float32, len(n.images)/d.capacity)
	n.slots = d.spec.slots()
	return n.addAll(d.spec.layers(), images)
}

// parameter makes the node of the next slot.
func (n *network) parameter() *gorgonia.Node {
	t := n.slots[len(n.tensors)]
	p := n.graph.Parameter(t.name, t.shape...)
	n.tensors = append(n.tensors, nn.Floats(p.Value()))
	n.learned = append(n.learned, p)
	return p
}

// load sets the parameters and running statistics.
func (n *network) load(w *weights.Weights) {
	for i, t := range w.Tensors {
		copy(n.tensors[i], t.Data)
	}
}

// store returns a copy of the parameters and running statistics.
func (n *network) store() *weights.Weights {
	w := n.design.spec.empty()
	for i := range w.Tensors {
		copy(w.Tensors[i].Data, n.tensors[i])
	}
	return w
}

// weighClasses sets how much an example of each class counts for: one, or against
// the class's frequency in data.
func (n *network) weighClasses(data dataset.Split, balance bool) {
	if balance {
		copy(n.balance, dataset.ClassWeights(data.Labels, len(n.balance)))
		return
	}
	for class := range n.balance {
		n.balance[class] = 1
	}
}

// feed sets the inputs to the given examples of data, at most the capacity.
func (n *network) feed(data dataset.Split, examples []int) error {
	size := len(n.images) / n.design.capacity
	for i, example := range examples {
		out := n.images[i*size : (i+1)*size]
		room := out
		if n.view != nil {
			room = n.room
		}
		in, err := data.Example(example, room)
		if err != nil {
			return err
		}
		if n.view != nil {
			n.view(out, in, example)
		} else {
			copy(out, in)
		}
		if n.labels != nil {
			n.labels[i] = float32(data.Labels[example])
		}
	}
	return n.graph.SetBatch(len(examples))
}

// run executes the graph on what was fed last.
func (n *network) run() error { return n.machine.RunAll() }

// idle keeps networks that are not in use, so that the next round of the same task builds
// none. The least recently used goes first.
var idle struct {
	sync.Mutex
	networks []*network
	inUse    int // values of the networks in use
	most     int // that were in use at once
}

// Bounds of the memory of idle networks: one for training and one for evaluation of two
// tasks, which with those in use take no more than 256 MiB of values above what has been
// in use at once. So a task that needs much keeps its networks, and a process never grows
// far beyond what its work takes anyway.
const (
	maxIdle       = 4
	maxIdleValues = 64 << 20
)

// acquire returns a network for d, built if no idle one serves. Give it back with
// release.
func acquire(d design) (*network, error) {
	n := takeIdle(d)
	if n == nil {
		var err error
		if n, err = build(d); err != nil {
			return nil, err
		}
	}
	idle.Lock()
	defer idle.Unlock()
	idle.inUse += n.graph.Values()
	idle.most = max(idle.most, idle.inUse)
	trimIdle()
	return n, nil
}

// takeIdle takes the smallest idle network for batches as large as those of d, nil
// where there is none. That it could take larger ones changes neither result nor time.
func takeIdle(d design) *network {
	idle.Lock()
	defer idle.Unlock()
	best := -1
	for i, n := range idle.networks {
		serves := n.design.spec == d.spec && n.design.mode == d.mode && n.design.capacity >= d.capacity
		if serves && (best < 0 || n.design.capacity < idle.networks[best].design.capacity) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	n := idle.networks[best]
	idle.networks = slices.Delete(idle.networks, best, best+1)
	return n
}

// release makes a network of acquire available to the next.
func release(n *network) {
	idle.Lock()
	defer idle.Unlock()
	idle.inUse -= n.graph.Values()
	idle.networks = append(idle.networks, n)
	trimIdle()
}

// trimIdle drops idle networks until the bounds hold.
func trimIdle() {
	values := idle.inUse
	for _, n := range idle.networks {
		values += n.graph.Values()
	}
	for len(idle.networks) > maxIdle || len(idle.networks) > 0 && values > idle.most+maxIdleValues {
		values -= idle.networks[0].graph.Values()
		idle.networks = slices.Delete(idle.networks, 0, 1)
	}
}
