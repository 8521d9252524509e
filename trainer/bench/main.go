// Command bench measures the trainer against PyTorch, against stock Gorgonia and
// against what the processor can do, and writes the ratios as JSON:
//
//	go run ./trainer/bench [-out FILE]
//
// Ratios are this project's time over PyTorch's: below 1 is faster. What is
// compared takes turns, one step each, so that whatever else the machine does meets
// all alike, and medians are taken. Before anything is timed the results of both
// sides are compared; where they differ there is no number. PyTorch is the
// machine's own (Debian: python3-torch); what is not there is said and left null.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/pytorch"
)

// result is what is printed and written.
type result struct {
	Machine machine   `json:"machine"`
	Started time.Time `json:"started"`

	Step    map[string]stepRatios `json:"step"`    // by number of threads
	Forward forwardRatios         `json:"forward"` // the worse of the numbers of threads

	SpeedupVsStock *float64           `json:"speedup_vs_stock"` // stock Gorgonia's time over this project's
	PeakMB         *float64           `json:"peak_mb"`          // 10^6 bytes resident of a training process
	FMAShare       map[string]float64 `json:"fma_share"`        // of one core's peak, by layer

	Milliseconds map[string]float64 `json:"milliseconds"` // the medians behind the ratios
	Missing      []string           `json:"missing"`      // what could not be measured, and why
	Busy         string             `json:"busy"`         // a warning, "" on an idle machine
}

// stepRatios are those of a training step of the six-layer CNN, batch 128.
type stepRatios struct {
	NCHW         *float64 `json:"vs_torch_nchw"`
	ChannelsLast *float64 `json:"vs_torch_channels_last"`
}

// forwardRatios are those of a backbone's features of 224×224 images, against
// PyTorch's default layout.
type forwardRatios struct {
	ResNet50 *float64 `json:"resnet50"`
	VGG16    *float64 `json:"vgg16"`
}

func main() {
	out := flag.String("out", ".run/bench/trainer.json", "file for the result")
	train := flag.String("train", "", "train on this data set and print the peak memory: the process that is measured")
	folder := flag.String("data", os.Getenv(dataset.FolderVariable), "folder of MedMNIST files")
	turns := flag.Int("turns", 31, "turns of every comparison")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *train != "" {
		err = trainOnce(ctx, *train, *folder)
	} else {
		err = run(ctx, *out, *folder, *turns)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything, prints it and writes it to a file.
func run(ctx context.Context, out, data string, turns int) error {
	folder, err := os.MkdirTemp("", "medfed-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	r := &result{Machine: describe(), Started: time.Now().UTC().Truncate(time.Second), Step: map[string]stepRatios{}, Milliseconds: map[string]float64{}, Missing: []string{}}
	python, err := pytorch.Find(ctx)
	switch {
	case err == nil:
		r.Machine.PyTorch = python.Version
		err = r.againstPyTorch(ctx, python, folder, turns)
	case errors.Is(err, pytorch.ErrAbsent):
		r.missing("against PyTorch: %v", err)
		err = nil
	}
	for _, measure := range []func() error{
		func() error { return r.againstStock(ctx, min(turns, 7)) },
		func() error { return r.layerShares(ctx, turns) },
		func() error { return r.peakMemory(ctx, dataset.Options{Folder: data, AllowDownload: true}) },
	} {
		if err == nil {
			err = measure()
		}
	}
	if err != nil {
		return err
	}
	r.Machine.LoadAfter = load()
	if r.Machine.busy() {
		r.Busy = "other processes ran when the measurement began: repeat it on an idle machine before trusting a number"
	}
	r.print()
	return r.write(out)
}

func (r *result) missing(format string, args ...any) {
	r.Missing = append(r.Missing, fmt.Sprintf(format, args...))
}

// write replaces the file in one step.
func (r *result) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(filepath.Dir(path)))
}

func (r *result) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, line := range r.Machine.lines() {
		fmt.Fprintln(w, line)
	}
	row := func(name string, v *float64, bar string) {
		if v == nil {
			fmt.Fprintf(w, "%s\tnot measured\t\n", name)
			return
		}
		fmt.Fprintf(w, "%s\t%.3f\t%s\n", name, *v, bar)
	}
	fmt.Fprintln(w, "\nour time over PyTorch's\t\tbar")
	for _, n := range threads() {
		s := r.Step[fmt.Sprint(n)]
		row(fmt.Sprintf("training step, %d thread(s), NCHW", n), s.NCHW, "≤ 0.75")
		row(fmt.Sprintf("training step, %d thread(s), channels_last", n), s.ChannelsLast, "≤ 0.95")
	}
	row("ResNet50 forward", r.Forward.ResNet50, "≤ 0.85")
	row("VGG16 forward", r.Forward.VGG16, "≤ 0.85")
	fmt.Fprintln(w)
	row("speed-up over stock Gorgonia", r.SpeedupVsStock, "≥ 20")
	row("peak memory of training, MB", r.PeakMB, "≤ 300")
	fmt.Fprintln(w, "\nshare of one core's FMA peak; above 1 where a quarter of the operations is enough")
	for _, l := range layers() {
		if share, ok := r.FMAShare[l.name]; ok {
			fmt.Fprintf(w, "%s\t%.3f\t\n", l.name, share)
		}
	}
	fmt.Fprintln(w, "\nmedians, ms")
	for _, name := range sorted(r.Milliseconds) {
		fmt.Fprintf(w, "%s\t%.2f\t\n", name, r.Milliseconds[name])
	}
	if r.Busy != "" {
		fmt.Fprintf(w, "\nBUSY: %s\n", r.Busy)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(w, "\nnot measured: %s\n", strings.Join(r.Missing, "; "))
	}
}
