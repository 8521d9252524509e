package dataset

import (
	"github.com/medfed/medfed/chaincode/codes"
	"math"
	"slices"
)

// The kinds of a partition.
const (
	IID       = "iid"       // every shard a random sample of the set
	Dirichlet = "dirichlet" // every shard its own mixture of classes
	ByPatient = "patient"   // no patient in two shards
)

// Partition is how a set is split over nodes.
type Partition struct {
	Kind string // IID, Dirichlet or ByPatient
	// Alpha is the concentration of the Dirichlet split, from 1e-5 to 1e6: the
	// smaller, the more of a class lies in few shards. Unused by the others.
	Alpha float64
}

// unit is the weight of one example in the urn of the Dirichlet split; alpha is
// a whole number of 1/unit, so that the draw is in integers.
const unit = 1 << 20

const (
	minAlpha  = 1e-5
	maxAlpha  = 1e6
	maxShards = 1 << 20
)

// Shards splits the indices of the images into n shards: each index is in exactly
// one, none is empty, each is in ascending order. The same arguments give the
// same shards on every machine. The error is MF-DATA-PARTITION.
//
// IID deals a random order out evenly: sizes differ by at most one.
//
// Dirichlet draws, for every class, the shares of the n shards from a symmetric
// Dirichlet distribution of concentration Alpha (as Yurochkin et al., arXiv
// 1905.12022, section 4) and every example's shard by these shares. The shares
// are never computed: an example's shard given those drawn before follows
// Pólya's urn, which is the same distribution and needs integers only. A shard
// left empty then takes one example from the largest.
//
// ByPatient takes patients in a random order, those with the most images first, each
// to the shard with the fewest.
func (p Partition) Shards(s Split, n int, seed int64) ([][]int, error) {
	if n < 1 || n > maxShards || n > s.Len() {
		return nil, codes.Errorf("MF-DATA-PARTITION", "%d examples cannot be split into %d shards that are not empty; use 1 to %d shards", s.Len(), n, min(s.Len(), maxShards))
	}
	labels := s.Labels
	var shards [][]int
	switch p.Kind {
	case IID:
		shards = deal(newRandom(seed, useIID).permutation(len(labels)), n)
	case Dirichlet:
		if !(p.Alpha >= minAlpha && p.Alpha <= maxAlpha) {
			return nil, codes.Errorf("MF-DATA-PARTITION", "Dirichlet alpha is %v; use %g to %g", p.Alpha, minAlpha, maxAlpha)
		}
		shards = urn(labels, n, uint64(math.Round(p.Alpha*unit)), newRandom(seed, useDirichlet))
		fillEmpty(shards)
	case ByPatient:
		var err error
		if shards, err = patientShards(s, n, newRandom(seed, usePatients)); err != nil {
			return nil, err
		}
	default:
		return nil, codes.Errorf("MF-DATA-PARTITION", "there is no split %q; use %s, %s or %s", p.Kind, IID, Dirichlet, ByPatient)
	}
	for _, shard := range shards {
		slices.Sort(shard)
	}
	return shards, nil
}

// deal gives the first of order to shard 0, the second to shard 1 and so on.
func deal(order []int, n int) [][]int {
	shards := make([][]int, n)
	for i, index := range order {
		shards[i%n] = append(shards[i%n], index)
	}
	return shards
}

// urn gives every example of a class a shard: with probability alpha*n/(alpha*n+m)
// a uniform one, else that of one of the m drawn before it.
func urn(labels []int, n int, alpha uint64, r random) [][]int {
	byClass := map[int][]int{}
	for i, label := range labels {
		byClass[label] = append(byClass[label], i)
	}
	classes := make([]int, 0, len(byClass))
	for class := range byClass {
		classes = append(classes, class)
	}
	slices.Sort(classes)
	shards := make([][]int, n)
	for _, class := range classes {
		indices := byClass[class]
		r.shuffle(indices)
		drawn := make([]int, len(indices))
		for m, index := range indices {
			fresh := alpha * uint64(n)
			v := r.below(fresh + uint64(m)*unit)
			if v < fresh {
				drawn[m] = int(v / alpha)
			} else {
				drawn[m] = drawn[(v-fresh)/unit]
			}
			shards[drawn[m]] = append(shards[drawn[m]], index)
		}
	}
	return shards
}

// fillEmpty moves the last example of the largest shard, the first of equals,
// into each empty one. There are at least as many examples as shards.
func fillEmpty(shards [][]int) {
	for k := range shards {
		if len(shards[k]) > 0 {
			continue
		}
		largest := 0
		for i := range shards {
			if len(shards[i]) > len(shards[largest]) {
				largest = i
			}
		}
		last := len(shards[largest]) - 1
		shards[k] = []int{shards[largest][last]}
		shards[largest] = shards[largest][:last]
	}
}
