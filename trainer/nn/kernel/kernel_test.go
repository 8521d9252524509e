package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// normal fills a new slice with normally distributed numbers.
func normal(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// distance is the largest difference of got and want, relative to want's largest
// element where that is above 1.
func distance(got []float32, want []float64) float64 {
	worst, scale := 0.0, 1.0
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i])-w))
		scale = max(scale, math.Abs(w))
	}
	return worst / scale
}

// levels calls f with each kernel family of this machine in use.
func levels(t *testing.T, f func(t *testing.T, l Level)) {
	for _, l := range Levels() {
		t.Run(l.String(), func(t *testing.T) {
			restore, err := Use(l)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t, l)
		})
	}
}

// TestFusedMultiplyAdd compares fma32 with exact arithmetic, on numbers that make
// double rounding likely.
func TestFusedMultiplyAdd(t *testing.T) {
	exact := func(a, b, c float32) float32 {
		x := new(big.Float).SetPrec(700).SetFloat64(float64(a))
		x.Mul(x, new(big.Float).SetPrec(700).SetFloat64(float64(b)))
		x.Add(x, new(big.Float).SetPrec(700).SetFloat64(float64(c)))
		f, _ := x.Float32()
		return f
	}
	check := func(a, b, c float32) {
		t.Helper()
		if got, want := fma32(a, b, c), exact(a, b, c); got != want {
			t.Fatalf("fma32(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
	// 1 + 2^-24 is halfway; the product's last bit decides, and a float64 loses it.
	check(1+0x1p-23, 0x1p-24, 1)
	check(0x1p-12+0x1p-35, 0x1p-12, 1)
	check(1-0x1p-24, 0x1p-24, 1)
	check(-0x1p-12-0x1p-35, 0x1p-12, -1)
	check(1+0x1p-23, (1+0x1p-23)*0x1p-120, 0x1p-149)
	check((1+0x1p-20)*0x1p-75, (1-0x1p-21)*0x1p-75, 0x1.fffffcp-127)
	r := rand.New(rand.NewPCG(1, 1))
	for range 300000 {
		// Few significant bits and close exponents: ties are frequent.
		few := func(exponent int) float32 {
			v := float32(math.Ldexp(float64(int32(r.Uint32()))*float64(r.IntN(3)), exponent-r.IntN(40)-31))
			return math.Float32frombits(math.Float32bits(v) &^ (1<<r.IntN(24) - 1))
		}
		check(few(0), few(0), few(0))
		check(few(-70), few(-70), few(-130))
	}
	nan := float32(math.NaN())
	inf := float32(math.Inf(1))
	if v := fma32(nan, 1, 1); v == v {
		t.Error("NaN times one is a number")
	}
	if v := fma32(inf, 1, -inf); v == v {
		t.Error("infinity less infinity is a number")
	}
	if v := fma32(3e38, 3e38, 0); v != inf {
		t.Errorf("overflow gives %v", v)
	}
}

// naiveConv is a convolution and its gradients by definition, in float64.
func naiveConv(s ConvShape, x, w, b, dy []float32) (y, dx, dw, db []float64) {
	height, width := s.Output()
	y, dx = make([]float64, len(dy)), make([]float64, len(x))
	dw, db = make([]float64, len(w)), make([]float64, len(b))
	for n := range s.Batch {
		for oh := range height {
			for ow := range width {
				for o := range s.Filters {
					yi := ((n*height+oh)*width+ow)*s.Filters + o
					g := float64(dy[yi])
					y[yi] = float64(b[o])
					db[o] += g
					for kh := range s.KernelHeight {
						for kw := range s.KernelWidth {
							ih, iw := oh*s.Stride+kh-s.Padding, ow*s.Stride+kw-s.Padding
							if ih < 0 || ih >= s.Height || iw < 0 || iw >= s.Width {
								continue
							}
							for c := range s.Channels {
								xi := ((n*s.Height+ih)*s.Width+iw)*s.Channels + c
								wi := ((o*s.Channels+c)*s.KernelHeight+kh)*s.KernelWidth + kw
								y[yi] += float64(x[xi]) * float64(w[wi])
								dx[xi] += g * float64(w[wi])
								dw[wi] += g * float64(x[xi])
							}
						}
					}
				}
			}
		}
	}
	return y, dx, dw, db
}

// drawConv draws a shape that has an output.
func drawConv(t *rapid.T) ConvShape {
	s := ConvShape{
		Batch: rapid.IntRange(1, 10).Draw(t, "batch"), Channels: rapid.IntRange(1, 20).Draw(t, "channels"),
		Filters: rapid.SampledFrom([]int{1, 2, 15, 16, 17, 32, 40, 48}).Draw(t, "filters"), Stride: rapid.IntRange(1, 3).Draw(t, "stride"),
		KernelHeight: rapid.IntRange(1, 4).Draw(t, "kernel height"), KernelWidth: rapid.IntRange(1, 4).Draw(t, "kernel width"),
	}
	s.Padding = rapid.IntRange(0, min(s.KernelHeight, s.KernelWidth)-1).Draw(t, "padding")
	s.Height = rapid.IntRange(max(1, s.KernelHeight-2*s.Padding), 9).Draw(t, "height")
	s.Width = rapid.IntRange(max(1, s.KernelWidth-2*s.Padding), 30).Draw(t, "width")
	return s
}

// convResults runs a convolution and its gradients with n images in use; dirt
// fills the outputs before.
func convResults(t testing.TB, s ConvShape, n int, x, w, b, dy []float32) (y, dx, dw, db []float32) {
	c, err := NewConv(s)
	if err != nil {
		t.Fatal(err)
	}
	height, width := s.Output()
	const dirt = 1e30
	y, dx = slices.Repeat([]float32{dirt}, s.Batch*height*width*s.Filters), slices.Repeat([]float32{dirt}, len(x))
	dw, db = slices.Repeat([]float32{dirt}, len(w)), slices.Repeat([]float32{dirt}, len(b))
	for range 2 { // the second time on used buffers
		c.Forward(n, y, x, w, b)
		c.WeightGradient(n, dw, db, dy, x)
		c.InputGradient(n, dx, dy, w)
	}
	return y, dx, dw, db
}

func randomConv(s ConvShape, seed uint64) (x, w, b, dy []float32) {
	r := rand.New(rand.NewPCG(seed, 2))
	height, width := s.Output()
	return normal(r, s.Batch*s.Height*s.Width*s.Channels), normal(r, s.Filters*s.Channels*s.KernelHeight*s.KernelWidth),
		normal(r, s.Filters), normal(r, s.Batch*height*width*s.Filters)
}

// TestConvIsTheDefinition compares every family with the definition.
func TestConvIsTheDefinition(t *testing.T) {
	levels(t, func(t *testing.T, _ Level) {
		rapid.Check(t, func(rt *rapid.T) {
			s := drawConv(rt)
			x, w, b, dy := randomConv(s, rapid.Uint64().Draw(rt, "seed"))
			y, dx, dw, db := convResults(t, s, s.Batch, x, w, b, dy)
			wy, wdx, wdw, wdb := naiveConv(s, x, w, b, dy)
			for i, d := range []float64{distance(y, wy), distance(dx, wdx), distance(dw, wdw), distance(db, wdb)} {
				if !(d < 2e-5) {
					rt.Fatalf("%s of %+v is off by %g", []string{"output", "input gradient", "weight gradient", "bias gradient"}[i], s, d)
				}
			}
		})
	})
}

// TestConvFamiliesAgree compares the families bit for bit, and a shorter batch in
// use with a convolution made for it.
func TestConvFamiliesAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawConv(rt)
		x, w, b, dy := randomConv(s, rapid.Uint64().Draw(rt, "seed"))
		n := rapid.IntRange(1, s.Batch).Draw(rt, "images in use")
		small := s
		small.Batch = n
		height, width := s.Output()
		var want [][]float32
		for _, l := range Levels() {
			restore, err := Use(l)
			if err != nil {
				rt.Fatal(err)
			}
			y, dx, dw, db := convResults(t, s, n, x, w, b, dy)
			y, dx = y[:n*height*width*s.Filters], dx[:n*s.Height*s.Width*s.Channels]
			if l == Plain {
				sy, sdx, sdw, sdb := convResults(t, small, n, x[:len(dx)], w, b, dy[:len(y)])
				want = [][]float32{sy, sdx, sdw, sdb}
			}
			restore()
			for i, got := range [][]float32{y, dx, dw, db} {
				if !sameBits(got, want[i]) {
					rt.Fatalf("%v: result %d of %+v, %d images in use, differs", l, i, s, n)
				}
			}
		}
	})
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// TestImpossibleShapes: a shape without an output is refused.
func TestImpossibleShapes(t *testing.T) {
	ok := ConvShape{Batch: 1, Height: 4, Width: 4, Channels: 1, Filters: 1, KernelHeight: 3, KernelWidth: 3, Stride: 1}
	for name, change := range map[string]func(s *ConvShape){
		"no images":      func(s *ConvShape) { s.Batch = 0 },
		"no stride":      func(s *ConvShape) { s.Stride = 0 },
		"kernel too big": func(s *ConvShape) { s.KernelHeight = 5 },
		"much padding":   func(s *ConvShape) { s.Padding = 3 },
		"less padding":   func(s *ConvShape) { s.Padding = -1 },
	} {
		s := ok
		change(&s)
		if _, err := NewConv(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, s := range []PoolShape{{1, 1, 4, 1, 2, 2, 0}, {1, 4, 4, 1, 2, 2, 2}, {1, 4, 4, 1, 2, 0, 0}} {
		if _, err := NewMaxPool(s); err == nil {
			t.Errorf("pooling %+v: accepted", s)
		}
	}
	if _, err := NewLinear(1, 0, 1); err == nil {
		t.Error("linear layer without inputs: accepted")
	}
	if _, err := NewBatchNorm(0, 1, false); err == nil {
		t.Error("batch normalisation without rows: accepted")
	}
	if _, err := Use(AVX512 + 1); err == nil {
		t.Error("unknown family: accepted")
	}
}

// TestLinear compares with the definition, and the families bit for bit.
func TestLinear(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		batch, in, out := rapid.IntRange(1, 30).Draw(rt, "batch"), rapid.IntRange(1, 70).Draw(rt, "inputs"), rapid.IntRange(1, 70).Draw(rt, "outputs")
		n := rapid.IntRange(1, batch).Draw(rt, "rows in use")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 3))
		x, w, b, dy := normal(r, batch*in), normal(r, out*in), normal(r, out), normal(r, batch*out)
		wy, wdx, wdw, wdb := make([]float64, n*out), make([]float64, n*in), make([]float64, out*in), make([]float64, out)
		for i := range n {
			for o := range out {
				wy[i*out+o] = float64(b[o])
				wdb[o] += float64(dy[i*out+o])
				for k := range in {
					wy[i*out+o] += float64(x[i*in+k]) * float64(w[o*in+k])
					wdx[i*in+k] += float64(dy[i*out+o]) * float64(w[o*in+k])
					wdw[o*in+k] += float64(dy[i*out+o]) * float64(x[i*in+k])
				}
			}
		}
		var first [][]float32
		for _, l := range Levels() {
			restore, err := Use(l)
			if err != nil {
				rt.Fatal(err)
			}
			linear, err := NewLinear(batch, in, out)
			if err != nil {
				rt.Fatal(err)
			}
			got := [][]float32{make([]float32, n*out), make([]float32, n*in), make([]float32, out*in), make([]float32, out)}
			linear.Forward(n, got[0], x, w, b)
			linear.InputGradient(n, got[1], dy, w)
			linear.WeightGradient(n, got[2], got[3], dy, x)
			restore()
			if l == Plain {
				first = got
			}
			for i, want := range [][]float64{wy, wdx, wdw, wdb} {
				if d := distance(got[i], want); !(d < 1e-5) {
					rt.Fatalf("%v: result %d is off by %g", l, i, d)
				}
				if !sameBits(got[i], first[i]) {
					rt.Fatalf("%v: result %d differs from plain Go", l, i)
				}
			}
		}
	})
}

