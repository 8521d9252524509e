package dataset

import "math"

// taps are the samples that one sample of a resized line is made of, and their weights,
// whose sum is 1.
type taps struct {
	first   int
	weights []float64
}

// line is the taps of every sample of a resized line.
type line []taps

// bilinear resizes a line of from samples to one of to: between the two nearest where it
// grows; over all that a sample covers, those in the middle the most, where it shrinks.
// It is the tent of golang.org/x/image/draw.BiLinear, which draws 8 bits a channel and
// holds a whole image in between.
func bilinear(from, to int) line {
	scale := float64(from) / float64(to)
	reach := max(1, scale) // samples on either side
	out := make(line, to)
	for i := range out {
		centre := float64((float64(i)+0.5)*scale) - 0.5
		first, last := max(int(math.Floor(centre-reach)), 0), min(int(math.Ceil(centre+reach)), from)-1
		weight := func(at int) float64 { return 1 - math.Abs(centre-float64(at))/reach }
		for first < last && weight(first) <= 0 {
			first++
		}
		for first < last && weight(last) <= 0 {
			last--
		}
		total := 0.0
		for at := first; at <= last; at++ {
			total += weight(at)
		}
		out[i] = taps{first, make([]float64, 0, last-first+1)}
		for at := first; at <= last; at++ {
			out[i].weights = append(out[i].weights, weight(at)/total)
		}
	}
	return out
}

// apply writes the resized line of samples of n values each.
func (l line) apply(out, in []float64, n int) {
	for i, t := range l {
		for c := range n {
			sum := 0.0
			for k, weight := range t.weights {
				sum += float64(weight * in[(t.first+k)*n+c])
			}
			out[i*n+c] = sum
		}
	}
}

// ring holds the last rows of an image: as many as one row of the resized image is made
// of.
type ring struct {
	rows [][]float64
	next int // the row that is pushed next
}

func newRing(l line, width int) *ring {
	most := 0
	for _, t := range l {
		most = max(most, len(t.weights))
	}
	r := &ring{rows: make([][]float64, most)}
	for i := range r.rows {
		r.rows[i] = make([]float64, width)
	}
	return r
}

func (r *ring) row(y int) []float64 { return r.rows[y%len(r.rows)] }

// push is where the next row is to be written.
func (r *ring) push() []float64 {
	r.next++
	return r.row(r.next - 1)
}
