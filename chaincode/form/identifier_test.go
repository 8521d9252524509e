package form_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

func FuzzCheckIdentifier(f *testing.F) {
	for _, seed := range []string{"", "a", "\x00", "\U0010FFFF", "\xff", strings.Repeat("a", 300), "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		err := form.CheckIdentifier("the name", value)
		if err != nil {
			if codes.Of(err) == "" || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		if _, err := shim.CreateCompositeKey("x", []string{value}); err != nil || value == "" {
			t.Errorf("%q is taken: %v", value, err)
		}
	})
}
