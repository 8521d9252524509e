// Package simulate plays a federated task in one process, without a network: K
// clients with a share of the data each, and the rounds as the ledger has them.
// Who is elected and sampled, what the masters' medians are and what is accepted
// is decided by the chaincode's own rules (package fl); the beacons come from
// salts that the seed gives. Every client is an organisation of its own.
//
// The same settings and data give the same rounds and, on one architecture of
// processor, the same bytes of every model.
//
// Errors begin with a stable code:
//
//	MF-SIMULATE-SETTINGS    the settings contradict themselves or the data
//	MF-SIMULATE-CHECKPOINT  a checkpoint can't be read, or is of another simulation
//	MF-SIMULATE-WRITE       a checkpoint, table or plot can't be written
//
// and the codes of fl, dataset, model and fed.
package simulate

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// Settings are all that a simulation depends on besides its data.
type Settings struct {
	Model         string           `json:"model"`         // architecture
	Clients       int              `json:"clients"`       // K
	Participation fl.Micro         `json:"participation"` // P: share of the clients that are not masters which train in a round
	Epochs        int              `json:"epochs"`        // E
	BatchSize     int              `json:"batch_size"`    // b
	LearningRate  fl.Micro         `json:"learning_rate"`
	Momentum      fl.Micro         `json:"momentum"`
	Decay         fl.Micro         `json:"learning_rate_decay,omitempty"` // of the learning rate from round to round; 0 for none
	Balance       bool             `json:"balance_classes,omitempty"`
	Augmentation  fl.Augmentation  `json:"augmentation,omitzero"`
	Strategy      string           `json:"strategy"` // as in a task's terms
	Split         string           `json:"split"`    // dataset.IID, dataset.Dirichlet or dataset.ByPatient
	Alpha         float64          `json:"alpha"`    // of the Dirichlet split, else 0
	Masters       int              `json:"masters"`  // elected a round; 0 accepts every update unscored
	F             int              `json:"f"`        // masters that may lie
	Metric        fl.Metric        `json:"metric"`
	ThresholdKind fl.ThresholdKind `json:"threshold_kind"`
	Threshold     fl.Micro         `json:"threshold"`
	BaseWeight    fl.Micro         `json:"base_weight"`
	MaxFailed     int              `json:"max_failed"` // rounds that may fail in a row
	Poison        Poison           `json:"poison"`
	Privacy       fl.Privacy       `json:"privacy,omitzero"`  // of the local training; left out for none
	Backbone      fl.Backbone      `json:"backbone,omitzero"` // whose features the data are; left out for images
	Input         fl.Input         `json:"input,omitzero"`    // how an image became numbers
	Holdout       fl.Micro         `json:"holdout,omitempty"` // share of the training images whose patients were made the test split; 0 where the data bring their own
	Seed          int64            `json:"seed"`
	Curve         string           `json:"curve"`              // split that every round's global model is measured on
	Untested      bool             `json:"untested,omitempty"` // the test split is left alone, as whoever chooses settings must

	// Rounds is how many are to close (R). It alone may differ between a
	// checkpoint and the simulation that goes on from it.
	Rounds int `json:"rounds"`
}

// The splits that a curve can be measured on.
const (
	CurveValidation = "validation"
	CurveTest       = "test"
	CurveNone       = "none"
)

// Defaults is the setting of Hu et al. (section 5): 100 clients of which a tenth
// train, 50 rounds of 3 epochs, batches of 128, plain SGD at 0.1. Four masters
// score, of which one may lie. An update is accepted down to an AUC of 0.2 below that
// of the previous global model, of which the paper says nothing: the models of the first
// rounds are uneven. At 0.2 five seeds on PneumoniaMNIST have no round that accepts none.
func Defaults() Settings {
	return Settings{
		Model: model.HMChainCNN, Clients: 100, Participation: fl.One / 10, Rounds: 50,
		Epochs: 3, BatchSize: 128, LearningRate: fl.One / 10, Momentum: 0,
		Strategy: fl.StrategyFedAvg, Split: dataset.IID,
		Masters: 4, F: 1, Metric: fl.MetricAUC, ThresholdKind: fl.ThresholdRelative, Threshold: fl.One / 5,
		BaseWeight: fl.One / 2, MaxFailed: 10, Poison: Poison{Kind: PoisonNone}, Seed: 1, Curve: CurveValidation,
	}
}

// The kinds of poison.
const (
	PoisonNone      = "none"
	PoisonSignFlip  = "sign-flip"  // the trained weights with their signs turned
	PoisonScale     = "scale"      // the way from the global model, multiplied by Factor
	PoisonLabelFlip = "label-flip" // trained, and scored, on labels c of C as C-1-c
)

