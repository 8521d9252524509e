package renyi

import (
	"math/big"
	"math/bits"
)

// upward is a number from 0 in integers only, mantissa·2^exponent, that is never
// less than what it stands for: each operation gives its exact result or, where
// that has more than 64 binary digits, a number above by less than a share of
// 2^-62. Every operation is monotonic in each of its operands, so that bounds stay
// bounds. The mantissa's highest bit is set, save in 0.
type upward struct {
	mantissa uint64
	exponent int
}

// normal moves the mantissa's highest bit to its place, after adding one to it if
// something was cut off behind.
func normal(mantissa uint64, exponent int, cut bool) upward {
	if cut {
		mantissa++
		if mantissa == 0 { // it was all ones
			return upward{1 << 63, exponent + 1}
		}
	}
	if mantissa == 0 {
		return upward{}
	}
	shift := bits.LeadingZeros64(mantissa)
	return upward{mantissa << shift, exponent - shift}
}

// upwardOf is a whole number.
func upwardOf(x uint64) upward { return normal(x, 0, false) }

// ratio is a/b for b above 0.
func ratio(a, b uint64) upward {
	x, y := upwardOf(a), upwardOf(b)
	quotient, rest := bits.Div64(x.mantissa>>1, x.mantissa<<63, y.mantissa)
	return normal(quotient, x.exponent-y.exponent-63, rest > 0)
}

func (x upward) times(y upward) upward {
	high, low := bits.Mul64(x.mantissa, y.mantissa)
	exponent := x.exponent + y.exponent + 64
	if high>>63 == 0 { // keep one digit more
		high, low, exponent = high<<1|low>>63, low<<1, exponent-1
	}
	return normal(high, exponent, low > 0)
}

func (x upward) plus(y upward) upward {
	switch {
	case x.mantissa == 0:
		return y
	case y.mantissa == 0:
		return x
	case x.exponent < y.exponent:
		x, y = y, x
	}
	apart := x.exponent - y.exponent
	if apart > 63 {
		return normal(x.mantissa, x.exponent, true)
	}
	shifted := y.mantissa >> apart
	cut := shifted<<apart != y.mantissa
	sum, carry := bits.Add64(x.mantissa, shifted, 0)
	if carry == 0 {
		return normal(sum, x.exponent, cut)
	}
	return normal(1<<63|sum>>1, x.exponent+1, cut || sum&1 > 0)
}

// expUp is e to the power of a/b, for b above 0. The power is halved until it is
// at most a half; there the series 1 + x(1 + x/2(1 + x/3(…))) is cut after
// expTerms factors, the rest of which are below 1 + 1/2 + 1/4 + … = 2; and the
// result is squared as often as the power was halved.
func expUp(a, b uint64) upward {
	const expTerms = 20
	x := ratio(a, b)
	squares := halvings(x)
	x.exponent -= squares
	one, result := upwardOf(1), upwardOf(2)
	for i := uint64(expTerms); i >= 1; i-- {
		result = one.plus(x.times(result).times(ratio(1, i)))
	}
	for range squares {
		result = result.times(result)
	}
	return result
}

// expBelow is e to the power of -a/b, for b above 0 and a/b up to 2^15: the inverse
// of expUp, raised by what that may be above. Its series is above by less than a
// share of 2^-60, and every square after it doubles that and adds 2^-62.
func expBelow(a, b uint64) upward {
	share := uint64(1) << (57 - halvings(ratio(a, b)))
	return expUp(a, b).inverse().times(ratio(share+1, share))
}

// halvings are how often a number is to be halved until it is at most a half.
func halvings(x upward) int {
	if x.mantissa == 0 {
		return 0
	}
	return max(0, x.exponent+65) // x is below 2^(exponent+64)
}

// expOf is expUp or expBelow, by the sign of a.
func expOf(a int64, b uint64) upward {
	if a < 0 {
		return expBelow(uint64(-a), b)
	}
	return expUp(uint64(a), b)
}

// inverse is 1/x, rounded up, for x above 0. Of a number that is itself rounded up
// it is no bound.
func (x upward) inverse() upward {
	quotient, rest := bits.Div64(1<<62, 0, x.mantissa)
	return normal(quotient, -126-x.exponent, rest > 0)
}

// root is the square root.
func (x upward) root() upward {
	if x.mantissa == 0 {
		return x
	}
	shift := 64 - x.exponent&1
	square := new(big.Int).Lsh(new(big.Int).SetUint64(x.mantissa), uint(shift))
	root := new(big.Int).Sqrt(square)
	exact := new(big.Int).Mul(root, root).Cmp(square) == 0
	return normal(root.Uint64(), (x.exponent-shift)/2, !exact)
}

// power is x multiplied n times.
func (x upward) power(n int) upward {
	result := upwardOf(1)
	for ; n > 0; n /= 2 {
		if n%2 == 1 {
			result = result.times(x)
		}
		x = x.times(x)
	}
	return result
}

// logUnit is the binary place down to which logarithms are given.
const logUnit = 64

// logUp is the natural logarithm in units of 2^-logUnit, rounded up, and 0 for a
// number of at most 1. A number is m·2^n with m from 1 to below 2; its logarithm
// is n·log 2 and log m = 2·artanh((m-1)/(m+1)).
func (x upward) logUp() *big.Int {
	const logOfTwo = 0xb17217f7d1cf79ac // in units of 2^-64, rounded up
	n := x.exponent + 63
	if x.mantissa == 0 || n < 0 {
		return new(big.Int)
	}
	above := x.mantissa - 1<<63 // m-1 in units of 2^-63; m+1 = 2 + that
	y, rest := bits.Div64(above>>1, above<<63, 1<<63+above>>1)
	if rest > 0 {
		y++
	}
	log := new(big.Int).SetUint64(artanhUp(y))
	log.Lsh(log, 1)
	whole := new(big.Int).SetUint64(logOfTwo)
	return log.Add(log, whole.Mul(whole, big.NewInt(int64(n))))
}

// artanhUp is the series y + y³/3 + y⁵/5 + … of y from 0 to a third, both in units
// of 2^-64, rounded up. Each power is at most about a ninth of the one before, and
// is divided by 3 at least: all that are left out are together less than the first
// of them, undivided.
func artanhUp(y uint64) uint64 {
	square := highUp(y, y)
	sum, power := uint64(0), y
	for i := uint64(1); i == 1 || power > 1; i += 2 {
		sum += (power + i - 1) / i
		power = highUp(power, square)
	}
	return sum + power
}

// highUp is x·y in units of 2^-64, rounded up, of two numbers in them.
func highUp(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y)
	if low > 0 {
		high++
	}
	return high
}
