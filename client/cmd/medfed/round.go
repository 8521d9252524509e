package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
)

func newRound(a *app) *cobra.Command {
	return group("round", "Look at rounds", newRoundShow(a), newRoundWatch(a))
}

func newRoundShow(a *app) *cobra.Command {
	var number int
	c := &cobra.Command{
		Use:   "show TASK",
		Short: "Show everything the ledger knows of a round",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRound(args[0], number); err != nil {
				return err
			}
			state, err := ask(a, func(c gateway.Contracts, _ *gateway.Identity) (fl.RoundState, error) {
				return roundOf(cmd.Context(), c, args[0], number)
			})
			if err != nil {
				return err
			}
			return a.print(state, func(w io.Writer) { printRound(w, state) })
		},
	}
	c.Flags().IntVar(&number, "round", 0, "number of the round (default the newest)")
	return c
}

// roundOf gives a round's state; number 0 stands for the newest.
func roundOf(ctx context.Context, c gateway.Contracts, task string, number int) (fl.RoundState, error) {
	if number == 0 {
		state, err := c.Tasks.GetTask(ctx, fl.TaskRequest{Task: task})
		if err != nil {
			return fl.RoundState{}, err
		}
		number = max(1, state.LastRound)
	}
	return c.Rounds.GetRound(ctx, fl.RoundRequest{Task: task, Round: number})
}

// checkRound refuses what can't be a task and the number of one of its rounds; 0
// is a round that was not named.
func checkRound(task string, number int) error {
	if number < 0 {
		return usage("--round is %d; rounds are numbered from 1", number)
	}
	return checkTask(task)
}

func newRoundWatch(a *app) *cobra.Command {
	var from int
	c := &cobra.Command{
		Use:   "watch TASK",
		Short: "Print each round as it happens, until the task is over",
		Long: `Print each round as it happens, until the task is over: a line when a round
enters a phase and a table when it has closed or failed. With --format json every
change of phase is one line, everything the ledger knows of the round. Exits 3
when the task has failed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTask(args[0]); err != nil {
				return err
			}
			if from < 1 {
				return usage("--from is %d; rounds are numbered from 1", from)
			}
			l, err := a.ledger()
			if err != nil {
				return err
			}
			defer l.Close()
			return (&watch{app: a, contracts: gateway.ContractsOf(l), task: args[0], next: from}).run(cmd.Context(), l)
		},
	}
	c.Flags().IntVar(&from, "from", 1, "first round to print")
	return c
}

// watch prints what becomes of a task's rounds.
type watch struct {
	*app
	contracts gateway.Contracts
	task      string
	next      int           // first round that is not over
	seen      fl.RoundPhase // last printed phase of that round
}

// checkInterval is how often the ledger is read when no event comes: the events
// of a moment without a connection are not delivered.
const checkInterval = 5 * time.Second

func (w *watch) run(ctx context.Context, l node.Ledger) error {
	events := l.Events(ctx, nil) // before the first look, so that nothing falls between
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		over, err := w.look(ctx)
		if over || err != nil {
			return err
		}
		if !w.await(ctx, events, tick.C) {
			return context.Cause(ctx)
		}
	}
}

// await returns at the task's next event or at the tick, false when ctx ends.
func (w *watch) await(ctx context.Context, events <-chan gateway.Event, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case event, open := <-events:
			if !open {
				events = nil
			} else if event.Task == w.task {
				return true
			}
		}
	}
}

// look prints what is new and reports whether the task is over.
func (w *watch) look(ctx context.Context) (over bool, err error) {
	task, err := w.contracts.Tasks.GetTask(ctx, fl.TaskRequest{Task: w.task})
	if err != nil {
		return false, err
	}
	for w.next <= task.LastRound {
		state, err := w.contracts.Rounds.GetRound(ctx, fl.RoundRequest{Task: w.task, Round: w.next})
		if err != nil {
			return false, err
		}
		if err := w.show(state); err != nil {
			return false, err
		}
		if !state.Round.Phase.Final() {
			return false, nil
		}
		w.next, w.seen = w.next+1, ""
	}
	if !task.Task.Phase.Final() {
		return false, nil
	}
	return true, failedTask(task)
}

func (w *watch) show(state fl.RoundState) error {
	if state.Round.Phase == w.seen {
		return nil
	}
	w.seen = state.Round.Phase
	return w.printLine(state, func(out io.Writer) {
		if state.Round.Phase.Final() {
			printRound(out, state)
			fmt.Fprintln(out)
			return
		}
		printPhase(out, state.Round)
	})
}

// printPhase is the line of a round that goes on.
func printPhase(w io.Writer, r fl.Round) {
	until := ""
	if r.Deadline != 0 {
		until = ", until " + time.Unix(r.Deadline, 0).UTC().Format(time.TimeOnly) + " UTC"
	}
	fmt.Fprintf(w, "round %d %s: %d trainers, %d masters%s\n", r.Number, r.Phase, len(r.Trainers), len(r.Masters), until)
}

// printRound is the table of a round.
func printRound(w io.Writer, s fl.RoundState) {
	r := s.Round
	fmt.Fprintf(w, "round %d of %s: %s\n", r.Number, r.Task, phaseInWords(r))
	fmt.Fprintf(w, "masters: %s\n", strings.Join(r.Masters, ", "))
	if len(r.Spent) > 0 {
		fmt.Fprintf(w, "budget spent, so not drawn to train: %s\n", strings.Join(r.Spent, ", "))
	}
	fmt.Fprintln(w, "TRAINER\tEXAMPLES\tMEDIAN\tSCORES\tDECISION")
	for _, id := range r.Trainers {
		result, tallied := resultOf(r, id)
		decision, median, scores := "–", "–", "–"
		if tallied {
			decision, median, scores = acceptedInWords(result.Accepted), scored(result.Median), strconv.Itoa(result.Scores)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", id, examplesOf(s, id), median, scores, decision)
	}
	if r.PreviousMedian >= 0 && len(r.Results) > 0 {
		fmt.Fprintf(w, "previous global model\t\t%s\t\t\n", r.PreviousMedian.Decimal(6))
	}
	if r.Allowance > 0 {
		fmt.Fprintf(w, "accepted: median %s\n", allowanceInWords(r.Allowance))
	}
	if r.Global != nil {
		fmt.Fprintf(w, "global model: digest %s, attested by %d masters\n", r.Global.Digest, r.Attestations)
	}
}

func phaseInWords(r fl.Round) string {
	if r.Reason == "" {
		return string(r.Phase)
	}
	return fmt.Sprintf("%s (%s)", r.Phase, r.Reason)
}

func acceptedInWords(accepted bool) string {
	if accepted {
		return "accepted"
	}
	return "rejected"
}

func resultOf(r fl.Round, id string) (fl.Result, bool) {
	i := slices.IndexFunc(r.Results, func(result fl.Result) bool { return result.Node == id })
	if i < 0 {
		return fl.Result{}, false
	}
	return r.Results[i], true
}

func examplesOf(s fl.RoundState, id string) string {
	i := slices.IndexFunc(s.Updates, func(u fl.Update) bool { return u.Node == id })
	if i < 0 {
		return "no update"
	}
	return strconv.FormatInt(s.Updates[i].NumExamples, 10)
}
