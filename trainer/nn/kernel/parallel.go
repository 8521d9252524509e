package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// worker is what one goroutine needs beside the operation's own buffers.
type worker struct {
	tile     tile
	strip    strip
	pool     poolRow
	pooled   pooledRow
	segments []segment
	padded   []float32 // of a frozen convolution
	planes   []float32 // of a frozen convolution by Winograd's method
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

var workers = sync.Pool{New: func() any { return new(worker) }}

// parallel calls f for every chunk 0 <= i < n on up to GOMAXPROCS goroutines and
// returns when all are done. Each chunk must write only its own part of the
// result, so that the order in which chunks run does not matter.
func parallel(n int, f func(w *worker, i int)) {
	helpers := min(runtime.GOMAXPROCS(0), n) - 1
	if helpers <= 0 {
		w := workers.Get().(*worker)
		for i := range n {
			f(w, i)
		}
		workers.Put(w)
		return
	}
	var next atomic.Int64
	var done sync.WaitGroup
	work := func() {
		w := workers.Get().(*worker)
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				break
			}
			f(w, i)
		}
		workers.Put(w)
	}
	for range helpers {
		done.Go(work)
	}
	work()
	done.Wait()
}

// Parallel calls f for every 0 <= i < n on up to GOMAXPROCS goroutines. Calls
// must be independent of one another.
func Parallel(n int, f func(i int)) { parallel(n, func(_ *worker, i int) { f(i) }) }
