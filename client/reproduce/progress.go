package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows a bar of the whole plan on a terminal, and lines in a pipe.
type progress struct {
	out  io.Writer
	bars *mpb.Progress // nil in a pipe
	bar  *mpb.Bar
	name string
	done float64 // seconds guessed for the runs that are finished
	now  float64 // and for the present one
}

func newProgress(f *os.File) *progress {
	p := &progress{out: f}
	if cwriter.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(io.Writer(f)), mpb.WithWidth(48))
		p.out = p.bars // writes above the bar
	}
	return p
}

// begin starts the bar: of seconds, as they are guessed.
func (p *progress) begin(seconds float64) {
	if p.bars == nil || seconds == 0 {
		return
	}
	p.bar = p.bars.AddBar(int64(1000*seconds),
		mpb.PrependDecorators(decor.Percentage(decor.WC{W: 5})),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 9}), decor.Any(func(decor.Statistics) string { return "  " + p.name })))
}

// next goes on to another run.
func (p *progress) next(name string, seconds float64) {
	p.done += p.now
	p.name, p.now = name, seconds
	p.step(0, 1)
	if p.bars == nil {
		p.say("%s", name)
	}
}

// step says how far the present run has come.
func (p *progress) step(done, total int) {
	if p.bar != nil {
		p.bar.SetCurrent(int64(1000 * (p.done + p.now*float64(done)/float64(max(1, total)))))
	}
}

// say tells a person something, with the time.
func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// close takes an unfinished bar away.
func (p *progress) close() {
	if p.bars == nil {
		return
	}
	if p.bar != nil && !p.bar.Completed() {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
