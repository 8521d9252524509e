package fl

import (
	"fmt"
	"math/big"
	"strings"
)

// Micro is a score, a rate or an ε in millionths: 875000 is 0.875. The ledger holds
// no floating-point numbers, and its JSON has a Micro as the whole number that it is.
type Micro int64

// One is the Micro of 1.0.
const One Micro = 1_000_000

// String is the shortest decimal number: 0.875, 10, -0.000001.
func (m Micro) String() string {
	return strings.TrimSuffix(strings.TrimRight(m.Decimal(6), "0"), ".")
}

// Decimal is the decimal number with so many places, 0 to 6; further ones are cut
// off, not rounded.
func (m Micro) Decimal(places int) string {
	sign, magnitude := "", uint64(m)
	if m < 0 {
		sign, magnitude = "-", -magnitude
	}
	whole := fmt.Sprintf("%s%d", sign, magnitude/uint64(One))
	if places == 0 {
		return whole
	}
	return whole + "." + fmt.Sprintf("%06d", magnitude%uint64(One))[:places]
}

// Set reads a decimal number from 0 with at most six places, such as 0.05, 1e-3 or
// what String gives of a Micro from 0, and holds it exactly. The error says what is
// wrong with the text and has no code: whoever asked for the number gives it one.
func (m *Micro) Set(text string) error {
	number, ok := decimalNumber(strings.ToLower(text))
	if !ok {
		return fmt.Errorf("%q is no decimal number from 0", text)
	}
	number.Mul(number, big.NewRat(int64(One), 1))
	if !number.IsInt() {
		return fmt.Errorf("%s has more than six decimal places", text)
	}
	if !number.Num().IsInt64() {
		return fmt.Errorf("%s is more than %s", text, Micro(1<<63-1))
	}
	*m = Micro(number.Num().Int64())
	return nil
}
