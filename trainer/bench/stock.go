package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/weights"
)

// stock is the six-layer CNN made of Gorgonia's own operations.
type stock struct {
	graph    *gorgonia.ExprGraph
	machine  gorgonia.VM
	solver   gorgonia.Solver
	learned  gorgonia.Nodes
	names    []string // of the learned parameters, as in the weights
	turned   []bool   // those stored as their transpose
	weights  *weights.Weights
	building error
}

// then passes a node on, and keeps the first error.
func (s *stock) then(n *gorgonia.Node, err error) *gorgonia.Node {
	if s.building == nil {
		s.building = err
	}
	return n
}

// parameter makes a learned input with the values of a tensor of the weights.
func (s *stock) parameter(name string, turned bool, shape ...int) *gorgonia.Node {
	t := s.weights.Find(name)
	value := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(turn(t.Data, shape, turned)))
	n := gorgonia.NewTensor(s.graph, tensor.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(value))
	s.learned, s.names, s.turned = append(s.learned, n), append(s.names, name), append(s.turned, turned)
	return n
}

// turn copies values, as the transpose [rows][cols] of a [cols][rows] matrix if
// asked.
func turn(values []float32, shape []int, turned bool) []float32 {
	out := append([]float32(nil), values...)
	if turned {
		rows, cols := shape[0], shape[1]
		for r := range rows {
			for c := range cols {
				out[r*cols+c] = values[c*rows+r]
			}
		}
	}
	return out
}

// newStock builds the network for one batch.
func newStock(w *weights.Weights, data dataset.Split) (*stock, error) {
	s := &stock{graph: gorgonia.NewGraph(), weights: w}
	err := nn.Build(func() error {
		s.build(data)
		return s.building
	})
	return s, err
}

func (s *stock) build(data dataset.Split) {
	n := data.Len()
	x := s.input("images", data.Values, n, cnn.Channels, cnn.Size, cnn.Size) // one channel: NHWC is NCHW
	index := 0
	for i, c := range []struct{ in, filters, padding int }{{1, 16, 0}, {16, 16, 0}, {16, 64, 0}, {64, 64, 0}, {64, 64, 1}} {
		x = s.convolution(x, fmt.Sprintf("features.%d", index), c.in, c.filters, c.padding)
		x = s.normalisation(x, fmt.Sprintf("features.%d", index+1), c.filters)
		x = s.then(gorgonia.Rectify(x))
		index += 3
		if i == 1 || i == 4 {
			x = s.then(gorgonia.MaxPool2D(x, tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
			index++
		}
	}
	x = s.then(gorgonia.Reshape(x, tensor.Shape{n, 1024}))
	for i, inputs := range []int{1024, 128, 128} {
		outputs := []int{128, 128, cnn.Classes}[i]
		name := fmt.Sprintf("classifier.%d", 2*i)
		x = s.then(gorgonia.Mul(x, s.parameter(name+".weight", true, inputs, outputs)))
		x = s.then(gorgonia.BroadcastAdd(x, s.parameter(name+".bias", false, 1, outputs), nil, []byte{0}))
		if i < 2 {
			x = s.then(gorgonia.Rectify(x))
		}
	}
	s.train(x, data)
}

func (s *stock) input(name string, values []float32, shape ...int) *gorgonia.Node {
	value := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float32(nil), values...)))
	return gorgonia.NewTensor(s.graph, tensor.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(value))
}

func (s *stock) convolution(x *gorgonia.Node, name string, in, filters, padding int) *gorgonia.Node {
	weight, bias := s.parameter(name+".weight", false, filters, in, 3, 3), s.parameter(name+".bias", false, 1, filters, 1, 1)
	x = s.then(gorgonia.Conv2d(x, weight, tensor.Shape{3, 3}, []int{padding, padding}, []int{1, 1}, []int{1, 1}))
	return s.then(gorgonia.BroadcastAdd(x, bias, nil, []byte{0, 2, 3}))
}

