package model

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/weights"
)

// TestEnsembleIsItsMembers: an ensemble trains its members as they would be alone, and
// answers with the mean of their probabilities.
func TestEnsembleIsItsMembers(t *testing.T) {
	ensemble, alone := Spec{HMChainEnsemble, 1, 16, 2}, Spec{HMChainCNN, 1, 16, 2}
	start, data := initial(t, ensemble), inputs(ensemble, 11)
	digest := start.Digest()
	steps := []int{}
	options := TrainOptions{Epochs: 2, BatchSize: 4, LearningRate: 0.05, Momentum: 0.5, Seed: 3, Progress: func(done, total int) {
		if total != 5*2*3 {
			t.Errorf("%d steps in all", total)
		}
		steps = append(steps, done)
	}}
	trained, err := Train(t.Context(), ensemble, start, data, options)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 30 || steps[0] != 1 || steps[29] != 30 || start.Digest() != digest {
		t.Errorf("steps %v, and the start is %s, was %s", steps, start.Digest(), digest)
	}
	if err := weights.Compatible(start, trained); err != nil {
		t.Fatal(err)
	}
	members, firsts := ensemble.membersOf(trained), ensemble.membersOf(start)
	mean := make([]float64, 2*data.Len())
	options.Progress = nil
	for i, first := range firsts {
		if i > 0 && bytes.Equal(first.Bytes(), firsts[0].Bytes()) {
			t.Errorf("members %d and 0 start alike", i)
		}
		options.Seed = int64(3 + i)
		want, err := Train(t.Context(), alone, first, data, options)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(members[i].Bytes(), want.Bytes()) {
			t.Errorf("member %d is not what it would be alone", i)
		}
		probabilities, err := Predict(t.Context(), alone, want, data)
		if err != nil {
			t.Fatal(err)
		}
		for j, p := range probabilities {
			mean[j] += float64(p) / 5
		}
	}
	got, err := Predict(t.Context(), ensemble, trained, data)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got {
		if !(math.Abs(float64(p)-mean[i]) <= 1e-7) {
			t.Errorf("probability %d is %v, and %v by the members", i, p, mean[i])
		}
	}
	if len(start.Tensors) != 5*len(firsts[0].Tensors) || start.Tensors[len(firsts[0].Tensors)].Name != "members.1."+firsts[0].Tensors[0].Name {
		t.Errorf("%d tensors, of which a member has %d", len(start.Tensors), len(firsts[0].Tensors))
	}
}

// A member without a finite answer leaves the ensemble without one.
func TestEnsembleWithABrokenMemberHasNoAnswer(t *testing.T) {
	spec := Spec{HMChainEnsemble, 1, 16, 2}
	w, data := initial(t, spec), inputs(spec, 4)
	w.Tensors[len(w.Tensors)-1].Data[0] = float32(math.NaN())
	result, err := Evaluate(t.Context(), spec, w, data)
	if err != nil || result.Accuracy != 0 || result.AUC != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestEnsemblesAreNotTrainedPrivately(t *testing.T) {
	spec := Spec{HMChainEnsemble, 1, 16, 2}
	_, err := TrainPrivately(t.Context(), spec, initial(t, spec), inputs(spec, 4), TrainOptions{Epochs: 1, BatchSize: 2, LearningRate: 0.1},
		PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: make([]byte, 32)})
	if err == nil || !strings.HasPrefix(err.Error(), "MF-MODEL-OPTIONS: ") {
		t.Errorf("got %v", err)
	}
}
