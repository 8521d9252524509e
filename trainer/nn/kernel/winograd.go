package kernel

import (
	"math"
	"runtime"
)

// A frozen 3×3 convolution of stride 1 is computed by Winograd's method F(4×4, 3×3)
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): a
// tile of 6×6 pixels is transformed to 36 numbers a channel, each of 36 planes is
// multiplied with its own weights, and the sums are transformed back to 4×4 pixels:
// a quarter of the multiplications. Rounding errors are a few times larger, and a
// value that is not finite turns its whole tile into NaN.

const (
	tileIn  = 6               // width of a tile of the input
	tileOut = 4               // and of the output
	nPlanes = tileIn * tileIn // products in the place of a convolution
)

// winograd is the convolution's weights and division into tiles.
type winograd struct {
	weights        []float32 // [plane][panel of filters][channel][16]
	down, across   int       // tiles of an image
	block          int       // tiles worked on at once
	shared         bool      // by all processors together, instead of one block each
	floor          float32
	channels, cols int // of a plane: channels, and filters in whole panels
}

// newWinograd transforms the weights. The block is chosen for speed alone.
func newWinograd(s ConvShape, weight []float32, relu bool) *winograd {
	height, width := s.Output()
	w := &winograd{
		down: (height + tileOut - 1) / tileOut, across: (width + tileOut - 1) / tileOut,
		channels: s.Channels, cols: panels(s.Filters), floor: float32(math.Inf(-1)),
	}
	if relu {
		w.floor = 0
	}
	const near = 400 << 10 // values
	w.block = max(48, near/(nPlanes*(w.channels+w.cols))/maxRows*maxRows)
	if w.shared = s.Channels*s.Filters > 128*128; w.shared {
		w.block = 144
	}
	w.weights = make([]float32, nPlanes*s.Channels*w.cols)
	for o := range s.Filters {
		for c := range s.Channels {
			for p, v := range transformWeight(weight[(o*s.Channels+c)*9:][:9]) {
				w.weights[((p*w.cols/panel+o/panel)*s.Channels+c)*panel+o%panel] = v
			}
		}
	}
	return w
}

