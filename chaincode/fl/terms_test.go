package fl_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// recipient is an age recipient anyone can encrypt to.
const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

func validTerms() fl.Terms {
	return fl.Terms{
		Task: "pneumonia-1", Model: "hmchain-cnn", Data: "pneumoniamnist", Channels: 1, ImageSize: 28, Classes: 2,
		Training: fl.Training{Epochs: 1, BatchSize: 128, LearningRate: 50_000, Momentum: 900_000, Seed: -7},
		Strategy: fl.StrategyFedAvg, Metric: fl.MetricAccuracy, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000,
		F: 1, Masters: 4, Participation: fl.One, MinUpdates: 2, MaxExamples: 10_000, BaseWeight: 500_000,
		Rounds: 5, MaxFailed: 3,
		Deadlines: fl.Deadlines{Starting: 60, Training: 600, Committing: 120, Revealing: 120, Aggregating: 120},
		Initial: fl.ModelRef{
			CID:    "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
			Digest: beacon("initial"), Size: 100_000,
		},
		Recipient: recipient,
	}
}

// privacy is that of a private task.
func privacy() fl.Privacy {
	return fl.Privacy{NoiseMultiplier: 1_100_000, ClippingNorm: fl.One, InverseDelta: 100_000, Epsilon: 8 * fl.One}
}

// digest is that of some backbone.
const digest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestValidTermsPass(t *testing.T) {
	terms := validTerms()
	if err := fl.CheckTerms(terms); err != nil {
		t.Error(err)
	}
	terms.Privacy = privacy()
	if err := fl.CheckTerms(terms); err != nil {
		t.Error(err)
	}
	for _, b := range []fl.Backbone{{Digest: digest}, {Digest: digest, Random: true, Seed: -1}, {Digest: digest, Random: true}} {
		terms.Backbone = b
		if err := fl.CheckTerms(terms); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

func TestTermsOutOfBoundsAreRefused(t *testing.T) {
	for _, c := range []struct {
		field string
		code  codes.Code
		spoil func(*fl.Terms)
	}{
		{"task empty", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Task = "" }},
		{"task long", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Task = strings.Repeat("a", 65) }},
		{"task capital", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Task = "Covid" }},
		{"task underscore", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Task = "a_b" }},
		{"model", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Model = "a b" }},
		{"data", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Data = "a\x00" }},
		{"channels", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Channels = 0 }},
		{"image size", "MF-TERMS-INVALID", func(t *fl.Terms) { t.ImageSize = 5000 }},
		{"classes", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Classes = 1 }},
		{"epochs", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Epochs = 0 }},
		{"batch size", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.BatchSize = 0 }},
		{"learning rate", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.LearningRate = 0 }},
		{"momentum below", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Momentum = -1 }},
		{"momentum of one", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Momentum = fl.One }},
		{"decay above", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Decay = fl.One + 1 }},
		{"shift", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Augmentation.Shift = -1 }},
		{"rotate", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Augmentation.Rotate = 181 * fl.One }},
		{"contrast", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Training.Augmentation.Contrast = fl.One + 1 }},
		{"private balance", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Training.BalanceClasses = true }},
		{"private augmentation", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Training.Augmentation.Flip = true }},
		{"strategy", "MF-TERMS-STRATEGY", func(t *fl.Terms) { t.Strategy = "fedmagic" }},
		{"metric", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Metric = "vibes" }},
		{"threshold kind", "MF-TERMS-INVALID", func(t *fl.Terms) { t.ThresholdKind = "" }},
		{"threshold below", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Threshold = -1 }},
		{"threshold above", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Threshold = fl.One + 1 }},
		{"f below", "MF-TERMS-FAULTS", func(t *fl.Terms) { t.F = -1 }},
		{"f huge", "MF-TERMS-FAULTS", func(t *fl.Terms) { t.F = 1 << 62 }},
		{"masters below", "MF-TERMS-FAULTS", func(t *fl.Terms) { t.Masters = 3 }},
		{"masters above", "MF-TERMS-FAULTS", func(t *fl.Terms) { t.Masters = 101 }},
		{"one master", "MF-TERMS-FAULTS", func(t *fl.Terms) { t.F, t.Masters = 0, 1 }},
		{"participation", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Participation = 0 }},
		{"participation above", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Participation = fl.One + 1 }},
		{"min updates", "MF-TERMS-INVALID", func(t *fl.Terms) { t.MinUpdates = 0 }},
		{"max examples", "MF-TERMS-INVALID", func(t *fl.Terms) { t.MaxExamples = 0 }},
		{"base weight", "MF-TERMS-INVALID", func(t *fl.Terms) { t.BaseWeight = 0 }},
		{"rounds", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Rounds = 0 }},
		{"max failed", "MF-TERMS-INVALID", func(t *fl.Terms) { t.MaxFailed = 0 }},
		{"starting", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Deadlines.Starting = 0 }},
		{"training", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Deadlines.Training = -5 }},
		{"committing", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Deadlines.Committing = 0 }},
		{"revealing", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Deadlines.Revealing = 0 }},
		{"aggregating", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Deadlines.Aggregating = 1 << 62 }},
		{"CID", "MF-MODEL-CID", func(t *fl.Terms) { t.Initial.CID = "" }},
		{"digest", "MF-MODEL-DIGEST", func(t *fl.Terms) { t.Initial.Digest = "" }},
		{"size", "MF-MODEL-SIZE", func(t *fl.Terms) { t.Initial.Size = 0 }},
		{"recipient", "MF-RECIPIENT-INVALID", func(t *fl.Terms) { t.Recipient = "" }},
		{"noise", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Privacy.NoiseMultiplier = 99_999 }},
		{"noise above", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Privacy.NoiseMultiplier = 1 << 62 }},
		{"clipping norm", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Privacy.ClippingNorm = 0 }},
		{"delta of one", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Privacy.InverseDelta = 1 }},
		{"delta below", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Privacy.InverseDelta = -1 }},
		{"backbone without digest", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Backbone = fl.Backbone{Random: true, Seed: 1} }},
		{"backbone's digest", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Backbone.Digest = strings.ToUpper(digest) }},
		{"seed of a pre-trained backbone", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Backbone = fl.Backbone{Digest: digest, Seed: 1} }},
		{"epsilon", "MF-TERMS-INVALID", func(t *fl.Terms) { t.Privacy = privacy(); t.Privacy.Epsilon = 0 }},
	} {
		terms := validTerms()
		c.spoil(&terms)
		if got := codeOf(fl.CheckTerms(terms)); got != c.code {
			t.Errorf("%s: %q, want %q", c.field, got, c.code)
		}
	}
}

