package node

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// features are examples as a backbone gives them: random, with a class that is told by
// a few of their values.
func features(spec model.Spec, n int, seed uint64) dataset.Split {
	random, s := rand.New(rand.NewPCG(seed, 0)), dataset.Split{}
	for i := range n {
		class := i % spec.Classes
		s.Labels = append(s.Labels, class)
		for j := range spec.Inputs() {
			v := float32(random.NormFloat64())
			if j%8 == 0 {
				v += float32(2*class - 1)
			}
			s.Values = append(s.Values, v)
		}
	}
	return s
}

// TestAHeadIsTrainedFederated: a task whose model is a head behind a frozen backbone
// comes to its end with the real trainer, on features in the place of images, and the
// head learns.
func TestAHeadIsTrainedFederated(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) {
		terms.Model, terms.Channels, terms.ImageSize, terms.Rounds = model.VGG16, 3, 224, 2
		terms.Training = fl.Training{Epochs: 3, BatchSize: 8, LearningRate: 20_000, Momentum: 900_000, Seed: 5}
		terms.Threshold = 0
		terms.Backbone = fl.Backbone{Digest: strings.Repeat("ab", 32), Random: true, Seed: 1}
	})
	spec := Spec(w.terms)
	w.configure = func(c *Config) {
		c.Learner, c.Validation = Local{}, dataset.Split{}
		if c.Coordinator {
			c.Test = features(spec, 40, 1)
		} else {
			c.Train = features(spec, 24, uint64(len(c.ID))<<8|uint64(c.ID[8]))
		}
	}
	w.run(w.nodes...)
	if phase := w.task().Task.Phase; phase != fl.TaskCompleted {
		t.Fatalf("the task is %s", phase)
	}
	best := 0.0
	for _, span := range w.spans(w.coordinator()) {
		if span.Kind == SpanEvaluation && span.Metrics != nil {
			best = max(best, span.Metrics.Accuracy)
		}
	}
	if best < 0.9 {
		t.Errorf("the best accuracy of a global head is %v", best)
	}
}
