package kernel

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// frozen runs a frozen convolution on n images.
func frozen(t testing.TB, s ConvShape, n int, x, w, b, extra []float32, relu, fast bool) []float32 {
	c, err := NewFrozenConv(s, w, b, relu, fast)
	if err != nil {
		t.Fatal(err)
	}
	height, width := s.Output()
	y := slices.Repeat([]float32{1e30}, s.Batch*height*width*s.Filters)
	for range 2 { // the second time on used buffers
		c.Forward(n, y, x, extra)
	}
	return y[:n*height*width*s.Filters]
}

// drawFrozen draws a shape among which are those of the backbones' layers.
func drawFrozen(t *rapid.T) (s ConvShape, fast bool) {
	s = drawConv(t)
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 1: // 1×1
		s.KernelHeight, s.KernelWidth, s.Padding = 1, 1, 0
		s.Stride = rapid.IntRange(1, 2).Draw(t, "stride of 1×1")
		s.Channels = rapid.SampledFrom([]int{1, 16, 33, 64}).Draw(t, "channels of 1×1")
	case 2: // by Winograd's method
		s.KernelHeight, s.KernelWidth, s.Stride, fast = 3, 3, 1, true
		s.Padding = rapid.IntRange(0, 2).Draw(t, "padding of 3×3")
		s.Height, s.Width = rapid.IntRange(3, 14).Draw(t, "height of 3×3"), rapid.IntRange(3, 14).Draw(t, "width of 3×3")
		s.Channels = rapid.SampledFrom([]int{32, 40, 49, 64}).Draw(t, "channels of 3×3")
		s.Filters = rapid.SampledFrom([]int{32, 33, 40, 64}).Draw(t, "filters of 3×3")
	}
	return s, fast
}

// TestFrozenConv compares with the definition, and the families bit for bit.
func TestFrozenConv(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, fast := drawFrozen(rt)
		relu := rapid.Bool().Draw(rt, "relu")
		x, w, b, extra := randomConv(s, rapid.Uint64().Draw(rt, "seed"))
		n := rapid.IntRange(1, s.Batch).Draw(rt, "images in use")
		if fast || rapid.Bool().Draw(rt, "no residual") {
			extra = nil
		}
		height, width := s.Output()
		want, _, _, _ := naiveConv(s, x, w, b, make([]float32, s.Batch*height*width*s.Filters))
		want = want[:n*height*width*s.Filters]
		for i := range want {
			if extra != nil {
				want[i] += float64(extra[i])
			}
			if relu {
				want[i] = max(want[i], 0)
			}
		}
		tolerance := 2e-5
		if fast {
			tolerance = 1e-4
		}
		var first []float32
		for _, l := range Levels() {
			restore, err := Use(l)
			if err != nil {
				rt.Fatal(err)
			}
			got := frozen(t, s, n, x, w, b, extra, relu, fast)
			restore()
			if l == Plain {
				first = got
			}
			if !sameBits(got, first) {
				rt.Fatalf("%v: %+v differs from plain Go", l, s)
			}
			if d := distance(got, want); !(d < tolerance) {
				rt.Fatalf("%v: %+v is off by %g", l, s, d)
			}
		}
	})
}

// TestFrozenConvLarge: shapes that are divided into pieces of work, in each way,
// for any number of processors and images.
func TestFrozenConvLarge(t *testing.T) {
	for _, s := range []ConvShape{
		{Batch: 3, Height: 30, Width: 30, Channels: 32, Filters: 32, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1},
		{Batch: 5, Height: 14, Width: 14, Channels: 160, Filters: 144, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1},
		{Batch: 3, Height: 15, Width: 15, Channels: 64, Filters: 48, KernelHeight: 1, KernelWidth: 1, Stride: 1},
		{Batch: 4, Height: 15, Width: 15, Channels: 16, Filters: 48, KernelHeight: 3, KernelWidth: 3, Stride: 2, Padding: 1},
		{Batch: 2, Height: 30, Width: 30, Channels: 3, Filters: 16, KernelHeight: 7, KernelWidth: 7, Stride: 2, Padding: 3},
	} {
		x, w, b, dy := randomConv(s, 3)
		want, _, _, _ := naiveConv(s, x, w, b, make([]float32, len(dy)))
		whole := frozen(t, s, s.Batch, x, w, b, nil, false, true)
		if d := distance(whole, want); !(d < 1e-4) {
			t.Errorf("%+v is off by %g", s, d)
		}
		for _, procs := range []int{1, 3} {
			before := runtime.GOMAXPROCS(procs)
			again := frozen(t, s, s.Batch, x, w, b, nil, false, true)
			alone := frozen(t, s, 1, x, w, b, nil, false, true)
			runtime.GOMAXPROCS(before)
			if !sameBits(again, whole) || !sameBits(alone, whole[:len(alone)]) {
				t.Errorf("%+v: %d processors or a single image give other bits", s, procs)
			}
		}
	}
}

