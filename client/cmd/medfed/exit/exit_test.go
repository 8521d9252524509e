package exit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

func TestACodeSelectsItsStatus(t *testing.T) {
	for text, want := range map[string]int{
		"something broke":                        Internal,
		"MF-USAGE: x":                            Usage,
		"MF-TERMS-FAULTS: 3 masters":             Refused,
		"MF-TASK-EXISTS: x":                      Refused,
		"MF-TASK-UNKNOWN: x":                     NotFound,
		"MF-TASK-DENIED: x":                      Denied,
		"MF-MODEL-DIGEST: x":                     Refused,
		"MF-MODEL-NAME: x":                       Data,
		"MF-IPFS-UNREACHABLE: x":                 Unreachable,
		"MF-IPFS-CORRUPT: x":                     Corrupt,
		"MF-NETWORK-CONSORTIUM: x":               Setup,
		"MF-NETWORK-PORT: x":                     Network,
		"rpc error: desc = MF-ROLE-DENIED: no":   Denied,
		"MF-NEVER-HEARD-OF: x":                   Internal,
		"MF-USAGES: a longer word is another":    Internal,
		"MF-ROUND-NOT-MASTER: longest wins":      Denied,
		"MF-LEDGER-CORRUPT: longest wins":        Corrupt,
		"MF-LEDGER-READ: falls to the short one": Internal,
	} {
		err := errors.New(text)
		if coded := codes.Parse(text); coded != nil {
			err = fmt.Errorf("rpc error: %w", coded)
		}
		if got := Of(err); got != want {
			t.Errorf("%q exits %d, want %d", text, got, want)
		}
	}
	if Of(nil) != OK {
		t.Error("no error does not exit 0")
	}
	if got := Of(fmt.Errorf("waiting: %w", context.Canceled)); got != Interrupted {
		t.Errorf("an interrupt exits %d", got)
	}
}

func TestTheTableIsAscendingAndNamesEveryPrefixOnce(t *testing.T) {
	seen := map[string]int{}
	last := -1
	for _, s := range Table() {
		if s.Exit <= last {
			t.Errorf("status %d follows %d", s.Exit, last)
		}
		last = s.Exit
		for _, prefix := range s.Prefixes {
			if before, ok := seen[prefix]; ok {
				t.Errorf("%s leads to %d and %d", prefix, before, s.Exit)
			}
			seen[prefix] = s.Exit
			if codes.Parse(prefix).Code != codes.Code(prefix) {
				t.Errorf("%s is no code", prefix)
			}
		}
	}
}

func TestMarkdownHoldsEveryStatus(t *testing.T) {
	text := Markdown()
	for _, s := range Table() {
		if !strings.Contains(text, fmt.Sprintf("| %d | %s |", s.Exit, s.Meaning)) {
			t.Errorf("%d is missing in\n%s", s.Exit, text)
		}
	}
}
