package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

func newModel(a *app) *cobra.Command {
	return group("model", "Fetch, show, measure, use and export models", newModelGet(a), newModelShow(a), newModelEvaluate(a), newModelPredict(a), newModelExport(a))
}

// globalModel is a task's global model after it has been fetched and checked.
type globalModel struct {
	Task    string      `json:"task"`
	Round   int         `json:"round"` // that made it, 0 for the task's first model
	Model   fl.ModelRef `json:"model"`
	File    string      `json:"file,omitempty"` // where it was written, "" when it was not
	terms   fl.Terms
	weights *weights.Weights
}

// newestRound stands for the newest closed round where a round can be named.
const newestRound = -1

func newModelGet(a *app) *cobra.Command {
	var round int
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "get TASK",
		Short: "Fetch a task's global model, check it against the ledger and write it as safetensors",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, force); err != nil {
				return err
			}
			m, err := fetchGlobal(cmd.Context(), a, args[0], round)
			if err != nil {
				return err
			}
			m.File = output
			if m.File == "" {
				m.File = fmt.Sprintf("%s-%d.safetensors", m.Task, m.Round)
				if err := checkOutput(m.File, force); err != nil {
					return err
				}
			}
			if err := m.write(); err != nil {
				return err
			}
			return a.print(m, func(w io.Writer) { printModel(w, m) })
		},
	}
	c.Flags().IntVar(&round, "round", newestRound, "round that made it, 0 for the task's first model (default the newest closed round)")
	c.Flags().Lookup("round").DefValue = "0"
	c.Flags().StringVarP(&output, "out", "o", "", "file to write (default TASK-ROUND.safetensors)")
	c.Flags().BoolVar(&force, "force", false, "write over an existing file")
	return c
}

func printModel(w io.Writer, m globalModel) {
	fmt.Fprintf(w, "task\t%s, round %d\nCID\t%s\ndigest\t%s\nbytes\t%d\nfile\t%s\n", m.Task, m.Round, m.Model.CID, m.Model.Digest, m.Model.Size, m.File)
}

// fetchGlobal gets a global model and checks CID and digest against the ledger.
func fetchGlobal(ctx context.Context, a *app, task string, round int) (globalModel, error) {
	m := globalModel{Task: task}
	if err := checkTask(task); err != nil {
		return m, err
	}
	if round < newestRound {
		return m, usage("--round is %d; use 0 for the first model or a round's number", round)
	}
	l, err := a.ledger()
	if err != nil {
		return m, err
	}
	defer l.Close()
	key, err := a.ageIdentity()
	if err != nil {
		return m, err
	}
	s, err := a.privateIPFS()
	if err != nil {
		return m, err
	}
	contracts := gateway.ContractsOf(l)
	state, err := contracts.Tasks.GetTask(ctx, fl.TaskRequest{Task: task})
	if err != nil {
		return m, err
	}
	m.terms = state.Task.Terms
	if m.Model, m.Round, err = globalOf(ctx, contracts, state, round); err != nil {
		return m, err
	}
	m.weights, err = node.Fetch(ctx, s, m.Model, key)
	return m, err
}

// globalOf finds the global model that a round made.
func globalOf(ctx context.Context, c gateway.Contracts, task fl.TaskState, round int) (fl.ModelRef, int, error) {
	switch round {
	case newestRound:
		return newestGlobal(ctx, c, task)
	case 0:
		return task.Task.First, 0, nil
	}
	state, err := c.Rounds.GetRound(ctx, fl.RoundRequest{Task: task.Task.Task, Round: round})
	if err != nil {
		return fl.ModelRef{}, 0, err
	}
	if state.Round.Global == nil {
		return fl.ModelRef{}, 0, codes.Errorf("MF-ROUND-NO-GLOBAL", "round %d is %s and has made no global model; name a closed round", round, state.Round.Phase)
	}
	return *state.Round.Global, round, nil
}

// checkOutput refuses, before anything is fetched, a file that is there already.
func checkOutput(path string, force bool) error {
	if path == "" || force {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return codes.Errorf("MF-WRITE-EXISTS", "%s exists; name another file, or write over it with --force", path)
	}
	return nil
}

