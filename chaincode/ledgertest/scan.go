package ledgertest

import (
	"bytes"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
)

// scan walks a range of a table. For the public state it keeps the record that
// the phantom check needs: how far the caller looked, and what was there.
type scan struct {
	namespace string
	table     table
	next      string // the key to look from
	end       string // "" for the end of the table
	limit     int    // results before it pretends to be exhausted, 0 for none
	returned  int
	buffer    []*entry
	done      bool // nothing lies behind the buffer

	info  *kvrwset.RangeQueryInfo // nil for a private range
	reads *rangeReads
}

// bufferSize is how many entries a scan fetches at once; only speed depends on it.
const bufferSize = 128

func (s *scan) peek() *entry {
	if len(s.buffer) == 0 && !s.done {
		s.fill()
	}
	if len(s.buffer) == 0 {
		return nil
	}
	return s.buffer[0]
}

func (s *scan) fill() {
	s.done = true
	s.table.ascend(s.next, s.end, func(e *entry) bool {
		if len(s.buffer) == bufferSize {
			s.next, s.done = e.key, false
			return false
		}
		s.buffer = append(s.buffer, e)
		return true
	})
}

// advance gives the next result, nil at the end of the range or of the page.
func (s *scan) advance() *queryresult.KV {
	var e *entry
	if s.limit <= 0 || s.returned < s.limit {
		e = s.peek()
	}
	s.record(e)
	if e == nil {
		return nil
	}
	s.buffer = s.buffer[1:]
	s.returned++
	return &queryresult.KV{Namespace: s.namespace, Key: e.key, Value: bytes.Clone(e.value)}
}

// record notes a result. The end of what was looked at is the last key seen
// until the scan is exhausted, when it is the end that was asked for.
func (s *scan) record(e *entry) {
	if s.info == nil {
		return
	}
	if e == nil {
		s.info.ItrExhausted = true
		s.info.EndKey = s.end
		return
	}
	s.reads.add(e)
	s.info.EndKey = e.key
}

// bookmark is the key at which the next page starts, "" when there is none.
func (s *scan) bookmark() string {
	if e := s.peek(); e != nil {
		return e.key
	}
	return ""
}
