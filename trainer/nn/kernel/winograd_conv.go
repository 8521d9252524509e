package kernel

import (
	"math"
	"sync/atomic"
)

// convWinograd computes a convolution and its gradients by Winograd's method.
//
// A value that is not finite would spread over its tile. So each pass notes which of
// its results are not finite, and these are computed again by the direct method.
type convWinograd struct {
	tiling
	weights []float32 // [plane][panel of columns][row][16]; of the pass that was last
	partial []float32 // weight gradient of each chunk, as [plane][channel][filter]
	again   []bool    // images whose result is not finite
	spoilt  atomic.Bool
	call    winogradCall
	pieces  winogradPieces
}

// winogradCall is what the pass under way was given, and its division.
type winogradCall struct {
	n, parts                     int // images, and blocks or chunks of them
	out, in                      []float32
	weight, bias, gradOut        []float32
	rows, cols, rowStep, colStep int // of the weights
}

// part returns the images of a block or chunk.
func (c *winogradCall) part(i int) (first, last int) {
	return i * c.n / c.parts, (i + 1) * c.n / c.parts
}

// winogradPieces are the parallel parts of the passes.
type winogradPieces struct {
	weights, forward, input, partial, fold func(w *worker, i int)
}

// newConvWinograd returns nil for a shape that the method does not serve. The choice
// knows no batch: an image has the same result alone and in company.
func newConvWinograd(s ConvShape) *convWinograd {
	const enough = 4 // tiles of an image, from which on the transform of the weights pays
	f := &convWinograd{tiling: newTiling(s)}
	if s.KernelHeight != taps || s.KernelWidth != taps || s.Stride != 1 || s.Channels%panel != 0 || s.Filters%panel != 0 || f.perImage() < enough {
		return nil
	}
	f.pieces = winogradPieces{f.weightsPanel, f.forwardBlock, f.inputBlock, f.partialChunk, f.foldChannel}
	f.weights = make([]float32, f.planesSize())
	f.again = make([]bool, s.Batch)
	return f
}

// spoiltImages are the images to compute again, or nil for none.
func (f *convWinograd) spoiltImages() []bool {
	if f.spoilt.Swap(false) {
		return f.again
	}
	return nil
}

// note remembers which of the images first .. last-1 have a result, of size values,
// that is not finite.
func (f *convWinograd) note(w *worker, result []float32, size, first, last int) {
	sound := w.winograd.sound()
	for i := first; i < last; i++ {
		f.again[i] = !sound && !finite(result[i*size:(i+1)*size])
		if f.again[i] {
			f.spoilt.Store(true)
		}
	}
}

func finite(v []float32) bool {
	for _, x := range v {
		if x-x != 0 {
			return false
		}
	}
	return true
}

// blockImages is the number of images whose planes stay near the processor.
func (f *convWinograd) blockImages() int {
	const near = 220 << 10 // values
	tiles := max(4*maxRows, near/(nPlanes*(f.shape.Channels+f.shape.Filters)))
	return max(1, tiles/f.perImage())
}

// overBlocks calls piece for blocks of images. Their division is chosen for speed
// alone.
func (f *convWinograd) overBlocks(piece func(w *worker, i int)) {
	n, processors, limit := f.call.n, share(), f.blockImages()
	blocks := (n + limit - 1) / limit
	f.call.parts = min(n, (blocks+processors-1)/processors*processors)
	parallel(f.call.parts, piece)
}

// forward computes Conv.Forward, and returns the images to compute again.
func (f *convWinograd) forward(n int, out, in, weight, bias []float32) (again []bool) {
	channels, filters := f.shape.Channels, f.shape.Filters
	f.call = winogradCall{
		n: n, out: out, in: in, weight: weight, bias: bias,
		rows: channels, cols: filters, rowStep: taps * taps, colStep: taps * taps * channels,
	}
	parallel(filters/panel, f.pieces.weights)
	f.overBlocks(f.pieces.forward)
	return f.spoiltImages()
}

// forwardBlock computes a block of images of the output.
func (f *convWinograd) forwardBlock(w *worker, i int) {
	channels, filters := f.shape.Channels, f.shape.Filters
	from, to := f.call.part(i)
	first, last := from*f.perImage(), to*f.perImage()
	count := last - first
	planes, sums := f.planes(w, count, channels, filters)
	f.inputPlanes(w, planes, f.call.in, first, first, last, planeDistance(count*channels))
	f.multiply(w, sums, planes, count)
	w.winograd.bias, w.winograd.floor = f.call.bias, float32(math.Inf(-1))
	f.outputFrom(w, f.call.out, sums, filters, first, first, last, planeDistance(count*filters))
	f.note(w, f.call.out, f.outHeight*f.outWidth*filters, from, to)
}

