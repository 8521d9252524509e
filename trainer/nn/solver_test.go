package nn

import (
	"math"
	"runtime"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// parameter is a value with a gradient.
type parameter struct{ value, gradient *tensor.Dense }

func newParameter(values []float32) *parameter {
	p := &parameter{dense([]int{len(values)}), dense([]int{len(values)})}
	copy(Floats(p.value), values)
	return p
}

func (p *parameter) Value() gorgonia.Value         { return p.value }
func (p *parameter) Grad() (gorgonia.Value, error) { return p.gradient, nil }

// descent follows a solver for some steps from fixed numbers and with fixed
// gradients, and gives the parameters after each.
func descent(t *testing.T, solver gorgonia.Solver, sizes []int, steps int) (path [][]float32) {
	t.Helper()
	var model []gorgonia.ValueGrad
	for i, size := range sizes {
		model = append(model, newParameter(numbers(uint64(i), size)))
	}
	for step := range steps {
		var all []float32
		for i, p := range model {
			copy(Floats(p.(*parameter).gradient), numbers(uint64(100*step+i), sizes[i]))
		}
		if err := solver.Step(model); err != nil {
			t.Fatal(err)
		}
		for _, p := range model {
			all = append(all, Floats(p.Value())...)
		}
		path = append(path, all)
	}
	return path
}

// Several steps give the bits of Gorgonia's solvers.
func TestSGDGivesTheBitsOfGorgonias(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("elsewhere Gorgonia's solvers may fuse a multiplication with an addition")
	}
	sizes := []int{1, 7, 3*stepChunk/2 + 1}
	for _, momentum := range []float64{0, 0.5, 0.9} {
		var gorgonias gorgonia.Solver = gorgonia.NewVanillaSolver(gorgonia.WithLearnRate(0.05))
		if momentum != 0 {
			gorgonias = gorgonia.NewMomentum(gorgonia.WithLearnRate(0.05), gorgonia.WithMomentum(momentum))
		}
		got, want := descent(t, NewSGD(0.05, momentum), sizes, 6), descent(t, gorgonias, sizes, 6)
		for step := range want {
			if !slices.EqualFunc(got[step], want[step], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
				t.Errorf("momentum %v: the parameters differ after step %d", momentum, step+1)
			}
		}
	}
}

// PyTorch's rule: b = momentum·b + gradient, parameter = parameter - rate·b.
func TestSGDFollowsPyTorchsRule(t *testing.T) {
	const rate, momentum, size, steps = 0.05, 0.9, 50, 6
	path := descent(t, NewSGD(rate, momentum), []int{size}, steps)
	value, buffer := numbers(0, size), make([]float64, size)
	for j, v := range value {
		want := float64(v)
		for step := range steps {
			buffer[j] = momentum*buffer[j] + float64(numbers(uint64(100*step), size)[j])
			want -= rate * buffer[j]
			if got := float64(path[step][j]); math.Abs(got-want) > 1e-6 {
				t.Fatalf("element %d is %v after step %d, want %v", j, got, step+1, want)
			}
		}
	}
}

func TestSGDRefusesOtherParameters(t *testing.T) {
	solver := NewSGD(0.1, 0)
	descent(t, solver, []int{1, 2}, 1)
	if err := solver.Step([]gorgonia.ValueGrad{newParameter([]float32{1})}); err == nil {
		t.Error("one parameter in the place of two is accepted")
	}
	g, err := NewGraph(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewSGD(0.1, 0).Step([]gorgonia.ValueGrad{g.Parameter("p", 1)}); err == nil {
		t.Error("a parameter without a gradient is accepted")
	}
}
