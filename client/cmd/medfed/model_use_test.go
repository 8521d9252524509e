package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

// Names of pictures stay in their folder and are told apart.
func TestHeatmapNames(t *testing.T) {
	files := []string{
		"a/1.png", "b/1.png", "1.png", "../../etc/passwd", "/etc/x.dcm", "..", ".", "", "a b;c.png", "Röntgen.png", `c:\d\e.png`, "x\x00y.png",
		strings.Repeat("long", 100) + ".png", strings.Repeat("Ä", 300) + ".png",
	}
	seen := map[string]bool{}
	for i, file := range files {
		name := heatmapName(file, i+1, len(files))
		if filepath.Base(name) != name || strings.ContainsAny(name, "/\\\x00") || len(name) > 120 || filepath.Ext(name) != ".png" || seen[name] {
			t.Errorf("%q became %q", file, name)
		}
		seen[name] = true
		if _, err := os.Create(filepath.Join(t.TempDir(), name)); err != nil {
			t.Error(err)
		}
	}
	if got := heatmapName("a/Röntgen.png", 3, 12); got != "03-Röntgen.png" {
		t.Errorf("got %s", got)
	}
}

// What is drawn under the heat is what the model sees: the brightness of the image's
// pixels, whatever mean and standard deviation the model takes them with.
func TestBrightnessIsThatOfTheImage(t *testing.T) {
	const size = 16
	path := filepath.Join(t.TempDir(), "x.png")
	m := image.NewNRGBA(image.Rect(0, 0, size, size))
	for i := range size * size {
		m.SetNRGBA(i%size, i/size, color.NRGBA{byte(i), byte(255 - i), byte(3 * i), 255})
	}
	var b bytes.Buffer
	if err := errors.Join(png.Encode(&b, m), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, in := range []dataset.Input{{}, dataset.ImageNet, {Inverted: true, Mean: []float64{0.2}, Std: []float64{0.7}}} {
		values, err := dataset.ReadImage(t.Context(), path, dataset.FolderOptions{Size: size, Channels: 3, Input: in})
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range brightness(values, in.Whole(3)) {
			pixel := m.NRGBAAt(i/3%size, i/3/size)
			want := float64([]byte{pixel.R, pixel.G, pixel.B}[i%3]) / 255
			if in.Inverted {
				want = 1 - want
			}
			if math.Abs(got-want) > 1e-6 {
				t.Fatalf("value %d is %v, want %v", i, got, want)
			}
		}
	}
}

// The curves of many classes are drawn, whatever the classes are called, as a well-formed
// document.
func TestCurvesAreDrawn(t *testing.T) {
	const classes = 14
	e := evaluation{Notice: model.Notice, measuredOn: measuredOn{Model: model.ResNet18, Data: "set", Split: "test"}}
	sample := metrics.Sample{Classes: classes}
	for i := range 3 * classes {
		sample.Labels = append(sample.Labels, i%classes)
		for class := range classes {
			sample.Probabilities = append(sample.Probabilities, float32(1+(i*7+class*class)%5)/40)
		}
		e.Classes = append(e.Classes, fmt.Sprintf(`<script>%d & "x"`, i))
	}
	e.Classes = e.Classes[:classes]
	report, err := sample.Measure(metrics.MinResamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	e.Metrics, e.Calibration, e.ROC, e.Intervals = report.Result, report.Calibration, report.Curves, report.Intervals
	if len(e.ROC) != classes {
		t.Fatalf("%d curves", len(e.ROC))
	}
	for _, name := range []string{"x.svg", "x.html"} {
		path := filepath.Join(t.TempDir(), name)
		if err := e.writePlot(path); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		for _, want := range []string{"<svg", "not for diagnosis", "&lt;script&gt;0", "2 classes more"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		if strings.Contains(text, "<script") || strings.Contains(text, "script&gt;13") {
			t.Errorf("%s holds a class's name as it is, or a curve too many", name)
		}
		for d := xml.NewDecoder(strings.NewReader(text)); name == "x.svg"; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.writePlot(""); err != nil {
		t.Error(err)
	}
}

func TestMostProbable(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		row  []float32
		want int
		ok   bool
	}{{[]float32{0.2, 0.8}, 1, true}, {[]float32{0.5, 0.5}, 0, true}, {[]float32{nan, 1}, 0, false}, {[]float32{1, nan}, 0, false}} {
		if got, err := mostProbable(c.row); got != c.want || (err == nil) != c.ok {
			t.Errorf("%v gives %d, %v", c.row, got, err)
		}
	}
}

// A heat-map behind a frozen backbone rests on the probabilities that are told of images,
// and what is hidden for it fills no cache.
func TestToldBehindABackbone(t *testing.T) {
	spec := model.Spec{Name: model.ResNet50, Channels: 3, Size: backbone.ImageSize, Classes: 2}
	made, err := backbone.Random(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	cache, err := backbone.OpenCache(folder, backbone.DefaultCacheLimit)
	if err != nil {
		t.Fatal(err)
	}
	images := dataset.ValueNoise(3, spec.Channels, spec.Size)
	p := &predictor{spec: spec, backbone: made}
	p.description = model.Description{Architecture: spec.Name, Channels: 3, Size: spec.Size, Classes: []string{"a", "b"}, Temperature: 2}
	features, err := made.Uncached(t.Context(), images.Values)
	if err != nil {
		t.Fatal(err)
	}
	if p.weights, err = model.InitialHead(spec, 1, dataset.Split{Values: features, Labels: images.Labels}); err != nil {
		t.Fatal(err)
	}
	got, err := p.told(t.Context(), images.Values)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("the cache holds %v (%v)", entries, err)
	}
	examples, err := made.Prepared(t.Context(), cache, images, nil)
	if err != nil {
		t.Fatal(err)
	}
	probabilities, err := model.Predict(t.Context(), spec, p.weights, examples)
	if want := p.description.Calibrated(probabilities); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v are told, want %v (%v)", got, want, err)
	}
}
