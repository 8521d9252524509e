package fed

import (
	"math"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// fedMedian takes every value's median.
func fedMedian(_ Strategy, _ *weights.Weights, updates []Update) (*weights.Weights, error) {
	return combine(updates, median), nil
}

// ascend sorts values. Negative zero becomes zero first, so that equal values have
// equal bits and how the library orders equals cannot show.
func ascend(values []float32) {
	for i, v := range values {
		if v == 0 {
			values[i] = 0
		}
	}
	slices.Sort(values)
}

// median sorts values and gives the middle one, or the mean of the middle two.
func median(values []float32) float32 {
	ascend(values)
	n := len(values)
	return float32((float64(values[(n-1)/2]) + float64(values[n/2])) / 2)
}

// fedTrimmedAvg takes every value's mean without the largest and smallest.
func fedTrimmedAvg(s Strategy, _ *weights.Weights, updates []Update) (*weights.Weights, error) {
	cut := int(s.value("beta") * float64(len(updates)))
	return combine(updates, func(values []float32) float32 {
		ascend(values)
		return mean(values[cut : len(values)-cut])
	}), nil
}

// mean sums in the order given.
func mean(values []float32) float32 {
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	return float32(sum / float64(len(values)))
}

// krum serves Krum, which keeps one update, and MultiKrum.
func krum(s Strategy, _ *weights.Weights, updates []Update) (*weights.Weights, error) {
	keep := max(1, int(s.value("num_nodes_to_select")))
	ranked := rank(distances(updates), all(len(updates)), int(s.value("num_malicious_nodes")))
	chosen := ranked[:min(keep, len(ranked))]
	slices.Sort(chosen) // sums run in the order of IDs
	return average(pick(updates, chosen)), nil
}

// bulyan chooses by Krum, then takes values near the median of the chosen.
func bulyan(s Strategy, _ *weights.Weights, updates []Update) (*weights.Weights, error) {
	f := int(s.value("num_malicious_nodes"))
	if len(updates) < 4*f+3 {
		return nil, codes.Errorf("MF-FED-TOOFEW", "%d updates; bulyan with num_malicious_nodes=%d needs at least %d, lower the one or raise the other", len(updates), f, 4*f+3)
	}
	between := distances(updates)
	left := all(len(updates))
	var chosen []int
	for range len(updates) - 2*f {
		best := rank(between, left, f)[0]
		chosen = append(chosen, best)
		left = slices.DeleteFunc(left, func(i int) bool { return i == best })
	}
	slices.Sort(chosen)
	near := len(chosen) - 2*f
	return combine(pick(updates, chosen), func(values []float32) float32 {
		middle := float64(median(values)) // sorts, so that of two equally near the smaller stands first
		slices.SortStableFunc(values, func(a, b float32) int {
			return compare(math.Abs(float64(a)-middle), math.Abs(float64(b)-middle))
		})
		return mean(values[:near])
	}), nil
}

// rank orders the candidates by Krum's measure, the best first and the lower of
// equals first.
func rank(between [][]float64, candidates []int, malicious int) []int {
	nearest := max(1, len(candidates)-malicious-2)
	score := make([]float64, len(between))
	for _, i := range candidates {
		var away []float64
		for _, j := range candidates {
			if i != j {
				away = append(away, between[i][j])
			}
		}
		slices.Sort(away)
		for _, d := range away[:min(nearest, len(away))] {
			score[i] += d
		}
	}
	ranked := slices.Clone(candidates)
	slices.SortStableFunc(ranked, func(i, j int) int { return compare(score[i], score[j]) })
	return ranked
}

// distances are the squared Euclidean distances between all updates.
func distances(updates []Update) [][]float64 {
	between := make([][]float64, len(updates))
	for i := range between {
		between[i] = make([]float64, len(updates))
		for j := range i {
			d := squaredDistance(updates[i].Weights, updates[j].Weights)
			between[i][j], between[j][i] = d, d
		}
	}
	return between
}

func squaredDistance(a, b *weights.Weights) float64 {
	sum := 0.0
	for i, t := range a.Tensors {
		for j, v := range t.Data {
			d := float64(v) - float64(b.Tensors[i].Data[j])
			sum += float64(d * d) // the conversion forbids a fused multiply-add
		}
	}
	return sum
}

// compare orders numbers that are not NaN.
func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// all is 0 to n-1.
func all(n int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	return indices
}

func pick(updates []Update, indices []int) []Update {
	picked := make([]Update, len(indices))
	for i, index := range indices {
		picked[i] = updates[index]
	}
	return picked
}
