package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/chaincode/fl"
)

// refinements are what may be added to plain local training, in the words of a
// person.
type refinements struct {
	Decay   decimal      `yaml:"learning_rate_decay"`
	Balance bool         `yaml:"balance_classes"`
	Augment augmentation `yaml:"augment"`
}

// bind makes a flag of each. The present values become the defaults.
func (r *refinements) bind(flags *pflag.FlagSet) {
	flags.Var(&r.Decay, "learning-rate-decay", "factor of the learning rate from round to round, such as 0.98; 0 for none")
	flags.BoolVar(&r.Balance, "balance-classes", r.Balance, "let an example count for the more the rarer its class is at its trainer")
	flags.Var(&r.Augment, "augment", "change training images a little: any of flip, shift=PIXELS, rotate=DEGREES, contrast=SHARE, with commas between; none for none")
}

// augmentation is a flag and YAML value.
type augmentation fl.Augmentation

func (a *augmentation) Type() string   { return "augmentation" }
func (a *augmentation) String() string { return fl.Augmentation(*a).String() }

func (a *augmentation) Set(s string) error {
	read := augmentation{}
	if s != fl.NoAugmentation {
		for _, part := range strings.Split(s, ",") {
			if err := read.add(part); err != nil {
				return err
			}
		}
	}
	*a = read
	return nil
}

// add reads one part, as shift=2.
func (a *augmentation) add(part string) (err error) {
	name, value, given := strings.Cut(part, "=")
	switch {
	case name == "flip" && !given:
		a.Flip = true
	case name == "shift" && given:
		a.Shift, err = strconv.Atoi(value)
	case name == "rotate" && given:
		err = a.Rotate.Set(value)
	case name == "contrast" && given:
		err = a.Contrast.Set(value)
	default:
		err = fmt.Errorf("there is no augmentation %q; write flip, shift=2, rotate=10 or contrast=0.2, with commas between", part)
	}
	return err
}

// UnmarshalYAML reads the text as the flag does.
func (a *augmentation) UnmarshalYAML(node *yaml.Node) error {
	if err := a.Set(node.Value); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

// trainingInWords tells what a task's trainers do, in one line.
func trainingInWords(t fl.Training) string {
	words := fmt.Sprintf("%d epochs, batch %d, learning rate %s, momentum %s, seed %d", t.Epochs, t.BatchSize, t.LearningRate, t.Momentum, t.Seed)
	if t.Decay != 0 {
		words += ", decay " + t.Decay.String()
	}
	if t.BalanceClasses {
		words += ", classes balanced"
	}
	if t.Augmentation != (fl.Augmentation{}) {
		words += ", augmented by " + t.Augmentation.String()
	}
	return words
}
