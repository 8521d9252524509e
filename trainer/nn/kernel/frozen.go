package kernel

// FrozenConv is a convolution whose weights never change: they are packed once,
// and a residual and a ReLU ride along.
type FrozenConv struct {
	shape                     ConvShape
	outHeight, outWidth       int
	paddedHeight, paddedWidth int
	packed, bias              []float32
	relu                      bool
	group                     int // images, or rows of a 1×1 convolution, in a piece of work
	flat                      bool
}

// NewFrozenConv makes a convolution for up to shape.Batch images with the given
// weight, in PyTorch's layout, and bias (nil for none), and a ReLU behind it if
// relu is set. It keeps neither slice.
func NewFrozenConv(shape ConvShape, weight, bias []float32, relu bool) (*FrozenConv, error) {
	c, err := NewConv(shape, false)
	if err != nil {
		return nil, err
	}
	c.pack(weight)
	copy(c.bias, bias)
	f := &FrozenConv{
		shape: shape, outHeight: c.outHeight, outWidth: c.outWidth,
		paddedHeight: c.paddedHeight, paddedWidth: c.paddedWidth,
		packed: c.packed, bias: c.bias, relu: relu,
		flat: shape.KernelHeight == 1 && shape.KernelWidth == 1 && shape.Stride == 1,
	}
	f.group = f.grouping()
	return f, nil
}

// grouping chooses how much input a piece of work has: enough to make good use of
// a block of weights while it is near the processor, and no more than stays there.
func (f *FrozenConv) grouping() int {
	const near = 128 << 10 // values
	if f.flat {
		return min(384, max(4*maxRows, near/f.shape.Channels/maxRows*maxRows))
	}
	return max(1, near/(f.paddedHeight*f.paddedWidth*f.shape.Channels))
}

// Forward computes out [n][outHeight][outWidth][Filters] from in
// [n][Height][Width][Channels]. extra, if not nil, has the form of out and is
// added before the ReLU.
func (f *FrozenConv) Forward(n int, out, in, extra []float32) {
	if f.flat {
		f.forwardFlat(n*f.outHeight*f.outWidth, out, in, extra)
		return
	}
	pieces := (n + f.group - 1) / f.group
	parallel(pieces, func(w *worker, i int) {
		f.forwardImages(w, i*f.group, min(n, (i+1)*f.group), out, in, extra)
	})
}

// from is v from an index on; nil stays nil.
func from(v []float32, index int) []float32 {
	if v == nil {
		return nil
	}
	return v[index:]
}

// forwardFlat is a 1×1 convolution: one product of all positions with the weights.
func (f *FrozenConv) forwardFlat(rows int, out, in, extra []float32) {
	s := f.shape
	pieces := (rows + f.group - 1) / f.group
	parallel(pieces, func(w *worker, i int) {
		first, last := i*rows/pieces, (i+1)*rows/pieces
		at := first * s.Filters
		w.tile = tile{
			a: in[first*s.Channels:], b: f.packed, c: out[at:], init: f.bias, extra: from(extra, at), relu: f.relu,
			segments: append(w.segmentSpace(1), segment{}),
			aRow:     s.Channels, aStep: 1, bStep: panel, bPanel: s.Channels * panel, cRow: s.Filters, depth: s.Channels,
		}
		w.product(last-first, s.Filters)
	})
}

// forwardImages computes the images first .. last-1.
func (f *FrozenConv) forwardImages(w *worker, first, last int, out, in, extra []float32) {
	s := f.shape
	in = in[first*s.Height*s.Width*s.Channels:]
	if s.Padding > 0 {
		in = f.pad(w, in, last-first)
	}
	depth := s.KernelWidth * s.Channels
	segments := w.segmentSpace(s.KernelHeight)
	for kh := range s.KernelHeight {
		segments = append(segments, segment{kh * f.paddedWidth * s.Channels, kh * depth * panel})
	}
	w.tile = tile{
		b: f.packed, init: f.bias, segments: segments, relu: f.relu,
		aRow: s.Stride * s.Channels, aStep: 1, bStep: panel,
		bPanel: s.KernelHeight * depth * panel, cRow: s.Filters, depth: depth,
	}
	for col := 0; col < s.Filters; {
		width := block(s.Filters - col)
		for i := range last - first {
			for oh := range f.outHeight {
				at := ((first+i)*f.outHeight + oh) * f.outWidth * s.Filters
				w.tile.a = in[(i*f.paddedHeight+oh*s.Stride)*f.paddedWidth*s.Channels:]
				w.tile.c, w.tile.extra = out[at:], from(extra, at)
				w.fill(f.outWidth, col, width, s.Filters)
			}
		}
		col += width
	}
}

// pad copies n images into the worker's own room, with their zero border.
func (f *FrozenConv) pad(w *worker, in []float32, n int) []float32 {
	s := f.shape
	size := f.paddedHeight * f.paddedWidth * s.Channels
	padded := room(&w.padded, n*size)
	row := s.Width * s.Channels
	for i := range n {
		to := padded[i*size : (i+1)*size]
		at := (s.Padding*f.paddedWidth + s.Padding) * s.Channels
		clear(to[:at])
		for h := range s.Height {
			copy(to[at:at+row], in[(i*s.Height+h)*row:])
			next := at + f.paddedWidth*s.Channels
			clear(to[at+row : min(next, size)])
			at = next
		}
		clear(to[min(at, size):])
	}
	return padded
}

// room returns n values of a buffer that grows when it must.
func room(buffer *[]float32, n int) []float32 {
	if cap(*buffer) < n {
		*buffer = make([]float32, n)
	}
	return (*buffer)[:n]
}
