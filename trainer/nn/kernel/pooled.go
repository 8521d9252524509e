package kernel

import "fmt"

// PooledBatchNorm is batch normalisation, with an optional ReLU behind it, and
// max-pooling of 2×2 windows, in one: neither the normalised images nor their
// gradient are ever written. The first of equal values in a window, row by row,
// receives the gradient; a NaN in it is its maximum.
type PooledBatchNorm struct {
	norm  *BatchNorm
	width int // of the images

	// What the operation under way was given, and the parallel parts, made once: to
	// make one is an allocation.
	call                 poolCall
	forward, sums, input func(w *worker, i int)
}

// pooledRow is the argument of the kernels: one row of windows. The assembly knows
// the offsets of these fields; TestLayout checks them.
type pooledRow struct {
	top, bottom           []float32 // the two rows of the input
	out                   []float32 // the row of the result
	dOut                  []float32 // its gradient
	dTop, dBottom         []float32 // gradients of the input rows
	scale, offset, center []float32 // one value per channel, as are the next
	first, second, third  []float32
	pixels, stride        int // of out
	floor                 float32
}

// NewPooledBatchNorm makes one for up to batch images of even height and width.
func NewPooledBatchNorm(batch, height, width, channels int, relu bool) (*PooledBatchNorm, error) {
	if height%2 != 0 || width%2 != 0 {
		return nil, fmt.Errorf("pooled batch normalisation of %d×%d images: height and width must be even", height, width)
	}
	norm, err := NewBatchNorm(batch*height*width, channels, relu)
	if err != nil {
		return nil, err
	}
	p := &PooledBatchNorm{norm: norm, width: width}
	p.forward, p.sums, p.input = p.forwardChunk, p.sumChunk, p.inputChunk
	rows := batch * height / 2
	norm.partial = make([]float32, (rows+p.chunkRows()-1)/p.chunkRows()*2*channels)
	return p, nil
}

// Train computes out, a quarter the size of in, as [BatchNorm.Train] does.
func (p *PooledBatchNorm) Train(out, in, gamma, beta, runningMean, runningVar []float32, momentum float64) {
	p.norm.measure(in, runningMean, runningVar, momentum)
	p.apply(out, in, gamma, beta)
}

// Apply computes out, a quarter the size of in, as [BatchNorm.Apply] does.
func (p *PooledBatchNorm) Apply(out, in, gamma, beta, runningMean, runningVar []float32) {
	p.norm.use(runningMean, runningVar)
	p.apply(out, in, gamma, beta)
}

func (p *PooledBatchNorm) apply(out, in, gamma, beta []float32) {
	p.norm.prepare(gamma, beta)
	p.call = poolCall{out: out, in: in}
	parallel(p.chunks(in), p.forward)
}

func (p *PooledBatchNorm) forwardChunk(w *worker, i int) { p.rows(w, i, pooledForward) }

// Gradient computes the gradients of input, gamma and beta from the gradient of
// the output and the input of the last Train or Apply.
func (p *PooledBatchNorm) Gradient(gradIn, gradGamma, gradBeta, gradOut, in, gamma []float32) {
	b := p.norm
	chunks := p.chunks(in)
	p.call = poolCall{in: in, gradOut: gradOut, gradIn: gradIn}
	parallel(chunks, p.sums)
	b.fold(chunks)
	b.slopes(len(in)/b.channels, gradGamma, gradBeta, gamma)
	parallel(chunks, p.input)
}

// sumChunk adds up one chunk of rows.
func (p *PooledBatchNorm) sumChunk(w *worker, i int) {
	b := p.norm
	part := b.partial[i*2*b.channels : (i+1)*2*b.channels]
	clear(part)
	w.pooled.first, w.pooled.second = part[:b.channels], part[b.channels:]
	p.rows(w, i, pooledSums)
}

// inputChunk computes the gradient of one chunk of rows.
func (p *PooledBatchNorm) inputChunk(w *worker, i int) {
	f := &p.norm.factors
	w.pooled.first, w.pooled.second, w.pooled.third = f[0], f[1], f[2]
	p.rows(w, i, pooledInput)
}

