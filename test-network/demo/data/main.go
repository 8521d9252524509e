// Command data looks for the demo's images before anything else is built: in the
// folder that MEDFED_DATA names, in the cache, and at the official address. It says
// what the demo will be shown on, and fails where a set that was asked for by name
// can't be had.
//
//	go run ./test-network/demo/data [SET]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/medfed/medfed/client/cmd/medfed/exit"
	"github.com/medfed/medfed/trainer/dataset/source"
)

func main() {
	if len(os.Args) > 2 {
		fmt.Fprintln(os.Stderr, "usage: data [SET]")
		os.Exit(exit.Usage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := ""
	if len(os.Args) == 2 {
		name = os.Args[1]
	}
	shown := &download{out: os.Stdout, terminal: cwriter.IsTerminal(int(os.Stdout.Fd()))}
	err := find(ctx, os.Stdout, name, source.Options{Folder: os.Getenv(source.FolderVariable), AllowDownload: true, Progress: shown.progress}, shown)
	switch {
	case ctx.Err() != nil:
		os.Exit(exit.Interrupted)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%v\nThe demo itself needs no data set: make demo, without DATA\n", err)
		os.Exit(exit.Of(err))
	}
}

// find brings the data and says in one line what they are.
func find(ctx context.Context, out io.Writer, name string, from source.Options, shown *download) error {
	chosen, why, err := source.Choose(ctx, name, from)
	shown.end()
	switch {
	case err != nil:
		return err
	case why != nil:
		fmt.Fprintf(out, "%s is not on this machine and can't be downloaded: %v\n%s\n", source.Preferred, cause(why), source.Notice())
	case chosen == source.Synthetic:
		fmt.Fprintln(out, source.Notice())
	default:
		fmt.Fprintf(out, "%s is on this machine\n", chosen)
	}
	return nil
}

// cause is what lies at the bottom of an error.
func cause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// download shows how far a download is: a bar on a terminal, a line for each quarter
// elsewhere.
type download struct {
	out       io.Writer
	terminal  bool
	container *mpb.Progress
	bar       *mpb.Bar
	quarter   int64
}

func (d *download) progress(done, total int64) {
	switch {
	case d.terminal:
		d.show(done, total)
	case done == 0:
		d.quarter = 0
		fmt.Fprintln(d.out, "downloading", source.Preferred)
	case total > 0 && 4*done/total > d.quarter:
		d.quarter = 4 * done / total
		fmt.Fprintf(d.out, "%3d %% downloaded\n", 25*d.quarter)
	}
}

func (d *download) show(done, total int64) {
	if d.bar == nil {
		d.container = mpb.New(mpb.WithOutput(d.out), mpb.WithWidth(30))
		d.bar = d.container.AddBar(max(0, total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name("downloading ")),
			mpb.AppendDecorators(decor.CountersKiloByte("% .1f / % .1f"), decor.Name(" · "), decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left")))
	}
	d.bar.SetCurrent(done)
}

// end takes the bar away.
func (d *download) end() {
	if d.bar != nil {
		d.bar.Abort(true)
		d.container.Wait()
	}
}
