package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// backboneFlags choose the weights of a model's frozen backbone. They are keys of a
// --terms file, too.
type backboneFlags struct {
	File string `yaml:"backbone"`
	Seed int64  `yaml:"backbone_seed"`
}

// bind makes a flag of each.
func (f *backboneFlags) bind(flags *pflag.FlagSet) {
	if f.Seed == 0 {
		f.Seed = 1
	}
	bindBackboneFile(flags, &f.File, "; without them the backbone is random, and every output says so")
	flags.Int64Var(&f.Seed, "backbone-seed", f.Seed, "of a random backbone")
}

func bindBackboneFile(flags *pflag.FlagSet, file *string, more string) {
	flags.StringVar(file, "backbone", *file, "pre-trained weights of the frozen backbone of "+model.VGG16+" or "+model.ResNet50+", torchvision's .safetensors, .pt or .pth"+more)
}

// open loads or draws the backbone of a model for images under an Input, and gives its
// place in a task's terms; nil for a model without one.
func (f backboneFlags) open(spec model.Spec, in dataset.Input) (*backbone.Backbone, fl.Backbone, error) {
	if err := spec.Validate(); err != nil {
		return nil, fl.Backbone{}, err
	}
	if f.File != "" {
		b, err := backbone.Load(spec, f.File)
		if err != nil {
			return nil, fl.Backbone{}, err
		}
		b.Input = in
		return b, fl.Backbone{Digest: b.Digest}, nil
	}
	if !spec.Frozen() {
		return nil, fl.Backbone{}, nil
	}
	b, err := backbone.Random(spec, f.Seed)
	if err != nil {
		return nil, fl.Backbone{}, err
	}
	b.Input = in
	return b, fl.Backbone{Digest: b.Digest, Random: true, Seed: f.Seed}, nil
}

// agreedBackbone loads or draws the backbone that a task's terms name, and refuses
// any other; nil for a model without one.
func agreedBackbone(t fl.Terms, file string) (*backbone.Backbone, error) {
	spec := node.Spec(t)
	// A model that this version does not know is refused where it is trained.
	isFrozen := spec.Validate() == nil && spec.Frozen()
	switch {
	case !isFrozen && file != "":
		return nil, spec.CheckFrozen()
	case !isFrozen:
		return nil, nil
	case t.Backbone == fl.Backbone{}:
		return nil, codes.Errorf("MF-BACKBONE-ABSENT", "task %s does not say which backbone is in front of its head; take part in another task, created with this version of medfed", t.Task)
	case !t.Backbone.Random && file == "":
		return nil, codes.Errorf("MF-BACKBONE-FILE", "task %s trains behind pre-trained weights of %s with the digest %s; name their file with --backbone", t.Task, t.Model, t.Backbone.Digest)
	}
	b, _, err := backboneFlags{File: file, Seed: t.Backbone.Seed}.open(spec, node.Input(t))
	if err != nil {
		return nil, err
	}
	return b, b.Check(t.Backbone.Digest)
}

// backboneInWords is what every output that rests on a backbone says.
func backboneInWords(b fl.Backbone) string {
	if b.Random {
		return backbone.RandomOrigin(b.Seed) + ", digest " + b.Digest
	}
	return "pre-trained weights, digest " + b.Digest
}

// featuresOf replaces the images of all parts of a set by their features, with a
// progress bar.
func (a *app) featuresOf(ctx context.Context, b *backbone.Backbone, data *dataset.Data) (*dataset.Data, error) {
	cache, err := a.featureCache(b)
	if err != nil {
		return nil, err
	}
	shown := a.newBars()
	defer shown.Close()
	return b.Data(ctx, cache, data, func(done, total int) { shown.Step("features by "+b.Spec.Name, done, total) })
}

// featureCache opens the cache of a backbone's features, and says where they are random.
func (a *app) featureCache(b *backbone.Backbone) (*backbone.Cache, error) {
	if b.Random {
		fmt.Fprintf(a.stderr, "medfed: %s: %s; its features are random projections\n", b.Spec.Name, b.Origin)
	}
	return openFeatureCache()
}

func openFeatureCache() (*backbone.Cache, error) {
	folder, err := backbone.DefaultCacheFolder()
	if err != nil {
		return nil, err
	}
	return backbone.OpenCache(folder, backbone.DefaultCacheLimit)
}

// firstHead is the weights from which the training of a head behind a backbone starts.
func (a *app) firstHead(ctx context.Context, b *backbone.Backbone, seed int64) (*weights.Weights, error) {
	cache, err := openFeatureCache()
	if err != nil {
		return nil, err
	}
	shown := a.newBars()
	defer shown.Close()
	return b.Initial(ctx, cache, seed, func(done, total int) { shown.Step("first statistics by "+b.Spec.Name, done, total) })
}
