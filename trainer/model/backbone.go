package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/weights"
)

// InitialBackbone returns weights for the frozen backbone of a spec where no
// pre-trained ones are at hand: convolutions uniform with the variance of He et al.
// ("Delving Deep into Rectifiers", 2015), their biases zero, batch normalisation as
// in Initial. Features of such a backbone are random projections; whoever uses it
// must say so. The same spec and seed give the same bytes everywhere.
func InitialBackbone(spec Spec, seed int64) (*weights.Weights, error) {
	if err := spec.CheckFrozen(); err != nil {
		return nil, err
	}
	slots, _ := spec.backbone()
	return drawn(slots, rand.NewPCG(uint64(seed), backboneStream), func(t slot) float64 {
		if t.kind == bias {
			return 0
		}
		return math.Sqrt(6 / float64(t.fanIn))
	}), nil
}

// CheckFrozen refuses an impossible spec, and a model without a frozen backbone; the
// error is coded.
func (s Spec) CheckFrozen() error {
	if err := s.Validate(); err != nil {
		return err
	}
	if !s.Frozen() {
		return codes.Errorf("MF-MODEL-NAME", "%s has no frozen backbone; use %s or %s", s.Name, VGG16, ResNet50)
	}
	return nil
}

// Backbone computes the features of images with frozen weights. Batch
// normalisations are folded into the convolutions before them, residual additions
// and ReLUs are done with them, and a few buffers serve all layers in turn. One
// value must not be used by two goroutines at a time.
//
// Convolutions of 3×3 take Winograd's short cut. It spoils values that are not
// finite, so an image whose features are not is computed again without it. An
// image's features do not depend on the others of its batch.
type Backbone struct {
	spec     Spec
	weights  *weights.Weights
	batch    int
	fast     bool
	exact    *Backbone // without the short cut, for single images; made when first needed
	features int
	tensors  map[string][]float32 // until the steps are made
	steps    []func(n int)
	buffers  [][]float32
	sizes    []int // of the buffers
	free     []int // buffers that no step to come reads
	result   int   // buffer of the features
}

// NewBackbone makes the backbone of a spec from its BackboneParameters, as Load
// gives them, for up to batch images at once. It keeps w, which must not change.
// The error is coded.
func NewBackbone(spec Spec, w *weights.Weights, batch int) (*Backbone, error) {
	return newBackbone(spec, w, batch, true)
}

// newBackbone is NewBackbone with or without the short cut.
func newBackbone(spec Spec, w *weights.Weights, batch int, fast bool) (*Backbone, error) {
	if err := spec.CheckFrozen(); err != nil {
		return nil, err
	}
	slots, out := spec.backbone()
	if err := check(slots, w); err != nil {
		return nil, err
	}
	if batch < 1 {
		return nil, codes.Errorf("MF-MODEL-OPTIONS", "a batch of %d images; use at least 1", batch)
	}
	b := &Backbone{spec: spec, weights: w, batch: batch, fast: fast, features: out.values(), tensors: map[string][]float32{}}
	for _, t := range w.Tensors {
		b.tensors[t.Name] = t.Data
	}
	b.sizes = []int{0} // the images, which the caller brings
	var err error
	if b.result, _, err = b.freeze(spec.architecture().backbone(), imagesBuffer, extent{spec.Size, spec.Size, spec.Channels}); err != nil {
		return nil, fmt.Errorf("freezing %s: %w", spec.Name, err)
	}
	b.tensors = nil
	for _, size := range b.sizes {
		b.buffers = append(b.buffers, make([]float32, size))
	}
	return b, nil
}

// imagesBuffer is the place of the images among the buffers.
const imagesBuffer = 0

