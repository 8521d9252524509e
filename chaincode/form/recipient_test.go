package form_test

import (
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// recipient is of a key that lies nowhere.
const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

func TestRecipients(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := form.CheckRecipient(identity.Recipient().String()); err != nil {
		t.Error(err)
	}
	for what, text := range map[string]string{
		"empty":                        "",
		"hello":                        "hello",
		"capitals":                     strings.ToUpper(recipient),
		"mixed case":                   "A" + recipient[1:],
		"cut":                          recipient[:61],
		"checksum":                     recipient[:61] + "q",
		"an identity":                  identity.String(),
		"point zero":                   "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
		"point one":                    "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
		"point order eight":            "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhqqqzyt4v9",
		"point order eight, the other": "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz9ts6wm9s8",
		"point p less one":             "age1anlllllllllllllllllllllllllllllllllllllllllllllllals4n2t7m",
		"point p":                      "age1ahlllllllllllllllllllllllllllllllllllllllllllllllalsn46ayy",
		"point p and one":              "age1amlllllllllllllllllllllllllllllllllllllllllllllllalselrwrv",
	} {
		if got := codes.Of(form.CheckRecipient(text)); got != "MF-RECIPIENT-INVALID" {
			t.Errorf("%s: %q", what, got)
		}
		if _, err := age.ParseX25519Recipient(text); strings.HasPrefix(what, "point ") && err != nil {
			t.Errorf("%s is refused for its form: %v", what, err)
		}
	}
}
