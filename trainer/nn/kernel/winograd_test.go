package kernel

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawWinograd draws a shape that is computed by Winograd's method.
func drawWinograd(t *rapid.T) ConvShape {
	s := ConvShape{
		Batch: rapid.IntRange(1, 9).Draw(t, "batch"), KernelHeight: 3, KernelWidth: 3, Stride: 1,
		Channels: rapid.SampledFrom([]int{16, 32, 48}).Draw(t, "channels"), Filters: rapid.SampledFrom([]int{16, 32, 48}).Draw(t, "filters"),
		Padding: rapid.IntRange(0, 2).Draw(t, "padding"),
	}
	s.Height = rapid.IntRange(7-2*s.Padding, 14).Draw(t, "height")
	s.Width = rapid.IntRange(7-2*s.Padding, 14).Draw(t, "width")
	return s
}

// withoutWinograd is convResults by the direct method.
func withoutWinograd(t testing.TB, s ConvShape, x, w, b, dy []float32) [][]float32 {
	c, err := NewConv(s)
	if err != nil {
		t.Fatal(err)
	}
	if c.winograd == nil {
		t.Fatalf("%+v is not computed by Winograd's method", s)
	}
	c.winograd = nil
	y, dx, dw, db := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w)), make([]float32, len(b))
	c.Forward(s.Batch, y, x, w, b)
	c.WeightGradient(s.Batch, dw, db, dy, x)
	c.InputGradient(s.Batch, dx, dy, w)
	return [][]float32{y, dx, dw, db}
}

// TestWinogradIsTheDefinition compares every family with the definition, and with
// one another bit for bit; and images in use with a convolution made for them.
func TestWinogradIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawWinograd(rt)
		n := rapid.IntRange(1, s.Batch).Draw(rt, "images in use")
		if err := winogradDiffers(t, s, n, rapid.Uint64().Draw(rt, "seed")); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestWinogradOfSeveralBlocks: the products of a chunk of images that is worked on in
// several blocks are added to those of the blocks before.
func TestWinogradOfSeveralBlocks(t *testing.T) {
	s := ConvShape{Batch: 9, Height: 12, Width: 12, Channels: 32, Filters: 48, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1}
	f := newConvWinograd(s)
	if images := s.Batch / f.chunks(s.Batch); images <= f.blockImages() {
		t.Fatalf("%+v: %d images are one block of %d", s, images, f.blockImages())
	}
	if err := winogradDiffers(t, s, s.Batch, 1); err != nil {
		t.Error(err)
	}
}

// winogradDiffers tells where a family differs from the definition or from plain Go.
func winogradDiffers(t *testing.T, s ConvShape, n int, seed uint64) error {
	small := s
	small.Batch = n
	x, w, b, dy := randomConv(s, seed)
	sx, sdy := x[:len(x)/s.Batch*n], dy[:len(dy)/s.Batch*n]
	wy, wdx, wdw, wdb := naiveConv(small, sx, w, b, sdy)
	want := [][]float64{wy, wdx, wdw, wdb}
	first := make([][]float32, 4)
	for _, l := range Levels() {
		restore, err := Use(l)
		if err != nil {
			return err
		}
		y, dx, dw, db := convResults(t, s, n, x, w, b, dy)
		if l == Plain {
			first[0], first[1], first[2], first[3] = convResults(t, small, n, sx, w, b, sdy)
		}
		restore()
		for i, got := range [][]float32{y[:len(sdy)], dx[:len(sx)], dw, db} {
			name := []string{"output", "input gradient", "weight gradient", "bias gradient"}[i]
			if d := distance(got, want[i]); !(d < 2e-5) {
				return fmt.Errorf("%v: %s of %+v is off by %g", l, name, s, d)
			}
			if !sameBits(got, first[i]) {
				return fmt.Errorf("%v: %s of %+v, %d images in use, differs from plain Go", l, name, s, n)
			}
		}
	}
	return nil
}

