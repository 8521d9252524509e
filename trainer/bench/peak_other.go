//go:build !amd64

package main

// peakLoop: there is no such loop for this architecture.
func peakLoop() (loop func(n int), operations float64) { return nil, 0 }
