package network

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each node is asked a minute after the beginning and then every hour; one that can't keeps
// none of the others from it, and what it says is written down.
func TestGarbageIsCollectedOnEachNode(t *testing.T) {
	var asked []string
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = transport })
	http.DefaultTransport = roundTripper(func(r *http.Request) *http.Response {
		answer := httptest.NewRecorder()
		asked = append(asked, r.URL.Host+r.URL.Path)
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			answer.WriteHeader(http.StatusForbidden)
		case r.URL.Host == "stuck":
			fmt.Fprintln(answer, `{"Error":"a block stays"}`)
		default:
			fmt.Fprintln(answer, `{"Key":{"/":"bafk"}}`)
		}
		return answer.Result()
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		var log bytes.Buffer
		CollectGarbage(ctx, []GarbageNode{{"stuck", token}, {"lost", token + "s"}, {"well", token}}, &log)
		if want := strings.Repeat("stuck/api/v0/repo/gc well/api/v0/repo/gc ", 3); strings.Join(asked, " ")+" " != want {
			t.Errorf("asked %v", asked)
		}
		if said := log.String(); strings.Count(said, "\n") != 6 || !strings.Contains(said, "stuck: a block stays") || !strings.Contains(said, "lost: open ") {
			t.Errorf("said %q", said)
		}
	})
}

type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
