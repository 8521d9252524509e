package simulate

import (
	"context"
	"runtime"
	"sync"
)

// inParallel does n things, as many at once as there are processors, and gives
// the first error, after which no other is begun. finished hears how many are
// done, one call at a time.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error, finished func(done int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		done  int
	)
	next := make(chan int)
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := range next {
				err := do(ctx, i)
				mu.Lock()
				if err != nil {
					cancel(err)
				} else {
					done++
					finished(done)
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}
