package kernel

import "fmt"

// AveragePool takes the mean of each window, zeros of the padding counted in, as
// PyTorch's AvgPool2d does by default.
type AveragePool struct {
	shape               PoolShape
	outHeight, outWidth int
}

// NewAveragePool makes a pooling for up to shape.Batch images.
func NewAveragePool(shape PoolShape) (*AveragePool, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	p := &AveragePool{shape: shape}
	p.outHeight, p.outWidth = shape.Output()
	return p, nil
}

// Forward computes out [n][outHeight][outWidth][Channels].
func (p *AveragePool) Forward(n int, out, in []float32) {
	s := p.shape
	area := float32(s.Window * s.Window)
	parallel(n, func(_ *worker, i int) {
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
	})
}

// Gradient computes gradIn from gradOut.
func (p *AveragePool) Gradient(n int, gradIn, gradOut []float32) {
	s := p.shape
	size := s.Height * s.Width * s.Channels
	area := float32(s.Window * s.Window)
	parallel(n, func(_ *worker, i int) {
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
	})
}

// addRow adds from to to.
func addRow(to, from []float32) {
	from = from[:len(to)]
	for c, v := range from {
		to[c] += v
	}
}

// GlobalAveragePool takes the mean of each channel of an image.
type GlobalAveragePool struct{ positions, channels int }

// NewGlobalAveragePool makes a pooling of images of height × width positions.
func NewGlobalAveragePool(height, width, channels int) (*GlobalAveragePool, error) {
	if height < 1 || width < 1 || channels < 1 {
		return nil, fmt.Errorf("global average pooling of %d×%d positions, %d channels: every size must be at least 1", height, width, channels)
	}
	return &GlobalAveragePool{height * width, channels}, nil
}

// Forward computes out [n][channels].
func (p *GlobalAveragePool) Forward(n int, out, in []float32) {
	parallel(n, func(_ *worker, i int) {
		to := out[i*p.channels : (i+1)*p.channels]
		clear(to)
		for at := i * p.positions; at < (i+1)*p.positions; at++ {
			addRow(to, in[at*p.channels:])
		}
		for c := range to {
			to[c] /= float32(p.positions)
		}
	})
}

// Gradient computes gradIn from gradOut.
func (p *GlobalAveragePool) Gradient(n int, gradIn, gradOut []float32) {
	parallel(n, func(_ *worker, i int) {
		from := gradOut[i*p.channels : (i+1)*p.channels]
		for at := i * p.positions; at < (i+1)*p.positions; at++ {
			to := gradIn[at*p.channels:][:p.channels]
			for c, d := range from {
				to[c] = d / float32(p.positions)
			}
		}
	})
}