// normResults runs a batch normalisation in both modes, with gradients.
func normResults(t testing.TB, rows, channels int, relu bool, x, gamma, beta, dy []float32) [][]float32 {
	b, err := NewBatchNorm(rows, channels, relu)
	if err != nil {
		t.Fatal(err)
	}
	y, dx := make([]float32, len(x)), make([]float32, len(x))
	dg, db := make([]float32, channels), make([]float32, channels)
	mean, variance := slices.Repeat([]float32{0.5}, channels), slices.Repeat([]float32{2}, channels)
	b.Train(y, x, gamma, beta, mean, variance, 0.1)
	b.Gradient(dx, dg, db, dy, x, gamma)
	ey, edx := make([]float32, len(x)), make([]float32, len(x))
	edg, edb := make([]float32, channels), make([]float32, channels)
	b.Apply(ey, x, gamma, beta, mean, variance)
	b.Gradient(edx, edg, edb, dy, x, gamma)
	return [][]float32{y, dx, dg, db, mean, variance, ey, edx, edg, edb}
}

// naiveNorm is normResults by definition, in float64. What a ReLU lets through is
// taken from the results got: an output within rounding of zero may fall to either
// side.
func naiveNorm(rows, channels int, relu bool, x, gamma, beta, dy []float32, got [][]float32) [][]float64 {
	out := make([][]float64, 10)
	for i := range out {
		out[i] = make([]float64, rows*channels)
		if i%6 >= 2 {
			out[i] = out[i][:channels]
		}
	}
	for c := range channels {
		n := float64(rows)
		var mean, variance float64
		for r := range rows {
			mean += float64(x[r*channels+c]) / n
		}
		for r := range rows {
			variance += (float64(x[r*channels+c]) - mean) * (float64(x[r*channels+c]) - mean) / n
		}
		out[4][c] = 0.9*0.5 + 0.1*mean
		out[5][c] = 2
		if rows > 1 {
			out[5][c] = 0.9*2 + 0.1*variance*n/(n-1)
		}
		closed := func(y []float32) func(i int) bool { return func(i int) bool { return relu && y[i] == 0 } }
		naiveNormChannel(rows, channels, c, true, closed(got[0]), mean, variance, x, gamma, beta, dy, out[0], out[1], out[2], out[3])
		naiveNormChannel(rows, channels, c, false, closed(got[6]), out[4][c], out[5][c], x, gamma, beta, dy, out[6], out[7], out[8], out[9])
	}
	return out
}

