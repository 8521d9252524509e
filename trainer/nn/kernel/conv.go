package kernel

import "fmt"

// ConvShape is the shape of a two-dimensional convolution (in PyTorch's sense:
// cross-correlation) with the same stride and zero padding on both axes.
type ConvShape struct {
	Batch, Height, Width, Channels     int // of the input, NHWC
	Filters, KernelHeight, KernelWidth int // weights are [Filters][Channels][KernelHeight][KernelWidth]
	Stride, Padding                    int
}

// Output returns height and width of the result.
func (s ConvShape) Output() (height, width int) {
	return (s.Height+2*s.Padding-s.KernelHeight)/s.Stride + 1, (s.Width+2*s.Padding-s.KernelWidth)/s.Stride + 1
}

func (s ConvShape) check() error {
	for _, n := range []int{s.Batch, s.Height, s.Width, s.Channels, s.Filters, s.KernelHeight, s.KernelWidth, s.Stride} {
		if n < 1 {
			return fmt.Errorf("convolution %+v: every size and the stride must be at least 1", s)
		}
	}
	if s.Padding < 0 || s.Padding >= min(s.KernelHeight, s.KernelWidth) {
		return fmt.Errorf("convolution %+v: padding must be at least 0 and smaller than the kernel", s)
	}
	if s.Height+2*s.Padding < s.KernelHeight || s.Width+2*s.Padding < s.KernelWidth {
		return fmt.Errorf("convolution %+v: the kernel is larger than the padded input", s)
	}
	return nil
}

// gradientChunks is the number of partial sums of a weight gradient. It is fixed,
// so that the sum does not depend on the machine.
const gradientChunks = 8

// Conv is a convolution and its gradients, without im2col: a row of the result is
// the product of shifted input rows with the packed weights.
//
// With a 3×3 kernel of stride 1, and channels and filters in multiples of 16,
// Winograd's method takes a quarter of the multiplications, with rounding errors a few
// times larger (see TestWinogradIsTheDefinition). Images and gradients that are not
// finite come from the direct method all the same. What an image gives does not depend
// on the others of its batch.
type Conv struct {
	shape                     ConvShape
	outHeight, outWidth       int
	paddedWidth, paddedHeight int
	padded                    []float32     // zero-padded input; empty without padding
	packed                    []float32     // weights as [panel of filters][kh][kw][channel][16]
	bias                      []float32     // padded to whole panels
	phases                    []phase       // for the input gradient
	rotated                   []float32     // weights for the input gradient, [panel of channels][kh][phase][kw, reversed][filter][16]
	left, right               int           // zeros that the input gradient needs beside a row of the output gradient
	bordered                  []float32     // output gradient with them; empty when there are none
	wideGradient              []float32     // output gradient with filters padded to whole panels; empty when not needed
	partial                   []float32     // weight gradient of each chunk
	partialBias               []float32     // bias gradient of each chunk
	winograd                  *convWinograd // nil where it does not serve
	call                      convCall
	pieces                    convPieces
}

// convCall is what the operation under way was given.
type convCall struct {
	n                   int
	out, in, weight     []float32
	gradWeight, gradOut []float32
	only                []bool // images to compute; nil for all
	chunks              int
}

// convPieces are the parallel parts of the operations, on the call under way. They
// are made once, because to make one is an allocation.
type convPieces struct {
	forward, pad, pack, partial, fold, bias, wide, input, rotate func(w *worker, i int)
}

// NewConv makes a convolution for up to shape.Batch images. A buffer is made when
// an operation first needs it.
func NewConv(shape ConvShape) (*Conv, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	c := &Conv{shape: shape, bias: make([]float32, panels(shape.Filters)), winograd: newConvWinograd(shape)}
	c.pieces = convPieces{c.forwardImage, c.padImage, c.packPanel, c.partialPart, c.foldPanel, c.biasPart, c.widenImage, c.inputImage, c.rotatePanel}
	c.outHeight, c.outWidth = shape.Output()
	c.paddedHeight, c.paddedWidth = shape.Height+2*shape.Padding, shape.Width+2*shape.Padding
	c.divide()
	return c, nil
}

// once makes a buffer the first time that it is needed.
func once(buffer *[]float32, n int) []float32 {
	if *buffer == nil {
		*buffer = make([]float32, n)
	}
	return *buffer
}

// phase is the columns of the input that have one remainder by the stride: those
// that the same columns of the kernel reach. Neighbours among them are reached from
// neighbouring columns of the output.
type phase struct {
	columns     int // of the input
	first, taps int // columns of the kernel: first, first+stride, …
	before      int // columns of the kernel in the phases before this one
	from        int // output column that the last tap of the first input column lies in; may be negative
}

