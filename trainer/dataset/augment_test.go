package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func ramps(size, channels int) []float32 {
	image := make([]float32, size*size*channels)
	for i := range image {
		image[i] = float32(i%251)/125 - 1
	}
	return image
}

func TestNoAugmentationChangesNothing(t *testing.T) {
	for _, channels := range []int{1, 3} {
		in := ramps(28, channels)
		out := make([]float32, len(in))
		Augmentation{}.Apply(out, in, 28, channels, 1, 2, 3)
		if !slices.Equal(out, in) {
			t.Error("the image was changed")
		}
	}
}

// TestFlipAndShift: what comes out is in moved by one of the allowed steps, with
// the border continued, and all steps come about equally often.
func TestFlipAndShift(t *testing.T) {
	const size, shift = 5, 1
	in := ramps(size, 1)
	seen := map[[3]int]int{}
	out := make([]float32, len(in))
	for index := range 1800 {
		Augmentation{Flip: true, Shift: shift}.Apply(out, in, size, 1, 7, 0, index)
		found := false
		for flip := range 2 {
			for dx := -shift; dx <= shift; dx++ {
				for dy := -shift; dy <= shift; dy++ {
					if moved(out, in, size, dx, dy, flip == 1) {
						seen[[3]int{flip, dx, dy}]++
						found = true
					}
				}
			}
		}
		if !found {
			t.Fatalf("draw %d is no flip and shift: %v", index, out)
		}
	}
	if len(seen) != 18 {
		t.Errorf("%d of 18 steps were drawn", len(seen))
	}
	for step, n := range seen {
		if n < 50 || n > 160 {
			t.Errorf("step %v came %d times in 1800", step, n)
		}
	}
}

// moved reports whether out is in moved by (dx, dy), then flipped or not.
func moved(out, in []float32, size, dx, dy int, flip bool) bool {
	clamp := func(v int) int { return max(0, min(size-1, v)) }
	for y := range size {
		for x := range size {
			from := x - dx
			if flip {
				from = size - 1 - from
			}
			if out[y*size+x] != in[clamp(y-dy)*size+clamp(from)] {
				return false
			}
		}
	}
	return true
}

// TestRotationTurns holds the turn against a naive one at angles it draws, by the
// moments of a single bright spot: it keeps its distance from the centre.
func TestRotationTurns(t *testing.T) {
	const size = 41
	in := make([]float32, size*size)
	for y := 18; y <= 22; y++ {
		for x := 30; x <= 34; x++ {
			in[y*size+x] = 1
		}
	}
	out := make([]float32, len(in))
	least, most := 0.0, 0.0
	for index := range 200 {
		Augmentation{Rotate: 30}.Apply(out, in, size, 1, 3, 1, index)
		mass, mx, my := 0.0, 0.0, 0.0
		for y := range size {
			for x := range size {
				v := float64(out[y*size+x])
				mass, mx, my = mass+v, mx+v*float64(x-20), my+v*float64(y-20)
			}
		}
		mx, my = mx/mass, my/mass
		angle := math.Atan2(my, mx) * 180 / math.Pi
		if math.Abs(math.Hypot(mx, my)-12) > 0.15 || math.Abs(mass-25) > 1 || math.Abs(angle) > 30.2 {
			t.Fatalf("the spot is at %v, %v, mass %v, angle %v", mx, my, mass, angle)
		}
		least, most = min(least, angle), max(most, angle)
	}
	if least > -25 || most < 25 {
		t.Errorf("angles from %v to %v only", least, most)
	}
}

func TestContrastKeepsTheMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Float32Range(-1, 1), 9, 9).Draw(t, "in")
		limit := rapid.Float64Range(0, 1).Draw(t, "contrast")
		out := make([]float32, 9)
		Augmentation{Contrast: limit}.Apply(out, in, 3, 1, rapid.Int64().Draw(t, "seed"), 0, 0)
		before, after := 0.0, 0.0
		for i := range in {
			before, after = before+float64(in[i])/9, after+float64(out[i])/9
		}
		if math.Abs(before-after) > 1e-6 {
			t.Fatalf("mean %v became %v", before, after)
		}
		for i := range in {
			was, is := float64(in[i])-before, float64(out[i])-before
			if is*was < -1e-6 || math.Abs(is) > math.Abs(was)*(1+limit)+1e-6 || math.Abs(is) < math.Abs(was)*(1-limit)-1e-6 {
				t.Fatalf("distance %v became %v with limit %v", was, is, limit)
			}
		}
	})
}

// TestAugmentationIsAFunctionOfItsArguments: no value leaves the range of the
// image, the same arguments give the same image, others another.
func TestAugmentationIsAFunctionOfItsArguments(t *testing.T) {
	a := Augmentation{Flip: true, Shift: 2, Rotate: 180}
	rapid.Check(t, func(t *rapid.T) {
		size, channels := rapid.IntRange(1, 12).Draw(t, "size"), rapid.SampledFrom([]int{1, 3}).Draw(t, "channels")
		in := ramps(size, channels)
		seed, epoch, index := rapid.Int64().Draw(t, "seed"), rapid.IntRange(0, 99).Draw(t, "epoch"), rapid.IntRange(0, 99999).Draw(t, "index")
		out, again := make([]float32, len(in)), make([]float32, len(in))
		a.Apply(out, in, size, channels, seed, epoch, index)
		a.Apply(again, in, size, channels, seed, epoch, index)
		if !slices.Equal(out, again) || !slices.Equal(in, ramps(size, channels)) {
			t.Fatal("not a function of its arguments")
		}
		for _, v := range out {
			if !(v >= slices.Min(in)-1e-6 && v <= slices.Max(in)+1e-6) {
				t.Fatalf("value %v", v)
			}
		}
	})
	in := ramps(9, 1)
	images := map[string]bool{}
	for seed := range 3 {
		for epoch := range 3 {
			for index := range 3 {
				out := make([]float32, len(in))
				a.Apply(out, in, 9, 1, int64(seed), epoch, index)
				images[fmt.Sprint(out)] = true
			}
		}
	}
	if len(images) != 27 {
		t.Errorf("%d of 27 images differ", len(images))
	}
}

func TestGoldenAugmentation(t *testing.T) {
	in := ramps(28, 3)
	out := make([]float32, len(in))
	Augmentation{Flip: true, Shift: 2, Rotate: 15, Contrast: 0.2}.Apply(out, in, 28, 3, 42, 3, 17)
	h := sha256.New()
	for _, v := range out {
		binary.Write(h, binary.LittleEndian, v)
	}
	if got := fmt.Sprintf("%x", h.Sum(nil))[:16]; got != "0eece5e21868a29a" {
		t.Errorf("got %s", got)
	}
}

func TestSineCosine(t *testing.T) {
	for turn := -1.0; turn <= 1; turn += 1.0 / 64 {
		sin, cos := sineCosine(turn)
		wantSin, wantCos := math.Sincos(turn * math.Pi)
		if math.Abs(sin-wantSin) > 1e-14 || math.Abs(cos-wantCos) > 1e-14 {
			t.Errorf("turn %v: %v %v, want %v %v", turn, sin, cos, wantSin, wantCos)
		}
	}
	if sin, cos := sineCosine(0); sin != 0 || cos != 1 {
		t.Errorf("no turn: %v %v", sin, cos)
	}
}
