package source

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// small is a set whose file is small, and what that file holds.
func small() (Info, []byte) {
	b := []byte("as good as any archive")
	sum := md5.Sum(b)
	return Info{Name: "small", MD5: hex.EncodeToString(sum[:]), URL: "https://example.invalid/small.npz"}, b
}

// put writes a file of that name into a new folder and returns the folder.
func put(t *testing.T, name string, b []byte) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), code+": ") {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestTable(t *testing.T) {
	if got := Names(); len(got) != 13 || !slices.IsSorted(got[:12]) || got[12] != Synthetic {
		t.Errorf("names %v", got)
	}
	for _, info := range sets {
		if info.Name == Synthetic {
			continue
		}
		if len(info.MD5) != 32 || !strings.Contains(info.URL, "/"+info.Name+".npz") || info.Size != 28 || info.Licence == "" {
			t.Errorf("%+v", info)
		}
	}
}

// The user's folder is looked at first, then the cache, then the server.
func TestBringLooksInOrder(t *testing.T) {
	info, b := small()
	has := put(t, "small.npz", b)
	asked := 0
	s := server(t, func(w http.ResponseWriter, r *http.Request) { asked++; w.Write(b) })
	for _, c := range []struct {
		name          string
		folder, cache string
		from          string // folder of the file
		asked         int
	}{
		{"folder", has, t.TempDir(), has, 0},
		{"cache", t.TempDir(), has, has, 0},
		{"server", t.TempDir(), "", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked = 0
			if c.cache == "" {
				c.cache = filepath.Join(t.TempDir(), "made when needed")
				c.from = c.cache
			}
			f, err := Bring(t.Context(), info, Options{Folder: c.folder, Cache: c.cache, AllowDownload: true, Mirror: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			sum := sha256.Sum256(b)
			if filepath.Dir(f.Name()) != c.from || f.SHA256 != hex.EncodeToString(sum[:]) || f.Size != int64(len(b)) || asked != c.asked {
				t.Errorf("%s of %d bytes, SHA-256 %s, %d requests", f.Name(), f.Size, f.SHA256, asked)
			}
		})
	}
}

func TestBringEndsWithItsContext(t *testing.T) {
	info, b := small()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Bring(ctx, info, Options{Folder: put(t, "small.npz", b), Cache: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Nothing named: the preferred set where it can be had, the synthetic one where it
// can't; a file that is there and is wrong is never passed over.
func TestChoose(t *testing.T) {
	portal := server(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>sign in")) })
	gone := server(t, nil)
	gone.Close()
	wrong := put(t, Preferred+".npz", []byte("PK"))
	noFolder := filepath.Join(put(t, "file", nil), "file")
	for _, c := range []struct {
		name, asked string
		opts        Options
		chosen, why string // the code of why
		code        string
	}{
		{"no network", "", Options{AllowDownload: true, Mirror: gone.URL}, Synthetic, "MF-DATA-DOWNLOAD", ""},
		{"no download allowed", "", Options{}, Synthetic, "MF-DATA-ABSENT", ""},
		{"a captive portal", "", Options{AllowDownload: true, Mirror: portal.URL}, Synthetic, "MF-DATA-CHECKSUM", ""},
		{"no cache can be made", "", Options{AllowDownload: true, Cache: noFolder, Mirror: gone.URL}, Synthetic, "MF-DATA-FOLDER", ""},
		{"a wrong file", "", Options{Folder: wrong}, "", "", "MF-DATA-CHECKSUM"},
		{"no folder", "", Options{Folder: noFolder}, "", "", "MF-DATA-FOLDER"},
		{"by name, no network", Preferred, Options{Mirror: gone.URL}, "", "", "MF-DATA-ABSENT"},
		{"synthetic by name", Synthetic, Options{}, Synthetic, "", ""},
		{"unknown", "cifar10", Options{}, "", "", "MF-DATA-UNKNOWN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.opts.Cache == "" {
				c.opts.Cache = t.TempDir()
			}
			chosen, why, err := Choose(t.Context(), c.asked, c.opts)
			if chosen != c.chosen || (err != nil) != (c.code != "") || (why != nil) != (c.why != "") {
				t.Fatalf("chose %q because of %v, error %v", chosen, why, err)
			}
			if err != nil {
				wantCode(t, err, c.code)
			}
			if why != nil {
				wantCode(t, why, c.why)
			}
		})
	}
}

// A wrong file that is moved away is in the way no more.
func TestAWrongFileIsMovedAway(t *testing.T) {
	folder := put(t, Preferred+".npz", []byte("PK"))
	_, _, err := Choose(t.Context(), "", Options{Folder: folder, Cache: t.TempDir()})
	wantCode(t, err, "MF-DATA-CHECKSUM")
	if !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
	if err := os.Rename(filepath.Join(folder, Preferred+".npz"), filepath.Join(t.TempDir(), "away")); err != nil {
		t.Fatal(err)
	}
	if chosen, _, err := Choose(t.Context(), "", Options{Folder: folder, Cache: t.TempDir()}); err != nil || chosen != Synthetic {
		t.Errorf("chose %q, %v", chosen, err)
	}
}

// The official file, where this machine has it, is what is chosen.
func TestChooseTakesTheOfficialFile(t *testing.T) {
	folder := os.Getenv(FolderVariable)
	if folder == "" {
		t.Skipf("%s is not set", FolderVariable)
	}
	chosen, why, err := Choose(t.Context(), "", Options{Folder: folder, Cache: t.TempDir()})
	if chosen != Preferred || why != nil || err != nil {
		t.Errorf("chose %q because of %v, error %v", chosen, why, err)
	}
}

// An interrupted search is no choice.
func TestChooseIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if chosen, _, err := Choose(ctx, "", Options{Cache: t.TempDir(), AllowDownload: true, Mirror: "http://127.0.0.1:0"}); err == nil {
		t.Errorf("chose %q", chosen)
	}
}

// A brief download has one attempt and a bound in all.
func TestBriefDownloadIsBounded(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	release := make(chan struct{})
	asked := 0
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		for { // a byte now and then, so that it is never idle
			select {
			case <-release:
				return
			case <-r.Context().Done():
				return
			case <-time.After(time.Millisecond):
				w.Write([]byte{0})
				w.(http.Flusher).Flush()
			}
		}
	})
	s.Start()
	defer s.Close()
	defer close(release)
	d, _, path := quick(t, s.URL)
	d.limit = 100 * time.Millisecond
	err := d.fetch(t.Context(), path)
	wantCode(t, err, "MF-DATA-DOWNLOAD")
	if err == nil || !strings.Contains(err.Error(), "took more than 100ms") || asked != 1 {
		t.Errorf("%d requests, %v", asked, err)
	}
	if d := newDownloader(Info{}, Options{Brief: true}); d.attempts != 1 || d.limit != time.Minute || d.idle != 10*time.Second {
		t.Errorf("a brief download has %+v", d)
	}
}
