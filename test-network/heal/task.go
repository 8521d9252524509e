package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/medfed/medfed/client/node"
	demo "github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/trainer/dataset"
)

// task is a federated task that runs while something is broken: every node of the default
// network in a process of its own, on synthetic images.
type task struct {
	name   string
	folder string        // of logs and journals
	closed chan struct{} // a value for each round that has closed
	rounds int           // that have closed
	done   chan struct{} // closed when it has ended
	err    error         // why, once done
	cancel context.CancelCauseFunc
}

// errEnough ends a task that has served.
var errEnough = errors.New("enough rounds")

// start runs a task of so many rounds until it is stopped.
func (b *bench) start(ctx context.Context, name string, rounds int) (*task, error) {
	data, err := dataset.Load(ctx, dataset.Synthetic, dataset.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := &task{name: name, folder: filepath.Join(b.folder, name), closed: make(chan struct{}, rounds), done: make(chan struct{}), cancel: cancel}
	s, err := scenario.Prepare(scenario.Config{
		Network: b.network, Programs: b.bin, Dir: t.folder, Task: name, Seed: 1, Data: data,
		Terms: []string{"--data", data.Name, "--rounds", strconv.Itoa(rounds), "--epochs", "1", "--batch-size", "32",
			"--threshold-kind", "absolute", "--threshold", "0", "--min-updates", "3"},
		OnRound: func(r demo.Round) {
			if r.Phase == demo.PhaseClosed {
				t.closed <- struct{}{}
			}
		},
	})
	if err != nil {
		cancel(err)
		return nil, err
	}
	go func() {
		defer close(t.done)
		_, t.err = s.Run(ctx)
	}()
	return t, nil
}

// await returns when so many rounds have closed in all.
func (t *task) await(ctx context.Context, rounds int) error {
	for t.rounds < rounds {
		select {
		case <-t.closed:
			t.rounds++
		case <-t.done:
			return errors.Join(errors.New("the task has ended too soon"), t.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// during counts the rounds that close within a time.
func (t *task) during(ctx context.Context, d time.Duration) (rounds int, err error) {
	before := t.rounds
	ctx, cancel := context.WithTimeoutCause(ctx, d, errEnough)
	defer cancel()
	for {
		if err := t.await(ctx, t.rounds+1); errors.Is(err, errEnough) {
			return t.rounds - before, nil
		} else if err != nil {
			return t.rounds - before, err
		}
	}
}

// stop ends the task and its processes.
func (t *task) stop() error {
	t.cancel(errEnough)
	<-t.done
	if errors.Is(t.err, errEnough) || errors.Is(t.err, context.Canceled) {
		return nil
	}
	return t.err
}

// slowest is the longest transaction of any node that ended between two times.
func (t *task) slowest(from, until time.Time) (node.Span, error) {
	journals, err := filepath.Glob(filepath.Join(t.folder, "nodes", "*.journal"))
	if err != nil {
		return node.Span{}, err
	}
	var slowest node.Span
	for _, journal := range journals {
		f, err := os.Open(journal)
		if err != nil {
			return node.Span{}, err
		}
		spans, err := node.ReadJournal(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return node.Span{}, err
		}
		for _, s := range spans {
			if s.Kind == node.SpanLedger && s.Time.After(from) && s.Time.Before(until) && s.Seconds > slowest.Seconds {
				slowest = s
			}
		}
	}
	return slowest, nil
}
