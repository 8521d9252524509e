package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// worker is what one goroutine needs beside the operation's own buffers.
type worker struct {
	tile     tile
	strip    strip
	pool     poolRow
	pooled   pooledRow
	segments []segment
	padded   []float32 // of a frozen convolution, or a tile at the edge
	planes   []float32 // of a convolution by Winograd's method
	image    []float32 // of its input gradient, with all of its tiles
	winograd winogradTile
	edge     [maxRows * 2 * panel]float32 // a tile that sticks out of the result
}

// segmentSpace returns an empty list with room for n segments.
func (w *worker) segmentSpace(n int) []segment {
	if cap(w.segments) < n {
		w.segments = make([]segment, 0, n)
	}
	return w.segments[:0]
}

// forget drops what the last operation computed with, so that a network that is gone does
// not stay in memory until the next is run.
func (w *worker) forget() {
	w.tile, w.strip, w.pool, w.pooled = tile{}, strip{}, poolRow{}, pooledRow{}
	w.winograd.in, w.winograd.out, w.winograd.bias = nil, nil, nil
}

// spare keeps what one goroutine at a time uses, for the next. Unlike a sync.Pool
// it is not emptied by the garbage collector, so that nothing is made twice.
type spare[T any] struct {
	mu   sync.Mutex
	kept []*T
}

func (s *spare[T]) get() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.kept) - 1
	if last < 0 {
		return new(T)
	}
	v := s.kept[last]
	s.kept = s.kept[:last]
	return v
}

func (s *spare[T]) put(v *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, v)
}

var (
	workers spare[worker]
	calls   spare[call]
)

// call is a call of parallel.
type call struct {
	n     int
	chunk func(w *worker, i int)
	plain func(i int) // instead of chunk
	next  atomic.Int64
	hired []*helper
	busy  atomic.Int32 // hired helpers that have not finished
	done  sync.WaitGroup
}

// work takes chunks until none is left.
func (c *call) work(w *worker) {
	for {
		i := int(c.next.Add(1)) - 1
		switch {
		case i >= c.n:
			return
		case c.chunk != nil:
			c.chunk(w, i)
		default:
			c.plain(i)
		}
	}
}

// hire offers the call to helpers that are free, count at most.
func (c *call) hire(count int) {
	for _, h := range crew(count) {
		if len(c.hired) < count && h.offer(c) {
			c.hired = append(c.hired, h)
		}
	}
}

// dismiss takes the call back from helpers that have not begun, and waits for the
// others.
func (c *call) dismiss() {
	for _, h := range c.hired {
		if h.call.CompareAndSwap(c, nil) {
			c.left()
		}
	}
	for start := time.Now(); c.busy.Load() > 0 && time.Since(start) < patience; {
	}
	c.done.Wait()
	c.hired = c.hired[:0]
}

// left counts a helper as finished.
func (c *call) left() {
	c.busy.Add(-1)
	c.done.Done()
}

// helper is a goroutine that works for calls of parallel. After one it looks out
// for the next for a while before it goes to sleep: the operations of a graph
// follow one another in microseconds, and to be woken takes longer.
type helper struct {
	call atomic.Pointer[call] // offered, or a state
	wake chan struct{}
}

// States of a helper besides an offer. Without one it is looking out.
var working, asleep = new(call), new(call)

// patience is how long a goroutine looks out before it sleeps.
const patience = 100 * time.Microsecond

// offer offers a call, which only a helper without another takes.
func (h *helper) offer(c *call) bool {
	c.busy.Add(1)
	c.done.Add(1)
	if h.call.CompareAndSwap(nil, c) {
		return true
	}
	if h.call.CompareAndSwap(asleep, c) {
		h.wake <- struct{}{}
		return true
	}
	c.left()
	return false
}

func (h *helper) run() {
	var w worker
	for {
		c := h.await()
		c.work(&w)
		w.forget()
		h.call.Store(nil)
		c.left()
	}
}

// await returns the next call that is offered and not taken back.
func (h *helper) await() *call {
	for {
		for start := time.Now(); time.Since(start) < patience; {
			if c := h.call.Load(); c != nil && h.call.CompareAndSwap(c, working) {
				return c
			}
		}
		if h.call.CompareAndSwap(nil, asleep) {
			<-h.wake
		}
	}
}

// helpers are all there are. They live as long as the process.
var helpers struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*helper]
}

// crew returns all helpers, after it has seen to it that there are count.
func crew(count int) []*helper {
	if all := helpers.all.Load(); all != nil && len(*all) >= count {
		return *all
	}
	helpers.mu.Lock()
	defer helpers.mu.Unlock()
	var grown []*helper
	if all := helpers.all.Load(); all != nil {
		grown = append(grown, *all...)
	}
	for len(grown) < count {
		h := &helper{wake: make(chan struct{}, 1)}
		go h.run()
		grown = append(grown, h)
	}
	helpers.all.Store(&grown)
	return grown
}

// users is the number of goroutines that compute for a while.
var users atomic.Int32

// Enter tells that a goroutine is going to run many operations, until it calls
// Leave. The processors are shared out among all that have entered: when there are
// as many as processors, each runs its operations alone, without any exchange.
func Enter() { users.Add(1) }

// Leave ends what Enter began.
func Leave() { users.Add(-1) }

// share is the number of goroutines that an operation may run on.
func share() int { return max(1, runtime.GOMAXPROCS(0)/max(1, int(users.Load()))) }

// parallel calls f for every chunk 0 <= i < n on some goroutines, up to GOMAXPROCS,
// and returns when all are done. Each chunk must write only its own part of the
// result, so that the order in which chunks run does not matter. Nothing is
// allocated if f is a function that was there before.
func parallel(n int, f func(w *worker, i int)) { run(n, f, nil) }

// Parallel calls f for every 0 <= i < n on some goroutines, up to GOMAXPROCS. Calls
// must be independent of one another. Nothing is allocated if f was there before.
func Parallel(n int, f func(i int)) { run(n, nil, f) }

func run(n int, chunk func(w *worker, i int), plain func(i int)) {
	w, c := workers.get(), calls.get()
	c.n, c.chunk, c.plain = n, chunk, plain
	c.next.Store(0)
	if others := min(share(), n) - 1; others > 0 {
		c.hire(others)
	}
	c.work(w)
	w.forget()
	if len(c.hired) > 0 {
		c.dismiss()
	}
	c.chunk, c.plain = nil, nil
	calls.put(c)
	workers.put(w)
}
