package ledgertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Leaks looks for a secret in everything public (see PublicBytes) and in the
// texts of refusals (see Refusals): as it is, and as JSON, hexadecimal, base64
// or its SHA-256 digest would show it. It says what it found where; nothing is
// the good answer.
//
// A private key or value that is nothing but the secret is found too: Fabric
// publishes its unsalted digest, from which a dictionary tells it.
func (l *Ledger) Leaks(secret []byte) []string {
	if len(secret) == 0 {
		return nil
	}
	places := map[string][]byte{
		"public data": l.PublicBytes(),
		"refusals":    []byte(strings.Join(l.Refusals(), "\n")),
	}
	var found []string
	for _, place := range []string{"public data", "refusals"} {
		for _, form := range forms(secret) {
			if form.anyCase && bytes.Contains(bytes.ToLower(places[place]), form.pattern) || bytes.Contains(places[place], form.pattern) {
				found = append(found, fmt.Sprintf("%s in %s", form.name, place))
			}
		}
	}
	return found
}

type form struct {
	name    string
	pattern []byte
	anyCase bool
}

func forms(secret []byte) []form {
	list := []form{{name: "plain", pattern: secret}, {name: "hexadecimal", pattern: []byte(hex.EncodeToString(secret)), anyCase: true}}
	if quoted, err := json.Marshal(string(secret)); err == nil {
		if inner := quoted[1 : len(quoted)-1]; !bytes.Equal(inner, secret) {
			list = append(list, form{name: "JSON", pattern: inner})
		}
	}
	for offset := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if pattern := base64Core(encoding, secret, offset); len(pattern) >= 4 {
				list = append(list, form{name: "base64", pattern: pattern})
			}
		}
	}
	digest := sha256.Sum256(secret)
	return append(list,
		form{name: "SHA-256 digest", pattern: digest[:]},
		form{name: "SHA-256 digest in hexadecimal", pattern: []byte(hex.EncodeToString(digest[:])), anyCase: true})
}

// base64Core is the part of an encoding of secret, offset bytes into a group of
// three, that does not depend on what surrounds it.
func base64Core(encoding *base64.Encoding, secret []byte, offset int) []byte {
	padded := append(bytes.Repeat([]byte{0}, offset), secret...)
	encoded := []byte(encoding.EncodeToString(padded))
	first := (offset*8 + 5) / 6
	last := len(padded) * 8 / 6
	if first >= last {
		return nil
	}
	return encoded[first:last]
}
