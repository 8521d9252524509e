// Package backbone brings the frozen backbones that heads are trained behind:
// pre-trained weights from a file or random ones from a seed, labelled images as the
// features that a backbone makes of them, and a cache that keeps these, for the
// backbone costs a hundred times what training its head does.
//
// Errors begin with a stable code:
//
//	MF-BACKBONE-DIGEST    the weights are others than those that were agreed on
//	MF-FEATURES-CACHE     the cache's folder can't be used
//	MF-FEATURES-BACKBONE  a backbone gives other than it says
//
// and those of packages pretrained and model.
package backbone

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/pretrained"
	"github.com/medfed/medfed/trainer/weights"
)

// Backbone is a model's frozen part with its weights.
type Backbone struct {
	Spec   model.Spec
	Digest string // of the weights in their canonical form: the same for a .pt and a .safetensors of the same
	Origin string // of the weights, for everything that rests on them to say
	Random bool   // drawn, not pre-trained
	// Input is how images become the numbers that the backbone takes: what its spec has,
	// unless another is set.
	Input dataset.Input

	width   int // features of an image
	load    func() (*weights.Weights, error)
	prepare func() error // makes what compute needs, which takes most memory while it is made; nil for nothing
	compute extract
}

// extract gives the features [images][width] of images that are prepared for the
// backbone, one after another.
type extract func(ctx context.Context, images []float32) ([]float32, error)

// ImageSize is the height and width of the images that the backbones take.
const ImageSize = 224

// SpecFor is the spec of a model for images of the given shape. A model with a frozen
// backbone takes images of any shape, because they are brought to its own.
func SpecFor(name string, channels, size, classes int) model.Spec {
	own := model.Spec{Name: name, Channels: 3, Size: ImageSize, Classes: classes}
	if own.CheckFrozen() == nil {
		return own
	}
	return model.Spec{Name: name, Channels: channels, Size: size, Classes: classes}
}

// Load takes the weights of a spec's backbone by name from a .safetensors, .pt or
// .pth file, such as torchvision's; what else the file holds is passed over. Errors:
// those of [model.Spec.CheckFrozen] and [pretrained.Load], which lists what is missing
// or misshapen.
func Load(spec model.Spec, file string) (*Backbone, error) {
	if err := spec.CheckFrozen(); err != nil {
		return nil, err
	}
	b, err := with(spec, "pre-trained weights from "+filepath.Base(file), func() (*weights.Weights, error) {
		w, _, err := pretrained.Load(file, spec.BackboneParameters())
		return w, err
	})
	return b, err
}

// Random draws the weights of a spec's backbone: its features are random
// projections. Errors: those of [model.Spec.CheckFrozen].
func Random(spec model.Spec, seed int64) (*Backbone, error) {
	b, err := with(spec, RandomOrigin(seed), func() (*weights.Weights, error) { return model.InitialBackbone(spec, seed) })
	if err != nil {
		return nil, err
	}
	b.Random = true
	return b, nil
}

// RandomOrigin is the Origin of a random backbone.
func RandomOrigin(seed int64) string {
	return fmt.Sprintf("random backbone, seed %d: NOT pre-trained", seed)
}

// batch is how many images go through at once: more are no faster, and take room.
const batch = 1

// with makes a backbone of what load gives, which does not stay in memory.
func with(spec model.Spec, origin string, load func() (*weights.Weights, error)) (*Backbone, error) {
	w, err := load()
	if err != nil {
		return nil, err
	}
	b := &Backbone{Spec: spec, Digest: w.Digest(), Origin: origin, Input: spec.Input(), width: spec.Inputs(), load: load}
	w = nil
	debug.FreeOSMemory()
	extractor := sync.OnceValues(func() (*model.Extractor, error) { return model.NewExtractor(spec, b.Weights, batch) })
	b.prepare = func() error {
		_, err := extractor()
		return err
	}
	b.compute = func(ctx context.Context, images []float32) ([]float32, error) {
		e, err := extractor()
		if err != nil {
			return nil, err
		}
		return e.Features(ctx, images)
	}
	return b, nil
}

// Weights loads or draws the weights once more: [model.Spec.BackboneParameters]. Where
// they are not what they were, the error is MF-BACKBONE-DIGEST.
func (b *Backbone) Weights() (*weights.Weights, error) {
	w, err := b.load()
	if err != nil {
		return nil, err
	}
	if digest := w.Digest(); digest != b.Digest {
		return nil, codes.Errorf("MF-BACKBONE-DIGEST", "the weights of %s (%s) have changed from %s to %s; leave the file alone while it is used", b.Spec.Name, b.Origin, b.Digest, digest)
	}
	return w, nil
}

