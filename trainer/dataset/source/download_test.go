package source

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server answers with handler; it is the whole internet of a test.
func server(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// quick is a downloader of a small file that does not wait between attempts, what
// the file must hold, and where it goes.
func quick(t *testing.T, url string) (downloader, []byte, string) {
	info, b := small()
	d := downloader{info: info, url: url, attempts: 3, pause: time.Nanosecond, idle: time.Minute}
	return d, b, filepath.Join(t.TempDir(), "small.npz")
}

// alone reports whether the folder of path holds nothing but it, or nothing.
func alone(t *testing.T, path string, exists bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if exists && (len(entries) != 1 || entries[0].Name() != filepath.Base(path)) || !exists && len(entries) != 0 {
		t.Errorf("the cache holds %v", entries)
	}
}

func TestDownload(t *testing.T) {
	var b []byte
	s := server(t, func(w http.ResponseWriter, r *http.Request) { w.Write(b) })
	d, file, path := quick(t, s.URL)
	b = file
	var heard [][2]int64
	d.progress = func(done, total int64) { heard = append(heard, [2]int64{done, total}) }
	if err := d.fetch(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	f, err := Open(t.Context(), d.info, path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	n := int64(len(b))
	if heard[0] != [2]int64{0, n} || heard[len(heard)-1] != [2]int64{n, n} {
		t.Errorf("progress was %v", heard)
	}
	alone(t, path, true)
}

func TestDownloadTriesAgain(t *testing.T) {
	var asked atomic.Int32
	var b []byte
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2: // promise more than is sent
			w.Header().Set("Content-Length", "100000")
			w.Write(b[:10])
		default:
			w.Write(b)
		}
	})
	d, file, path := quick(t, s.URL)
	b = file
	if err := d.fetch(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
	alone(t, path, true)
}

func TestDownloadGivesUp(t *testing.T) {
	for _, c := range []struct {
		name, code string
		asked      int32
		handler    http.HandlerFunc
	}{
		{"server error", "MF-DATA-DOWNLOAD", 3, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }},
		{"not found is final", "MF-DATA-DOWNLOAD", 1, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }},
		{"other content", "MF-DATA-CHECKSUM", 3, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("a captive portal")) }},
		{"torn connection", "MF-DATA-DOWNLOAD", 3, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			s := server(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.handler(w, r) })
			d, _, path := quick(t, s.URL)
			wantCode(t, d.fetch(t.Context(), path), c.code)
			if asked.Load() != c.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), c.asked)
			}
			alone(t, path, false)
		})
	}
}

func TestDownloadWithoutNetworkSaysTheWaysOut(t *testing.T) {
	s := server(t, nil)
	s.Close() // nobody listens there any more
	d, _, path := quick(t, s.URL)
	err := d.fetch(t.Context(), path)
	wantCode(t, err, "MF-DATA-DOWNLOAD")
	for _, way := range []string{"MEDFED_DATA", "--data synthetic"} {
		if err == nil || !strings.Contains(err.Error(), way) {
			t.Errorf("%v does not tell of %s", err, way)
		}
	}
}

func TestSilentServerIsLeft(t *testing.T) {
	release := make(chan struct{})
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(make([]byte, 10))
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	d, _, path := quick(t, s.URL)
	d.attempts, d.idle = 1, 50*time.Millisecond
	err := d.fetch(t.Context(), path)
	wantCode(t, err, "MF-DATA-DOWNLOAD")
	if err == nil || !strings.Contains(err.Error(), "sent nothing for") {
		t.Errorf("the reason is lost: %v", err)
	}
	alone(t, path, false)
}

func TestDownloadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	d, _, path := quick(t, s.URL)
	d.pause = time.Hour
	if err := d.fetch(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	alone(t, path, false)
}

func TestUnwritableCache(t *testing.T) {
	d, _, path := quick(t, "http://127.0.0.1:0")
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.fetch(t.Context(), path), "MF-DATA-FOLDER")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := download(t.Context(), d.info, Options{Cache: filepath.Join(file, "cache")})
	wantCode(t, err, "MF-DATA-FOLDER")
}
