package model

import (
	"math"
	"testing"

	"github.com/medfed/medfed/trainer/weights"
)

// trained is small after a few steps of plain SGD on one batch.
func trained(t *testing.T, epochs int, rate, mu float64) (start, end *weights.Weights) {
	t.Helper()
	start = initial(t, small)
	end, err := Train(t.Context(), small, start, examples(small, 12), TrainOptions{Epochs: epochs, BatchSize: 12, LearningRate: rate, ProximalMu: mu, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return start, end
}

// The first step is free of the proximal term. At the second its gradient is mu
// times the first step, so with plain SGD the two ends differ by rate*mu*first.
func TestProximalTermIsMuTimesTheDistance(t *testing.T) {
	const rate, mu = 0.01, 3
	start, first := trained(t, 1, rate, mu)
	_, plain := trained(t, 1, rate, 0)
	if first.Digest() != plain.Digest() {
		t.Fatal("the proximal term acts where the distance is 0")
	}
	_, without := trained(t, 2, rate, 0)
	_, with := trained(t, 2, rate, mu)
	for i, s := range small.slots() {
		for j := range first.Tensors[i].Data {
			got := float64(without.Tensors[i].Data[j]) - float64(with.Tensors[i].Data[j])
			want := 0.0
			if s.learned() {
				want = rate * mu * (float64(first.Tensors[i].Data[j]) - float64(start.Tensors[i].Data[j]))
			}
			if math.Abs(got-want) > 3e-7 {
				t.Fatalf("%s[%d] is pulled by %g, want %g", s.name, j, got, want)
			}
		}
	}
}

func TestProximalTermKeepsNear(t *testing.T) {
	far := func(mu float64) (sum float64) {
		start, end := trained(t, 8, 0.05, mu)
		for i, s := range small.slots() {
			for j, v := range end.Tensors[i].Data {
				if d := float64(v) - float64(start.Tensors[i].Data[j]); s.learned() {
					sum += d * d
				}
			}
		}
		return sum
	}
	if free, held := far(0), far(5); held >= 0.8*free {
		t.Errorf("with the proximal term the squared distance is %g, without %g", held, free)
	}
}

func TestProximalMuIsChecked(t *testing.T) {
	for _, mu := range []float64{-1, math.NaN(), math.Inf(1)} {
		_, err := Train(t.Context(), small, initial(t, small), examples(small, 3), TrainOptions{Epochs: 1, BatchSize: 3, LearningRate: 0.1, ProximalMu: mu})
		if err == nil || err.Error()[:17] != "MF-MODEL-OPTIONS:" {
			t.Errorf("a proximal mu of %v gives %v", mu, err)
		}
	}
}