// Poison is what dishonest clients do. Running statistics of batch normalisation
// are sent as they were trained: a negative variance would be seen at once.
type Poison struct {
	Kind   string   `json:"kind"`
	Factor float64  `json:"factor"` // of PoisonScale, else 0
	Share  fl.Micro `json:"share"`  // of the clients that are dishonest, rounded half up
}

// ParsePoison reads none, sign-flip, label-flip or scale:FACTOR. Share is left 0.
func ParsePoison(text string) (Poison, error) {
	kind, factor, given := strings.Cut(text, ":")
	switch {
	case !given && (kind == PoisonNone || kind == PoisonSignFlip || kind == PoisonLabelFlip):
		return Poison{Kind: kind}, nil
	case given && kind == PoisonScale:
		v, err := strconv.ParseFloat(factor, 64)
		if err == nil && !math.IsNaN(v) && math.Abs(v) <= 1e6 {
			return Poison{Kind: kind, Factor: v}, nil
		}
	}
	return Poison{}, codes.Errorf("MF-SIMULATE-SETTINGS", "there is no poison %q; write none, sign-flip, label-flip, or scale with its factor as in scale:100", text)
}

// String is what ParsePoison reads.
func (p Poison) String() string {
	if p.Kind == PoisonScale {
		return p.Kind + ":" + strconv.FormatFloat(p.Factor, 'g', -1, 64)
	}
	return p.Kind
}

// clients is how many of k clients are dishonest.
func (p Poison) clients(k int) int {
	if p.Kind == PoisonNone {
		return 0
	}
	return int((p.Share*fl.Micro(k) + fl.One/2) / fl.One)
}

// task names the simulated task in what the rules hash.
const task = "simulation"

// terms are the settings as a task on a ledger would have them. A simulation has
// no clock, so that it has no deadlines.
func (s Settings) terms(data *dataset.Data) fl.Terms {
	return fl.Terms{
		Task: task, Model: s.Model, Data: data.Name, Channels: data.Channels, ImageSize: data.Size, Classes: len(data.Classes), ClassNames: data.Classes, Input: s.Input,
		Training: fl.Training{
			Epochs: s.Epochs, BatchSize: s.BatchSize, LearningRate: s.LearningRate, Momentum: s.Momentum, Seed: s.Seed,
			Decay: s.Decay, BalanceClasses: s.Balance, Augmentation: s.Augmentation,
		},
		Strategy: s.Strategy, Metric: s.Metric, ThresholdKind: s.ThresholdKind, Threshold: s.Threshold,
		F: s.F, Masters: s.Masters, Participation: s.Participation, MinUpdates: 1, MaxExamples: fl.MaxExamples,
		BaseWeight: s.BaseWeight, Rounds: s.Rounds, MaxFailed: s.MaxFailed, Privacy: s.Privacy, Backbone: s.Backbone,
	}
}

// check refuses settings that the rules of a task refuse, or that can't be
// simulated.
func (s Settings) check(data *dataset.Data) error {
	terms := s.terms(data)
	terms.Deadlines = fl.Deadlines{Starting: 1, Training: 1, Committing: 1, Revealing: 1, Aggregating: 1}
	if s.Masters == 0 {
		terms.Masters, terms.F = 2, 0 // nobody scores: the arithmetic of f does not matter
	}
	if err := fl.CheckNumbers(terms); err != nil {
		return err
	}
	if s.Masters < 0 || s.Clients <= s.Masters {
		return codes.Errorf("MF-SIMULATE-SETTINGS", "%d clients with %d masters a round leave nobody to train; use more clients", s.Clients, s.Masters)
	}
	if s.Poison.Share < 0 || s.Poison.Share > fl.One {
		return codes.Errorf("MF-SIMULATE-SETTINGS", "the share of poisoned clients is below 0 or above 1; use 0 to 1")
	}
	if s.Untested && s.Curve == CurveTest {
		return codes.Errorf("MF-SIMULATE-SETTINGS", "a curve on the test split does not leave it alone; measure on validation")
	}
	switch s.Curve {
	case CurveValidation, CurveTest, CurveNone:
		return nil
	}
	return codes.Errorf("MF-SIMULATE-SETTINGS", "there is no curve %q; use validation, test or none", s.Curve)
}

// partition is the split as package dataset has it.
func (s Settings) partition() dataset.Partition {
	return dataset.Partition{Kind: s.Split, Alpha: s.Alpha}
}

// nodeID names client i, from 0, in an organisation of its own. With the leading
// zeros their order is that of their numbers.
func nodeID(i int) string { return fmt.Sprintf("Client%05dMSP/node", i+1) }
