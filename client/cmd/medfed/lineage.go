package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/gateway"
)

func newLineage(a *app) *cobra.Command {
	var number int
	c := &cobra.Command{
		Use:   "lineage TASK",
		Short: "Show the ancestry of a round's global model back to the task's first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRound(args[0], number); err != nil {
				return err
			}
			steps, err := ask(a, func(c gateway.Contracts, _ *gateway.Identity) ([]fl.LineageStep, error) {
				return lineageOf(cmd.Context(), c, args[0], number)
			})
			if err != nil {
				return err
			}
			return a.print(steps, func(w io.Writer) { printLineage(w, steps) })
		},
	}
	c.Flags().IntVar(&number, "round", 0, "round that made it (default the newest closed round)")
	return c
}

func lineageOf(ctx context.Context, c gateway.Contracts, task string, number int) ([]fl.LineageStep, error) {
	if number == 0 {
		state, err := c.Tasks.GetTask(ctx, fl.TaskRequest{Task: task})
		if err != nil {
			return nil, err
		}
		if _, number, err = newestGlobal(ctx, c, state); err != nil {
			return nil, err
		}
		if number == 0 {
			return nil, codes.Errorf("MF-ROUND-NO-GLOBAL", "no round of %s has closed, so there is no global model yet; wait for one with medfed round watch %s", task, task)
		}
	}
	return c.Rounds.GetLineage(ctx, fl.RoundRequest{Task: task, Round: number})
}

func printLineage(w io.Writer, steps []fl.LineageStep) {
	for _, s := range steps {
		fmt.Fprintf(w, "round %d: global model %s\n", s.Round, s.Global.Digest)
		fmt.Fprintf(w, "  stored as\t%s\n", s.Global.CID)
		for _, u := range s.Updates {
			fmt.Fprintf(w, "  made from\t%s, %d examples, %s\n", u.Node, u.NumExamples, u.Model.Digest)
		}
		for _, id := range s.Rejected {
			fmt.Fprintf(w, "  rejected\t%s\n", id)
		}
		fmt.Fprintf(w, "  scored by\t%s\n", strings.Join(s.Masters, ", "))
		fmt.Fprintf(w, "  closed in\t%s\n", s.TxID)
		from := fmt.Sprintf("round %d", s.PreviousRound)
		if s.PreviousRound == 0 {
			from = "the task's first model"
		}
		fmt.Fprintf(w, "  started from\t%s, %s\n", from, s.Previous.Digest)
	}
}

func newHistory(a *app) *cobra.Command {
	var number int
	c := &cobra.Command{
		Use:   "history TASK",
		Short: "Show every committed value of a task's document, or of a round's, oldest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRound(args[0], number); err != nil {
				return err
			}
			entries, err := ask(a, func(c gateway.Contracts, _ *gateway.Identity) ([]ledger.Change, error) {
				return c.Rounds.GetRoundHistory(cmd.Context(), fl.HistoryRequest{Task: args[0], Round: number})
			})
			if err != nil {
				return err
			}
			return a.print(entries, func(w io.Writer) { printHistory(w, entries) })
		},
	}
	c.Flags().IntVar(&number, "round", 0, "show this round's document (default the task's)")
	return c
}

func printHistory(w io.Writer, entries []ledger.Change) {
	fmt.Fprintln(w, "TIME\tPHASE\tTRANSACTION")
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\n", moment(e.Timestamp), phaseIn(e), e.TxID)
	}
}

// phaseIn is the phase in a committed document, which is a task or a round.
func phaseIn(e ledger.Change) string {
	var document struct {
		Phase string `json:"phase"`
	}
	if e.Deleted || json.Unmarshal([]byte(e.Value), &document) != nil {
		return "–"
	}
	return orDash(document.Phase)
}
