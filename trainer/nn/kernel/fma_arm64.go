package kernel

// fma32 is a*b + c with a single rounding: the arm64 compiler fuses the
// expression into FMADDS, as the Go specification lets it.
func fma32(a, b, c float32) float32 { return a*b + c }

// fmaRow adds a*b[j] to sum[j], each product fused into the sum.
func fmaRow(sum *[panel]float32, a float32, b []float32) {
	b = b[:panel]
	for j := range sum {
		sum[j] = a*b[j] + sum[j]
	}
}
