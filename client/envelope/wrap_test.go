package envelope_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/medfed/medfed/client/envelope"
)

func TestAWrappedKeyOpensWhatIsSealedToIt(t *testing.T) {
	key, patient, stranger := newIdentity(t), newIdentity(t), newIdentity(t)
	wrap, err := envelope.Wrap(key, patient.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	unwrapped, err := envelope.Unwrap(wrap, patient)
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, []byte("x-ray"), key.Recipient())
	if got, err := open(sealed, unwrapped); err != nil || string(got) != "x-ray" {
		t.Fatalf("%q, %v", got, err)
	}
	_, err = envelope.Unwrap(wrap, stranger)
	wantCode(t, err, "MF-ENVELOPE-NOT-RECIPIENT")
}

func TestBadWraps(t *testing.T) {
	patient := newIdentity(t)
	_, err := envelope.Wrap(newIdentity(t), "age1nobody")
	wantCode(t, err, "MF-ENVELOPE-RECIPIENT")
	secret := "AGE-SECRET-KEY-1 CANARY"
	for name, wrap := range map[string]string{
		"no base64":   "###",
		"no age file": base64.StdEncoding.EncodeToString([]byte("plain")),
		"no key":      base64.StdEncoding.EncodeToString(seal(t, []byte(secret), patient.Recipient())),
		"two keys":    base64.StdEncoding.EncodeToString(seal(t, []byte(strings.Repeat("x", 1000)), patient.Recipient())),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := envelope.Unwrap(wrap, patient)
			wantCode(t, err, "MF-ENVELOPE-CORRUPT")
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%v shows what was wrapped", err)
			}
		})
	}
}
