package model

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/weights"
)

var privateSpec = Spec{Name: HMChainCNN, Channels: 1, Size: 16, Classes: 3}

// randomExamples are images of noise with random labels.
func randomExamples(n int, spec Spec, seed uint64) dataset.Split {
	source := rand.New(rand.NewPCG(seed, 1))
	split := dataset.Split{Values: make([]float32, n*spec.Size*spec.Size*spec.Channels), Labels: make([]int, n)}
	for i := range split.Values {
		split.Values[i] = float32(source.NormFloat64())
	}
	for i := range split.Labels {
		split.Labels[i] = source.IntN(spec.Classes)
	}
	return split
}

// settled are the first weights with statistics as training leaves them, so that
// what is frozen matters.
func settled(t testing.TB, spec Spec) *weights.Weights {
	t.Helper()
	w, err := Initial(spec, 5)
	if err != nil {
		t.Fatal(err)
	}
	source := rand.New(rand.NewPCG(8, 8))
	for _, tensor := range w.Tensors {
		for i := range tensor.Data {
			switch {
			case strings.HasSuffix(tensor.Name, "running_mean"):
				tensor.Data[i] = float32(source.NormFloat64()) / 10
			case strings.HasSuffix(tensor.Name, "running_var"):
				tensor.Data[i] = 0.1 + source.Float32()
			}
		}
	}
	return w
}

func secretOf(label string) []byte { return []byte(fmt.Sprintf("%-32s", label)) }

// privateNetwork is a network for one example at a time.
func privateNetwork(t testing.TB, start *weights.Weights) *network {
	t.Helper()
	n, err := acquire(design{privateSpec, 1, nn.Frozen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release(n) })
	n.load(start)
	return n
}

// summed is the sum of the clipped gradients of examples.
func summed(t testing.TB, n *network, data dataset.Split, examples []int, bound float64) gradientSum {
	t.Helper()
	sum := n.newSum()
	for _, example := range examples {
		if err := n.gradientOf(data, example); err != nil {
			t.Fatal(err)
		}
		sum.add(n.gradient, bound)
	}
	return sum
}

func normOf(a, b gradientSum) float64 {
	var square float64
	for i := range a {
		for j := range a[i] {
			d := a[i][j]
			if b != nil {
				d -= b[i][j]
			}
			square += d * d
		}
	}
	return math.Sqrt(square)
}

// TestWithoutNoiseAndClippingItIsPlainDescent compares with a network that takes the
// whole batch at once.
func TestWithoutNoiseAndClippingItIsPlainDescent(t *testing.T) {
	data, start := randomExamples(12, privateSpec, 3), settled(t, privateSpec)
	for _, o := range []TrainOptions{
		{Epochs: 3, BatchSize: 12, LearningRate: 0.05},
		{Epochs: 3, BatchSize: 64, LearningRate: 0.05, Momentum: 0.9, ProximalMu: 0.1},
	} {
		got, err := TrainPrivately(t.Context(), privateSpec, start, data, o, PrivateOptions{ClippingNorm: math.Inf(1), Secret: secretOf("x")})
		if err != nil {
			t.Fatal(err)
		}
		n, err := build(design{privateSpec, 12, nn.Frozen})
		if err != nil {
			t.Fatal(err)
		}
		n.load(start)
		solver, pull := o.solver(), n.proximal(o.ProximalMu)
		for range o.Epochs {
			if err := n.feed(data, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}); err != nil {
				t.Fatal(err)
			}
			if _, err := n.step(solver, pull); err != nil {
				t.Fatal(err)
			}
		}
		want := n.store()
		for i, tensor := range want.Tensors {
			for j, v := range tensor.Data {
				if d := math.Abs(float64(got.Tensors[i].Data[j] - v)); d > 2e-5 {
					t.Fatalf("%+v: %s[%d] is %v, want %v", o, tensor.Name, j, got.Tensors[i].Data[j], v)
				}
			}
		}
		if slices.EqualFunc(start.Tensors, got.Tensors, func(a, b weights.Tensor) bool { return slices.Equal(a.Data, b.Data) }) {
			t.Errorf("%+v: nothing was learned", o)
		}
	}
}

func TestNoExampleCountsForMoreThanTheClippingNorm(t *testing.T) {
	data, start := randomExamples(20, privateSpec, 4), settled(t, privateSpec)
	n := privateNetwork(t, start)
	for i := range 20 {
		whole := normOf(summed(t, n, data, []int{i}, math.Inf(1)), nil)
		for _, bound := range []float64{1e-3, 0.1, 1, whole, 100} {
			clipped := normOf(summed(t, n, data, []int{i}, bound), nil)
			if want := min(whole, bound); math.Abs(clipped-want) > 1e-12*want {
				t.Errorf("example %d of norm %v counts for %v where %v is the bound", i, whole, clipped, bound)
			}
		}
	}
}