// weightRows transform a column of three weights to six values.
var weightRows = [tileIn][3]float64{
	{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
	{1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1},
}

// transformWeight transforms 3×3 weights, in float64. A product is rounded before
// it is added, on every machine.
func transformWeight(g []float32) (planes [nPlanes]float32) {
	var half [tileIn][3]float64
	for i, row := range weightRows {
		for j := range 3 {
			for k, factor := range row {
				half[i][j] += float64(factor * float64(g[k*3+j]))
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

// winogradTile is the argument of the two transforms. The assembly knows the
// offsets of these fields; TestLayout checks them.
type winogradTile struct {
	in, out   []float32
	bias      []float32
	row, step int // distances of the pixels' rows and columns
	plane     int // distance of the planes
	floor     float32
	between   [nPlanes * panel]float32 // for the assembly
}

// forwardWinograd computes the convolution of n images.
func (f *FrozenConv) forwardWinograd(n int, out, in []float32) {
	v := f.winograd
	tiles := n * v.down * v.across
	if !v.shared {
		// At least two blocks for each processor, where that leaves them large enough.
		blocks := max((tiles+v.block-1)/v.block, min(2*runtime.GOMAXPROCS(0), tiles/(2*maxRows)))
		parallel(blocks, func(w *worker, i int) {
			first, last := i*tiles/blocks, (i+1)*tiles/blocks
			planes := room(&w.planes, nPlanes*(last-first)*(v.channels+v.cols))
			f.toPlanes(w, planes, in, first, first, last, last-first)
			for p := range nPlanes {
				v.multiply(w, planes, p, last-first)
			}
			f.fromPlanes(w, planes, out, first, first, last, last-first)
		})
		return
	}
	owner := workers.get()
	defer workers.put(owner)
	blocks := (tiles + v.block - 1) / v.block
	for i := range blocks {
		first, last := i*tiles/blocks, (i+1)*tiles/blocks
		count := last - first
		planes := room(&owner.planes, nPlanes*count*(v.channels+v.cols))
		const few = 8
		pieces := (count + few - 1) / few
		parallel(pieces, func(w *worker, j int) {
			f.toPlanes(w, planes, in, first, first+j*count/pieces, first+(j+1)*count/pieces, count)
		})
		parallel(nPlanes, func(w *worker, p int) { v.multiply(w, planes, p, count) })
		parallel(pieces, func(w *worker, j int) {
			f.fromPlanes(w, planes, out, first, first+j*count/pieces, first+(j+1)*count/pieces, count)
		})
	}
}

// place is where a tile lies: its image and its first output row and column.
func (v *winograd) place(tile int) (image, row, col int) {
	image, tile = tile/(v.down*v.across), tile%(v.down*v.across)
	return image, tile / v.across * tileOut, tile % v.across * tileOut
}

// toPlanes transforms the tiles first .. last-1 of the input; planes are those of
// count tiles from the tile origin on.
func (f *FrozenConv) toPlanes(w *worker, planes, in []float32, origin, first, last, count int) {
	s, v, t := f.shape, f.winograd, &w.winograd
	t.plane = count * v.channels
	for tile := first; tile < last; tile++ {
		image, row, col := v.place(tile)
		row, col = row-s.Padding, col-s.Padding
		if row >= 0 && col >= 0 && row+tileIn <= s.Height && col+tileIn <= s.Width {
			t.in, t.row, t.step = in[((image*s.Height+row)*s.Width+col)*s.Channels:], s.Width*s.Channels, s.Channels
		} else {
			t.in, t.row, t.step = f.patch(w, in, image, row, col), tileIn*s.Channels, s.Channels
		}
		t.out = planes[(tile-origin)*v.channels:]
		winogradInput(t, s.Channels)
	}
}

// patch copies a tile that sticks out of the input, with zeros around it.
func (f *FrozenConv) patch(w *worker, in []float32, image, row, col int) []float32 {
	s := f.shape
	patch := room(&w.padded, nPlanes*s.Channels)
	clear(patch)
	left, right := max(col, 0), min(col+tileIn, s.Width)
	for h := max(row, 0); h < min(row+tileIn, s.Height) && left < right; h++ {
		from := in[((image*s.Height+h)*s.Width+left)*s.Channels:][:(right-left)*s.Channels]
		copy(patch[((h-row)*tileIn+left-col)*s.Channels:], from)
	}
	return patch
}

// multiply computes one plane of the sums of count tiles.
func (v *winograd) multiply(w *worker, planes []float32, plane, count int) {
	sums := planes[nPlanes*count*v.channels:]
	w.tile = tile{
		a: planes[plane*count*v.channels:], b: v.weights[plane*v.channels*v.cols:], c: sums[plane*count*v.cols:],
		segments: append(w.segmentSpace(1), segment{}),
		aRow:     v.channels, aStep: 1, bStep: panel, bPanel: v.channels * panel, cRow: v.cols, depth: v.channels,
	}
	w.product(count, v.cols)
}

// fromPlanes transforms the sums of the tiles first .. last-1 to output, with bias
// and ReLU.
func (f *FrozenConv) fromPlanes(w *worker, planes, out []float32, origin, first, last, count int) {
	s, v, t := f.shape, f.winograd, &w.winograd
	sums := planes[nPlanes*count*v.channels:]
	t.plane, t.bias, t.floor = count*v.cols, f.bias, v.floor
	for tile := first; tile < last; tile++ {
		image, row, col := v.place(tile)
		t.in = sums[(tile-origin)*v.cols:]
		at := ((image*f.outHeight+row)*f.outWidth + col) * s.Filters
		if row+tileOut <= f.outHeight && col+tileOut <= f.outWidth {
			t.out, t.row, t.step = out[at:], f.outWidth*s.Filters, s.Filters
			winogradOutput(t, s.Filters)
			continue
		}
		t.out, t.row, t.step = room(&w.padded, tileOut*tileOut*s.Filters), tileOut*s.Filters, s.Filters
		winogradOutput(t, s.Filters)
		for h := range min(tileOut, f.outHeight-row) {
			copy(out[at+h*f.outWidth*s.Filters:], t.out[h*t.row:][:min(tileOut, f.outWidth-col)*s.Filters])
		}
	}
}

// winogradInputPlain transforms a tile of pixels for the channels from .. to-1.
func winogradInputPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [nPlanes]float32
		for j := range tileIn {
			var d [tileIn]float32
			for i := range d {
				d[i] = t.in[i*t.row+j*t.step+c]
			}
			for i, v := range transformInput(d) {
				half[i*tileIn+j] = v
			}
		}
		for i := range tileIn {
			for j, v := range transformInput([tileIn]float32(half[i*tileIn:])) {
				t.out[(i*tileIn+j)*t.plane+c] = v
			}
		}
	}
}

// winogradOutputPlain transforms the sums of a tile for the channels from .. to-1.
func winogradOutputPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [tileOut][tileIn]float32
		for j := range tileIn {
			var m [tileIn]float32
			for i := range m {
				m[i] = t.in[(i*tileIn+j)*t.plane+c]
			}
			for i, v := range transformOutput(m) {
				half[i][j] = v
			}
		}
		for i, row := range half {
			for j, v := range transformOutput(row) {
				v += t.bias[c]
				if v < t.floor {
					v = t.floor
				}
				t.out[i*t.row+j*t.step+c] = v
			}
		}
	}
}

// transformInput transforms six pixels of a row or column.
func transformInput(d [tileIn]float32) [tileIn]float32 {
	p, q := fma32(-4, d[2], d[4]), fma32(-4, d[1], d[3])
	r, s := d[4]-d[2], d[3]-d[1]
	return [tileIn]float32{
		fma32(4, d[0], fma32(-5, d[2], d[4])), p + q, p - q,
		fma32(2, s, r), fma32(-2, s, r), fma32(4, d[1], fma32(-5, d[3], d[5])),
	}
}

// transformOutput transforms six sums of a row or column to four.
func transformOutput(m [tileIn]float32) [tileOut]float32 {
	s, d, u, v := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	return [tileOut]float32{(m[0] + s) + u, fma32(2, v, d), fma32(4, u, s), fma32(8, v, d) + m[5]}
}
