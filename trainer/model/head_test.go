package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

var headSpec = Spec{VGG16, 3, 224, 2}

// statisticsOf are the tensors of weights that are measured, not learned.
func statisticsOf(t testing.TB, spec Spec, w *weights.Weights) [][]float32 {
	t.Helper()
	var all [][]float32
	for i, p := range spec.Parameters() {
		if !p.Learned {
			all = append(all, w.Tensors[i].Data)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no statistics", spec.Name)
	}
	return all
}

func equalStatistics(a, b [][]float32) bool {
	return slices.EqualFunc(a, b, func(x, y []float32) bool { return slices.Equal(x, y) })
}

// scaled are the same examples with larger values.
func scaled(data dataset.Split, factor float32) dataset.Split {
	out := dataset.Split{Values: slices.Clone(data.Values), Labels: data.Labels}
	for i := range out.Values {
		out.Values[i] *= factor
	}
	return out
}

// TestHeadsStatisticsAreThoseOfTheData holds them against the definition: those that a
// head is trained with, whatever it started from, and those that it starts with.
func TestHeadsStatisticsAreThoseOfTheData(t *testing.T) {
	data := inputs(headSpec, 11)
	width := headSpec.Inputs()
	for i := range data.Len() {
		data.Values[i*width], data.Values[i*width+1] = 0.1, float32(i)*1e-6
	}
	start := initial(t, headSpec)
	start.Tensors[0].Data[3], start.Tensors[1].Data[3] = 7, 40
	trained := train(t, headSpec, start, data, TrainOptions{Epochs: 2, BatchSize: 4, LearningRate: 0.01, Seed: 1})
	drawn, err := InitialHead(headSpec, 1, data)
	if err != nil {
		t.Fatal(err)
	}
	for what, w := range map[string]*weights.Weights{"trained": trained, "drawn": drawn} {
		means, variances := w.Find("norm.running_mean").Data, w.Find("norm.running_var").Data
		for j := range width {
			var mean, square float64
			for i := range data.Len() {
				mean += float64(data.Values[i*width+j]) / 11
			}
			for i := range data.Len() {
				d := float64(data.Values[i*width+j]) - mean
				square += d * d / 11
			}
			if math.Abs(float64(means[j])-mean) > 1e-6*math.Abs(mean)+1e-9 || math.Abs(float64(variances[j])-square) > 1e-6*square+1e-30 {
				t.Fatalf("%s: feature %d has mean %v and variance %v, want %v and %v", what, j, means[j], variances[j], mean, square)
			}
		}
		if variances[0] != 0 {
			t.Errorf("%s: equal features have the variance %v", what, variances[0])
		}
	}
	for i, tensor := range initial(t, headSpec).Tensors[2:] {
		if !slices.Equal(tensor.Data, drawn.Tensors[2+i].Data) {
			t.Errorf("%s is not drawn as by Initial", tensor.Name)
		}
	}
}

// TestHeadsKnowNoScale: features of another size and place give the same answers, and one
// that never changed in training has no part in them.
func TestHeadsKnowNoScale(t *testing.T) {
	data := inputs(headSpec, 12)
	o := TrainOptions{Epochs: 3, BatchSize: 4, LearningRate: 0.02, Seed: 1}
	answers := func(data dataset.Split) []float32 {
		t.Helper()
		probabilities, err := Predict(t.Context(), headSpec, train(t, headSpec, initial(t, headSpec), data, o), data)
		if err != nil {
			t.Fatal(err)
		}
		return probabilities
	}
	want := answers(data)
	for _, factor := range []float32{1e-12, 1e-3, 1e9} {
		for i, p := range answers(scaled(data, factor)) {
			if math.Abs(float64(p-want[i])) > 1e-5 {
				t.Fatalf("features %g times as large: probability %d is %v, was %v", factor, i, p, want[i])
			}
		}
	}
	width := headSpec.Inputs()
	for i := range data.Len() {
		data.Values[i*width+5] = 0.3
	}
	w := train(t, headSpec, initial(t, headSpec), data, o)
	before, err := Predict(t.Context(), headSpec, w, data)
	if err != nil {
		t.Fatal(err)
	}
	data.Values[5] = 1000
	if after, err := Predict(t.Context(), headSpec, w, data); err != nil || !slices.Equal(before, after) {
		t.Errorf("a feature that never changed in training moves the answer from %v to %v, %v", before[:2], after[:2], err)
	}
}

// TestHeadsFromBeforeAreRefused: weights whose features were normalised elsewhere, to
// whoever was to use them.
func TestHeadsFromBeforeAreRefused(t *testing.T) {
	data, start := inputs(headSpec, 4), initial(t, headSpec)
	old := &weights.Weights{Tensors: start.Tensors[2:]}
	o := TrainOptions{Epochs: 1, BatchSize: 4, LearningRate: 0.02}
	_, evaluated := Evaluate(t.Context(), headSpec, old, data)
	_, trained := Train(t.Context(), headSpec, old, data, o)
	_, private := TrainPrivately(t.Context(), headSpec, old, data, o, PrivateOptions{NoiseMultiplier: 1, ClippingNorm: 1, Secret: secretOf("x")})
	for what, err := range map[string]error{"evaluated": evaluated, "trained": trained, "trained privately": private} {
		if code(err) != "MF-WEIGHTS-INCOMPATIBLE" || !strings.Contains(err.Error(), "norm.running_mean") || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Train(t.Context(), headSpec, start, data, o); err != nil { // as the message says
		t.Error(err)
	}
	if _, err := InitialHead(small, 1, inputs(small, 2)); code(err) != "MF-MODEL-NAME" {
		t.Errorf("a head of a model without a backbone: %v", err)
	}
	if _, err := InitialHead(headSpec, 1, dataset.Split{}); code(err) != "MF-MODEL-DATA" {
		t.Errorf("statistics of nothing: %v", err)
	}
}
