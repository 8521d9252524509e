package renyi

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// exact is what an upward number stands for at most.
func (x upward) exact() *big.Rat {
	r := new(big.Rat).SetInt(new(big.Int).SetUint64(x.mantissa))
	if x.exponent >= 0 {
		return r.Mul(r, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(x.exponent))))
	}
	return r.Quo(r, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(-x.exponent))))
}

// tight checks that a bound is not below and at most a share of 2^-bits above.
func tight(t rapid.TB, what string, bound, exact *big.Rat, bits uint) {
	t.Helper()
	if bound.Cmp(exact) < 0 {
		t.Fatalf("%s: %s is below %s", what, bound.FloatString(50), exact.FloatString(50))
	}
	slack := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), bits))
	if most := new(big.Rat).Mul(exact, slack.Add(slack, big.NewRat(1, 1))); bound.Cmp(most) > 0 {
		t.Fatalf("%s: %s is far above %s", what, bound.FloatString(50), exact.FloatString(50))
	}
}

func wholeNumber(t *rapid.T, label string, least uint64) uint64 {
	x := rapid.Uint64().Draw(t, label) >> rapid.IntRange(0, 63).Draw(t, label+" shift")
	return max(x, least)
}

func fraction(a, b uint64) *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
}

func TestUpwardNumbersAreTightBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := wholeNumber(t, "a", 0), wholeNumber(t, "b", 1)
		c, d := wholeNumber(t, "c", 0), wholeNumber(t, "d", 1)
		x, y := ratio(a, b), ratio(c, d)
		tight(t, "ratio", x.exact(), fraction(a, b), 62)
		tight(t, "product", x.times(y).exact(), new(big.Rat).Mul(x.exact(), y.exact()), 62)
		y.exponent -= rapid.IntRange(0, 200).Draw(t, "apart")
		if y.mantissa == 0 {
			y.exponent = 0
		}
		tight(t, "sum", x.plus(y).exact(), new(big.Rat).Add(x.exact(), y.exact()), 62)
		for _, n := range []upward{x, y, x.times(y), x.plus(y), y.plus(x)} {
			if n.mantissa>>63 == 0 && n.mantissa != 0 {
				t.Fatalf("%x is not in normal form", n.mantissa)
			}
		}
	})
}

// taylor is the series of e^x cut after so many terms: less than e^x.
func taylor(x *big.Rat, terms int64) *big.Rat {
	sum, term := new(big.Rat), big.NewRat(1, 1)
	for i := int64(1); i <= terms; i++ {
		sum.Add(sum, term)
		term = new(big.Rat).Mul(term, new(big.Rat).Mul(x, big.NewRat(1, i)))
	}
	return sum
}

func TestExponentialAndLogarithmAreTightBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64Range(0, 20_000).Draw(t, "a"), rapid.Uint64Range(1000, 100_000).Draw(t, "b")
		power := fraction(a, b) // to 20
		e := expUp(a, b)
		tight(t, "e to the power", e.exact(), taylor(power, 120), 48)
		log := new(big.Rat).SetFrac(e.logUp(), new(big.Int).Lsh(big.NewInt(1), logUnit))
		off := new(big.Rat).Sub(log, power)
		if off.Sign() < 0 || off.Cmp(big.NewRat(1, 1<<48)) > 0 {
			t.Fatalf("the logarithm of e to the power of %s is %s", power.FloatString(30), log.FloatString(30))
		}
	})
}

func TestLogarithmsAreTightBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := normal(rapid.Uint64Range(1, math.MaxUint64).Draw(t, "mantissa"), -63, false)
		x.exponent = -63
		log := new(big.Rat).SetFrac(x.logUp(), new(big.Int).Lsh(big.NewInt(1), logUnit))
		// A tight bound l of log x has e^l not below x, up to the series' rest.
		tight(t, "e to the logarithm", taylor(log, 40), new(big.Rat).Sub(x.exact(), big.NewRat(1, 1<<62)), 58)
	})
	for _, x := range []upward{{}, upwardOf(1), ratio(1, 3)} {
		if x.logUp().Sign() != 0 {
			t.Errorf("the logarithm of %v is %v", x, x.logUp())
		}
	}
}

