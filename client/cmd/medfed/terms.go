package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
)

// terms is what a coordinator writes down before a task is created: fl.Terms in
// the words of a person, with rates as decimals. Its fields are the flags of
// "task create" and, with underscores, the keys of its --terms file.
type terms struct {
	Model         string  `yaml:"model"`
	Data          string  `yaml:"data"`
	Seed          int64   `yaml:"seed"`
	Epochs        int     `yaml:"epochs"`
	BatchSize     int     `yaml:"batch_size"`
	LearningRate  decimal `yaml:"learning_rate"`
	Momentum      decimal `yaml:"momentum"`
	Strategy      string  `yaml:"strategy"`
	Metric        string  `yaml:"metric"`
	ThresholdKind string  `yaml:"threshold_kind"`
	Threshold     decimal `yaml:"threshold"`
	F             int     `yaml:"f"`
	Masters       int     `yaml:"masters"`
	Participation decimal `yaml:"participation"`
	MinUpdates    int     `yaml:"min_updates"`
	MaxExamples   int64   `yaml:"max_examples"`
	BaseWeight    decimal `yaml:"base_weight"`
	Rounds        int     `yaml:"rounds"`
	MaxFailed     int     `yaml:"max_failed"`
	Starting      int64   `yaml:"starting_seconds"`
	Training      int64   `yaml:"training_seconds"`
	Committing    int64   `yaml:"committing_seconds"`
	Revealing     int64   `yaml:"revealing_seconds"`
	Aggregating   int64   `yaml:"aggregating_seconds"`
	KeepUpdates   int     `yaml:"keep_updates"`
	KeepModels    int     `yaml:"keep_models"`
	Privacy       privacy `yaml:",inline"`

	Refinements refinements   `yaml:",inline"`
	Backbone    backboneFlags `yaml:",inline"`

	// Shape and classes of images that are no MedMNIST set's; 0 and none for the set's own.
	ImageSize int      `yaml:"image_size"`
	Channels  int      `yaml:"channels"`
	Classes   []string `yaml:"classes"`
	ClassesOf string   `yaml:"classes_of"` // folder of images that has the classes
	Positive  string   `yaml:"positive"`

	Input inputFlags `yaml:",inline"`
}

// defaultTerms holds f = 1 with 4 masters, and suits the default network's 9
// nodes and the six-layer CNN on a MedMNIST set.
func defaultTerms() terms {
	return terms{
		Model: model.HMChainCNN, Data: "pneumoniamnist", Seed: 1,
		Epochs: 3, BatchSize: 128, LearningRate: 10_000, Momentum: 900_000,
		Strategy: fl.StrategyFedAvg, Metric: string(fl.MetricAUC), ThresholdKind: string(fl.ThresholdRelative), Threshold: 200_000,
		F: 1, Masters: 4, Participation: decimal(fl.One), MinUpdates: 3, MaxExamples: 1_000_000, BaseWeight: 500_000,
		Rounds: 5, MaxFailed: 3,
		Starting: 60, Training: 600, Committing: 300, Revealing: 60, Aggregating: 300,
		KeepUpdates: 2, KeepModels: 10,
		Privacy: defaultPrivacy(), Input: inputFlags{Fit: fl.FitStretch},
	}
}

