package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// The settings that Hu et al. vary (Table 4); the first of each is Table 3's.
var (
	learningRates = []fl.Micro{fl.One / 10, fl.One / 100, fl.One / 1000, fl.One / 10000}
	batchSizes    = []int{128, 32, 64, 256}
)

// huSet is what came of one MedMNIST set.
type huSet struct {
	name    string
	info    dataset.Info
	sha256  string
	clients int // examples of a client
	absent  string

	vgg16       map[string][]outcome // by origin of the backbone's weights
	vgg16Origin string
	vgg16Note   string
	central     map[int][]outcome // by epochs
	rates       map[fl.Micro][]outcome
	batches     map[int][]outcome
}

// centralEpochs are those of the centralised CNN: the paper's, and as many as make
// an example be seen as often as in 50 rounds of 3 epochs by a tenth of the clients.
func (b *book) centralEpochs() []int {
	s := b.federated(1)
	return []int{s.Epochs, max(s.Epochs, int(int64(s.Rounds)*s.Participation/fl.One)*s.Epochs)}
}

// federated is the papers' setting with a seed.
func (b *book) federated(seed int64) simulate.Settings {
	s := simulate.Defaults()
	s.Rounds, s.Seed, s.Curve = b.options.rounds, seed, simulate.CurveValidation
	return s
}

