package consent

import "github.com/medfed/medfed/chaincode/form"

// MaxText is the most bytes of a free text in the private part of terms.
const MaxText = 1024

// The opaque identifiers: a letter, a hyphen and random bytes in hexadecimal.
// They stand in public keys for ever, so a name that says something is refused.
const (
	ConsentPrefix = "c-"
	AccessPrefix  = "a-"
)

// CheckConsentID refuses what is not "c-" and 32 hexadecimal digits.
func CheckConsentID(id string) error { return form.CheckOpaque("consent", ConsentPrefix, id) }

// CheckAccessID refuses what is not "a-" and 32 hexadecimal digits.
func CheckAccessID(id string) error { return form.CheckOpaque("access", AccessPrefix, id) }
