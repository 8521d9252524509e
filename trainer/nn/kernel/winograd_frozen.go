package kernel

import (
	"math"
	"runtime"
)

// frozenWinograd is a frozen convolution's weights and division into tiles.
type frozenWinograd struct {
	tiling
	weights []float32 // [plane][panel of filters][channel][16]
	block   int       // tiles worked on at once
	shared  bool      // by all processors together, instead of one block each
	floor   float32
	cols    int // of a plane: filters in whole panels
}

// newFrozenWinograd transforms the weights. The block is chosen for speed alone.
func newFrozenWinograd(s ConvShape, weight []float32, relu bool) *frozenWinograd {
	f := &frozenWinograd{tiling: newTiling(s), cols: panels(s.Filters), floor: float32(math.Inf(-1))}
	if relu {
		f.floor = 0
	}
	const near = 400 << 10 // values
	f.block = max(48, near/(nPlanes*(s.Channels+f.cols))/maxRows*maxRows)
	if f.shared = s.Channels*s.Filters > 128*128; f.shared {
		f.block = 144
	}
	f.weights = make([]float32, nPlanes*s.Channels*f.cols)
	for o := range s.Filters {
		for c := range s.Channels {
			for p, v := range transformFrozenWeight(weight[(o*s.Channels+c)*9:][:9]) {
				f.weights[((p*f.cols/panel+o/panel)*s.Channels+c)*panel+o%panel] = v
			}
		}
	}
	return f
}

// weightRows transform a column of three weights to six values.
var weightRows = [tileIn][taps]float64{
	{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
	{1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1},
}

// transformFrozenWeight transforms 3×3 weights, in float64. A product is rounded
// before it is added, on every machine.
func transformFrozenWeight(g []float32) (planes [nPlanes]float32) {
	var half [tileIn][taps]float64
	for i, row := range weightRows {
		for j := range taps {
			for k, factor := range row {
				half[i][j] += float64(factor * float64(g[k*taps+j]))
			}
		}
	}
	for i := range tileIn {
		for j, row := range weightRows {
			var sum float64
			for k, factor := range row {
				sum += float64(factor * half[i][k])
			}
			planes[i*tileIn+j] = float32(sum)
		}
	}
	return planes
}

// forwardWinograd computes the convolution of n images.
func (f *FrozenConv) forwardWinograd(n int, out, in []float32) {
	v := f.winograd
	depth := v.shape.Channels
	tiles := n * v.perImage()
	if !v.shared {
		// At least two blocks for each processor, where that leaves them large enough.
		blocks := max((tiles+v.block-1)/v.block, min(2*runtime.GOMAXPROCS(0), tiles/(2*maxRows)))
		parallel(blocks, func(w *worker, i int) {
			first, last := i*tiles/blocks, (i+1)*tiles/blocks
			planes, sums := v.planes(w, last-first)
			v.inputPlanes(w, planes, in, first, first, last, planeDistance((last-first)*depth))
			for p := range nPlanes {
				v.multiply(w, sums, planes, p, last-first)
			}
			f.fromPlanes(w, sums, out, first, first, last, last-first)
		})
		return
	}
	owner := workers.get()
	defer workers.put(owner)
	blocks := (tiles + v.block - 1) / v.block
	for i := range blocks {
		first, last := i*tiles/blocks, (i+1)*tiles/blocks
		count := last - first
		planes, sums := v.planes(owner, count)
		const few = 8
		pieces := (count + few - 1) / few
		parallel(pieces, func(w *worker, j int) {
			v.inputPlanes(w, planes, in, first, first+j*count/pieces, first+(j+1)*count/pieces, planeDistance(count*depth))
		})
		parallel(nPlanes, func(w *worker, p int) { v.multiply(w, sums, planes, p, count) })
		parallel(pieces, func(w *worker, j int) {
			f.fromPlanes(w, sums, out, first, first+j*count/pieces, first+(j+1)*count/pieces, count)
		})
	}
}

// planes returns room for the planes of count tiles of the input, and for their sums.
func (v *frozenWinograd) planes(w *worker, count int) (planes, sums []float32) {
	size := nPlanes * planeDistance(count*v.shape.Channels)
	all := room(&w.planes, size+nPlanes*planeDistance(count*v.cols))
	return all[:size], all[size:]
}

// multiply computes one plane of the sums of count tiles.
func (v *frozenWinograd) multiply(w *worker, sums, planes []float32, plane, count int) {
	depth := v.shape.Channels
	multiplyPlane(w, sums[plane*planeDistance(count*v.cols):], planes[plane*planeDistance(count*depth):],
		v.weights[plane*depth*v.cols:], count, depth, v.cols)
}

// fromPlanes transforms the sums of the tiles first .. last-1, which are among those
// of count tiles from origin on, to output, with bias and ReLU.
func (f *FrozenConv) fromPlanes(w *worker, sums, out []float32, origin, first, last, count int) {
	v := f.winograd
	w.winograd.bias, w.winograd.floor = f.bias, v.floor
	v.outputFrom(w, out, sums, v.cols, origin, first, last, planeDistance(count*v.cols))
	w.winograd.sound() // nobody asks
}
