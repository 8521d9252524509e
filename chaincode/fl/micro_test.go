package fl_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
)

// micros draws millionths from the least to the most.
func micros(least, most fl.Micro) *rapid.Generator[fl.Micro] {
	return rapid.Map(rapid.Int64Range(int64(least), int64(most)), func(v int64) fl.Micro { return fl.Micro(v) })
}

func TestADecimalIsHeldExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micro := micros(0, math.MaxInt64).Draw(t, "micro")
		for _, text := range []string{micro.String(), micro.Decimal(6)} {
			var read fl.Micro
			if err := read.Set(text); err != nil || read != micro {
				t.Fatalf("%s, of %d, became %d: %v", text, micro, read, err)
			}
		}
	})
	for text, want := range map[string]fl.Micro{"0": 0, "1": 1_000_000, "0.05": 50_000, "1e-3": 1_000, "1E-3": 1_000, "2.5e2": 250_000_000, "0.10000000": 100_000} {
		var read fl.Micro
		if err := read.Set(text); err != nil || read != want {
			t.Errorf("%s became %d: %v", text, read, err)
		}
	}
	for _, text := range []string{"", "-1", "1/3", "0.0000001", "NaN", "Inf", "1e99", "0x10", "1,5", "1_000", ".5", strings.Repeat("9", 40), "9223372036854.775808"} {
		read := fl.Micro(7)
		if err := read.Set(text); err == nil || read != 7 {
			t.Errorf("%q was taken as %s: %v", text, read, err)
		}
	}
}

func TestTextsOfMillionths(t *testing.T) {
	for _, c := range []struct {
		micro            fl.Micro
		text, four, none string
	}{
		{0, "0", "0.0000", "0"},
		{875_000, "0.875", "0.8750", "0"},
		{fl.One, "1", "1.0000", "1"},
		{10 * fl.One, "10", "10.0000", "10"},
		{1_999_999, "1.999999", "1.9999", "1"},
		{1, "0.000001", "0.0000", "0"},
		{-1, "-0.000001", "-0.0000", "-0"},
		{-2_500_000, "-2.5", "-2.5000", "-2"},
		{math.MinInt64, "-9223372036854.775808", "-9223372036854.7758", "-9223372036854"},
	} {
		if c.micro.String() != c.text || c.micro.Decimal(4) != c.four || c.micro.Decimal(0) != c.none {
			t.Errorf("%d is written %s, with four places %s and without %s; want %s, %s and %s", c.micro, c.micro, c.micro.Decimal(4), c.micro.Decimal(0), c.text, c.four, c.none)
		}
	}
}

// Big rationals write the same numbers.
func TestTextsOfMillionthsAreThoseOfTheFraction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micro := micros(math.MinInt64, math.MaxInt64).Draw(t, "micro")
		exact := big.NewRat(int64(micro), int64(fl.One))
		for _, text := range []string{micro.String(), micro.Decimal(6)} {
			if read, ok := new(big.Rat).SetString(text); !ok || read.Cmp(exact) != 0 {
				t.Fatalf("%d is written %s", micro, text)
			}
		}
		if micro.Decimal(6) != exact.FloatString(6) {
			t.Fatalf("%d is written %s, want %s", micro, micro.Decimal(6), exact.FloatString(6))
		}
	})
}

func TestMillionthsAreAWholeNumberInJSON(t *testing.T) {
	text, err := json.Marshal(fl.Score{Node: "A/1", Score: 875_000})
	if err != nil || string(text) != `{"node":"A/1","score":875000}` {
		t.Fatalf("%s: %v", text, err)
	}
}
