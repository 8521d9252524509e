package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/medfed/medfed/chaincode/codes"
)

// What the plaintext of a wrap, one AGE-SECRET-KEY-1… line, and that of a document are
// bounded by, in bytes.
const (
	maxWrapped  = 256
	maxDocument = 64 << 10
)

// Wrap encrypts a key pair to others, so that they open what is sealed to it: an
// age file with the private half in it, in base64. The error is
// MF-ENVELOPE-RECIPIENT.
func Wrap(key *Identity, recipients ...string) (string, error) {
	return sealText([]byte(key.x25519.String()+"\n"), recipients)
}

// Unwrap opens what [Wrap] made. Errors are MF-ENVELOPE-NOT-RECIPIENT and
// MF-ENVELOPE-CORRUPT; none of them quotes what was wrapped.
func Unwrap(wrap string, identity *Identity) (*Identity, error) {
	content, err := openText(wrap, identity, maxWrapped)
	if err != nil {
		return nil, err
	}
	key, err := parseIdentity("the wrap", content)
	if err != nil {
		return nil, codes.Errorf("MF-ENVELOPE-CORRUPT", "what was wrapped is no age key; ask who wrapped it to do so again")
	}
	return key, nil
}

// SealDocument encrypts a document's JSON to others: an age file, in base64. The error
// is MF-ENVELOPE-RECIPIENT.
func SealDocument(document any, recipients ...string) (string, error) {
	content, err := json.Marshal(document)
	if err != nil {
		return "", codes.Errorf("MF-ENVELOPE-CORRUPT", "the document has no JSON form; report it")
	}
	return sealText(content, recipients)
}

// OpenDocument opens what [SealDocument] made. Errors are MF-ENVELOPE-NOT-RECIPIENT and
// MF-ENVELOPE-CORRUPT; none of them quotes the document.
func OpenDocument[T any](sealed string, identity *Identity) (document T, err error) {
	content, err := openText(sealed, identity, maxDocument)
	if err != nil {
		return document, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return document, codes.Errorf("MF-ENVELOPE-CORRUPT", "what was sealed is no document of this kind; ask who sealed it to do so again")
	}
	return document, nil
}

// sealText is the age file of some content, in base64.
func sealText(content []byte, recipients []string) (string, error) {
	sealed, err := SealReader(bytes.NewReader(content), recipients...)
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	file, err := io.ReadAll(sealed)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(file), nil
}

// openText opens what sealText made, and refuses more than limit bytes.
func openText(text string, identity *Identity, limit int64) ([]byte, error) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-CORRUPT", "the envelope is no base64: %w; fetch it again", err)
	}
	plain, err := Open(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(plain, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = codes.Errorf("MF-ENVELOPE-CORRUPT", "the envelope holds more than %d bytes; ask who sealed it to do so again", limit)
	}
	return content, err
}