// naiveDivergence is the same sum in floating point, as the papers write it.
func naiveDivergence(rate, sigma float64, order int) float64 {
	sum, coefficient := 0.0, 1.0
	for k := 0; k <= order; k++ {
		n := float64(k)
		sum += coefficient * math.Pow(1-rate, float64(order-k)) * math.Pow(rate, n) * math.Exp(n*(n-1)/(2*sigma*sigma))
		coefficient *= float64(order-k) / (n + 1)
	}
	return math.Log(sum) / float64(order-1)
}

func TestDivergencesBoundThePapersSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.Int64Range(1, 512).Draw(t, "batch")
		noise := rapid.Int64Range(500_000, 20*one).Draw(t, "noise")
		examples := rapid.Int64Range(1, 5000).Draw(t, "examples")
		number := rapid.Int64Range(1, 100_000).Draw(t, "steps")
		steps, rate := float64(number), min(1, float64(batch)/float64(examples))
		got := SampledGaussian(Rate{batch, examples}, noise, number)
		for i, order := range Orders()[:70] {
			if order%OrderUnit != 0 {
				continue // TestIntegralsBoundTheMoments
			}
			want := 1e6 * steps * naiveDivergence(rate, float64(noise)/1e6, order/OrderUnit)
			if spent := float64(got[i]); spent < want*(1-1e-9)-steps*1e-7 || spent > want*(1+1e-9)+1+steps*1e-7 {
				t.Fatalf("order %d: %v millionths, want %v", order, spent, want)
			}
		}
	})
}

// simpson integrates a moment by its definition, with other nodes and weights than
// the rule does.
func simpson(rate, sigma, order float64) float64 {
	const steps = 800
	low, high := -14*sigma, order+14*sigma
	width, sum := (high-low)/steps, 0.0
	for i := range steps + 1 {
		z := low + float64(i)*width
		weight := float64(2 + 2*(i%2))
		if i == 0 || i == steps {
			weight = 1
		}
		x := 1 - rate + rate*math.Exp((2*z-1)/(2*sigma*sigma))
		sum += weight * math.Exp(-z*z/(2*sigma*sigma)+order*math.Log(x))
	}
	return sum * width / 3 / (sigma * math.Sqrt(2*math.Pi))
}

func TestIntegralsBoundTheMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noise := rapid.Int64Range(3*one/10, 1000*one).Draw(t, "noise")
		examples := rapid.Uint64Range(1, 10_000).Draw(t, "examples")
		batch := rapid.Uint64Range(1, examples).Draw(t, "batch")
		moments := integrals(ratio(batch, examples), ratio(examples-batch, examples), noise, Orders())
		for i, order := range Orders() {
			if order%OrderUnit == 0 {
				if moments[i] != (upward{}) {
					t.Fatalf("the whole order %d has an integral", order)
				}
				continue
			}
			want := simpson(float64(batch)/float64(examples), float64(noise)/1e6, float64(order)/OrderUnit)
			if want > 1e300 {
				continue // floating point ends before these numbers do
			}
			got, _ := moments[i].exact().Float64()
			if got < want*(1-1e-11) || got > want*(1+1e-9) {
				t.Fatalf("order %d/%d: %.15g, want %.15g", order, OrderUnit, got, want)
			}
		}
	})
}

