package nn

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
)

// Softmax turns logits [capacity, classes] into probabilities of the same shape.
// Rows with a logit that is NaN or +Inf give NaN. It has no gradient: train with
// CrossEntropy.
func (g *Graph) Softmax(logits *gorgonia.Node) (*gorgonia.Node, error) {
	if err := want("logits", logits, g.capacity, 0); err != nil {
		return nil, err
	}
	classes := logits.Shape()[1]
	return apply(g.operation("softmax", []int{g.capacity, classes}, func(out []float32, v [][]float32) {
		for i := range g.batch {
			softmax(out[i*classes:(i+1)*classes], v[0][i*classes:(i+1)*classes])
		}
	}), logits)
}

// softmax writes the probabilities of one row and returns the logarithm of the
// sum of the logits' exponentials.
func softmax(probabilities, logits []float32) float64 {
	highest := math.Inf(-1)
	for _, v := range logits {
		highest = math.Max(highest, float64(v))
	}
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) - highest)
	}
	for k, v := range logits {
		probabilities[k] = float32(math.Exp(float64(v)-highest) / sum)
	}
	return highest + math.Log(sum)
}

// CrossEntropy is the mean over the batch of the softmax cross-entropy of logits
// [capacity, classes], as PyTorch's CrossEntropyLoss. labels [capacity] holds the
// class of each row as a whole number from 0 to classes-1; another value
// contributes no loss of its own. The result is a scalar. With class weights
// [classes], nil for none and read anew by every run, the mean is a weighted one: a
// row counts as much as its class weighs (CrossEntropyLoss's weight).
func (g *Graph) CrossEntropy(logits, labels *gorgonia.Node, classWeights []float32) (*gorgonia.Node, error) {
	if err := firstError(want("logits", logits, g.capacity, 0), want("labels", labels, g.capacity)); err != nil {
		return nil, err
	}
	classes := logits.Shape()[1]
	if classWeights != nil && len(classWeights) != classes {
		return nil, fmt.Errorf("nn: %d class weights for %d classes", len(classWeights), classes)
	}
	weight := func(label float32) float32 {
		if class := int(label); classWeights != nil && class >= 0 && class < classes && float32(class) == label {
			return classWeights[class]
		}
		return 1
	}
	total := func(labels []float32) (sum float32) {
		for _, label := range labels[:g.batch] {
			sum += weight(label)
		}
		return sum
	}
	probabilities := make([]float32, g.capacity*classes)
	o := g.operation("crossentropy", []int{1}, func(out []float32, v [][]float32) {
		var loss float64
		for i := range g.batch {
			row := v[0][i*classes : (i+1)*classes]
			norm := softmax(probabilities[i*classes:(i+1)*classes], row)
			for k, f := range row {
				if float32(k) == v[1][i] {
					loss += float64(weight(v[1][i])) * (norm - float64(f))
				}
			}
		}
		out[0] = float32(loss / float64(total(v[1])))
	})
	o.scalar = new(gorgonia.F32)
	o.wrt = []bool{true, false}
	o.diff = func(n gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := apply(g.operation("crossentropy.input", []int{g.capacity, classes}, func(out []float32, v [][]float32) {
			whole := v[2][0] / total(v[1])
			for i := range g.batch {
				scale := whole * weight(v[1][i])
				for k := range classes {
					d := probabilities[i*classes+k]
					if float32(k) == v[1][i] {
						d--
					}
					out[i*classes+k] = d * scale
				}
			}
		}), n[0], n[1], grad)
		return gorgonia.Nodes{dx, nil}, err
	}
	return apply(o, logits, labels)
}
