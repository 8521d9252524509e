package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// pooledResults runs a pooled batch normalisation in both modes, with gradients.
func pooledResults(t testing.TB, s PoolShape, n int, relu bool, x, gamma, beta, dy []float32) [][]float32 {
	p, err := NewPooledBatchNorm(s.Batch, s.Height, s.Width, s.Channels, relu)
	if err != nil {
		t.Fatal(err)
	}
	mean, variance := slices.Repeat([]float32{0.5}, s.Channels), slices.Repeat([]float32{2}, s.Channels)
	var results [][]float32
	for _, run := range []func(out, in, gamma, beta, mean, variance []float32){byTenth(p.Train), p.Apply} {
		y, dx := make([]float32, len(dy)), make([]float32, len(x))
		dg, db := make([]float32, s.Channels), make([]float32, s.Channels)
		run(y, x, gamma, beta, mean, variance)
		p.Gradient(dx, dg, db, dy, x, gamma)
		results = append(results, y, dx, dg, db)
	}
	return append(results, mean, variance)
}

// byTenth is train with PyTorch's momentum.
func byTenth(train func(out, in, gamma, beta, mean, variance []float32, momentum float64)) func(out, in, gamma, beta, mean, variance []float32) {
	return func(out, in, gamma, beta, mean, variance []float32) {
		train(out, in, gamma, beta, mean, variance, 0.1)
	}
}

// inTwo is pooledResults by a batch normalisation and a max-pooling.
func inTwo(t testing.TB, s PoolShape, relu bool, x, gamma, beta, dy []float32) [][]float32 {
	b, err := NewBatchNorm(s.Batch*s.Height*s.Width, s.Channels, relu)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := NewMaxPool(s)
	if err != nil {
		t.Fatal(err)
	}
	mean, variance := slices.Repeat([]float32{0.5}, s.Channels), slices.Repeat([]float32{2}, s.Channels)
	var results [][]float32
	n := len(x) / (s.Height * s.Width * s.Channels)
	for _, run := range []func(out, in, gamma, beta, mean, variance []float32){byTenth(b.Train), b.Apply} {
		between, dBetween := make([]float32, len(x)), make([]float32, len(x))
		y, dx := make([]float32, len(dy)), make([]float32, len(x))
		dg, db := make([]float32, s.Channels), make([]float32, s.Channels)
		run(between, x, gamma, beta, mean, variance)
		pool.Forward(n, y, between)
		pool.Gradient(n, dBetween, dy, y, between)
		b.Gradient(dx, dg, db, dBetween, x, gamma)
		results = append(results, y, dx, dg, db)
	}
	return append(results, mean, variance)
}

// TestPooledBatchNorm compares with the two operations that it is in one, whose own
// tests know the definition: the same bits forward, and gradients up to the order of
// the sums. The families agree bit for bit.
func TestPooledBatchNorm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		even := func(name string, most int) int { return 2 * rapid.IntRange(1, most).Draw(rt, name) }
		s := PoolShape{
			Batch: rapid.IntRange(1, 9).Draw(rt, "images"), Height: even("half height", 8), Width: even("half width", 14),
			Channels: rapid.IntRange(1, 50).Draw(rt, "channels"), Window: 2, Stride: 2,
		}
		n := rapid.IntRange(1, s.Batch).Draw(rt, "images in use")
		relu := rapid.Bool().Draw(rt, "relu")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 6))
		x, dy := normal(r, n*s.Height*s.Width*s.Channels), normal(r, n*s.Height*s.Width/4*s.Channels)
		gamma, beta := normal(r, s.Channels), normal(r, s.Channels)
		if rapid.Bool().Draw(rt, "few values") { // so that windows have equal ones
			for i, v := range x {
				x[i] = float32(math.Round(float64(v)))
			}
		}
		want := inTwo(t, s, relu, x, gamma, beta, dy)
		var first [][]float32
		for _, l := range Levels() {
			restore, err := Use(l)
			if err != nil {
				rt.Fatal(err)
			}
			got := pooledResults(t, s, n, relu, x, gamma, beta, dy)
			restore()
			if first == nil {
				first = got
			}
			for i, w := range want {
				if !sameBits(got[i], first[i]) {
					rt.Fatalf("%v: result %d of %+v differs from plain Go", l, i, s)
				}
				if exact := i%4 == 0 || i > 7; exact && !sameBits(got[i], w) {
					rt.Fatalf("%v: result %d of %+v is not that of two operations", l, i, s)
				}
				if d := distance(got[i], doubles(w)); !(d < 2e-5) {
					rt.Fatalf("%v: result %d of %+v is off by %g", l, i, s, d)
				}
			}
		}
	})
}

func doubles(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, f := range v {
		out[i] = float64(f)
	}
	return out
}

// TestPooledNotANumber: a NaN wins its window, and reaches the gradients.
func TestPooledNotANumber(t *testing.T) {
	nan := float32(math.NaN())
	levels(t, func(t *testing.T, _ Level) {
		const channels = 24
		for at := range 4 {
			x := slices.Repeat([]float32{1, 2, 3}, 4*channels/3)
			x[at*channels+5] = nan
			ones := slices.Repeat([]float32{1}, channels)
			p, err := NewPooledBatchNorm(1, 2, 2, channels, true)
			if err != nil {
				t.Fatal(err)
			}
			y, dx, dg, db := make([]float32, channels), make([]float32, len(x)), make([]float32, channels), make([]float32, channels)
			p.Apply(y, x, ones, ones, ones, ones)
			p.Gradient(dx, dg, db, ones, x, ones)
			for c := range channels {
				if (y[c] != y[c]) != (c == 5) || (dg[c] != dg[c]) != (c == 5) {
					t.Errorf("a NaN as input %d of channel 5: channel %d has the output %v, gamma the gradient %v", at, c, y[c], dg[c])
				}
			}
		}
	})
}

// TestPooledShapes: odd sizes are refused.
func TestPooledShapes(t *testing.T) {
	for _, size := range [][2]int{{3, 2}, {2, 5}, {0, 2}} {
		if _, err := NewPooledBatchNorm(1, size[0], size[1], 1, true); err == nil {
			t.Errorf("%d×%d: accepted", size[0], size[1])
		}
	}
}
