package model

import (
	"testing"

	"github.com/medfed/medfed/trainer/nn"
)

func TestCapacityIsTheNextPowerOfTwoOrTheBatch(t *testing.T) {
	for _, c := range []struct{ examples, batch, want int }{
		{1, 128, 1}, {2, 128, 2}, {3, 128, 4}, {47, 128, 64}, {48, 128, 64}, {64, 128, 64}, {65, 128, 128},
		{127, 128, 128}, {128, 128, 128}, {4000, 128, 128}, {47, 50, 50}, {33, 50, 50}, {10, 10, 10}, {1, 1, 1},
	} {
		if got := (TrainOptions{BatchSize: c.batch}).capacity(c.examples); got != c.want {
			t.Errorf("%d examples in batches of %d: capacity %d, want %d", c.examples, c.batch, got, c.want)
		}
	}
}

// Eleven examples train to the same bytes in a network built for 11 and for 16.
func TestCapacityDoesNotChangeTheResult(t *testing.T) {
	start, data := initial(t, small), examples(small, 11)
	var digests []string
	for _, batch := range []int{11, 16, 128} {
		idle.networks = nil // a larger one would serve
		w, err := Train(t.Context(), small, start, data, TrainOptions{Epochs: 3, BatchSize: batch, LearningRate: 0.05, Momentum: 0.5, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, w.Digest())
	}
	if digests[0] != digests[1] || digests[1] != digests[2] {
		t.Errorf("the capacity changes the weights: %v", digests)
	}
}

// Networks that are not in use are few, and small together.
func TestIdleNetworksAreBounded(t *testing.T) {
	large, err := build(design{Spec{ResNet18, 1, 64, 2}, 16, nn.Evaluating})
	if err != nil {
		t.Fatal(err)
	}
	if v := large.graph.Values(); v < maxIdleValues/10 {
		t.Fatalf("a network of %d values does not serve this test", v)
	}
	for range 10 {
		release(large)
		values := 0
		for _, n := range idle.networks {
			values += n.graph.Values()
		}
		if len(idle.networks) > maxIdle || values > maxIdleValues {
			t.Fatalf("%d networks of %d values are idle", len(idle.networks), values)
		}
	}
	idle.networks = nil
}

// The smallest idle network that is large enough is used again.
func TestALargerIdleNetworkServes(t *testing.T) {
	made := map[int]*network{}
	for _, capacity := range []int{2, 16, 8} {
		n, err := build(design{small, capacity, nn.Training})
		if err != nil {
			t.Fatal(err)
		}
		made[capacity] = n
		release(n)
	}
	defer func() { idle.networks = nil }()
	if n := takeIdle(design{small, 4, nn.Evaluating}); n != nil {
		t.Error("a network for training serves for evaluation")
	}
	for _, want := range []int{8, 16, 0} { // 2 is too small
		if n := takeIdle(design{small, 4, nn.Training}); n != made[want] {
			t.Errorf("got %+v, want the network for %d", n, want)
		}
	}
}
