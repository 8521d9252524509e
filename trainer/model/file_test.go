package model

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
)

// A file says what its model is; one of weights alone says nothing.
func TestFileDescribesItsModel(t *testing.T) {
	spec := Spec{HMChainCNN, 1, 28, 2}
	w := initial(t, spec)
	d := spec.Describe([]string{"normal, benign", "malignant"}, dataset.Input{Window: dataset.Window{Low: -5, High: 4095.5}, OwnWindow: true, Inverted: true, Fit: dataset.FitPad})
	d.Task, d.Round, d.Data, d.Backbone = "lungs", 3, "xrays", &Backbone{Digest: strings.Repeat("ab", 32), Random: true, Seed: 7}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	for _, want := range []*Description{&d, nil} {
		if err := WriteFile(path, w, want); err != nil {
			t.Fatal(err)
		}
		read, got, err := ReadFile(path)
		if err != nil || read.Digest() != w.Digest() || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v (%v)", want, got, err)
		}
	}
	if got := d.Spec(); got != spec {
		t.Errorf("the spec became %+v", got)
	}

	d.Architecture = "alexnet"
	if err := WriteFile(path, w, &d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path); codes.Of(err) != "MF-MODEL-DESCRIPTION" {
		t.Errorf("an unknown architecture: %v", err)
	}
	d.Architecture, d.Input.Fit = spec.Name, "squeeze"
	if err := WriteFile(path, w, &d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path); codes.Of(err) != "MF-MODEL-DESCRIPTION" {
		t.Errorf("an unknown fit: %v", err)
	}
	d.Input.Fit = dataset.FitPad
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = []byte(strings.Replace(string(content), `\"round\":3`, `\"round\":x`, 1))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path); codes.Of(err) != "MF-MODEL-DESCRIPTION" {
		t.Errorf("a description that can't be read: %v", err)
	}
}

// Behind a frozen backbone the images are ImageNet's where nobody has chosen.
func TestDescribeAHead(t *testing.T) {
	spec := Spec{VGG16, 3, 224, 2}
	d := spec.Describe([]string{"a", "b"}, spec.Input())
	if d.Input.Mean[0] != 0.485 || d.Input.Std[2] != 0.225 || d.Input.Fit != "stretch" || d.Size != 224 {
		t.Errorf("%+v", d)
	}
}
