package fed

import (
	"math"
	"slices"

	"github.com/medfed/medfed/trainer/weights"
)

// The state of FedAdam: the scalar fedadam.round, the number of steps made, and for
// every trained tensor x of the model fedadam.m/x and fedadam.v/x, the moving means
// of its steps and of their squares, in the model's order.
const (
	stateRound = "fedadam.round"
	stateM     = "fedadam.m/"
	stateV     = "fedadam.v/"
	maxRound   = 1 << 24 // whole numbers a float32 holds
)

// adam is one step's constants. Flower counts rounds from 1 and corrects the
// bias as if one more had passed; so is it here.
type adam struct {
	rate, beta1, beta2, tau float64
}

func (s Strategy) adam(round int) adam {
	beta1, beta2 := s.value("beta_1"), s.value("beta_2")
	rate := s.value("eta") * math.Sqrt(1-power(beta2, round+1)) / (1 - power(beta1, round+1))
	return adam{rate, beta1, beta2, s.value("tau")}
}

// step moves x by the gradient delta and renews its state. Every product is
// rounded before it is added to anything.
func (a adam) step(x, delta, m, v float64) (x2, m2, v2 float32) {
	m2 = float32(float64(a.beta1*m) + float64((1-a.beta1)*delta))
	v2 = float32(float64(a.beta2*v) + float64((1-a.beta2)*float64(delta*delta)))
	x2 = float32(x + float64(float64(a.rate*float64(m2))/(math.Sqrt(float64(v2))+a.tau)))
	return x2, m2, v2
}

// power is base to the n, by squaring: unlike math.Pow the same on every machine.
func power(base float64, n int) float64 {
	result := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = float64(result * base)
		}
		base = float64(base * base)
	}
	return result
}

func fedAdam(s Strategy, previous *weights.Weights, updates []Update) (*weights.Weights, error) {
	round, m, v, err := readState(previous)
	if err != nil {
		return nil, err
	}
	a := s.adam(round + 1)
	next := average(updates)
	for i, t := range Model(previous).Tensors {
		if isStatistic(t.Name) {
			continue
		}
		data, mean, square := next.Tensors[i].Data, m[t.Name].Data, v[t.Name].Data
		for j, x := range t.Data {
			delta := float64(data[j]) - float64(x)
			data[j], mean[j], square[j] = a.step(float64(x), delta, float64(mean[j]), float64(square[j]))
		}
	}
	next.Tensors = append(next.Tensors, weights.Tensor{Name: stateRound, Data: []float32{float32(round + 1)}})
	for _, t := range Model(previous).Tensors {
		if !isStatistic(t.Name) {
			next.Tensors = append(next.Tensors, m[t.Name], v[t.Name])
		}
	}
	return finite(next, "eta")
}

// readState copies the state out of a global model: the number of steps made and
// the moving means by tensor. A model without state is one before the first step.
func readState(global *weights.Weights) (round int, m, v map[string]weights.Tensor, err error) {
	model := Model(global)
	fresh := model == global
	if !fresh {
		if round, err = readRound(global); err != nil {
			return 0, nil, nil, err
		}
	}
	m, v = map[string]weights.Tensor{}, map[string]weights.Tensor{}
	for _, t := range model.Tensors {
		switch {
		case isStatistic(t.Name):
		case fresh:
			m[t.Name], v[t.Name] = zeros(stateM, t), zeros(stateV, t)
		default:
			if m[t.Name], err = readTensor(global, stateM, t); err != nil {
				return 0, nil, nil, err
			}
			if v[t.Name], err = readTensor(global, stateV, t); err != nil {
				return 0, nil, nil, err
			}
			if slices.Min(v[t.Name].Data) < 0 {
				return 0, nil, nil, damaged(stateV + t.Name)
			}
		}
	}
	return round, m, v, nil
}

func readRound(global *weights.Weights) (int, error) {
	if name, ok := global.Finite(); !ok {
		return 0, damaged(name)
	}
	t := global.Find(stateRound)
	if t == nil || len(t.Data) != 1 || !(t.Data[0] >= 1 && t.Data[0] < maxRound) || t.Data[0] != float32(int(t.Data[0])) {
		return 0, damaged(stateRound)
	}
	return int(t.Data[0]), nil
}