// bind makes a flag of every term. The present values become the defaults.
func (t *terms) bind(flags *pflag.FlagSet) {
	flags.StringVar(&t.Model, "model", t.Model, modelUsage())
	flags.StringVar(&t.Data, "data", t.Data, `data label: a MedMNIST 2D set, "synthetic", or with --classes one of your own for node run --images`)
	flags.Int64Var(&t.Seed, "seed", t.Seed, "of the first model and of the trainers' shuffles")
	flags.IntVar(&t.Epochs, "epochs", t.Epochs, "passes over the local data in a round (E)")
	flags.IntVar(&t.BatchSize, "batch-size", t.BatchSize, "examples a training step (b)")
	flags.Var(&t.LearningRate, "learning-rate", "of stochastic gradient descent")
	flags.Var(&t.Momentum, "momentum", "of stochastic gradient descent, below 1")
	flags.StringVar(&t.Strategy, "strategy", t.Strategy, strategyUsage())
	flags.StringVar(&t.Metric, "metric", t.Metric, "what the masters score: accuracy or auc")
	flags.StringVar(&t.ThresholdKind, "threshold-kind", t.ThresholdKind, "absolute, or relative to the previous global model")
	flags.Var(&t.Threshold, "threshold", "least median accepted, or how far below the previous global model's, more after rounds that accept none")
	flags.IntVar(&t.F, "f", t.F, "masters that may lie")
	flags.IntVar(&t.Masters, "masters", t.Masters, "masters elected a round, at least 3f+1 (m)")
	flags.Var(&t.Participation, "participation", "share of the other nodes that train in a round (P)")
	flags.IntVar(&t.MinUpdates, "min-updates", t.MinUpdates, "updates that suffice once training's time is over")
	flags.Int64Var(&t.MaxExamples, "max-examples", t.MaxExamples, "most examples one update may count for")
	flags.Var(&t.BaseWeight, "base-weight", "a newcomer's weight in the election")
	flags.IntVar(&t.Rounds, "rounds", t.Rounds, "rounds to close (R)")
	flags.IntVar(&t.MaxFailed, "max-failed", t.MaxFailed, "rounds that may fail in a row")
	flags.Int64Var(&t.Starting, "starting-seconds", t.Starting, "time to reveal the joining salts")
	flags.Int64Var(&t.Training, "training-seconds", t.Training, "time to train and submit")
	flags.Int64Var(&t.Committing, "committing-seconds", t.Committing, "time to score and commit")
	flags.Int64Var(&t.Revealing, "revealing-seconds", t.Revealing, "time to reveal")
	flags.Int64Var(&t.Aggregating, "aggregating-seconds", t.Aggregating, "time to aggregate and attest")
	flags.IntVar(&t.KeepUpdates, "keep-updates", t.KeepUpdates, "newest rounds whose updates stay on IPFS; 0, as --keep-models, keeps all")
	flags.IntVar(&t.KeepModels, "keep-models", t.KeepModels, "newest rounds whose global models stay on IPFS")
	t.Privacy.bind(flags)
	t.Refinements.bind(flags)
	t.Backbone.bind(flags)
	flags.StringSliceVar(&t.Classes, "classes", t.Classes, "with a data label of your own: the classes by name, in the order of the model's outputs; of two the second is the positive one")
	flags.StringVar(&t.ClassesOf, "classes-of", t.ClassesOf, "instead of --classes: folder of images that has them, in alphabetical order")
	flags.StringVar(&t.Positive, "positive", t.Positive, "of two classes the positive one, where that is not the second")
	flags.IntVar(&t.ImageSize, "image-size", t.ImageSize, "with a data label of your own: height and width of the images (default 28)")
	flags.IntVar(&t.Channels, "channels", t.Channels, "with a data label of your own: 1 for grey images, 3 for colour (default 1)")
	t.Input.bind(flags, "")
}

// modelUsage explains --model.
func modelUsage() string { return "architecture, one of " + strings.Join(model.Names(), ", ") }

// strategyUsage explains --strategy.
func strategyUsage() string {
	return fmt.Sprintf("aggregation strategy, one of %s; with parameters as in krum:num_malicious_nodes=1 or krum:clipping_norm=5", strings.Join(fed.Strategies(), ", "))
}

