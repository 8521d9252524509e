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
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	status := status(ctx, err)
	stop()
	if err != nil && status != exit.Interrupted {
		fmt.Fprintln(os.Stderr, "demo:", strings.TrimSpace(err.Error()))
	}
	os.Exit(status)
}

// status is the demo's exit status: that of the medfed command that failed, else that
// which medfed gives to the error.
func status(ctx context.Context, err error) int {
	var medfed *exec.ExitError
	switch {
	case err == nil:
		return exit.OK
	case ctx.Err() != nil:
		return exit.Interrupted
	case errors.As(err, &medfed) && medfed.ExitCode() > 0:
		return medfed.ExitCode()
	}
	return exit.Of(err)
}

// usage makes an error of what is wrong with the command line.
func usage(c *cobra.Command, err error) error {
	return codes.Wrapf("MF-USAGE", "%w; see %s --help", err, c.CommandPath())
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, fmt.Errorf("the demo takes no argument %q", args[0]))
	}
	return nil
}

func command() *cobra.Command {
	o := defaults()
	root := &cobra.Command{
		Use:           "demo",
		Short:         "Train one model on a real network and report on it",
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	root.SetFlagErrorFunc(usage)
	flags := root.Flags()
	flags.StringVar(&o.data, "data", o.data, `MedMNIST 2D set, or "synthetic"; without it pneumoniamnist, or synthetic where that can't be had`)
	flags.BoolVar(&o.offline, "offline", o.offline, "do not download a set that is not on this machine")
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
