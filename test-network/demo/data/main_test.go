package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dataset/source"
)

// Without data the demo goes on with synthetic images, and says so in one line that
// tells how to get real ones; asked for by name, a set that can't be had is an error.
func TestWithoutData(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	from := source.Options{Cache: t.TempDir(), AllowDownload: true, Mirror: gone.URL}
	var out bytes.Buffer
	if err := find(t.Context(), &out, "", from, &download{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	notice := lines[len(lines)-1]
	if len(lines) != 2 || !strings.Contains(lines[0], "refused") || !strings.Contains(notice, "SYNTHETIC") || !strings.Contains(notice, "make demo MEDFED_DATA=") {
		t.Errorf("said %q", out.String())
	}
	from.AllowDownload = false // with, it would be tried again and again
	out.Reset()
	if err := find(t.Context(), &out, source.Preferred, from, &download{}); err == nil || !strings.HasPrefix(err.Error(), "MF-DATA-ABSENT") || out.Len() > 0 {
		t.Errorf("by name: %v, said %q", err, out.String())
	}
	if err := find(t.Context(), &out, source.Synthetic, from, &download{}); err != nil || !strings.Contains(out.String(), "SYNTHETIC") {
		t.Errorf("synthetic by name: %v, said %q", err, out.String())
	}
}

func TestWithData(t *testing.T) {
	folder := os.Getenv(source.FolderVariable)
	if folder == "" {
		t.Skipf("%s is not set", source.FolderVariable)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer s.Close()
	var out bytes.Buffer
	shown := &download{out: &out}
	from := source.Options{Cache: filepath.Join(t.TempDir(), "new"), AllowDownload: true, Mirror: s.URL, Progress: shown.progress}
	if err := find(t.Context(), &out, "", from, shown); err != nil {
		t.Fatal(err)
	}
	want := "downloading pneumoniamnist\n 25 % downloaded\n 50 % downloaded\n 75 % downloaded\n100 % downloaded\npneumoniamnist is on this machine\n"
	if out.String() != want {
		t.Errorf("said\n%swant\n%s", out.String(), want)
	}
}

func TestCause(t *testing.T) {
	bottom := errors.New("no such host")
	if got := cause(errors.Join(bottom)); got.Error() != "no such host" {
		t.Errorf("of several: %v", got)
	}
	if got := cause(&source.Unavailable{Err: bottom}); got != bottom {
		t.Errorf("of one: %v", got)
	}
}
