package dataset

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"
)

// TestValueNoise: the images are fixed for ever, their channels equal, their values
// spread as a picture's are, and a pixel is near to its neighbour.
func TestValueNoise(t *testing.T) {
	const count, size = 64, 28
	grey, colour := ValueNoise(count, 1, size), ValueNoise(count, 3, size)
	if got := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, grey.Values)))[:16]; got != "eeb58c23a92170e8" {
		t.Errorf("other images than before: %s", got)
	}
	if grey.Len() != count || len(colour.Values) != 3*len(grey.Values) {
		t.Fatalf("%d images, %d values of grey, %d of colour", grey.Len(), len(grey.Values), len(colour.Values))
	}
	var sum, square, steps float64
	for i, v := range grey.Values {
		for c := range 3 {
			if colour.Values[3*i+c] != v {
				t.Fatalf("channel %d of pixel %d is %v, grey is %v", c, i, colour.Values[3*i+c], v)
			}
		}
		sum, square = sum+float64(v), square+float64(v)*float64(v)
		if i%size > 0 {
			steps += math.Abs(float64(v - grey.Values[i-1]))
		}
	}
	n := float64(len(grey.Values))
	mean := sum / n
	deviation := math.Sqrt(square/n - mean*mean)
	if math.Abs(mean) > 0.1 || deviation < 0.25 || deviation > 0.45 {
		t.Errorf("mean %.3f and deviation %.3f, want grey and about a sixth of the range", mean, deviation)
	}
	if step := steps / n; step > deviation/2 {
		t.Errorf("neighbours are %.3f apart in the mean, at a deviation of %.3f", step, deviation)
	}
	for _, size := range []int{1, 2, 3, 16, 64, 224} {
		for _, v := range ValueNoise(1, 1, size).Values {
			if !(v >= -1 && v <= 1) {
				t.Fatalf("a pixel of %d×%d is %v", size, size, v)
			}
		}
	}
}
