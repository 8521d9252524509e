package model

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/medfed/medfed/trainer/weights"
)

// loading gives w as often as it is asked for.
func loading(w *weights.Weights) func() (*weights.Weights, error) {
	return func() (*weights.Weights, error) { return &weights.Weights{Tensors: slices.Clone(w.Tensors)}, nil }
}

// randomExtractor has seeded weights.
func randomExtractor(t testing.TB, name string, batch int) (*Extractor, *weights.Weights) {
	t.Helper()
	spec := Spec{name, 3, 224, 2}
	w, err := InitialBackbone(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewExtractor(spec, loading(w), batch)
	if err != nil {
		t.Fatal(err)
	}
	return b, w
}

func features(t testing.TB, b *Extractor, images []float32) []float32 {
	t.Helper()
	v, err := b.Features(context.Background(), images)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestExtractorShortCut: with and without it the features are nearly the same; an
// image with a pixel that is not finite gets the features of the definition, and
// its neighbour in the batch those that it has alone.
func TestExtractorShortCut(t *testing.T) {
	const size = 224 * 224 * 3
	b, w := randomExtractor(t, ResNet50, 2)
	exact, err := newExtractor(b.spec, loading(w), 1, false)
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

// BenchmarkForward measures a frozen backbone on batches of 224×224 images.
func BenchmarkForward(b *testing.B) {
	for _, name := range []string{ResNet50, VGG16} {
		b.Run(name, func(b *testing.B) {
			const batch = 8
			extractor, _ := randomExtractor(b, name, batch)
			images := numbers(1, batch*224*224*3)
			b.ReportAllocs()
			for b.Loop() {
				features(b, extractor, images)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*batch), "ms/image")
		})
	}
}
