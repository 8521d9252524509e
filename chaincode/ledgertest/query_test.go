package ledgertest_test

import (
	"fmt"
	"testing"
)

func (w *world) fill(n int) {
	w.t.Helper()
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("put k%04d %d", i, i)
	}
	w.do(lines...)
}

func TestRangeIsOrderedAndHalfOpen(t *testing.T) {
	w := newWorld(t)
	w.do("put b 2", "put a 1", "put c 3", "put \xc3\xa9 4")
	w.want("( a=1 b=2 )", "range a c")
	w.want("( a=1 b=2 c=3 \xc3\xa9=4 )", "range - -")
	w.want("( )", "range x y")
}

func TestPagesFollowOneAnother(t *testing.T) {
	w := newWorld(t)
	w.fill(5)
	w.want(`( k0000=0 k0001=1 ) fetched 2 bookmark "k0002"`, "page k l 2 -")
	w.want(`( k0002=2 k0003=3 ) fetched 2 bookmark "k0004"`, "page k l 2 k0002")
	w.want(`( k0004=4 ) fetched 1 bookmark ""`, "page k l 2 k0004")
	w.want(`( k0000=0 k0001=1 k0002=2 k0003=3 k0004=4 ) fetched 5 bookmark ""`, "page k l 5 -")
	w.want(`( k0003=3 k0004=4 ) fetched 2 bookmark ""`, "page k l 0 k0003")
}

func TestLongRangesAreWhole(t *testing.T) {
	w := newWorld(t)
	w.fill(357)
	w.want("count 357", "count k l")
	w.want("count 101", "count k0100 k0201")
	w.want("count 100", "count k0100 k0200")
}

// A peer looks one result beyond the hundred it sends at once, and no further:
// a phantom behind that does not disturb a transaction that did not look.
func TestPeerLooksOneBatchAhead(t *testing.T) {
	w := newWorld(t)
	w.fill(150)
	tx := w.endorse("first k l 1", "put seen 1")
	late := w.endorse("put k0101 changed")
	early := w.endorse("put k0100 changed")
	w.wantCodes(block{late}, "VALID")
	again := w.endorse("first k l 1", "put seen 2")
	w.wantCodes(block{tx}, "VALID")
	w.wantCodes(block{early}, "VALID")
	w.wantCodes(block{again}, "PHANTOM_READ_CONFLICT")
}

func TestShortRangeIsSeenWhole(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	tx := w.endorse("first k l 1", "put seen 1")
	w.do("put k0009 new")
	w.wantCodes(block{tx}, "PHANTOM_READ_CONFLICT")
}

func TestPhantoms(t *testing.T) {
	for _, n := range []int{3, 50, 51, 52, 60, 2601, 2602, 2700} {
		for _, change := range []string{"put k0001a new", "del k0001", "put k0001 changed", "put a outside"} {
			t.Run(fmt.Sprintf("%d results, %s", n, change), func(t *testing.T) {
				w := newWorld(t)
				w.fill(n)
				tx := w.endorse("count k l", "put seen 1")
				w.do(change)
				code := "PHANTOM_READ_CONFLICT"
				if change == "put a outside" {
					code = "VALID"
				}
				w.wantCodes(block{tx}, code)
			})
		}
	}
}

func TestHistoryIsNewestFirstWithDeletions(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	w.Advance(1e9)
	w.do("del a")
	w.Advance(1e9)
	stale := w.endorse("get a", "put a lost")
	w.do("put a 2")
	w.wantCodes(block{stale}, "MVCC_READ_CONFLICT")
	w.want("2@1767225602 deleted=false; @1767225601 deleted=true; 1@1767225600 deleted=false", "history a")
	w.want("", "history never")
}

func TestHistoryIsNotInTheReadSet(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	tx := w.endorse("history a", "put b 1")
	w.do("put a 2")
	w.wantCodes(block{tx}, "VALID")
}
