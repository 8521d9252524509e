//go:build !arm64

package kernel

import "math"

// fma32 is a*b + c with a single rounding to float32, as the vector units do it.
//
// The product of two float32 is exact in float64. Adding c there rounds once, and
// rounding the sum to float32 rounds a second time, which is harmless except when
// the first rounding lands exactly halfway between two float32 or the result is
// subnormal; those rare sums go the long way.
func fma32(a, b, c float32) float32 {
	s := float64(a)*float64(b) + float64(c)
	if doubtful(s) {
		return roundOdd(a, b, c)
	}
	return float32(s)
}

// doubtful reports whether rounding the float64 sum s to float32 may differ from
// rounding the exact sum.
func doubtful(s float64) bool {
	u := math.Float64bits(s)
	return u&lowBits == halfway || u<<1-1 < smallest-1 // zero wraps around: it is exact
}

// fmaRow adds a*b[j] to sum[j], each product fused into the sum.
func fmaRow(sum *[panel]float32, a float32, b []float32) {
	b = b[:panel]
	wide := float64(a)
	for j, c := range sum {
		s := wide*float64(b[j]) + float64(c)
		if doubtful(s) {
			sum[j] = roundOdd(a, b[j], c)
			continue
		}
		sum[j] = float32(s)
	}
}

const (
	lowBits  = 1<<29 - 1           // the bits of a float64 that a float32 lacks
	halfway  = 1 << 28             // their value halfway between two float32
	smallest = (1023 - 126) << 53  // a float64 below 2^-126, its sign shifted out
	signBit  = uint64(1) << 63     // of a float64
	infinity = uint64(0x7FF) << 52 // bits of +Inf
)

// roundOdd computes fma32 through a float64 sum rounded to odd (Boldo and
// Melquiond, "Emulation of FMA and correctly rounded sums", 2008): when the sum
// is inexact its last bit is set, so that the second rounding sees on which side
// of the halfway point the exact value lies.
func roundOdd(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c)
	s := p + q
	u := math.Float64bits(s)
	if s == 0 || u&^signBit >= infinity {
		return float32(s)
	}
	// Knuth's two-sum: p + q = s + e exactly.
	t := s - p
	e := (p - (s - t)) + (q - t)
	if e != 0 && u&1 == 0 {
		if (e > 0) == (s > 0) {
			u++
		} else {
			u--
		}
	}
	return float32(math.Float64frombits(u))
}
