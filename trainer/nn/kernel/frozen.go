package kernel

// FrozenConv is a convolution whose weights never change: they are packed once,
// and a residual and a ReLU ride along.
//
// With fast set at its making, a 3×3 convolution of stride 1 between many channels
// takes a quarter of the multiplications, at the price of larger rounding errors,
// and of NaN around every value that is not finite.
type FrozenConv struct {
	shape                     ConvShape
	outHeight, outWidth       int
	paddedHeight, paddedWidth int
	packed, bias              []float32
	relu                      bool
	group                     int // images, or rows of a 1×1 convolution, in a piece of work
	flat                      bool
	winograd                  *frozenWinograd // instead of packed; nil where it does not serve
}

// NewFrozenConv makes a convolution for up to shape.Batch images with the given
// weight, in PyTorch's layout, and bias (nil for none), and a ReLU behind it if
// relu is set. It keeps neither slice.
func NewFrozenConv(shape ConvShape, weight, bias []float32, relu, fast bool) (*FrozenConv, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	f := &FrozenConv{
		shape: shape, bias: make([]float32, panels(shape.Filters)), relu: relu,
		paddedHeight: shape.Height + 2*shape.Padding, paddedWidth: shape.Width + 2*shape.Padding,
		flat: shape.KernelHeight == 1 && shape.KernelWidth == 1 && shape.Stride == 1,
	}
	f.outHeight, f.outWidth = shape.Output()
	f.group = f.grouping()
	copy(f.bias, bias)
	const many = 32 // channels from which on the transforms pay
	if fast && shape.KernelHeight == 3 && shape.KernelWidth == 3 && shape.Stride == 1 && min(shape.Channels, shape.Filters) >= many {
		f.winograd = newFrozenWinograd(shape, weight, relu)
		return f, nil
	}
	f.packed = make([]float32, shape.KernelHeight*shape.KernelWidth*shape.Channels*panels(shape.Filters))
	pack(shape, f.packed, weight)
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
// added before the ReLU; a fast 3×3 convolution takes none.
func (f *FrozenConv) Forward(n int, out, in, extra []float32) {
	if f.winograd != nil {
		if extra != nil {
			panic("a residual for a convolution that takes none")
		}
		f.forwardWinograd(n, out, in)
		return
	}
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
