package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/medfed/medfed/client/bars"
	"github.com/medfed/medfed/trainer/dataset"
)

// The report's keys are what others look for, also where nothing was measured.
func TestTheReportsKeys(t *testing.T) {
	text, err := json.Marshal(report{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"bomb_rss_mb", "classes_refused", "levels_of_12_bits", "onnx_max_difference", "rss_mb_10000_images", "single_equals_batch"}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("the report has %q", keys)
	}
}

// Levels are counted: of a ramp all, and a miss is told.
func TestLevels(t *testing.T) {
	b := &bench{folder: t.TempDir(), Bars: bars.New(new(bytes.Buffer))}
	got, err := b.levels(t.Context())
	if err != nil || !maps.Equal(got.(map[string]int), map[string]int{"png": 4096, "dicom": 4096}) || len(b.Missed()) > 0 {
		t.Errorf("%v, missed %q (%v)", got, b.Missed(), err)
	}
}

// What the graph is given of an image is what medfed reads of it.
func TestPixels(t *testing.T) {
	b := &bench{folder: t.TempDir()}
	for _, s := range []shape{{"grey", 1, 28, 256}, {"colour", 3, 28, 256}, {"window", 1, 28, 4096}} {
		var encoded bytes.Buffer
		if err := png.Encode(&encoded, scene(rand.New(rand.NewPCG(1, 2)), s, 1)); err != nil {
			t.Fatal(err)
		}
		path := b.folder + "/" + s.architecture + ".png"
		if err := os.WriteFile(path, encoded.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := b.pixels(s, []string{s.architecture + ".png"})
		if err != nil {
			t.Fatal(err)
		}
		in := dataset.Input{Mean: []float64{0}, Std: []float64{1}, Window: dataset.Window{High: float64(s.levels - 1)}}
		want, err := dataset.ReadImage(t.Context(), path, dataset.FolderOptions{Size: s.size, Channels: s.channels, Input: in})
		if err != nil {
			t.Fatal(err)
		}
		if s.levels > 256 {
			for i := range got {
				got[i] /= float32(s.levels - 1)
			}
		}
		for i, v := range got {
			c, at := i/(s.size*s.size), i%(s.size*s.size)
			if d := v - want[at*s.channels+c]; d > 1e-6 || d < -1e-6 {
				t.Fatalf("%s: pixel %d of channel %d is %v, medfed reads %v", s.architecture, at, c, v, want[at*s.channels+c])
			}
		}
	}
}

// A small file claims what it is said to.
func TestBombsAreSmallAndClaimMuch(t *testing.T) {
	for name, content := range map[string][]byte{"png": black(8192, 8192, 16, 6, 4), "jpg": patchedJPEG(65535, 65535)} {
		path := t.TempDir() + "/a." + name
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dataset.ReadImage(t.Context(), path, dataset.FolderOptions{Size: 8, Channels: 1}); err == nil || len(content) > bombBytes {
			t.Errorf("%s of %d bytes: %v", name, len(content), err)
		}
	}
}
