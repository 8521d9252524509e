package backbone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

const width = 3

// counted is a backbone of images of so many values whose features are their sums,
// and which counts the images it has seen.
func counted(seen *int, values int) *Backbone {
	return &Backbone{Spec: model.Spec{Name: "sums"}, Digest: "d1", width: width, compute: func(_ context.Context, images []float32) ([]float32, error) {
		var out []float32
		for image := range slices.Chunk(images, values) {
			*seen++
			sum := float32(0)
			for _, v := range image {
				sum += v
			}
			out = append(out, sum, 2*sum, 3*sum)
		}
		return out, nil
	}}
}

// images are n images of four values; from shifts them all.
func images(n int, from float32) dataset.Split {
	s := dataset.Split{Labels: make([]int, n)}
	for i := range 4 * n {
		s.Values = append(s.Values, from+float32(i)/4)
	}
	return s
}

func open(t *testing.T, limit int64) *Cache {
	c, err := OpenCache(filepath.Join(t.TempDir(), "cache"), limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func features(t *testing.T, c *Cache, b *Backbone, s dataset.Split) []float32 {
	t.Helper()
	f, err := c.features(t.Context(), b, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// entries are the files of the cache.
func entries(t *testing.T, c *Cache) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(c.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestComputedOnce(t *testing.T) {
	c, seen := open(t, DefaultCacheLimit), 0
	b, s := counted(&seen, 4), images(20, 0)
	want, _ := b.compute(t.Context(), s.Values)
	seen = 0
	if got := features(t, c, b, s); !slices.Equal(got, want) || seen != 20 {
		t.Fatalf("got %v of %d images computed", got, seen)
	}
	other, err := OpenCache(c.folder, DefaultCacheLimit) // another process
	if err != nil {
		t.Fatal(err)
	}
	some := s.Select([]int{19, 3, 3, 7})
	if got := features(t, other, b, some); seen != 20 || !slices.Equal(got[:width], want[19*width:]) || !slices.Equal(got[3*width:], want[7*width:8*width]) {
		t.Errorf("got %v, %d images computed", got, seen)
	}
}

func TestEntriesAreFoundByContent(t *testing.T) {
	c, seen := open(t, DefaultCacheLimit), 0
	b, s := counted(&seen, 4), images(2, 0)
	features(t, c, b, s)
	for name, change := range map[string]func(*Backbone, *dataset.Split){
		"weights": func(b *Backbone, _ *dataset.Split) { b.Digest = "d2" },
		"name":    func(b *Backbone, _ *dataset.Split) { b.Spec.Name = "other" },
		"pixels":  func(_ *Backbone, s *dataset.Split) { *s = images(2, 100) },
		"size": func(b *Backbone, s *dataset.Split) { // the same values as half as many larger images
			*b, s.Labels = *counted(&seen, 8), s.Labels[:1]
		},
	} {
		b, s := *b, images(2, 0)
		change(&b, &s)
		seen = 0
		if features(t, c, &b, s); seen != s.Len() {
			t.Errorf("other %s: %d images of %d computed", name, seen, s.Len())
		}
	}
}

func TestDamagedEntriesAreComputedAgain(t *testing.T) {
	c, seen := open(t, DefaultCacheLimit), 0
	b, s := counted(&seen, 4), images(1, 0)
	want := features(t, c, b, s)
	path := entries(t, c)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[len("0123456789abcdef")*4+1] ^= 1
	for name, content := range map[string][]byte{"bit": flipped, "cut": whole[:len(whole)-1], "empty": {}, "long": append(slices.Clone(whole), 0)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		seen = 0
		if got := features(t, c, b, s); seen != 1 || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %d computed", name, got, seen)
		}
		if again, err := os.ReadFile(path); err != nil || !slices.Equal(again, whole) {
			t.Errorf("%s: the entry is not repaired: %v", name, err)
		}
	}
	// One entry in another's place.
	keys, err := keysOf(b, images(1, 9))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := c.path(keys[0])
	if err := os.MkdirAll(filepath.Dir(elsewhere), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(elsewhere, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	seen = 0
	if features(t, c, b, images(1, 9)); seen != 1 {
		t.Error("an entry is taken for another's")
	}
}

func TestWhatWasUsedLongestAgoGoes(t *testing.T) {
	size := int64(64 + 4*width + 32)
	c, seen := open(t, 3*size), 0
	b := counted(&seen, 4)
	features(t, c, b, images(3, 0))
	for i, path := range entries(t, c) { // long ago, so that no clock's grain matters
		used := time.Now().Add(-time.Duration(10-i) * 24 * time.Hour)
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
	}
	oldest := entries(t, c)[0]
	left := filepath.Join(filepath.Dir(oldest), temporaryPrefix+"x")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(left, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	features(t, c, b, images(1, 50))
	if all := entries(t, c); len(all) != 3 || slices.Contains(all, oldest) || slices.Contains(all, left) {
		t.Errorf("left are %q; %s was the oldest", all, oldest)
	}
}

func TestWhatIsComputedBeforeAnEndIsKept(t *testing.T) {
	c, seen := open(t, DefaultCacheLimit), 0
	b, s := counted(&seen, 4), images(2*group+1, 0)
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	_, err := c.features(ctx, b, s, func(done, total int) {
		if steps++; done == group {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || seen != group {
		t.Fatalf("got %v after %d images", err, seen)
	}
	seen = 0
	if features(t, c, b, s); seen != group+1 {
		t.Errorf("%d images computed after %d were kept", seen, group)
	}
}

func TestErrors(t *testing.T) {
	c, seen := open(t, DefaultCacheLimit), 0
	b := counted(&seen, 4)
	b.width = 5
	if _, err := c.features(t.Context(), b, images(1, 0), nil); err == nil || !strings.HasPrefix(err.Error(), "MF-FEATURES-BACKBONE: ") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	b.compute = func(context.Context, []float32) ([]float32, error) { return nil, broken }
	if _, err := c.features(t.Context(), b, images(1, 0), nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(filepath.Join(file, "cache"), 1); err == nil || !strings.HasPrefix(err.Error(), "MF-FEATURES-CACHE: ") {
		t.Errorf("got %v", err)
	}
}

// TestImagesOfAFolderThatLieInAFile have the features of those in memory, under the same
// entries, as they are and enlarged.
func TestImagesOfAFolderThatLieInAFile(t *testing.T) {
	folder := t.TempDir()
	for i := range 5 {
		m := image.NewGray(image.Rect(0, 0, 2, 2))
		m.Pix[i%4], m.Pix[(i+1)%4] = uint8(50*i), 90
		var content bytes.Buffer
		if err := png.Encode(&content, m); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, fmt.Sprint("class", i%2), fmt.Sprint(i, ".png"))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, seen := open(t, DefaultCacheLimit), 0
	b := counted(&seen, 4)
	b.Spec.Size, b.Spec.Channels = 2, 1
	var want []float32
	before := 0
	for _, memory := range []int64{1 << 20, 1} {
		before = seen
		f, err := dataset.LoadFolder(t.Context(), folder, dataset.FolderOptions{Size: 2, Channels: 1, InMemory: memory})
		if err != nil {
			t.Fatal(err)
		}
		train := f.Data.Train
		whole, err := b.Prepared(t.Context(), c, train, nil)
		if err != nil {
			t.Fatal(err)
		}
		enlarged, err := b.Features(t.Context(), c, train, 2, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := append(whole.Values, enlarged.Values...)
		if values, fits := enlarged.Fits(width); want != nil && !slices.Equal(got, want) || !fits || values != 5*width {
			t.Errorf("features %v, want %v; %d values fit: %t", got, want, values, fits)
		}
		want = got
	}
	if before == 0 || seen != before {
		t.Errorf("%d images went through the backbone at first, and then %d more", before, seen-before)
	}
}
