package dataset

import (
	"math/bits"
	"math/rand/v2"
)

// The uses of randomness, so that one seed gives each its own stream.
const (
	useIID uint64 = iota + 1
	useDirichlet
	useSynthetic
	usePatients
	useAugmentation
	useNoise
)

// random draws whole numbers. Its source is PCG-DXSM, whose algorithm
// math/rand/v2 documents; what is made of the source's words is written out
// here, so that no release of Go can change a split.
type random struct{ source *rand.PCG }

func newRandom(seed int64, use uint64) random {
	return random{rand.NewPCG(uint64(seed), use)}
}

// below is uniform in 0 to n-1, by rejection: the lowest bits that can hold n-1,
// drawn again while they exceed it. n is positive.
func (r random) below(n uint64) uint64 {
	mask := uint64(1)<<bits.Len64(n-1) - 1
	for {
		if v := r.source.Uint64() & mask; v < n {
			return v
		}
	}
}

// between is uniform in low to high, both included.
func (r random) between(low, high int) int {
	return low + int(r.below(uint64(high-low)+1))
}

// permutation is a uniform order of 0 to n-1 (Fisher and Yates).
func (r random) permutation(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	r.shuffle(order)
	return order
}

func (r random) shuffle(order []int) {
	for i := len(order) - 1; i > 0; i-- {
		j := int(r.below(uint64(i) + 1))
		order[i], order[j] = order[j], order[i]
	}
}
