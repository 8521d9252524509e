package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// cell is one run that a table or a plot asks for.
type cell struct {
	name    string // for a person, and for -only
	command string // that does the run by itself
	key     any    // all that the outcome depends on besides the code; its JSON names the run
	when    when
	guess   float64 // seconds on one core of the machine where costs were measured

	// run gets a path for a checkpoint of its own, and hears in progress how many
	// steps of how many are done.
	run func(ctx context.Context, checkpoint string, progress func(done, total int)) (outcome, error)
}

// when orders the runs.
type when struct {
	pass  pass
	seed  int64
	topic topic
}

// pass is a walk through the tables.
type pass int

const (
	firstSeed  pass = iota // one seed of everything
	paperSeeds             // the seeds of the paper's own setting
	moreSeeds              // the second seed of everything, the third, and so on
)

// topic orders the runs of one pass and seed: the most telling first.
type topic int

const (
	atPaperSetting topic = iota // federated and centralised, as Table 3 has it
	onXRays
	learningRate
	batchSize
	behindVGG16
)

// passOf is the pass of a seed of anything but the paper's own setting.
func passOf(seed int64) pass {
	if seed == 1 {
		return firstSeed
	}
	return moreSeeds
}

// inOrder sorts runs, and leaves out those that another run is, too.
func inOrder(cells []cell) []cell {
	slices.SortStableFunc(cells, func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.when.pass, b.when.pass), cmp.Compare(a.when.seed, b.when.seed), cmp.Compare(a.when.topic, b.when.topic))
	})
	seen, distinct := map[string]bool{}, []cell(nil)
	for _, c := range cells {
		if id := string(keyText(c.key)); !seen[id] {
			seen[id], distinct = true, append(distinct, c)
		}
	}
	return distinct
}

// todo are the runs that are not finished, of those that are asked for.
func (b *book) todo() ([]cell, error) {
	var unfinished []cell
	for _, c := range b.cells {
		kept, err := b.store.find(c.key)
		if err != nil {
			return nil, err
		}
		if kept == nil && b.options.only.MatchString(c.name) {
			unfinished = append(unfinished, c)
		}
	}
	return unfinished, nil
}

// pace is how many times longer than guessed the finished runs took, in the middle; 1
// where there are none.
func (b *book) pace() float64 {
	var ratios []float64
	for _, c := range b.cells {
		if kept, err := b.store.find(c.key); err == nil && kept != nil && c.guess > 0 {
			ratios = append(ratios, kept.Seconds/c.guess)
		}
	}
	if len(ratios) == 0 {
		return 1
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// total is the guess for several runs, in seconds.
func total(cells []cell) float64 {
	sum := 0.0
	for _, c := range cells {
		sum += c.guess
	}
	return sum
}

// printPlan says what is going to be run and what it is thought to take.
func (b *book) printPlan(w io.Writer, todo []cell) {
	pace := b.pace()
	fmt.Fprintf(w, "%d of %d runs are to be done; together about %s", len(todo), len(b.cells), duration(pace*total(todo)))
	if pace != 1 {
		fmt.Fprintf(w, " (%.1f times what was measured on one free core, as in the finished runs)", pace)
	}
	fmt.Fprintln(w)
	sum := 0.0
	for i, c := range todo {
		sum += pace * c.guess
		fmt.Fprintf(w, "%4d  %-58s %9s  done after %9s\n", i+1, c.name, duration(pace*c.guess), duration(sum))
	}
	for _, note := range b.notes {
		fmt.Fprintln(w, note)
	}
}

// duration is a time in the words of a person.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// runAll does runs, and writes the pages after each.
func (b *book) runAll(ctx context.Context, todo []cell) error {
	b.shown.begin(total(todo))
	for i, c := range todo {
		b.shown.next(fmt.Sprintf("%d/%d %s", i+1, len(todo), c.name), c.guess)
		start := time.Now()
		kept, err := b.store.run(ctx, c, b.shown.step)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		test := kept.Outcome.Test
		b.shown.say("%d/%d %s: AUC %.3f, accuracy %.3f after %s", i+1, len(todo), c.name, test.AUC, test.Accuracy, duration(time.Since(start).Seconds()))
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}
