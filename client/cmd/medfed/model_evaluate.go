package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

// evaluation is what "model evaluate" prints.
type evaluation struct {
	Notice string `json:"notice"`
	measuredOn
	Task        string               `json:"task,omitempty"`
	Round       *int                 `json:"round,omitempty"`
	Metrics     metrics.Result       `json:"metrics"`
	Calibration metrics.Calibration  `json:"calibration"`
	Temperature float64              `json:"temperature,omitempty"` // that the model's file holds
	Before      *metrics.Calibration `json:"calibration_before,omitempty"`
	ROC         []metrics.Curve      `json:"roc"`
	Intervals   *metrics.Intervals   `json:"intervals,omitempty"`
}

// measuredOn says what was measured, and on which data.
type measuredOn struct {
	File      string       `json:"file,omitempty"`
	Model     string       `json:"model"` // architecture
	Digest    string       `json:"digest"`
	Data      string       `json:"data"`
	SHA256    string       `json:"sha256"` // of the data
	Synthetic bool         `json:"synthetic"`
	Split     string       `json:"split"`
	Shard     string       `json:"shard"`
	Backbone  *fl.Backbone `json:"backbone,omitempty"` // of a head: whose features it was measured on
	Classes   []string     `json:"classes"`            // what labels and predictions are
}

// evaluateFlags are those of "model evaluate" besides the data's.
type evaluateFlags struct {
	measureFlags
	task      string
	round     int
	resamples int
	plot      string

	description descriptionFlags
}

// measureFlags say on what a model is measured.
type measureFlags struct {
	split    choice
	data     dataFlags
	backbone backboneFlags
}

func (f *measureFlags) bind(flags *pflag.FlagSet, split string) {
	f.split = choice{split, []string{"train", "validation", "test"}}
	flags.Var(&f.split, "split", "part of the data set")
	f.backbone.bind(flags)
	f.data.bind(flags)
}

