package ingest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/medfed/medfed/client/ipfs"
)

// drain is a store that keeps nothing and looks, while it reads, at how much memory
// is live.
type drain struct {
	base, peak uint64
	read       int64
}

func (d *drain) Add(_ context.Context, r io.Reader) (string, error) {
	return ipfs.ComputeCID(io.TeeReader(r, d))
}

func (d *drain) Get(context.Context, string) (io.ReadCloser, error) { return nil, os.ErrNotExist }

func (d *drain) Write(p []byte) (int, error) {
	const every = 16 << 20
	before := d.read
	d.read += int64(len(p))
	if before/every != d.read/every {
		d.peak = max(d.peak, live())
	}
	return len(p), nil
}

// live is how many bytes of the heap are reachable.
func live() uint64 {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

// A file of 256 MB goes through hashing, detection, encryption, spool and store
// with a few MB of memory.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const size, most = 256 << 20, 8 << 20
	w := newWard(t)
	file, err := os.Create(filepath.Join(w.folder, "large.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("%PDF-1.7\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("\n%%EOF\n"), size-7); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	store := &drain{base: live()}
	i, err := Open(Options{
		Folder: w.folder, State: w.state, Custodian: "Hospital1MSP", Key: w.key, Store: store, Ledger: w.hospital, Sealer: w.hospital, Recipient: w.recipient, Settle: 1,
		Progress: func(step string, done, total int64) { // while it is encrypted, too
			if done%(16<<20) == 0 {
				store.peak = max(store.peak, live())
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if err := i.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if store.read < size || len(w.staged) != 1 {
		t.Fatalf("%d bytes were stored, %d entries", store.read, len(w.staged))
	}
	t.Logf("%.1f MB more were live at the peak while %d MB were ingested", float64(int64(store.peak)-int64(store.base))/(1<<20), size>>20)
	if store.peak > store.base+most {
		t.Errorf("%d MB more were live than before", (store.peak-store.base)>>20)
	}
}
