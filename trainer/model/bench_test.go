package model

import (
	"context"
	"slices"
	"testing"

	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/nn/kernel"
)

// BenchmarkStep measures training steps (forward, backward and solver) on a batch
// of 128 grey 28×28 images, and the evaluation of as many, for each kernel family.
func BenchmarkStep(b *testing.B) {
	spec := Spec{HMChainCNN, 1, 28, 2}
	data := examples(spec, 128)
	order := make([]int, 128)
	for i := range order {
		order[i] = i
	}
	for _, l := range slices.Backward(kernel.Levels()) {
		restore, err := kernel.Use(l)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("train/"+l.String(), func(b *testing.B) {
			n, err := build(design{spec, 128, nn.Training})
			if err != nil {
				b.Fatal(err)
			}
			n.load(initial(b, spec))
			if err := n.feed(data, order); err != nil {
				b.Fatal(err)
			}
			solver, pull := TrainOptions{LearningRate: 0.01, Momentum: 0.9}.solver(), n.proximal(0)
			if _, err := n.step(solver, pull); err != nil { // makes the buffers
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.step(solver, pull); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("evaluate/"+l.String(), func(b *testing.B) {
			w := initial(b, spec)
			for b.Loop() {
				if _, err := Predict(context.Background(), spec, w, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		restore()
	}
}
