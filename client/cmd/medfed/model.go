package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
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
	return group("model", "Fetch global models and measure them", newModelGet(a), newModelEvaluate(a))
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
			if err := writeWeights(m.File, m.weights); err != nil {
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

// writeWeights writes a safetensors file, whole or not at all.
func writeWeights(path string, w *weights.Weights) error {
	f, err := renameio.TempFile(filepath.Dir(path), path)
	if err == nil {
		defer f.Cleanup()
		_, err = w.WriteTo(f)
	}
	if err == nil {
		err = f.CloseAtomicallyReplace()
	}
	if err != nil {
		return codes.Wrapf("MF-WRITE-MODEL", "the model can't be written: %w; choose a folder that can be written and has room", err)
	}
	return nil
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
	Metrics   metrics.Result `json:"metrics"`
}

// evaluateFlags are those of "model evaluate" besides the data's.
type evaluateFlags struct {
	task  string
	round int
	model string
	split choice
	data  dataFlags

	backbone backboneFlags
	terms    fl.Terms // of the task
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
	flags.StringVar(&f.model, "model", model.HMChainCNN, "with a file: "+modelUsage())
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
	var w *weights.Weights
	var err error
	if f.task != "" {
		w, err = f.fetch(ctx, a, &result)
	} else {
		result.File, result.Model = args[0], f.model
		w, err = readWeights(args[0])
	}
	if err != nil {
		return result, err
	}
	f.data.shapedFor(backbone.SpecFor(result.Model, 0, 0, 2))
	data, err := f.data.load(ctx, a)
	if err != nil {
		return result, err
	}
	split, err := f.data.share(f.part(data))
	if err != nil {
		return result, err
	}
	spec := backbone.SpecFor(result.Model, data.Channels, data.Size, data.Classes)
	if split, err = f.features(ctx, a, spec, data, split, &result); err != nil {
		return result, err
	}
	result.Metrics, err = model.Evaluate(ctx, spec, fed.Model(w), split)
	result.Digest = w.Digest()
	result.Data, result.SHA256, result.Synthetic = data.Name, data.SHA256, data.Synthetic
	result.Split, result.Shard = f.split.value, f.data.shard.String()
	return result, err
}

// fetch gets the task's global model; the task's data are the default.
func (f *evaluateFlags) fetch(ctx context.Context, a *app, result *evaluation) (*weights.Weights, error) {
	m, err := fetchGlobal(ctx, a, f.task, f.round)
	if err != nil {
		return nil, err
	}
	if f.data.name == "" {
		f.data.name = m.terms.Data
	}
	result.Task, result.Round, result.Model = m.Task, &m.Round, m.terms.Model
	f.terms = m.terms
	return m.weights, nil
}

// features replaces the images of a split by the features of a head's backbone: of a
// task's model the one that its terms name.
func (f *evaluateFlags) features(ctx context.Context, a *app, spec model.Spec, data *dataset.Data, split dataset.Split, result *evaluation) (dataset.Split, error) {
	made, which, err := (*backbone.Backbone)(nil), f.terms.Backbone, error(nil)
	if f.task != "" {
		made, err = agreedBackbone(f.terms, f.backbone.File)
	} else {
		made, which, err = f.backbone.open(spec)
	}
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

// readWeights reads and checks a safetensors file.
func readWeights(path string) (*weights.Weights, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, codes.Wrapf("MF-WEIGHTS-FILE", "the model can't be read: %w; name a file that medfed model get wrote", err)
	}
	return weights.Parse(content)
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
	fmt.Fprintf(w, "confusion\t%s\n", confusionInWords(m.Confusion))
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
