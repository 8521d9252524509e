package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// inputFlags say how an image becomes numbers, in the words of a person. They are keys of
// a --terms file, too.
type inputFlags struct {
	Window    window   `yaml:"window"`
	OwnWindow bool     `yaml:"own_window"`
	Inverted  bool     `yaml:"inverted"`
	Mean      decimals `yaml:"mean"`
	Std       decimals `yaml:"std"`
	Fit       string   `yaml:"fit"`
}

// bind makes a flag of each, with when they count in front of what they do.
func (f *inputFlags) bind(flags *pflag.FlagSet, when string) {
	if f.Fit == "" {
		f.Fit = fl.FitStretch
	}
	flags.Var(&f.Window, "window", when+"stored values that become black and white, as 0:4095; full for all that a file's depth can hold")
	flags.BoolVar(&f.OwnWindow, "own-window", f.OwnWindow, when+"take the window that a DICOM file names, and --window for files that name none")
	flags.BoolVar(&f.Inverted, "inverted", f.Inverted, when+"exchange black and white")
	flags.Var(&f.Mean, "mean", when+"what a value from 0 to 1 is lessened by, for all channels or for each as 0.485,0.456,0.406 (default the model's)")
	flags.Var(&f.Std, "std", when+"what it is divided by then (default the model's)")
	flags.StringVar(&f.Fit, "fit", f.Fit, when+"how an image becomes a square: "+strings.Join(fl.Fits(), ", "))
}

// of is the Input for a model's images. What is not said is as the model has it.
func (f inputFlags) of(spec model.Spec) (dataset.Input, error) {
	in := spec.Input()
	in.Window = dataset.Window{Low: node.Float(f.Window.low), High: node.Float(f.Window.high)}
	in.OwnWindow, in.Inverted, in.Fit = f.OwnWindow, f.Inverted, dataset.Fit(f.Fit)
	if f.Mean != nil || f.Std != nil {
		in.Mean, in.Std = f.Mean.floats(), f.Std.floats()
	}
	if err := in.Check(); err != nil {
		return in, err
	}
	if n := len(in.Mean); n > 1 && n != spec.Channels {
		return in, usage("--mean has %d numbers, and the images have %d channels; give one, or one for each channel", n, spec.Channels)
	}
	return in.Whole(spec.Channels), nil
}

// inputInWords tells how a stored pixel becomes a number.
func inputInWords(in dataset.Input) string {
	words := "the full range of a file's depth"
	if in.Window != (dataset.Window{}) {
		words = fmt.Sprintf("%v to %v", in.Window.Low, in.Window.High)
	}
	if in.OwnWindow {
		words = "the window that the file names, else " + words
	}
	black := "from black to white"
	if in.Inverted {
		black = "from white to black"
	}
	return fmt.Sprintf("%s, %s; less %s, over %s", words, black, numbersInWords(in.Mean), numbersInWords(in.Std))
}

func numbersInWords(numbers []float64) string { return strings.Trim(fmt.Sprint(numbers), "[]") }

// imagesInWords tells what images a model takes, and how any image becomes one.
func imagesInWords(spec model.Spec, fit dataset.Fit) string {
	colour := "grey"
	if spec.Channels == 3 {
		colour = "colour"
	}
	how := map[dataset.Fit]string{dataset.FitPad: "padded with black to a square", dataset.FitCrop: "cropped to the square in the middle"}[fit]
	if how == "" {
		how = "stretched to a square"
	}
	return fmt.Sprintf("%d×%d, %s, %s", spec.Size, spec.Size, colour, how)
}

// window is a flag and YAML value: two stored values, or none for the full range.
type window struct{ low, high fl.Micro }

// fullWindow is how the full range is written.
const fullWindow = "full"

func (w *window) Type() string { return "low:high" }

func (w *window) String() string {
	if *w == (window{}) {
		return fullWindow
	}
	return w.low.String() + ":" + w.high.String()
}

func (w *window) Set(s string) error {
	if s == fullWindow {
		*w = window{}
		return nil
	}
	low, high, ok := strings.Cut(s, ":")
	var read window
	if !ok || setSigned(&read.low, low) != nil || setSigned(&read.high, high) != nil || read.low >= read.high {
		return fmt.Errorf("%q is no window; write two stored values of which the first is the smaller, as 0:4095, or %s", s, fullWindow)
	}
	*w = read
	return nil
}

