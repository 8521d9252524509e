package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// SGD is stochastic gradient descent with momentum as a [gorgonia.Solver]. A step
// gives the bits of Gorgonia's solvers (VanillaSolver without momentum, else
// Momentum) on amd64, in one pass over the parameters and without allocation, which
// those make for every parameter; unlike those it leaves the gradients as they are.
//
//	v = momentum·v - rate·gradient
//	parameter = parameter + v
//
// While the rate is constant this is PyTorch's SGD (whose v is -v/rate here).
type SGD struct {
	rate, momentum float32
	tensors        []moving
	chunks         []piece
	move           func(i int)
}

// moving is a parameter with its gradient and velocity.
type moving struct{ value, gradient, velocity []float32 }

// piece is a part of a parameter that is moved at once.
type piece struct{ tensor, first, last int }

// stepChunk is the number of values that are moved at once.
const stepChunk = 1 << 14

// NewSGD makes a solver with a learning rate above 0 and a momentum of 0 to below 1.
func NewSGD(rate, momentum float64) *SGD {
	s := &SGD{rate: float32(rate), momentum: float32(momentum)}
	s.move = s.movePiece
	return s
}

// Step moves the parameters. The first step says which they are and where their
// values and gradients lie; the later ones must have the same.
func (s *SGD) Step(model []gorgonia.ValueGrad) error {
	if s.tensors == nil {
		if err := s.adopt(model); err != nil {
			return err
		}
	}
	if len(model) != len(s.tensors) {
		return fmt.Errorf("solver for %d parameters is given %d", len(s.tensors), len(model))
	}
	kernel.Parallel(len(s.chunks), s.move)
	return nil
}

// adopt sets the parameters.
func (s *SGD) adopt(model []gorgonia.ValueGrad) error {
	for i, p := range model {
		gradient, err := p.Grad()
		if err != nil {
			return fmt.Errorf("parameter %d: %w", i, err)
		}
		t := moving{value: Floats(p.Value()), gradient: Floats(gradient)}
		if s.momentum != 0 {
			t.velocity = make([]float32, len(t.value))
		}
		s.tensors = append(s.tensors, t)
		for first := 0; first < len(t.value); first += stepChunk {
			s.chunks = append(s.chunks, piece{i, first, min(first+stepChunk, len(t.value))})
		}
	}
	return nil
}

// movePiece moves one piece. The conversions forbid fused multiply-adds, which would
// differ between machines.
func (s *SGD) movePiece(i int) {
	p := s.chunks[i]
	t := s.tensors[p.tensor]
	value, gradient := t.value[p.first:p.last], t.gradient[p.first:p.last]
	gradient = gradient[:len(value)]
	if s.momentum == 0 {
		for j, g := range gradient {
			value[j] += float32(-s.rate * g)
		}
		return
	}
	velocity := t.velocity[p.first:p.last][:len(value)]
	for j, g := range gradient {
		v := float32(s.momentum*velocity[j]) + float32(-s.rate*g)
		velocity[j] = v
		value[j] += v
	}
}
