// Package bars takes measurements one after another, holds them against bars, and writes
// them down. It is of the programs behind make models and make heal.
package bars

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/renameio/v2"
	"github.com/vbauerster/mpb/v8/cwriter"
)

// Bars is what has come of the measurements so far.
type Bars struct {
	out        io.Writer
	status     *os.File // a terminal, for what is being done; nil for none
	missed     []string // bars
	unmeasured []string // why something is null
}

// Step is one measurement.
type Step struct {
	Title string
	To    *any // where its value goes, nil for what could not be measured
	Run   func(context.Context) (any, error)
}

// New is a beginning that prints to out, and on the terminal, where standard error is one,
// what is being done.
func New(out io.Writer) *Bars {
	b := &Bars{out: out}
	if cwriter.IsTerminal(int(os.Stderr.Fd())) {
		b.status = os.Stderr
	}
	return b
}

// Measure takes the steps and prints what each gives. The first error ends it.
func (b *Bars) Measure(ctx context.Context, steps []Step) error {
	for i, s := range steps {
		started := time.Now()
		b.Doing("%d of %d · %s", i+1, len(steps), s.Title)
		value, err := s.Run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Title, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		*s.To = value
		b.Doing("")
		fmt.Fprintf(b.out, "%d of %d · %s (%.0f s): %s\n", i+1, len(steps), s.Title, time.Since(started).Seconds(), text)
	}
	return nil
}

// Write writes the report to a file, says what is null and why, and reports whether a bar is
// missed.
func (b *Bars) Write(file string, report any) (missed bool, err error) {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return false, err
	}
	if err := renameio.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return false, err
	}
	for _, reason := range b.unmeasured {
		fmt.Fprintln(b.out, "not measured:", reason)
	}
	for _, bar := range b.missed {
		fmt.Fprintln(b.out, "MISSED:", bar)
	}
	fmt.Fprintln(b.out, "written to", file)
	return len(b.missed) > 0, nil
}

// Doing shows what is being done, on a terminal.
func (b *Bars) Doing(format string, a ...any) {
	if b.status != nil {
		fmt.Fprintf(b.status, "\r\x1b[K"+format, a...)
	}
}

// Say prints a line.
func (b *Bars) Say(format string, a ...any) {
	b.Doing("")
	fmt.Fprintf(b.out, "  "+format+"\n", a...)
}

// Bar takes note of a bar that is not held.
func (b *Bars) Bar(held bool, format string, a ...any) {
	if !held {
		b.missed = append(b.missed, fmt.Sprintf(format, a...))
	}
}

// Missed are the bars that are not held.
func (b *Bars) Missed() []string { return b.missed }

// Unmeasured takes note of why something is null.
func (b *Bars) Unmeasured(format string, a ...any) {
	b.unmeasured = append(b.unmeasured, fmt.Sprintf(format, a...))
}
