// Command medfed is the consortium's command line: it brings a network up,
// creates tasks, runs nodes, follows rounds, fetches models, and keeps records and
// the consents to their use. A command parses its flags, calls one package below
// and prints what it got.
//
// Besides the codes of those packages, which come through unchanged, its errors
// begin with:
//
//	MF-USAGE          a command, flag or argument is wrong
//	MF-INTERRUPTED    the user stopped the command
//	MF-DATA-TASK      the data's images are not those that the task's model takes
//	MF-TASK-FAILED    the task has failed: too many of its rounds in a row did, or its budgets are spent
//	MF-WRITE-EXISTS   a file is there already and would be written over
//	MF-WRITE-JOURNAL  the journal can't be opened
//	MF-WRITE-OUTPUT   the output can't be written, for instance to a closed pipe
//
// Package exit maps codes to exit statuses.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/medfed/medfed/client/cmd/medfed/exit"
	"github.com/medfed/medfed/client/session"
)

func main() {
	boundGarbage(mostGarbage)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, newApp(os.Stdout, os.Stderr), os.Args[1:])
	stop()
	os.Exit(status)
}

// app is what the commands share: where they print, the global flags, and how
// they reach the ledger and the private IPFS.
type app struct {
	stdout, stderr io.Writer

	format   format
	profile  string
	identity string

	// openLedger and openStores are replaced in tests, which have no network.
	openLedger func(profile, identity string) (ledgerClient, error)
	openStores func(profile string) (session.Stores, error)
}

func newApp(stdout, stderr io.Writer) *app {
	return &app{stdout: stdout, stderr: stderr, format: formatTable, openLedger: connect, openStores: session.OpenStores}
}

// run carries out one command line and gives its exit status.
func run(ctx context.Context, a *app, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		err = interrupted(err)
	}
	if err != nil {
		a.printError(err)
	}
	return exit.Of(err)
}