// setSigned is [fl.Micro.Set] for what may lie below 0, as Hounsfield units do.
func setSigned(m *fl.Micro, text string) error {
	magnitude, negative := strings.CutPrefix(text, "-")
	err := m.Set(magnitude)
	if negative {
		*m = -*m
	}
	return err
}

// UnmarshalYAML reads the text as the flag does.
func (w *window) UnmarshalYAML(node *yaml.Node) error {
	if err := w.Set(node.Value); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

// decimals is a flag and YAML value: numbers with commas between.
type decimals []fl.Micro

func (d *decimals) Type() string { return "decimals" }

func (d *decimals) String() string {
	words := make([]string, len(*d))
	for i, v := range *d {
		words[i] = v.String()
	}
	return strings.Join(words, ",")
}

func (d *decimals) Set(s string) error {
	var read decimals
	for _, word := range strings.Split(s, ",") {
		var v fl.Micro
		if err := v.Set(word); err != nil {
			return err
		}
		read = append(read, v)
	}
	*d = read
	return nil
}

// UnmarshalYAML reads one number, or a list of them, as they stand in the file.
func (d *decimals) UnmarshalYAML(node *yaml.Node) error {
	words := []string{node.Value}
	if node.Kind == yaml.SequenceNode {
		words = nil
		for _, item := range node.Content {
			words = append(words, item.Value)
		}
	}
	if err := d.Set(strings.Join(words, ",")); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

func (d decimals) floats() []float64 {
	var numbers []float64
	for _, v := range d {
		numbers = append(numbers, node.Float(v))
	}
	return numbers
}

// descriptionFlags say of a model what its file does not.
type descriptionFlags struct {
	model    string
	classes  []string
	size     int
	channels int
	input    inputFlags

	given func() []string // of the flags that were given
}

const undescribed = "with a file that does not say: "

// bind makes a flag of each.
func (f *descriptionFlags) bind(flags *pflag.FlagSet) {
	own := pflag.NewFlagSet("description", pflag.ContinueOnError)
	own.StringVar(&f.model, "model", model.HMChainCNN, undescribed+modelUsage())
	own.StringSliceVar(&f.classes, "classes", nil, undescribed+"its classes by name, in their order")
	own.IntVar(&f.size, "image-size", 0, undescribed+"height and width of its images (default 28)")
	own.IntVar(&f.channels, "channels", 0, undescribed+"1 for grey, 3 for colour (default 1)")
	f.input.bind(own, undescribed)
	flags.AddFlagSet(own)
	f.given = func() (names []string) {
		own.VisitAll(func(flag *pflag.Flag) {
			if flags.Changed(flag.Name) {
				names = append(names, "--"+flag.Name)
			}
		})
		return names
	}
}

// describe completes what the model's file says, or the terms of a task from before
// classes had names, and refuses flags that it has no need of.
func (f *descriptionFlags) describe(m *usedModel) error {
	given := f.given()
	if !m.described && m.task != "" {
		given = slices.DeleteFunc(given, func(name string) bool { return name == "--classes" })
	}
	switch told := m.described || m.task != ""; {
	case told && len(given) > 0:
		return usage("the model says itself what it is; leave %s out", strings.Join(given, " and "))
	case m.described:
		return nil
	case told:
		m.description.Classes = f.classes
		return nil
	}
	in, err := f.input.of(f.spec())
	m.description = model.Description{Architecture: f.model, Channels: f.channels, Size: f.size, Classes: f.classes, Input: in}
	return err
}

// whole is describe for whoever has no data that could tell the rest: classes must be
// named, and size and channels are those of the flags.
func (f *descriptionFlags) whole(m *usedModel, of string) error {
	if err := f.describe(m); err != nil {
		return err
	}
	if m.description.Classes == nil {
		return codes.Errorf("MF-MODEL-DESCRIPTION", "%s does not say what its classes are; name them with --classes, in the order of the model's outputs", of)
	}
	if !m.described && m.task == "" {
		spec := f.spec()
		m.description.Channels, m.description.Size = spec.Channels, spec.Size
	}
	return m.description.Spec().Validate()
}

// spec is the model with what is not said as it is by default.
func (f *descriptionFlags) spec() model.Spec {
	return backbone.SpecFor(f.model, cmp.Or(f.channels, 1), cmp.Or(f.size, 28), len(f.classes))
}
