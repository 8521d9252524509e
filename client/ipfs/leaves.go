package ipfs

import (
	"context"
	"io"
	"sync/atomic"

	ipld "github.com/ipfs/go-ipld-format"
)

// leavesAhead is how many leaves of a file that is added are in memory at most.
const leavesAhead = 2

// leaves cuts a reader into the chunks that become a file's leaves, in a
// goroutine of its own, and gives every one of them to two goroutines at once:
// the one that sends it and the one that computes the CID. A leaf's memory is used
// again when both have let go of it.
type leaves struct {
	r        io.Reader
	progress func()
	toSend   chan *leaf // closed after the last; then err tells why it was the last
	toHash   chan *leaf // likewise
	free     chan *leaf
	quit     chan struct{}
	err      error // io.EOF, the reader's own, or io.ErrClosedPipe after end
	own      error // the reader's own
}

type leaf struct {
	bytes []byte
	users atomic.Int32 // that have not let go
}

func cut(r io.Reader, progress func()) *leaves {
	l := &leaves{
		r:        r,
		progress: progress,
		toSend:   make(chan *leaf, leavesAhead),
		toHash:   make(chan *leaf, leavesAhead),
		free:     make(chan *leaf, leavesAhead),
		quit:     make(chan struct{}),
	}
	for range leavesAhead {
		l.free <- new(leaf) // its memory is taken when it is used
	}
	go l.fill()
	return l
}

// fill reads leaf after leaf until the reader or the one who adds has had enough.
func (l *leaves) fill() {
	defer close(l.toHash)
	defer close(l.toSend)
	for l.err == nil {
		select {
		case <-l.quit:
			l.err = io.ErrClosedPipe
		case next := <-l.free:
			l.read(next)
		}
	}
}

// read fills one leaf and hands it over, if there is anything in it that may be
// part of the file: what comes before an error is none.
func (l *leaves) read(next *leaf) {
	if next.bytes == nil {
		next.bytes = make([]byte, chunkSize)
	}
	n := 0
	for n < chunkSize && l.err == nil {
		var k int
		k, l.err = l.r.Read(next.bytes[n:chunkSize])
		l.progress()
		n += k
	}
	if l.err != nil && l.err != io.EOF {
		l.own = l.err
		return
	}
	if n == 0 {
		return
	}
	next.bytes = next.bytes[:n]
	next.users.Store(2)
	l.toHash <- next // there is always room
	l.toSend <- next
}

func (l *leaves) letGo(used *leaf) {
	if used.users.Add(-1) == 0 {
		used.bytes = used.bytes[:cap(used.bytes)]
		l.free <- used
	}
}

// end makes both goroutines see an end, and returns the reader's own error. The
// reader is not read any more when it returns. It is called once.
func (l *leaves) end() error {
	close(l.quit)
	for range l.toSend { // until fill has ended
	}
	return l.own
}

// sent is the leaves as the content of a request.
type sent struct {
	*leaves
	now  *leaf // nil for none
	rest []byte
}

// piece is what is to be sent next, at most so many bytes of it.
func (s *sent) piece(most int) ([]byte, error) {
	for len(s.rest) == 0 {
		if s.now != nil {
			s.letGo(s.now)
			s.now = nil
		}
		var more bool
		if s.now, more = <-s.toSend; !more {
			return nil, s.err
		}
		s.rest = s.now.bytes
	}
	s.progress()
	next := s.rest[:min(most, len(s.rest))]
	s.rest = s.rest[len(next):]
	return next, nil
}

func (s *sent) Read(p []byte) (int, error) {
	next, err := s.piece(len(p))
	return copy(p, next), err
}

// WriteTo sends the leaves from where they are.
func (s *sent) WriteTo(w io.Writer) (total int64, err error) {
	for {
		next, err := s.piece(pieceSize)
		if err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(next)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// hashed is the leaves as the chunker whose DAG is built, and the DAG service that
// the nodes go to: a leaf that has come there has its CID.
type hashed struct {
	discard
	*leaves
	pending []*leaf // that the builder has
}

func (h *hashed) Reader() io.Reader { return h.r }

func (h *hashed) NextBytes() ([]byte, error) {
	next, more := <-h.toHash
	if !more {
		return nil, h.err
	}
	h.pending = append(h.pending, next)
	return next.bytes, nil
}

func (h *hashed) Add(_ context.Context, node ipld.Node) error {
	if len(h.pending) > 0 && len(node.Links()) == 0 {
		h.letGo(h.pending[0])
		h.pending = h.pending[1:]
	}
	return nil
}