// divide sets the phases and the zeros that they need.
func (c *Conv) divide() {
	s := c.shape
	before := 0
	for r := range s.Stride {
		p := phase{columns: max(0, (s.Width-r+s.Stride-1)/s.Stride), first: (r + s.Padding) % s.Stride, before: before}
		p.taps = max(0, (s.KernelWidth-p.first+s.Stride-1)/s.Stride)
		p.from = (r+s.Padding-p.first)/s.Stride - p.taps + 1
		before += p.taps
		c.phases = append(c.phases, p)
		if p.taps > 0 && p.columns > 0 {
			c.left = max(c.left, -p.from)
			c.right = max(c.right, p.from+p.taps-1+p.columns-c.outWidth)
		}
	}
}

// borderedWidth is the width of a row of the output gradient with its zeros.
func (c *Conv) borderedWidth() int { return c.left + c.outWidth + c.right }

// Forward computes out [n][outHeight][outWidth][Filters] from in
// [n][Height][Width][Channels], weight and bias [Filters].
func (c *Conv) Forward(n int, out, in, weight, bias []float32) {
	copy(c.bias, bias)
	c.call = convCall{n: n, out: out, in: in, weight: weight}
	if c.winograd != nil {
		c.call.only = c.winograd.forward(n, out, in, weight, c.bias)
		if c.call.only == nil {
			return
		}
	}
	c.pad()
	once(&c.packed, c.shape.KernelHeight*c.shape.KernelWidth*c.shape.Channels*panels(c.shape.Filters))
	parallel(panels(c.shape.Filters)/panel, c.pieces.pack)
	parallel(n, c.pieces.forward)
}

// skips reports whether the image is not to be computed.
func (c *convCall) skips(image int) bool { return c.only != nil && !c.only[image] }

// forwardImage computes one image of the result.
func (c *Conv) forwardImage(w *worker, i int) {
	if c.call.skips(i) {
		return
	}
	s, in, out := c.shape, c.call.in, c.call.out
	depth := s.KernelWidth * s.Channels
	image := c.paddedHeight * c.paddedWidth * s.Channels
	segments := w.segmentSpace(s.KernelHeight)
	for kh := range s.KernelHeight {
		segments = append(segments, segment{kh * c.paddedWidth * s.Channels, kh * depth * panel})
	}
	w.tile = tile{
		b: c.packed, init: c.bias, segments: segments,
		aRow: s.Stride * s.Channels, aStep: 1, bStep: panel,
		bPanel: s.KernelHeight * depth * panel, cRow: s.Filters, depth: depth,
	}
	for col := 0; col < s.Filters; {
		width := block(s.Filters - col)
		for oh := range c.outHeight {
			w.tile.a = in[i*image+oh*s.Stride*c.paddedWidth*s.Channels:]
			w.tile.c = out[(i*c.outHeight+oh)*c.outWidth*s.Filters:]
			w.fill(c.outWidth, col, width, s.Filters)
		}
		col += width
	}
}

// pad gives the input its zero border.
func (c *Conv) pad() {
	if c.shape.Padding > 0 {
		once(&c.padded, c.shape.Batch*c.paddedHeight*c.paddedWidth*c.shape.Channels)
		parallel(c.call.n, c.pieces.pad)
		c.call.in = c.padded
	}
}

// padImage copies an image of the input into its zero border.
func (c *Conv) padImage(_ *worker, i int) {
	s, in := c.shape, c.call.in
	row := s.Width * s.Channels
	for h := range s.Height {
		at := ((i*c.paddedHeight+h+s.Padding)*c.paddedWidth + s.Padding) * s.Channels
		copy(c.padded[at:at+row], in[(i*s.Height+h)*row:])
	}
}

// packPanel lays the weights of a panel of filters out.
func (c *Conv) packPanel(_ *worker, p int) { packPanel(c.shape, c.packed, c.call.weight, p) }

// pack lays the weights out in panels of filters.
func pack(s ConvShape, packed, weight []float32) {
	Parallel(panels(s.Filters)/panel, func(p int) { packPanel(s, packed, weight, p) })
}

// packPanel is pack for one panel.
func packPanel(s ConvShape, packed, weight []float32, p int) {
	window := s.KernelHeight * s.KernelWidth
	first := p * panel
	filters := min(panel, s.Filters-first)
	each := s.Channels * window
	for ch := range s.Channels {
		for t := range window {
			to := packed[(p*each+t*s.Channels+ch)*panel:][:filters]
			from := weight[first*each+ch*window+t:]
			for o := range to {
				to[o] = from[o*each]
			}
		}
	}
}

