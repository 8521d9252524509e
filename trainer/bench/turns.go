package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/medfed/medfed/trainer/weights"
)

// contender is one side of a comparison: it does its work once, and says how long
// that took.
type contender func() (time.Duration, error)

// pause lets the threads of the side before go to sleep: those of OpenMP and OpenBLAS
// look for more work for up to 35 ms, on the processor that the next side needs.
const pause = 50 * time.Millisecond

// alternate lets the contenders take turns, and gives the median of each in
// milliseconds. The first turns, of caches and thread pools, do not count.
func alternate(ctx context.Context, turns int, contenders ...contender) ([]float64, error) {
	const warmUp = 2
	times := make([][]float64, len(contenders))
	for turn := range warmUp + turns {
		for i, c := range contenders {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			time.Sleep(pause)
			took, err := c()
			if err != nil {
				return nil, err
			}
			if turn >= warmUp {
				times[i] = append(times[i], took.Seconds()*1e3)
			}
		}
	}
	medians := make([]float64, len(contenders))
	for i, t := range times {
		medians[i] = median(t)
	}
	return medians, nil
}

// median of at least one value.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// threads are the numbers of threads that are measured, as far as the machine has
// them.
func threads() []int {
	if runtime.NumCPU() < 2 {
		return []int{1}
	}
	return []int{1, 2}
}

// withThreads runs f with as many processors.
func withThreads(n int, f func() error) error {
	before := runtime.GOMAXPROCS(n)
	defer runtime.GOMAXPROCS(before)
	return f()
}

// different is how far got is from want, as a share of want's largest value.
func different(got, want []float32) float64 {
	if len(got) != len(want) || len(got) == 0 {
		return math.Inf(1)
	}
	var far, largest float64
	for i, v := range want {
		d := math.Abs(float64(got[i]) - float64(v))
		if !(d <= math.MaxFloat32) {
			return math.Inf(1) // NaN or an infinity on either side
		}
		far, largest = max(far, d), max(largest, math.Abs(float64(v)))
	}
	if largest == 0 && far > 0 {
		return math.Inf(1)
	}
	return far / max(largest, math.SmallestNonzeroFloat64)
}

// sameStep reports whether two sides took the same step from start: of every tensor
// the changes are compared, within a share of the largest one and the rounding of
// the values.
func sameStep(start, got, want *weights.Weights, tolerance float64) error {
	for i, t := range want.Tensors {
		if constant(t.Name) {
			continue
		}
		from, there := start.Tensors[i].Data, got.Find(t.Name).Data
		var largest, far float64
		for j, v := range t.Data {
			const rounding = 0x1p-22 // of both sides' additions
			largest = max(largest, math.Abs(float64(v)-float64(from[j])))
			d := math.Abs(float64(there[j])-float64(v)) - rounding*math.Abs(float64(v))
			if !(d <= math.MaxFloat32) {
				return fmt.Errorf("after one step %s is not finite; no number is given", t.Name)
			}
			far = max(far, d)
		}
		if largest == 0 || far > tolerance*largest {
			return fmt.Errorf("the two sides do not compute the same: after one step %s differs by %.2g where its largest change is %.2g; no number is given", t.Name, far, largest)
		}
	}
	return nil
}

// constant reports whether a tensor of the six-layer CNN is a convolution's bias,
// whose gradient batch normalisation makes zero up to rounding.
func constant(name string) bool {
	return slices.Contains([]string{"features.0.bias", "features.3.bias", "features.7.bias", "features.10.bias", "features.13.bias"}, name)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
