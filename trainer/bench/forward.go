package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// forwardImages is the batch that backbones are measured with.
const forwardImages = 4

// forwards measures the backbones' features against PyTorch's.
func (r *result) forwards(ctx context.Context, w *worker, threads, turns int) error {
	for name, ratio := range map[string]**float64{model.ResNet50: &r.Forward.ResNet50, model.VGG16: &r.Forward.VGG16} {
		measured, err := r.forward(ctx, w, name, threads, turns)
		if err != nil {
			return err
		}
		if *ratio == nil || measured > **ratio {
			*ratio = &measured
		}
	}
	return nil
}

// forward measures one backbone; the ratio is against PyTorch's default layout.
func (r *result) forward(ctx context.Context, w *worker, name string, threads, turns int) (float64, error) {
	spec := model.Spec{Name: name, Channels: 3, Size: 224, Classes: 2}
	draw := func() (*weights.Weights, error) { return model.InitialBackbone(spec, 1) }
	drawn, err := draw()
	if err != nil {
		return 0, err
	}
	extractor, err := model.NewExtractor(spec, draw, forwardImages)
	if err != nil {
		return 0, err
	}
	images := noise(spec, forwardImages).Values
	features, err := extractor.Features(ctx, images)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(w.file("backbone.safetensors"), drawn.Bytes(), 0o600); err != nil {
		return 0, err
	}
	if err := writeFloats(w.file("images"), images); err != nil {
		return 0, err
	}
	layouts := []string{"nchw", "channels_last"}
	for _, layout := range layouts {
		if err := w.loadBackbone(spec, layout, features); err != nil {
			return 0, err
		}
		defer w.do(map[string]any{"do": "drop", "name": name + layout})
	}
	medians, err := alternate(ctx, turns, func() (time.Duration, error) {
		start := time.Now()
		_, err := extractor.Features(ctx, images)
		return time.Since(start), err
	}, w.contender("forward", name+layouts[0]), w.contender("forward", name+layouts[1]))
	if err != nil {
		return 0, err
	}
	key := fmt.Sprintf("%s, an image, %d thread(s)", name, threads)
	for i, side := range []string{"", ", PyTorch NCHW", ", PyTorch channels_last"} {
		r.Milliseconds[key+side] = medians[i] / forwardImages
	}
	return medians[0] / medians[1], nil
}

// loadBackbone gives the worker a backbone and the images, and compares its
// features with ours.
func (w *worker) loadBackbone(spec model.Spec, layout string, features []float32) error {
	name := spec.Name + layout
	_, err := w.do(map[string]any{
		"do": "load", "name": name, "net": spec.Name, "weights": w.file("backbone.safetensors"), "images": w.file("images"),
		"size": spec.Size, "channels": spec.Channels, "channels_last": layout == "channels_last",
	})
	if err != nil {
		return err
	}
	if _, err := w.do(map[string]any{"do": "forward", "name": name, "out": w.file("features")}); err != nil {
		return err
	}
	theirs, err := readFloats(w.file("features"))
	if err != nil {
		return err
	}
	if d := different(features, theirs); d > 1e-3 {
		return fmt.Errorf("%s: the two sides do not compute the same: features differ by %.2g of the largest; no number is given", spec.Name, d)
	}
	return nil
}