// chunks is the number of partial sums of a weight gradient over n images. Large
// weights have fewer, so that these do not take more memory than all else.
func (c *Conv) chunks(n int) int {
	const large = 128 << 10
	if c.partialSize() > large {
		return min(2, n)
	}
	return min(gradientChunks, n)
}

// partialSize is the number of values of a partial sum of the weight gradient.
func (c *Conv) partialSize() int {
	s := c.shape
	return s.KernelHeight * s.KernelWidth * s.Channels * s.Filters
}

// WeightGradient computes gradWeight and gradBias (in the layout of weight and
// bias; nil for no bias) from the gradient of the output and the input of the last
// Forward.
func (c *Conv) WeightGradient(n int, gradWeight, gradBias, gradOut, in []float32) {
	c.call = convCall{n: n, in: in, gradWeight: gradWeight, gradOut: gradOut, chunks: c.chunks(n)}
	c.wide()
	if gradBias != nil {
		c.biasGradient(gradBias)
	}
	if c.winograd != nil {
		if c.winograd.weightGradient(n, gradWeight, gradOut, in) {
			return
		}
		c.pad() // the last Forward may not have done it
	} else if c.padded != nil {
		c.call.in = c.padded
	}
	once(&c.partial, c.chunks(c.shape.Batch)*c.partialSize())
	parallel(c.call.chunks*c.shape.KernelHeight, c.pieces.partial)
	parallel(panels(c.shape.Filters)/panel, c.pieces.fold)
}

// biasGradient sums the output gradient over all pixels.
func (c *Conv) biasGradient(gradBias []float32) {
	filters := c.shape.Filters
	once(&c.partialBias, gradientChunks*filters)
	parallel(c.call.chunks, c.pieces.bias)
	copy(gradBias, c.partialBias[:filters])
	for i := 1; i < c.call.chunks; i++ {
		addRow(gradBias[:filters], c.partialBias[i*filters:])
	}
}

// chunk returns the images of a partial sum.
func (c *convCall) chunk(i int) (first, last int) {
	return i * c.n / c.chunks, (i + 1) * c.n / c.chunks
}

// biasPart sums a chunk for the bias gradient.
func (c *Conv) biasPart(w *worker, i int) {
	first, last := c.call.chunk(i)
	filters, pixels := c.shape.Filters, c.outHeight*c.outWidth
	w.tile = tile{
		a: one, b: c.call.gradOut[first*pixels*panels(filters):], c: c.partialBias[i*filters:],
		segments: append(w.segmentSpace(1), segment{}),
		bStep:    panels(filters), bPanel: panel, cRow: filters, depth: (last - first) * pixels,
	}
	w.product(1, filters)
}

// partialPart computes a chunk's partial sum for a row of the kernel.
func (c *Conv) partialPart(w *worker, i int) {
	size, chunk := c.partialSize(), i/c.shape.KernelHeight
	first, last := c.call.chunk(chunk)
	c.partialGradient(w, c.partial[chunk*size:(chunk+1)*size], c.call.gradOut, c.call.in, first, last, i%c.shape.KernelHeight)
}

// foldPanel folds the gradients of a panel of filters.
func (c *Conv) foldPanel(w *worker, p int) {
	c.foldGradient(w, c.call.gradWeight, p*panel, c.call.chunks)
}

// foldGradient adds the partial sums of a panel of filters, in the order of the
// chunks.
func (c *Conv) foldGradient(w *worker, gradWeight []float32, first, chunks int) {
	s := c.shape
	window := s.KernelHeight * s.KernelWidth
	filters := min(panel, s.Filters-first)
	sum := func(row int) []float32 {
		at := row*s.Filters + first
		total := w.edge[:filters]
		copy(total, c.partial[at:])
		for i := 1; i < chunks; i++ {
			addRow(total, c.partial[i*c.partialSize()+at:])
		}
		return total
	}
	for ch := range s.Channels {
		for t := range window {
			for o, v := range sum(t*s.Channels + ch) {
				gradWeight[((first+o)*s.Channels+ch)*window+t] = v
			}
		}
	}
}

// one is the left operand of a sum over rows.
var one = []float32{1}

// partialGradient computes row kh of the kernel of the gradient over the images
// first .. last-1, which is [kh][kw][channel][filter].
func (c *Conv) partialGradient(w *worker, out, gradOut, in []float32, first, last, kh int) {
	s := c.shape
	wide := panels(s.Filters)
	segments := w.segmentSpace((last - first) * c.outHeight)
	for n := first; n < last; n++ {
		for oh := range c.outHeight {
			segments = append(segments, segment{
				a: (n*c.paddedHeight + oh*s.Stride + kh) * c.paddedWidth * s.Channels,
				b: (n*c.outHeight + oh) * c.outWidth * wide,
			})
		}
	}
	w.segments = segments
	rows := s.KernelWidth * s.Channels
	w.tile = tile{
		a: in, b: gradOut, c: out[kh*rows*s.Filters:], segments: segments,
		aRow: 1, aStep: s.Stride * s.Channels, bStep: wide,
		bPanel: panel, cRow: s.Filters, depth: c.outWidth,
	}
	w.product(rows, s.Filters)
}

