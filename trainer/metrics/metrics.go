// Package metrics says how good a classifier's probabilities are: accuracy, area
// under the ROC curve, sensitivity, specificity, loss and the confusion matrix, and beside
// these curves, calibration and intervals.
//
// Accuracy and AUC are those of MedMNIST's evaluator (medmnist/evaluator.py,
// getACC and getAUC): with two classes the AUC of class 1, with more the mean of
// the one-against-the-rest AUCs. All but the loss are ratios of counts, so they
// are the same numbers on every machine.
//
// Errors begin with a stable code:
//
//	MF-METRICS-CLASSES      fewer than two classes
//	MF-METRICS-EMPTY        no examples
//	MF-METRICS-SHAPE        probabilities and labels do not agree in number
//	MF-METRICS-LABEL        a label is not one of the classes
//	MF-METRICS-RESAMPLES    too few resamples, or too many
//	MF-METRICS-TEMPERATURE  no temperature is the best for these examples
package metrics

import (
	"math"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// MaxLoss is the cross-entropy in nats of an example whose class got probability
// 0, or no finite probability: the negative logarithm of the smallest positive
// float32. It keeps a loss finite, as JSON needs.
var MaxLoss = -math.Log(math.SmallestNonzeroFloat32)

// Result is what was measured on one set of examples. Every number is finite.
type Result struct {
	Accuracy    float64 `json:"accuracy"`     // share of examples whose most probable class is their label, 0 to 1
	AUC         float64 `json:"auc"`          // area under the ROC curve, 0 to 1, ties counted half
	Sensitivity float64 `json:"sensitivity"`  // true positive rate, 0 to 1: of class 1, or the mean over classes when there are more than two
	Specificity float64 `json:"specificity"`  // true negative rate, 0 to 1, averaged as Sensitivity
	Loss        float64 `json:"loss"`         // mean cross-entropy in nats, 0 to MaxLoss
	NumExamples int     `json:"num_examples"` //
	Confusion   [][]int `json:"confusion"`    // counts, row the label, column the predicted class

	// Absent lists the classes of which there is no example. Means over classes
	// leave out what they make undefined. With two classes and one absent, AUC is
	// 0.5 (0 if a row is not finite), and the rate of the absent class is 0.
	Absent []int `json:"absent,omitempty"`
}

// Compute measures probabilities, N rows of one value a class, against N labels
// from 0 to classes-1.
//
// The predicted class is the largest value's, the lower class in a tie. A row
// that holds NaN or an infinity is the worst answer there is: it predicts a
// wrong class (the one after the label), costs [MaxLoss], and its example ranks
// below every other where it should rank high and above where it should rank
// low. So a model of NaNs scores 0 and never panics.
func Compute(probabilities []float32, labels []int, classes int) (Result, error) {
	if err := check(probabilities, labels, classes); err != nil {
		return Result{}, err
	}
	e := examples{probabilities, labels, classes}
	r := Result{NumExamples: len(labels), Confusion: e.confusion(), Loss: e.loss()}
	correct := 0
	for class, row := range r.Confusion {
		correct += row[class]
		if sum(row) == 0 {
			r.Absent = append(r.Absent, class)
		}
	}
	r.Accuracy = ratio(correct, len(labels))
	r.AUC = e.auc()
	sensitivity, specificity := talliesOf(r.Confusion).rates(len(labels))
	r.Sensitivity, r.Specificity = sensitivity.value(), specificity.value()
	return r, nil
}

func check(probabilities []float32, labels []int, classes int) error {
	if classes < 2 {
		return codes.Errorf("MF-METRICS-CLASSES", "%d classes; a classifier has at least 2", classes)
	}
	if len(labels) == 0 {
		return codes.Errorf("MF-METRICS-EMPTY", "there are no examples to measure on; give at least one")
	}
	if len(probabilities)%classes != 0 || len(probabilities)/classes != len(labels) {
		return codes.Errorf("MF-METRICS-SHAPE", "%d probabilities for %d labels of %d classes; give one row of probabilities a label", len(probabilities), len(labels), classes)
	}
	for i, label := range labels {
		if label < 0 || label >= classes {
			return codes.Errorf("MF-METRICS-LABEL", "example %d has label %d; labels go from 0 to %d", i, label, classes-1)
		}
	}
	return nil
}

// examples are rows of probabilities with their labels, already checked.
type examples struct {
	probabilities []float32
	labels        []int
	classes       int
}

func (e examples) row(i int) []float32 {
	return e.probabilities[i*e.classes : (i+1)*e.classes]
}

// finite reports whether row i holds neither NaN nor an infinity.
func (e examples) finite(i int) bool {
	return !slices.ContainsFunc(e.row(i), func(p float32) bool {
		return math.IsNaN(float64(p)) || math.IsInf(float64(p), 0)
	})
}

func (e examples) predicted(i int) int {
	if !e.finite(i) {
		return (e.labels[i] + 1) % e.classes
	}
	row, best := e.row(i), 0
	for class, p := range row {
		if p > row[best] {
			best = class
		}
	}
	return best
}

func (e examples) confusion() [][]int {
	counts := make([][]int, e.classes)
	for class := range counts {
		counts[class] = make([]int, e.classes)
	}
	for i, label := range e.labels {
		counts[label][e.predicted(i)]++
	}
	return counts
}

func (e examples) loss() float64 {
	total := 0.0
	for i, label := range e.labels {
		p := float64(e.row(i)[label])
		if !e.finite(i) {
			p = 0
		}
		total -= math.Log(min(1, max(p, math.SmallestNonzeroFloat32)))
	}
	return total / float64(len(e.labels))
}

// auc is the AUC of class 1 of two classes, or the mean over the classes for
// which it is defined.
func (e examples) auc() float64 {
	total, defined := 0.0, 0
	for class := firstClass(e.classes); class < e.classes; class++ {
		if a, ok := e.classAUC(class); ok {
			total += a
			defined++
		}
	}
	if defined > 0 {
		return total / float64(defined)
	}
	for i := range e.labels {
		if !e.finite(i) {
			return 0
		}
	}
	return 0.5
}

// classAUC is the probability that a random example of the class gets a higher
// value for it than a random example of the others, ties counted half (the
// Mann-Whitney U statistic over its maximum). It is undefined when either kind
// is absent. Counting is in integers: U is held doubled.
func (e examples) classAUC(class int) (auc float64, defined bool) {
	list := make([]ranked, len(e.labels))
	for i, label := range e.labels {
		list[i] = ranked{e.score(i, class), label == class}
	}
	positives, doubledU := mannWhitney(list)
	negatives := int64(len(list)) - positives
	if positives == 0 || negatives == 0 {
		return 0, false
	}
	return float64(doubledU) / float64(2*positives*negatives), true
}

// score is what an example is ranked by for a class.
func (e examples) score(i, class int) float64 {
	switch {
	case e.finite(i):
		return float64(e.row(i)[class])
	case e.labels[i] == class:
		return math.Inf(-1)
	}
	return math.Inf(1)
}

// ranked is an example as the ROC curve sees it.
type ranked struct {
	score    float64
	positive bool
}

// mannWhitney counts the positives, and twice the pairs of a positive and a
// negative in which the positive has the higher score, equal scores counted
// once. It sorts its argument.
func mannWhitney(r []ranked) (positives, doubledU int64) {
	slices.SortFunc(r, func(a, b ranked) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	below := int64(0) // negatives with a lower score
	for start := 0; start < len(r); {
		p, n, end := int64(0), int64(0), start
		for ; end < len(r) && r[end].score == r[start].score; end++ {
			if r[end].positive {
				p++
			} else {
				n++
			}
		}
		positives += p
		doubledU += p * (2*below + n)
		below += n
		start = end
	}
	return positives, doubledU
}

// tallies are counts by class.
type tallies struct {
	positives []int // examples of the class
	predicted []int // examples that are taken for it
	hits      []int // both
}

func newTallies(classes int) tallies {
	return tallies{make([]int, classes), make([]int, classes), make([]int, classes)}
}

func talliesOf(confusion [][]int) tallies {
	t := newTallies(len(confusion))
	for label, row := range confusion {
		t.hits[label] = row[label]
		for predicted, n := range row {
			t.positives[label] += n
			t.predicted[predicted] += n
		}
	}
	return t
}

// rates are the sensitivity and specificity of class 1 of two, or of all classes for which
// they are defined, among n examples.
func (t tallies) rates(n int) (sensitivity, specificity mean) {
	for class := firstClass(len(t.hits)); class < len(t.hits); class++ {
		positives := t.positives[class]
		sensitivity.add(t.hits[class], positives)
		specificity.add(n-positives-(t.predicted[class]-t.hits[class]), n-positives)
	}
	return sensitivity, specificity
}

// firstClass is the first of the classes that are measured against the rest: of two the
// second is the positive one.
func firstClass(classes int) int {
	if classes == 2 {
		return 1
	}
	return 0
}

// mean averages ratios, leaving out those with denominator 0.
type mean struct {
	total float64
	n     int
}

func (m *mean) add(numerator, denominator int) {
	if denominator > 0 {
		m.total += ratio(numerator, denominator)
		m.n++
	}
}

func (m *mean) value() float64 {
	if m.n == 0 {
		return 0
	}
	return m.total / float64(m.n)
}

func ratio(a, b int) float64 { return float64(a) / float64(b) }

func sum(row []int) int {
	total := 0
	for _, n := range row {
		total += n
	}
	return total
}
