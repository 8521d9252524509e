package backbone

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

var spec = model.Spec{Name: model.VGG16, Channels: 3, Size: 224, Classes: 2}

func coded(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), code+": ") {
		t.Errorf("got %v, want %s", err, code)
	}
}

func random(t *testing.T, seed int64) *Backbone {
	t.Helper()
	b, err := Random(spec, seed)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSpecFor: only a model with a frozen backbone takes images of any shape.
func TestSpecFor(t *testing.T) {
	for name, want := range map[string]int{model.VGG16: 224, model.ResNet50: 224, model.HMChainCNN: 28, model.ResNet18: 28, "other": 28} {
		if got := SpecFor(name, 1, 28, 2).Size; got != want {
			t.Errorf("%s takes images of %d pixels, want %d", name, got, want)
		}
	}
}

// TestLoad: the weights are found by name in a file of another order with other
// tensors, and have the digest of the same weights drawn; a file of another model is
// refused with a list.
func TestLoad(t *testing.T) {
	drawn := random(t, 7)
	w, err := model.InitialBackbone(spec, 7)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(w.Tensors)
	w.Tensors = append(w.Tensors, weights.Tensor{Name: "classifier.6.bias", Shape: []int{3}, Data: []float32{1, 2, 3}})
	file := filepath.Join(t.TempDir(), "vgg16.safetensors")
	if err := os.WriteFile(file, w.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Load(spec, file)
	if err != nil {
		t.Fatal(err)
	}
	if b.Digest != drawn.Digest || b.Random || !drawn.Random || b.Origin != "pre-trained weights from vgg16.safetensors" || !strings.Contains(drawn.Origin, "seed 7: NOT pre-trained") {
		t.Errorf("loaded %+v, drawn %+v", b, drawn)
	}
	if err := b.Check(drawn.Digest); err != nil {
		t.Error(err)
	}
	coded(t, b.Check(random(t, 8).Digest), "MF-BACKBONE-DIGEST")
	w.Tensors[0].Name, w.Tensors[1].Shape = "other", []int{512, 512, 9, 1}
	if err := os.WriteFile(file, w.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(spec, file)
	coded(t, err, "MF-MODEL-LOAD")
	for _, want := range []string{"missing: features.28.bias", "misshapen: features.28.weight [512 512 9 1] instead of [512 512 3 3]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	_, err = Load(spec, file+".pt")
	coded(t, err, "MF-PRETRAINED-FILE")
	_, err = Load(model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}, file)
	coded(t, err, "MF-MODEL-NAME")
}

// TestData: every part's images become their features, whose number and shape the
// model takes; a second time they come from the cache.
func TestData(t *testing.T) {
	all, err := dataset.Load(context.Background(), dataset.Synthetic, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := *all
	data.Train, data.Validation, data.Test = all.Train.Select([]int{0, 1, 2}), all.Train.Select([]int{2}), dataset.Split{}
	cache, err := OpenCache(t.TempDir(), DefaultCacheLimit)
	if err != nil {
		t.Fatal(err)
	}
	b := random(t, 1)
	var heard []int
	out, err := b.Data(context.Background(), cache, &data, func(done, total int) { heard = append(heard, done, total) })
	if err != nil {
		t.Fatal(err)
	}
	width := spec.Inputs()
	if out.Size != 224 || out.Channels != 3 || len(out.Train.Values) != 3*width || out.Test.Len() != 0 || !slices.Equal(heard, []int{3, 4, 4, 4}) {
		t.Errorf("%d values of shape %d×%d, progress %v", len(out.Train.Values), out.Size, out.Channels, heard)
	}
	if !slices.Equal(out.Train.Values[2*width:], out.Validation.Values) || slices.Equal(out.Train.Values[:width], out.Validation.Values) {
		t.Error("the features of one image differ, or those of two do not")
	}
	cached := random(t, 1)
	cached.compute = func(context.Context, []float32) ([]float32, error) {
		t.Error("the features are not taken from the cache")
		return nil, nil
	}
	again, err := cached.Data(context.Background(), cache, &data, nil)
	if err != nil || !slices.Equal(again.Train.Values, out.Train.Values) {
		t.Errorf("again they are others: %v", err)
	}
}

// TestInitial: the head's first statistics are of images that show nothing, so that nobody
// has a part in them, and the rest is drawn from the seed.
func TestInitial(t *testing.T) {
	cache, err := OpenCache(t.TempDir(), DefaultCacheLimit)
	if err != nil {
		t.Fatal(err)
	}
	b, seen := random(t, 1), 0
	width := b.Spec.Inputs()
	// A feature of this backbone is a pixel times its number.
	b.compute = func(_ context.Context, images []float32) (features []float32, _ error) {
		size := 3 * ImageSize * ImageSize
		for i := range len(images) / size {
			seen++
			for j := range width {
				features = append(features, float32(j)*images[i*size+97*j])
			}
		}
		return features, nil
	}
	first, err := b.Initial(t.Context(), cache, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Initial(t.Context(), cache, 4, nil); err != nil || again.Digest() != first.Digest() || seen != measuredImages {
		t.Errorf("again others, or computed again: %d images, %v", seen, err)
	}
	plain, err := model.Initial(b.Spec, 4)
	if err != nil {
		t.Fatal(err)
	}
	for i, tensor := range plain.Tensors {
		if measured := strings.HasPrefix(tensor.Name, "norm."); measured == slices.Equal(tensor.Data, first.Tensors[i].Data) {
			t.Errorf("%s: measured %v, but otherwise", tensor.Name, measured)
		}
	}
	mean, variance := first.Find("norm.running_mean").Data, first.Find("norm.running_var").Data
	if mean[0] != 0 || variance[0] != 0 || !(variance[1] > 0) || !(variance[400] > 1000*variance[1]) {
		t.Errorf("means %v, variances %v, %v, %v", mean[:2], variance[0], variance[1], variance[400])
	}
}

// TestAnImageAloneIsAnImageInCompany: through the whole way from pixels to probabilities.
func TestAnImageAloneIsAnImageInCompany(t *testing.T) {
	all, err := dataset.Load(context.Background(), dataset.Synthetic, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := random(t, 1)
	probabilities := func(w *weights.Weights, examples ...int) []float32 {
		t.Helper()
		cache, err := OpenCache(t.TempDir(), DefaultCacheLimit)
		if err != nil {
			t.Fatal(err)
		}
		features, err := b.Features(t.Context(), cache, all.Train.Select(examples), all.Size, all.Channels, nil)
		if err != nil {
			t.Fatal(err)
		}
		if w == nil {
			return features.Values
		}
		p, err := model.Predict(t.Context(), spec, w, features)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	few := []int{0, 1, 2, 3, 4}
	w, err := model.InitialHead(spec, 1, dataset.Split{Values: probabilities(nil, few...), Labels: make([]int, len(few))})
	if err != nil {
		t.Fatal(err)
	}
	together := probabilities(w, few...)
	for _, i := range []int{0, 4} {
		if alone := probabilities(w, i); !slices.Equal(alone, together[2*i:2*i+2]) {
			t.Errorf("image %d alone gets %v, in company %v", i, alone, together[2*i:2*i+2])
		}
	}
}
