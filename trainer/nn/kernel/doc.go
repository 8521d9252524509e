// Package kernel holds the inner loops of training: convolution, linear layers,
// batch normalisation and max-pooling on float32 slices. It knows no graph and
// no tensor type; package nn wraps it into Gorgonia operations. Speed is changed
// here and nowhere else.
//
// Images are NHWC (channels contiguous); weights keep PyTorch's layout (filters,
// channels, height, width). Every operation is made once for a largest batch,
// owns its buffers, and takes at each call the number n of images in use, so a
// shorter last batch needs no second set of buffers. One value of an operation
// must not be used by two goroutines at a time.
//
// # Reproducibility
//
// Work is cut into chunks that depend on the shape alone, each chunk writes its
// own output, and partial sums are added in chunk order: the result has the same
// bits whatever GOMAXPROCS is. Products are accumulated with one rounding each
// (fused multiply-add) in a fixed order, so AVX-512, AVX2, NEON and plain Go agree
// bit for bit, too. In Go a product is converted to its own type before it is added
// to something, which keeps a compiler from fusing the two on some machines only.
// NaN payloads are not part of this promise.
package kernel

//go:generate go run -C asm . ..
