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
type Conv struct {
	shape                     ConvShape
	outHeight, outWidth       int
	paddedWidth, paddedHeight int
	padded                    []float32 // zero-padded input; empty without padding
	packed                    []float32 // weights as [panel of filters][kh][kw][channel][16]
	bias                      []float32 // padded to whole panels
	rotated                   []float32 // weights for the input gradient, [panel of channels][kh][kw, reversed][filter][16]
	spread                    []float32 // output gradient, rows padded and stretched by the stride; empty when not needed
	wideGradient              []float32 // output gradient with filters padded to whole panels; empty when not needed
	partial                   []float32 // weight and bias gradient of each chunk
}

// NewConv makes a convolution for up to shape.Batch images. withInputGradient
// reserves what InputGradient needs.
func NewConv(shape ConvShape, withInputGradient bool) (*Conv, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	c := &Conv{shape: shape}
	c.outHeight, c.outWidth = shape.Output()
	c.paddedHeight, c.paddedWidth = shape.Height+2*shape.Padding, shape.Width+2*shape.Padding
	if shape.Padding > 0 {
		c.padded = make([]float32, shape.Batch*c.paddedHeight*c.paddedWidth*shape.Channels)
	}
	window := shape.KernelHeight * shape.KernelWidth
	c.packed = make([]float32, window*shape.Channels*panels(shape.Filters))
	c.bias = make([]float32, panels(shape.Filters))
	if withInputGradient {
		c.rotated = make([]float32, window*shape.Filters*panels(shape.Channels))
		if shape.Stride > 1 || shape.KernelWidth-1-shape.Padding > 0 {
			c.spread = make([]float32, shape.Batch*c.outHeight*c.spreadWidth()*shape.Filters)
		}
	}
	return c, nil
}

// spreadWidth is the width of a row of the output gradient when every input
// position of a row can read a whole kernel row from it.
func (c *Conv) spreadWidth() int { return c.shape.Width + c.shape.KernelWidth - 1 }

// Forward computes out [n][outHeight][outWidth][Filters] from in
// [n][Height][Width][Channels], weight and bias [Filters].
func (c *Conv) Forward(n int, out, in, weight, bias []float32) {
	s := c.shape
	in = c.pad(n, in)
	pack(c.shape, c.packed, weight)
	copy(c.bias, bias)
	depth := s.KernelWidth * s.Channels
	image := c.paddedHeight * c.paddedWidth * s.Channels
	parallel(n, func(w *worker, i int) {
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
	})
}

// pad returns the input with its zero border.
func (c *Conv) pad(n int, in []float32) []float32 {
	if c.padded == nil {
		return in
	}
	s := c.shape
	row := s.Width * s.Channels
	parallel(n, func(_ *worker, i int) {
		for h := range s.Height {
			at := ((i*c.paddedHeight+h+s.Padding)*c.paddedWidth + s.Padding) * s.Channels
			copy(c.padded[at:at+row], in[(i*s.Height+h)*row:])
		}
	})
	return c.padded
}

// pack lays the weights out in panels of filters.
func pack(s ConvShape, packed, weight []float32) {
	window := s.KernelHeight * s.KernelWidth
	for o := range s.Filters {
		to := packed[o/panel*window*s.Channels*panel+o%panel:]
		for ch := range s.Channels {
			for t, v := range weight[(o*s.Channels+ch)*window:][:window] {
				to[(t*s.Channels+ch)*panel] = v
			}
		}
	}
}

// WeightGradient computes gradWeight and gradBias (in the layout of weight and
// bias) from the gradient of the output and the input of the last Forward.
func (c *Conv) WeightGradient(n int, gradWeight, gradBias, gradOut, in []float32) {
	s := c.shape
	if c.padded != nil {
		in = c.padded
	}
	size := (s.KernelHeight*s.KernelWidth*s.Channels + 1) * s.Filters
	if c.partial == nil {
		c.partial = make([]float32, min(gradientChunks, s.Batch)*size)
	}
	gradOut = c.wide(n, gradOut)
	chunks := min(gradientChunks, n)
	parallel(chunks, func(w *worker, i int) {
		c.partialGradient(w, c.partial[i*size:(i+1)*size], gradOut, in, i*n/chunks, (i+1)*n/chunks)
	})
	sum := c.partial[:size]
	for i := 1; i < chunks; i++ {
		for j, v := range c.partial[i*size : (i+1)*size] {
			sum[j] += v
		}
	}
	window := s.KernelHeight * s.KernelWidth
	for o := range s.Filters {
		for ch := range s.Channels {
			for t := range window {
				gradWeight[(o*s.Channels+ch)*window+t] = sum[(t*s.Channels+ch)*s.Filters+o]
			}
		}
	}
	copy(gradBias, sum[window*s.Channels*s.Filters:])
}

// one is the left operand of a sum over rows.
var one = []float32{1}

