package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/dicom"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// prediction is what a model makes of one image.
type prediction struct {
	File          string    `json:"file"`
	Class         string    `json:"class"`         // the most probable
	Probabilities []float32 `json:"probabilities"` // by class, in their order
	Heatmap       string    `json:"heatmap,omitempty"`
}

// predictions is what "model predict" prints.
type predictions struct {
	Notice      string       `json:"notice"`
	Model       string       `json:"model"`  // architecture
	Digest      string       `json:"digest"` // of the weights
	Classes     []string     `json:"classes"`
	Temperature float64      `json:"temperature,omitempty"` // by which the probabilities are calibrated
	Predictions []prediction `json:"predictions"`
}

// predictFlags are those of "model predict".
type predictFlags struct {
	round    int
	csv      string
	heatmaps string
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
image among others get the same probabilities; those of a file with a temperature
("model calibrate") are calibrated by it. --heatmap draws what the model looked at: a
square of the image after another is hidden, and where that costs the class the most,
the image is hot. What a model says is ` + model.Notice + `.`,
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
	flags.StringVar(&f.heatmaps, "heatmap", "", "folder for a PNG of each image with what the model looked at")
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
	p, err := f.predictor(a, m, len(images))
	if err != nil {
		return predictions{}, err
	}
	defer p.shown.Close()
	spec := m.description.Spec()
	result := predictions{Notice: model.Notice, Model: spec.Name, Digest: m.weights.Digest(), Classes: m.description.Classes, Temperature: m.description.Temperature}
	for some := range slices.Chunk(images, atOnce) {
		more, err := p.predict(ctx, some)
		if err != nil {
			return predictions{}, err
		}
		result.Predictions = append(result.Predictions, more...)
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

// atOnce is how many images are in memory at once.
const atOnce = 32

// predictor predicts some images after others.
type predictor struct {
	usedModel
	spec     model.Spec
	weights  *weights.Weights   // of the model alone
	backbone *backbone.Backbone // nil for a model without
	cache    *backbone.Cache
	read     dataset.FolderOptions
	heatmaps string // folder, "" for none
	shown    *bars
	done, of int // images
}

func (f *predictFlags) predictor(a *app, m usedModel, images int) (*predictor, error) {
	p := &predictor{usedModel: m, spec: m.description.Spec(), weights: fed.Model(m.weights), heatmaps: f.heatmaps, of: images}
	p.read = dataset.FolderOptions{
		Size: p.spec.Size, Channels: p.spec.Channels, Input: m.description.Input, DICOM: dicom.Options{Frame: f.frame, BurnedIn: f.burnedIn},
	}
	var err error
	if p.backbone, _, err = m.openBackbone(f.backbone); err == nil && p.backbone != nil {
		p.cache, err = a.featureCache(p.backbone)
	}
	if err == nil {
		err = makeFolder(f.heatmaps)
	}
	if err != nil {
		return nil, err
	}
	p.shown = a.newBars()
	return p, nil
}

// predict reads the next images and says what they are taken for.
func (p *predictor) predict(ctx context.Context, files []string) ([]prediction, error) {
	images := dataset.Split{Labels: make([]int, len(files))}
	for _, path := range files {
		values, err := dataset.ReadImage(ctx, path, p.read)
		if err != nil {
			return nil, err
		}
		images.Values = append(images.Values, values...)
	}
	examples := images
	if p.backbone != nil {
		var err error
		if examples, err = p.backbone.Prepared(ctx, p.cache, images, nil); err != nil {
			return nil, err
		}
	}
	probabilities, err := model.Predict(ctx, p.spec, p.weights, examples)
	if err != nil {
		return nil, err
	}
	told := p.description.Calibrated(probabilities)
	all := make([]prediction, len(files))
	for i, file := range files {
		// A temperature changes no order: what it makes alike is told apart by what was before.
		class, err := mostProbable(probabilities[i*p.spec.Classes : (i+1)*p.spec.Classes])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[i] = prediction{File: file, Class: p.description.Classes[class], Probabilities: told[i*p.spec.Classes : (i+1)*p.spec.Classes]}
		if p.heatmaps != "" {
			values := images.Values[i*len(images.Values)/len(files) : (i+1)*len(images.Values)/len(files)]
			if all[i].Heatmap, err = p.heatmap(ctx, file, values, class); err != nil {
				return nil, err
			}
		}
		p.done++
		p.shown.Step("images", p.done, p.of)
	}
	return all, nil
}

// mostProbable is the class with the largest value, the lower one in a tie.
func mostProbable(probabilities []float32) (int, error) {
	best := 0
	for class, p := range probabilities {
		if p-p != 0 {
			return 0, codes.Errorf("MF-MODEL-NUMBERS", "the model gives no finite probabilities; take the weights of another round")
		}
		if p > probabilities[best] {
			best = class
		}
	}
	return best, nil
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
	fmt.Fprintln(w)
	if p.Temperature != 0 {
		fmt.Fprintf(w, "calibrated by the temperature %v\n", p.Temperature)
	}
	if heatmap := p.Predictions[0].Heatmap; heatmap != "" {
		fmt.Fprintf(w, "heat-maps in %s\n", filepath.Dir(heatmap))
	}
	fmt.Fprintln(w, p.Notice)
}