// Check refuses weights of another digest than the one agreed on, with
// MF-BACKBONE-DIGEST.
func (b *Backbone) Check(digest string) error {
	if b.Digest == digest {
		return nil
	}
	return codes.Errorf("MF-BACKBONE-DIGEST", "the weights of %s (%s) have the digest %s, not %s as agreed on; use the same file as the others", b.Spec.Name, b.Origin, b.Digest, digest)
}

// Prepared replaces images that have the backbone's size and colours, and were read under
// its Input, by their features, from the cache where they
// are there. progress, if not nil, hears how many images of how many are done. Not
// for two goroutines at a time. Errors: MF-FEATURES-CACHE, MF-FEATURES-BACKBONE,
// or one that wraps ctx.Err().
func (b *Backbone) Prepared(ctx context.Context, cache *Cache, images dataset.Split, progress func(done, total int)) (dataset.Split, error) {
	computed, err := cache.features(ctx, b, images, progress)
	return dataset.Split{Values: computed, Labels: images.Labels, Patients: images.Patients}, err
}

// Features is Prepared for images of size × size pixels that were read under the
// Brightness of its Input: they are brought to the backbone's size and colours, bilinearly,
// and to its normalisation. Images that are still in their files are read a few at a time,
// and have all that already.
func (b *Backbone) Features(ctx context.Context, cache *Cache, images dataset.Split, size, channels int, progress func(done, total int)) (dataset.Split, error) {
	if images.Unread != nil {
		return b.Prepared(ctx, cache, images, progress)
	}
	const some = 32 // images enlarged at once: 64 times as large as MedMNIST's
	out := dataset.Split{Values: make([]float32, 0, images.Len()*b.width), Labels: images.Labels, Patients: images.Patients}
	room := make([]float32, size*size*channels)
	for first := 0; first < images.Len(); first += some {
		last := min(first+some, images.Len())
		chunk := dataset.Split{Labels: images.Labels[first:last]}
		for i := first; i < last; i++ {
			image, err := images.Example(i, room)
			if err != nil {
				return dataset.Split{}, err
			}
			chunk.Values = append(chunk.Values, b.Input.Resized(image, size, channels, b.Spec.Size, b.Spec.Channels)...)
		}
		computed, err := b.Prepared(ctx, cache, chunk, nil)
		if err != nil {
			return dataset.Split{}, err
		}
		out.Values = append(out.Values, computed.Values...)
		if progress != nil {
			progress(last, images.Len())
		}
	}
	return out, nil
}

// Data is a set with features in the place of images, and the backbone's images'
// shape, as [model.Spec] wants them. progress may be nil.
func (b *Backbone) Data(ctx context.Context, cache *Cache, data *dataset.Data, progress func(done, total int)) (*dataset.Data, error) {
	out := *data
	out.Channels, out.Size = b.Spec.Channels, b.Spec.Size
	total, before := data.Train.Len()+data.Validation.Len()+data.Test.Len(), 0
	for _, part := range []*dataset.Split{&out.Train, &out.Validation, &out.Test} {
		computed, err := b.Features(ctx, cache, *part, data.Size, data.Channels, func(done, _ int) {
			if progress != nil {
				progress(before+done, total)
			}
		})
		if err != nil {
			return nil, err
		}
		before += part.Len()
		*part = computed
	}
	return &out, nil
}

// measuredImages is how many images the first statistics of a head are of.
const measuredImages = 32

// Initial returns the weights from which training of the head behind the backbone starts:
// those of [model.Initial], with the statistics of the features that the backbone makes
// of images that show nothing ([dataset.ValueNoise]). Nobody's images have a part in them,
// so that private training, which never changes them, may rest on them. The same backbone
// and seed give the same bytes. progress may be nil. Errors: those of Prepared.
func (b *Backbone) Initial(ctx context.Context, cache *Cache, seed int64, progress func(done, total int)) (*weights.Weights, error) {
	noise := dataset.ValueNoise(measuredImages, b.Spec.Channels, b.Spec.Size)
	features, err := b.Features(ctx, cache, noise, b.Spec.Size, b.Spec.Channels, progress)
	if err != nil {
		return nil, err
	}
	return model.InitialHead(b.Spec, seed, features)
}

// Uncached is the features [images][features] of prepared images that are looked at once,
// and that no cache is to keep. Not for two goroutines at a time. The error is one that
// wraps ctx.Err().
func (b *Backbone) Uncached(ctx context.Context, images []float32) ([]float32, error) {
	return b.compute(ctx, images)
}
