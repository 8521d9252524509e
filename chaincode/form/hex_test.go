package form_test

import (
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/form"
)

func TestIsHex32(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]bool{
		good: true, "": false, good[1:]: false, good + "0": false, "G" + good[1:]: false, "A" + good[1:]: false, "é" + good[2:]: false,
	} {
		if form.IsHex32(text) != want {
			t.Errorf("IsHex32(%q) is not %v", text, want)
		}
	}
}
