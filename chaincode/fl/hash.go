package fl

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// hash is SHA-256 over a label that says what is hashed and then the fields,
// each preceded by its length in eight bytes, so that no two lists of fields
// give the same bytes. The result is 64 hexadecimal digits.
func hash(label string, fields ...string) string {
	sum := sum(label, fields...)
	return hex.EncodeToString(sum[:])
}

func sum(label string, fields ...string) [sha256.Size]byte {
	var bytes []byte
	for _, field := range append([]string{label}, fields...) {
		bytes = binary.BigEndian.AppendUint64(bytes, uint64(len(field)))
		bytes = append(bytes, field...)
	}
	return sha256.Sum256(bytes)
}
