// Package form is the forms that texts on the ledger take: digests, CIDs, age
// recipients, identifiers, names. One thing has one form, so that two texts which
// differ name two things. It knows neither Fabric nor a clock: a check is a
// function of its argument.
package form

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// IsHex reports whether a text is so many lower-case hexadecimal digits.
func IsHex(text string, digits int) bool {
	if len(text) != digits {
		return false
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// IsHex32 reports whether a text is 32 bytes in the one form the ledger takes:
// 64 lower-case hexadecimal digits.
func IsHex32(text string) bool { return IsHex(text, 64) }

// Digest is the SHA-256 of a document as the ledger stores it, 64 hexadecimal
// digits. For a document in a collection it is the hash that every peer has.
// Documents are structs of texts, numbers and lists, which always have a JSON
// form.
func Digest(document any) string {
	bytes, err := json.Marshal(document)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:])
}
