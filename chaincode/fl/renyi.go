package fl

import "math/big"

// The ledger's accountant: Rényi differential privacy of the sampled Gaussian
// mechanism (Mironov, Talwar and Zhang, arXiv 1908.10530, section 3.3) at whole
// orders, in integers, rounded up. A bound that is never too low is a guarantee
// whatever the rounding; package trainer/privacy has the same in floating point,
// at fractional orders too, and a test of the client holds the two together.

// Orders are the whole orders at which the ledger keeps what is spent. They never
// change: what is spent is stored in their order.
func Orders() []int {
	orders := []int{}
	for order := 2; order <= 64; order++ {
		orders = append(orders, order)
	}
	return append(orders, 96, 128, 256, 512)
}

// maxSpent stands for all that is as much or more, so that sums stay within 64
// bits.
const maxSpent Micro = 1 << 60

// PrivateSteps is how many steps a private training takes: as many passes as the
// epochs, in expectation, when each step samples batchSize of the examples.
func PrivateSteps(training Training, examples int64) int64 {
	batch := min(int64(training.BatchSize), examples)
	return int64(training.Epochs) * ((examples + batch - 1) / batch)
}

// Divergences bounds what an update on so many examples, at least 1, spends: the
// Rényi divergence in millionths at each of Orders. Every step samples each
// example with a probability of batch size over examples, at most 1, clips its
// gradient, and adds Gaussian noise of the noise multiplier times the clipping
// norm.
func Divergences(t Terms, examples int64) []Micro {
	orders := Orders()
	highest := orders[len(orders)-1]
	batch := min(int64(t.Training.BatchSize), examples)
	sampled := powers(ratio(uint64(batch), uint64(examples)), highest)
	left := powers(ratio(uint64(examples-batch), uint64(examples)), highest)
	shifts := gaussianMoments(t.Privacy.NoiseMultiplier, highest)
	steps := big.NewInt(PrivateSteps(t.Training, examples))
	spent := []Micro{}
	for _, order := range orders {
		log := moment(order, sampled, left, shifts).logUp()
		spent = append(spent, microUp(log.Mul(log, steps), int64(order-1)))
	}
	return spent
}

// moment is the sum over k of binomial(order, k)·(1-q)^(order-k)·q^k·shifts[k],
// whose logarithm is (order-1) times the divergence.
func moment(order int, sampled, left, shifts []upward) upward {
	sum, coefficient := upward{}, upwardOf(1)
	for k := 0; k <= order; k++ {
		sum = sum.plus(coefficient.times(sampled[k]).times(left[order-k]).times(shifts[k]))
		coefficient = coefficient.times(ratio(uint64(order-k), uint64(k+1)))
	}
	return sum
}

// powers are x to the power of 0 to highest.
func powers(x upward, highest int) []upward {
	all := []upward{upwardOf(1)}
	for range highest {
		all = append(all, all[len(all)-1].times(x))
	}
	return all
}

// gaussianMoments are e to the power of k(k-1)/(2σ²) for k from 0 to highest: each
// is the one before times e^((k-1)/σ²).
func gaussianMoments(noiseMultiplier Micro, highest int) []upward {
	step := expUp(uint64(One*One), uint64(noiseMultiplier*noiseMultiplier))
	growth := powers(step, highest)
	all := []upward{upwardOf(1)}
	for k := 1; k <= highest; k++ {
		all = append(all, all[k-1].times(growth[k-1]))
	}
	return all
}

// microUp is a number from 0 in units of 2^-logUnit, divided, in millionths,
// rounded up.
func microUp(units *big.Int, divisor int64) Micro {
	unit := new(big.Int).Lsh(big.NewInt(divisor), logUnit)
	millionths, rest := new(big.Int).QuoRem(new(big.Int).Mul(units, big.NewInt(One)), unit, new(big.Int))
	if rest.Sign() > 0 {
		millionths.Add(millionths, big.NewInt(1))
	}
	if millionths.Cmp(big.NewInt(maxSpent)) > 0 {
		return maxSpent
	}
	return millionths.Int64()
}

// AddDivergences adds what is spent at each order; nil is nothing.
func AddDivergences(a, b []Micro) []Micro {
	sum := []Micro{}
	for i := range Orders() {
		var total Micro
		for _, spent := range [][]Micro{a, b} {
			if i < len(spent) {
				total += spent[i]
			}
		}
		sum = append(sum, min(total, maxSpent))
	}
	return sum
}

// EpsilonOf turns divergences into the least ε, in millionths, at δ = 1/inverse:
// the conversion of Canonne, Kamath and Steinke (arXiv 2004.00010, proposition
// 12), ε = divergence + log(1 - 1/order) + log(1/(δ·order))/(order-1), rounded up,
// and with its two logarithms together taken as 0 where they are below.
func EpsilonOf(spent []Micro, inverse int64) Micro {
	least := maxSpent
	for i, price := range Prices(inverse) {
		if i < len(spent) {
			least = min(least, spent[i]+price)
		}
	}
	return least
}

// Prices are what the conversion adds to the divergence at each of Orders: the
// logarithm of (order-1)^(order-1)/(δ·order^order), over order-1.
func Prices(inverse int64) []Micro {
	prices := []Micro{}
	for _, order := range Orders() {
		n := uint64(order)
		price := ratio(uint64(inverse), n)
		for range order - 1 {
			price = price.times(ratio(n-1, n))
		}
		prices = append(prices, microUp(price.logUp(), int64(order-1)))
	}
	return prices
}