// TestIntegralsAreExactWhereTheyAreKnown takes the plain Gaussian mechanism, whose
// moments are e^(a(a-1)/(2σ²)), down to the least noise that terms may have.
func TestIntegralsAreExactWhereTheyAreKnown(t *testing.T) {
	for _, noise := range []int64{one / 10, one / 4, one / 2, one, 3 * one, 1000 * one} {
		moments := integrals(upwardOf(1), upward{}, noise, Orders())
		for i, order := range Orders() {
			if order%OrderUnit == 0 {
				continue
			}
			sigma := big.NewRat(noise, one)
			exact := new(big.Rat).Quo(big.NewRat(int64(order*(order-OrderUnit)), 2*OrderUnit*OrderUnit), sigma.Mul(sigma, sigma))
			log := new(big.Rat).SetFrac(moments[i].logUp(), new(big.Int).Lsh(big.NewInt(1), logUnit))
			above, _ := new(big.Rat).Sub(log, exact).Float64()
			most := 1e-12 + 4.1*math.Exp(-70*float64(noise)/1e6)
			if noise < one/2 { // where the steps are half as long
				most = 1e-12 + 4.1*math.Exp(-140*float64(noise)/1e6)
			}
			if above < 0 || above > most {
				t.Errorf("noise %d, order %d/%d: %g above the exact logarithm", noise, order, OrderUnit, above)
			}
		}
	}
}

func TestRootsInversesAndPowersAreTightBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := ratio(wholeNumber(t, "a", 1), wholeNumber(t, "b", 1))
		root := x.root().exact()
		tight(t, "the square of the root", root.Mul(root, root), x.exact(), 61)
		tight(t, "the inverse", x.inverse().exact(), new(big.Rat).Inv(x.exact()), 62)
		n := rapid.IntRange(0, 12).Draw(t, "power")
		power := big.NewRat(1, 1)
		for range n {
			power.Mul(power, x.exact())
		}
		tight(t, "the power", x.power(n).exact(), power, 55)
		a, b := rapid.Uint64Range(0, 20_000).Draw(t, "power of e"), rapid.Uint64Range(1000, 100_000).Draw(t, "divided by")
		tight(t, "e to the power of less than 0", new(big.Rat).Mul(expBelow(a, b).exact(), taylor(fraction(a, b), 120)), big.NewRat(1, 1), 40)
		for _, n := range []upward{x.root(), x.inverse(), x.power(n), expBelow(a, b)} {
			if n.mantissa>>63 == 0 {
				t.Fatalf("%x is not in normal form", n.mantissa)
			}
		}
	})
}

func TestFullBatchesAreThePlainGaussianMechanism(t *testing.T) {
	for _, examples := range []int64{1, 100, 500} {
		spent := SampledGaussian(Rate{500, examples}, 2*one, 3)
		for i, order := range Orders() {
			if got, want := spent[i], 3*one*int64(order)/OrderUnit/8; got < want || got > want+1 {
				t.Errorf("order %d of %d examples: %d, want %d", order, examples, got, want)
			}
		}
	}
}

func TestConversionIsTheImprovedOne(t *testing.T) {
	for _, inverse := range []int64{1000, 100_000, 123_456, 1_000_000_000_000_000} {
		for i, order := range Orders() {
			n := float64(order) / OrderUnit
			want := max(0, math.Log1p(-1/n)+(math.Log(float64(inverse))-math.Log(n))/(n-1))
			if got := float64(prices(inverse)[i]) / 1e6; got < want-1e-12 || got > want+1.1e-6 {
				t.Errorf("order %d, δ = 1/%d: %v, want %v", order, inverse, got, want)
			}
		}
	}
}

func TestWhatIsTooMuchStaysTooMuch(t *testing.T) {
	spent := SampledGaussian(Rate{1, 1_000_000_000}, one/10, 10_000_000_000_000)
	for range 100 {
		spent = spent.Plus(spent)
	}
	for i, v := range spent {
		if v != maxSpent {
			t.Errorf("order %d: %d", Orders()[i], v)
		}
	}
	if got := spent.Epsilon(100_000); got != maxSpent {
		t.Errorf("ε is %d", got)
	}
}

func BenchmarkDivergences(b *testing.B) {
	for b.Loop() {
		SampledGaussian(Rate{128, 523}, 1_100_000, 15)
	}
}

func BenchmarkEpsilon(b *testing.B) {
	spent := SampledGaussian(Rate{128, 523}, 1_100_000, 15)
	for b.Loop() {
		spent.Epsilon(100_000)
	}
}
