package model

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// digestOf is the digest of small after training on data.
func digestOf(t *testing.T, data dataset.Split, o TrainOptions) string {
	t.Helper()
	o.Epochs, o.BatchSize, o.LearningRate, o.Seed = 2, 6, 0.05, 3
	w, err := Train(t.Context(), small, initial(t, small), data, o)
	if err != nil {
		t.Fatal(err)
	}
	return w.Digest()
}

// Where all classes are as frequent, balance changes no bit; else it does, and a
// training after it is not touched by it.
func TestBalanceClasses(t *testing.T) {
	even, uneven := examples(small, 12), examples(small, 12)
	for i := range even.Labels {
		even.Labels[i], uneven.Labels[i] = i%3, 0
	}
	uneven.Labels[5], uneven.Labels[6] = 1, 2
	plain := digestOf(t, uneven, TrainOptions{})
	if digestOf(t, uneven, TrainOptions{BalanceClasses: true}) == plain {
		t.Error("balance changes nothing where one class is frequent")
	}
	if digestOf(t, uneven, TrainOptions{}) != plain {
		t.Error("the balance of a training is left behind for the next")
	}
	if digestOf(t, even, TrainOptions{BalanceClasses: true}) != digestOf(t, even, TrainOptions{}) {
		t.Error("balance changes something where all classes are as frequent")
	}
}

func TestAugmentedTraining(t *testing.T) {
	data := examples(small, 12)
	shift := TrainOptions{Augmentation: dataset.Augmentation{Shift: 2, Rotate: 10}}
	plain, augmented := digestOf(t, data, TrainOptions{}), digestOf(t, data, shift)
	if plain == augmented {
		t.Error("augmentation changes nothing")
	}
	if again := digestOf(t, data, shift); again != augmented {
		t.Error("the same augmented training gives other weights")
	}
	if digestOf(t, data, TrainOptions{}) != plain {
		t.Error("the augmentation of a training is left behind for the next")
	}
}

func TestAugmentationOutOfBounds(t *testing.T) {
	for _, a := range []dataset.Augmentation{{Shift: -1}, {Rotate: 181}, {Contrast: 1.1}} {
		o := TrainOptions{Epochs: 1, BatchSize: 3, LearningRate: 0.1, Augmentation: a}
		if _, err := Train(t.Context(), small, initial(t, small), examples(small, 3), o); code(err) != "MF-DATA-AUGMENTATION" {
			t.Errorf("%+v: %v", a, err)
		}
	}
	frozen := Spec{Name: VGG16, Channels: 3, Size: 224, Classes: 2}
	o := TrainOptions{Epochs: 1, BatchSize: 3, LearningRate: 0.1, Augmentation: dataset.Augmentation{Flip: true}}
	features := dataset.Split{Values: make([]float32, 3*frozen.Inputs()), Labels: []int{0, 1, 0}}
	if _, err := Train(t.Context(), frozen, initial(t, frozen), features, o); code(err) != "MF-MODEL-OPTIONS" {
		t.Errorf("augmented features: %v", err)
	}
}

// TestAViewTrainsAsACopyDoes, to the last bit: plainly, privately, and the head behind a
// frozen backbone. One of examples of two lengths is refused.
func TestAViewTrainsAsACopyDoes(t *testing.T) {
	some := []int{7, 2, 2, 9, 0, 4}
	o := TrainOptions{Epochs: 2, BatchSize: 4, LearningRate: 0.02, Seed: 1}
	train := map[string]func(data dataset.Split) (*weights.Weights, error){
		"plain": func(data dataset.Split) (*weights.Weights, error) {
			return Train(t.Context(), small, initial(t, small), data, o)
		},
		"private": func(data dataset.Split) (*weights.Weights, error) {
			return TrainPrivately(t.Context(), small, initial(t, small), data, o, PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: secretOf("x")})
		},
		"head": func(data dataset.Split) (*weights.Weights, error) {
			return Train(t.Context(), headSpec, initial(t, headSpec), data, o)
		},
	}
	for name, train := range train {
		data := examples(small, 10)
		if name == "head" {
			data = inputs(headSpec, 10)
		}
		want, err := train(data.Select(some))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := train(data.View(some)); err != nil || got.Digest() != want.Digest() {
			t.Errorf("%s: the view gives other weights (%v)", name, err)
		}
	}
	length := small.Inputs()
	torn := dataset.Join(dataset.Split{Values: make([]float32, length-1), Labels: []int{0}}, dataset.Split{Values: make([]float32, length+1), Labels: []int{1}})
	if _, err := train["plain"](torn); code(err) != "MF-MODEL-DATA" {
		t.Errorf("a view of examples of two lengths: %v", err)
	}
}

// TestImagesOfAFileAreTrainedOn as those in memory are, to the last bit: plainly, augmented
// and privately; and they get the same probabilities.
func TestImagesOfAFileAreTrainedOn(t *testing.T) {
	folder := t.TempDir()
	for i := range 12 {
		m := image.NewGray(image.Rect(0, 0, small.Size, small.Size))
		for j, v := range numbers(uint64(i), len(m.Pix)) {
			m.Pix[j] = uint8(127 * (v + 1))
		}
		path := filepath.Join(folder, fmt.Sprint("class", i%3), fmt.Sprint(i, ".png"))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err == nil {
			err = png.Encode(f, m)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	var digests [2][]string
	for k, memory := range []int64{1 << 20, 1} {
		read, err := dataset.LoadFolder(t.Context(), folder, dataset.FolderOptions{Size: small.Size, Channels: 1, InMemory: memory})
		if err != nil {
			t.Fatal(err)
		}
		data := read.Data.Train
		if held := data.Values != nil; held != (k == 0) {
			t.Fatalf("with room for %d bytes the images are in memory: %t", memory, held)
		}
		private, err := TrainPrivately(t.Context(), small, initial(t, small), data, TrainOptions{Epochs: 1, BatchSize: 4, LearningRate: 0.02}, PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: secretOf("x")})
		if err != nil {
			t.Fatal(err)
		}
		probabilities, err := Predict(t.Context(), small, private, data)
		if err != nil {
			t.Fatal(err)
		}
		digests[k] = []string{
			digestOf(t, data, TrainOptions{}), digestOf(t, data, TrainOptions{Augmentation: dataset.Augmentation{Shift: 2, Rotate: 10}}),
			private.Digest(), fmt.Sprint(probabilities),
		}
	}
	if !slices.Equal(digests[0], digests[1]) {
		t.Errorf("in memory %q, in a file %q", digests[0], digests[1])
	}
}
