package model

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/pytorch"
	"github.com/medfed/medfed/trainer/weights"
)

// A trained model's file, loaded by PyTorch into the same network, gives the same
// probabilities.
func TestExportLoadsInPyTorch(t *testing.T) {
	python, err := pytorch.Find(t.Context())
	if err != nil {
		t.Skip(err)
	}
	for _, spec := range []Spec{{HMChainCNN, 1, 28, 2}, {HMChainCNN, 3, 20, 5}, {HMChainEnsemble, 1, 20, 3}, {ResNet18, 1, 16, 3}, {VGG16, 3, 224, 2}, {ResNet50, 3, 224, 2}} {
		t.Run(fmt.Sprintf("%s of %d classes", spec.Name, spec.Classes), func(t *testing.T) {
			data := inputs(spec, 12)
			w, err := Train(t.Context(), spec, initial(t, spec), data, TrainOptions{Epochs: 2, BatchSize: 6, LearningRate: 0.05, Momentum: 0.9, Seed: 3})
			if err != nil {
				t.Fatal(err)
			}
			want, err := Predict(t.Context(), spec, w, data)
			if err != nil {
				t.Fatal(err)
			}
			got := pytorchOutputs(t, python, spec, w, data)
			if len(got) != len(want) {
				t.Fatalf("PyTorch gives %d probabilities, we %d", len(got), len(want))
			}
			for i, p := range want {
				if d := math.Abs(float64(p) - got[i]); !(d <= 1e-5) {
					t.Errorf("probability %d is %v here and %v in PyTorch", i, p, got[i])
				}
			}
		})
	}
}

// inputs are n examples of a spec: images, or features of a backbone.
func inputs(spec Spec, n int) dataset.Split {
	s := dataset.Split{Values: numbers(11, n*spec.Inputs()), Labels: make([]int, n)}
	for i := range s.Labels {
		s.Labels[i] = i % spec.Classes
	}
	return s
}

// pytorchOutputs runs testdata/outputs.py on exported weights.
func pytorchOutputs(t *testing.T, python pytorch.Python, spec Spec, w *weights.Weights, data dataset.Split) []float64 {
	t.Helper()
	folder := t.TempDir()
	raw := make([]byte, 0, 4*len(data.Values))
	for _, v := range data.Values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	exported, images := filepath.Join(folder, "model.safetensors"), filepath.Join(folder, "inputs")
	for path, content := range map[string][]byte{exported: w.Bytes(), images: raw} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := python.Command(t.Context(), "testdata/outputs.py", spec.Name, fmt.Sprint(spec.Channels), fmt.Sprint(spec.Size), fmt.Sprint(spec.Classes),
		exported, images, filepath.Join(folder, "state.pt"))
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var probabilities []float64
	if err := json.Unmarshal(out, &probabilities); err != nil {
		t.Fatal(err)
	}
	return probabilities
}
