package main

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/onnxruntime"
)

// shape is an architecture with the images that it is used on.
type shape struct {
	architecture   string
	channels, size int
	levels         int // of a stored value: 256, or more in 16 bits with a window
}

func (s shape) name() string {
	if s.levels > 256 {
		return fmt.Sprintf("%s with a window of %d levels", s.architecture, s.levels)
	}
	return s.architecture
}

// shapes are all architectures, and one with a window.
func shapes() []shape {
	all := []shape{{model.HMChainCNN, 1, 28, 4096}}
	for _, name := range model.Names() {
		if (model.Spec{Name: name, Channels: 3, Size: 224, Classes: 2}).CheckFrozen() == nil {
			all = append(all, shape{name, 3, 224, 256})
		} else {
			all = append(all, shape{name, 1, 28, 256})
		}
	}
	return all
}

// bothClasses are those that models here are trained on.
var bothClasses = []string{"normal", "pneumonia"}

// made is a trained model with images to ask it about.
type made struct {
	file   string
	images []string
}

// asked is how many images a model is asked about.
func (b *bench) asked() int {
	if b.quick {
		return 10
	}
	return 100
}

// train draws images and trains a model of the shape on some of them, a little. A frozen
// backbone is random.
func (b *bench) train(ctx context.Context, s shape) (made, error) {
	if m, there := b.models[s.name()]; there {
		return m, nil
	}
	b.Doing("training %s", s.name())
	folder := strings.ReplaceAll(s.name(), " ", "-")
	m, random := made{file: folder + ".safetensors"}, rand.New(rand.NewPCG(1, uint64(s.levels)))
	for i := range b.asked() + 20 {
		var encoded bytes.Buffer
		if err := png.Encode(&encoded, scene(random, s, i%2)); err != nil {
			return m, err
		}
		path := filepath.Join(folder, "train", bothClasses[i%2], fmt.Sprintf("%d.png", i))
		if i >= 20 {
			path = filepath.Join(folder, "asked", fmt.Sprintf("%d.png", i))
			m.images = append(m.images, path)
		}
		if err := write(filepath.Join(b.folder, path), encoded.Bytes()); err != nil {
			return m, err
		}
	}
	arguments := []string{"simulate", "--images", filepath.Join(folder, "train"), "--model", s.architecture, "--channels", fmt.Sprint(s.channels), "--image-size", fmt.Sprint(s.size),
		"--clients", "1", "--participation", "1", "--masters", "0", "--rounds", "1", "--epochs", "3", "--batch-size", "10", "--learning-rate", "0.02", "--curve", "none", "--no-test", "--out", m.file}
	if s.levels > 256 {
		arguments = append(arguments, "--window", fmt.Sprintf("0:%d", s.levels-1))
	}
	if _, err := b.must(ctx, arguments...); err != nil {
		return m, err
	}
	b.models[s.name()] = m
	return m, nil
}

// answers are what "model predict" prints.
type answers struct {
	Predictions []struct {
		File          string    `json:"file"`
		Probabilities []float64 `json:"probabilities"`
	} `json:"predictions"`
}

// predict asks a model, with an empty cache of features.
func (b *bench) predict(ctx context.Context, m made, images []string) ([]float64, error) {
	if err := os.RemoveAll(filepath.Join(b.folder, "cache")); err != nil {
		return nil, err
	}
	o, err := b.must(ctx, append([]string{"model", "predict", "--format", "json", m.file}, images...)...)
	if err != nil {
		return nil, err
	}
	got, err := parse[answers](o)
	if err != nil {
		return nil, err
	}
	var all []float64
	for _, p := range got.Predictions {
		all = append(all, p.Probabilities...)
	}
	return all, nil
}

// single asks every model about three images, together and one by one.
func (b *bench) single(ctx context.Context) (any, error) {
	equal := map[string]bool{}
	for _, s := range shapes() {
		m, err := b.train(ctx, s)
		if err != nil {
			return nil, err
		}
		b.Doing("%s: an image alone", s.name())
		some := m.images[:3]
		together, err := b.predict(ctx, m, some)
		if err != nil {
			return nil, err
		}
		var alone []float64
		for _, image := range some {
			one, err := b.predict(ctx, m, []string{image})
			if err != nil {
				return nil, err
			}
			alone = append(alone, one...)
		}
		equal[s.name()] = len(together) == 6 && slices.Equal(together, alone)
		b.Bar(equal[s.name()], "%s: an image alone gets %v, in company %v", s.name(), alone, together)
	}
	return equal, nil
}

// onnxBar is how far a probability may be from medfed's.
const onnxBar = 1e-5

