package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// simulateFlags are those of "simulate": the settings in the words of a person,
// the data, and the files.
type simulateFlags struct {
	settings      simulate.Settings
	poisonShare   fl.Micro
	poison        string
	privacy       privacy
	refinements   refinements
	backbone      backboneFlags
	input         inputFlags
	metric        choice
	thresholdKind choice
	curve         choice
	partition     partition
	data          dataFlags
	classes       []string // that the data must have

	checkpoint string
	csv        string
	plot       string
	out        string
}

func newSimulate(a *app) *cobra.Command {
	f := &simulateFlags{settings: simulate.Defaults()}
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Play a whole task in one process, without a network",
		Long: `Play a federated task in this process: no ledger, no IPFS, and the same rules of
the round as the chaincode's for sampling, election, medians and acceptance. The
training examples are split among the clients, each an organisation of its own.
The defaults are the setting of Hu et al.: 100 clients of which a tenth train, 50
rounds of 3 epochs, batches of 128. The same flags give the same models.

With --checkpoint a run that was stopped goes on where it was. --masters 0 leaves
the scoring out and accepts every update.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSimulate(cmd.Context(), a, f) },
	}
	f.bind(c.Flags())
	return c
}

func (f *simulateFlags) bind(flags *pflag.FlagSet) {
	s := &f.settings
	f.poisonShare = fl.One / 5
	f.metric = choice{string(s.Metric), []string{string(fl.MetricAUC), string(fl.MetricAccuracy)}}
	f.thresholdKind = choice{string(s.ThresholdKind), []string{string(fl.ThresholdRelative), string(fl.ThresholdAbsolute)}}
	f.curve = choice{s.Curve, []string{simulate.CurveValidation, simulate.CurveTest, simulate.CurveNone}}
	f.partition = partition{dataset.Partition{Kind: dataset.IID}}
	f.privacy = defaultPrivacy()
	flags.StringVar(&f.data.name, "data", "pneumoniamnist", `data set: a MedMNIST 2D set, or "synthetic"`)
	f.data.bindImages(flags)
	flags.Var((*decimal)(&s.Holdout), "holdout", "with --images that have no test part: share of them, by whole patients, to test on; 0 for none")
	flags.StringVar(&f.data.folder, "data-folder", dataFolder(), "folder of .npz files (or "+dataset.FolderVariable+")")
	flags.Lookup("data-folder").DefValue = ""
	flags.BoolVar(&f.data.offline, "offline", false, "do not download a set that is not on this machine")
	flags.StringVar(&s.Model, "model", s.Model, modelUsage())
	flags.IntVar(&s.Clients, "clients", s.Clients, "clients among which the training examples are split (K)")
	flags.Var((*decimal)(&s.Participation), "participation", "share of the clients that are not masters which train in a round (P)")
	flags.IntVar(&s.Rounds, "rounds", s.Rounds, "rounds to close (R)")
	flags.IntVar(&s.Epochs, "epochs", s.Epochs, "passes over the local data in a round (E)")
	flags.IntVar(&s.BatchSize, "batch-size", s.BatchSize, "most examples a training step (b)")
	flags.Var((*decimal)(&s.LearningRate), "learning-rate", "of stochastic gradient descent")
	flags.Var((*decimal)(&s.Momentum), "momentum", "of stochastic gradient descent, below 1")
	flags.StringVar(&s.Strategy, "strategy", s.Strategy, strategyUsage())
	flags.Var(&f.partition, "partition", "how the training examples are split")
	flags.IntVar(&s.Masters, "masters", s.Masters, "masters elected a round, at least 3f+1 (m); 0 for no scoring")
	flags.IntVar(&s.F, "f", s.F, "masters that may lie")
	flags.Var(&f.metric, "metric", "what the masters score")
	flags.Var(&f.thresholdKind, "threshold-kind", "what a median is compared with")
	flags.Var((*decimal)(&s.Threshold), "threshold", "least median accepted, or how far below the previous global model's, more after rounds that accept none")
	flags.Var((*decimal)(&s.BaseWeight), "base-weight", "a newcomer's weight in the election")
	flags.IntVar(&s.MaxFailed, "max-failed", s.MaxFailed, "rounds that may fail in a row")
	flags.StringVar(&f.poison, "poison", simulate.PoisonNone, "what dishonest clients do: none, sign-flip, label-flip, or scale with its factor as in scale:100")
	flags.Var((*decimal)(&f.poisonShare), "poison-share", "share of the clients that are dishonest")
	f.privacy.bind(flags)
	f.refinements.bind(flags)
	f.backbone.bind(flags)
	flags.Int64Var(&s.Seed, "seed", s.Seed, "of the first model, the split, the beacons, the shuffles and the dishonest clients")
	flags.Var(&f.curve, "curve", "split that every round's global model is measured on")
	flags.BoolVar(&s.Untested, "no-test", false, "leave the test split alone, as when settings are chosen: judge them by the validation split")
	flags.StringSliceVar(&f.classes, "classes", nil, "classes that the data must have, by name in the order of the model's outputs (default those of the data)")
	f.data.bindShape(flags)
	f.input.bind(flags, "")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "file to save to after every round, and to go on from where it is there")
	flags.StringVar(&f.csv, "csv", "", "file for the table of rounds")
	flags.StringVar(&f.plot, "plot", "", "file for the plot, .svg or .html")
	flags.StringVar(&f.out, "out", "", "file for the last global model")
}

// check gives the settings, and refuses flags that contradict each other before
// any work is done.
func (f *simulateFlags) check() (simulate.Settings, error) {
	s := f.settings
	poison, err := simulate.ParsePoison(f.poison)
	if err != nil {
		return s, err
	}
	if poison.Kind != simulate.PoisonNone {
		poison.Share = f.poisonShare
	}
	if err := checkPlot(f.plot); err != nil {
		return s, err
	}
	if s.Masters == 0 {
		s.F = 0
	}
	s.Poison = poison
	s.Decay, s.Balance, s.Augmentation = fl.Micro(f.refinements.Decay), f.refinements.Balance, fl.Augmentation(f.refinements.Augment)
	s.Metric, s.ThresholdKind, s.Curve = fl.Metric(f.metric.value), fl.ThresholdKind(f.thresholdKind.value), f.curve.value
	s.Split, s.Alpha = f.partition.Kind, f.partition.Alpha
	s.Privacy = f.privacy.onLedger()
	return s, nil
}

func runSimulate(ctx context.Context, a *app, f *simulateFlags) error {
	settings, err := f.check()
	if err != nil {
		return err
	}
	data, first, err := f.load(ctx, a, &settings)
	if err != nil {
		return err
	}
	simulation, err := f.begin(settings, data, first)
	if err != nil {
		return err
	}
	report, err := f.follow(ctx, a, simulation)
	if err != nil {
		return err
	}
	if err := f.write(report, simulation); err != nil {
		return err
	}
	return a.print(report, func(w io.Writer) { printSimulation(w, report) })
}

// load brings the data, with a test split of its own or one held out; for a model with
// a frozen backbone as features, which the settings then tell the origin of, and with the
// first weights of its head.
func (f *simulateFlags) load(ctx context.Context, a *app, settings *simulate.Settings) (*dataset.Data, *weights.Weights, error) {
	spec := backbone.SpecFor(settings.Model, cmp.Or(f.data.channels, 1), f.data.size, 2)
	in, err := f.input.of(spec)
	if err != nil {
		return nil, nil, err
	}
	f.data.shapedFor(spec, in)
	data, err := f.data.load(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	in = in.Whole(max(spec.Channels, data.Channels))
	settings.Input = node.InputOnLedger(in)
	if f.classes != nil {
		if err := f.data.match(a, data, f.classes); err != nil {
			return nil, nil, err
		}
	}
	if err := holdOut(data, *settings); err != nil {
		return nil, nil, err
	}
	var made *backbone.Backbone
	made, settings.Backbone, err = f.backbone.open(backbone.SpecFor(settings.Model, data.Channels, data.Size, len(data.Classes)), in)
	if err != nil || made == nil {
		return data, nil, err
	}
	first, err := a.firstHead(ctx, made, settings.Seed)
	if err != nil {
		return nil, nil, err
	}
	own := *data
	if settings.Untested {
		own.Test = dataset.Split{}
	}
	data, err = a.featuresOf(ctx, made, &own)
	return data, first, err
}

// holdOut makes a test split of some training images' patients where the settings ask
// for it.
func holdOut(data *dataset.Data, settings simulate.Settings) (err error) {
	if settings.Holdout == 0 {
		return nil
	}
	if data.Test.Len() > 0 {
		return usage("the data have %d test images of their own; leave --holdout out", data.Test.Len())
	}
	data.Train, data.Test, err = data.Train.Holdout(node.Float(settings.Holdout), settings.Seed)
	return err
}

// begin starts a simulation, or goes on from the checkpoint where there is one.
func (f *simulateFlags) begin(settings simulate.Settings, data *dataset.Data, first *weights.Weights) (*simulate.Simulation, error) {
	if f.checkpoint == "" {
		return simulate.New(settings, data, first)
	}
	saved, err := simulate.ReadCheckpoint(f.checkpoint)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return simulate.New(settings, data, first)
	case err != nil:
		return nil, err
	}
	return simulate.Resume(settings, data, first, saved)
}

// follow runs a simulation with a progress bar.
func (f *simulateFlags) follow(ctx context.Context, a *app, s *simulate.Simulation) (*simulate.Report, error) {
	shown := a.newBars()
	defer shown.Close()
	hooks := simulate.Hooks{Trained: func(done, total int) { shown.Step("training clients", done, total) }}
	if f.checkpoint != "" {
		hooks.Saved = func(c simulate.Checkpoint) error { return simulate.WriteCheckpoint(f.checkpoint, c) }
	}
	return s.Run(ctx, hooks)
}

// write makes the files that were asked for.
func (f *simulateFlags) write(report *simulate.Report, s *simulate.Simulation) error {
	draw := report.SVG
	if strings.HasSuffix(f.plot, ".html") {
		draw = report.HTML
	}
	for _, file := range []struct {
		path string
		make func() ([]byte, error)
	}{{f.csv, report.CSV}, {f.plot, draw}} {
		if file.path == "" {
			continue
		}
		content, err := file.make()
		if err == nil {
			err = simulate.WriteFile(file.path, content)
		}
		if err != nil {
			return err
		}
	}
	if f.out == "" {
		return nil
	}
	d := describe(s.Terms())
	return model.WriteFile(f.out, s.Global(), &d)
}

func printSimulation(w io.Writer, r *simulate.Report) {
	fmt.Fprintln(w, "ROUND\tPHASE\tACCEPTED\tPOISONED\tACCURACY\tAUC\tSENSITIVITY\tSPECIFICITY")
	for _, round := range r.Rounds {
		accepted, poisoned := r.Counts(round)
		measured := "–\t–\t–\t–"
		if m := round.Metrics; m != nil {
			measured = strings.Join([]string{rate(m.Accuracy), rate(m.AUC), rate(m.Sensitivity), rate(m.Specificity)}, "\t")
		}
		fmt.Fprintf(w, "%d\t%s\t%d/%d\t%d/%d\t%s\n", round.Round.Number, round.Round.Phase,
			accepted[0]+accepted[1], len(round.Round.Trainers), accepted[1], poisoned, measured)
	}
	synthetic := ""
	if r.Synthetic {
		synthetic = " (synthetic: made by a program, not measured)"
	}
	fmt.Fprintf(w, "\ntask\t%s\ndata\t%s%s\nmodel\t%s\n", r.Phase, r.Data, synthetic, r.Digest)
	if r.Settings.Backbone.Digest != "" {
		fmt.Fprintf(w, "backbone\t%s\n", backboneInWords(r.Settings.Backbone))
	}
	if r.Test != nil {
		fmt.Fprintf(w, "test AUC\t%s\ntest accuracy\t%s\n", rate(r.Test.AUC), rate(r.Test.Accuracy))
	}
	if p := r.Settings.Privacy; p.On() {
		fmt.Fprintf(w, "privacy\t%s\nepsilon\t%s spent of the client that trained most\n", privacyInWords(p), r.Epsilon().Decimal(6))
	}
	fmt.Fprintf(w, "seconds\t%.1f\n", r.Seconds)
}
