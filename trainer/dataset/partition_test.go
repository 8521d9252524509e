package dataset

import (
	"crypto/sha256"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawPartition draws labels, a split and its arguments that are valid together.
func drawPartition(t *rapid.T) (Partition, []int, int, int64) {
	labels := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 200).Draw(t, "labels")
	n := rapid.IntRange(1, min(len(labels), 20)).Draw(t, "n")
	p := Partition{Kind: rapid.SampledFrom([]string{IID, Dirichlet}).Draw(t, "kind")}
	if p.Kind == Dirichlet {
		p.Alpha = rapid.SampledFrom([]float64{minAlpha, 0.01, 0.1, 0.5, 1, 10, maxAlpha}).Draw(t, "alpha")
	}
	return p, labels, n, rapid.Int64().Draw(t, "seed")
}

// TestPartitionIsExact: every index is in one shard, no shard is empty, the same
// arguments give the same shards, and the labels are left alone.
func TestPartitionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, labels, n, seed := drawPartition(t)
		before := slices.Clone(labels)
		shards, err := p.Shards(Split{Labels: labels}, n, seed)
		if err != nil {
			t.Fatal(err)
		}
		if len(shards) != n {
			t.Fatalf("%d shards, want %d", len(shards), n)
		}
		seen := make([]int, len(labels))
		for k, shard := range shards {
			if len(shard) == 0 || !slices.IsSorted(shard) {
				t.Fatalf("shard %d is %v", k, shard)
			}
			for _, i := range shard {
				seen[i]++
			}
		}
		for i, times := range seen {
			if times != 1 {
				t.Fatalf("index %d is in %d shards", i, times)
			}
		}
		again, _ := p.Shards(Split{Labels: labels}, n, seed)
		if !reflect.DeepEqual(shards, again) || !slices.Equal(before, labels) {
			t.Fatal("not a function of its arguments")
		}
	})
}

func TestIIDIsEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := make([]int, rapid.IntRange(1, 300).Draw(t, "size"))
		n := rapid.IntRange(1, len(labels)).Draw(t, "n")
		shards, err := Partition{Kind: IID}.Shards(Split{Labels: labels}, n, rapid.Int64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range shards {
			if d := len(shard) - len(labels)/n; d < 0 || d > 1 {
				t.Fatalf("a shard of %d in %d over %d", len(shard), len(labels), n)
			}
		}
	})
}

// labelsOf is 5000 labels of two classes.
func labelsOf() []int {
	labels := make([]int, 5000)
	for i := range labels {
		if i%4 > 0 {
			labels[i] = 1
		}
	}
	return labels
}

// TestGoldenShards: these digests hold on every machine and release.
func TestGoldenShards(t *testing.T) {
	for _, c := range []struct {
		p      Partition
		golden string
	}{
		{Partition{Kind: IID}, "d01b416e2c2fdbdb"},
		{Partition{Kind: Dirichlet, Alpha: 0.5}, "7d783ef00f38d5c5"},
	} {
		shards, err := c.p.Shards(Split{Labels: labelsOf()}, 10, 42)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, shards)))[:16]; got != c.golden {
			t.Errorf("%+v: %s", c.p, got)
		}
	}
}

// TestDirichletMoments holds the urn against the Dirichlet-multinomial law: of M
// examples a shard gets M/n in the mean, with variance
// M (1/n)(1-1/n) (M+n*alpha)/(1+n*alpha).
func TestDirichletMoments(t *testing.T) {
	const M, n, draws = 200, 5, 4000
	labels := make([]int, M)
	for _, alpha := range []float64{0.1, 1, 20} {
		sum, squares := 0.0, 0.0
		for seed := range draws {
			shards := urn(labels, n, uint64(math.Round(alpha*unit)), newRandom(int64(seed), useDirichlet))
			k := float64(len(shards[seed%n]))
			sum += k
			squares += k * k
		}
		mean := sum / draws
		variance := squares/draws - mean*mean
		a := alpha * n
		want := M / float64(n) * (1 - 1.0/n) * (M + a) / (1 + a)
		if math.Abs(mean-M/n) > 5*math.Sqrt(want/draws) {
			t.Errorf("alpha %v: mean %v, want %v", alpha, mean, M/n)
		}
		if math.Abs(variance/want-1) > 0.12 {
			t.Errorf("alpha %v: variance %v, want %v", alpha, variance, want)
		}
	}
}

func TestPartitionRefuses(t *testing.T) {
	labels := []int{0, 1, 0}
	for _, c := range []struct {
		p      Partition
		labels []int
		n      int
	}{
		{Partition{Kind: IID}, labels, 0},
		{Partition{Kind: IID}, labels, -1},
		{Partition{Kind: IID}, labels, 4},
		{Partition{Kind: IID}, nil, 1},
		{Partition{Kind: "shards"}, labels, 2},
		{Partition{}, labels, 2},
		{Partition{Kind: Dirichlet}, labels, 2},
		{Partition{Kind: Dirichlet, Alpha: -1}, labels, 2},
		{Partition{Kind: Dirichlet, Alpha: math.NaN()}, labels, 2},
		{Partition{Kind: Dirichlet, Alpha: math.Inf(1)}, labels, 2},
	} {
		_, err := c.p.Shards(Split{Labels: c.labels}, c.n, 1)
		wantCode(t, err, "MF-DATA-PARTITION")
	}
}

func TestRandomIsUniform(t *testing.T) {
	r := newRandom(7, useIID)
	const n, draws = 7, 70000
	var counts [n]float64
	for range draws {
		counts[r.below(n)]++
	}
	chi := 0.0
	for _, c := range counts {
		chi += (c - draws/n) * (c - draws/n) / (draws / n)
	}
	if chi > 30 { // 6 degrees of freedom: beyond 30 once in 25000
		t.Errorf("chi squared is %v: %v", chi, counts)
	}
	if r.below(1) != 0 || r.between(-3, -3) != -3 {
		t.Error("a single value is not drawn")
	}
}