func naiveNormChannel(rows, channels, c int, batch bool, closed func(i int) bool, mean, variance float64, x, gamma, beta, dy []float32, y, dx, dg, db []float64) {
	inv := 1 / math.Sqrt(variance+1e-5)
	d := make([]float64, rows)
	for r := range rows {
		i := r*channels + c
		hat := (float64(x[i]) - mean) * inv
		y[i] = hat*float64(gamma[c]) + float64(beta[c])
		d[r] = float64(dy[i])
		if closed(i) {
			if y[i] > 1e-4 {
				y[i] = math.NaN() // closed where it must not be
			}
			y[i], d[r] = 0*y[i], 0
		}
		dg[c] += d[r] * hat
		db[c] += d[r]
	}
	for r := range rows {
		i := r*channels + c
		dx[i] = d[r]
		if batch {
			dx[i] -= (db[c] + (float64(x[i])-mean)*inv*dg[c]) / float64(rows)
		}
		dx[i] *= float64(gamma[c]) * inv
	}
}

// TestBatchNorm compares with the definition, and the families bit for bit.
func TestBatchNorm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows, channels := rapid.SampledFrom([]int{2, 3, 100, 512, 513, 1500}).Draw(rt, "rows"), rapid.IntRange(1, 50).Draw(rt, "channels")
		relu := rapid.Bool().Draw(rt, "relu")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 4))
		x, gamma, beta, dy := normal(r, rows*channels), normal(r, channels), normal(r, channels), normal(r, rows*channels)
		offset := rapid.SampledFrom([]float32{0, 3, -20}).Draw(rt, "mean")
		for i := range x {
			x[i] += offset
		}
		var want [][]float64
		var first [][]float32
		for _, l := range Levels() {
			restore, err := Use(l)
			if err != nil {
				rt.Fatal(err)
			}
			got := normResults(t, rows, channels, relu, x, gamma, beta, dy)
			restore()
			if l == Plain {
				first, want = got, naiveNorm(rows, channels, relu, x, gamma, beta, dy, got)
			}
			for i := range want {
				if !sameBits(got[i], first[i]) {
					rt.Fatalf("%v: result %d differs from plain Go", l, i)
				}
				// With two or three rows a variance may be next to nothing, and rounding
				// of the input everything.
				if d := distance(got[i], want[i]); rows > 3 && !(d < 1e-4) {
					rt.Fatalf("%v: result %d is off by %g", l, i, d)
				}
			}
		}
	})
}

