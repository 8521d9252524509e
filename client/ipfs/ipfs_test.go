package ipfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/ipfs"
	"pgregory.net/rapid"
)

func content(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(data)
	return data
}

func read(ctx context.Context, c *ipfs.Client, id string) ([]byte, error) {
	r, err := c.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if got := codes.Of(err); got != want {
		t.Fatalf("code %q in %q, want %s", got, err, want)
	}
	if !strings.HasPrefix(err.Error(), string(want)+": ") || !strings.Contains(err.Error(), "; ") {
		t.Errorf("%q has not the form CODE: what happened; what to do", err)
	}
}

func TestAddAndGet(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 12345} {
		want := content(size)
		id, err := client.Add(t.Context(), bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		if err := ipfs.CheckCID(id); err != nil || !node.pinned(id) {
			t.Errorf("%s: %v, pinned %v", id, err, node.pinned(id))
		}
		got, err := read(t.Context(), client, id)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("size %d: %d bytes back, %v", size, len(got), err)
		}
	}
}

// Recorded from Kubo 0.42.0: ipfs add -Q --only-hash --cid-version 1 --raw-leaves
// --chunker size-1048576 --max-file-links 1024, of that many zero bytes.
func TestComputeCIDIsKubos(t *testing.T) {
	for size, want := range map[int64]string{
		0:          "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
		1:          "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu",
		1 << 20:    "bafkreibq4fevl27rgurgnxbp7adh42aqiyd6ouflxhj3gzmcxcxzbh6lla",
		1<<20 + 1:  "bafybeihd4yzq7n5umhjngdum4r6k2to7egxfkf2jz6thvwzf6djus22cmq",
		1025 << 20: "bafybeigt7wofv4vnxbg3titijasuw4ptg5kfztec4smsk7opdt7z6djoxq",
	} {
		got, err := ipfs.ComputeCID(io.LimitReader(zeros{}, size))
		if err != nil || got != want {
			t.Errorf("%d bytes: %s, want %s; %v", size, got, want, err)
		}
	}
	if _, err := ipfs.ComputeCID(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))); err == nil {
		t.Error("a source cut short has a CID")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestEveryFlippedOrCutBlockIsNoticed(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	want := content(2<<20 + 77)
	id, err := client.Add(t.Context(), bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, 0)
	for block := range node.blocks {
		all = append(all, block)
	}
	slices.Sort(all)
	rapid.Check(t, func(r *rapid.T) {
		victim := rapid.SampledFrom(all).Draw(r, "block")
		fault := rapid.SampledFrom([]string{"flip", "cut", "grow", "other"}).Draw(r, "fault")
		at := rapid.IntRange(0, len(node.blocks[victim])-1).Draw(r, "byte")
		bit := rapid.IntRange(0, 7).Draw(r, "bit")
		node.lieOnBlocks(func(w http.ResponseWriter, block string, data []byte) bool {
			if block != victim {
				return false
			}
			w.Header().Set("Content-Type", "text/plain")
			switch fault {
			case "flip":
				data = bytes.Clone(data)
				data[at] ^= 1 << bit
			case "cut":
				data = data[:at]
			case "grow":
				data = append(bytes.Clone(data), 0)
			case "other":
				data = []byte("another block")
			}
			w.Write(data)
			return true
		})
		got, err := read(context.Background(), client, id)
		wantCode(t, err, "MF-IPFS-CORRUPT")
		if !bytes.HasPrefix(want, got) {
			r.Fatalf("wrong bytes were given out before the error")
		}
	})
}

func TestEndlessBlockIsCutOff(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	id, err := client.Add(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	node.lieOnBlocks(func(w http.ResponseWriter, _ string, _ []byte) bool {
		w.Header().Set("Content-Type", "text/plain")
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return true
			}
		}
		return true
	})
	_, err = read(t.Context(), client, id)
	wantCode(t, err, "MF-IPFS-CORRUPT")
}

