package model

import (
	"runtime"
	"slices"
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
		forgetIdle(t) // a larger one would serve
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

// forgetIdle begins a test without idle networks, and without what was in use before.
func forgetIdle(t testing.TB) {
	t.Helper()
	forget := func() { idle.networks, idle.inUse, idle.most = nil, 0, 0 }
	forget()
	t.Cleanup(forget)
}

// idleValues are those of the networks that are not in use.
func idleValues() int {
	values := 0
	for _, n := range idle.networks {
		values += n.graph.Values()
	}
	return values
}

// Networks that are not in use are few, and together with those in use not much larger
// than what was in use at once.
func TestIdleNetworksAreBounded(t *testing.T) {
	forgetIdle(t)
	for _, inTurn := range []bool{true, false} {
		for size := 60; size < 65; size++ { // each another network
			n, err := acquire(design{Spec{ResNet18, 1, size, 2}, 16, nn.Evaluating})
			if err != nil {
				t.Fatal(err)
			}
			if v := n.graph.Values(); v < maxIdleValues/10 {
				t.Fatalf("a network of %d values does not serve this test", v)
			}
			if inTurn {
				release(n)
			} else {
				defer release(n)
			}
			if len(idle.networks) > maxIdle || idle.inUse+idleValues() > idle.most+maxIdleValues {
				t.Fatalf("%d networks of %d values are idle, %d in use, %d at most", len(idle.networks), idleValues(), idle.inUse, idle.most)
			}
		}
	}
}

// A task whose networks are larger than the bound keeps them from round to round, and
// they take what they are counted as.
func TestALargeTasksNetworksAreKept(t *testing.T) {
	forgetIdle(t)
	spec := Spec{ResNet18, 1, 28, 2}
	data, start := examples(spec, 65), initial(t, spec) // more than half of 128: a network for 128
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	round := func() []*network {
		if _, err := Train(t.Context(), spec, start, data, TrainOptions{Epochs: 1, BatchSize: 128, LearningRate: 0.01}); err != nil {
			t.Fatal(err)
		}
		if _, err := Evaluate(t.Context(), spec, start, data); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(idle.networks)
	}
	first := round()
	if len(first) != 2 || idleValues() < maxIdleValues {
		t.Fatalf("%d networks of %d values are idle after a round", len(first), idleValues())
	}
	if second := round(); !slices.Equal(first, second) {
		t.Errorf("a round builds networks anew: %v idle before, %v after", first, second)
	}
	held := heap() - before
	t.Logf("%d MiB of values are idle, %d MiB of memory held", idleValues()>>18, held>>20)
	if held > 2*4*idleValues() {
		t.Errorf("idle networks of %d values hold %d bytes", idleValues(), held)
	}
}

// The smallest idle network that is large enough is used again.
func TestALargerIdleNetworkServes(t *testing.T) {
	forgetIdle(t)
	made := map[int]*network{}
	for _, capacity := range []int{2, 16, 8} {
		n, err := build(design{small, capacity, nn.Training})
		if err != nil {
			t.Fatal(err)
		}
		made[capacity] = n
		idle.networks = append(idle.networks, n)
	}
	if n := takeIdle(design{small, 4, nn.Evaluating}); n != nil {
		t.Error("a network for training serves for evaluation")
	}
	for _, want := range []int{8, 16, 0} { // 2 is too small
		if n := takeIdle(design{small, 4, nn.Training}); n != made[want] {
			t.Errorf("got %+v, want the network for %d", n, want)
		}
	}
}
