package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Curve is a class's receiver operating characteristic against the rest: from no example
// taken for the class to all of them. The area under its straight lines is the class's
// AUC.
type Curve struct {
	Class  int     `json:"class"`
	AUC    float64 `json:"auc"`
	Points []Point `json:"points"` // without those in the middle of a straight line
}

// Point is where those examples are taken for the class that have at least a probability.
type Point struct {
	FalsePositives float64 `json:"false_positive_rate"` // share of the rest that is taken for the class
	TruePositives  float64 `json:"true_positive_rate"`  // share of the class that is
	// Threshold is the least probability among the examples that are taken for the class;
	// nil where there are none, or none with finite numbers.
	Threshold *float32 `json:"threshold,omitempty"`
}

// curves are those of all classes that have one.
func (s Sample) curves() []Curve {
	var all []Curve
	for class := firstClass(s.Classes); class < s.Classes; class++ {
		if auc, defined := s.ranks().classAUC(class); defined {
			all = append(all, Curve{class, auc, s.curve(class)})
		}
	}
	return all
}

// corner is a point of a curve in counts.
type corner struct {
	negatives, positives int64
	threshold            *float32
}

// curve is that of a class that has examples and is not all.
func (s Sample) curve(class int) []Point {
	given, ranks := s.given(), s.ranks()
	order, scores := make([]int, len(s.Labels)), make([]float64, len(s.Labels))
	for i := range order {
		order[i], scores[i] = i, ranks.score(i, class)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	var at corner
	corners := []corner{at}
	least := math.Inf(1)
	for start := 0; start < len(order); {
		end := start
		for ; end < len(order) && scores[order[end]] == scores[order[start]]; end++ {
			i := order[end]
			if s.Labels[i] == class {
				at.positives++
			} else {
				at.negatives++
			}
			if given.finite(i) {
				least = min(least, float64(given.row(i)[class]))
			}
		}
		start = end
		if !math.IsInf(least, 1) {
			threshold := float32(least)
			at.threshold = &threshold
		}
		corners = append(corners, at)
	}
	var points []Point
	for _, c := range bent(corners) {
		points = append(points, Point{float64(c.negatives) / float64(at.negatives), float64(c.positives) / float64(at.positives), c.threshold})
	}
	return points
}

// bent leaves out the corners that lie in the middle of a straight line.
func bent(corners []corner) []corner {
	kept := corners[:1:1]
	for i, c := range corners[1:] {
		if i+2 < len(corners) {
			before, after := kept[len(kept)-1], corners[i+2]
			if (c.negatives-before.negatives)*(after.positives-c.positives) == (after.negatives-c.negatives)*(c.positives-before.positives) {
				continue
			}
		}
		kept = append(kept, c)
	}
	return kept
}
