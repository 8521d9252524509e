// Command models measures what a model promises to whoever uses it, on the medfed program
// itself, and writes what it found as JSON:
//
//	go run ./client/models [-quick] [-out FILE]
//
// A model in ONNX agrees with medfed, an image alone is answered as in company, 10,000
// images take little memory, 12 bits stay 12 bits, small files that claim much take little,
// and classes of other names are refused. What a bar is and what was measured is printed;
// the exit status is 1 where one is missed. What can't be measured here is null, with the
// reason. No network is needed, and nothing is left behind but the report.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/vbauerster/mpb/v8/cwriter"
)

// report is what is written. A value is nil where it could not be measured.
type report struct {
	ONNX    any `json:"onnx_max_difference"` // by architecture: the largest distance of a probability
	Single  any `json:"single_equals_batch"` // by architecture: an image alone is answered as in company, to the last bit
	Memory  any `json:"rss_mb_10000_images"` // by model and work: 10^6 bytes resident at most
	Levels  any `json:"levels_of_12_bits"`   // by format: values that 4,096 levels become
	Bombs   any `json:"bomb_rss_mb"`         // by file: 10^6 bytes resident at most
	Classes any `json:"classes_refused"`     // by command: other names are refused, by code
}

// bench is the measuring.
type bench struct {
	out    io.Writer
	status *os.File // a terminal, for what is being done; nil for none
	folder string   // for all that is made on the way
	binary string   // medfed
	quick  bool
	models map[string]made // trained so far
	missed []string        // bars
	said   []string        // why something is null
}

func main() {
	out := flag.String("out", ".run/models/report.json", "file for the report")
	quick := flag.Bool("quick", false, "fewer images: shows that it runs, and leaves null what needs all of them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx, *out, *quick)
	if err != nil {
		fmt.Fprintln(os.Stderr, "models:", err)
	}
	if err != nil || missed {
		os.Exit(1)
	}
}

// run measures everything and writes the report.
func run(ctx context.Context, out string, quick bool) (missed bool, err error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return false, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(out), "work-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(folder)
	if folder, err = filepath.Abs(folder); err != nil {
		return false, err
	}
	b := &bench{out: os.Stdout, folder: folder, quick: quick, models: map[string]made{}}
	if cwriter.IsTerminal(int(os.Stderr.Fd())) {
		b.status = os.Stderr
	}
	if b.binary, err = build(ctx, folder); err != nil {
		return false, err
	}
	var r report
	if err := b.measure(ctx, &r); err != nil {
		return false, err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return false, err
	}
	if err := renameio.WriteFile(out, append(text, '\n'), 0o644); err != nil {
		return false, err
	}
	for _, reason := range b.said {
		fmt.Fprintln(b.out, "not measured:", reason)
	}
	for _, bar := range b.missed {
		fmt.Fprintln(b.out, "MISSED:", bar)
	}
	fmt.Fprintln(b.out, "written to", out)
	return len(b.missed) > 0, nil
}

// build makes the program that is measured.
func build(ctx context.Context, folder string) (string, error) {
	binary := filepath.Join(folder, "medfed")
	c := exec.CommandContext(ctx, "go", "build", "-o", binary, "./client/cmd/medfed")
	c.Stderr = os.Stderr
	return binary, c.Run()
}

// measure goes through the bars, the quick ones first. What takes memory of this process
// itself comes last: that of a program that it starts is counted from what it has.
func (b *bench) measure(ctx context.Context, r *report) error {
	steps := []struct {
		title string
		to    *any
		run   func(context.Context) (any, error)
	}{
		{"levels of 12 bits", &r.Levels, b.levels},
		{"files that claim much", &r.Bombs, b.bombs},
		{"classes of other names", &r.Classes, b.classes},
		{"memory of 10,000 images", &r.Memory, b.memory},
		{"one image alone", &r.Single, b.single},
		{"ONNX against medfed", &r.ONNX, b.onnx},
	}
	for i, s := range steps {
		started := time.Now()
		b.doing("%d of %d · %s", i+1, len(steps), s.title)
		value, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		*s.to = value
		b.doing("")
		fmt.Fprintf(b.out, "%d of %d · %s (%.0f s): %s\n", i+1, len(steps), s.title, time.Since(started).Seconds(), text)
	}
	return nil
}

// doing shows what is being done, on a terminal.
func (b *bench) doing(format string, a ...any) {
	if b.status != nil {
		fmt.Fprintf(b.status, "\r\x1b[K"+format, a...)
	}
}

// say prints a line.
func (b *bench) say(format string, a ...any) {
	b.doing("")
	fmt.Fprintf(b.out, "  "+format+"\n", a...)
}

// bar takes note where a bar is missed.
func (b *bench) bar(held bool, format string, a ...any) {
	if !held {
		b.missed = append(b.missed, fmt.Sprintf(format, a...))
	}
}

// unmeasured takes note of why something is null.
func (b *bench) unmeasured(format string, a ...any) {
	b.said = append(b.said, fmt.Sprintf(format, a...))
}

// errFailed is the error where medfed fails and should not.
var errFailed = errors.New("medfed failed")
