package backbone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/medfed/medfed/trainer/dataset"
)

// decoded is what a cache keeps of images that are decoded in one way: records of one
// length in packs. Each run that decodes something writes a pack, in one step when it is
// done and unsynced: a small image is decoded in less time than a file of its own takes, and
// what a loss of power cuts off fails its checksum. All packs together take at most half of
// the cache's limit, and leave the other half to the features, which cost more.
type decoded struct {
	cache  *Cache
	way    string // digest
	folder string
	length int   // values of an image
	room   int64 // bytes that may be written

	mutex   sync.Mutex
	packs   []*pack
	records map[[sha256.Size]byte]place // by the digest of the file
	written *pack                       // by this run; nil before the first
	full    bool                        // an image found no room
	repack  bool                        // the packs are many, alike or damaged
	buffers sync.Pool
}

// pack is a file of records.
type pack struct {
	file *os.File
	size int64
	used bool // in this run
}

// place is where a record begins.
type place struct {
	pack *pack
	at   int64
}

// mostPacks is how many packs are put together to one.
const mostPacks = 16

// Decoded gives the images that are decoded in one way, of that many values each; it is for
// [dataset.FolderOptions]. What can't be kept is decoded again.
func (c *Cache) Decoded(way string, length int) dataset.Decoded {
	sum := sha256.Sum256(fmt.Appendf(nil, "medfed/decoded/1\n%d\n%s\n", length, way))
	d := &decoded{cache: c, way: string(sum[:]), length: length, room: c.limit / 2, records: map[[sha256.Size]byte]place{}}
	d.folder = filepath.Join(c.folder, "decoded", hex.EncodeToString(sum[:]))
	d.buffers.New = func() any { return new(make([]byte, d.record())) }
	entries, _ := os.ReadDir(d.folder)
	listed := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporaryPrefix) {
			continue
		}
		if file, err := os.Open(filepath.Join(d.folder, e.Name())); err == nil {
			listed += d.list(file)
		}
	}
	d.repack = len(d.packs) >= mostPacks || listed > 2*len(d.records) // nodes that began at once kept the same
	return d
}

// A record is the digest of a file, the values of its image as little-endian float32 values,
// and the SHA-256 of the way and both.
func (d *decoded) record() int64 { return int64(sha256.Size + 4*d.length + sha256.Size) }

// list takes in the records of a pack, and counts them.
func (d *decoded) list(file *os.File) int {
	p := &pack{file: file}
	d.packs = append(d.packs, p)
	var digest [sha256.Size]byte
	for ; ; p.size += d.record() {
		if _, err := file.ReadAt(digest[:], p.size); err != nil {
			break
		}
		d.records[digest] = place{p, p.size}
	}
	d.room -= p.size
	return int(p.size / d.record())
}

// sum is the checksum of a record.
func (d *decoded) sum(record []byte) []byte {
	h := sha256.New()
	io.WriteString(h, d.way)
	h.Write(record[:len(record)-sha256.Size])
	return h.Sum(nil)
}

// Get implements [dataset.Decoded].
func (d *decoded) Get(digest [sha256.Size]byte) (values []float32, ok bool) {
	d.mutex.Lock()
	found, ok := d.records[digest]
	d.mutex.Unlock()
	if !ok {
		return nil, false
	}
	buffer := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buffer)
	if !d.take(digest, found, *buffer) {
		return nil, false
	}
	values = make([]float32, d.length)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32((*buffer)[sha256.Size+4*i:]))
	}
	return values, true
}

// take reads a record that is wanted, and forgets a damaged one.
func (d *decoded) take(digest [sha256.Size]byte, from place, record []byte) bool {
	whole := d.read(from, record)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if whole {
		from.pack.used = true
	} else if d.records[digest] == from {
		delete(d.records, digest)
		d.repack = true
	}
	return whole
}

// read reads a record and reports whether it is whole.
func (d *decoded) read(from place, record []byte) bool {
	_, err := from.pack.file.ReadAt(record, from.at)
	return err == nil && bytes.HasSuffix(record, d.sum(record))
}

// Put implements [dataset.Decoded].
func (d *decoded) Put(digest [sha256.Size]byte, values []float32) {
	d.mutex.Lock()
	room := d.hasRoom()
	d.mutex.Unlock()
	if !room {
		return
	}
	buffer := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buffer)
	record := append((*buffer)[:0], digest[:]...)
	for _, v := range values {
		record = binary.LittleEndian.AppendUint32(record, math.Float32bits(v))
	}
	copy((*buffer)[len(record):], d.sum(*buffer))
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.hasRoom() { // still
		d.append(digest, *buffer)
	}
}

// hasRoom reports whether there is room for one more record. The mutex is held.
func (d *decoded) hasRoom() bool {
	d.full = d.full || d.room < d.record()
	return !d.full
}

// append writes a record that is not kept, and reports whether it is now.
func (d *decoded) append(digest [sha256.Size]byte, record []byte) bool {
	if _, ok := d.records[digest]; ok {
		return true
	}
	if d.written == nil && d.begin() != nil {
		d.room = 0
		return false
	}
	if _, err := d.written.file.WriteAt(record, d.written.size); err != nil {
		d.room = 0
		return false
	}
	d.records[digest] = place{d.written, d.written.size}
	d.written.size += d.record()
	d.room -= d.record()
	return true
}

// begin makes the pack of this run.
func (d *decoded) begin() error {
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(d.folder, temporaryPrefix)
	if err == nil {
		d.written = &pack{file: file}
	}
	return err
}

// Close implements [dataset.Decoded].
func (d *decoded) Close() {
	together := d.repack && d.putTogether()
	for _, p := range d.packs {
		switch path := p.file.Name(); {
		case together || d.full && !p.used:
			os.Remove(path)
		case p.used:
			now := time.Now()
			os.Chtimes(path, now, now)
		}
		p.file.Close()
	}
	if d.written == nil {
		return
	}
	path := d.written.file.Name()
	d.written.file.Close()
	os.Rename(path, filepath.Join(d.folder, strings.TrimPrefix(filepath.Base(path), temporaryPrefix)))
	d.cache.trim()
}

// putTogether appends the whole records of all packs to that of this run, and reports
// whether they are there. What another process has put together it leaves.
func (d *decoded) putTogether() bool {
	for _, p := range d.packs {
		if _, err := os.Stat(p.file.Name()); err != nil {
			return false
		}
	}
	record := make([]byte, d.record())
	for _, p := range d.packs {
		d.room += p.size
		for at := int64(0); at < p.size; at += d.record() {
			from := place{p, at}
			if !d.read(from, record) {
				continue
			}
			digest := [sha256.Size]byte(record)
			if d.records[digest] != from { // there twice
				continue
			}
			if delete(d.records, digest); !d.append(digest, record) {
				return false
			}
		}
	}
	return true
}
