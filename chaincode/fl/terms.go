package fl

import (
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// Limits of a task's terms.
const (
	MaxMasters  = 100
	MaxRounds   = 10_000
	MaxExamples = 1_000_000_000
	MaxDeadline = 30 * 24 * 3600 // seconds
	MaxClasses  = 1000
	MaxClass    = 128 // bytes of a class's name
)

// CheckTerms refuses terms that can't be carried out: numbers that don't hold
// the task's f, and values that no trainer can work with.
func CheckTerms(t Terms) error {
	if err := CheckNumbers(t); err != nil {
		return err
	}
	if err := form.CheckRecipient(t.Recipient); err != nil {
		return err
	}
	return CheckModel(t.Initial)
}

// CheckNumbers is CheckTerms without the references that only a task on a ledger
// has: its first model and its coordinator's recipient.
func CheckNumbers(t Terms) error {
	for _, check := range []func(Terms) error{checkNames, checkShape, checkInput, checkTraining, checkScoring, checkFaults, checkRounds, checkDeadlines, checkRetention, checkPrivacy, checkBackbone} {
		if err := check(t); err != nil {
			return err
		}
	}
	return nil
}

// checkFaults holds the arithmetic of f. With 2f+1 scores of other
// organisations an update's median is within what honest masters measured; with
// 3f+1 masters a quorum of 2f+1 is left when f of them are silent.
func checkFaults(t Terms) error {
	switch {
	case t.F < 0 || t.F > MaxMasters:
		return codes.Errorf("MF-TERMS-FAULTS", "f is %d; set it from 0 to %d", t.F, MaxMasters)
	case t.Masters > MaxMasters:
		return codes.Errorf("MF-TERMS-FAULTS", "%d masters are asked for; ask for at most %d", t.Masters, MaxMasters)
	case t.Masters < 3*t.F+1:
		return codes.Errorf("MF-TERMS-FAULTS", "%d masters can't hold f = %d; ask for at least 3f+1 = %d masters", t.Masters, t.F, 3*t.F+1)
	case t.Masters-1 < Quorum(t.F):
		return codes.Errorf("MF-TERMS-FAULTS", "%d masters leave fewer than 2f+1 = %d scores when a trainer's own organisation is left out; ask for at least %d masters", t.Masters, Quorum(t.F), Quorum(t.F)+1)
	}
	return nil
}

func checkNames(t Terms) error {
	if !form.IsName(t.Task, "-") {
		return codes.Errorf("MF-TERMS-INVALID", "the task's name is not 1 to %d of a-z, 0-9 and hyphen; rename it", form.MaxName)
	}
	if !form.IsName(t.Model, "-.") {
		return codes.Errorf("MF-TERMS-INVALID", "the model's name is not 1 to %d of a-z, 0-9, hyphen and dot; use the trainer's name for it", form.MaxName)
	}
	if !form.IsName(t.Data, "-._") {
		return codes.Errorf("MF-TERMS-INVALID", "the data label is not 1 to %d of a-z, 0-9, hyphen, dot and underscore; rename it", form.MaxName)
	}
	return nil
}

// CheckTaskName refuses what can't name a task.
func CheckTaskName(task string) error {
	if !form.IsName(task, "-") {
		return codes.Errorf("MF-TASK-NAME", "the task's name is not 1 to %d of a-z, 0-9 and hyphen; see the list of tasks", form.MaxName)
	}
	return nil
}

func checkShape(t Terms) error {
	if err := within(shapeBounds(t)); err != nil {
		return err
	}
	return checkClassNames(t)
}

// checkClassNames refuses names that don't tell the classes apart.
func checkClassNames(t Terms) error {
	if len(t.ClassNames) == 0 {
		return nil
	}
	if len(t.ClassNames) != t.Classes {
		return codes.Errorf("MF-TERMS-CLASSES", "%d of %d classes are named; name each, in the order of the outputs", len(t.ClassNames), t.Classes)
	}
	for i, name := range t.ClassNames {
		if !form.IsText(name, 1, MaxClass) || strings.TrimSpace(name) != name {
			return codes.Errorf("MF-TERMS-CLASSES", "the name of class %d is not 1 to %d printable bytes without space around them; rename it", i+1, MaxClass)
		}
	}
	if once := form.SortedOnce(t.ClassNames); len(once) != len(t.ClassNames) {
		return codes.Errorf("MF-TERMS-CLASSES", "two classes have the same name; rename one")
	}
	return nil
}

func shapeBounds(t Terms) []Bound {
	return []Bound{
		bound("channels", t.Channels, 1, 16),
		bound("image_size", t.ImageSize, 1, 4096),
		bound("classes", t.Classes, 2, MaxClasses),
	}
}

func checkTraining(t Terms) error {
	if t.Privacy.On() && (t.Training.BalanceClasses || t.Training.Augmentation != (Augmentation{})) {
		return codes.Errorf("MF-TERMS-INVALID", "a private task neither balances classes, whose counts that would tell, nor augments images; leave both out")
	}
	return within(trainingBounds(t))
}

func trainingBounds(t Terms) []Bound {
	augmentation := t.Training.Augmentation
	return []Bound{
		bound("training.epochs", t.Training.Epochs, 1, 10_000),
		bound("training.batch_size", t.Training.BatchSize, 1, 1<<20),
		bound("training.learning_rate", t.Training.LearningRate, 1, 100*One),
		bound("training.momentum", t.Training.Momentum, 0, One-1),
		bound("training.learning_rate_decay", t.Training.Decay, 0, One),
		bound("training.augmentation.shift", augmentation.Shift, 0, 4096),
		bound("training.augmentation.rotate", augmentation.Rotate, 0, 180*One),
		bound("training.augmentation.contrast", augmentation.Contrast, 0, One),
		bound("max_examples", t.MaxExamples, 1, MaxExamples),
	}
}

func checkScoring(t Terms) error {
	if err := CheckStrategy(t.Strategy); err != nil {
		return err
	}
	if t.Metric != MetricAccuracy && t.Metric != MetricAUC {
		return codes.Errorf("MF-TERMS-INVALID", "the metric is not known; use %s or %s", MetricAccuracy, MetricAUC)
	}
	if t.ThresholdKind != ThresholdAbsolute && t.ThresholdKind != ThresholdRelative {
		return codes.Errorf("MF-TERMS-INVALID", "the kind of threshold is not known; use %s or %s", ThresholdAbsolute, ThresholdRelative)
	}
	return within(scoringBounds(t))
}

func scoringBounds(t Terms) []Bound {
	return []Bound{
		bound("threshold", t.Threshold, 0, One),
		bound("base_weight", t.BaseWeight, 1, One),
	}
}

func checkRounds(t Terms) error {
	return within(roundsBounds(t))
}

func roundsBounds(t Terms) []Bound {
	return []Bound{
		bound("participation", t.Participation, 1, One),
		bound("min_updates", t.MinUpdates, 1, MaxExamples),
		bound("rounds", t.Rounds, 1, MaxRounds),
		bound("max_failed", t.MaxFailed, 1, MaxRounds),
	}
}

func checkDeadlines(t Terms) error {
	return within(deadlinesBounds(t))
}

func deadlinesBounds(t Terms) []Bound {
	return []Bound{
		bound("deadlines.starting", t.Deadlines.Starting, 1, MaxDeadline),
		bound("deadlines.training", t.Deadlines.Training, 1, MaxDeadline),
		bound("deadlines.committing", t.Deadlines.Committing, 1, MaxDeadline),
		bound("deadlines.revealing", t.Deadlines.Revealing, 1, MaxDeadline),
		bound("deadlines.aggregating", t.Deadlines.Aggregating, 1, MaxDeadline),
	}
}

// checkBackbone refuses a backbone that nodes can't compare theirs with. Which models
// have one the trainer knows.
func checkBackbone(t Terms) error {
	switch b := t.Backbone; {
	case b == Backbone{}:
		return nil
	case !form.IsHex32(b.Digest):
		return codes.Errorf("MF-TERMS-INVALID", "the backbone's digest is not 64 lower-case hexadecimal digits; send the SHA-256 of its canonical weights")
	case !b.Random && b.Seed != 0:
		return codes.Errorf("MF-TERMS-INVALID", "the backbone is not random and has a seed; leave the seed out")
	}
	return nil
}

// Bound is a whole number of a task's terms and the values it may have, both ends
// allowed.
type Bound struct {
	Field       string // path of JSON names, for instance training.epochs
	Value       int64
	Least, Most int64
}

func bound[T ~int | ~int64](field string, value, least, most T) Bound {
	return Bound{field, int64(value), int64(least), int64(most)}
}

// TermsBounds lists the numbers of the terms that have bounds of their own. Those of
// privacy hold where the task trains privately.
func TermsBounds(t Terms) []Bound {
	return slices.Concat(shapeBounds(t), inputBounds(t), trainingBounds(t), scoringBounds(t), roundsBounds(t), deadlinesBounds(t), retentionBounds(t), privacyBounds(t))
}

// within refuses the first number that is out of its bounds.
func within(bounds []Bound) error {
	for _, b := range bounds {
		if b.Value < b.Least || b.Value > b.Most {
			return codes.Errorf("MF-TERMS-INVALID", "%s is %d; set it from %d to %d", b.Field, b.Value, b.Least, b.Most)
		}
	}
	return nil
}