// wide pads the filters of the output gradient to whole panels.
func (c *Conv) wide() {
	s := c.shape
	if s.Filters%panel == 0 {
		return
	}
	once(&c.wideGradient, s.Batch*c.outHeight*c.outWidth*panels(s.Filters))
	parallel(c.call.n, c.pieces.wide)
	c.call.gradOut = c.wideGradient
}

// widenImage is wide for one image.
func (c *Conv) widenImage(_ *worker, i int) {
	filters, pixels := c.shape.Filters, c.outHeight*c.outWidth
	widen(c.wideGradient[i*pixels*panels(filters):], c.call.gradOut[i*pixels*filters:], pixels, filters)
}

// InputGradient computes gradIn, the gradient of the input, from the gradient of
// the output. The direct method is a convolution with the rotated kernel, for each
// phase of columns on its own.
func (c *Conv) InputGradient(n int, gradIn, gradOut, weight []float32) {
	c.call = convCall{n: n, out: gradIn, gradOut: gradOut, weight: weight}
	if c.winograd != nil {
		c.call.only = c.winograd.inputGradient(n, gradIn, gradOut, weight)
		if c.call.only == nil {
			return
		}
	}
	s := c.shape
	once(&c.rotated, s.KernelHeight*s.KernelWidth*s.Filters*panels(s.Channels))
	if c.left+c.right > 0 {
		once(&c.bordered, s.Batch*c.outHeight*c.borderedWidth()*s.Filters)
	}
	parallel(panels(s.Channels)/panel, c.pieces.rotate)
	parallel(n, c.pieces.input)
}

// inputImage computes the gradient of one image.
func (c *Conv) inputImage(w *worker, i int) {
	if c.call.skips(i) {
		return
	}
	s, source, gradIn := c.shape, c.call.gradOut, c.call.out
	if c.bordered != nil {
		c.border(source, i)
		source = c.bordered
	}
	width := c.borderedWidth()
	for h := range s.Height {
		for r, p := range c.phases {
			segments := w.segmentSpace(s.KernelHeight)
			for kh := range s.KernelHeight {
				from := h + s.Padding - kh
				if oh := from / s.Stride; p.taps > 0 && from >= 0 && from%s.Stride == 0 && oh < c.outHeight {
					segments = append(segments, segment{
						((i*c.outHeight+oh)*width + c.left + p.from) * s.Filters,
						(kh*s.KernelWidth + p.before) * s.Filters * panel,
					})
				}
			}
			if p.columns == 0 {
				continue
			}
			w.tile = tile{
				a: source, b: c.rotated, c: gradIn[((i*s.Height+h)*s.Width+r)*s.Channels:], segments: segments,
				aRow: s.Filters, aStep: 1, bStep: panel, bPanel: s.KernelHeight * s.KernelWidth * s.Filters * panel,
				cRow: s.Stride * s.Channels, depth: p.taps * s.Filters,
			}
			w.product(p.columns, s.Channels)
		}
	}
}

// rotatePanel lays the weights of a panel of channels out for the input gradient:
// the columns of each phase reversed.
func (c *Conv) rotatePanel(_ *worker, panelOf int) {
	s, weight := c.shape, c.call.weight
	window := s.KernelHeight * s.KernelWidth
	first := panelOf * panel
	channels := min(panel, s.Channels-first)
	for _, p := range c.phases {
		for kh := range s.KernelHeight {
			for tap := range p.taps {
				place := panelOf*window + kh*s.KernelWidth + p.before + p.taps - 1 - tap
				source := kh*s.KernelWidth + p.first + tap*s.Stride
				for o := range s.Filters {
					to := c.rotated[(place*s.Filters+o)*panel:][:channels]
					from := weight[(o*s.Channels+first)*window+source:]
					for ch := range to {
						to[ch] = from[ch*window]
					}
				}
			}
		}
	}
}

// border copies one image of the output gradient into rows with zeros beside them,
// which stay zero.
func (c *Conv) border(gradOut []float32, i int) {
	row := c.outWidth * c.shape.Filters
	for oh := i * c.outHeight; oh < (i+1)*c.outHeight; oh++ {
		copy(c.bordered[(oh*c.borderedWidth()+c.left)*c.shape.Filters:], gradOut[oh*row:(oh+1)*row])
	}
}
