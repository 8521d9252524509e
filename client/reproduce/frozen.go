package main

import (
	"context"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/image/draw"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/features"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/pretrained"
	"github.com/medfed/medfed/trainer/weights"
)

// frozenSize is the height and width of the images that the backbones take.
const frozenSize = 224

// backboneSeed is that of a backbone for which there are no pre-trained weights.
const backboneSeed = 1

// frozen is a model's frozen backbone with its cache.
type frozen struct {
	spec    model.Spec
	weights *weights.Weights
	digest  string
	origin  string // of the weights, for a reader
	cache   *features.Cache
}

// openFrozen loads a backbone's weights, or draws them.
func (b *book) openFrozen(name string) (*frozen, error) {
	f := &frozen{spec: model.Spec{Name: name, Channels: 3, Size: frozenSize, Classes: 2}}
	var w *weights.Weights
	var err error
	if path := b.options.weights[name]; path != "" {
		w, _, err = pretrained.Load(path, f.spec.BackboneParameters())
		f.origin = "pre-trained weights from " + filepath.Base(path)
	} else {
		w, err = model.InitialBackbone(f.spec, backboneSeed)
		f.origin = fmt.Sprintf("NOT pre-trained: random weights of seed %d", backboneSeed)
	}
	if err != nil {
		return nil, err
	}
	f.weights, f.digest = w, w.Digest()
	f.cache, err = features.Open(b.options.features, features.DefaultLimit)
	return f, err
}

// features replaces images by what the backbone makes of them. progress hears how many
// are done.
func (f *frozen) features(ctx context.Context, images dataset.Split, progress func(done int)) (dataset.Split, error) {
	// Made when the first image is not in the cache.
	made := sync.OnceValues(func() (*model.Backbone, error) { return model.NewBackbone(f.spec, f.weights, 4) })
	backbone := features.Backbone{
		Name: f.spec.Name, Digest: f.digest, Width: f.spec.Inputs(),
		Compute: func(ctx context.Context, images dataset.Split) ([]float32, error) {
			b, err := made()
			if err != nil {
				return nil, err
			}
			return b.Features(ctx, images.Images)
		},
	}
	computed, err := f.cache.Features(ctx, backbone, images, func(done, _ int) { progress(done) })
	return dataset.Split{Images: computed, Labels: images.Labels}, err
}

// standardise brings every feature to mean 0 and standard deviation 1 over the
// training examples: a random backbone's features have any size, and a head does not
// learn from large ones. Hospitals get the same numbers from sums of their own.
func standardise(train, test dataset.Split) (dataset.Split, dataset.Split) {
	width, n := len(train.Images)/train.Len(), float64(train.Len())
	out := [2]dataset.Split{{Images: slices.Clone(train.Images), Labels: train.Labels}, {Images: slices.Clone(test.Images), Labels: test.Labels}}
	for j := range width {
		var mean, square float64
		for i := j; i < len(train.Images); i += width {
			mean += float64(train.Images[i]) / n
		}
		for i := j; i < len(train.Images); i += width {
			d := float64(train.Images[i]) - mean
			square += d * d / n
		}
		for _, s := range out {
			for i := j; i < len(s.Images); i += width {
				if s.Images[i] = float32((float64(s.Images[i]) - mean) / math.Sqrt(square)); square == 0 {
					s.Images[i] = 0
				}
			}
		}
	}
	return out[0], out[1]
}

// enlarged brings MedMNIST's images to the backbones' size, colours and
// normalisation, a few at a time because they are 64 times as large then, and
// replaces them by their features. progress hears how many are done.
func (f *frozen) enlarged(ctx context.Context, data *dataset.Data, split dataset.Split, progress func(done int)) (dataset.Split, error) {
	const some = 40
	out := dataset.Split{Labels: split.Labels}
	for first := 0; first < split.Len(); first += some {
		chunk := dataset.Split{}
		for i := first; i < min(first+some, split.Len()); i++ {
			chunk.Images = append(chunk.Images, enlarge(data, split, i)...)
			chunk.Labels = append(chunk.Labels, split.Labels[i])
		}
		made, err := f.features(ctx, chunk, func(done int) { progress(first + done) })
		if err != nil {
			return dataset.Split{}, err
		}
		out.Images = append(out.Images, made.Images...)
	}
	return out, nil
}

// enlarge draws image i larger, bilinearly, as colour with ImageNet's normalisation.
func enlarge(data *dataset.Data, split dataset.Split, i int) []float32 {
	size, channels := data.Size, data.Channels
	small, large := image.NewRGBA(image.Rect(0, 0, size, size)), image.NewRGBA(image.Rect(0, 0, frozenSize, frozenSize))
	pixels := split.Images[i*size*size*channels : (i+1)*size*size*channels]
	for p := range size * size {
		for c := range 3 {
			v := pixels[p*channels+min(c, channels-1)]
			small.Pix[4*p+c] = byte(v*127.5 + 128) // v/127.5-1 of a byte, rounded back to it
		}
		small.Pix[4*p+3] = 255
	}
	draw.BiLinear.Scale(large, large.Bounds(), small, small.Bounds(), draw.Src, nil)
	out := make([]float32, 0, 3*frozenSize*frozenSize)
	for p := 0; p < len(large.Pix); p += 4 {
		for c := range 3 {
			out = append(out, float32((float64(large.Pix[p+c])/255-dataset.ImageNet.Mean[c])/dataset.ImageNet.Std[c]))
		}
	}
	return out
}
