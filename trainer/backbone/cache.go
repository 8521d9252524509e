package backbone

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
)

// DefaultCacheLimit is room, in bytes, for the features of 100 000 images by ResNet50.
const DefaultCacheLimit = 1 << 30

// DefaultCacheFolder is medfed/features in the user's cache folder. The error is
// MF-FEATURES-CACHE.
func DefaultCacheFolder() (string, error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", unusable(err)
	}
	return filepath.Join(folder, "medfed", "features"), nil
}

// Cache is a folder of features, so that each is computed once, and of decoded images.
//
// An entry is found by its content: the digest of the image as it goes into the
// backbone, decoded, resized and normalised, or of its file and all that says how it is
// read, and of the backbone's name and weights. Another image size, normalisation or weight file is another entry, and
// nothing has to be invalidated. An entry carries its own checksum; a damaged one is
// computed again. Entries are written whole or not at all, so that several processes
// may use one cache. What was used longest ago goes when the cache is full. Images for
// models without a backbone lie beside the features: [Cache.Decoded].
type Cache struct {
	folder string
	limit  int64 // bytes
}

// OpenCache uses a folder, made where it is not there, for at most limit bytes of
// features. The error is MF-FEATURES-CACHE.
func OpenCache(folder string, limit int64) (*Cache, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, unusable(err)
	}
	return &Cache{folder, limit}, nil
}

func unusable(err error) error {
	return codes.Wrapf("MF-FEATURES-CACHE", "the cache of features can't be used: %w; name a folder that can be written and has room", err)
}

// group is how many images are computed before they are kept: what an interrupted
// run loses.
const group = 8

// features gives the features [images][b.width] of the images, from the cache where
// they are there, else from the backbone. progress, if not nil, hears how many
// images of how many are there. Errors: MF-FEATURES-CACHE,
// MF-FEATURES-BACKBONE, or that of the backbone.
func (c *Cache) features(ctx context.Context, b *Backbone, images dataset.Split, progress func(done, total int)) ([]float32, error) {
	keys, err := keysOf(b, images)
	if err != nil {
		return nil, err
	}
	if b.prepare != nil && !c.hasAll(keys) { // before there is anything beside it in memory
		if err := b.prepare(); err != nil {
			return nil, err
		}
	}
	all := make([]float32, images.Len()*b.width)
	var absent, again []int // again are those that are the same as one of absent
	first := map[string]int{}
	for i := range keys {
		if _, met := first[keys[i]]; met {
			again = append(again, i)
		} else if !c.read(keys[i], all[i*b.width:(i+1)*b.width]) {
			absent, first[keys[i]] = append(absent, i), i
		}
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	done := len(keys) - len(absent) - len(again)
	progress(done, len(keys))
	for some := range slices.Chunk(absent, group) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("the backbone stopped after %d of %d images: %w", done, len(keys), err)
		}
		if err := c.compute(ctx, b, images, some, keys, all); err != nil {
			return nil, err
		}
		done += len(some)
		progress(done, len(keys))
	}
	if len(absent) == 0 {
		return all, nil
	}
	for _, i := range again {
		copy(all[i*b.width:(i+1)*b.width], all[first[keys[i]]*b.width:])
	}
	progress(len(keys), len(keys))
	return all, c.trim()
}

// hasAll reports whether there are entries for all keys.
func (c *Cache) hasAll(keys []string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool {
		_, err := os.Stat(c.path(key))
		return err != nil
	})
}

// compute computes and keeps the features of some images.
func (c *Cache) compute(ctx context.Context, b *Backbone, images dataset.Split, some []int, keys []string, all []float32) error {
	var values []float32
	var err error
	if images.Unread != nil {
		values, err = images.Unread.Read(ctx, some)
	} else {
		err = images.View(some).Each(func(image []float32) { values = append(values, image...) })
	}
	if err != nil {
		return err
	}
	computed, err := b.compute(ctx, values)
	if err != nil {
		return err
	}
	if len(computed) != len(some)*b.width {
		return codes.Errorf("MF-FEATURES-BACKBONE", "%s gives %d features of %d images, not %d each; report it", b.Spec.Name, len(computed), len(some), b.width)
	}
	for j, i := range some {
		features := computed[j*b.width : (j+1)*b.width]
		copy(all[i*b.width:], features)
		if err := c.write(keys[i], features); err != nil {
			return unusable(err)
		}
	}
	return nil
}

// keysOf names the entry of each image: by what goes into the backbone, or by its file and
// all that says how it is read.
func keysOf(b *Backbone, images dataset.Split) ([]string, error) {
	keys := make([]string, 0, images.Len())
	if images.Unread != nil {
		for i := range images.Len() {
			h := sha256.New()
			fmt.Fprintf(h, "medfed/features/1/file\n%q\n%q\n%d\n%s\n", b.Spec.Name, b.Digest, b.width, images.Unread.Digest(i))
			keys = append(keys, hex.EncodeToString(h.Sum(nil)))
		}
		return keys, nil
	}
	var buffer []byte
	err := images.Each(func(image []float32) {
		h := sha256.New()
		fmt.Fprintf(h, "medfed/features/1\n%q\n%q\n%d\n%d\n", b.Spec.Name, b.Digest, b.width, len(image))
		buffer = buffer[:0]
		for _, v := range image {
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		h.Write(buffer)
		keys = append(keys, hex.EncodeToString(h.Sum(nil)))
	})
	return keys, err
}

// path is where an entry lies: in one of 256 folders, as git has it.
func (c *Cache) path(key string) string { return filepath.Join(c.folder, key[:2], key[2:]) }

// An entry is its key, the features as little-endian float32 values, and the
// SHA-256 of both.
func encode(key string, features []float32) []byte {
	b := []byte(key)
	for _, v := range features {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// read fills in the features of an entry, if it is there and whole.
func (c *Cache) read(key string, features []float32) bool {
	path := c.path(key)
	info, err := os.Stat(path)
	if err != nil || info.Size() != int64(len(key)+4*len(features)+sha256.Size) {
		return false
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) != int(info.Size()) || !bytes.HasPrefix(b, []byte(key)) {
		return false
	}
	content, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if found := sha256.Sum256(content); !bytes.Equal(found[:], sum) {
		return false
	}
	for i := range features {
		features[i] = math.Float32frombits(binary.LittleEndian.Uint32(content[len(key)+4*i:]))
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // used now; a cache that can only be read does without
	return true
}

// write replaces an entry in one step.
func (c *Cache) write(key string, features []float32) error {
	path := c.path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, encode(key, features), 0o600, renameio.WithTempDir(filepath.Dir(path)))
}

// temporaryPrefix begins the names of entries being written; one that is an hour
// old is left from a process that ended.
const temporaryPrefix = "."

// trim removes what was used longest ago until the cache keeps its limit, and what
// ended processes have left.
func (c *Cache) trim() error {
	type entry struct {
		path string
		size int64
		used time.Time
	}
	var entries []entry
	total := int64(0)
	err := filepath.WalkDir(c.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		used := info.ModTime()
		if strings.HasPrefix(d.Name(), temporaryPrefix) {
			if time.Since(used) < time.Hour {
				return nil // being written
			}
			used = time.Time{}
		}
		entries = append(entries, entry{path, info.Size(), used})
		total += info.Size()
		return nil
	})
	if err != nil {
		return unusable(err)
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	for _, e := range entries {
		if total <= c.limit && !e.used.IsZero() {
			break
		}
		if err := os.Remove(e.path); ignoreGone(err) != nil {
			return unusable(err)
		}
		total -= e.size
	}
	return nil
}

// ignoreGone passes over what another process has removed.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
