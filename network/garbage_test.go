package network

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each node is asked a minute after the beginning and then every hour; one that can't keeps
// none of the others from it, and what it says is written down.
func TestGarbageIsCollectedOnEachNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		var asked []string
		node := func(name string, answer error) GarbageNode {
			return GarbageNode{name, func(context.Context) error { asked = append(asked, name); return answer }}
		}
		var log bytes.Buffer
		CollectGarbage(ctx, []GarbageNode{node("stuck", errors.New("a block stays")), node("well", nil)}, &log)
		if want := strings.Repeat("stuck well ", 3); strings.Join(asked, " ")+" " != want {
			t.Errorf("asked %v", asked)
		}
		if said := log.String(); strings.Count(said, "\n") != 3 || !strings.Contains(said, "stuck: a block stays") {
			t.Errorf("said %q", said)
		}
	})
}
