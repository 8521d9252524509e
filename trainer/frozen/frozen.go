// Package frozen brings the backbones that heads are trained behind: pre-trained
// weights from a file or random ones from a seed, and labelled images as the
// features that a backbone makes of them.
//
// Errors begin with a stable code:
//
//	MF-BACKBONE-DIGEST  the weights are others than those that were agreed on
//
// and those of packages pretrained, model and features.
package frozen

import (
	"context"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"sync"

	"golang.org/x/image/draw"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/features"
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

	build func() (*model.Backbone, error)
}

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
// .pth file, such as torchvision's; what else the file holds is passed over. What
// is missing or misshapen is listed in the error, which is coded.
func Load(spec model.Spec, file string) (*Backbone, error) {
	if err := spec.CheckFrozen(); err != nil {
		return nil, err
	}
	w, _, err := pretrained.Load(file, spec.BackboneParameters())
	if err != nil {
		return nil, err
	}
	return with(spec, w, "pre-trained weights from "+filepath.Base(file)), nil
}

// Random draws the weights of a spec's backbone: its features are random
// projections. The error is coded.
func Random(spec model.Spec, seed int64) (*Backbone, error) {
	w, err := model.InitialBackbone(spec, seed)
	if err != nil {
		return nil, err
	}
	b := with(spec, w, RandomOrigin(seed))
	b.Random = true
	return b, nil
}

// RandomOrigin is the Origin of a random backbone.
func RandomOrigin(seed int64) string {
	return fmt.Sprintf("random backbone, seed %d: NOT pre-trained", seed)
}

// batch is how many images go through at once: more are no faster.
const batch = 4

func with(spec model.Spec, w *weights.Weights, origin string) *Backbone {
	return &Backbone{
		Spec: spec, Digest: w.Digest(), Origin: origin,
		build: sync.OnceValues(func() (*model.Backbone, error) { return model.NewBackbone(spec, w, batch) }),
	}
}

// Check refuses weights of another digest than the one agreed on.
func (b *Backbone) Check(digest string) error {
	if b.Digest == digest {
		return nil
	}
	return codes.Errorf("MF-BACKBONE-DIGEST", "the weights of %s (%s) have the digest %s, not %s as agreed on; use the same file as the others", b.Spec.Name, b.Origin, b.Digest, digest)
}

// Prepared replaces images that have the backbone's size and colours and ImageNet's
// normalisation ([dataset.ImageNet]) by their features, from the cache where they are
// there. progress may be nil. Not for two goroutines at a time.
func (b *Backbone) Prepared(ctx context.Context, cache *features.Cache, images dataset.Split, progress func(done, total int)) (dataset.Split, error) {
	source := features.Backbone{
		Name: b.Spec.Name, Digest: b.Digest, Width: b.Spec.Inputs(),
		Compute: func(ctx context.Context, images dataset.Split) ([]float32, error) {
			made, err := b.build()
			if err != nil {
				return nil, err
			}
			return made.Features(ctx, images.Images)
		},
	}
	computed, err := cache.Features(ctx, source, images, progress)
	images.Images = computed
	return images, err
}

// Features is Prepared for images of size × size pixels, valued as [dataset.Split]
// says: they are brought to the backbone's size and colours, bilinearly, and to
// ImageNet's normalisation.
func (b *Backbone) Features(ctx context.Context, cache *features.Cache, images dataset.Split, size, channels int, progress func(done, total int)) (dataset.Split, error) {
	const some = 32 // images enlarged at once: 64 times as large as MedMNIST's
	out := images
	out.Images = make([]float32, 0, images.Len()*b.Spec.Inputs())
	for first := 0; first < images.Len(); first += some {
		last := min(first+some, images.Len())
		chunk := dataset.Split{Labels: images.Labels[first:last]}
		for i := first; i < last; i++ {
			pixels := size * size * channels
			chunk.Images = append(chunk.Images, b.enlarge(images.Images[i*pixels:(i+1)*pixels], size, channels)...)
		}
		computed, err := b.Prepared(ctx, cache, chunk, nil)
		if err != nil {
			return dataset.Split{}, err
		}
		out.Images = append(out.Images, computed.Images...)
		if progress != nil {
			progress(last, images.Len())
		}
	}
	return out, nil
}

// Data is a set with features in the place of images, and the backbone's images'
// shape, as [model.Spec] wants them. progress may be nil.
func (b *Backbone) Data(ctx context.Context, cache *features.Cache, data *dataset.Data, progress func(done, total int)) (*dataset.Data, error) {
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

// enlarge draws an image at the backbone's size and in its colours, with ImageNet's
// normalisation.
func (b *Backbone) enlarge(pixels []float32, size, channels int) []float32 {
	small, large := image.NewRGBA(image.Rect(0, 0, size, size)), image.NewRGBA(image.Rect(0, 0, b.Spec.Size, b.Spec.Size))
	for p := range size * size {
		for c := range 3 {
			v := pixels[p*channels+min(c, channels-1)]
			small.Pix[4*p+c] = byte(v*127.5 + 128) // v/127.5-1 of a byte, rounded back to it
		}
		small.Pix[4*p+3] = 255
	}
	draw.BiLinear.Scale(large, large.Bounds(), small, small.Bounds(), draw.Src, nil)
	out := make([]float32, 0, 3*len(large.Pix)/4)
	for p := 0; p < len(large.Pix); p += 4 {
		for c := range 3 {
			out = append(out, float32((float64(large.Pix[p+c])/255-dataset.ImageNet.Mean[c])/dataset.ImageNet.Std[c]))
		}
	}
	return out
}

// Standardise brings every feature to mean 0 and standard deviation 1 over the
// examples of by, in all parts: a random backbone's features have any size, and a
// head does not learn from large ones. A feature that never changes becomes 0. The
// parts are changed in place; by may be one of them.
func Standardise(by dataset.Split, parts ...dataset.Split) {
	if by.Len() == 0 {
		return
	}
	width, n := len(by.Images)/by.Len(), float64(by.Len())
	for j := range width {
		var mean, square float64
		for i := j; i < len(by.Images); i += width {
			mean += float64(by.Images[i]) / n
		}
		for i := j; i < len(by.Images); i += width {
			d := float64(by.Images[i]) - mean
			square += d * d / n
		}
		for _, part := range parts {
			for i := j; i < len(part.Images); i += width {
				if part.Images[i] = float32((float64(part.Images[i]) - mean) / math.Sqrt(square)); square == 0 {
					part.Images[i] = 0
				}
			}
		}
	}
}
