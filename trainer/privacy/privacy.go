// Package privacy accounts for differentially private training: how much of a
// privacy budget the steps of DP-SGD (Abadi et al., arXiv 1607.00133) have spent.
// A step draws each example with the sampling rate (Poisson sampling), clips its
// gradient to a norm, and adds Gaussian noise of the noise multiplier times that
// norm to the sum: the sampled Gaussian mechanism.
//
// Spending is kept as a curve of Rényi differential privacy (Mironov, arXiv
// 1702.07476) over a list of orders: it adds up over steps, rounds and tasks, and
// is turned into ε at a δ when it is asked for. Two data sets are neighbours when
// one holds one example more than the other.
//
// Everything here is in floating point and for reports and planning. What a task
// may spend is decided on the ledger, in integers that are rounded up (package
// chaincode/fl); a test of the client holds the two against each other.
package privacy

import (
	"math"
)

// DefaultOrders are the orders that Opacus and TensorFlow Privacy use, and above
// them some that serve very small budgets.
func DefaultOrders() []float64 {
	var orders []float64
	for tenth := 1; tenth < 100; tenth++ {
		orders = append(orders, 1+float64(tenth)/10)
	}
	for order := 12; order < 64; order++ {
		orders = append(orders, float64(order))
	}
	return append(orders, 64, 96, 128, 256, 512)
}

// Conversion is a way from Rényi differential privacy to (ε, δ).
type Conversion int

const (
	// Improved is that of Balle et al. (arXiv 1905.09982, theorem 21) in the form
	// of Canonne, Kamath and Steinke (arXiv 2004.00010, proposition 12), as Opacus
	// and Google's dp-accounting use it. It is the default, and the ledger's.
	Improved Conversion = iota
	// Classic is Mironov's (arXiv 1702.07476, proposition 3), with which the
	// figures of older papers and tutorials were made. It is never smaller.
	Classic
)

// Accountant adds up what mechanisms spend of a data set. Its zero value is of no
// use; make one with NewAccountant.
type Accountant struct {
	orders []float64 // each above 1
	spent  []float64 // Rényi divergence at each order
}

// NewAccountant makes an accountant that has seen nothing. The orders are above 1;
// nil stands for DefaultOrders.
func NewAccountant(orders []float64) *Accountant {
	if orders == nil {
		orders = DefaultOrders()
	}
	return &Accountant{orders: orders, spent: make([]float64, len(orders))}
}

// Add accounts for steps of the sampled Gaussian mechanism with a noise multiplier
// (the noise's standard deviation over the clipping norm) and a sampling rate from
// 0 to 1.
func (a *Accountant) Add(noiseMultiplier, rate float64, steps int) {
	for i, order := range a.orders {
		a.spent[i] += float64(steps) * SampledGaussian(rate, noiseMultiplier, order)
	}
}

// Epsilon is what has been spent, as the least ε at this δ that any order gives,
// and that order. It is +Inf where nothing is kept private, and NaN for a δ that
// is not between 0 and 1.
func (a *Accountant) Epsilon(delta float64, by Conversion) (epsilon, order float64) {
	if !(delta > 0 && delta < 1) {
		return math.NaN(), math.NaN()
	}
	epsilon, order = math.Inf(1), math.Inf(1)
	for i, alpha := range a.orders {
		e := a.spent[i] - math.Log(delta)/(alpha-1)
		if by == Improved {
			e += math.Log1p(-1/alpha) - math.Log(alpha)/(alpha-1)
		}
		if e < epsilon {
			epsilon, order = e, alpha
		}
	}
	return math.Max(0, epsilon), order
}

// Steps is how many steps of Poisson sampling make so many passes over the data in
// expectation, and the sampling rate of each: a rate of batch size over examples,
// or 1 where the batch holds them all.
func Steps(examples, batchSize, epochs int) (steps int, rate float64) {
	batchSize = min(batchSize, examples)
	return epochs * ((examples + batchSize - 1) / batchSize), float64(batchSize) / float64(examples)
}