// TestAnotherExampleMovesTheSumByTheClippingNorm adds, and replaces, one example.
func TestAnotherExampleMovesTheSumByTheClippingNorm(t *testing.T) {
	data, start := randomExamples(9, privateSpec, 5), settled(t, privateSpec)
	n := privateNetwork(t, start)
	const bound = 0.25
	for i := range 8 {
		without := slices.DeleteFunc([]int{0, 1, 2, 3, 4, 5, 6, 7}, func(j int) bool { return j == i })
		base := summed(t, n, data, without, bound)
		with := summed(t, n, data, append(slices.Clone(without), i), bound)
		replaced := summed(t, n, data, append(slices.Clone(without), 8), bound)
		if d := normOf(with, base); d > bound*(1+1e-9) {
			t.Errorf("example %d moves the sum by %v", i, d)
		}
		if d := normOf(with, replaced); d > 2*bound*(1+1e-9) {
			t.Errorf("replacing example %d moves the sum by %v", i, d)
		}
	}
}

// TestNoExampleHasAPartInAnothersGradient computes a gradient alone and after many
// others.
func TestNoExampleHasAPartInAnothersGradient(t *testing.T) {
	data, start := randomExamples(6, privateSpec, 6), settled(t, privateSpec)
	n := privateNetwork(t, start)
	alone := summed(t, n, data, []int{2}, 1)
	summed(t, n, data, []int{0, 1, 3, 4, 5}, 1)
	if again := summed(t, n, data, []int{2}, 1); normOf(alone, again) != 0 {
		t.Errorf("the gradient changed by %v", normOf(alone, again))
	}
	if got := n.store(); !slices.EqualFunc(start.Tensors, got.Tensors, func(a, b weights.Tensor) bool { return slices.Equal(a.Data, b.Data) }) {
		t.Error("a gradient changed the weights or running statistics")
	}
}

// TestNoiseHasItsDeviation tests the noise's variance, mean and share beyond two
// deviations with a fixed seed, at levels that an honest generator fails once in a
// million seeds.
func TestNoiseHasItsDeviation(t *testing.T) {
	const deviation, count = 3.5, 200_000
	noise := gradientSum{make([]float64, count/2), make([]float64, count/2)}
	noise.addNoise(deviation, generatorsOf(t, PrivateOptions{Secret: secretOf("noise")}, settled(t, privateSpec), dataset.Split{}, TrainOptions{}).noise)
	var sum, square float64
	beyond := 0
	for _, part := range noise {
		for _, v := range part {
			sum += v
			square += v * v
			if math.Abs(v) > 2*deviation {
				beyond++
			}
		}
	}
	chi := distuv.ChiSquared{K: count}
	if low, high := chi.Quantile(5e-7), chi.Quantile(1-5e-7); square/deviation/deviation < low || square/deviation/deviation > high {
		t.Errorf("the variance is %v, want %v", square/count, deviation*deviation)
	}
	if mean := sum / count; math.Abs(mean) > 5*deviation/math.Sqrt(count) {
		t.Errorf("the mean is %v", mean)
	}
	share := 2 * distuv.UnitNormal.Survival(2)
	if off := math.Abs(float64(beyond) - share*count); off > 5*math.Sqrt(share*(1-share)*count) {
		t.Errorf("%d of %d are beyond two deviations, want %.0f", beyond, count, share*count)
	}
}

// TestTheWeightsHaveTheNoise compares one step with noise with the same without: the
// difference is the noise, divided by the batch.
func TestTheWeightsHaveTheNoise(t *testing.T) {
	data, start := randomExamples(4, privateSpec, 3), settled(t, privateSpec)
	o := TrainOptions{Epochs: 1, BatchSize: 4, LearningRate: 1}
	p := PrivateOptions{ClippingNorm: 0.5, Secret: secretOf("weights")}
	without, err := TrainPrivately(t.Context(), privateSpec, start, data, o, p)
	if err != nil {
		t.Fatal(err)
	}
	p.NoiseMultiplier = 3
	with, err := TrainPrivately(t.Context(), privateSpec, start, data, o, p)
	if err != nil {
		t.Fatal(err)
	}
	var square, count float64
	for i, tensor := range with.Tensors {
		if strings.Contains(tensor.Name, "running_") {
			continue
		}
		for j, v := range tensor.Data {
			d := float64(v-without.Tensors[i].Data[j]) / (3 * 0.5 / 4)
			square += d * d
			count++
		}
	}
	chi := distuv.ChiSquared{K: count}
	if square < chi.Quantile(5e-7) || square > chi.Quantile(1-5e-7) {
		t.Errorf("the variance of %v weights' noise is %v of what it must be", count, square/count)
	}
}