// chunkRows is the number of rows of windows in a chunk: about as many positions as
// in one of a batch normalisation.
func (p *PooledBatchNorm) chunkRows() int { return max(1, normRows/(2*p.width)) }

// windowRows is the number of rows of windows in images.
func (p *PooledBatchNorm) windowRows(in []float32) int {
	return len(in) / (2 * p.width * p.norm.channels)
}

func (p *PooledBatchNorm) chunks(in []float32) int {
	return (p.windowRows(in) + p.chunkRows() - 1) / p.chunkRows()
}

// rows runs a kernel on each row of windows of a chunk.
func (p *PooledBatchNorm) rows(w *worker, chunk int, kernel func(*pooledRow, int)) {
	b, r, c := p.norm, &w.pooled, &p.call
	r.scale, r.offset, r.center, r.floor = b.scale, b.offset, b.center, b.floor
	r.pixels, r.stride = p.width/2, b.channels
	row := p.width * b.channels
	for i := chunk * p.chunkRows(); i < min((chunk+1)*p.chunkRows(), p.windowRows(c.in)); i++ {
		r.top, r.bottom = c.in[2*i*row:], c.in[(2*i+1)*row:]
		r.out, r.dOut = from(c.out, i*row/2), from(c.gradOut, i*row/2)
		r.dTop, r.dBottom = from(c.gradIn, 2*i*row), from(c.gradIn, (2*i+1)*row)
		kernel(r, b.channels)
	}
}

// window is where the inputs of window i of a row are, for channel 0.
func (r *pooledRow) window(i int) [4][]float32 {
	left, right := 2*i*r.stride, (2*i+1)*r.stride
	return [4][]float32{r.top[left:], r.top[right:], r.bottom[left:], r.bottom[right:]}
}

// largest gives the largest normalised input of a window in channel c, which input
// that is, and the inputs less the center.
func (r *pooledRow) largest(window [4][]float32, c int) (largest float32, chosen int, centred [4]float32) {
	for i, x := range window {
		centred[i] = x[c] - r.center[c]
		if y := fma32(centred[i], r.scale[c], r.offset[c]); i == 0 || y > largest || y != y {
			largest, chosen = y, i
		}
	}
	return largest, chosen, centred
}

// passed is the gradient of window i where its largest value is above the floor,
// else zero.
func (r *pooledRow) passed(largest float32, i, c int) float32 {
	if largest > r.floor {
		return r.dOut[i*r.stride+c]
	}
	return 0
}

// pooledForwardPlain computes a row of results for the channels from .. to-1.
func pooledForwardPlain(r *pooledRow, from, to int) {
	for i := range r.pixels {
		window := r.window(i)
		for c := from; c < to; c++ {
			y, _, _ := r.largest(window, c)
			if y < r.floor {
				y = r.floor
			}
			r.out[i*r.stride+c] = y
		}
	}
}

// pooledSumsPlain adds to first the gradients that pass the floor, and to second
// those times the largest input less the center.
func pooledSumsPlain(r *pooledRow, from, to int) {
	for i := range r.pixels {
		window := r.window(i)
		for c := from; c < to; c++ {
			y, chosen, centred := r.largest(window, c)
			d := r.passed(y, i, c)
			r.first[c] += d
			r.second[c] = fma32(d, centred[chosen], r.second[c])
		}
	}
}

// pooledInputPlain writes the gradients of the two input rows, as inputGradientPlain
// does; the gradient of a window passes to its largest input alone.
func pooledInputPlain(r *pooledRow, from, to int) {
	for i := range r.pixels {
		window := r.window(i)
		left, right := 2*i*r.stride, (2*i+1)*r.stride
		for c := from; c < to; c++ {
			y, chosen, centred := r.largest(window, c)
			var d [4]float32
			d[chosen] = r.passed(y, i, c)
			for j, out := range [4]*float32{&r.dTop[left+c], &r.dTop[right+c], &r.dBottom[left+c], &r.dBottom[right+c]} {
				*out = fma32(d[j], r.first[c], fma32(centred[j], r.second[c], r.third[c]))
			}
		}
	}
}
