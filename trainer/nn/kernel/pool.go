package kernel

import "fmt"

// PoolShape is the shape of a max- or average-pooling with a square window.
type PoolShape struct {
	Batch, Height, Width, Channels int // of the input, NHWC
	Window, Stride, Padding        int // padding counts as lower than any value to a maximum, as zero to a mean
}

// Output returns height and width of the result.
func (s PoolShape) Output() (height, width int) {
	return (s.Height+2*s.Padding-s.Window)/s.Stride + 1, (s.Width+2*s.Padding-s.Window)/s.Stride + 1
}

func (s PoolShape) check() error {
	for _, n := range []int{s.Batch, s.Height, s.Width, s.Channels, s.Window, s.Stride} {
		if n < 1 {
			return fmt.Errorf("pooling %+v: every size and the stride must be at least 1", s)
		}
	}
	if s.Padding < 0 || 2*s.Padding > s.Window {
		return fmt.Errorf("pooling %+v: padding must be at least 0 and at most half the window", s)
	}
	if s.Height+2*s.Padding < s.Window || s.Width+2*s.Padding < s.Window {
		return fmt.Errorf("pooling %+v: the window is larger than the padded input", s)
	}
	return nil
}

// MaxPool takes the maximum of each window. The first of equal values, row by
// row, receives the gradient; a NaN in a window is its maximum.
type MaxPool struct {
	shape               PoolShape
	outHeight, outWidth int
	call                poolCall
	forward, gradient   func(w *worker, i int) // the parallel parts, made once: to make one is an allocation
}

// poolCall is what the operation under way was given.
type poolCall struct{ out, in, gradOut, gradIn []float32 }

// NewMaxPool makes a pooling for up to shape.Batch images.
func NewMaxPool(shape PoolShape) (*MaxPool, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	p := &MaxPool{shape: shape}
	p.forward, p.gradient = p.forwardImage, p.gradientImage
	p.outHeight, p.outWidth = shape.Output()
	return p, nil
}

// poolRow is the argument of the kernels for the common 2×2 window with stride 2:
// one row of the result. The assembly knows the offsets of these fields;
// TestLayout checks them.
type poolRow struct {
	top, bottom    []float32 // the two rows of the input
	out            []float32 // the row of the result
	dOut           []float32 // its gradient
	dTop, dBottom  []float32 // gradients of the input rows
	pixels, stride int       // of out
}

func (p *MaxPool) halves() bool {
	return p.shape.Window == 2 && p.shape.Stride == 2 && p.shape.Padding == 0
}

// row returns the kernel argument for row oh of image i.
func (p *MaxPool) row(out, in, gradOut, gradIn []float32, i, oh int) poolRow {
	s := p.shape
	top := (i*s.Height + 2*oh) * s.Width * s.Channels
	bottom := top + s.Width*s.Channels
	at := (i*p.outHeight + oh) * p.outWidth * s.Channels
	r := poolRow{top: in[top:], bottom: in[bottom:], out: out[at:], pixels: p.outWidth, stride: s.Channels}
	if gradIn != nil {
		r.dOut, r.dTop, r.dBottom = gradOut[at:], gradIn[top:], gradIn[bottom:]
	}
	return r
}

// Forward computes out [n][outHeight][outWidth][Channels].
func (p *MaxPool) Forward(n int, out, in []float32) {
	p.call = poolCall{out: out, in: in}
	parallel(n, p.forward)
}

// forwardImage computes one image of the result.
func (p *MaxPool) forwardImage(w *worker, i int) {
	for oh := range p.outHeight {
		if p.halves() {
			w.pool = p.row(p.call.out, p.call.in, nil, nil, i, oh)
			poolForward(&w.pool, p.shape.Channels)
			continue
		}
		for ow := range p.outWidth {
			p.maximum(p.call.out, p.call.in, i, oh, ow)
		}
	}
}

