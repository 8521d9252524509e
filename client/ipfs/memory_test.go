package ipfs_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
)

// What has been read is let go of: a file is larger than the memory there is.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	const size = 96 << 20
	id, err := client.Add(t.Context(), bytes.NewReader(content(size)))
	if err != nil {
		t.Fatal(err)
	}
	live := func() uint64 {
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		return now.HeapAlloc
	}
	before := live()
	r, err := client.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.CopyN(io.Discard, r, size-1); err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if after := live(); after > before+32<<20 {
		t.Errorf("%d MiB more are live after %d MiB have been read", (after-before)>>20, size>>20)
	}
}
