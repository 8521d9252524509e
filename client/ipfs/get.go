package ipfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sync"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	"github.com/medfed/medfed/chaincode/codes"
)

// Limits of what a stranger's DAG may make this process do. A file of this
// profile needs one level for each factor of 1024 in its chunks.
const (
	maxBlock = 2 << 20 // bytes; Bitswap's own limit
	maxDepth = 8       // levels below the root
)

// Get opens the file a CID names. Its first block has been fetched and checked
// when Get returns. The bytes of the leaves come as one stream, read ahead of the
// reader by a bounded number of blocks; which bytes are to come is known from the
// inner nodes, fetched one by one, and every block is checked against its CID in
// this process before any of its bytes are given out. A reader that ends without
// error has given exactly the bytes the CID stands for. Close stops what is under
// way.
func (c *Client) Get(ctx context.Context, s string) (io.ReadCloser, error) {
	root, err := parseCID(s)
	if err != nil {
		return nil, err
	}
	data, err := c.block(ctx, root)
	if err != nil {
		return nil, err
	}
	first := &block{cid: root, size: unknown}
	var children []*block
	if root.Type() != cid.Raw {
		if data, children, err = first.decode(data); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	parts, free := make(chan part, c.prefetch), make(chan []byte, c.prefetch)
	for range c.prefetch {
		free <- nil // room for a leaf, allocated when it is used
	}
	w := &walk{client: c, ctx: ctx, root: root, parts: parts, free: free}
	r := &reader{cancel: cancel, walk: w, parts: parts, free: free}
	go func() {
		r.outcome = w.file(root.Type() == cid.Raw, data, children)
		w.close()
		close(parts)
	}()
	return r, nil
}

const unknown = ^uint64(0)

// block is a place in the file.
type block struct {
	cid   cid.Cid
	size  uint64 // bytes of the file below it, as its parent says; unknown for the root
	depth int
}

// part is bytes of the file in their place.
type part struct {
	bytes  []byte
	block  *block      // the leaf they should be
	intact <-chan bool // tells once whether they are; nil for bytes that were checked before
}

// reader gives out what a walk has fetched, when it is checked.
type reader struct {
	cancel  context.CancelFunc
	walk    *walk
	parts   <-chan part   // in the file's order; closed when the walk has ended
	free    chan<- []byte // buffers the walk may fill
	outcome error         // of the walk, io.EOF when all went well; set before parts is closed

	mu   sync.Mutex // over what follows
	part []byte
	rest []byte // of part
	err  error
}

// Read gives checked bytes. After an error it gives nothing but that error.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.next()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next gives the part that was read back to the walk and takes the one after it.
func (r *reader) next() {
	if r.part != nil {
		r.free <- r.part
	}
	next, more := <-r.parts
	switch {
	case !more:
		r.err = r.outcome
	case next.intact != nil && !<-next.intact:
		r.err = r.walk.mismatch(next.block)
		r.cancel()
		next.bytes = nil
	}
	r.part, r.rest = next.bytes, next.bytes
}

// Close ends the walk under way, and with it a Read that waits, and returns when
// it has ended.
func (r *reader) Close() error {
	r.cancel()
	for range r.parts { // the walk ends, and then closes parts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = fmt.Errorf("reading a file that was closed: %w", context.Canceled)
	}
	r.part, r.rest = nil, nil
	return nil
}

// walk goes through the DAG depth first, with the file's bytes as one stream
// beside it.
type walk struct {
	client *Client
	ctx    context.Context
	root   cid.Cid
	parts  chan<- part
	free   <-chan []byte
	stream *stream // nil until the first byte is wanted
}

// file gives out the whole file below a root with these bytes of its own and
// these children. Its error is io.EOF when all is given out.
func (w *walk) file(raw bool, own []byte, children []*block) error {
	root := &block{cid: w.root, size: unknown}
	if raw {
		if err := w.give(own); err != nil {
			return err
		}
		return io.EOF
	}
	if err := w.inner(root, own); err != nil {
		return err
	}
	slices.Reverse(children)
	for pending := children; len(pending) > 0; { // a stack: the next block of the file is its last
		next := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if next.cid.Type() == cid.Raw {
			if err := w.leaf(next); err != nil {
				return err
			}
			continue
		}
		data, err := w.client.block(w.ctx, next.cid)
		if err != nil {
			return err
		}
		own, below, err := next.decode(data)
		if err != nil {
			return err
		}
		if err := w.inner(next, own); err != nil {
			return err
		}
		slices.Reverse(below)
		pending = append(pending, below...)
	}
	return w.end()
}

// leaf reads a raw leaf from the stream and has it checked while the next is read.
func (w *walk) leaf(b *block) error {
	if b.size > maxBlock {
		return codes.Errorf("MF-IPFS-DAG", "block %s holds %d bytes, as its parent says, and a block holds at most %d; the file was not made by medfed, do not use it", b.cid, b.size, maxBlock)
	}
	buffer, err := w.buffer(int(b.size))
	if err != nil {
		return err
	}
	if err := w.fill(b, buffer); err != nil {
		return err
	}
	intact := make(chan bool, 1)
	go func() {
		sum := sha256.Sum256(buffer)
		intact <- bytes.Equal(sum[:], digest(b.cid))
	}()
	w.parts <- part{bytes: buffer, block: b, intact: intact} // there is room for every buffer
	return nil
}

// digest is the SHA2-256 value in a CID that [checkCID] has passed.
func digest(id cid.Cid) []byte { return id.Hash()[len(id.Hash())-sha256.Size:] }

// inner gives out the bytes that an inner node holds itself. The stream has them
// too.
func (w *walk) inner(b *block, own []byte) error {
	if len(own) == 0 {
		return nil
	}
	streamed := make([]byte, len(own))
	if err := w.fill(b, streamed); err != nil {
		return err
	}
	if !bytes.Equal(streamed, own) {
		return w.client.corrupt(b.cid)
	}
	return w.give(own)
}

// fill reads the next bytes of the stream, which are those of block b.
func (w *walk) fill(b *block, buffer []byte) error {
	if w.stream == nil {
		w.stream = w.client.stream(w.ctx, w.root)
	}
	w.stream.arm()
	defer w.stream.disarm()
	for n := 0; n < len(buffer); {
		k, err := w.stream.Read(buffer[n:min(n+pieceSize, len(buffer))])
		n += k
		switch {
		case err == io.EOF && n < len(buffer):
			w.stream.disarm()
			return w.mismatch(b)
		case err != nil && err != io.EOF:
			return w.broken(b, err)
		}
	}
	return nil
}

const pieceSize = 128 << 10

// mismatch explains bytes that are not those of block b: the file may say
// something wrong about an intact block, or the block may be damaged or gone.
func (w *walk) mismatch(b *block) error {
	data, err := w.client.block(w.ctx, b.cid)
	if err != nil {
		return err
	}
	if b.cid.Type() == cid.Raw {
		if err := b.checkSize(uint64(len(data))); err != nil {
			return err
		}
	}
	return w.client.corrupt(b.cid)
}

// broken explains a stream that failed where block b was to come. A failure in
// the middle of a stream is told in words only, so the node is asked for the
// block, which tells more.
func (w *walk) broken(b *block, err error) error {
	w.stream.disarm()
	if w.stream.ctx.Err() == nil {
		if _, plainer := w.client.block(w.ctx, b.cid); plainer != nil {
			return plainer
		}
	}
	return w.client.explain(w.stream.ctx, "fetching block "+b.cid.String(), err)
}

// end makes sure that the stream ends where the file does.
func (w *walk) end() error {
	if w.stream == nil {
		return io.EOF
	}
	w.stream.arm()
	defer w.stream.disarm()
	n, err := io.ReadFull(w.stream, make([]byte, 1))
	if n > 0 {
		return codes.Errorf("MF-IPFS-CORRUPT", "what the node at %s sends for %s goes on after the file's end; fetch it through another node", w.client.url, w.root)
	}
	if err != io.EOF {
		return w.client.explain(w.stream.ctx, "fetching the end of "+w.root.String(), err)
	}
	return io.EOF
}

// buffer waits until the reader has left room for one more leaf.
func (w *walk) buffer(size int) ([]byte, error) {
	select {
	case b := <-w.free:
		if cap(b) < size {
			b = make([]byte, size)
		}
		return b[:size], nil
	case <-w.ctx.Done():
		return nil, w.client.explain(w.ctx, "fetching "+w.root.String(), w.ctx.Err())
	}
}

// give passes bytes that are in no buffer on to the reader.
func (w *walk) give(own []byte) error {
	if _, err := w.buffer(0); err != nil {
		return err
	}
	w.parts <- part{bytes: own}
	return nil
}

func (w *walk) close() {
	if w.stream != nil {
		w.stream.close()
	}
}

func (b *block) checkSize(size uint64) error {
	if b.size != unknown && b.size != size {
		return codes.Errorf("MF-IPFS-DAG", "block %s holds %d bytes of the file where its parent says %d; the file was not made by medfed, do not use it", b.cid, size, b.size)
	}
	return nil
}

// decode reads a UnixFS file node: its own bytes and its children in order.
func (b *block) decode(encoded []byte) (data []byte, children []*block, err error) {
	bad := func(format string, args ...any) error {
		return codes.Errorf("MF-IPFS-DAG", "block %s %s; the file was not made by medfed, do not use it", b.cid, fmt.Sprintf(format, args...))
	}
	node, err := merkledag.DecodeProtobuf(encoded)
	if err != nil {
		return nil, nil, bad("is no dag-pb node: %v", err)
	}
	file, err := unixfs.FSNodeFromBytes(node.Data())
	if err != nil {
		return nil, nil, bad("is no UnixFS node: %v", err)
	}
	if file.Type() != unixfs.TFile && file.Type() != unixfs.TRaw {
		return nil, nil, bad("is a UnixFS %s and no file", file.Type())
	}
	links, sizes := node.Links(), file.BlockSizes()
	if len(links) != len(sizes) {
		return nil, nil, bad("has %d children and the sizes of %d", len(links), len(sizes))
	}
	if len(links) > 0 && b.depth == maxDepth {
		return nil, nil, bad("lies deeper than %d levels", maxDepth)
	}
	total := uint64(len(file.Data()))
	children = make([]*block, len(links))
	for i, link := range links {
		if err := checkCID(link.Cid); err != nil {
			return nil, nil, bad("has a child with an unusual CID %s", link.Cid)
		}
		if sizes[i] == 0 {
			return nil, nil, bad("has an empty child")
		}
		var carry uint64
		if total, carry = bits.Add64(total, sizes[i], 0); carry != 0 {
			return nil, nil, bad("has children of impossible size")
		}
		children[i] = &block{cid: link.Cid, size: sizes[i], depth: b.depth + 1}
	}
	if total != file.FileSize() {
		return nil, nil, bad("says it holds %d bytes where its parts hold %d", file.FileSize(), total)
	}
	return file.Data(), children, b.checkSize(total)
}

// block fetches one block and checks it against its CID.
func (c *Client) block(ctx context.Context, id cid.Cid) ([]byte, error) {
	return c.blockFrom(ctx, id, false)
}

// blockFrom is block, offline from the node's own repository.
func (c *Client) blockFrom(ctx context.Context, id cid.Cid, offline bool) ([]byte, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	doing := "fetching block " + id.String()
	answer, err := c.api.Request("block/get", id.String()).Option("offline", offline).Send(ctx)
	if err != nil {
		return nil, c.explain(ctx, doing, err)
	}
	if answer.Error != nil {
		return nil, c.explain(ctx, doing, answer.Error)
	}
	defer answer.Cancel()
	var content bytes.Buffer
	if _, err := content.ReadFrom(io.LimitReader(answer.Output, maxBlock+1)); err != nil {
		return nil, c.explain(ctx, doing, err)
	}
	if content.Len() > maxBlock {
		return nil, codes.Errorf("MF-IPFS-CORRUPT", "what the node at %s sends for block %s is larger than a block can be; fetch it through another node", c.url, id)
	}
	got, err := id.Prefix().Sum(content.Bytes())
	if err != nil {
		return nil, codes.Wrapf("MF-IPFS-CID", "block %s cannot be checked: %w; add the content with medfed", id, err)
	}
	if !got.Equals(id) {
		return nil, c.corrupt(id)
	}
	return content.Bytes(), nil
}

func (c *Client) corrupt(id cid.Cid) error {
	return codes.Errorf("MF-IPFS-CORRUPT", "what the node at %s sends for block %s is not that block; fetch it through another node and check this node's disk", c.url, id)
}