// planes returns room for two kinds of planes of count tiles, whose pixels have first
// and second values.
func (f *convWinograd) planes(w *worker, count, first, second int) (a, b []float32) {
	size := nPlanes * planeDistance(count*first)
	all := room(&w.planes, size+nPlanes*planeDistance(count*second))
	return all[:size], all[size:]
}

// multiply computes the sums [plane][count][cols] of planes [plane][count][rows].
func (f *convWinograd) multiply(w *worker, sums, planes []float32, count int) {
	rows, cols := f.call.rows, f.call.cols
	for p := range nPlanes {
		multiplyPlane(w, sums[p*planeDistance(count*cols):], planes[p*planeDistance(count*rows):], f.weights[p*planeDistance(rows*cols):], count, rows, cols)
	}
}

// weightsPanel transforms the weights of a panel of columns.
func (f *convWinograd) weightsPanel(w *worker, p int) {
	c, t := &f.call, w.transform()
	packed := (*[taps * taps * panel]float32)(w.edge[:])
	t.in, t.step, t.plane = packed[:], panel, planeDistance(c.rows*c.cols)
	for r := range c.rows {
		for j := range panel {
			from := (*[taps * taps]float32)(c.weight[r*c.rowStep+(p*panel+j)*c.colStep:])
			packed[j], packed[panel+j], packed[2*panel+j] = from[0], from[1], from[2]
			packed[3*panel+j], packed[4*panel+j], packed[5*panel+j] = from[3], from[4], from[5]
			packed[6*panel+j], packed[7*panel+j], packed[8*panel+j] = from[6], from[7], from[8]
		}
		t.out = f.weights[(p*c.rows+r)*panel:]
		winogradWeight(t, panel)
	}
}

// inputGradient computes Conv.InputGradient, and returns the images to compute again.
func (f *convWinograd) inputGradient(n int, gradIn, gradOut, weight []float32) (again []bool) {
	channels, filters := f.shape.Channels, f.shape.Filters
	f.call = winogradCall{
		n: n, out: gradIn, gradOut: gradOut, weight: weight,
		rows: filters, cols: channels, rowStep: taps * taps * channels, colStep: taps * taps,
	}
	parallel(channels/panel, f.pieces.weights)
	f.overBlocks(f.pieces.input)
	return f.spoiltImages()
}

// inputBlock computes a block of images of the input gradient.
func (f *convWinograd) inputBlock(w *worker, i int) {
	channels, filters := f.shape.Channels, f.shape.Filters
	first, last := f.call.part(i)
	count := (last - first) * f.perImage()
	planes, sums := f.planes(w, count, filters, channels)
	f.outputGradientPlanes(w, planes, f.call.gradOut, first, last)
	f.multiply(w, sums, planes, count)
	for image := first; image < last; image++ {
		f.inputGradientFrom(w, f.call.out, sums[(image-first)*f.perImage()*channels:], image, count)
	}
	f.note(w, f.call.out, f.shape.Height*f.shape.Width*channels, first, last)
}

// outputGradientPlanes transforms the output gradient of the images first .. last-1.
func (f *convWinograd) outputGradientPlanes(w *worker, planes, gradOut []float32, first, last int) {
	filters, t := f.shape.Filters, w.transform()
	tiles := (last - first) * f.perImage()
	t.plane = planeDistance(tiles * filters)
	at := place{image: first}
	for tile := 0; tile < tiles; tile, at = tile+1, f.next(at) {
		t.in, t.row, t.step = patch(w, gradOut[at.image*f.outHeight*f.outWidth*filters:], f.outHeight, f.outWidth, filters, at.row, at.col, tileOut)
		t.out = planes[tile*filters:]
		winogradOutputGradient(t, filters)
	}
}