// TestDocumentsHoldNoFloatsAndNoMaps keeps what is stored the same on every
// endorser: no floating-point numbers, no order by chance.
func TestDocumentsHoldNoFloatsAndNoMaps(t *testing.T) {
	for _, document := range []any{fl.TaskState{}, fl.RoundState{}, fl.TaskPage{}, fl.LineageStep{}, fl.Progress{}, fl.DigestUse{}, fl.Event{}} {
		walk(t, reflect.TypeOf(document))
	}
}

func walk(t *testing.T, kind reflect.Type) {
	switch kind.Kind() {
	case reflect.Struct:
		for i := range kind.NumField() {
			walk(t, kind.Field(i).Type)
		}
	case reflect.Slice, reflect.Pointer:
		walk(t, kind.Elem())
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
	default:
		t.Errorf("a document holds a %s", kind)
	}
}

// Classes are named all or not at all, and told apart.
func TestClassNames(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		fits  bool
	}{
		"none":             {nil, true},
		"each":             {[]string{"normal", "pneumonia, viral"}, true},
		"one of two":       {[]string{"normal"}, false},
		"three of two":     {[]string{"a", "b", "c"}, false},
		"the same twice":   {[]string{"a", "a"}, false},
		"empty":            {[]string{"a", ""}, false},
		"space around":     {[]string{"a", " b"}, false},
		"not printable":    {[]string{"a", "b\n"}, false},
		"as long as it is": {[]string{"a", strings.Repeat("b", fl.MaxClass)}, true},
		"too long":         {[]string{"a", strings.Repeat("b", fl.MaxClass+1)}, false},
	} {
		terms := validTerms()
		terms.ClassNames = c.names
		if err := fl.CheckTerms(terms); c.fits != (err == nil) || err != nil && codes.Of(err) != "MF-TERMS-CLASSES" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, b := validTerms(), validTerms(); !a.Equal(b) {
		t.Error("terms differ from themselves")
	} else if b.ClassNames = []string{"x", "y"}; a.Equal(b) {
		t.Error("terms with other classes are the same")
	}
}

// Terms say in whole how an image becomes numbers, or, when they are older, not at all.
func TestInput(t *testing.T) {
	whole := func() fl.Input {
		return fl.Input{WindowLow: -1000 * fl.One, WindowHigh: 400 * fl.One, OwnWindow: true, Mean: []fl.Micro{0}, Std: []fl.Micro{fl.One}, Fit: fl.FitPad}
	}
	for name, c := range map[string]struct {
		change func(*fl.Input)
		fits   bool
	}{
		"whole":                {func(*fl.Input) {}, true},
		"none":                 {func(in *fl.Input) { *in = fl.Input{} }, true},
		"the full range":       {func(in *fl.Input) { in.WindowLow, in.WindowHigh = 0, 0 }, true},
		"an empty window":      {func(in *fl.Input) { in.WindowLow = in.WindowHigh }, false},
		"a window backwards":   {func(in *fl.Input) { in.WindowLow, in.WindowHigh = 1, -1 }, false},
		"a window too far":     {func(in *fl.Input) { in.WindowHigh = fl.MaxStored + 1 }, false},
		"no fit":               {func(in *fl.Input) { in.Fit = "" }, false},
		"an unknown fit":       {func(in *fl.Input) { in.Fit = "squeeze" }, false},
		"no numbers":           {func(in *fl.Input) { in.Mean, in.Std = nil, nil }, false},
		"too many means":       {func(in *fl.Input) { in.Mean = []fl.Micro{0, 0} }, false},
		"a deviation of 0":     {func(in *fl.Input) { in.Std = []fl.Micro{0} }, false},
		"a mean below black":   {func(in *fl.Input) { in.Mean = []fl.Micro{-1} }, false},
		"a deviation too much": {func(in *fl.Input) { in.Std = []fl.Micro{fl.MaxStd + 1} }, false},
	} {
		terms := validTerms()
		terms.Channels, terms.Input = 1, whole()
		c.change(&terms.Input)
		if err := fl.CheckTerms(terms); c.fits != (err == nil) || err != nil && codes.Of(err) != "MF-TERMS-INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	older := validTerms()
	if text, err := json.Marshal(older); err != nil || strings.Contains(string(text), `"input"`) {
		t.Errorf("terms without it say %s (%v)", text, err)
	}
	newer, other := older, older
	newer.Input, other.Input = whole(), whole()
	if other.Input.Mean[0] = 1; newer.Equal(other) || newer.Equal(older) {
		t.Error("terms with another Input are the same")
	}
}
