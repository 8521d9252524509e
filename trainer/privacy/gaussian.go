package privacy

import "math"

// SampledGaussian is the Rényi divergence of order alpha, above 1, of one step of
// the sampled Gaussian mechanism with the given sampling rate and noise
// multiplier: the bound of Mironov, Talwar and Zhang (arXiv 1908.10530, section
// 3.3), exact for whole orders up to rounding and a convergent series for others.
// It is +Inf without noise.
func SampledGaussian(rate, noiseMultiplier, alpha float64) float64 {
	switch {
	case rate == 0:
		return 0
	case noiseMultiplier == 0 || math.IsInf(alpha, 1):
		return math.Inf(1)
	case rate == 1:
		return alpha / (2 * noiseMultiplier * noiseMultiplier)
	case alpha == math.Floor(alpha):
		return logMomentWhole(rate, noiseMultiplier, int(alpha)) / (alpha - 1)
	}
	return logMoment(rate, noiseMultiplier, alpha) / (alpha - 1)
}

// logMomentWhole is the logarithm of the moment that the divergence is made of,
// for a whole order: a binomial sum.
func logMomentWhole(q, sigma float64, alpha int) float64 {
	total, coefficient := math.Inf(-1), 0.0
	for k := 0; k <= alpha; k++ {
		n := float64(k)
		term := coefficient + n*math.Log(q) + float64(alpha-k)*math.Log1p(-q) + n*(n-1)/(2*sigma*sigma)
		total = logSum(total, term)
		coefficient += math.Log(float64(alpha-k)) - math.Log(n+1)
	}
	return total
}

// logMoment is the same for any order: two binomial series, of the noise below and
// above the point z0 where the mixture's parts are equal. From the order on their
// terms alternate and shrink.
func logMoment(q, sigma, alpha float64) float64 {
	const negligible = -30 // of the logarithm of a term
	below, above := signed{log: math.Inf(-1)}, signed{log: math.Inf(-1)}
	z0 := sigma*sigma*math.Log(1/q-1) + 0.5
	coefficient := signed{sign: 1}
	for i := 0.0; ; i++ {
		j := alpha - i
		first := coefficient.log + i*math.Log(q) + j*math.Log1p(-q) + i*(i-1)/(2*sigma*sigma) + logUpperTail((i-z0)/sigma)
		second := coefficient.log + j*math.Log(q) + i*math.Log1p(-q) + j*(j-1)/(2*sigma*sigma) + logUpperTail((z0-j)/sigma)
		below = below.plus(signed{first, coefficient.sign})
		above = above.plus(signed{second, coefficient.sign})
		if i > alpha && math.Max(first, second) < negligible {
			return logSum(below.log, above.log)
		}
		coefficient = coefficient.times((alpha - i) / (i + 1))
	}
}

// signed is a number as the logarithm of its size and its sign, 1 or -1.
type signed struct{ log, sign float64 }

func (s signed) times(factor float64) signed {
	return signed{s.log + math.Log(math.Abs(factor)), s.sign * math.Copysign(1, factor)}
}

// plus adds a number no larger than the sum so far is away from 0, or any number
// of its sign.
func (s signed) plus(t signed) signed {
	if math.IsInf(s.log, -1) {
		return t
	}
	if s.sign == t.sign {
		return signed{logSum(s.log, t.log), s.sign}
	}
	large, small := s, t
	if t.log > s.log {
		large, small = t, s
	}
	return signed{large.log + math.Log1p(-math.Exp(small.log-large.log)), large.sign}
}

// logSum is the logarithm of the sum of two numbers given by theirs.
func logSum(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// logUpperTail is the logarithm of the probability that a standard normal number
// is above x. Far out, where the probability itself is too small for a float64, it
// is the asymptotic series of Abramowitz and Stegun, 7.1.23.
func logUpperTail(x float64) float64 {
	const far = 20
	if x < far {
		return math.Log(math.Erfc(x/math.Sqrt2) / 2)
	}
	square, term, series := x*x, 1.0, 1.0
	for n := 1.0; n < 10; n++ {
		term *= -(2*n - 1) / square
		series += term
	}
	return -square/2 - math.Log(x) - math.Log(2*math.Pi)/2 + math.Log(series)
}
