package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/medfed/medfed/chaincode/fl"
)

// eventsOfRound is how many transactions a round of this demo has when nothing
// goes wrong: 6 moves of its phase, 5 updates, 4 commitments, 4 reveals, a
// proposal and 4 attestations.
const eventsOfRound = 24

// display prints what happens. On a terminal a bar below it shows how far the
// task has come; in a pipe there is none.
type display struct {
	io.Writer // for text, above the bar
	progress  *mpb.Progress
	bar       *mpb.Bar
	total     int64
	now       string // what the bar is about
}

func newDisplay() *display {
	if !cwriter.IsTerminal(int(os.Stdout.Fd())) {
		return &display{Writer: os.Stdout}
	}
	progress := mpb.New(mpb.WithOutput(os.Stdout), mpb.WithWidth(40))
	return &display{Writer: progress, progress: progress}
}

// begin starts a bar of so many parts.
func (d *display) begin(what string, total int64) {
	d.end()
	if d.progress == nil {
		return
	}
	d.now, d.total = what, total
	d.bar = d.progress.AddBar(total, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return d.now }, decor.WC{W: 26, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 7})))
}

// end takes the bar away.
func (d *display) end() {
	if d.bar != nil {
		d.bar.Abort(true)
		d.bar = nil
	}
}

// close waits until all text has been written.
func (d *display) close() {
	d.end()
	if d.progress != nil {
		d.progress.Wait()
	}
}

// event moves the bar on.
func (d *display) event(e fl.Event) {
	if d.bar == nil {
		return
	}
	d.now = fmt.Sprintf("round %d · %s", e.Round, e.Phase)
	if e.Round == 0 {
		d.now = "task · " + e.Phase
		return
	}
	d.bar.SetCurrent(min(d.total-1, max(d.bar.Current()+1, int64(e.Round-1)*eventsOfRound+1)))
}

// download shows how far a data set has come.
func (d *display) download(done, total int64) {
	if d.bar == nil && done < total {
		d.begin("downloading", total)
	}
	if d.bar != nil {
		d.bar.SetCurrent(done)
	}
}