// onnx exports every model and has ONNX Runtime answer what medfed answers.
func (b *bench) onnx(ctx context.Context) (any, error) {
	runtime, err := onnxruntime.Find(".")
	if err != nil {
		b.Unmeasured("ONNX: %v", err)
		return nil, nil
	}
	worst := map[string]float64{}
	for _, s := range shapes() {
		m, err := b.train(ctx, s)
		if err != nil {
			return nil, err
		}
		b.Doing("%s: %d images", s.name(), len(m.images))
		if _, err := b.must(ctx, "model", "export", m.file, "--onnx", m.file+".onnx"); err != nil {
			return nil, err
		}
		want, err := b.predict(ctx, m, m.images)
		if err != nil {
			return nil, err
		}
		var got []float64
		for some := range slices.Chunk(m.images, 20) { // which are 12 MB at most
			pixels, err := b.pixels(s, some)
			if err != nil {
				return nil, err
			}
			result, err := runtime.Run(ctx, filepath.Join(b.folder, m.file+".onnx"), pixels, 1, 4)
			if err != nil {
				return nil, err
			}
			got = append(got, result.Values...)
		}
		if len(got) != len(want) || len(got) != 2*len(m.images) {
			return nil, fmt.Errorf("%s: ONNX Runtime gives %d probabilities, medfed %d", s.name(), len(got), len(want))
		}
		low, high := 1.0, 0.0
		for i, p := range got {
			worst[s.name()] = max(worst[s.name()], math.Abs(p-want[i]))
			low, high = min(low, p), max(high, p)
		}
		b.Say("%s: %.1e apart over %d images, with probabilities from %.3f to %.3f", s.name(), worst[s.name()], len(m.images), low, high)
		b.Bar(worst[s.name()] <= onnxBar, "%s in ONNX: %.1e apart, the bar is %.0e", s.name(), worst[s.name()], onnxBar)
	}
	return worst, nil
}

// pixels are images as the graph takes them: [images][channels][size][size], from 0 to 1,
// or stored values where there is a window.
func (b *bench) pixels(s shape, images []string) ([]float32, error) {
	var all []float32
	for _, path := range images {
		f, err := os.Open(filepath.Join(b.folder, path))
		if err != nil {
			return nil, err
		}
		m, err := png.Decode(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		for c := range s.channels {
			for at := range s.size * s.size {
				r, g, blue, _ := m.At(at%s.size, at/s.size).RGBA() // of 16 bits
				v := float32([]uint32{r, g, blue}[c])
				if s.levels == 256 {
					v /= 65535
				}
				all = append(all, v)
			}
		}
	}
	return all, nil
}

// classes shows data of other names to whatever takes data, and data whose classes stand in
// another order.
func (b *bench) classes(ctx context.Context) (any, error) {
	m, err := b.train(ctx, shape{model.HMChainCNN, 1, 28, 256})
	if err != nil {
		return nil, err
	}
	own := filepath.Join(b.folder, model.HMChainCNN, "train")
	other, reordered := filepath.Join(b.folder, "other"), filepath.Join(b.folder, "reordered")
	for class, to := range map[string][2]string{"normal": {"benign", "zzz"}, "pneumonia": {"malignant", "pneumonia"}} {
		if err := os.CopyFS(filepath.Join(other, to[0]), os.DirFS(filepath.Join(own, class))); err != nil {
			return nil, err
		}
		if err := os.CopyFS(filepath.Join(reordered, to[1]), os.DirFS(filepath.Join(own, class))); err != nil {
			return nil, err
		}
	}
	refused := map[string]bool{}
	for command, arguments := range map[string][]string{
		"evaluate": {"model", "evaluate", m.file, "--images", other, "--split", "train"},
		"simulate": {"simulate", "--images", other, "--classes", "normal,pneumonia", "--clients", "4", "--masters", "0"},
		"predict":  {"model", "predict", m.file, m.images[0], "--classes", "benign,malignant"},
	} {
		want := "MF-DATA-CLASSES"
		if command == "predict" { // images without a class: only who asks can have other names
			want = "MF-USAGE"
		}
		o, err := b.medfed(ctx, arguments...)
		if err != nil {
			return nil, err
		}
		refused[command] = o.code == want
		b.Bar(refused[command], "%s takes other classes: %q instead of %s", command, o.code, want)
	}
	b.Doing("a node: its test, which has a ledger of its own")
	test := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestScripts$/^classes$", "./client/cmd/medfed")
	output, err := test.CombinedOutput()
	refused["node"] = err == nil
	b.Say("node: by the script classes.txtar of client/cmd/medfed, on a ledger in memory")
	b.Bar(err == nil, "a node takes other classes: %s", output)

	var scores [2]map[string]any
	for i, images := range []string{own, reordered} {
		arguments := []string{"model", "evaluate", m.file, "--images", images, "--split", "train", "--format", "json"}
		if i == 1 {
			arguments = append(arguments, "--class", "zzz=normal")
		}
		o, err := b.must(ctx, arguments...)
		if err != nil {
			return nil, err
		}
		result, err := parse[struct{ Metrics map[string]any }](o)
		if err != nil {
			return nil, err
		}
		delete(result.Metrics, "loss") // no score: a sum, whose last bit knows the order of the examples
		scores[i] = result.Metrics
	}
	refused["same_score_in_another_order"] = reflect.DeepEqual(scores[0], scores[1]) && scores[0]["auc"] != nil
	b.Bar(refused["same_score_in_another_order"], "the same classes in another order: %v and %v", scores[0], scores[1])
	return refused, nil
}
