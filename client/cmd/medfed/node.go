package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/trainer/dataset"
)

// nodeFlags are those of "node run" besides the data's.
type nodeFlags struct {
	expect  int
	journal string
	verbose bool
	seeded  bool // --seed was given
	budget  decimal
	// backbone is the file of the task's pre-trained backbone.
	backbone string
	data     dataFlags
}

func newNode(a *app) *cobra.Command {
	return group("node", "Take part in a task", newNodeRun(a))
}

func newNodeRun(a *app) *cobra.Command {
	f := &nodeFlags{}
	c := &cobra.Command{
		Use:   "run TASK",
		Short: "Train when sampled, score when elected, coordinate as the coordinator, until the task is over",
		Long: `Take part in a task until it is completed or has failed. The node joins, trains
when it is sampled, scores when it is elected, aggregates and attests as a
master; a coordinator's opens the rounds and proposes the global models. All of
its state is on the ledger: stopped or killed, it goes on where it was. Data set
and seed of the split are the task's unless flags name others.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.seeded = cmd.Flags().Changed("seed")
			return runNode(cmd.Context(), a, f, args[0])
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.expect, "expect-nodes", 0, `coordinator: start the task once so many nodes have joined; 0 leaves that to "task start"`)
	flags.StringVar(&f.journal, "journal", "", "file to append a line of JSON to for everything that took time")
	flags.BoolVar(&f.verbose, "verbose", false, "log every step")
	flags.Var(&f.budget, "dp-budget", "most ε that all private tasks together may spend of this node's data set; 0 for no limit but the tasks' own")
	bindBackboneFile(flags, &f.backbone, "; of the digest that the task's terms name")
	f.data.bind(flags)
	return c
}

func runNode(ctx context.Context, a *app, f *nodeFlags, task string) error {
	if err := checkTask(task); err != nil {
		return err
	}
	l, err := a.ledger()
	if err != nil {
		return err
	}
	defer l.Close()
	release, err := session.Take(a.identity, task)
	if err != nil {
		return err
	}
	defer release()
	config := node.Config{
		ID:          l.Identity().ID(),
		Task:        task,
		Coordinator: l.Identity().Role == consortium.RoleCoordinator,
		ExpectNodes: f.expect,
		Budget:      fl.Micro(f.budget),
		Ledger:      l,
		Log:         a.logger(f.verbose),
	}
	if config.Identity, err = a.ageIdentity(); err != nil {
		return err
	}
	stores, err := a.openStores(a.profile)
	if err != nil {
		return err
	}
	if config.Store, err = stores.NeedPrivate(); err != nil {
		return err
	}
	config.Members = stores.Members
	if !config.Coordinator || f.data.name != "" || f.data.images != "" {
		if err := f.load(ctx, a, &config); err != nil {
			return err
		}
	}
	return a.serve(ctx, config, f.journal)
}

// serve runs a node to the end of its task.
func (a *app) serve(ctx context.Context, config node.Config, path string) error {
	journal, err := openJournal(path)
	if err != nil {
		return err
	}
	defer journal.Close()
	config.Journal = journal
	n, err := node.New(config)
	if err != nil {
		return err
	}
	if err := n.Run(ctx); err != nil {
		return err
	}
	task, err := gateway.Tasks{Caller: config.Ledger}.GetTask(ctx, fl.TaskRequest{Task: config.Task})
	if err != nil {
		return err
	}
	if err := a.print(task, func(w io.Writer) { printTask(w, task) }); err != nil {
		return err
	}
	return failedTask(task)
}

// failedTask is the error of a task that has failed, so that its exit status
// says so.
func failedTask(task fl.TaskState) error {
	if task.Task.Phase != fl.TaskFailed {
		return nil
	}
	return codes.Errorf("MF-TASK-FAILED", "task %s failed with its round %d; medfed round show %s says why", task.Task.Task, task.LastRound, task.Task.Task)
}

// load brings the data: for a node its share of what may be trained and scored
// on, for a coordinator that names a set the test split, on which it measures
// the global models.
func (f *nodeFlags) load(ctx context.Context, a *app, config *node.Config) error {
	state, err := gateway.Tasks{Caller: config.Ledger}.GetTask(ctx, fl.TaskRequest{Task: config.Task})
	if err != nil {
		return err
	}
	terms := state.Task.Terms
	if f.data.name == "" {
		f.data.name = terms.Data
	}
	if !f.seeded {
		f.data.seed = terms.Training.Seed
	}
	backbone, err := agreedBackbone(terms, f.backbone)
	if err != nil {
		return err
	}
	in := node.Input(terms)
	f.data.shapedFor(node.Spec(terms), in)
	config.Log.Info("this is the task's model", "architecture", terms.Model, "data", terms.Data, "classes", classesInWords(terms.ClassNames),
		"images", imagesInWords(node.Spec(terms), in.Fit), "pixels", inputInWords(in))
	if f.data.images != "" && f.data.manifest == "" {
		if f.data.manifest, err = keptManifest(a.identity, config.Task); err != nil {
			return err
		}
	}
	data, err := f.data.load(ctx, a)
	if err != nil {
		return err
	}
	if err := f.data.match(a, data, terms.ClassNames); err != nil {
		return err
	}
	if err := checkImages(data, node.Spec(terms), "use --data "+terms.Data); err != nil {
		return err
	}
	if data.Synthetic {
		fmt.Fprintln(a.stderr, "medfed: SYNTHETIC DATA: generated examples; no figure says anything of a patient")
	}
	own := *data
	if config.Coordinator {
		own.Train, own.Validation = dataset.Split{}, dataset.Split{}
	} else {
		own.Test = dataset.Split{}
		if own.Train, err = f.data.share(data.Train); err != nil {
			return err
		}
		if own.Validation, err = f.data.share(data.Validation); err != nil {
			return err
		}
		config.Dataset = data.Name
	}
	if backbone != nil {
		if data, err = a.featuresOf(ctx, backbone, &own); err != nil {
			return err
		}
		own = *data
	}
	config.Train, config.Validation, config.Test = own.Train, own.Validation, own.Test
	return nil
}

// keptManifest is where a node keeps what it has read for a task, so that it can be said
// afterwards what a model was trained on.
func keptManifest(identity, task string) (string, error) {
	folder := filepath.Join(identity, "manifests")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", codes.Wrapf("MF-WRITE-MANIFEST", "the manifest can't be kept: %w; name another file with --write-manifest", err)
	}
	return filepath.Join(folder, task+".csv"), nil
}

// openJournal opens the file of --journal for appending; without one what is
// written goes nowhere.
func openJournal(path string) (io.WriteCloser, error) {
	if path == "" {
		return discard{io.Discard}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, codes.Wrapf("MF-WRITE-JOURNAL", "the journal can't be opened: %w; name a file in a folder that can be written", err)
	}
	return file, nil
}

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// logger writes to standard error: text for people, JSON where JSON is asked for.
func (a *app) logger(verbose bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		options.Level = slog.LevelDebug
	}
	if a.format == formatJSON {
		return slog.New(slog.NewJSONHandler(a.stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}