// TestBatchNormOfConstants: a channel without variance gives its shift, no NaN.
func TestBatchNormOfConstants(t *testing.T) {
	x := slices.Repeat([]float32{1e6}, 700)
	got := normResults(t, 700, 1, false, x, []float32{2}, []float32{3}, x)
	for _, y := range got[0] {
		if y != 3 {
			t.Fatalf("a constant is normalised to %v, want the shift 3", y)
		}
	}
}

// naivePool is max-pooling by definition.
func naivePool(s PoolShape, x, dy []float32) (y []float32, dx []float32) {
	height, width := s.Output()
	y, dx = make([]float32, len(dy)), make([]float32, len(x))
	for n := range s.Batch {
		for oh := range height {
			for ow := range width {
				for c := range s.Channels {
					best := -1
					for h := max(0, oh*s.Stride-s.Padding); h < min(s.Height, oh*s.Stride-s.Padding+s.Window); h++ {
						for w := max(0, ow*s.Stride-s.Padding); w < min(s.Width, ow*s.Stride-s.Padding+s.Window); w++ {
							if i := ((n*s.Height+h)*s.Width+w)*s.Channels + c; best < 0 || x[i] > x[best] {
								best = i
							}
						}
					}
					i := ((n*height+oh)*width+ow)*s.Channels + c
					y[i] = x[best]
					dx[best] += dy[i]
				}
			}
		}
	}
	return y, dx
}