// TestWinogradGradients compares both gradients with differences of the output:
// it is linear in the input and in the weights, so the difference of any length is
// exact but for rounding.
func TestWinogradGradients(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawWinograd(rt)
		x, w, b, dy := randomConv(s, rapid.Uint64().Draw(rt, "seed"))
		dot := func() (sum float64) {
			y, _, _, _ := convResults(t, s, s.Batch, x, w, b, dy)
			for i, v := range y {
				sum += float64(v) * float64(dy[i])
			}
			return sum
		}
		_, dx, dw, _ := convResults(t, s, s.Batch, x, w, b, dy)
		for name, v := range map[string][2][]float32{"input": {x, dx}, "weight": {w, dw}} {
			at := rapid.IntRange(0, len(v[0])-1).Draw(rt, name)
			before := v[0][at]
			v[0][at] = before + 2
			up := dot()
			v[0][at] = before - 2
			down := dot()
			v[0][at] = before
			if numeric := (up - down) / 4; math.Abs(numeric-float64(v[1][at])) > 1e-2 {
				rt.Fatalf("%+v: gradient of %s %d is %v, numerically %v", s, name, at, v[1][at], numeric)
			}
		}
	})
}

// TestWinogradProcessors: the number of processors does not change a bit, with more
// tiles than are worked on at once.
func TestWinogradProcessors(t *testing.T) {
	for _, s := range []ConvShape{
		{Batch: 75, Height: 8, Width: 8, Channels: 64, Filters: 64, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1},
		{Batch: 51, Height: 12, Width: 12, Channels: 16, Filters: 64, KernelHeight: 3, KernelWidth: 3, Stride: 1},
	} {
		x, w, b, dy := randomConv(s, 6)
		run := func(procs int) [][]float32 {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			y, dx, dw, db := convResults(t, s, s.Batch, x, w, b, dy)
			return [][]float32{y, dx, dw, db}
		}
		want := run(1)
		for _, procs := range []int{2, 3, 4} {
			for i, got := range run(procs) {
				if !sameBits(got, want[i]) {
					t.Errorf("%+v, %d processors: result %d differs", s, procs, i)
				}
			}
		}
	}
}

// TestWinogradOfNotANumber: where a value is not finite, or too large for the
// method's larger intermediate numbers, the results are those of the direct method;
// those of the other images do not change.
func TestWinogradOfNotANumber(t *testing.T) {
	s := ConvShape{Batch: 5, Height: 9, Width: 10, Channels: 16, Filters: 32, KernelHeight: 3, KernelWidth: 3, Stride: 1}
	levels(t, func(t *testing.T, _ Level) {
		for _, padding := range []int{0, 1, 2} {
			s.Padding = padding
			height, width := s.Output()
			x, w, b, dy := randomConv(s, 8)
			y, dx, _, _ := convResults(t, s, s.Batch, x, w, b, dy)
			sound := [][]float32{y, dx}
			for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 3e38} {
				for _, c := range []struct {
					name string
					in   []float32
					at   int
				}{
					{"input", x, ((3*s.Height+4)*s.Width + 5) * s.Channels},
					{"input's first", x, 3 * s.Height * s.Width * s.Channels},
					{"input's last", x, 4*s.Height*s.Width*s.Channels - 1},
					{"weight", w, 77},
					{"output gradient", dy, ((3*height+3)*width + 6) * s.Filters},
					{"output gradient's first", dy, 3 * height * width * s.Filters},
					{"output gradient's last", dy, 4*height*width*s.Filters - 1},
				} {
					t.Run(fmt.Sprintf("padding %d, %s %v", padding, c.name, bad), func(t *testing.T) {
						before := c.in[c.at]
						c.in[c.at] = bad
						defer func() { c.in[c.at] = before }()
						y, dx, dw, _ := convResults(t, s, s.Batch, x, w, b, dy)
						direct := withoutWinograd(t, s, x, w, b, dy)
						for i, got := range [][]float32{y, dx} {
							for image, size := 0, len(got)/s.Batch; image < s.Batch; image++ {
								mine, other := got[image*size:(image+1)*size], direct[i][image*size:(image+1)*size]
								if !finite(other) && !sameKind(mine, other) {
									t.Errorf("result %d of image %d is not that of the direct method", i, image)
								}
								if c.name != "weight" && image != 3 && !sameBits(mine, sound[i][image*size:(image+1)*size]) {
									t.Errorf("result %d of image %d knows of another image", i, image)
								}
							}
						}
						if !finite(direct[2]) && !sameKind(dw, direct[2]) {
							t.Error("the weight gradient is not that of the direct method")
						}
						if finite(direct[2]) != finite(dw) || finite(direct[0]) != finite(y) || finite(direct[1]) != finite(dx) {
							t.Error("a method has finite results where the other has not")
						}
					})
				}
			}
		}
	})
}

// sameKind compares bits, and takes all NaN for one.
func sameKind(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
	})
}
