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
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/medfed/medfed/client/bars"
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
	*bars.Bars
	folder string // for all that is made on the way
	binary string // medfed
	quick  bool
	models map[string]made // trained so far
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
	b := &bench{Bars: bars.New(os.Stdout), folder: folder, quick: quick, models: map[string]made{}}
	if b.binary, err = build(ctx, folder); err != nil {
		return false, err
	}
	var r report
	if err := b.measure(ctx, &r); err != nil {
		return false, err
	}
	return b.Write(out, r)
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
	return b.Measure(ctx, []bars.Step{
		{Title: "levels of 12 bits", To: &r.Levels, Run: b.levels},
		{Title: "files that claim much", To: &r.Bombs, Run: b.bombs},
		{Title: "classes of other names", To: &r.Classes, Run: b.classes},
		{Title: "memory of 10,000 images", To: &r.Memory, Run: b.memory},
		{Title: "one image alone", To: &r.Single, Run: b.single},
		{Title: "ONNX against medfed", To: &r.ONNX, Run: b.onnx},
	})
}

// errFailed is the error where medfed fails and should not.
var errFailed = errors.New("medfed failed")
