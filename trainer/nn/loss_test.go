package nn

import (
	"math"
	"testing"

	"gorgonia.org/gorgonia"
)

// crossEntropy gives the loss of logits [n, 3] and its gradient.
func crossEntropy(t *testing.T, logits, labels, classWeights []float32) (loss float32, gradient []float32) {
	t.Helper()
	var x, y *gorgonia.Node
	var machine gorgonia.VM
	err := Build(func() error {
		g, err := NewGraph(len(labels))
		if err != nil {
			return err
		}
		x = g.Parameter("logits", len(labels), 3)
		copy(Floats(x.Value()), logits)
		classes := g.Data("labels", len(labels))
		copy(Floats(classes.Value()), labels)
		if y, err = g.CrossEntropy(x, classes, classWeights); err != nil {
			return err
		}
		if _, err = gorgonia.Grad(y, x); err != nil {
			return err
		}
		if machine, err = NewMachine(g); err != nil {
			return err
		}
		return machine.RunAll()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	grad, err := x.Grad()
	if err != nil {
		t.Fatal(err)
	}
	return y.Value().Data().(float32), append([]float32{}, Floats(grad)...)
}

// A row whose class weighs 3 counts as three such rows do.
func TestClassWeightsCountAsRepeatedRows(t *testing.T) {
	rows := [][]float32{{0.1, 1, -2}, {2, 0.3, 0.4}, {-1, 0, 1.5}, {0.2, 0.2, -0.7}}
	labels := []float32{0, 1, 2, 1}
	weights := []float32{3, 1, 2}
	var logits, repeated, repeatedLabels []float32
	for i, row := range rows {
		logits = append(logits, row...)
		for range int(weights[int(labels[i])]) {
			repeated = append(repeated, row...)
			repeatedLabels = append(repeatedLabels, labels[i])
		}
	}
	loss, gradient := crossEntropy(t, logits, labels, weights)
	want, each := crossEntropy(t, repeated, repeatedLabels, nil)
	if math.Abs(float64(loss-want)) > 1e-6 {
		t.Errorf("the loss is %v, want %v", loss, want)
	}
	next := 0
	for i := range rows {
		for range int(weights[int(labels[i])]) {
			for k := range 3 {
				gradient[3*i+k] -= each[3*next+k]
			}
			next++
		}
	}
	for i, rest := range gradient {
		if math.Abs(float64(rest)) > 1e-6 {
			t.Errorf("gradient %d differs by %v", i, rest)
		}
	}
}

// Weights of one change no bit.
func TestClassWeightsOfOne(t *testing.T) {
	logits, labels := []float32{0.1, 1, -2, 2, 0.3, 0.4, 7, -3, 0.123}, []float32{2, 0, 1}
	loss, gradient := crossEntropy(t, logits, labels, []float32{1, 1, 1})
	want, plain := crossEntropy(t, logits, labels, nil)
	if loss != want {
		t.Errorf("the loss is %v, want %v", loss, want)
	}
	for i := range plain {
		if gradient[i] != plain[i] {
			t.Errorf("gradient %d is %v, want %v", i, gradient[i], plain[i])
		}
	}
}

func TestClassWeightsOfOtherClasses(t *testing.T) {
	err := Build(func() error {
		g, err := NewGraph(2)
		if err != nil {
			return err
		}
		_, err = g.CrossEntropy(g.Data("logits", 2, 3), g.Data("labels", 2), []float32{1, 1})
		return err
	})
	if err == nil {
		t.Error("two weights pass for three classes")
	}
}