// inputGradientFrom transforms the sums of an image, which are among the planes of
// count tiles, to its part of the input gradient. The tiles overlap, and are added in
// their order.
func (f *convWinograd) inputGradientFrom(w *worker, gradIn, sums []float32, image, count int) {
	s, t := f.shape, w.transform()
	height, width := f.down*tileOut+taps-1, f.across*tileOut+taps-1 // of all tiles together
	own := gradIn[image*s.Height*s.Width*s.Channels:][:s.Height*s.Width*s.Channels]
	all := own
	if s.Padding > 0 || height > s.Height || width > s.Width {
		all = room(&w.image, height*width*s.Channels)
	}
	clear(all)
	t.row, t.step, t.plane = width*s.Channels, s.Channels, planeDistance(count*s.Channels)
	var at place
	for tile := 0; at.image == 0; tile, at = tile+1, f.next(at) {
		t.in, t.out = sums[tile*s.Channels:], all[at.row*t.row+at.col*t.step:]
		winogradInputGradient(t, s.Channels)
	}
	if len(all) == len(own) {
		return
	}
	line := s.Width * s.Channels
	for h := range s.Height {
		copy(own[h*line:(h+1)*line], all[(h+s.Padding)*t.row+s.Padding*t.step:])
	}
}

// chunks is the number of partial sums of a weight gradient over n images: a few,
// where each has enough tiles.
func (f *convWinograd) chunks(n int) int {
	const few, enough = 4, 48
	return max(1, min(few, n, n*f.perImage()/enough))
}

// weightGradient computes the gradient of the weights in Conv.WeightGradient. It
// returns false when there are too few tiles for it to pay, or some result is not
// finite.
func (f *convWinograd) weightGradient(n int, gradWeight, gradOut, in []float32) bool {
	const enough = 20 // tiles
	if n*f.perImage() < enough {
		return false
	}
	once(&f.partial, f.chunks(f.shape.Batch)*f.planesSize())
	f.call = winogradCall{n: n, parts: f.chunks(n), out: gradWeight, gradOut: gradOut, in: in}
	parallel(f.call.parts, f.pieces.partial)
	parallel(f.shape.Channels, f.pieces.fold)
	return !f.spoilt.Swap(false)
}

// planesSize is the number of values of the planes of a weight gradient.
func (f *convWinograd) planesSize() int {
	return nPlanes * planeDistance(f.shape.Channels*f.shape.Filters)
}

// partialChunk sums the products of the planes of input and output gradient over a
// chunk of images.
func (f *convWinograd) partialChunk(w *worker, i int) {
	first, last := f.call.part(i)
	sums := f.partial[i*f.planesSize():][:f.planesSize()]
	limit := f.blockImages()
	blocks := (last - first + limit - 1) / limit
	for b := range blocks {
		f.addProducts(w, sums, first+b*(last-first)/blocks, first+(b+1)*(last-first)/blocks, b > 0)
	}
}

// addProducts computes the products of the images first .. last-1, and adds what the
// sums are already if add is set.
func (f *convWinograd) addProducts(w *worker, sums []float32, first, last int, add bool) {
	channels, filters, per := f.shape.Channels, f.shape.Filters, f.perImage()
	count := (last - first) * per
	planes, gradients := f.planes(w, count, channels, filters)
	f.inputPlanes(w, planes, f.call.in, first*per, first*per, last*per, planeDistance(count*channels))
	f.outputGradientPlanes(w, gradients, f.call.gradOut, first, last)
	for p := range nPlanes {
		sum := sums[p*planeDistance(channels*filters):]
		w.tile = tile{
			a: planes[p*planeDistance(count*channels):], b: gradients[p*planeDistance(count*filters):], c: sum, segments: append(w.segmentSpace(1), segment{}),
			aRow: 1, aStep: channels, bStep: filters, bPanel: panel, cRow: filters, depth: count,
		}
		if add {
			w.tile.extra = sum
		}
		w.product(channels, filters)
	}
}

// foldChannel transforms the sum of all chunks to the weight gradient of a channel.
func (f *convWinograd) foldChannel(w *worker, c int) {
	channels, filters := f.shape.Channels, f.shape.Filters
	t := w.transform()
	t.in, t.row, t.plane, t.parts = f.partial[c*filters:], f.planesSize(), planeDistance(channels*filters), f.call.parts
	t.out, t.step = room(&w.padded, taps*taps*filters), filters
	winogradWeightGradient(t, filters)
	for o := range filters {
		to := f.call.out[(o*channels+c)*taps*taps:][:taps*taps]
		for k := range to {
			to[k] = t.out[k*filters+o]
		}
	}
	if !t.sound() {
		f.spoilt.Store(true)
	}
}
