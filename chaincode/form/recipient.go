package form

import (
	"crypto/ecdh"
	"strings"

	"filippo.io/age"

	"github.com/medfed/medfed/chaincode/codes"
)

// CheckRecipient refuses what is not an age X25519 recipient to which anyone can
// encrypt. Weights are encrypted to every node at once, so one bad recipient
// would stop them all.
func CheckRecipient(recipient string) error {
	const advice = "send the one that age-keygen or medfed prints, age1..."
	if _, err := age.ParseX25519Recipient(recipient); err != nil {
		return codes.Errorf("MF-RECIPIENT-INVALID", "the age recipient can't be read; %s", advice)
	}
	if recipient != strings.ToLower(recipient) {
		return codes.Errorf("MF-RECIPIENT-INVALID", "the age recipient is not in lower case; %s", advice)
	}
	public, err := ecdh.X25519().NewPublicKey(point(recipient))
	if err != nil {
		return codes.Errorf("MF-RECIPIENT-INVALID", "the age recipient can't be read; %s", advice)
	}
	probe := make([]byte, 32) // any private key finds a point of low order
	private, err := ecdh.X25519().NewPrivateKey(probe)
	if err != nil {
		return codes.Errorf("MF-INTERNAL", "the age recipient can't be checked; report this")
	}
	if _, err := private.ECDH(public); err != nil {
		return codes.Errorf("MF-RECIPIENT-INVALID", "nothing can be encrypted to the age recipient, a point of low order; %s", advice)
	}
	return nil
}

// point takes the 32 bytes from a recipient that age has found well formed:
// "age1", 52 characters of five bits each and six of checksum (BIP 173).
func point(recipient string) []byte {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var bytes []byte
	bits, held := uint(0), 0
	for _, c := range recipient[len("age1") : len(recipient)-6] {
		bits = bits<<5 | uint(strings.IndexRune(alphabet, c))
		held += 5
		if held >= 8 {
			held -= 8
			bytes = append(bytes, byte(bits>>held))
		}
	}
	return bytes
}
