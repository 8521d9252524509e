package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/medfed/medfed/trainer/model"
)

// What memory is measured with.
const (
	manyImages = 10_000
	manyMB     = 400 // the bar
	// distinct is how many of the large images differ: a frozen backbone takes a minute for
	// a thousand. Images of one content go through it once; all are read.
	distinct = 200
)

// peaks are 10^6 bytes resident at most.
type peaks struct {
	Training float64 `json:"training"`
	Scoring  float64 `json:"scoring"`
}

// memory has medfed train and score on many images, as one node does that has them all: it
// reads them, trains an epoch from the weights that it draws, and is scored on the 9,000
// that it trained on, in a process of its own each.
func (b *bench) memory(ctx context.Context) (any, error) {
	n := manyImages
	if b.quick {
		n = manyImages / 10
		b.Unmeasured("memory of %d images: -quick reads %d", manyImages, n)
	}
	measured := map[string]peaks{}
	for _, c := range []struct {
		architecture   string
		side, distinct int
	}{{model.HMChainCNN, 64, n}, {model.ResNet50, 224, distinct}, {model.VGG16, 224, distinct}} {
		name := fmt.Sprintf("%s at %d×%d", c.architecture, c.side, c.side)
		folder := fmt.Sprintf("images-%d", c.side)
		if _, err := os.Stat(filepath.Join(b.folder, folder)); err != nil {
			b.Doing("%s: drawing %d images", name, n)
			if err := drawMany(filepath.Join(b.folder, folder), n, c.side, c.distinct); err != nil {
				return nil, err
			}
		}
		b.Doing("%s: training on %d images", name, n*9/10)
		trained, err := b.must(ctx, "simulate", "--images", folder, "--model", c.architecture, "--image-size", fmt.Sprint(c.side),
			"--clients", "1", "--participation", "1", "--masters", "0", "--rounds", "1", "--epochs", "1",
			"--learning-rate", "0.01", "--curve", "none", "--out", folder+".safetensors")
		if err != nil {
			return nil, err
		}
		b.Doing("%s: scoring on %d images", name, n*9/10)
		scored, err := b.must(ctx, "model", "evaluate", folder+".safetensors", "--images", folder, "--split", "train")
		if err != nil {
			return nil, err
		}
		if trained.peakMB == 0 {
			b.Unmeasured("memory: this system does not tell a process's peak")
			return nil, nil
		}
		p := peaks{rounded(trained.peakMB), rounded(scored.peakMB)}
		measured[name] = p
		b.Say("%s, %d files of which %d differ: %.0f MB training, %.0f MB scoring", name, n, c.distinct, p.Training, p.Scoring)
		b.Bar(p.Training <= manyMB && p.Scoring <= manyMB, "%s: %.0f MB training and %.0f MB scoring, the bar is %d", name, p.Training, p.Scoring, manyMB)
	}
	if b.quick {
		return nil, nil
	}
	return measured, nil
}