// TestFrozenConvOfNotANumber: values that are not finite pass a convolution where
// they belong; by Winograd's method, at least as NaN.
func TestFrozenConvOfNotANumber(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	levels(t, func(t *testing.T, _ Level) {
		for _, fast := range []bool{false, true} {
			for _, bad := range []float32{nan, inf} {
				s := ConvShape{Batch: 1, Height: 6, Width: 6, Channels: 32, Filters: 40, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1}
				x, w, b, _ := randomConv(s, 8)
				x[(2*6+2)*32+5] = bad
				y := frozen(t, s, 1, x, w, b, nil, false, fast)
				for row := 1; row <= 3; row++ {
					for o := range 40 {
						if v := y[(row*6+2)*40+o]; v-v == 0 {
							t.Errorf("fast %v: %v gives %v", fast, bad, v)
						}
					}
				}
			}
		}
	})
}

// naiveAverage is average pooling and its gradient by definition.
func naiveAverage(s PoolShape, x, dy []float32) (y, dx []float64) {
	height, width := s.Output()
	y, dx = make([]float64, len(dy)), make([]float64, len(x))
	area := float64(s.Window * s.Window)
	for n := range s.Batch {
		for oh := range height {
			for ow := range width {
				for kh := range s.Window {
					for kw := range s.Window {
						h, w := oh*s.Stride+kh-s.Padding, ow*s.Stride+kw-s.Padding
						if h < 0 || w < 0 || h >= s.Height || w >= s.Width {
							continue
						}
						for c := range s.Channels {
							i, o := ((n*s.Height+h)*s.Width+w)*s.Channels+c, ((n*height+oh)*width+ow)*s.Channels+c
							y[o] += float64(x[i]) / area
							dx[i] += float64(dy[o]) / area
						}
					}
				}
			}
		}
	}
	return y, dx
}

// TestAveragePools compares both poolings with the definition; a global one is a
// pooling whose window is the image.
func TestAveragePools(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := PoolShape{
			Batch: rapid.IntRange(1, 4).Draw(rt, "batch"), Channels: rapid.IntRange(1, 40).Draw(rt, "channels"),
			Height: rapid.IntRange(3, 9).Draw(rt, "height"), Width: rapid.IntRange(3, 9).Draw(rt, "width"),
			Window: rapid.IntRange(1, 3).Draw(rt, "window"), Stride: rapid.IntRange(1, 3).Draw(rt, "stride"),
		}
		s.Padding = rapid.IntRange(0, s.Window/2).Draw(rt, "padding")
		global := rapid.Bool().Draw(rt, "global")
		if global {
			s.Width, s.Window, s.Stride, s.Padding = s.Height, s.Height, 1, 0
		}
		height, width := s.Output()
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 5))
		x, dy := normal(r, s.Batch*s.Height*s.Width*s.Channels), normal(r, s.Batch*height*width*s.Channels)
		y, dx := slices.Repeat([]float32{1e30}, len(dy)), slices.Repeat([]float32{1e30}, len(x))
		if global {
			p, err := NewGlobalAveragePool(s.Height, s.Width, s.Channels)
			if err != nil {
				rt.Fatal(err)
			}
			p.Forward(s.Batch, y, x)
			p.Gradient(s.Batch, dx, dy)
		} else {
			p, err := NewAveragePool(s)
			if err != nil {
				rt.Fatal(err)
			}
			p.Forward(s.Batch, y, x)
			p.Gradient(s.Batch, dx, dy)
		}
		wy, wdx := naiveAverage(s, x, dy)
		if d := max(distance(y, wy), distance(dx, wdx)); !(d < 1e-6) {
			rt.Fatalf("%+v is off by %g", s, d)
		}
	})
}
