package model

import (
	"context"
	"testing"
)

// BenchmarkForward measures a frozen backbone on batches of 224×224 images.
func BenchmarkForward(b *testing.B) {
	for _, name := range []string{ResNet50, VGG16} {
		b.Run(name, func(b *testing.B) {
			const batch = 8
			spec := Spec{name, 3, 224, 2}
			w, err := InitialBackbone(spec, 1)
			if err != nil {
				b.Fatal(err)
			}
			backbone, err := NewBackbone(spec, w, batch)
			if err != nil {
				b.Fatal(err)
			}
			images := numbers(1, batch*224*224*3)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backbone.Features(context.Background(), images); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*batch), "ms/image")
		})
	}
}
