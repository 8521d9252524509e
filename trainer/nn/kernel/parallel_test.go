package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Every chunk is done once, whatever the number of processors, and however many
// calls are under way at once.
func TestParallelDoesEveryChunkOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 3, 5} {
		before := runtime.GOMAXPROCS(procs)
		var group sync.WaitGroup
		for caller := range 4 {
			group.Go(func() {
				if caller%2 == 1 {
					Enter()
					defer Leave()
				}
				for n := range 200 {
					done := make([]int, n)
					Parallel(n, func(i int) { done[i]++ })
					for i, times := range done {
						if times != 1 {
							t.Errorf("on %d processors chunk %d of %d was done %d times", procs, i, n, times)
						}
					}
				}
			})
		}
		group.Wait()
		runtime.GOMAXPROCS(before)
	}
}

// A call waits for its helpers: what they wrote is there when it returns, and they
// write nothing after it.
func TestParallelWaitsForItsHelpers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var under atomic.Int32
	for range 2000 {
		Parallel(8, func(int) {
			under.Add(1)
			runtime.Gosched()
			under.Add(-1)
		})
		if n := under.Load(); n != 0 {
			t.Fatalf("%d chunks go on after the call", n)
		}
	}
}

// Goroutines that have entered share the processors out.
func TestEnterSharesTheProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for entered, want := range []int{4, 4, 2, 1, 1, 1} {
		if entered > 0 {
			Enter()
			defer Leave()
		}
		if got := share(); got != want {
			t.Errorf("with %d at work a goroutine has %d processors of 4, want %d", entered, got, want)
		}
	}
}
