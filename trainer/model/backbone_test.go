package model

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// randomBackbone is a seeded backbone.
func randomBackbone(t testing.TB, name string, batch int) (*Backbone, *weights.Weights) {
	t.Helper()
	spec := Spec{name, 3, 224, 2}
	w, err := InitialBackbone(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBackbone(spec, w, batch)
	if err != nil {
		t.Fatal(err)
	}
	return b, w
}

func features(t testing.TB, b *Backbone, images []float32) []float32 {
	t.Helper()
	v, err := b.Features(context.Background(), images)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBackboneShortCut: with and without it the features are nearly the same; an
// image with a pixel that is not finite gets the features of the definition, and
// its neighbour in the batch those that it has alone.
func TestBackboneShortCut(t *testing.T) {
	const size = 224 * 224 * 3
	b, w := randomBackbone(t, ResNet50, 2)
	exact, err := newBackbone(b.spec, w, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	images := numbers(6, 2*size)
	fast, want := features(t, b, images), features(t, exact, images)
	var worst, scale float64
	for i, v := range want {
		worst, scale = max(worst, math.Abs(float64(v-fast[i]))), max(scale, math.Abs(float64(v)))
	}
	if !(worst < 1e-5*scale) {
		t.Errorf("the short cut changes features of up to %g by %g", scale, worst)
	}
	images[size+100*224*3] = float32(math.Inf(1))
	bad := features(t, exact, images[size:])
	finite := 0
	for i, v := range features(t, b, images) {
		want := fast[i%b.features]
		if i >= b.features {
			want = bad[i-b.features]
		}
		if v != want && (v == v || want == want) {
			t.Fatalf("feature %d is %v, want %v", i, v, want)
		}
		if v-v == 0 {
			finite++
		}
	}
	if finite == 2*b.features {
		t.Error("an infinite pixel leaves all features finite")
	}
}

// TestFeaturesAreKept: features are computed once for the same weights and images,
// again for others, and again when their file is damaged.
func TestFeaturesAreKept(t *testing.T) {
	const size = 224 * 224 * 3
	folder := filepath.Join(t.TempDir(), "features")
	b, w := randomBackbone(t, ResNet50, 1)
	images := dataset.Split{Images: numbers(6, size), Labels: []int{1}}
	get := func() []float32 {
		t.Helper()
		got, err := Features(context.Background(), b.spec, w, images, folder)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Labels, images.Labels) {
			t.Errorf("the labels are %v", got.Labels)
		}
		return got.Images
	}
	files := func(want int) []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(found) != want {
			t.Fatalf("%d files are kept, want %d (%v)", len(found), want, err)
		}
		return found
	}
	want := features(t, b, images.Images)
	if !slices.Equal(get(), want) {
		t.Error("the features are not the backbone's")
	}
	kept := files(1)[0]
	content, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	shape := []int{1, b.features}
	if !slices.Equal(readFeatures(kept, shape), want) || readFeatures(kept, []int{2, b.features / 2}) != nil {
		t.Error("the file does not hold the features in their shape")
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(kept, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if readFeatures(kept, shape) != nil {
		t.Error("a file with another bit is read")
	}
	if !slices.Equal(get(), want) {
		t.Error("a damaged file is not made anew")
	}
	files(1)
	images.Images[5]++
	if slices.Equal(get(), want) {
		t.Error("another image has the same features")
	}
	files(2)
	if _, err := Features(context.Background(), b.spec, w, dataset.Split{Images: images.Images}, folder); code(err) != "MF-MODEL-DATA" {
		t.Errorf("an image without a label: %v", err)
	}
	if _, err := Features(context.Background(), b.spec, w, images, filepath.Join(kept, "folder")); code(err) != "MF-MODEL-CACHE" {
		t.Errorf("a folder that can't be made: %v", err)
	}
}

// BenchmarkForward measures a frozen backbone on batches of 224×224 images.
func BenchmarkForward(b *testing.B) {
	for _, name := range []string{ResNet50, VGG16} {
		b.Run(name, func(b *testing.B) {
			const batch = 8
			backbone, _ := randomBackbone(b, name, batch)
			images := numbers(1, batch*224*224*3)
			b.ReportAllocs()
			for b.Loop() {
				features(b, backbone, images)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*batch), "ms/image")
		})
	}
}
