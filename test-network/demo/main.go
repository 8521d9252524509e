// Command demo is `make demo`: it brings the default network up, has four
// hospitals and a research centre train one model over several rounds, each
// node a process of its own and one of them sending poisoned weights from round
// 3 on, prints every round as it happens, and leaves report.json and
// report.html behind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "demo:", strings.TrimSpace(err.Error()))
		}
		os.Exit(1)
	}
}

func command() *cobra.Command {
	o := defaults()
	root := &cobra.Command{
		Use:           "demo",
		Short:         "Train one model on a real network and report on it",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	flags := root.Flags()
	flags.StringVar(&o.data, "data", o.data, `MedMNIST 2D set, or "synthetic"`)
	flags.IntVar(&o.rounds, "rounds", o.rounds, "rounds to close, at least 5 to see the poisoned node rejected and demoted")
	flags.Int64Var(&o.seed, "seed", o.seed, "of the first model, the split and the shuffles")
	flags.BoolVar(&o.keep, "keep", o.keep, "leave the network up")
	flags.IntVar(&o.basePort, "base-port", o.basePort, "first port of the network")
	flags.StringVar(&o.consortium, "consortium", o.consortium, "description of the network")
	flags.StringVar(&o.state, "state", o.state, "folder of the network's state")
	flags.StringVar(&o.dir, "out", o.dir, "folder of the report, the logs and the journals")
	flags.StringVar(&o.programs, "bin", o.programs, "folder of programs")
	root.AddCommand(poisonedNode())
	return root
}
