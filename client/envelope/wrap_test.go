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

func TestADocumentOpensForItsRecipientsAlone(t *testing.T) {
	type document struct {
		Text string `json:"text"`
	}
	patient, custodian, stranger := newIdentity(t), newIdentity(t), newIdentity(t)
	sealed, err := envelope.SealDocument(document{"CANARY"}, patient.Recipient(), custodian.Recipient())
	if err != nil || strings.Contains(sealed, "CANARY") {
		t.Fatal(sealed, err)
	}
	for _, key := range []*envelope.Identity{patient, custodian} {
		if opened, err := envelope.OpenDocument[document](sealed, key); err != nil || opened.Text != "CANARY" {
			t.Error(opened, err)
		}
	}
	_, err = envelope.OpenDocument[document](sealed, stranger)
	wantCode(t, err, "MF-ENVELOPE-NOT-RECIPIENT")
	_, err = envelope.OpenDocument[struct{}](sealed, patient)
	wantCode(t, err, "MF-ENVELOPE-CORRUPT")
	if strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v shows what was sealed", err)
	}
	_, err = envelope.OpenDocument[document](sealed[:len(sealed)-8], patient)
	wantCode(t, err, "MF-ENVELOPE-CORRUPT")
	_, err = envelope.SealDocument(document{}, "age1none")
	wantCode(t, err, "MF-ENVELOPE-RECIPIENT")
	huge, err := envelope.SealDocument(document{strings.Repeat("x", 70_000)}, patient.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	_, err = envelope.OpenDocument[document](huge, patient)
	wantCode(t, err, "MF-ENVELOPE-CORRUPT")
}