// readTerms takes the defaults, then the file where one is named, then the flags
// that were given.
func readTerms(file string, given *pflag.FlagSet) (terms, error) {
	t := defaultTerms()
	if file != "" {
		if err := t.readFile(file); err != nil {
			return t, err
		}
	}
	own := pflag.NewFlagSet("terms", pflag.ContinueOnError)
	t.bind(own)
	var err error
	given.Visit(func(f *pflag.Flag) {
		term := own.Lookup(f.Name)
		if term == nil {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok { // whose text is no flag's
			err = errors.Join(err, term.Value.(pflag.SliceValue).Replace(list.GetSlice()))
			return
		}
		err = errors.Join(err, own.Set(f.Name, f.Value.String()))
	})
	return t, err
}

func (t *terms) readFile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return usage("the terms can't be read: %v; name a YAML file with --terms", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(t); err != nil && !errors.Is(err, io.EOF) {
		return usage("%s holds no terms: %v; its keys are the flags of task create, with underscores", file, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return nil
}

// forTask gives the ledger's form of the terms, without the backbone. The images'
// shape comes from the data label.
func (t terms) forTask(task string) (fl.Terms, error) {
	info, err := t.images()
	if err != nil {
		return fl.Terms{}, err
	}
	spec := backbone.SpecFor(t.Model, info.Channels, info.Size, len(info.Classes))
	in, err := t.Input.of(spec)
	if err != nil {
		return fl.Terms{}, err
	}
	return fl.Terms{
		Task: task, Model: t.Model, Data: t.Data,
		Channels: spec.Channels, ImageSize: spec.Size, Classes: spec.Classes, ClassNames: info.Classes, Input: node.InputOnLedger(in),
		Training: fl.Training{Epochs: t.Epochs, BatchSize: t.BatchSize,
			LearningRate: fl.Micro(t.LearningRate), Momentum: fl.Micro(t.Momentum), Seed: t.Seed,
			Decay: fl.Micro(t.Refinements.Decay), BalanceClasses: t.Refinements.Balance, Augmentation: fl.Augmentation(t.Refinements.Augment)},
		Strategy: t.Strategy, Metric: fl.Metric(t.Metric),
		ThresholdKind: fl.ThresholdKind(t.ThresholdKind), Threshold: fl.Micro(t.Threshold),
		F: t.F, Masters: t.Masters, Participation: fl.Micro(t.Participation), MinUpdates: t.MinUpdates,
		MaxExamples: t.MaxExamples, BaseWeight: fl.Micro(t.BaseWeight), Rounds: t.Rounds, MaxFailed: t.MaxFailed,
		Deadlines: fl.Deadlines{Starting: t.Starting, Training: t.Training, Committing: t.Committing,
			Revealing: t.Revealing, Aggregating: t.Aggregating},
		Retention: fl.Retention{Updates: t.KeepUpdates, Models: t.KeepModels},
		Privacy:   t.Privacy.onLedger(),
	}, nil
}

// images is what is known of the images: of a MedMNIST set everything, of others what
// the flags say.
func (t terms) images() (dataset.Info, error) {
	info, err := dataset.Lookup(t.Data)
	own := len(t.Classes) > 0 || t.ClassesOf != "" || t.ImageSize != 0 || t.Channels != 0
	switch {
	case own && err == nil:
		return dataset.Info{}, usage("--classes, --classes-of, --image-size and --channels are for images of your own, and %s is a set with its own; leave them out, or name other images with --data", t.Data)
	case own && (len(t.Classes) > 0) == (t.ClassesOf != ""):
		return dataset.Info{}, usage("the classes of %s are not known; name them with --classes, or a folder of images that has them with --classes-of", t.Data)
	case own:
		info = dataset.Info{Name: t.Data, Channels: cmp.Or(t.Channels, 1), Size: cmp.Or(t.ImageSize, 28), Classes: t.Classes}
	case err != nil:
		return dataset.Info{}, err
	}
	if t.ClassesOf != "" {
		if info.Classes, err = dataset.ClassesOf(t.ClassesOf); err != nil {
			return dataset.Info{}, err
		}
	}
	return info, t.order(&info)
}

// order makes the positive class the second of two.
func (t terms) order(info *dataset.Info) error {
	if t.Positive == "" {
		return nil
	}
	at := slices.Index(info.Classes, t.Positive)
	if at < 0 || len(info.Classes) != 2 {
		return usage("--positive names %q, and the classes are %s; name one of two", t.Positive, dataset.InWords(info.Classes))
	}
	info.Classes = []string{info.Classes[1-at], t.Positive}
	return nil
}

// decimal is an fl.Micro as a flag and YAML value: a decimal number of at most six
// places.
type decimal fl.Micro

func (d *decimal) Type() string          { return "decimal" }
func (d decimal) String() string         { return fl.Micro(d).String() }
func (d *decimal) Set(text string) error { return (*fl.Micro)(d).Set(text) }

// UnmarshalYAML reads the number as it stands in the file, without a detour by
// way of binary floating point.
func (d *decimal) UnmarshalYAML(node *yaml.Node) error {
	if err := d.Set(node.Value); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

// shard is the value of --shard: part i of n, counted from 1.
type shard struct{ i, n int }

func (s *shard) Type() string   { return "i/n" }
func (s *shard) String() string { return fmt.Sprintf("%d/%d", s.i, s.n) }
func (s *shard) Set(text string) error {
	first, second, ok := strings.Cut(text, "/")
	i, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(second)
	if !ok || err1 != nil || err2 != nil || i < 1 || i > n {
		return errors.New("write i/n with i from 1 to n, for instance 2/9")
	}
	s.i, s.n = i, n
	return nil
}

// partition is the value of --partition.
type partition struct{ dataset.Partition }

func (p *partition) Type() string { return "iid|dirichlet:alpha|patient" }
func (p *partition) String() string {
	if p.Kind == dataset.Dirichlet {
		return fmt.Sprintf("%s:%g", p.Kind, p.Alpha)
	}
	return p.Kind
}

func (p *partition) Set(s string) error {
	kind, parameter, hasParameter := strings.Cut(s, ":")
	switch {
	case (kind == dataset.IID || kind == dataset.ByPatient) && !hasParameter:
		p.Partition = dataset.Partition{Kind: kind}
		return nil
	case kind == dataset.Dirichlet && hasParameter:
		alpha, err := strconv.ParseFloat(parameter, 64)
		if err != nil || !(alpha > 0) {
			return fmt.Errorf("alpha %q is no positive number", parameter)
		}
		p.Partition = dataset.Partition{Kind: dataset.Dirichlet, Alpha: alpha}
		return nil
	}
	return errors.New("write iid, dirichlet with its alpha as in dirichlet:0.5, or patient for images of which the patients are known")
}

// checkTask refuses a name that can't be a task's before anything is asked of
// the ledger.
func checkTask(name string) error {
	if err := fl.CheckTaskName(name); err != nil {
		return codes.Errorf("MF-USAGE", "%q is no task's name; it is 1 to 64 of a-z, 0-9 and hyphen", name)
	}
	return nil
}
