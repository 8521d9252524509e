package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// usedModel is a model from a file or of a task, with what is known of it.
type usedModel struct {
	weights     *weights.Weights
	description model.Description
	described   bool // the description is the model's own; if not, flags and data give it
	file        string
	task        string
	round       *int
	terms       fl.Terms // of the task
}

// readModel reads a model's file.
func readModel(path string) (usedModel, error) {
	m := usedModel{file: path}
	w, d, err := model.ReadFile(path)
	if m.weights = w; d != nil {
		m.description, m.described = *d, true
	}
	return m, err
}

// fetchModel gets a task's global model.
func fetchModel(ctx context.Context, a *app, task string, round int) (usedModel, error) {
	m, err := fetchGlobal(ctx, a, task, round)
	if err != nil {
		return usedModel{}, err
	}
	return usedModel{weights: m.weights, description: describe(m.terms), described: m.terms.ClassNames != nil, task: m.Task, round: &m.Round, terms: m.terms}, nil
}

// openBackbone loads or draws the backbone in front of a head: the one that the task or
// the file names, and for a file that names none the one of the flags; nil for a model
// without one.
func (m usedModel) openBackbone(flags backboneFlags) (*backbone.Backbone, fl.Backbone, error) {
	if m.task != "" {
		made, err := agreedBackbone(m.terms, flags.File)
		return made, m.terms.Backbone, err
	}
	agreed := m.description.Backbone
	if agreed == nil {
		return flags.open(m.description.Spec(), m.description.Input)
	}
	if !agreed.Random && flags.File == "" {
		return nil, fl.Backbone{}, codes.Errorf("MF-BACKBONE-FILE", "the model is a head behind pre-trained weights of %s with the digest %s; name their file with --backbone", m.description.Architecture, agreed.Digest)
	}
	made, which, err := backboneFlags{File: flags.File, Seed: agreed.Seed}.open(m.description.Spec(), m.description.Input)
	if err != nil {
		return nil, which, err
	}
	return made, which, made.Check(agreed.Digest)
}

// shownModel is what "model show" prints.
type shownModel struct {
	File   string `json:"file"`
	Digest string `json:"digest"` // of the weights, as the ledger has it
	Bytes  int64  `json:"bytes"`  // of the canonical weights
	model.Description
}

func newModelShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Show what a model's file says of itself: classes, images, origin",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := readModel(args[0])
			if err != nil {
				return err
			}
			if !m.described {
				return undescribedFile(args[0], m.weights)
			}
			shown := shownModel{args[0], m.weights.Digest(), m.weights.Size(), m.description}
			return a.print(shown, func(w io.Writer) { printShown(w, shown) })
		},
	}
}

// undescribedFile refuses a file of weights alone.
func undescribedFile(file string, w *weights.Weights) error {
	return codes.Errorf("MF-MODEL-DESCRIPTION", "%s holds weights alone (digest %s) and does not describe itself; fetch it again with medfed model get, or give what it lacks as flags of model evaluate", file, w.Digest())
}

func printShown(w io.Writer, m shownModel) {
	fmt.Fprintf(w, "model\t%s, %s\ndigest\t%s\nbytes\t%d\n", m.File, m.Architecture, m.Digest, m.Bytes)
	fmt.Fprintf(w, "classes\t%s\n", classesInWords(m.Classes))
	fmt.Fprintf(w, "images\t%s\npixels\t%s\n", imagesInWords(m.Spec(), m.Input.Fit), inputInWords(m.Input))
	if m.Temperature != 0 {
		fmt.Fprintf(w, "temperature\t%v: probabilities are calibrated by it\n", m.Temperature)
	}
	if m.Backbone != nil {
		fmt.Fprintf(w, "backbone\t%s\n", backboneInWords(fl.Backbone{Digest: m.Backbone.Digest, Random: m.Backbone.Random, Seed: m.Backbone.Seed}))
	}
	if m.Task != "" {
		fmt.Fprintf(w, "from\ttask %s, round %d\n", m.Task, m.Round)
	}
	if m.Data != "" {
		fmt.Fprintf(w, "data\t%s\n", m.Data)
	}
}