// window returns the rows and columns of the input that a window covers.
func (s PoolShape) window(oh, ow int) (top, bottom, left, right int) {
	h, w := oh*s.Stride-s.Padding, ow*s.Stride-s.Padding
	return max(h, 0), min(h+s.Window, s.Height), max(w, 0), min(w+s.Window, s.Width)
}

// maximum computes one position of the result.
func (p *MaxPool) maximum(out, in []float32, i, oh, ow int) {
	s := p.shape
	to := out[((i*p.outHeight+oh)*p.outWidth+ow)*s.Channels:][:s.Channels]
	top, bottom, left, right := s.window(oh, ow)
	copy(to, in[((i*s.Height+top)*s.Width+left)*s.Channels:])
	for h := top; h < bottom; h++ {
		for w := left; w < right; w++ {
			for c, v := range in[((i*s.Height+h)*s.Width+w)*s.Channels:][:s.Channels] {
				to[c] = larger(v, to[c])
			}
		}
	}
}

// larger is v if it is greater than m or not a number, else m.
func larger(v, m float32) float32 {
	if v > m || v != v {
		return v
	}
	return m
}

// Gradient computes gradIn from gradOut and from the input and output of the last
// Forward.
func (p *MaxPool) Gradient(n int, gradIn, gradOut, out, in []float32) {
	p.call = poolCall{out, in, gradOut, gradIn}
	parallel(n, p.gradient)
}

// gradientImage computes the gradient of one image.
func (p *MaxPool) gradientImage(w *worker, i int) {
	s, call := p.shape, p.call
	if exact := p.halves() && s.Height%2 == 0 && s.Width%2 == 0; !exact {
		size := s.Height * s.Width * s.Channels
		clear(call.gradIn[i*size : (i+1)*size])
	}
	for oh := range p.outHeight {
		if p.halves() {
			w.pool = p.row(call.out, call.in, call.gradOut, call.gradIn, i, oh)
			poolBackward(&w.pool, s.Channels)
			continue
		}
		for ow := range p.outWidth {
			p.route(call.gradIn, call.gradOut, call.out, call.in, i, oh, ow)
		}
	}
}

// route adds the gradient of one position to the input that was its maximum: the
// first equal one, or the last of the window when none is equal to a NaN.
func (p *MaxPool) route(gradIn, gradOut, out, in []float32, i, oh, ow int) {
	s := p.shape
	at := ((i*p.outHeight+oh)*p.outWidth + ow) * s.Channels
	top, bottom, left, right := s.window(oh, ow)
	for c := range s.Channels {
		var from int
	search:
		for h := top; h < bottom; h++ {
			for w := left; w < right; w++ {
				from = ((i*s.Height+h)*s.Width+w)*s.Channels + c
				if in[from] == out[at+c] {
					break search
				}
			}
		}
		gradIn[from] += gradOut[at+c]
	}
}

// poolForwardPlain computes a row of 2×2 maxima for the channels from .. to-1.
func poolForwardPlain(r *poolRow, from, to int) {
	for p := range r.pixels {
		left, right := 2*p*r.stride, (2*p+1)*r.stride
		out := r.out[p*r.stride:]
		for c := from; c < to; c++ {
			m := larger(r.top[right+c], r.top[left+c])
			out[c] = larger(r.bottom[right+c], larger(r.bottom[left+c], m))
		}
	}
}

// poolBackwardPlain writes the gradients of the two input rows.
func poolBackwardPlain(r *poolRow, from, to int) {
	for p := range r.pixels {
		left, right := 2*p*r.stride, (2*p+1)*r.stride
		out, dOut := r.out[p*r.stride:], r.dOut[p*r.stride:]
		for c := from; c < to; c++ {
			m, d := out[c], dOut[c]
			var at [4]float32
			switch {
			case r.top[left+c] == m:
				at[0] = d
			case r.top[right+c] == m:
				at[1] = d
			case r.bottom[left+c] == m:
				at[2] = d
			default:
				at[3] = d
			}
			r.dTop[left+c], r.dTop[right+c] = at[0], at[1]
			r.dBottom[left+c], r.dBottom[right+c] = at[2], at[3]
		}
	}
}