func TestForeignDAGsAreRefused(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	leaf := node.put(cid.Raw, []byte("leaf"))
	empty := node.put(cid.Raw, nil)
	inner := func(change func(*unixfs.FSNode, *merkledag.ProtoNode)) cid.Cid {
		file, links := unixfs.NewFSNode(unixfs.TFile), new(merkledag.ProtoNode)
		change(file, links)
		data, err := file.GetBytes()
		if err != nil {
			t.Fatal(err)
		}
		links.SetData(data)
		encoded, err := links.EncodeProtobuf(true)
		if err != nil {
			t.Fatal(err)
		}
		return node.put(cid.DagProtobuf, encoded)
	}
	link := func(links *merkledag.ProtoNode, to cid.Cid) {
		if err := links.AddRawLink("", &ipld.Link{Cid: to}); err != nil {
			t.Fatal(err)
		}
	}
	deep := leaf
	for range 12 {
		below := deep
		deep = inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { f.AddBlockSize(4); link(l, below) })
	}
	folder, err := unixfs.EmptyDirNode().EncodeProtobuf(true)
	if err != nil {
		t.Fatal(err)
	}
	v0, err := cid.V0Builder{}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   cid.Cid
		code codes.Code
	}{
		"garbage":         {node.put(cid.DagProtobuf, []byte("\xff\xff\xff")), "MF-IPFS-DAG"},
		"no unixfs":       {node.put(cid.DagProtobuf, nil), "MF-IPFS-DAG"},
		"folder":          {node.put(cid.DagProtobuf, folder), "MF-IPFS-DAG"},
		"too deep":        {deep, "MF-IPFS-DAG"},
		"wrong leaf size": {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { f.AddBlockSize(5); link(l, leaf) }), "MF-IPFS-DAG"},
		"no size":         {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { link(l, leaf) }), "MF-IPFS-DAG"},
		"no child":        {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { f.AddBlockSize(4) }), "MF-IPFS-DAG"},
		"empty child":     {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { f.AddBlockSize(0); link(l, empty) }), "MF-IPFS-DAG"},
		"wrong total": {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) {
			f.AddBlockSize(4)
			f.UpdateFilesize(1)
			link(l, leaf)
		}), "MF-IPFS-DAG"},
		"overflow": {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) {
			f.AddBlockSize(1 << 63)
			f.AddBlockSize(1 << 63)
			link(l, leaf)
			link(l, leaf)
		}), "MF-IPFS-DAG"},
		"version 0 child": {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { f.AddBlockSize(1); link(l, v0) }), "MF-IPFS-DAG"},
		"giant leaf":      {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) { f.AddBlockSize(2<<20 + 1); link(l, leaf) }), "MF-IPFS-DAG"},
		"absent child": {inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) {
			f.AddBlockSize(1)
			absent, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("absent"))
			link(l, absent)
		}), "MF-IPFS-NOT-FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t.Context(), client, c.id.String())
			wantCode(t, err, c.code)
		})
	}
	two := inner(func(f *unixfs.FSNode, l *merkledag.ProtoNode) {
		f.SetData([]byte("own, "))
		f.AddBlockSize(4)
		f.AddBlockSize(4)
		link(l, leaf)
		link(l, leaf)
	})
	if got, err := read(t.Context(), client, two.String()); err != nil || string(got) != "own, leafleaf" {
		t.Errorf("a node with bytes of its own and a block that occurs twice: %q, %v", got, err)
	}
}

func TestDecodersNeverPanic(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	rapid.Check(t, func(r *rapid.T) {
		id := node.put(cid.DagProtobuf, rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(r, "block"))
		if _, err := read(context.Background(), client, id.String()); err != nil && codes.Of(err) == "" {
			r.Fatalf("uncoded error %v", err)
		}
	})
}

