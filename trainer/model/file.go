package model

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// Description is what a model's file says of itself beside the weights, so that they
// mean the same to whoever has it: what goes in, and what comes out.
type Description struct {
	Architecture string        `json:"architecture"` // one of Names
	Channels     int           `json:"channels"`     // of an image as the model takes it: 1 grey, 3 red, green and blue
	Size         int           `json:"size"`         // height and width of an image in pixels
	Classes      []string      `json:"classes"`      // what the outputs mean, in their order; of two the second is the positive one
	Input        dataset.Input `json:"input"`        // how an image becomes numbers

	// Temperature by which the logits are divided, so that the probabilities are calibrated;
	// 0 where nobody has calibrated them, which is as 1.
	Temperature float64 `json:"temperature,omitempty"`

	Data     string    `json:"data,omitempty"`     // label of what it was trained on
	Task     string    `json:"task,omitempty"`     // that it comes from
	Round    int       `json:"round,omitempty"`    // of the task, 0 for its first model
	Backbone *Backbone `json:"backbone,omitempty"` // whose features a head takes
}

// Backbone names the frozen layers in front of a head.
type Backbone struct {
	Digest string `json:"digest"` // SHA-256 of their canonical weights
	Random bool   `json:"random"` // drawn from Seed, not pre-trained
	Seed   int64  `json:"seed"`
}

// Spec is the model that is described.
func (d Description) Spec() Spec {
	return Spec{Name: d.Architecture, Channels: d.Channels, Size: d.Size, Classes: len(d.Classes)}
}

// Describe says what a model of this spec is for.
func (s Spec) Describe(classes []string, in dataset.Input) Description {
	return Description{Architecture: s.Name, Channels: s.Channels, Size: s.Size, Classes: classes, Input: in.Whole(s.Channels)}
}

// Input is how images become numbers where nobody has chosen: ImageNet's normalisation in
// front of a frozen backbone, else mean and standard deviation 0.5.
func (s Spec) Input() dataset.Input {
	if s.CheckFrozen() == nil {
		return dataset.ImageNet
	}
	return dataset.Input{}
}

// descriptionKey is where a safetensors file's metadata have the description, as JSON.
const descriptionKey = "medfed"

// WriteFile writes weights and their description, nil for none, as a safetensors file,
// whole or not at all. The error is MF-WRITE-MODEL.
func WriteFile(path string, w *weights.Weights, d *Description) error {
	var metadata map[string]string
	if d != nil {
		text, err := json.Marshal(d)
		if err != nil {
			return codes.Wrapf("MF-WRITE-MODEL", "the model can't be described: %w; report this", err)
		}
		metadata = map[string]string{descriptionKey: string(text), "format": "pt"} // the latter for libraries that ask
	}
	return writeModel(path, func(out io.Writer) error { return w.WriteFile(out, metadata) })
}

// writeModel writes a file whole or not at all. The error is MF-WRITE-MODEL.
func writeModel(path string, content func(io.Writer) error) error {
	f, err := renameio.TempFile(filepath.Dir(path), path)
	if err == nil {
		defer f.Cleanup()
		err = content(f)
	}
	if err == nil {
		err = f.CloseAtomicallyReplace()
	}
	if err != nil {
		return codes.Wrapf("MF-WRITE-MODEL", "the model can't be written: %w; choose a folder that can be written and has room", err)
	}
	return nil
}

// ReadFile reads a file of WriteFile, or one of weights alone, as medfed once wrote
// them: then the description is nil. Errors: MF-WEIGHTS-FILE, MF-MODEL-DESCRIPTION and those of
// package weights.
func ReadFile(path string) (*weights.Weights, *Description, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, codes.Wrapf("MF-WEIGHTS-FILE", "the model can't be read: %w; name a file that medfed model get wrote", err)
	}
	w, metadata, err := weights.ParseFile(content)
	if err != nil || metadata[descriptionKey] == "" {
		return w, nil, err
	}
	d := new(Description)
	if err := json.Unmarshal([]byte(metadata[descriptionKey]), d); err != nil {
		return nil, nil, codes.Wrapf("MF-MODEL-DESCRIPTION", "%s does not describe itself in a form that can be read: %w; fetch the model again", path, err)
	}
	if err := d.checkTemperature(); err != nil {
		return nil, nil, codes.Wrapf("MF-MODEL-DESCRIPTION", "%s has a temperature that no calibration gives: %w", path, err)
	}
	if err := d.Spec().Validate(); err != nil {
		return nil, nil, codes.Wrapf("MF-MODEL-DESCRIPTION", "%s is of a model that there is not: %w", path, err)
	}
	if err := d.Input.Check(); err != nil {
		return nil, nil, codes.Wrapf("MF-MODEL-DESCRIPTION", "%s does not say how an image becomes numbers: %w", path, err)
	}
	return w, d, nil
}