// TestMaxPool compares every family with the definition, ties included.
func TestMaxPool(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := PoolShape{
			Batch: rapid.IntRange(1, 4).Draw(rt, "batch"), Channels: rapid.IntRange(1, 50).Draw(rt, "channels"),
			Height: rapid.IntRange(3, 9).Draw(rt, "height"), Width: rapid.IntRange(3, 9).Draw(rt, "width"),
			Window: rapid.IntRange(1, 3).Draw(rt, "window"), Stride: rapid.IntRange(1, 3).Draw(rt, "stride"),
		}
		if rapid.Bool().Draw(rt, "halves") {
			s.Window, s.Stride = 2, 2
		} else {
			s.Padding = rapid.IntRange(0, s.Window/2).Draw(rt, "padding")
		}
		height, width := s.Output()
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 5))
		x, dy := normal(r, s.Batch*s.Height*s.Width*s.Channels), normal(r, s.Batch*height*width*s.Channels)
		for i := range x {
			x[i] = float32(math.Round(float64(x[i]))) // ties
		}
		wy, wdx := naivePool(s, x, dy)
		for _, l := range Levels() {
			restore, err := Use(l)
			if err != nil {
				rt.Fatal(err)
			}
			p, err := NewMaxPool(s)
			if err != nil {
				rt.Fatal(err)
			}
			y, dx := make([]float32, len(dy)), make([]float32, len(x))
			p.Forward(s.Batch, y, x)
			p.Gradient(s.Batch, dx, dy, y, x)
			restore()
			if !slices.Equal(y, wy) {
				rt.Fatalf("%v: output of %+v is wrong", l, s)
			}
			if !slices.Equal(dx, wdx) {
				rt.Fatalf("%v: gradient of %+v is wrong", l, s)
			}
		}
	})
}

