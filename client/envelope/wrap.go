package envelope

import (
	"bytes"
	"encoding/base64"
	"github.com/medfed/medfed/chaincode/codes"
	"io"
	"strings"
)

// maxWrapped bounds the plaintext of a wrap: one AGE-SECRET-KEY-1… line.
const maxWrapped = 256

// Wrap encrypts a key pair to others, so that they open what is sealed to it: an
// age file with the private half in it, in base64. The error is
// MF-ENVELOPE-RECIPIENT.
func Wrap(key *Identity, recipients ...string) (string, error) {
	sealed, err := SealReader(strings.NewReader(key.x25519.String()+"\n"), recipients...)
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	content, err := io.ReadAll(sealed)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(content), nil
}

// Unwrap opens what [Wrap] made. Errors are MF-ENVELOPE-NOT-RECIPIENT and
// MF-ENVELOPE-CORRUPT; none of them quotes what was wrapped.
func Unwrap(wrap string, identity *Identity) (*Identity, error) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(wrap)
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-CORRUPT", "the wrapped key is no base64: %w; fetch it again", err)
	}
	plain, err := Open(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(plain, maxWrapped))
	if err != nil {
		return nil, err
	}
	key, err := parseIdentity("the wrap", content)
	if err != nil {
		return nil, codes.Errorf("MF-ENVELOPE-CORRUPT", "what was wrapped is no age key; ask who wrapped it to do so again")
	}
	return key, nil
}
