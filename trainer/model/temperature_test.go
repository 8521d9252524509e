package model

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

// TestTheTemperatureLiesBesideTheWeights: it is kept in the file, changes no digest, and
// makes the probabilities what they are told as.
func TestTheTemperatureLiesBesideTheWeights(t *testing.T) {
	w := initial(t, Spec{HMChainCNN, 1, 28, 2})
	path := filepath.Join(t.TempDir(), "m.safetensors")
	d := Description{Architecture: HMChainCNN, Channels: 1, Size: 28, Classes: []string{"normal", "pneumonia"}}
	p := []float32{0.2, 0.8, 0.9, 0.1}
	if got := d.Calibrated(p); !slices.Equal(got, p) {
		t.Errorf("without a temperature %v became %v", p, got)
	}
	d.Temperature = 2
	if err := WriteFile(path, w, &d); err != nil {
		t.Fatal(err)
	}
	read, got, err := ReadFile(path)
	if err != nil || got.Temperature != 2 || read.Digest() != w.Digest() {
		t.Fatalf("%+v, %v", got, err)
	}
	// The square roots of 0.2 and 0.8 are as 1 to 2, those of 0.9 and 0.1 as 3 to 1.
	for i, want := range []float32{1. / 3, 2. / 3, 0.75, 0.25} {
		if got := got.Calibrated(p)[i]; got < want-1e-6 || got > want+1e-6 {
			t.Errorf("value %d is %v, want %v", i, got, want)
		}
	}
	for _, temperature := range []float64{-1, 1e-9, 21} {
		d.Temperature = temperature
		if err := WriteFile(path, w, &d); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadFile(path); codes.Of(err) != "MF-MODEL-DESCRIPTION" {
			t.Errorf("a temperature of %v: %v", temperature, err)
		}
	}
}