// write writes the model with its description. A task from before classes had names has
// none.
func (m globalModel) write() error {
	if m.terms.ClassNames == nil {
		return model.WriteFile(m.File, m.weights, nil)
	}
	d := describe(m.terms)
	d.Task, d.Round = m.Task, m.Round
	return model.WriteFile(m.File, m.weights, &d)
}

// describe says what a task's models are.
func describe(t fl.Terms) model.Description {
	d := node.Spec(t).Describe(t.ClassNames, node.Input(t))
	d.Data = t.Data
	if t.Backbone.Digest != "" {
		d.Backbone = &model.Backbone{Digest: t.Backbone.Digest, Random: t.Backbone.Random, Seed: t.Backbone.Seed}
	}
	return d
}

// evaluation is what "model evaluate" prints.
type evaluation struct {
	File      string         `json:"file,omitempty"`
	Task      string         `json:"task,omitempty"`
	Round     *int           `json:"round,omitempty"`
	Model     string         `json:"model"` // architecture
	Digest    string         `json:"digest"`
	Data      string         `json:"data"`
	SHA256    string         `json:"sha256"` // of the data
	Synthetic bool           `json:"synthetic"`
	Split     string         `json:"split"`
	Shard     string         `json:"shard"`
	Backbone  *fl.Backbone   `json:"backbone,omitempty"` // of a head: whose features it was measured on
	Classes   []string       `json:"classes"`            // what labels and predictions of the metrics are
	Metrics   metrics.Result `json:"metrics"`
}

// evaluateFlags are those of "model evaluate" besides the data's.
type evaluateFlags struct {
	task  string
	round int
	split choice
	data  dataFlags

	description descriptionFlags
	backbone    backboneFlags
}

