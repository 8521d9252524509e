package ipfs_test

import (
	"io"
	"mime/multipart"
	"net/http"
	"runtime"
	"testing"

	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/ipfs"
)

// What was read is let go of: a file is larger than the memory there is. The
// live heap is measured in the midst of a file that is many times the bound.
const (
	manyBytes  = 96 << 20
	fewerBytes = 16 << 20
)

// liveHeap is how many bytes of the heap something still refers to.
func liveHeap() uint64 {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

func TestMemoryDoesNotGrowWithTheFileThatIsRead(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := envelope.SealReader(io.LimitReader(zeros{}, manyBytes), key.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.Add(t.Context(), sealed)
	if err != nil {
		t.Fatal(err)
	}
	before := liveHeap() // the fake node keeps the file in this process
	r, err := client.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain, err := envelope.Open(r, key)
	if err != nil {
		t.Fatal(err)
	}
	for read := int64(0); read < manyBytes; read += manyBytes / 4 {
		if n, err := io.CopyN(io.Discard, plain, manyBytes/4); err != nil {
			t.Fatalf("%d bytes, %v", read+n, err)
		}
		if now := liveHeap(); now > before+fewerBytes {
			t.Errorf("%d MiB more are live after %d MiB have been read", (now-before)>>20, (read+manyBytes/4)>>20)
		}
	}
}

func TestMemoryDoesNotGrowWithTheFileThatIsAdded(t *testing.T) {
	node := newFakeNode(t)
	node.onAdd = func(w http.ResponseWriter, r *http.Request) bool { // keeps nothing
		parts, err := r.MultipartReader()
		if err != nil {
			refuse(w, err.Error())
			return true
		}
		var part *multipart.Part
		if part, err = parts.NextPart(); err == nil {
			var id string
			if id, err = ipfs.ComputeCID(part); err == nil {
				answer(w, map[string]string{"Hash": id})
				return true
			}
		}
		refuse(w, err.Error())
		return true
	}
	client := node.client(t, nil)
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	source := &measuring{t: t, before: liveHeap()}
	sealed, err := envelope.SealReader(io.LimitReader(source, manyBytes), key.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Add(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	if source.given < manyBytes {
		t.Errorf("%d bytes were added", source.given)
	}
}

// measuring is an endless source that looks at the live heap while it is read.
type measuring struct {
	zeros
	t             *testing.T
	before        uint64
	given, looked int
}

func (m *measuring) Read(p []byte) (int, error) {
	if m.given >= m.looked+manyBytes/4 {
		m.looked = m.given
		if now := liveHeap(); now > m.before+fewerBytes {
			m.t.Errorf("%d MiB more are live after %d MiB have been added", (now-m.before)>>20, m.given>>20)
		}
	}
	m.given += len(p)
	return m.zeros.Read(p)
}
