// Package renyi is the ledger's accountant of differential privacy: the Rényi
// divergences of the sampled Gaussian mechanism (Mironov, Talwar and Zhang, arXiv
// 1908.10530, section 3.3) in integers, rounded up. A bound that is never too low is
// a guarantee whatever the rounding; package trainer/privacy has the same in floating
// point, and a test of the client holds the two together. Numbers are in millionths.
package renyi

import "math/big"

// one is a million millionths.
const one = 1_000_000

// OrderUnit is how many of the units that orders are counted in make 1.
const OrderUnit = 8

// Orders are the orders at which the ledger keeps what is spent, in eighths: from
// 1.125 to 512, in steps of an eighth to 5, a quarter to 12, a half to 20, 1 to 64,
// and a tenth of themselves above. Wider ones cost: the divergence of small samples
// turns sharply at an order that is seldom whole. They never change: what is spent
// is stored in their order.
func Orders() []int {
	orders := []int{}
	for order := OrderUnit + 1; order < 512*OrderUnit; {
		orders = append(orders, order)
		switch {
		case order < 5*OrderUnit:
			order++
		case order < 12*OrderUnit:
			order += OrderUnit / 4
		case order < 20*OrderUnit:
			order += OrderUnit / 2
		case order < 64*OrderUnit:
			order += OrderUnit
		default:
			order += order / OrderUnit / 10 * OrderUnit
		}
	}
	return append(orders, 512*OrderUnit)
}

// maxSpent stands for all that is as much or more, so that sums stay within 64
// bits.
const maxSpent int64 = 1 << 60

// Divergences bound what has been spent: the Rényi divergence in millionths at each
// of Orders. nil is nothing.
type Divergences []int64

// Rate is the probability with which a step samples each example: Batch of Examples,
// of which there is at least one, and 1 when the batch is as large or larger.
type Rate struct{ Batch, Examples int64 }

// SampledGaussian bounds what so many steps spend, each of which samples each example
// at the rate, clips its gradient, and adds Gaussian noise of the noise multiplier, in
// millionths, times the clipping norm.
func SampledGaussian(rate Rate, noise, steps int64) Divergences {
	orders := Orders()
	highest := orders[len(orders)-1] / OrderUnit
	batch := min(rate.Batch, rate.Examples)
	sample, rest := ratio(uint64(batch), uint64(rate.Examples)), ratio(uint64(rate.Examples-batch), uint64(rate.Examples))
	sampled, left := powers(sample, highest), powers(rest, highest)
	shifts := gaussianMoments(noise, highest)
	integrals := integrals(sample, rest, noise, orders)
	all := big.NewInt(steps * OrderUnit)
	spent := Divergences{}
	for i, order := range orders {
		m := integrals[i]
		if order%OrderUnit == 0 {
			m = moment(order/OrderUnit, sampled, left, shifts)
		}
		log := m.logUp()
		spent = append(spent, microUp(log.Mul(log, all), int64(order-OrderUnit)))
	}
	return spent
}

// moment, of a whole order, is the sum over k of binomial(order, k)·(1-q)^(order-k)·q^k·shifts[k],
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
func gaussianMoments(noiseMultiplier int64, highest int) []upward {
	step := expUp(uint64(one*one), uint64(noiseMultiplier*noiseMultiplier))
	growth := powers(step, highest)
	all := []upward{upwardOf(1)}
	for k := 1; k <= highest; k++ {
		all = append(all, all[k-1].times(growth[k-1]))
	}
	return all
}