// TestNotANumber: NaN and infinities pass through every operation and family
// without panic, and the pool's maximum of a window with a NaN is NaN.
func TestNotANumber(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	levels(t, func(t *testing.T, _ Level) {
		for corner := range 4 {
			x := slices.Repeat([]float32{1, 2, 3, -inf}, 4*17)[:4*17]
			x[corner*17+3] = nan
			p, err := NewMaxPool(PoolShape{Batch: 1, Height: 2, Width: 2, Channels: 17, Window: 2, Stride: 2})
			if err != nil {
				t.Fatal(err)
			}
			y, dx := make([]float32, 17), make([]float32, 4*17)
			p.Forward(1, y, x)
			p.Gradient(1, dx, y, y, x)
			for c, v := range y {
				if (v != v) != (c == 3) {
					t.Errorf("maximum of channel %d with a NaN in channel 3 is %v", c, v)
				}
			}
		}
		x := slices.Repeat([]float32{1, nan, inf, -inf, 3e38}, 20*17)[:20*17]
		for _, relu := range []bool{false, true} {
			got := normResults(t, 20, 17, relu, x, x[:17], x[:17], x)
			if got[0][1] == got[0][1] {
				t.Errorf("normalised NaN is %v", got[0][1])
			}
		}
		s := ConvShape{Batch: 1, Height: 4, Width: 5, Channels: 17, Filters: 16, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1}
		height, width := s.Output()
		y, _, _, _ := convResults(t, s, 1, x, make([]float32, 16*17*9), make([]float32, 16), make([]float32, height*width*16))
		if y[0] == y[0] {
			t.Errorf("convolution of NaN is %v", y[0])
		}
	})
}

// TestProcessors: the number of processors does not change a bit.
func TestProcessors(t *testing.T) {
	s := ConvShape{Batch: 11, Height: 9, Width: 10, Channels: 5, Filters: 24, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1}
	x, w, b, dy := randomConv(s, 6)
	run := func(procs int) [][]float32 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		y, dx, dw, db := convResults(t, s, s.Batch, x, w, b, dy)
		return append(normResults(t, 11*90, 24, true, y, b, b, y), y, dx, dw, db)
	}
	want := run(1)
	for _, procs := range []int{2, 3, 8} {
		for i, got := range run(procs) {
			if !sameBits(got, want[i]) {
				t.Errorf("%d processors: result %d differs", procs, i)
			}
		}
	}
}

// TestNoAllocationPerCall: an operation allocates nothing after its first calls.
func TestNoAllocationPerCall(t *testing.T) {
	s := ConvShape{Batch: 4, Height: 9, Width: 9, Channels: 5, Filters: 17, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1}
	x, w, b, dy := randomConv(s, 7)
	c, err := NewConv(s)
	if err != nil {
		t.Fatal(err)
	}
	y, dx, dw, db := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w)), make([]float32, len(b))
	step := func() {
		c.Forward(4, y, x, w, b)
		c.WeightGradient(4, dw, db, dy, x)
		c.InputGradient(4, dx, dy, w)
	}
	step()
	if n := testing.AllocsPerRun(20, step); n > 0 {
		t.Errorf("%v allocations per step", n)
	}
}