// hu runs Tables 3 and 4 on every set that is there.
func (b *book) hu(ctx context.Context) error {
	loaded := map[*huSet]*dataset.Data{}
	for _, name := range b.options.sets {
		info, err := dataset.Lookup(name)
		if err != nil {
			return err
		}
		set := &huSet{name: name, info: info, central: map[int][]outcome{}, rates: map[fl.Micro][]outcome{}, batches: map[int][]outcome{}, vgg16: map[string][]outcome{}}
		b.sets = append(b.sets, set)
		data, err := dataset.Load(ctx, name, dataset.Options{Folder: b.options.data, AllowDownload: !b.options.offline})
		if err != nil {
			// Where it was looked for is no reader's business.
			set.absent = fmt.Sprintf("%s.npz is not on the machine and was not to be had (%s); it comes from %s", name, codes.CodeIn(err.Error()), info.URL)
			say("%s is left out: %v", name, err)
			continue
		}
		set.sha256, set.clients = data.SHA256, data.Train.Len()/b.federated(1).Clients
		loaded[set] = data
	}
	if err := b.write(); err != nil {
		return err
	}
	// The first seed of everything comes before the second of anything.
	for seed := int64(1); seed <= int64(b.options.seeds); seed++ {
		for _, set := range b.sets {
			if data := loaded[set]; data != nil {
				if err := b.huSeed(ctx, set, data, seed); err != nil {
					return err
				}
			}
		}
	}
	for _, set := range b.sets {
		if data := loaded[set]; data != nil {
			if err := b.vgg16(ctx, set, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// huSeed runs all settings on one set with one seed.
func (b *book) huSeed(ctx context.Context, set *huSet, data *dataset.Data, seed int64) error {
	for _, epochs := range b.centralEpochs() {
		if set.central[epochs] != nil && len(set.central[epochs]) >= int(seed) {
			continue // the two are the same in a quick run
		}
		result, err := b.centralised(ctx, data, epochs, seed)
		if err := add(set.central, epochs, result, err); err != nil {
			return err
		}
	}
	for _, rate := range learningRates {
		s := b.federated(seed)
		s.LearningRate = rate
		result, err := b.simulated(ctx, data, s)
		if err := add(set.rates, rate, result, err); err != nil {
			return err
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	for _, size := range batchSizes {
		s := b.federated(seed)
		s.BatchSize = size
		result, err := b.simulated(ctx, data, s)
		if err := add(set.batches, size, result, err); err != nil {
			return err
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// simulated plays a federated task.
func (b *book) simulated(ctx context.Context, data *dataset.Data, s simulate.Settings) (outcome, error) {
	key := struct {
		Experiment string            `json:"experiment"`
		Data       string            `json:"data"`
		SHA256     string            `json:"sha256"`
		Settings   simulate.Settings `json:"settings"`
	}{"hu federated", data.Name, data.SHA256, s}
	name := fmt.Sprintf("%s, federated, learning rate %s, batch %d, seed %d", data.Name, micro(s.LearningRate), s.BatchSize, s.Seed)
	return b.store.run(name, key, func(checkpoint string) (outcome, error) {
		task, err := begin(s, data, checkpoint)
		if err != nil {
			return outcome{}, err
		}
		report, err := task.Run(ctx, simulate.Hooks{Saved: func(c simulate.Checkpoint) error { return simulate.WriteCheckpoint(checkpoint, c) }})
		if err != nil {
			return outcome{}, err
		}
		if report.Test == nil {
			return outcome{}, fmt.Errorf("%s has no test split", data.Name)
		}
		result := outcome{Test: *report.Test, Digest: report.Digest, Command: command(data.Name, s)}
		for _, round := range report.Rounds {
			if round.Metrics != nil {
				result.Curve = append(result.Curve, *round.Metrics)
			}
		}
		return result, nil
	})
}

// begin starts a simulation, or goes on from the checkpoint.
func begin(s simulate.Settings, data *dataset.Data, checkpoint string) (*simulate.Simulation, error) {
	saved, err := simulate.ReadCheckpoint(checkpoint)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return simulate.New(s, data)
	case err != nil:
		return nil, err
	}
	return simulate.Resume(s, data, saved)
}

// command is what makes a federated run by itself.
func command(data string, s simulate.Settings) string {
	return fmt.Sprintf("medfed simulate --data %s --rounds %d --learning-rate %s --batch-size %d --seed %d", data, s.Rounds, micro(s.LearningRate), s.BatchSize, s.Seed)
}

// centralised trains the CNN on all training examples.
func (b *book) centralised(ctx context.Context, data *dataset.Data, epochs int, seed int64) (outcome, error) {
	s := b.federated(seed)
	spec := model.Spec{Name: s.Model, Channels: data.Channels, Size: data.Size, Classes: data.Classes}
	return b.fit(ctx, "hu centralised", spec, data, "", epochs, seed, func() ([2]dataset.Split, error) {
		return [2]dataset.Split{data.Train, data.Test}, nil
	})
}

// fit trains a model on one place's data and measures it once. parts gives the
// training and the test examples.
func (b *book) fit(ctx context.Context, experiment string, spec model.Spec, data *dataset.Data, backbone string, epochs int, seed int64, parts func() ([2]dataset.Split, error)) (outcome, error) {
	s := b.federated(seed)
	o := model.TrainOptions{Epochs: epochs, BatchSize: s.BatchSize, LearningRate: float64(s.LearningRate) / float64(fl.One), Momentum: float64(s.Momentum) / float64(fl.One), Seed: seed}
	key := struct {
		Experiment string     `json:"experiment"`
		Data       string     `json:"data"`
		SHA256     string     `json:"sha256"`
		Spec       model.Spec `json:"spec"`
		Backbone   string     `json:"backbone,omitempty"` // digest of its weights
		Epochs     int        `json:"epochs"`
		Batch      int        `json:"batch"`
		Rate       float64    `json:"rate"`
		Momentum   float64    `json:"momentum"`
		Seed       int64      `json:"seed"`
	}{experiment, data.Name, data.SHA256, spec, backbone, epochs, o.BatchSize, o.LearningRate, o.Momentum, seed}
	return b.store.run(fmt.Sprintf("%s, %s, centralised, %d epochs, seed %d", data.Name, spec.Name, epochs, seed), key, func(string) (outcome, error) {
		split, err := parts()
		if err != nil {
			return outcome{}, err
		}
		start, err := model.Initial(spec, seed)
		if err != nil {
			return outcome{}, err
		}
		w, err := model.Train(ctx, spec, start, split[0], o)
		if err != nil {
			return outcome{}, err
		}
		measured, err := model.Evaluate(ctx, spec, w, split[1])
		if err != nil {
			return outcome{}, err
		}
		return outcome{Test: measured, Digest: w.Digest(), Command: "make reproduce"}, nil
	})
}

// vgg16 trains the head behind VGG16 on the images enlarged to its size.
func (b *book) vgg16(ctx context.Context, set *huSet, data *dataset.Data) error {
	if n := data.Train.Len() + data.Test.Len(); n > b.options.frozen {
		set.vgg16Note = fmt.Sprintf("not run: %d images, and -vgg16-images is %d", n, b.options.frozen)
		return b.write()
	}
	f, err := b.openFrozen(model.VGG16)
	if err != nil {
		return err
	}
	f.spec.Classes = data.Classes
	set.vgg16Origin = f.origin
	// Computed when the first run is not kept.
	computed := sync.OnceValues(func() (parts [2]dataset.Split, err error) {
		if parts[0], err = f.enlarged(ctx, set.name+"'s training images", data, data.Train); err == nil {
			parts[1], err = f.enlarged(ctx, set.name+"'s test images", data, data.Test)
		}
		if err == nil {
			parts[0], parts[1] = standardise(parts[0], parts[1])
		}
		return parts, err
	})
	for seed := int64(1); seed <= int64(b.options.seeds); seed++ {
		result, err := b.fit(ctx, "hu vgg16, features standardised", f.spec, data, f.digest, b.federated(1).Epochs, seed, computed)
		if err := add(set.vgg16, f.origin, result, err); err != nil {
			return err
		}
	}
	return b.write()
}