// integrals bound the moments of the orders that are not whole, and are 0 for the
// others. A moment of order a is the integral of φ(z)·x(z)^a, where φ is the density
// of noise z of standard deviation σ and x(z) = rest + rate·e^((2z-1)/(2σ²)). It is
// h times the sum of its values at multiples of h = σ/d, up to a share that slack
// bounds: Trefethen and Weideman (SIAM Review 56, 2014, theorem 5.1) have 2M/(e^(2πw/h)-1)
// for the error, where M is the most that the integral of the modulus is on a line
// at a distance of up to w from the real axis. With w = 3σ·min(1, σ), which is below
// πσ², the modulus of x is at most what x is on the axis, x has no zero in between,
// and that of φ is at most e^4.5 times what φ is; the share is below
// 4·e^(-17.5·d·min(1, σ)). Left out is what lies left of -12σ, where x is below 1,
// and right of a+20σ, where x^a·φ(z) is at most e^(a(a-1)/(2σ²))·φ(z-a) and the whole
// at least rate^a times the integral of that: less than a share of 2^-100.
func integrals(rate, rest upward, noise int64, orders []int) []upward {
	d := int64(4)
	if noise < one/2 {
		d = 8
	}
	slack := ratio(1, 1<<50).times(ratio(1, 1<<50)).plus(upwardOf(4).times(expBelow(uint64(35*d*min(noise, one)), uint64(2*one))))
	highest := 0
	for _, order := range orders {
		if order%OrderUnit != 0 {
			highest = max(highest, order)
		}
	}
	sums := make([]upward, len(orders))
	last := 20*d + (d*int64(highest)*one)/(OrderUnit*noise) + 1
	for k := -12 * d; k <= last; k++ {
		x := rest.plus(rate.times(expOf((2*k*noise-d*one)*one, uint64(2*d*noise*noise))))
		weight := normalDensity.times(ratio(1, uint64(d))).times(expBelow(uint64(k*k), uint64(2*d*d)))
		roots := powers(x.root().root().root(), highest)
		for i, order := range orders {
			if order%OrderUnit != 0 {
				sums[i] = sums[i].plus(weight.times(roots[order]))
			}
		}
	}
	for i := range sums {
		sums[i] = sums[i].plus(sums[i].times(slack))
	}
	return sums
}

// normalDensity is 1/√(2π), the standard normal density at 0.
var normalDensity = upward{0xcc42299ea1b28469, -65}

// microUp is a number from 0 in units of 2^-logUnit, divided, in millionths,
// rounded up.
func microUp(units *big.Int, divisor int64) int64 {
	unit := new(big.Int).Lsh(big.NewInt(divisor), logUnit)
	millionths, rest := new(big.Int).QuoRem(new(big.Int).Mul(units, big.NewInt(one)), unit, new(big.Int))
	if rest.Sign() > 0 {
		millionths.Add(millionths, big.NewInt(1))
	}
	if millionths.Cmp(big.NewInt(maxSpent)) > 0 {
		return maxSpent
	}
	return millionths.Int64()
}

// Plus adds what is spent at each order.
func (d Divergences) Plus(more Divergences) Divergences {
	sum := Divergences{}
	for i := range Orders() {
		var total int64
		for _, spent := range []Divergences{d, more} {
			if i < len(spent) {
				total += spent[i]
			}
		}
		sum = append(sum, min(total, maxSpent))
	}
	return sum
}

// Epsilon turns divergences into the least ε, in millionths, at δ = 1/inverseDelta:
// the conversion of Canonne, Kamath and Steinke (arXiv 2004.00010, proposition
// 12), ε = divergence + log(1 - 1/order) + log(1/(δ·order))/(order-1), rounded up,
// and with its two logarithms together taken as 0 where they are below.
func (d Divergences) Epsilon(inverseDelta int64) int64 {
	least := maxSpent
	for i, price := range prices(inverseDelta) {
		if i < len(d) {
			least = min(least, d[i]+price)
		}
	}
	return least
}

// prices are what the conversion adds to the divergence at each of Orders: the
// logarithm of (order-1)^(order-1)/(δ·order^order), over order-1.
func prices(inverseDelta int64) []int64 {
	prices := []int64{}
	for _, order := range Orders() {
		n, above := uint64(order), order-OrderUnit
		price := ratio(uint64(inverseDelta), n).times(upwardOf(OrderUnit)).power(OrderUnit)
		price = price.times(ratio(n-OrderUnit, n).power(above))
		prices = append(prices, microUp(price.logUp(), int64(above)))
	}
	return prices
}