// TestSamplingIsPoissons counts, over many steps, how often each example is taken
// and how large the batches are.
func TestSamplingIsPoissons(t *testing.T) {
	const examples, batch, steps = 40, 10, 4000
	source := generatorsOf(t, PrivateOptions{Secret: secretOf("sampling")}, settled(t, privateSpec), dataset.Split{}, TrainOptions{})
	var taken [examples]int
	sizes := map[int]int{}
	for range steps {
		sample := source.sample(nil, examples, batch)
		for _, i := range sample {
			taken[i]++
		}
		sizes[len(sample)]++
	}
	const share = float64(batch) / examples
	for i, n := range taken {
		if off := math.Abs(float64(n) - share*steps); off > 5.5*math.Sqrt(share*(1-share)*steps) {
			t.Errorf("example %d was taken %d times in %d steps", i, n, steps)
		}
	}
	if len(sizes) < 10 {
		t.Errorf("batches have only %d sizes: %v", len(sizes), sizes)
	}
}

func TestPrivateTrainingRepeatsItself(t *testing.T) {
	data, start := randomExamples(15, privateSpec, 7), settled(t, privateSpec)
	o := TrainOptions{Epochs: 2, BatchSize: 4, LearningRate: 0.05, Momentum: 0.5}
	p := PrivateOptions{NoiseMultiplier: 1.1, ClippingNorm: 0.5, Secret: secretOf("mine")}
	train := func(data dataset.Split, o TrainOptions, p PrivateOptions) string {
		t.Helper()
		w, err := TrainPrivately(t.Context(), privateSpec, start, data, o, p)
		if err != nil {
			t.Fatal(err)
		}
		for i, tensor := range w.Tensors {
			if strings.Contains(tensor.Name, "running_") && !slices.Equal(tensor.Data, start.Tensors[i].Data) {
				t.Errorf("%s changed", tensor.Name)
			}
		}
		return w.Digest()
	}
	want := train(data, o, p)
	for _, procs := range []int{1, 4} {
		before := runtime.GOMAXPROCS(procs)
		if got := train(data, o, p); got != want {
			t.Errorf("on %d processors the bytes differ", procs)
		}
		runtime.GOMAXPROCS(before)
	}
	other := p
	other.Secret = secretOf("another's")
	if train(data, o, other) == want {
		t.Error("another's secret gives the same noise")
	}
	seeded := o
	seeded.Seed = 99
	if train(data, seeded, p) != want {
		t.Error("the public seed has a part in it")
	}
	// The noise of another computation is another, however small the change.
	changed := dataset.Split{Values: slices.Clone(data.Values), Labels: data.Labels}
	changed.Values[0] += 1e-6
	slower := o
	slower.LearningRate /= 2
	first := generatorsOf(t, p, start, data, o).noise.Uint64()
	for what, g := range map[string]generators{"data": generatorsOf(t, p, start, changed, o), "options": generatorsOf(t, p, start, data, slower)} {
		if g.noise.Uint64() == first {
			t.Errorf("other %s have the same noise", what)
		}
	}
}

// TestPrivateTrainingTellsNothingByStatistics: whatever the data, those that come out are
// those that went in, so that no noise has to cover them. Without privacy they are the
// data's.
func TestPrivateTrainingTellsNothingByStatistics(t *testing.T) {
	for _, spec := range []Spec{privateSpec, headSpec} {
		data := inputs(spec, 9)
		start := settled(t, spec)
		want := statisticsOf(t, spec, start)
		o := TrainOptions{Epochs: 2, BatchSize: 4, LearningRate: 0.01}
		neighbour := data.Select([]int{0, 1, 2, 3, 4, 5, 6, 7})
		for what, data := range map[string]dataset.Split{"the data": data, "a neighbour": neighbour, "larger data": scaled(data, 1000)} {
			w, err := TrainPrivately(t.Context(), spec, start, data, o, PrivateOptions{NoiseMultiplier: 0.5, ClippingNorm: 1, Secret: secretOf("x")})
			if err != nil {
				t.Fatal(err)
			}
			if w.Digest() == start.Digest() {
				t.Errorf("%s: %s taught nothing", spec.Name, what)
			}
			if !equalStatistics(want, statisticsOf(t, spec, w)) {
				t.Errorf("%s: %s changed the statistics", spec.Name, what)
			}
			if equalStatistics(want, statisticsOf(t, spec, train(t, spec, start, data, o))) {
				t.Errorf("%s: without privacy %s changed nothing, so that this test is of no use", spec.Name, what)
			}
		}
	}
}

