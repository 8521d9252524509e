package main

import (
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/medfed/medfed/network"
)

// bars shows a progress bar per step on a terminal, and nothing in a pipe. It is
// safe for concurrent use.
type bars struct {
	mu       sync.Mutex
	losses   []network.Loss
	progress *mpb.Progress // nil when nothing is shown
	byName   map[string]*mpb.Bar
}

// newBars shows bars on w when it is a terminal and tables are printed.
func (a *app) newBars() *bars {
	b := &bars{byName: map[string]*mpb.Bar{}}
	if f, ok := a.stderr.(*os.File); ok && a.format == formatTable && cwriter.IsTerminal(int(f.Fd())) {
		b.progress = mpb.New(mpb.WithOutput(io.Writer(f)), mpb.WithWidth(64))
	}
	return b
}

// Step says that done of total parts of a step are finished; total 0 is a step
// of unknown length. A step's first call begins its bar.
func (b *bars) Step(name string, done, total int) {
	b.show(name, int64(done), int64(total), decor.CountersNoUnit("%d/%d", decor.WC{W: 12}))
}

// Lost keeps a loss, to be told when the bars are gone.
func (b *bars) Lost(loss network.Loss) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.losses = append(b.losses, loss)
}

// Bytes says how far a transfer has come, in bytes; total is not above 0 where it
// is not known.
func (b *bars) Bytes(name string, done, total int64) {
	b.show(name, done, max(0, total), decor.CountersKibiByte("% .1f / % .1f", decor.WC{W: 22}))
}

// nameWidth holds the longest name of a step of network up.
const nameWidth = 40

func (b *bars) show(name string, done, total int64, counters decor.Decorator) {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bar, ok := b.byName[name]
	if !ok {
		bar = b.progress.AddBar(total,
			mpb.PrependDecorators(decor.Name(name, decor.WC{W: nameWidth, C: decor.DindentRight})),
			mpb.AppendDecorators(counters, decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 6})))
		b.byName[name] = bar
	}
	bar.SetTotal(total, total > 0 && done >= total)
	bar.SetCurrent(done)
}

// Close leaves finished bars on the screen and takes the others away.
func (b *bars) Close() {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	for _, bar := range b.byName {
		if !bar.Completed() {
			bar.Abort(false)
		}
	}
	b.mu.Unlock()
	b.progress.Wait()
}
