package dataset

import (
	"github.com/medfed/medfed/chaincode/codes"
	"math/rand/v2"
)

// Augmentation changes training images at random, a little, so that a model sees
// more than there is. The zero value changes nothing.
type Augmentation struct {
	Flip     bool    // left and right exchanged, every other image
	Shift    int     // pixels: moved up to this far, in x and in y
	Rotate   float64 // degrees: turned up to this far, either way; at most 180
	Contrast float64 // distance of the values from their mean changed by a factor from 1-Contrast to 1+Contrast; at most 1
}

// Check refuses what is out of bounds; the error is MF-DATA-AUGMENTATION.
func (a Augmentation) Check() error {
	if a.Shift < 0 || !(a.Rotate >= 0 && a.Rotate <= 180) || !(a.Contrast >= 0 && a.Contrast <= 1) {
		return codes.Errorf("MF-DATA-AUGMENTATION", "a shift of %d pixels, a turn of %v degrees and a contrast of %v; use numbers from 0, at most 180 and 1 for the last two", a.Shift, a.Rotate, a.Contrast)
	}
	return nil
}

// Apply writes the changed image to out, which is as long as in and does not
// overlap it: size rows of size pixels of channels values. What is drawn depends
// on nothing but seed, epoch and index, and the result is the same on every
// machine. Beyond its border an image goes on as at the border.
func (a Augmentation) Apply(out, in []float32, size, channels int, seed int64, epoch, index int) {
	r := random{rand.NewPCG(scramble(scramble(uint64(seed))+uint64(epoch)), scramble(useAugmentation)+uint64(index))}
	flip := a.Flip && r.below(2) == 1
	dx, dy := r.between(-a.Shift, a.Shift), r.between(-a.Shift, a.Shift)
	sin, cos := sineCosine(a.Rotate * r.signed() / 180)
	factor := float64(a.Contrast*r.signed()) + 1
	centre := float64(size-1) / 2
	for y := range size {
		for x := range size {
			u, v := float64(x-dx)-centre, float64(y-dy)-centre
			fromX := float64(cos*u) + float64(sin*v) + centre
			fromY := float64(cos*v) - float64(sin*u) + centre
			if flip {
				fromX = float64(size-1) - fromX
			}
			sample(out[(y*size+x)*channels:][:channels], in, size, channels, fromX, fromY)
		}
	}
	if a.Contrast > 0 {
		stretch(out, factor)
	}
}

// sample interpolates the pixel at (x, y) between its four neighbours.
func sample(out, in []float32, size, channels int, x, y float64) {
	x, y = max(0, min(x, float64(size-1))), max(0, min(y, float64(size-1)))
	left, top := int(x), int(y)
	right, bottom := min(left+1, size-1), min(top+1, size-1)
	u, v := x-float64(left), y-float64(top)
	for c := range out {
		at := func(x, y int) float64 { return float64(in[(y*size+x)*channels+c]) }
		above := blend(at(left, top), at(right, top), u)
		below := blend(at(left, bottom), at(right, bottom), u)
		out[c] = float32(blend(above, below, v))
	}
}

// blend is a where share is 0 and b where it is 1. The conversions forbid fused
// multiply-adds, here and above, which would differ between machines.
func blend(a, b, share float64) float64 {
	return float64(a*(1-share)) + float64(b*share)
}

// stretch multiplies the distance of all values from their mean.
func stretch(values []float32, factor float64) {
	mean := 0.0
	for _, v := range values {
		mean += float64(v)
	}
	mean /= float64(len(values))
	for i, v := range values {
		values[i] = float32(mean + float64(factor*(float64(v)-mean)))
	}
}

// signed is uniform from -1 to 1 in steps of 2^-23.
func (r random) signed() float64 {
	return float64(r.below(1<<24+1))/(1<<23) - 1
}

// scramble spreads a number over all 64 bits, so that near seeds draw far apart
// (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sineCosine is the sine and cosine of turn times pi, for turns from -1 to 1, by
// their power series: unlike math.Sincos the same on every machine. The error is
// below 1e-14.
func sineCosine(turn float64) (sin, cos float64) {
	const pi = 3.14159265358979323846
	x := float64(turn * pi)
	term := 1.0
	for n := 1.0; n < 40; n += 2 {
		cos += term
		term = float64(term*x) / n
		sin += term
		term = float64(-term*x) / (n + 1)
	}
	return sin, cos
}
