package kernel

import "fmt"

// AveragePool takes the mean of each window, zeros of the padding counted in, as
// PyTorch's AvgPool2d does by default.
type AveragePool struct {
	shape               PoolShape
	outHeight, outWidth int
	call                poolCall
	forward, gradient   func(w *worker, i int) // as those of MaxPool
}

// NewAveragePool makes a pooling for up to shape.Batch images.
func NewAveragePool(shape PoolShape) (*AveragePool, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	p := &AveragePool{shape: shape}
	p.forward, p.gradient = p.forwardImage, p.gradientImage
	p.outHeight, p.outWidth = shape.Output()
	return p, nil
}

// Forward computes out [n][outHeight][outWidth][Channels].
func (p *AveragePool) Forward(n int, out, in []float32) {
	p.call = poolCall{out: out, in: in}
	parallel(n, p.forward)
}

// forwardImage computes one image of the result.
func (p *AveragePool) forwardImage(_ *worker, i int) {
	s, out, in := p.shape, p.call.out, p.call.in
	area := float32(s.Window * s.Window)
	for oh := range p.outHeight {
		for ow := range p.outWidth {
			to := out[((i*p.outHeight+oh)*p.outWidth+ow)*s.Channels:][:s.Channels]
			clear(to)
			top, bottom, left, right := s.window(oh, ow)
			for h := top; h < bottom; h++ {
				for w := left; w < right; w++ {
					addRow(to, in[((i*s.Height+h)*s.Width+w)*s.Channels:])
				}
			}
			for c := range to {
				to[c] /= area
			}
		}
	}
}

// Gradient computes gradIn from gradOut.
func (p *AveragePool) Gradient(n int, gradIn, gradOut []float32) {
	p.call = poolCall{gradOut: gradOut, gradIn: gradIn}
	parallel(n, p.gradient)
}

// gradientImage computes the gradient of one image.
func (p *AveragePool) gradientImage(_ *worker, i int) {
	s, gradOut, gradIn := p.shape, p.call.gradOut, p.call.gradIn
	size := s.Height * s.Width * s.Channels
	area := float32(s.Window * s.Window)
	clear(gradIn[i*size : (i+1)*size])
	for oh := range p.outHeight {
		for ow := range p.outWidth {
			from := gradOut[((i*p.outHeight+oh)*p.outWidth+ow)*s.Channels:][:s.Channels]
			top, bottom, left, right := s.window(oh, ow)
			for h := top; h < bottom; h++ {
				for w := left; w < right; w++ {
					to := gradIn[((i*s.Height+h)*s.Width+w)*s.Channels:][:s.Channels]
					for c, d := range from {
						to[c] += d / area
					}
				}
			}
		}
	}
}

// addRow adds from to to.
func addRow(to, from []float32) {
	from = from[:len(to)]
	for c, v := range from {
		to[c] += v
	}
}

// GlobalAveragePool takes the mean of each channel of an image.
type GlobalAveragePool struct {
	positions, channels int
	call                poolCall
	forward, gradient   func(w *worker, i int) // as those of MaxPool
}

// NewGlobalAveragePool makes a pooling of images of height × width positions.
func NewGlobalAveragePool(height, width, channels int) (*GlobalAveragePool, error) {
	if height < 1 || width < 1 || channels < 1 {
		return nil, fmt.Errorf("global average pooling of %d×%d positions, %d channels: every size must be at least 1", height, width, channels)
	}
	p := &GlobalAveragePool{positions: height * width, channels: channels}
	p.forward, p.gradient = p.forwardImage, p.gradientImage
	return p, nil
}

// Forward computes out [n][channels].
func (p *GlobalAveragePool) Forward(n int, out, in []float32) {
	p.call = poolCall{out: out, in: in}
	parallel(n, p.forward)
}

// forwardImage computes the means of one image.
func (p *GlobalAveragePool) forwardImage(_ *worker, i int) {
	to := p.call.out[i*p.channels : (i+1)*p.channels]
	clear(to)
	for at := i * p.positions; at < (i+1)*p.positions; at++ {
		addRow(to, p.call.in[at*p.channels:])
	}
	for c := range to {
		to[c] /= float32(p.positions)
	}
}

// Gradient computes gradIn from gradOut.
func (p *GlobalAveragePool) Gradient(n int, gradIn, gradOut []float32) {
	p.call = poolCall{gradOut: gradOut, gradIn: gradIn}
	parallel(n, p.gradient)
}

// gradientImage computes the gradient of one image.
func (p *GlobalAveragePool) gradientImage(_ *worker, i int) {
	from := p.call.gradOut[i*p.channels : (i+1)*p.channels]
	for at := i * p.positions; at < (i+1)*p.positions; at++ {
		to := p.call.gradIn[at*p.channels:][:p.channels]
		for c, d := range from {
			to[c] = d / float32(p.positions)
		}
	}
}