func TestCIDForms(t *testing.T) {
	id, err := ipfs.ComputeCID(strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := cid.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	upper, _ := decoded.StringOfBase('B')
	base58, _ := decoded.StringOfBase('z')
	for _, bad := range []string{
		"", "abc", upper, base58, id + "/x", "/ipfs/" + id, id[:len(id)-1],
		cid.NewCidV0(decoded.Hash()).String(),
		cid.NewCidV1(cid.DagCBOR, decoded.Hash()).String(),
		"bafkqaaa", // identity hash
	} {
		wantCode(t, ipfs.CheckCID(bad), "MF-IPFS-CID")
		node := newFakeNode(t)
		_, err := node.client(t, nil).Get(t.Context(), bad)
		wantCode(t, err, "MF-IPFS-CID")
		wantCode(t, node.client(t, nil).Pin(t.Context(), bad), "MF-IPFS-CID")
		wantCode(t, node.client(t, nil).Remove(t.Context(), bad), "MF-IPFS-CID")
	}
}

// A node that could send everything at once is held back by a reader that takes
// its time: what it is ahead is the window and what the connection buffers.
func TestPrefetchIsBounded(t *testing.T) {
	node := newFakeNode(t)
	const window, sockets, size = 3, 24, 96
	client := node.client(t, func(c *ipfs.Config) { c.Prefetch = window })
	want := content(size << 20)
	id, err := client.Add(t.Context(), bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	var begun atomic.Int32
	node.lieOnBlocks(func(w http.ResponseWriter, block string, _ []byte) bool {
		if block != id {
			begun.Add(1)
		}
		return false
	})
	r, err := client.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, 1<<20)
	for i := range size {
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want[i<<20:(i+1)<<20]) {
			t.Fatalf("MiB %d: %v", i, err)
		}
		if ahead := int(begun.Load()) - i; ahead > window+sockets {
			t.Fatalf("the node is %d MiB ahead", ahead)
		}
	}
	if n, err := r.Read(got); n != 0 || err != io.EOF {
		t.Errorf("%d bytes after the end, %v", n, err)
	}
}

// The time a reader takes is not the node's silence.
func TestSlowReaderIsNoSilentNode(t *testing.T) {
	node := newFakeNode(t)
	const patience = 4 * time.Second
	client := node.client(t, func(c *ipfs.Config) { c.Timeout, c.Prefetch = patience, 2 })
	want := content(48 << 20) // more than the connection buffers
	id, err := client.Add(t.Context(), bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, 1)
	if _, err := r.Read(got); err != nil {
		t.Fatal(err)
	}
	<-time.After(patience + patience/2)
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(got, rest...), want) {
		t.Fatalf("%d bytes, %v", len(rest), err)
	}
}

