package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

// calibration is what "model calibrate" prints.
type calibration struct {
	Notice string `json:"notice"`
	measuredOn
	Out         string     `json:"out"`         // file with the temperature
	Temperature float64    `json:"temperature"` // that was fitted
	NumExamples int        `json:"num_examples"`
	Before      calibrated `json:"before"`
	After       calibrated `json:"after"`
}

// calibrated is how well probabilities fit the examples.
type calibrated struct {
	Loss             float64 `json:"loss"` // mean cross-entropy in nats
	CalibrationError float64 `json:"calibration_error"`
}

// calibrateFlags are those of "model calibrate".
type calibrateFlags struct {
	measureFlags
	out   string
	force bool
}

func newModelCalibrate(a *app) *cobra.Command {
	f := &calibrateFlags{}
	c := &cobra.Command{
		Use:   "calibrate FILE",
		Short: "Fit the temperature that makes a model's probabilities what they claim to be",
		Long: `Fit one temperature on examples that the model was not trained on, by default those of
the validation split, and write it into the model's file, beside the weights, whose
digest stays. "model predict" and "model evaluate" apply it. It changes neither the
predicted class nor, of two classes, the AUC.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := f.calibrate(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			return a.print(result, func(w io.Writer) { printCalibration(w, result) })
		},
	}
	flags := c.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "file to write instead of the model's own")
	flags.BoolVar(&f.force, "force", false, "with --out: write over an existing file")
	f.bind(flags, "validation")
	return c
}

func (f *calibrateFlags) calibrate(ctx context.Context, a *app, file string) (calibration, error) {
	result := calibration{Notice: model.Notice, Out: cmp.Or(f.out, file)}
	if err := checkOutput(f.out, f.force); err != nil {
		return result, err
	}
	m, err := readModel(file)
	if err != nil {
		return result, err
	}
	if !m.described {
		return result, undescribedFile(file, m.weights)
	}
	sample, err := f.predictions(ctx, a, &m, &result.measuredOn)
	if err != nil {
		return result, err
	}
	if result.Temperature, err = metrics.FitTemperature(sample.Probabilities, sample.Labels, sample.Classes); err != nil {
		return result, err
	}
	m.description.Temperature = result.Temperature
	before, err := sample.Measure(0, 0)
	if err != nil {
		return result, err
	}
	sample.Before, sample.Probabilities = sample.Probabilities, m.description.Calibrated(sample.Probabilities)
	after, err := sample.Measure(0, 0)
	if err != nil {
		return result, err
	}
	result.NumExamples = before.NumExamples
	result.Before, result.After = calibrated{before.Loss, before.Calibration.Error}, calibrated{after.Loss, after.Calibration.Error}
	return result, model.WriteFile(result.Out, m.weights, &m.description)
}

func printCalibration(w io.Writer, c calibration) {
	fmt.Fprintf(w, "model\t%s, %s\ndigest\t%s\n", c.File, c.Model, c.Digest)
	c.printData(w, c.NumExamples)
	fmt.Fprintf(w, "temperature\t%v\n", c.Temperature)
	fmt.Fprintf(w, "loss\t%s, before %s\n", rate(c.After.Loss), rate(c.Before.Loss))
	fmt.Fprintf(w, "calibration\terror %s, before %s\n", rate(c.After.CalibrationError), rate(c.Before.CalibrationError))
	fmt.Fprintf(w, "file\t%s\n\n%s\n", c.Out, c.Notice)
}
