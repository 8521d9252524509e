package main

import (
	"context"

	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
)

// backboneSeed is that of a backbone for which there are no pre-trained weights.
const backboneSeed = 1

// openBackbone loads a model's backbone, or draws it, and opens the cache of features.
func (b *book) openBackbone(name string, classes int) (*backbone.Backbone, *backbone.Cache, error) {
	cache, err := backbone.OpenCache(b.options.features, backbone.DefaultCacheLimit)
	if err != nil {
		return nil, nil, err
	}
	var made *backbone.Backbone
	spec := backbone.SpecFor(name, 0, 0, classes)
	if path := b.options.weights[name]; path != "" {
		made, err = backbone.Load(spec, path)
	} else {
		made, err = backbone.Random(spec, backboneSeed)
	}
	return made, cache, err
}

// featuresOf are the features of training and test images, when they are first asked for;
// compute makes those of either.
func featuresOf(ctx context.Context, images parts, compute func(ctx context.Context, images dataset.Split, progress func(done, total int)) (dataset.Split, error)) func(progress func(done, total int)) (parts, error) {
	return once(func(progress func(done, total int)) (made parts, err error) {
		n := images.train.Len()
		all := n + images.test.Len()
		if made.train, err = compute(ctx, images.train, func(done, _ int) { progress(done, all) }); err != nil {
			return parts{}, err
		}
		made.test, err = compute(ctx, images.test, func(done, _ int) { progress(n+done, all) })
		return made, err
	})
}