func newModelEvaluate(a *app) *cobra.Command {
	f := &evaluateFlags{}
	c := &cobra.Command{
		Use:   "evaluate [FILE]",
		Short: "Measure a safetensors file, or a task's global model, on a data set",
		Long: `Measure a safetensors file, or a task's global model, on a data set: accuracy, AUC,
sensitivity and specificity with their intervals, calibration, curves and the confusion
matrix. The intervals are of 95 %, of the percentile bootstrap over the patients, or over
the examples where the data do not tell them. A file with a temperature (model
calibrate) is measured with it. What it says is ` + model.Notice + `.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPlot(f.plot); err != nil {
				return err
			}
			result, err := f.evaluate(cmd.Context(), a, args)
			if err != nil {
				return err
			}
			if err := result.writePlot(f.plot); err != nil {
				return err
			}
			return a.print(result, func(w io.Writer) { printEvaluation(w, result) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.task, "task", "", "fetch this task's global model instead of reading a file")
	flags.IntVar(&f.round, "round", newestRound, "with --task: round that made it (default the newest closed round)")
	flags.Lookup("round").DefValue = "0"
	flags.IntVar(&f.resamples, "resamples", metrics.DefaultResamples, "of the bootstrap, on which the intervals rest; 0 for none")
	flags.StringVar(&f.plot, "plot", "", "file for the curves, .svg or .html")
	f.description.bind(flags)
	f.bind(flags, "test")
	return c
}

// resampleSeed is that of the bootstrap: the same examples have the same intervals.
const resampleSeed = 1

func (f *evaluateFlags) evaluate(ctx context.Context, a *app, args []string) (evaluation, error) {
	result := evaluation{Notice: model.Notice}
	if (f.task == "") == (len(args) == 0) {
		return result, usage("name either a safetensors file or a task with --task")
	}
	m, err := f.source(ctx, a, args)
	if err != nil {
		return result, err
	}
	result.Task, result.Round, result.Temperature = m.task, m.round, m.description.Temperature
	sample, err := f.predictions(ctx, a, &m, &result.measuredOn)
	if err != nil {
		return result, err
	}
	if result.Temperature != 0 {
		sample.Before, sample.Probabilities = sample.Probabilities, m.description.Calibrated(sample.Probabilities)
	}
	report, err := sample.Measure(f.resamples, resampleSeed)
	result.Metrics, result.Calibration, result.Before = report.Result, report.Calibration, report.Before
	result.ROC, result.Intervals = report.Curves, report.Intervals
	return result, err
}

// predictions are what a model says of the data, before any temperature.
func (f *measureFlags) predictions(ctx context.Context, a *app, m *usedModel, on *measuredOn) (metrics.Sample, error) {
	data, err := f.load(ctx, a, m)
	if err != nil {
		return metrics.Sample{}, err
	}
	split, err := f.data.share(f.part(data))
	if err != nil {
		return metrics.Sample{}, err
	}
	if split.Len() == 0 {
		return metrics.Sample{}, codes.Errorf("MF-MODEL-DATA", "%s has no examples in its %s split; choose another with --split", data.Name, f.split.value)
	}
	if split, on.Backbone, err = f.features(ctx, a, *m, data, split); err != nil {
		return metrics.Sample{}, err
	}
	spec := m.description.Spec()
	on.File, on.Model, on.Digest, on.Classes = m.file, spec.Name, m.weights.Digest(), data.Classes
	on.Data, on.SHA256, on.Synthetic = data.Name, data.SHA256, data.Synthetic
	on.Split, on.Shard = f.split.value, f.data.shard.String()
	probabilities, err := model.Predict(ctx, spec, fed.Model(m.weights), split)
	return metrics.Sample{Probabilities: probabilities, Labels: split.Labels, Classes: spec.Classes, Patients: split.Patients}, err
}

// load brings the data in the shape and with the classes of the model. Where the model
// does not tell its classes, they are those of the data.
func (f *measureFlags) load(ctx context.Context, a *app, m *usedModel) (*dataset.Data, error) {
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
	if err != nil {
		return m, err
	}
	if f.data.name == "" {
		f.data.name = m.terms.Data
	}
	return m, f.description.describe(&m)
}

// features replaces the images of a split by the features of a head's backbone, and says
// which that is.
func (f *measureFlags) features(ctx context.Context, a *app, m usedModel, data *dataset.Data, split dataset.Split) (dataset.Split, *fl.Backbone, error) {
	made, which, err := m.openBackbone(f.backbone)
	if err != nil || made == nil {
		return split, nil, err
	}
	own, err := a.featuresOf(ctx, made, &dataset.Data{Channels: data.Channels, Size: data.Size, Test: split})
	if err != nil {
		return split, nil, err
	}
	return own.Test, &which, nil
}

func (f *measureFlags) part(data *dataset.Data) dataset.Split {
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
	m := e.Metrics
	fmt.Fprintf(w, "model\t%s, %s\ndigest\t%s\n", of, e.Model, e.Digest)
	e.printData(w, m.NumExamples)
	for _, r := range e.rows() {
		fmt.Fprintf(w, "%s\t%s", r.Name, r.Value)
		if r.Interval != "" {
			fmt.Fprintf(w, " (%s)", r.Interval)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "loss\t%s\n", rate(m.Loss))
	if e.Before != nil {
		fmt.Fprintf(w, "temperature\t%v; without it error %s, Brier score %s\n", e.Temperature, rate(e.Before.Error), rate(e.Before.Brier))
	}
	if e.Intervals != nil {
		fmt.Fprintf(w, "in brackets\t95 %% intervals, by resampling %d %s\n", e.Intervals.Drawn, e.Intervals.Unit)
	}
	fmt.Fprintf(w, "classes\t%s\nconfusion\t%s\n", classesInWords(e.Classes), confusionInWords(m.Confusion))
	fmt.Fprintf(w, "\n%s\n", e.Notice)
}

// printData tells the data and, of a head, its backbone.
func (on measuredOn) printData(w io.Writer, examples int) {
	data := on.Data
	if on.Synthetic {
		data += " (SYNTHETIC)"
	}
	fmt.Fprintf(w, "data\t%s, %s split, shard %s, %d examples\nSHA-256\t%s\n", data, on.Split, on.Shard, examples, on.SHA256)
	if on.Backbone != nil {
		fmt.Fprintf(w, "backbone\t%s\n", backboneInWords(*on.Backbone))
	}
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
