package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
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

// CheckFrozen refuses an impossible spec, and a model without a frozen backbone,
// which is MF-MODEL-NAME.
func (s Spec) CheckFrozen() error {
	if err := s.Validate(); err != nil {
		return err
	}
	if !s.Frozen() {
		return codes.Errorf("MF-MODEL-NAME", "%s has no frozen backbone; use %s or %s", s.Name, VGG16, ResNet50)
	}
	return nil
}

// Extractor computes the features of images with a frozen backbone's weights. Batch
// normalisations are folded into the convolutions before them, residual additions
// and ReLUs are done with them, and a few buffers serve all layers in turn. One
// value must not be used by two goroutines at a time.
//
// Convolutions of 3×3 take Winograd's short cut. It spoils values that are not
// finite, so an image whose features are not is computed again without it. An
// image's features do not depend on the others of its batch.
type Extractor struct {
	spec     Spec
	load     func() (*weights.Weights, error)
	batch    int
	fast     bool
	exact    *Extractor // without the short cut, for single images; made when first needed
	features int
	tensors  map[string][]float32 // until the steps are made
	frozen   int                  // values that have become steps since the last collection
	steps    []func(n int)
	buffers  [][]float32
	sizes    []int // of the buffers
	free     []int // buffers that no step to come reads
	result   int   // buffer of the features
}

// NewExtractor makes the extractor of a spec, for up to batch images at once, from what
// load gives: its BackboneParameters, as Load gives them, which are the extractor's to take
// apart. They don't stay in memory; should the exact values be needed, load is called again
// and must give the same. Errors: those of load and of CheckFrozen, MF-WEIGHTS-INCOMPATIBLE
// for other parameters, MF-MODEL-OPTIONS for an empty batch.
func NewExtractor(spec Spec, load func() (*weights.Weights, error), batch int) (*Extractor, error) {
	return newExtractor(spec, load, batch, true)
}

// newExtractor is NewExtractor with or without the short cut.
func newExtractor(spec Spec, load func() (*weights.Weights, error), batch int, fast bool) (*Extractor, error) {
	if err := spec.CheckFrozen(); err != nil {
		return nil, err
	}
	if batch < 1 {
		return nil, codes.Errorf("MF-MODEL-OPTIONS", "a batch of %d images; use at least 1", batch)
	}
	slots, out := spec.backbone()
	e := &Extractor{spec: spec, load: load, batch: batch, fast: fast, features: out.values(), tensors: map[string][]float32{}}
	if err := e.open(slots); err != nil {
		return nil, err
	}
	e.sizes = []int{0} // the images, which the caller brings
	var err error
	if e.result, _, err = e.freeze(spec.architecture().backbone(), imagesBuffer, extent{spec.Size, spec.Size, spec.Channels}); err != nil {
		return nil, fmt.Errorf("freezing %s: %w", spec.Name, err)
	}
	e.tensors = nil
	for _, size := range e.sizes {
		e.buffers = append(e.buffers, make([]float32, size))
	}
	debug.FreeOSMemory() // of the weights, once for all images to come
	return e, nil
}

// open takes the weights, of which each tensor is there until it has become a step.
func (e *Extractor) open(slots []slot) error {
	w, err := e.load()
	if err != nil {
		return err
	}
	if err := check(slots, w); err != nil {
		return err
	}
	for i, t := range w.Tensors {
		e.tensors[t.Name], w.Tensors[i].Data = t.Data, nil
	}
	return nil
}

// frozenAtOnce is how many values of the weights become steps before what is left of them
// is collected: 32 MB.
const frozenAtOnce = 8 << 20

// done drops a convolution's weights.
func (e *Extractor) done(f fold) {
	delete(e.tensors, f.name+".weight")
	if e.frozen += len(f.weight); e.frozen >= frozenAtOnce {
		e.frozen = 0
		runtime.GC()
	}
}

// imagesBuffer is the place of the images among the buffers.
const imagesBuffer = 0

// Features returns the features [n][Spec.Inputs] of n images [n][Size][Size]
// [Channels]. The error is MF-MODEL-DATA or wraps ctx.Err(), which is looked at between
// batches.
func (e *Extractor) Features(ctx context.Context, images []float32) ([]float32, error) {
	size := e.spec.Size * e.spec.Size * e.spec.Channels
	if len(images)%size != 0 {
		return nil, codes.Errorf("MF-MODEL-DATA", "%d values are no whole number of %d×%d×%d images; use the images that the backbone was made for",
			len(images), e.spec.Size, e.spec.Size, e.spec.Channels)
	}
	total := len(images) / size
	features := make([]float32, 0, total*e.features)
	for first := 0; first < total; first += e.batch {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("the backbone stopped after %d of %d images: %w", first, total, err)
		}
		n := min(e.batch, total-first)
		e.buffers[imagesBuffer] = images[first*size : (first+n)*size]
		e.run(n)
		features = append(features, e.buffers[e.result][:n*e.features]...)
		for i := first; i < first+n && e.fast; i++ {
			if err := e.repair(ctx, features[i*e.features:(i+1)*e.features], images[i*size:(i+1)*size]); err != nil {
				return nil, err
			}
		}
	}
	e.buffers[imagesBuffer] = nil
	return features, nil
}

// repair computes the features of an image without the short cut if one of them is
// not finite.
func (e *Extractor) repair(ctx context.Context, features, image []float32) error {
	if !slices.ContainsFunc(features, func(v float32) bool { return v-v != 0 }) {
		return nil
	}
	if e.exact == nil {
		var err error
		if e.exact, err = newExtractor(e.spec, e.load, 1, false); err != nil {
			return err
		}
	}
	again, err := e.exact.Features(ctx, image)
	copy(features, again)
	return err
}

