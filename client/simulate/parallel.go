package simulate

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// inParallel does n things, as many at once as there are processors, and gives
// the first error, after which no other is begun. finished hears how many are
// done, one call at a time.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error, finished func(done int)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	done := 0
	for i := range n {
		group.Go(func() error {
			if ended := context.Cause(ctx); ended != nil {
				return ended
			}
			if err := do(ctx, i); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			finished(done)
			return nil
		})
	}
	return group.Wait()
}
