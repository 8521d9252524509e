package form

import (
	"strings"
	"unicode/utf8"

	"github.com/medfed/medfed/chaincode/codes"
)

// MaxIdentifier is the length in bytes above which an identifier is refused.
const MaxIdentifier = 256

// CheckIdentifier refuses what can't be a part of a key: an empty or too long
// text, invalid UTF-8, control characters (NUL, which Fabric separates parts
// with, among them) and U+10FFFF, with which Fabric ends ranges. What names the
// field in the error.
func CheckIdentifier(what, value string) error {
	switch {
	case value == "":
		return codes.Errorf("MF-IDENTIFIER-EMPTY", "%s is empty; give one", what)
	case len(value) > MaxIdentifier:
		return codes.Errorf("MF-IDENTIFIER-TOO-LONG", "%s has %d bytes; use at most %d", what, len(value), MaxIdentifier)
	case !utf8.ValidString(value):
		return codes.Errorf("MF-IDENTIFIER-CHARACTER", "%s is not valid UTF-8; use letters, digits and hyphens", what)
	}
	for _, r := range value {
		if r < ' ' || r == 0x7f || r == utf8.MaxRune {
			return codes.Errorf("MF-IDENTIFIER-CHARACTER", "%s holds the character %U; use letters, digits and hyphens", what, r)
		}
	}
	return nil
}

// OpaqueDigits is how many hexadecimal digits follow the prefix of an opaque
// identifier: 16 random bytes.
const OpaqueDigits = 32

// IsOpaque reports whether an identifier says nothing: its prefix, such as "r-",
// and OpaqueDigits hexadecimal digits.
func IsOpaque(prefix, id string) bool {
	digits, ok := strings.CutPrefix(id, prefix)
	return ok && IsHex(digits, OpaqueDigits)
}

// CheckOpaque refuses an identifier that is not opaque. It stands in public keys
// for ever, so a name that says something is refused. What names the thing in the
// error.
func CheckOpaque(what, prefix, id string) error {
	if IsOpaque(prefix, id) {
		return nil
	}
	return codes.Errorf("MF-IDENTIFIER-OPAQUE", "the identifier of the %s is not %s and %d random hexadecimal digits; public identifiers must say nothing", what, prefix, OpaqueDigits)
}

// MaxName is the most characters of a name.
const MaxName = 64

// IsName reports whether a text is 1 to MaxName of a-z, 0-9 and the other
// characters given.
func IsName(text, others string) bool {
	if text == "" || len(text) > MaxName {
		return false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter, digit, other := c >= 'a' && c <= 'z', c >= '0' && c <= '9', false
		for j := 0; j < len(others); j++ {
			other = other || c == others[j]
		}
		if !letter && !digit && !other {
			return false
		}
	}
	return true
}