// run computes the features of the n images in place.
func (e *Extractor) run(n int) {
	for _, step := range e.steps {
		step(n)
	}
}

// take reserves a buffer for a batch of results of the given size.
func (e *Extractor) take(size extent) int {
	need := e.batch * size.values()
	best := -1
	for i, candidate := range e.free {
		if best < 0 || abs(e.sizes[candidate]-need) < abs(e.sizes[e.free[best]]-need) {
			best = i
		}
	}
	if best < 0 {
		e.sizes = append(e.sizes, need)
		return len(e.sizes) - 1
	}
	buffer := e.free[best]
	e.free = slices.Delete(e.free, best, best+1)
	e.sizes[buffer] = max(e.sizes[buffer], need)
	return buffer
}

func abs(n int) int { return max(n, -n) }

// release gives a buffer back, for the results of later steps.
func (e *Extractor) release(buffer int) {
	if buffer != imagesBuffer {
		e.free = append(e.free, buffer)
	}
}

// freeze adds the steps of layers behind the buffer in, which it releases, and
// returns the buffer of their result.
func (e *Extractor) freeze(layers []layer, in int, size extent) (int, extent, error) {
	for len(layers) > 0 {
		out, next := in, size
		var err error
		rest := layers[1:]
		switch l := layers[0].(type) {
		case conv:
			var f fold
			f, rest = e.fold(l, rest)
			out, next, err = e.convolve(f, in, size, noExtra)
		case residual:
			out, next, err = e.block(l, in, size)
		case maxPool:
			out, next, err = e.pool(l, in, size)
		case globalPool:
			out, next, err = e.mean(in, size)
		default:
			err = fmt.Errorf("a %T has no frozen form", l)
		}
		if err != nil {
			return 0, extent{}, err
		}
		e.release(in)
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

// fold is folded for the extractor's tensors.
func (e *Extractor) fold(c conv, rest []layer) (fold, []layer) {
	return folded(c, rest, func(name string) []float32 { return e.tensors[name] })
}

// folded takes a batch normalisation and a ReLU that follow the convolution from rest, and
// gives what is left of it.
func folded(c conv, rest []layer, tensor func(name string) []float32) (fold, []layer) {
	f := fold{conv: c, weight: tensor(c.name + ".weight"), shift: make([]float32, c.filters)}
	copy(f.shift, tensor(c.name+".bias"))
	if len(rest) > 0 {
		if m, ok := rest[0].(norm); ok {
			f.normalise(tensor(m.name+".weight"), tensor(m.name+".bias"), tensor(m.name+".running_mean"), tensor(m.name+".running_var"))
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
func (e *Extractor) convolve(f fold, in int, size extent, extra int) (int, extent, error) {
	_, next := f.slots(size)
	c, err := kernel.NewFrozenConv(kernel.ConvShape{
		Batch: e.batch, Height: size.height, Width: size.width, Channels: size.channels,
		Filters: f.filters, KernelHeight: f.kernel, KernelWidth: f.kernel, Stride: f.stride, Padding: f.padding,
	}, f.weight, f.shift, f.relu, e.fast && extra == noExtra)
	if err != nil {
		return 0, next, err
	}
	e.done(f)
	out := e.take(next)
	e.steps = append(e.steps, func(n int) {
		var residual []float32
		if extra != noExtra {
			residual = e.buffers[extra]
		}
		c.Forward(n, e.buffers[out], e.buffers[in], residual)
	})
	return out, next, nil
}

// block adds a residual block, whose last convolution adds the shortcut.
func (e *Extractor) block(r residual, in int, size extent) (int, extent, error) {
	side := in
	if len(r.shortcut) > 0 {
		f, _ := e.fold(r.shortcut[0].(conv), r.shortcut[1:])
		var err error
		if side, _, err = e.convolve(f, in, size, noExtra); err != nil {
			return 0, extent{}, err
		}
	}
	// The caller releases in.
	y, at := in, size
	for rest := r.body; len(rest) > 0; {
		var f fold
		f, rest = e.fold(rest[0].(conv), rest[1:])
		extra := noExtra
		if len(rest) == 0 {
			f.relu, extra = true, side
		}
		out, next, err := e.convolve(f, y, at, extra)
		if err != nil {
			return 0, extent{}, err
		}
		if y != in {
			e.release(y)
		}
		y, at = out, next
	}
	if side != in {
		e.release(side)
	}
	return y, at, nil
}

func (e *Extractor) pool(l maxPool, in int, size extent) (int, extent, error) {
	_, next := l.slots(size)
	p, err := kernel.NewMaxPool(kernel.PoolShape{
		Batch: e.batch, Height: size.height, Width: size.width, Channels: size.channels,
		Window: l.window, Stride: l.stride, Padding: l.padding,
	})
	if err != nil {
		return 0, next, err
	}
	out := e.take(next)
	e.steps = append(e.steps, func(n int) { p.Forward(n, e.buffers[out], e.buffers[in]) })
	return out, next, nil
}

func (e *Extractor) mean(in int, size extent) (int, extent, error) {
	next := extent{1, 1, size.channels}
	p, err := kernel.NewGlobalAveragePool(size.height, size.width, size.channels)
	if err != nil {
		return 0, next, err
	}
	out := e.take(next)
	e.steps = append(e.steps, func(n int) { p.Forward(n, e.buffers[out], e.buffers[in]) })
	return out, next, nil
}