func (s *stock) normalisation(x *gorgonia.Node, name string, channels int) *gorgonia.Node {
	scale, shift := s.parameter(name+".weight", false, 1, channels, 1, 1), s.parameter(name+".bias", false, 1, channels, 1, 1)
	y, _, _, _, err := gorgonia.BatchNorm(x, scale, shift, 0.1, 1e-5)
	return s.then(y, err)
}

// train adds the loss, the gradients and the solver.
func (s *stock) train(logits *gorgonia.Node, data dataset.Split) {
	if s.building != nil {
		return
	}
	oneHot := make([]float32, data.Len()*cnn.Classes)
	for i, label := range data.Labels {
		oneHot[i*cnn.Classes+label] = 1
	}
	labels := s.input("labels", oneHot, data.Len(), cnn.Classes)
	likelihood := s.then(gorgonia.HadamardProd(s.then(gorgonia.LogSoftMax(logits, 1)), labels))
	if s.building != nil {
		return
	}
	loss := s.then(gorgonia.Neg(s.then(gorgonia.Mean(s.then(gorgonia.Sum(likelihood, 1))))))
	if s.building != nil {
		return
	}
	_, s.building = gorgonia.Grad(loss, s.learned...)
	s.machine = gorgonia.NewTapeMachine(s.graph, gorgonia.BindDualValues(s.learned...))
	s.solver = gorgonia.NewMomentum(gorgonia.WithLearnRate(rate), gorgonia.WithMomentum(momentum))
}

// step takes one step on the batch.
func (s *stock) step() (time.Duration, error) {
	start := time.Now()
	s.machine.Reset()
	if err := s.machine.RunAll(); err != nil {
		return 0, err
	}
	err := s.solver.Step(gorgonia.NodesToValueGrads(s.learned))
	return time.Since(start), err
}

// result is the weights after the steps so far; running statistics are those of the
// start.
func (s *stock) result() *weights.Weights {
	w := s.weights.Clone()
	for i, n := range s.learned {
		shape := n.Shape()
		if s.turned[i] {
			shape = tensor.Shape{shape[1], shape[0]}
		}
		copy(w.Find(s.names[i]).Data, turn(nn.Floats(n.Value()), shape, s.turned[i]))
	}
	return w
}

// againstStock measures training steps against stock Gorgonia's, on all threads
// that are measured.
func (r *result) againstStock(ctx context.Context, turns int) error {
	n := threads()[len(threads())-1]
	return withThreads(n, func() error {
		start, err := model.Initial(cnn, 1)
		if err != nil {
			return err
		}
		data := noise(cnn, batch)
		theirs, err := newStock(start, data)
		if err != nil {
			return fmt.Errorf("stock Gorgonia: %w", err)
		}
		defer theirs.machine.Close()
		if err := compareStock(ctx, theirs, start, data); err != nil {
			return err
		}
		t := startTrainer(ctx, cnn, start, data)
		defer t.stop()
		medians, err := alternate(ctx, turns, t.step, theirs.step)
		if err != nil {
			return err
		}
		speedup := medians[1] / medians[0]
		r.SpeedupVsStock = &speedup
		r.Milliseconds[fmt.Sprintf("step, %d thread(s), stock Gorgonia", n)] = medians[1]
		return nil
	})
}

// compareStock lets both sides take one step and compares what is learned.
func compareStock(ctx context.Context, theirs *stock, start *weights.Weights, data dataset.Split) error {
	ours, err := model.Train(ctx, cnn, start, data, options(1))
	if err != nil {
		return err
	}
	if _, err := theirs.step(); err != nil {
		return fmt.Errorf("stock Gorgonia: %w", err)
	}
	learned := func(w *weights.Weights) *weights.Weights {
		out := &weights.Weights{}
		for _, name := range theirs.names {
			out.Tensors = append(out.Tensors, *w.Find(name))
		}
		return out
	}
	if err := sameStep(learned(start), learned(ours), learned(theirs.result()), tolerance); err != nil {
		return errors.Join(errors.New("stock Gorgonia"), err)
	}
	return nil
}
