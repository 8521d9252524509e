package main

import "github.com/medfed/medfed/trainer/nn/kernel"

// fma512 and fma256 do 16 and 12 independent fused multiply-adds of 16 and 8 lanes
// in each of n rounds, on registers alone.
//
//go:noescape
func fma512(n int)

//go:noescape
func fma256(n int)

// peakLoop is a loop of nothing but fused multiply-adds, of the width that the
// kernels use, and the floating point operations of a round; nil where there is
// none.
func peakLoop() (loop func(n int), operations float64) {
	switch kernel.Best() {
	case kernel.AVX512:
		return fma512, 16 * 16 * 2
	case kernel.AVX2:
		return fma256, 12 * 8 * 2
	}
	return nil, 0
}
