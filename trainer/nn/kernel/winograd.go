package kernel

// A 3×3 convolution of stride 1 is computed by Winograd's method F(4×4, 3×3) (Lavin
// and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): a tile of
// 6×6 pixels is transformed to 36 numbers a channel, each of 36 planes is multiplied
// with its own weights, and the sums are transformed back to 4×4 pixels: a quarter of
// the multiplications. The gradients are the adjoints of these steps: they take the
// same 36 products and the transposed transforms. Rounding errors are a few times
// larger, and a value that is not finite turns its whole tile into NaN.

const (
	taps    = 3               // width of the weights
	tileIn  = 6               // width of a tile of the input
	tileOut = 4               // and of the output
	nPlanes = tileIn * tileIn // products in the place of a convolution
)

// tiling is the division of a convolution's images into tiles.
type tiling struct {
	shape               ConvShape
	outHeight, outWidth int
	down, across        int // tiles of an image
}

func newTiling(s ConvShape) tiling {
	height, width := s.Output()
	return tiling{s, height, width, (height + tileOut - 1) / tileOut, (width + tileOut - 1) / tileOut}
}

// perImage is the number of tiles of an image.
func (g *tiling) perImage() int { return g.down * g.across }

// place is where a tile lies: its image and its first output row and column.
type place struct{ image, row, col int }

func (g *tiling) place(tile int) place {
	image, tile := tile/g.perImage(), tile%g.perImage()
	return place{image, tile / g.across * tileOut, tile % g.across * tileOut}
}

// next is the place of the tile after the one at p. It spares the divisions.
func (g *tiling) next(p place) place {
	if p.col += tileOut; p.col < g.outWidth {
		return p
	}
	if p.row += tileOut; p.row < g.outHeight {
		return place{p.image, p.row, 0}
	}
	return place{p.image + 1, 0, 0}
}

// planeDistance is the distance of planes of so many values: whole cache lines, and
// an odd number of them, so that what belongs to one tile does not fall into the same
// few places of the cache.
func planeDistance(values int) int { return ((values+panel-1)/panel | 1) * panel }

// winogradTile is the argument of the transforms. The assembly knows the offsets of
// these fields; TestLayout checks them.
type winogradTile struct {
	in, out   []float32
	bias      []float32
	between   []float32 // nPlanes*panel values, for the assembly
	row, step int       // distances of the pixels' rows and columns
	plane     int       // distance of the planes
	parts     int       // summed by the transform of the weights' gradient
	floor     float32
	spoilt    [panel]float32 // NaN somewhere once a result was not finite
	zero      [panel]float32
}

// transform is the argument of the worker's transforms.
func (w *worker) transform() *winogradTile {
	if w.winograd.between == nil {
		w.winograd.between = make([]float32, nPlanes*panel)
	}
	return &w.winograd
}

// sound reports whether all results since the last call were finite.
func (t *winogradTile) sound() bool {
	var sum float32
	for _, v := range t.spoilt {
		sum += v
	}
	t.spoilt = t.zero
	return sum == 0
}

// inputPlanes transforms the tiles first .. last-1 of the input; planes are those of
// the tiles from origin on, at the given distance.
func (g *tiling) inputPlanes(w *worker, planes, in []float32, origin, first, last, distance int) {
	s, t := &g.shape, w.transform()
	t.plane = distance
	at := g.place(first)
	for tile := first; tile < last; tile, at = tile+1, g.next(at) {
		t.in, t.row, t.step = patch(w, in[at.image*s.Height*s.Width*s.Channels:], s.Height, s.Width, s.Channels, at.row-s.Padding, at.col-s.Padding, tileIn)
		t.out = planes[(tile-origin)*s.Channels:]
		winogradInput(t, s.Channels)
	}
}

// patch returns size×size pixels of an image, of which height×width exist, and the
// distances of their rows and columns. A patch that sticks out is copied, with zeros
// around it.
func patch(w *worker, image []float32, height, width, channels, row, col, size int) (pixels []float32, rowStep, step int) {
	if row >= 0 && col >= 0 && row+size <= height && col+size <= width {
		return image[(row*width+col)*channels:], width * channels, channels
	}
	pixels = room(&w.padded, size*size*channels)
	clear(pixels)
	left, right := max(col, 0), min(col+size, width)
	for h := max(row, 0); h < min(row+size, height) && left < right; h++ {
		copy(pixels[((h-row)*size+left-col)*channels:], image[(h*width+left)*channels:][:(right-left)*channels])
	}
	return pixels, size * channels, channels
}

// outputFrom transforms the sums of the tiles first .. last-1 to output; sums are the
// planes of the tiles from origin on, at the given distance, with cols filters.
func (g *tiling) outputFrom(w *worker, out, sums []float32, cols, origin, first, last, distance int) {
	s, t := &g.shape, w.transform()
	t.plane = distance
	p := g.place(first)
	for tile := first; tile < last; tile, p = tile+1, g.next(p) {
		t.in = sums[(tile-origin)*cols:]
		at := ((p.image*g.outHeight+p.row)*g.outWidth + p.col) * s.Filters
		if p.row+tileOut <= g.outHeight && p.col+tileOut <= g.outWidth {
			t.out, t.row, t.step = out[at:], g.outWidth*s.Filters, s.Filters
			winogradOutput(t, s.Filters)
			continue
		}
		t.out, t.row, t.step = room(&w.padded, tileOut*tileOut*s.Filters), tileOut*s.Filters, s.Filters
		winogradOutput(t, s.Filters)
		for h := range min(tileOut, g.outHeight-p.row) {
			copy(out[at+h*g.outWidth*s.Filters:], t.out[h*t.row:][:min(tileOut, g.outWidth-p.col)*s.Filters])
		}
	}
}

// multiplyPlane computes sums [count][cols] of a plane [count][depth] with its
// weights [panel of cols][depth][16].
func multiplyPlane(w *worker, sums, plane, weights []float32, count, depth, cols int) {
	w.tile = tile{
		a: plane, b: weights, c: sums, segments: append(w.segmentSpace(1), segment{}),
		aRow: depth, aStep: 1, bStep: panel, bPanel: depth * panel, cRow: cols, depth: depth,
	}
	w.product(count, cols)
}