// The stream lies while every single block is intact.
func TestLyingStreams(t *testing.T) {
	node := newFakeNode(t)
	patient := node.client(t, nil)
	impatient := node.client(t, func(c *ipfs.Config) { c.Timeout = time.Second })
	const mib = 1 << 20
	want := content(3*mib + 77)
	id, err := patient.Add(t.Context(), bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	for name, c := range map[string]struct {
		lie  func(w http.ResponseWriter, file []byte)
		code codes.Code
	}{
		"nothing":       {func(w http.ResponseWriter, _ []byte) {}, "MF-IPFS-CORRUPT"},
		"a leaf less":   {func(w http.ResponseWriter, file []byte) { w.Write(file[:3*mib]) }, "MF-IPFS-CORRUPT"},
		"a byte less":   {func(w http.ResponseWriter, file []byte) { w.Write(file[:len(file)-1]) }, "MF-IPFS-CORRUPT"},
		"a byte more":   {func(w http.ResponseWriter, file []byte) { w.Write(append(bytes.Clone(file), 0)) }, "MF-IPFS-CORRUPT"},
		"shifted":       {func(w http.ResponseWriter, file []byte) { w.Write(append([]byte{0}, file...)) }, "MF-IPFS-CORRUPT"},
		"a leaf missed": {func(w http.ResponseWriter, file []byte) { w.Write(slices.Concat(file[:mib], file[2*mib:])) }, "MF-IPFS-CORRUPT"},
		"out of order": {func(w http.ResponseWriter, file []byte) {
			w.Write(slices.Concat(file[mib:2*mib], file[:mib], file[2*mib:]))
		}, "MF-IPFS-CORRUPT"},
		"a leaf twice": {func(w http.ResponseWriter, file []byte) { w.Write(slices.Concat(file[:mib], file)) }, "MF-IPFS-CORRUPT"},
		"endless": {func(w http.ResponseWriter, file []byte) {
			w.Write(file)
			for range 64 {
				if _, err := w.Write(make([]byte, mib)); err != nil {
					return
				}
			}
		}, "MF-IPFS-CORRUPT"},
		"broken connection": {func(w http.ResponseWriter, file []byte) {
			w.Write(file[:2*mib+1])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "MF-IPFS-UNREACHABLE"},
		"broken at the end": {func(w http.ResponseWriter, file []byte) {
			w.Write(file)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "MF-IPFS-UNREACHABLE"},
		"silence in the middle": {func(w http.ResponseWriter, file []byte) {
			w.Write(file[:mib+1])
			w.(http.Flusher).Flush()
			<-released
		}, "MF-IPFS-TIMEOUT"},
		"silence at the end": {func(w http.ResponseWriter, file []byte) {
			w.Write(file)
			w.(http.Flusher).Flush()
			<-released
		}, "MF-IPFS-TIMEOUT"},
		"an error in words": {func(w http.ResponseWriter, file []byte) {
			w.Write(file[:mib+1])
			w.Header().Set("X-Stream-Error", "disk on fire")
		}, "MF-IPFS-RPC"},
		"an error in words at the end": {func(w http.ResponseWriter, file []byte) {
			w.Write(file)
			w.Header().Set("X-Stream-Error", "disk on fire")
		}, "MF-IPFS-RPC"},
		"a refusal": {func(w http.ResponseWriter, _ []byte) { refuse(w, "no cat here") }, "MF-IPFS-RPC"},
	} {
		t.Run(name, func(t *testing.T) {
			node.lieOnCat(c.lie)
			client := patient
			if c.code == "MF-IPFS-TIMEOUT" {
				client = impatient
			}
			got, err := read(t.Context(), client, id)
			wantCode(t, err, c.code)
			if !bytes.HasPrefix(want, got) {
				t.Error("wrong bytes were given out before the error")
			}
		})
	}
}

// The bytes an inner node holds itself are in the stream too, and are compared.
func TestLyingStreamOfAnInnerNodesBytes(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	file := unixfs.NewFSNode(unixfs.TFile)
	file.SetData([]byte("own"))
	data, err := file.GetBytes()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := merkledag.NodeWithData(data).EncodeProtobuf(true)
	if err != nil {
		t.Fatal(err)
	}
	id := node.put(cid.DagProtobuf, encoded).String()
	if got, err := read(t.Context(), client, id); err != nil || string(got) != "own" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, lie := range []string{"", "ow", "owe", "owns"} {
		node.lieOnCat(func(w http.ResponseWriter, _ []byte) { io.WriteString(w, lie) })
		_, err := read(t.Context(), client, id)
		wantCode(t, err, "MF-IPFS-CORRUPT")
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	id, err := client.Add(t.Context(), bytes.NewReader(content(8<<20)))
	if err != nil {
		t.Fatal(err)
	}
	asked, released := make(chan struct{}, 16), make(chan struct{})
	defer close(released)
	node.lieOnBlocks(func(w http.ResponseWriter, block string, _ []byte) bool {
		if block != id {
			asked <- struct{}{}
			<-released
		}
		return false
	})
	r, err := client.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		reading <- err
	}()
	<-asked
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-reading; !errors.Is(err, context.Canceled) {
		t.Errorf("a read that close interrupts: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a read after close: %v", err)
	}
}

func TestLyingAdd(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	other, _ := ipfs.ComputeCID(strings.NewReader("other"))
	for name, c := range map[string]struct {
		reply func(w http.ResponseWriter, r *http.Request) bool
		code  codes.Code
	}{
		"another CID": {func(w http.ResponseWriter, r *http.Request) bool {
			io.Copy(io.Discard, r.Body)
			answer(w, map[string]string{"Hash": other})
			return true
		}, "MF-IPFS-ADD"},
		"no CID": {func(w http.ResponseWriter, r *http.Request) bool {
			io.Copy(io.Discard, r.Body)
			answer(w, map[string]string{})
			return true
		}, "MF-IPFS-RPC"},
		"no JSON": {func(w http.ResponseWriter, r *http.Request) bool {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("<html>"))
			return true
		}, "MF-IPFS-RPC"},
		"an error": {func(w http.ResponseWriter, r *http.Request) bool {
			io.Copy(io.Discard, r.Body)
			refuse(w, "no space left on device")
			return true
		}, "MF-IPFS-RPC"},
	} {
		t.Run(name, func(t *testing.T) {
			node.onAdd = c.reply
			_, err := client.Add(t.Context(), bytes.NewReader(content(100_000)))
			wantCode(t, err, c.code)
		})
	}
}

// A node that answers before it has read the file has not stored it.
func TestAddAnsweredTooSoon(t *testing.T) {
	node := newFakeNode(t)
	whole := content(32 << 20) // more than the connection buffers
	id, err := ipfs.ComputeCID(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	node.onAdd = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, map[string]string{"Hash": id})
		return true
	}
	source := bytes.NewReader(whole)
	added, err := node.client(t, nil).Add(t.Context(), source)
	if err == nil || codes.Of(err) == "" {
		t.Errorf("%q, %v, when %d bytes had not been read", added, err, source.Len())
	}
}

func TestAddPassesTheReadersError(t *testing.T) {
	node := newFakeNode(t)
	broken := codes.Errorf("MF-ENVELOPE-CORRUPT", "the source broke; read it again")
	_, err := node.client(t, nil).Add(t.Context(), io.MultiReader(bytes.NewReader(content(3<<20)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	node.Close() // waits for the handler
	if len(node.pins) != 0 {
		t.Errorf("half a file is pinned: %v", node.pins)
	}
}

func TestPins(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	id, err := client.Add(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := client.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if node.pinned(id) {
			t.Fatal("still pinned")
		}
	}
	for range 2 {
		if err := client.Pin(t.Context(), id); err != nil || !node.pinned(id) {
			t.Fatal(err)
		}
	}
	if err := client.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	node.onPin = func(w http.ResponseWriter) bool { answer(w, map[string]int{"Progress": 1}); return true }
	wantCode(t, client.Pin(t.Context(), id), "MF-IPFS-RPC")
	peers, err := client.Peers(t.Context())
	if err != nil || len(peers) != 1 || peers[0].Address == "" {
		t.Errorf("%v, %v", peers, err)
	}
}

// named is what AddNamed, Named and Pin promise together.
func named(t *testing.T, client *ipfs.Client) {
	ids := map[string]string{}
	for _, name := range []string{"task a/1", "task a/2", "task b/1", "of task a/1", ""} {
		id, err := client.AddNamed(t.Context(), name, strings.NewReader("content of "+name))
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = id
	}
	want := map[string]string{ids["task a/1"]: "task a/1", ids["task a/2"]: "task a/2"}
	check := func(when string) {
		t.Helper()
		if got, err := client.Named(t.Context(), "task a/"); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v; %v", when, got, want, err)
		}
	}
	check("when all are added")
	if err := client.Pin(t.Context(), ids["task a/1"]); err != nil {
		t.Fatal(err)
	}
	check("when one is pinned again")
	if err := client.Remove(t.Context(), ids["task a/1"]); err != nil {
		t.Fatal(err)
	}
	delete(want, ids["task a/1"])
	check("when one is removed")
}

func TestPinsHaveNames(t *testing.T) { named(t, newFakeNode(t).client(t, nil)) }

// Every call against a node that is dead, silent, or refuses the token.
func TestUnusableNodes(t *testing.T) {
	id, err := ipfs.ComputeCID(strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(context.Context, *ipfs.Client) error{
		"add": func(ctx context.Context, c *ipfs.Client) error {
			_, err := c.Add(ctx, bytes.NewReader(content(30<<20)))
			return err
		},
		"get":     func(ctx context.Context, c *ipfs.Client) error { _, err := read(ctx, c, id); return err },
		"pin":     func(ctx context.Context, c *ipfs.Client) error { return c.Pin(ctx, id) },
		"remove":  func(ctx context.Context, c *ipfs.Client) error { return c.Remove(ctx, id) },
		"collect": func(ctx context.Context, c *ipfs.Client) error { return c.Collect(ctx) },
		"peers":   func(ctx context.Context, c *ipfs.Client) error { _, err := c.Peers(ctx); return err },
		"check":   func(ctx context.Context, c *ipfs.Client) error { return c.Check(ctx) },
	}
	for name, call := range calls {
		t.Run(name+" dead", func(t *testing.T) {
			node := newFakeNode(t)
			client := node.client(t, nil)
			node.Close()
			wantCode(t, call(t.Context(), client), "MF-IPFS-UNREACHABLE")
		})
		t.Run(name+" wrong token", func(t *testing.T) {
			client := newFakeNode(t).client(t, func(c *ipfs.Config) { c.TokenFile = tokenFile(t, "guess") })
			wantCode(t, call(t.Context(), client), "MF-IPFS-TOKEN")
		})
		t.Run(name+" without token", func(t *testing.T) {
			client := newFakeNode(t).client(t, func(c *ipfs.Config) { c.TokenFile = "" })
			wantCode(t, call(t.Context(), client), "MF-IPFS-TOKEN")
		})
		t.Run(name+" silent", func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close() // accepts by backlog, never answers
			client := newFakeNode(t).client(t, func(c *ipfs.Config) {
				c.URL, c.Timeout = "http://"+listener.Addr().String(), 100*time.Millisecond
			})
			wantCode(t, call(t.Context(), client), "MF-IPFS-TIMEOUT")
		})
		t.Run(name+" cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx, newFakeNode(t).client(t, nil)); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		})
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:5001", "ftp://127.0.0.1", "http://", "http://user:secret@127.0.0.1:5001", "http://127.0.0.1:5001?x=1", "http://10.0.0.7:5001", "http://ipfs.example.org"} {
		_, err := ipfs.Open(ipfs.Config{URL: url, TokenFile: tokenFile(t, token)})
		wantCode(t, err, "MF-IPFS-CONFIG")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:5001/", "http://[::1]:5001", "http://localhost:5001", "https://ipfs.example.org"} {
		if _, err := ipfs.Open(ipfs.Config{URL: url, TokenFile: tokenFile(t, token)}); err != nil {
			t.Error(err)
		}
	}
	for _, content := range []string{"", "two words", "line\nline", "tökén"} {
		_, err := ipfs.Open(ipfs.Config{URL: "http://127.0.0.1:1", TokenFile: tokenFile(t, content)})
		wantCode(t, err, "MF-IPFS-TOKEN")
	}
	_, err := ipfs.Open(ipfs.Config{URL: "http://127.0.0.1:1", TokenFile: filepath.Join(t.TempDir(), "none")})
	wantCode(t, err, "MF-IPFS-TOKEN")
}
