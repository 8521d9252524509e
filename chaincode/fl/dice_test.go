package fl

import (
	"crypto/sha256"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// naiveThrow says the dice again with big numbers: the throws are counted up
// until one lies below the largest multiple of n that 64 bits hold.
func naiveThrow(beacon, label string, from int, n uint64) (number uint64, used int) {
	most := new(big.Int).SetUint64(^uint64(0)) // 2^64 - 1, of which the last, incomplete multiple is cut off
	sides := new(big.Int).SetUint64(n)
	limit := new(big.Int).Mul(new(big.Int).Div(most, sides), sides)
	for counter := from; ; counter++ {
		var bytes []byte
		for _, field := range []string{"medfed/dice/1", beacon, label, strconv.Itoa(counter)} {
			bytes = append(bytes, 0, 0, 0, 0, 0, 0, 0, byte(len(field)))
			bytes = append(bytes, field...)
		}
		block := sha256.Sum256(bytes)
		thrown := new(big.Int).SetBytes(block[:8])
		if thrown.Cmp(limit) < 0 {
			return new(big.Int).Mod(thrown, sides).Uint64(), counter - from + 1
		}
	}
}

func TestDiceEqualNaiveOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		throw := dice{beacon: rapid.StringMatching(`[0-9a-f]{4}`).Draw(t, "beacon"), label: rapid.SampledFrom([]string{"election", "sampling"}).Draw(t, "label")}
		for range 5 {
			n := rapid.OneOf(rapid.Uint64Range(1, 20), rapid.Uint64Range(1<<62, ^uint64(0))).Draw(t, "sides")
			from := int(throw.throws)
			want, used := naiveThrow(throw.beacon, throw.label, from, n)
			if got := throw.below(n); got != want || int(throw.throws) != from+used {
				t.Fatalf("below(%d) gives %d after %d throws, want %d after %d", n, got, int(throw.throws)-from, want, used)
			}
		}
	})
}
