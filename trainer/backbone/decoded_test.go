package backbone

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/medfed/medfed/trainer/dataset"
)

// recordSize is that of an image of 2 by 2 grey pixels.
const recordSize = sha256.Size + 4*4 + sha256.Size

// shades lays grey images into a folder, of two classes.
func shades(t *testing.T, folder string, from, to int) string {
	t.Helper()
	for i := from; i < to; i++ {
		m := image.NewGray(image.Rect(0, 0, 2, 2))
		m.SetGray(i%2, 0, color.Gray{uint8(i)})
		var content bytes.Buffer
		if err := png.Encode(&content, m); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, fmt.Sprint("class", i%2), fmt.Sprintf("%03d.png", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// counting counts the images that are put: those that were decoded.
type counting struct {
	dataset.Decoded
	put *atomic.Int64
}

func (c counting) Put(file [sha256.Size]byte, values []float32) {
	c.put.Add(1)
	c.Decoded.Put(file, values)
}

// load reads a folder as a process of its own does, and tells how many images it decoded.
func load(t *testing.T, c *Cache, folder string, in dataset.Input) (values []float32, decoded int64) {
	t.Helper()
	other, err := OpenCache(c.folder, c.limit)
	if err != nil {
		t.Fatal(err)
	}
	var put atomic.Int64
	f, err := dataset.LoadFolder(t.Context(), folder, dataset.FolderOptions{Size: 2, Channels: 1, Input: in, Decoded: func(way string, length int) dataset.Decoded {
		return counting{other.Decoded(way, length), &put}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f.Data.Train.Values, put.Load()
}

// packs are the files of decoded images, and their bytes.
func packs(t *testing.T, c *Cache) (paths []string, size int64) {
	t.Helper()
	for _, path := range entries(t, c) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if relative, err := filepath.Rel(c.folder, path); err == nil && relative[:len("decoded")] == "decoded" {
			paths, size = append(paths, path), size+info.Size()
		}
	}
	return paths, size
}

func TestImagesAreDecodedOnce(t *testing.T) {
	c, folder := open(t, DefaultCacheLimit), shades(t, t.TempDir(), 0, 20)
	want, decoded := load(t, c, folder, dataset.Input{})
	if decoded != 20 {
		t.Fatalf("%d images of 20 are decoded", decoded)
	}
	if got, decoded := load(t, c, folder, dataset.Input{}); decoded != 0 || !slices.Equal(got, want) {
		t.Errorf("a second time %d images are decoded, to %v, want %v", decoded, got, want)
	}
	shades(t, folder, 20, 21)
	if got, decoded := load(t, c, folder, dataset.Input{}); decoded != 1 || len(got) != len(want)+4 {
		t.Errorf("with one more %d images are decoded", decoded)
	}
	if _, decoded := load(t, c, folder, dataset.Input{Inverted: true}); decoded != 21 {
		t.Errorf("in another way %d images of 21 are decoded", decoded)
	}
	for i := range 2 * mostPacks {
		shades(t, folder, 21+i, 22+i)
		if _, decoded := load(t, c, folder, dataset.Input{}); decoded != 1 {
			t.Fatalf("with one more %d images are decoded", decoded)
		}
	}
	if paths, size := packs(t, c); len(paths) > mostPacks+1 || size != (21+21+2*mostPacks)*recordSize {
		t.Errorf("%d packs of %d bytes", len(paths), size)
	}
}

func TestDamagedImagesAreDecodedAgain(t *testing.T) {
	c, folder := open(t, DefaultCacheLimit), shades(t, t.TempDir(), 0, 5)
	want, _ := load(t, c, folder, dataset.Input{})
	if _, decoded := load(t, c, folder, dataset.Input{Inverted: true}); decoded != 5 {
		t.Fatal("another way is none")
	}
	paths, _ := packs(t, c)
	var contents [2][]byte // of the first way and the second, or the other way round
	for i, path := range paths {
		var err error
		if contents[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for i, path := range paths {
		whole, other := contents[i], contents[1-i]
		flipped := slices.Clone(whole)
		flipped[2*recordSize+sha256.Size+3] ^= 1
		for name, damage := range map[string]struct {
			content []byte
			decoded int64
		}{
			"bit": {flipped, 1}, "cut": {whole[:len(whole)-1], 1}, "empty": {nil, 5}, "zeros": {make([]byte, len(whole)), 5}, "long": {append(slices.Clone(whole), 0), 0}, "of another way": {other, 5},
		} {
			dir := filepath.Dir(path)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage.content, 0o600); err != nil {
				t.Fatal(err)
			}
			total := int64(0)
			for _, in := range []dataset.Input{{}, {Inverted: true}} {
				got, decoded := load(t, c, folder, in)
				if total += decoded; !in.Inverted && !slices.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			}
			if total != damage.decoded {
				t.Errorf("%s: %d images are decoded, want %d", name, total, damage.decoded)
			}
			if _, decoded := load(t, c, folder, dataset.Input{}); decoded != 0 {
				t.Errorf("%s: %d images are decoded once more", name, decoded)
			}
		}
	}
}

// TestImagesTakeHalfOfTheCache: what has room is kept and stays; images that nobody reads any
// more go for it, and features do not.
func TestImagesTakeHalfOfTheCache(t *testing.T) {
	c := open(t, 2*(3*recordSize+1))
	seen := 0
	features(t, c, counted(&seen, 4), images(1, 0))
	large := shades(t, t.TempDir(), 0, 5)
	want, _ := load(t, c, large, dataset.Input{})
	for range 3 {
		if got, decoded := load(t, c, large, dataset.Input{}); decoded != 2 || !slices.Equal(got, want) {
			t.Errorf("%d images are decoded, want the 2 that have no room", decoded)
		}
	}
	next := shades(t, t.TempDir(), 10, 12)
	var all []int64
	for range 3 {
		_, decoded := load(t, c, next, dataset.Input{})
		all = append(all, decoded)
	}
	if !slices.Equal(all, []int64{2, 2, 0}) { // no room, room, kept
		t.Errorf("images decoded after others filled the cache: %v", all)
	}
	if _, size := packs(t, c); size > 3*recordSize {
		t.Errorf("decoded images take %d bytes", size)
	}
	if features(t, c, counted(&seen, 4), images(1, 0)); seen != 1 {
		t.Error("the features have gone")
	}
}

// TestImagesThatWereUsedLongestAgoGo, as features do, with what ended processes left.
func TestImagesThatWereUsedLongestAgoGo(t *testing.T) {
	c, folder := open(t, 6*recordSize), shades(t, t.TempDir(), 0, 3)
	ways := []dataset.Input{{}, {Inverted: true}, {Fit: dataset.FitPad}}
	age := func(path string, hours time.Duration) {
		used := time.Now().Add(-hours * time.Hour)
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
	}
	load(t, c, folder, ways[0])
	first, _ := packs(t, c)
	load(t, c, folder, ways[1])
	both, _ := packs(t, c)
	for _, path := range both {
		age(path, 10)
	}
	age(first[0], 20)
	left := filepath.Join(filepath.Dir(first[0]), temporaryPrefix+"x")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	age(left, 2)
	for i, want := range []int64{0, 3, 0} { // the first is used, and the second goes for the third
		if _, decoded := load(t, c, folder, ways[[]int{0, 2, 0}[i]]); decoded != want {
			t.Errorf("%d images are decoded, want %d", decoded, want)
		}
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what an ended process left is there: %v", err)
	}
	if _, decoded := load(t, c, folder, ways[1]); decoded != 3 {
		t.Errorf("%d images of the way that was used longest ago are decoded", decoded)
	}
}

// TestTwoProcessesDecodeAtOnce into one cache.
func TestTwoProcessesDecodeAtOnce(t *testing.T) {
	c, folder := open(t, DefaultCacheLimit), shades(t, t.TempDir(), 0, 30)
	want, _ := load(t, open(t, DefaultCacheLimit), folder, dataset.Input{})
	for round := range mostPacks {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			for _, n := range []string{"one", "other"} {
				t.Run(n, func(t *testing.T) {
					t.Parallel()
					if got, _ := load(t, c, folder, dataset.Input{}); !slices.Equal(got, want) {
						t.Errorf("got %v, want %v", got, want)
					}
				})
			}
		})
		if _, decoded := load(t, c, folder, dataset.Input{}); decoded != 0 {
			t.Errorf("%d images are decoded again", decoded)
		}
		if paths, _ := packs(t, c); len(paths) > 1 { // damaged, so that the next two put all together
			if err := os.Truncate(paths[0], recordSize); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPacksThatAreAlikeBecomeOne: nodes that begin at once keep the same, and the first that
// ends later puts it together.
func TestPacksThatAreAlikeBecomeOne(t *testing.T) {
	c, file, want := open(t, DefaultCacheLimit), sha256.Sum256(nil), []float32{1, 2, 3, 4}
	var nodes [3]dataset.Decoded
	for i := range nodes {
		nodes[i] = c.Decoded("way", 4)
		nodes[i].Put(file, want)
	}
	for _, n := range nodes {
		n.Close()
	}
	if paths, _ := packs(t, c); len(paths) != len(nodes) {
		t.Fatalf("%d packs", len(paths))
	}
	for i := range nodes {
		nodes[i] = c.Decoded("way", 4)
	}
	for _, n := range nodes {
		if got, ok := n.Get(file); !ok || !slices.Equal(got, want) {
			t.Errorf("got %v, %t", got, ok)
		}
		n.Close()
	}
	if paths, size := packs(t, c); len(paths) != 1 || size != recordSize {
		t.Errorf("%d packs of %d bytes", len(paths), size)
	}
}

// TestImagesThatCannotBeKept are decoded again.
func TestImagesThatCannotBeKept(t *testing.T) {
	c, folder := open(t, DefaultCacheLimit), shades(t, t.TempDir(), 0, 3)
	if err := os.WriteFile(filepath.Join(c.folder, "decoded"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, decoded := load(t, c, folder, dataset.Input{}); decoded != 3 || len(got) != 3*4 {
			t.Errorf("%d images of 3 are decoded", decoded)
		}
	}
}
