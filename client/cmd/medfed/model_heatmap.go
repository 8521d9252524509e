package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/saliency"
)

// makeFolder makes a folder where it is not there; "" is none.
func makeFolder(path string) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return codes.Wrapf("MF-WRITE-FOLDER", "the folder can't be made: %w; name one that can be written", err)
	}
	return nil
}

// heatmap draws what the model looked at to take an image for a class, and gives the
// picture's file.
func (p *predictor) heatmap(ctx context.Context, file string, values []float32, class int) (string, error) {
	image := saliency.Image{Values: values, Size: p.spec.Size, Channels: p.spec.Channels}
	seen, err := saliency.Occlude(ctx, p.told, image, class, func(done, total int) {
		p.shown.Step("squares hidden", p.done*total+done, p.of*total)
	})
	if err != nil {
		return "", err
	}
	name := p.description.Classes[class]
	heat := fmt.Sprintf("red: hiding it costs %s the most; at least %.4f is left with a square hidden", name, seen.Least)
	if slices.Max(seen.Heat) < saliency.Faint {
		heat = fmt.Sprintf("hiding a square costs %s next to nothing anywhere; at least %.4f is left", name, seen.Least)
	}
	content, err := saliency.Picture{
		Brightness: brightness(values, p.description.Input.Whole(p.spec.Channels)), Channels: p.spec.Channels, Map: seen,
		Words: []string{
			fmt.Sprintf("%s, probability %.4f: %s", name, seen.Probability, model.Notice),
			heat,
			filepath.Base(file),
		},
	}.PNG()
	if err != nil {
		return "", err
	}
	path := filepath.Join(p.heatmaps, heatmapName(file, p.done+1, p.of))
	return path, simulate.WriteFile(path, content)
}

// told gives the probabilities that are told of images.
func (p *predictor) told(ctx context.Context, images []float32) ([]float32, error) {
	examples := dataset.Split{Values: images, Labels: make([]int, len(images)/(p.spec.Size*p.spec.Size*p.spec.Channels))}
	if p.backbone != nil {
		var err error
		if examples.Values, err = p.backbone.Uncached(ctx, images); err != nil {
			return nil, err
		}
	}
	probabilities, err := model.Predict(ctx, p.spec, p.weights, examples)
	if err != nil {
		return nil, err
	}
	return p.description.Calibrated(probabilities), nil
}

// brightness is 0 for black to 1 for white of what a model gets of an image.
func brightness(values []float32, in dataset.Input) []float64 {
	all := make([]float64, len(values))
	for i, v := range values {
		c := i % len(in.Mean)
		all[i] = float64(v)*in.Std[c] + in.Mean[c]
	}
	return all
}

// heatmapName is the name of the picture of an image, the number-th of so many: the number
// tells apart those of one name, and nothing of the name leads out of a folder.
func heatmapName(file string, number, of int) string {
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '-'
	}, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	for len(name) > 100 { // bytes: a file's name has room for 255
		letters := []rune(name)
		name = string(letters[:len(letters)-1])
	}
	return fmt.Sprintf("%0*d-%s.png", len(fmt.Sprint(of)), number, name)
}