// Features returns the features [n][Spec.Inputs] of n images [n][Size][Size]
// [Channels]. An error is coded or wraps ctx.Err(), which is looked at between
// batches.
func (b *Backbone) Features(ctx context.Context, images []float32) ([]float32, error) {
	size := b.spec.Size * b.spec.Size * b.spec.Channels
	if len(images)%size != 0 {
		return nil, codes.Errorf("MF-MODEL-DATA", "%d values are no whole number of %d×%d×%d images; use the images that the backbone was made for",
			len(images), b.spec.Size, b.spec.Size, b.spec.Channels)
	}
	total := len(images) / size
	features := make([]float32, 0, total*b.features)
	for first := 0; first < total; first += b.batch {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("the backbone stopped after %d of %d images: %w", first, total, err)
		}
		n := min(b.batch, total-first)
		b.buffers[imagesBuffer] = images[first*size : (first+n)*size]
		b.run(n)
		features = append(features, b.buffers[b.result][:n*b.features]...)
		for i := first; i < first+n && b.fast; i++ {
			if err := b.repair(ctx, features[i*b.features:(i+1)*b.features], images[i*size:(i+1)*size]); err != nil {
				return nil, err
			}
		}
	}
	b.buffers[imagesBuffer] = nil
	return features, nil
}

// repair computes the features of an image without the short cut if one of them is
// not finite.
func (b *Backbone) repair(ctx context.Context, features, image []float32) error {
	if !slices.ContainsFunc(features, func(v float32) bool { return v-v != 0 }) {
		return nil
	}
	if b.exact == nil {
		var err error
		if b.exact, err = newBackbone(b.spec, b.weights, 1, false); err != nil {
			return err
		}
	}
	again, err := b.exact.Features(ctx, image)
	copy(features, again)
	return err
}

// run computes the features of the n images in place.
func (b *Backbone) run(n int) {
	for _, step := range b.steps {
		step(n)
	}
}

// take reserves a buffer for a batch of results of the given size.
func (b *Backbone) take(size extent) int {
	need := b.batch * size.values()
	best := -1
	for i, candidate := range b.free {
		if best < 0 || abs(b.sizes[candidate]-need) < abs(b.sizes[b.free[best]]-need) {
			best = i
		}
	}
	if best < 0 {
		b.sizes = append(b.sizes, need)
		return len(b.sizes) - 1
	}
	buffer := b.free[best]
	b.free = slices.Delete(b.free, best, best+1)
	b.sizes[buffer] = max(b.sizes[buffer], need)
	return buffer
}

func abs(n int) int { return max(n, -n) }

// release gives a buffer back, for the results of later steps.
func (b *Backbone) release(buffer int) {
	if buffer != imagesBuffer {
		b.free = append(b.free, buffer)
	}
}

// freeze adds the steps of layers behind the buffer in, which it releases, and
// returns the buffer of their result.
func (b *Backbone) freeze(layers []layer, in int, size extent) (int, extent, error) {
	for len(layers) > 0 {
		out, next := in, size
		var err error
		rest := layers[1:]
		switch l := layers[0].(type) {
		case conv:
			var f fold
			f, rest = b.fold(l, size, rest)
			out, next, err = b.convolve(f, in, size, noExtra)
		case residual:
			out, next, err = b.block(l, in, size)
		case maxPool:
			out, next, err = b.pool(l, in, size)
		case globalPool:
			out, next, err = b.mean(in, size)
		default:
			err = fmt.Errorf("a %T has no frozen form", l)
		}
		if err != nil {
			return 0, extent{}, err
		}
		b.release(in)
		in, size, layers = out, next, rest
	}
	return in, size, nil
}

// fold is a convolution with what follows it folded in.
type fold struct {
	conv
	weight, shift []float32
	relu          bool
}

// fold takes a batch normalisation and a ReLU that follow the convolution from
// rest.
func (b *Backbone) fold(c conv, in extent, rest []layer) (fold, []layer) {
	f := fold{conv: c, weight: b.tensors[c.name+".weight"], shift: make([]float32, c.filters)}
	copy(f.shift, b.tensors[c.name+".bias"])
	if len(rest) > 0 {
		if m, ok := rest[0].(norm); ok {
			f.normalise(b.tensors[m.name+".weight"], b.tensors[m.name+".bias"], b.tensors[m.name+".running_mean"], b.tensors[m.name+".running_var"])
			f.relu, rest = m.relu, rest[1:]
		}
	}
	if len(rest) > 0 {
		if _, ok := rest[0].(relu); ok {
			f.relu, rest = true, rest[1:]
		}
	}
	return f, rest
}