// TestGeneratorsAreSeededByAllContent holds the seeds, which must never change, against a
// digest of everything at once, and takes no memory for a copy of the data.
func TestGeneratorsAreSeededByAllContent(t *testing.T) {
	data, start := randomExamples(200, privateSpec, 7), settled(t, privateSpec)
	o := TrainOptions{Epochs: 2, BatchSize: 4, LearningRate: 0.05, Momentum: 0.5, ProximalMu: 0.1}
	p := PrivateOptions{NoiseMultiplier: 1.1, ClippingNorm: 0.5, Secret: secretOf("mine")}
	var content []byte
	for _, text := range []string{start.Digest(), "2 4 0.05 0.5 0.1 1.1 0.5"} {
		content = append(binary.BigEndian.AppendUint64(content, uint64(len(text))), text...)
	}
	for _, v := range data.Values {
		content = binary.BigEndian.AppendUint32(content, math.Float32bits(v))
	}
	for _, label := range data.Labels {
		content = binary.BigEndian.AppendUint64(content, uint64(label))
	}
	digest := sha256.Sum256(content)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := generatorsOf(t, p, start, data, o)
	runtime.ReadMemStats(&after)
	if taken, most := after.TotalAlloc-before.TotalAlloc, uint64(4*len(data.Values)/2)+uint64(start.Size()); taken > most {
		t.Errorf("the seeds of %d values take %d bytes, more than %d", len(data.Values), taken, most)
	}
	for purpose, g := range map[string]*rand.Rand{"sampling": got.sampling, "noise": got.noise, "dropout": got.dropout} {
		mac := hmac.New(sha256.New, p.Secret)
		mac.Write(append(digest[:], purpose...))
		if want := rand.NewChaCha8([32]byte(mac.Sum(nil))).Uint64(); g.Uint64() != want {
			t.Errorf("the numbers for %s are others", purpose)
		}
	}
}

func TestAGradientThatIsNotFiniteCountsForNothing(t *testing.T) {
	data, start := randomExamples(3, privateSpec, 9), settled(t, privateSpec)
	data.Values[0] = float32(math.NaN())
	n := privateNetwork(t, start)
	if got := normOf(summed(t, n, data, []int{0}, 1), nil); got != 0 {
		t.Errorf("it counts for %v", got)
	}
	w, err := TrainPrivately(t.Context(), privateSpec, start, data, TrainOptions{Epochs: 2, BatchSize: 3, LearningRate: 0.1},
		PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: secretOf("x")})
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := w.Finite(); !ok {
		t.Errorf("%s is not finite", name)
	}
}

func TestPrivateTrainingRefusesAndStops(t *testing.T) {
	data, start := randomExamples(3, privateSpec, 9), settled(t, privateSpec)
	o := TrainOptions{Epochs: 1, BatchSize: 3, LearningRate: 0.1}
	good := PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: secretOf("x")}
	for what, spoil := range map[string]func(*PrivateOptions){
		"noise below":        func(p *PrivateOptions) { p.NoiseMultiplier = -1 },
		"noise NaN":          func(p *PrivateOptions) { p.NoiseMultiplier = math.NaN() },
		"no clipping":        func(p *PrivateOptions) { p.ClippingNorm = 0 },
		"noise, no clipping": func(p *PrivateOptions) { p.ClippingNorm = math.Inf(1) },
		"short secret":       func(p *PrivateOptions) { p.Secret = p.Secret[:31] },
	} {
		p := good
		spoil(&p)
		if _, err := TrainPrivately(t.Context(), privateSpec, start, data, o, p); err == nil || !strings.HasPrefix(err.Error(), "MF-MODEL-OPTIONS: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := TrainPrivately(ctx, privateSpec, start, data, o, good); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// BenchmarkPrivateEpoch is one pass over 500 examples of 28×28 in batches of 128.
func BenchmarkPrivateEpoch(b *testing.B) {
	spec := Spec{Name: HMChainCNN, Channels: 1, Size: 28, Classes: 2}
	data, start := randomExamples(500, spec, 1), settled(b, spec)
	for b.Loop() {
		if _, err := TrainPrivately(b.Context(), spec, start, data, TrainOptions{Epochs: 1, BatchSize: 128, LearningRate: 0.1},
			PrivateOptions{NoiseMultiplier: 1.1, ClippingNorm: 1, Secret: secretOf("bench")}); err != nil {
			b.Fatal(err)
		}
	}
}

// generatorsOf is the function of that name for data in memory.
func generatorsOf(t *testing.T, p PrivateOptions, start *weights.Weights, data dataset.Split, o TrainOptions) generators {
	t.Helper()
	g, err := p.generators(start, data, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
