package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/dicom"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
)

// prediction is what a model makes of one image.
type prediction struct {
	File          string    `json:"file"`
	Class         string    `json:"class"`         // the most probable
	Probabilities []float32 `json:"probabilities"` // by class, in their order
}

// predictions is what "model predict" prints.
type predictions struct {
	Notice      string       `json:"notice"`
	Model       string       `json:"model"`  // architecture
	Digest      string       `json:"digest"` // of the weights
	Classes     []string     `json:"classes"`
	Predictions []prediction `json:"predictions"`
}

// predictFlags are those of "model predict".
type predictFlags struct {
	round    int
	csv      string
	backbone backboneFlags
	frame    int
	burnedIn bool

	description descriptionFlags
}

func newModelPredict(a *app) *cobra.Command {
	f := &predictFlags{}
	c := &cobra.Command{
		Use:   "predict MODEL|TASK IMAGE...",
		Short: "Say what a model takes images for: every class with its probability",
		Long: `Say what a model takes DICOM, PNG and JPEG images for. The model is a file that "model
get" wrote, or a task, whose global model is fetched. An image alone and the same
image among others get the same probabilities. What a model says is ` + model.Notice + `.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := f.predict(cmd.Context(), a, args[0], args[1:])
			if err != nil {
				return err
			}
			if f.csv != "" {
				content, err := result.csv()
				if err == nil {
					err = simulate.WriteFile(f.csv, content)
				}
				if err != nil {
					return err
				}
			}
			return a.print(result, func(w io.Writer) { printPredictions(w, result) })
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.round, "round", newestRound, "with a task: round that made the model (default the newest closed round)")
	flags.Lookup("round").DefValue = "0"
	flags.StringVar(&f.csv, "csv", "", "file for the same as a table with a column for each class")
	f.backbone.bind(flags)
	bindDICOM(flags, "", &f.frame, &f.burnedIn)
	f.description.bind(flags)
	return c
}

func (f *predictFlags) predict(ctx context.Context, a *app, of string, images []string) (predictions, error) {
	m, err := sourceOf(ctx, a, of, f.round)
	if err != nil {
		return predictions{}, err
	}
	if err := f.description.whole(&m, of); err != nil {
		return predictions{}, err
	}
	examples, err := f.read(ctx, a, m, images)
	if err != nil {
		return predictions{}, err
	}
	spec := m.description.Spec()
	probabilities, err := model.Predict(ctx, spec, fed.Model(m.weights), examples)
	if err != nil {
		return predictions{}, err
	}
	result := predictions{Notice: model.Notice, Model: spec.Name, Digest: m.weights.Digest(), Classes: m.description.Classes}
	for i, file := range images {
		row := probabilities[i*spec.Classes : (i+1)*spec.Classes]
		best := 0
		for class, p := range row {
			if p > row[best] {
				best = class
			}
		}
		result.Predictions = append(result.Predictions, prediction{File: file, Class: result.Classes[best], Probabilities: row})
	}
	return result, nil
}

// sourceOf is the model of a file, or of a task where there is no file of that name.
func sourceOf(ctx context.Context, a *app, of string, round int) (usedModel, error) {
	if _, err := os.Stat(of); err == nil {
		return readModel(of)
	}
	if checkTask(of) != nil {
		return usedModel{}, codes.Errorf("MF-WEIGHTS-FILE", "there is no file %s; name one that medfed model get wrote, or a task", of)
	}
	return fetchModel(ctx, a, of, round)
}

// read reads images as the model takes them: as images, or as the features of its
// backbone.
func (f *predictFlags) read(ctx context.Context, a *app, m usedModel, images []string) (dataset.Split, error) {
	spec := m.description.Spec()
	made, _, err := m.openBackbone(f.backbone)
	if err != nil {
		return dataset.Split{}, err
	}
	examples := dataset.Split{Labels: make([]int, len(images))}
	for _, path := range images {
		values, err := dataset.ReadImage(ctx, path, dataset.FolderOptions{
			Size: spec.Size, Channels: spec.Channels, Input: m.description.Input, DICOM: dicom.Options{Frame: f.frame, BurnedIn: f.burnedIn},
		})
		if err != nil {
			return dataset.Split{}, err
		}
		examples.Values = append(examples.Values, values...)
	}
	if made == nil {
		return examples, nil
	}
	cache, err := a.featureCache(made)
	if err != nil {
		return dataset.Split{}, err
	}
	shown := a.newBars()
	defer shown.Close()
	return made.Prepared(ctx, cache, examples, func(done, total int) { shown.Step("features by "+made.Spec.Name, done, total) })
}

// csv is a table with a column for each class.
func (p predictions) csv() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{append(append([]string{"file", "class"}, p.Classes...), "notice")}
	for _, one := range p.Predictions {
		row := []string{one.File, one.Class}
		for _, probability := range one.Probabilities {
			row = append(row, strconv.FormatFloat(float64(probability), 'g', -1, 32))
		}
		rows = append(rows, append(row, p.Notice))
	}
	err := w.WriteAll(rows)
	return b.Bytes(), err
}

func printPredictions(w io.Writer, p predictions) {
	fmt.Fprint(w, "IMAGE\tCLASS")
	for _, class := range p.Classes {
		fmt.Fprintf(w, "\t%s", class)
	}
	fmt.Fprintln(w)
	for _, one := range p.Predictions {
		fmt.Fprintf(w, "%s\t%s", one.File, one.Class)
		for _, probability := range one.Probabilities {
			fmt.Fprintf(w, "\t%.4f", probability)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%s\n", p.Notice)
}