// partialGradient computes the gradient over the images first .. last-1 as
// [kh][kw][channel][filter], followed by the bias gradient.
func (c *Conv) partialGradient(w *worker, out, gradOut, in []float32, first, last int) {
	s := c.shape
	wide := panels(s.Filters)
	segments := w.segmentSpace((last - first) * c.outHeight)
	for n := first; n < last; n++ {
		for oh := range c.outHeight {
			segments = append(segments, segment{
				(n*c.paddedHeight + oh*s.Stride) * c.paddedWidth * s.Channels,
				(n*c.outHeight + oh) * c.outWidth * wide,
			})
		}
	}
	w.segments = segments
	w.tile = tile{
		b: gradOut, segments: segments,
		aRow: 1, aStep: s.Stride * s.Channels, bStep: wide,
		bPanel: panel, cRow: s.Filters, depth: c.outWidth,
	}
	row := s.KernelWidth * s.Channels
	for kh := range s.KernelHeight {
		w.tile.a = in[kh*c.paddedWidth*s.Channels:]
		w.tile.c = out[kh*row*s.Filters:]
		w.product(row, s.Filters)
	}
	for i := range segments {
		segments[i].a = 0
	}
	w.tile.a, w.tile.aRow, w.tile.aStep = one, 0, 0
	w.tile.c = out[s.KernelHeight*row*s.Filters:]
	w.product(1, s.Filters)
}

// wide returns the output gradient with its filters padded to whole panels.
func (c *Conv) wide(n int, gradOut []float32) []float32 {
	s := c.shape
	if s.Filters%panel == 0 {
		return gradOut
	}
	pixels := c.outHeight * c.outWidth
	if c.wideGradient == nil {
		c.wideGradient = make([]float32, s.Batch*pixels*panels(s.Filters))
	}
	parallel(n, func(_ *worker, i int) {
		widen(c.wideGradient[i*pixels*panels(s.Filters):], gradOut[i*pixels*s.Filters:], pixels, s.Filters)
	})
	return c.wideGradient
}

// InputGradient computes gradIn, the gradient of the input, from the gradient of
// the output: a convolution with the rotated kernel. The Conv must have been made
// with room for it.
func (c *Conv) InputGradient(n int, gradIn, gradOut, weight []float32) {
	s := c.shape
	c.rotate(weight)
	source, width := gradOut, c.outWidth
	if c.spread != nil {
		source, width = c.spread, c.spreadWidth()
	}
	depth := s.KernelWidth * s.Filters
	parallel(n, func(w *worker, i int) {
		if c.spread != nil {
			c.spreadImage(gradOut, i)
		}
		w.tile = tile{
			a: source, b: c.rotated,
			aRow: s.Filters, aStep: 1, bStep: panel,
			bPanel: s.KernelHeight * depth * panel, cRow: s.Channels, depth: depth,
		}
		for h := range s.Height {
			segments := w.segmentSpace(s.KernelHeight)
			for kh := range s.KernelHeight {
				from := h + s.Padding - kh
				if oh := from / s.Stride; from >= 0 && from%s.Stride == 0 && oh < c.outHeight {
					segments = append(segments, segment{(i*c.outHeight + oh) * width * s.Filters, kh * depth * panel})
				}
			}
			w.tile.segments = segments
			w.tile.c = gradIn[(i*s.Height+h)*s.Width*s.Channels:]
			w.product(s.Width, s.Channels)
		}
	})
}

// rotate lays the weights out for the input gradient: panels of channels, kernel
// columns reversed.
func (c *Conv) rotate(weight []float32) {
	s := c.shape
	window := s.KernelHeight * s.KernelWidth
	for o := range s.Filters {
		for ch := range s.Channels {
			to := c.rotated[ch/panel*window*s.Filters*panel+ch%panel:]
			from := weight[(o*s.Channels+ch)*window:]
			for kh := range s.KernelHeight {
				for kw := range s.KernelWidth {
					to[((kh*s.KernelWidth+s.KernelWidth-1-kw)*s.Filters+o)*panel] = from[kh*s.KernelWidth+kw]
				}
			}
		}
	}
}

// spreadImage copies one image of the output gradient into rows where a step of
// one pixel is a step of one input pixel; the gaps stay zero.
func (c *Conv) spreadImage(gradOut []float32, i int) {
	s := c.shape
	border := s.KernelWidth - 1 - s.Padding
	for oh := range c.outHeight {
		row := i*c.outHeight + oh
		from := gradOut[row*c.outWidth*s.Filters:][:c.outWidth*s.Filters]
		to := c.spread[(row*c.spreadWidth()+border)*s.Filters:]
		if s.Stride == 1 {
			copy(to, from)
			continue
		}
		for ow := range c.outWidth {
			copy(to[ow*s.Stride*s.Filters:], from[ow*s.Filters:(ow+1)*s.Filters])
		}
	}
}
