package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// export is what "model export" prints.
type export struct {
	File    string   `json:"file"`
	Bytes   int64    `json:"bytes"`
	Model   string   `json:"model"`  // architecture
	Digest  string   `json:"digest"` // of the weights
	Input   string   `json:"input"`  // name of what the file's graph takes
	Output  string   `json:"output"` // and gives
	Classes []string `json:"classes"`
	Notice  string   `json:"notice"`
}

// exportFlags are those of "model export".
type exportFlags struct {
	round    int
	onnx     string
	force    bool
	backbone backboneFlags

	description descriptionFlags
}

func newModelExport(a *app) *cobra.Command {
	f := &exportFlags{}
	c := &cobra.Command{
		Use:   "export MODEL|TASK --onnx FILE",
		Short: "Write a model for other programs: ONNX from pixels to probabilities",
		Long: `Write a model in ONNX, for a viewer or a program of a hospital's own: pixels in,
probabilities out. What says how a pixel becomes a number and a frozen backbone are
inside; decoding a file and bringing an image to size are not. The model is a file that
"model get" wrote, or a task, whose global model is fetched. What it says is
` + model.Notice + `.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.onnx == "" {
				return usage("name the file to write with --onnx")
			}
			if err := checkOutput(f.onnx, f.force); err != nil {
				return err
			}
			result, err := f.export(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			return a.print(result, func(w io.Writer) { printExport(w, result) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.onnx, "onnx", "", "file to write")
	flags.IntVar(&f.round, "round", newestRound, "with a task: round that made the model (default the newest closed round)")
	flags.Lookup("round").DefValue = "0"
	flags.BoolVar(&f.force, "force", false, "write over an existing file")
	f.backbone.bind(flags)
	f.description.bind(flags)
	return c
}

func (f *exportFlags) export(ctx context.Context, a *app, of string) (export, error) {
	m, err := sourceOf(ctx, a, of, f.round)
	if err != nil {
		return export{}, err
	}
	if err := f.description.whole(&m, of); err != nil {
		return export{}, err
	}
	made, _, err := m.openBackbone(f.backbone)
	if err != nil {
		return export{}, err
	}
	var frozen *weights.Weights
	if made != nil {
		if frozen, err = made.Weights(); err != nil {
			return export{}, err
		}
	}
	result := export{
		File: f.onnx, Model: m.description.Architecture, Digest: m.weights.Digest(), Classes: m.description.Classes,
		Input: model.ONNXPixels, Output: model.ONNXProbabilities, Notice: model.Notice,
	}
	graph, err := m.description.ONNX(fed.Model(m.weights), frozen, result.Digest)
	if err != nil {
		return result, err
	}
	if err := model.WriteONNX(f.onnx, graph); err != nil {
		return result, err
	}
	info, err := os.Stat(f.onnx)
	if err != nil {
		return result, codes.Wrapf("MF-WRITE-MODEL", "the model can't be written: %w; check its folder and the disk, and export it again", err)
	}
	result.Bytes = info.Size()
	return result, nil
}

func printExport(w io.Writer, e export) {
	fmt.Fprintf(w, "model\t%s\ndigest\t%s\nfile\t%s\nbytes\t%d\n", e.Model, e.Digest, e.File, e.Bytes)
	fmt.Fprintf(w, "takes\t%s\ngives\t%s of %s\n\n%s\n", e.Input, e.Output, classesInWords(e.Classes), e.Notice)
}