func newModelEvaluate(a *app) *cobra.Command {
	f := &evaluateFlags{split: choice{"test", []string{"train", "validation", "test"}}}
	c := &cobra.Command{
		Use:   "evaluate [FILE]",
		Short: "Measure a safetensors file, or a task's global model, on a data set",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := f.evaluate(cmd.Context(), a, args)
			if err != nil {
				return err
			}
			return a.print(result, func(w io.Writer) { printEvaluation(w, result) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.task, "task", "", "fetch this task's global model instead of reading a file")
	flags.IntVar(&f.round, "round", newestRound, "with --task: round that made it (default the newest closed round)")
	flags.Lookup("round").DefValue = "0"
	f.description.bind(flags)
	flags.Var(&f.split, "split", "part of the data set")
	f.backbone.bind(flags)
	f.data.bind(flags)
	return c
}

func (f *evaluateFlags) evaluate(ctx context.Context, a *app, args []string) (evaluation, error) {
	var result evaluation
	if (f.task == "") == (len(args) == 0) {
		return result, usage("name either a safetensors file or a task with --task")
	}
	m, err := f.source(ctx, a, args)
	if err != nil {
		return result, err
	}
	result.File, result.Task, result.Round, result.Model = m.file, m.task, m.round, m.description.Architecture
	data, err := f.load(ctx, a, &m)
	if err != nil {
		return result, err
	}
	split, err := f.data.share(f.part(data))
	if err != nil {
		return result, err
	}
	spec := m.description.Spec()
	if split, err = f.features(ctx, a, m, data, split, &result); err != nil {
		return result, err
	}
	result.Metrics, err = model.Evaluate(ctx, spec, fed.Model(m.weights), split)
	result.Digest, result.Classes = m.weights.Digest(), data.Classes
	result.Data, result.SHA256, result.Synthetic = data.Name, data.SHA256, data.Synthetic
	result.Split, result.Shard = f.split.value, f.data.shard.String()
	return result, err
}

// load brings the data in the shape and with the classes of the model. Where the model
// does not tell its classes, they are those of the data.
func (f *evaluateFlags) load(ctx context.Context, a *app, m *usedModel) (*dataset.Data, error) {
	f.data.shapedFor(backbone.SpecFor(m.description.Architecture, m.description.Channels, m.description.Size, 2), m.description.Input)
	data, err := f.data.load(ctx, a)
	if err != nil {
		return nil, err
	}
	if m.description.Classes == nil {
		m.description.Classes = data.Classes
	} else if err := f.data.match(a, data, m.description.Classes); err != nil {
		return nil, err
	}
	if m.described {
		return data, checkImages(data, m.description.Spec(), "measure it on data of that kind")
	}
	spec := backbone.SpecFor(m.description.Architecture, data.Channels, data.Size, len(data.Classes))
	m.description.Channels, m.description.Size, m.description.Input = spec.Channels, spec.Size, m.description.Input.Whole(spec.Channels)
	return data, nil
}

// checkImages refuses images that a model can't take. A frozen backbone takes any shape;
// a model that this version does not know is refused where it is used. cure is what to do.
func checkImages(d *dataset.Data, spec model.Spec, cure string) error {
	shaped := spec.CheckFrozen() == nil || d.Channels == spec.Channels && d.Size == spec.Size
	if shaped && len(d.Classes) == spec.Classes {
		return nil
	}
	return codes.Errorf("MF-DATA-TASK", "%s has images of %d×%d×%d in %d classes, and the model takes %d×%d×%d in %d; %s", d.Name,
		d.Size, d.Size, d.Channels, len(d.Classes), spec.Size, spec.Size, spec.Channels, spec.Classes, cure)
}

// source is the model that the arguments name; the task's data are the default.
func (f *evaluateFlags) source(ctx context.Context, a *app, args []string) (usedModel, error) {
	if f.task == "" {
		m, err := readModel(args[0])
		if err != nil {
			return m, err
		}
		return m, f.description.describe(&m)
	}
	m, err := fetchModel(ctx, a, f.task, f.round)
	if f.data.name == "" {
		f.data.name = m.terms.Data
	}
	return m, err
}

// features replaces the images of a split by the features of a head's backbone.
func (f *evaluateFlags) features(ctx context.Context, a *app, m usedModel, data *dataset.Data, split dataset.Split, result *evaluation) (dataset.Split, error) {
	made, which, err := m.openBackbone(f.backbone)
	if err != nil || made == nil {
		return split, err
	}
	result.Backbone = &which
	own, err := a.featuresOf(ctx, made, &dataset.Data{Channels: data.Channels, Size: data.Size, Test: split})
	if err != nil {
		return split, err
	}
	return own.Test, nil
}

func (f *evaluateFlags) part(data *dataset.Data) dataset.Split {
	switch f.split.value {
	case "train":
		return data.Train
	case "validation":
		return data.Validation
	}
	return data.Test
}

func printEvaluation(w io.Writer, e evaluation) {
	of := e.File
	if e.Task != "" {
		of = fmt.Sprintf("%s, round %d", e.Task, *e.Round)
	}
	data := e.Data
	if e.Synthetic {
		data += " (SYNTHETIC)"
	}
	m := e.Metrics
	fmt.Fprintf(w, "model\t%s, %s\ndigest\t%s\n", of, e.Model, e.Digest)
	fmt.Fprintf(w, "data\t%s, %s split, shard %s, %d examples\nSHA-256\t%s\n", data, e.Split, e.Shard, m.NumExamples, e.SHA256)
	if e.Backbone != nil {
		fmt.Fprintf(w, "backbone\t%s\n", backboneInWords(*e.Backbone))
	}
	fmt.Fprintf(w, "accuracy\t%s\nAUC\t%s\nsensitivity\t%s\nspecificity\t%s\nloss\t%s\n",
		rate(m.Accuracy), rate(m.AUC), rate(m.Sensitivity), rate(m.Specificity), rate(m.Loss))
	fmt.Fprintf(w, "classes\t%s\nconfusion\t%s\n", classesInWords(e.Classes), confusionInWords(m.Confusion))
}

// confusionInWords is the matrix a row at a time: row the label, column the
// prediction.
func confusionInWords(confusion [][]int) string {
	rows := make([]string, len(confusion))
	for i, row := range confusion {
		rows[i] = strings.Trim(fmt.Sprint(row), "[]")
	}
	return strings.Join(rows, " | ")
}