// normalise folds (y-mean)/sqrt(variance+epsilon)*gamma + beta into weight and
// shift.
func (f *fold) normalise(gamma, beta, mean, variance []float32) {
	folded := make([]float32, len(f.weight))
	each := len(folded) / f.filters
	for o := range f.filters {
		scale := float64(gamma[o]) / math.Sqrt(float64(variance[o])+kernel.Epsilon)
		for i := o * each; i < (o+1)*each; i++ {
			folded[i] = float32(float64(f.weight[i]) * scale)
		}
		f.shift[o] = float32(float64(beta[o]) + (float64(f.shift[o])-float64(mean[o]))*scale)
	}
	f.weight = folded
}

// noExtra stands for no buffer to add.
const noExtra = -1

// convolve adds a convolution; extra is the buffer of a residual.
func (b *Backbone) convolve(f fold, in int, size extent, extra int) (int, extent, error) {
	_, next := f.slots(size)
	c, err := kernel.NewFrozenConv(kernel.ConvShape{
		Batch: b.batch, Height: size.height, Width: size.width, Channels: size.channels,
		Filters: f.filters, KernelHeight: f.kernel, KernelWidth: f.kernel, Stride: f.stride, Padding: f.padding,
	}, f.weight, f.shift, f.relu, b.fast && extra == noExtra)
	if err != nil {
		return 0, next, err
	}
	out := b.take(next)
	b.steps = append(b.steps, func(n int) {
		var residual []float32
		if extra != noExtra {
			residual = b.buffers[extra]
		}
		c.Forward(n, b.buffers[out], b.buffers[in], residual)
	})
	return out, next, nil
}

// block adds a residual block, whose last convolution adds the shortcut.
func (b *Backbone) block(r residual, in int, size extent) (int, extent, error) {
	side := in
	if len(r.shortcut) > 0 {
		f, _ := b.fold(r.shortcut[0].(conv), size, r.shortcut[1:])
		var err error
		if side, _, err = b.convolve(f, in, size, noExtra); err != nil {
			return 0, extent{}, err
		}
	}
	// The caller releases in.
	y, at := in, size
	for rest := r.body; len(rest) > 0; {
		var f fold
		f, rest = b.fold(rest[0].(conv), at, rest[1:])
		extra := noExtra
		if len(rest) == 0 {
			f.relu, extra = true, side
		}
		out, next, err := b.convolve(f, y, at, extra)
		if err != nil {
			return 0, extent{}, err
		}
		if y != in {
			b.release(y)
		}
		y, at = out, next
	}
	if side != in {
		b.release(side)
	}
	return y, at, nil
}

func (b *Backbone) pool(l maxPool, in int, size extent) (int, extent, error) {
	_, next := l.slots(size)
	p, err := kernel.NewMaxPool(kernel.PoolShape{
		Batch: b.batch, Height: size.height, Width: size.width, Channels: size.channels,
		Window: l.window, Stride: l.stride, Padding: l.padding,
	})
	if err != nil {
		return 0, next, err
	}
	out := b.take(next)
	b.steps = append(b.steps, func(n int) { p.Forward(n, b.buffers[out], b.buffers[in]) })
	return out, next, nil
}

func (b *Backbone) mean(in int, size extent) (int, extent, error) {
	next := extent{1, 1, size.channels}
	p, err := kernel.NewGlobalAveragePool(size.height, size.width, size.channels)
	if err != nil {
		return 0, next, err
	}
	out := b.take(next)
	b.steps = append(b.steps, func(n int) { p.Forward(n, b.buffers[out], b.buffers[in]) })
	return out, next, nil
}
