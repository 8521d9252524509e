package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
)

// The settings that Hu et al. vary (Table 4); the first of each is Table 3's.
var (
	learningRates = []fl.Micro{fl.One / 10, fl.One / 100, fl.One / 1000, fl.One / 10000}
	batchSizes    = []int{128, 32, 64, 256}
)

// addition is what is added to the paper's setting in the runs "with additions".
type addition struct {
	add    func(*simulate.Settings)
	chosen string // by what; never the test split
	beside string // to say beside the number
}

// additions are by set. They leave the paper's clients, rounds, epochs and batch size as
// they are, and the layers of its model.
var additions = map[string]*addition{
	"pneumoniamnist": {func(s *simulate.Settings) {
		serverMomentum(s)
		s.Decay, s.Balance, s.Augmentation = fl.One*95/100, true, fl.Augmentation{Shift: 2, Rotate: 10 * fl.One}
	}, "the validation split, as it is and with its images shifted, turned and made noisy, with seeds 1 and 2", ""},
	"breastmnist": {func(s *simulate.Settings) {
		unscored(s)
		serverMomentum(s)
		s.Model, s.Decay = model.HMChainEnsemble, fl.One*93/100
	}, "five folds of the training and validation splits, divided in four ways, with seed 1; the ensemble by five folds and five first models", "; an ensemble of five of the paper's networks"},
}

// serverMomentum has momentum in the local training and across rounds, and a learning
// rate to go with both.
func serverMomentum(s *simulate.Settings) {
	s.Strategy = fed.FedAvgM + ":server_momentum=0.7"
	s.Momentum, s.LearningRate = fl.One*9/10, fl.One*2/100
}

// unscored leaves the masters out: every update is accepted, and every client may be
// drawn to train.
func unscored(s *simulate.Settings) { s.Masters, s.F = 0, 0 }

// huSet is one MedMNIST set of the paper.
type huSet struct {
	name   string
	info   dataset.Info
	data   *dataset.Data // nil where it is not to be had
	absent string        // why

	backbone     *backbone.Backbone                                  // VGG16; nil without data, or where it is not run
	backboneNote string                                              // why it is not run
	enlarged     int                                                 // images that go through it
	features     func(progress func(done, total int)) (parts, error) // of the training and test images behind it
}

// parts are training and test examples.
type parts struct{ train, test dataset.Split }

// openSets loads the sets that are there.
func (b *book) openSets(ctx context.Context) error {
	for _, name := range b.options.sets {
		info, err := dataset.Lookup(name)
		if err != nil {
			return err
		}
		set := &huSet{name: name, info: info}
		b.sets = append(b.sets, set)
		set.data, err = dataset.Load(ctx, name, dataset.Options{Folder: b.options.data, AllowDownload: !b.options.offline && !b.options.pages && !b.options.plan})
		if err != nil {
			// Where it was looked for is no reader's business.
			set.absent = fmt.Sprintf("%s.npz is not on the machine and was not to be had (%s); it comes from %s", name, codes.Of(err), info.URL)
			b.shown.say("%s is left out: %v", name, err)
			continue
		}
		if err := b.openVGG16(ctx, set); err != nil {
			return err
		}
	}
	return nil
}

// openVGG16 prepares VGG16 for a set.
func (b *book) openVGG16(ctx context.Context, set *huSet) error {
	images := parts{set.data.Train, set.data.Test}
	if b.options.quick {
		images.train, images.test = few(images.train), few(images.test)
	}
	if set.enlarged = images.train.Len() + images.test.Len(); set.enlarged > b.options.frozen {
		set.backboneNote = fmt.Sprintf("not run: %d images, and -vgg16-images is %d", set.enlarged, b.options.frozen)
		return nil
	}
	made, cache, err := b.openBackbone(model.VGG16, len(set.data.Classes))
	if err != nil {
		return err
	}
	set.backbone = made
	set.features = featuresOf(ctx, images, func(ctx context.Context, images dataset.Split, progress func(done, total int)) (dataset.Split, error) {
		return made.Features(ctx, cache, images, set.data.Size, set.data.Channels, progress)
	})
	return nil
}

// once does something at its first call, and gives what came of it at every call.
func once(do func(progress func(done, total int)) (parts, error)) func(progress func(done, total int)) (parts, error) {
	var (
		first sync.Once
		made  parts
		err   error
	)
	return func(progress func(done, total int)) (parts, error) {
		first.Do(func() { made, err = do(progress) })
		return made, err
	}
}

// mine is the most examples that a client has: splits differ by one at most.
func (set *huSet) mine(s simulate.Settings) int {
	return (set.info.Train + s.Clients - 1) / s.Clients
}

// batch is a batch size that gives the same run: where every client has one batch
// only, the paper's own.
func (set *huSet) batch(s simulate.Settings, size int) int {
	if most := set.mine(s); most <= size && most <= s.BatchSize {
		return s.BatchSize
	}
	return size
}

// federated is the paper's setting with a seed.
func (b *book) federated(seed int64) simulate.Settings {
	s := simulate.Defaults()
	s.Rounds, s.Seed, s.Curve = b.options.rounds, seed, simulate.CurveValidation
	return s
}

// centralEpochs are those of the centralised CNN: the paper's, and as many as make
// an example be seen as often as in 50 rounds of 3 epochs by a tenth of the clients.
func (b *book) centralEpochs() []int {
	s := b.federated(1)
	return []int{s.Epochs, max(s.Epochs, int(fl.Micro(s.Rounds)*s.Participation/fl.One)*s.Epochs)}
}

// huCells are the runs of Tables 3 and 4 and of the paper's setting over its seeds,
// on every set that is there.
func (b *book) huCells() []cell {
	var cells []cell
	for _, set := range b.sets {
		if set.data == nil {
			continue
		}
		for seed := int64(1); seed <= int64(b.options.paperSeeds); seed++ {
			cells = append(cells, b.paperCell(set, seed))
			if additions[set.name] != nil {
				cells = append(cells, b.additionsCell(set, seed))
			}
		}
		for seed := int64(1); seed <= int64(b.options.seeds); seed++ {
			cells = append(cells, b.huSeed(set, seed)...)
		}
	}
	return cells
}

// huSeed are the runs of Tables 3 and 4 with one seed.
func (b *book) huSeed(set *huSet, seed int64) []cell {
	var cells []cell
	for _, epochs := range b.centralEpochs() {
		cells = append(cells, b.centralCell(set, epochs, seed))
	}
	for _, rate := range learningRates {
		cells = append(cells, b.rateCell(set, rate, seed))
	}
	for _, size := range batchSizes {
		cells = append(cells, b.batchCell(set, size, seed))
	}
	if set.backbone != nil {
		cells = append(cells, b.backboneCell(set, seed))
	}
	return cells
}

// paperCell is the paper's own setting, plain.
func (b *book) paperCell(set *huSet, seed int64) cell {
	c := b.simulation(set, b.federated(seed), "federated")
	c.when = when{paperSeeds, seed, atPaperSetting}
	if seed == 1 {
		c.when.pass = firstSeed
	}
	return c
}

// withAdditions is the paper's setting with what is added to it.
func (b *book) withAdditions(set *huSet, seed int64) simulate.Settings {
	s := b.federated(seed)
	additions[set.name].add(&s)
	return s
}

// additionsCell is a run of that.
func (b *book) additionsCell(set *huSet, seed int64) cell {
	c := b.simulation(set, b.withAdditions(set, seed), "federated with additions")
	c.when = when{paperSeeds, seed, atPaperSetting}
	if seed == 1 {
		c.when.pass = firstSeed
	}
	return c
}

// rateCell is a learning rate of Table 4.
func (b *book) rateCell(set *huSet, rate fl.Micro, seed int64) cell {
	s := b.federated(seed)
	s.LearningRate = rate
	c := b.simulation(set, s, "federated, learning rate "+rate.String())
	c.when = when{passOf(seed), seed, learningRate}
	return c
}

// batchCell is a batch size of Table 4.
func (b *book) batchCell(set *huSet, size int, seed int64) cell {
	s := b.federated(seed)
	s.BatchSize = set.batch(s, size)
	c := b.simulation(set, s, "federated, batch "+strconv.Itoa(s.BatchSize))
	c.when = when{passOf(seed), seed, batchSize}
	return c
}

// simulation plays a federated task.
func (b *book) simulation(set *huSet, s simulate.Settings, name string) cell {
	key := struct {
		Experiment string            `json:"experiment"`
		Data       string            `json:"data"`
		SHA256     string            `json:"sha256"`
		Settings   simulate.Settings `json:"settings"`
	}{"hu federated", set.name, set.data.SHA256, s}
	return cell{
		name: fmt.Sprintf("%s, %s, seed %d", set.name, name, s.Seed), command: command(set.name, s), key: key,
		guess: federatedCost(s, set.data.Train.Len(), set.data.Validation.Len(), set.data.Test.Len()),
		run: func(ctx context.Context, checkpoint string, progress func(done, total int)) (outcome, error) {
			return simulated(ctx, set.data, s, checkpoint, progress)
		},
	}
}

// simulated plays a federated task, from the checkpoint on where there is one.
func simulated(ctx context.Context, data *dataset.Data, s simulate.Settings, checkpoint string, progress func(done, total int)) (outcome, error) {
	task, err := begin(s, data, checkpoint)
	if err != nil {
		return outcome{}, err
	}
	report, err := task.Run(ctx, simulate.Hooks{Trained: progress, Saved: func(c simulate.Checkpoint) error { return simulate.WriteCheckpoint(checkpoint, c) }})
	if err != nil {
		return outcome{}, err
	}
	if report.Test == nil {
		return outcome{}, fmt.Errorf("%s has no test split", data.Name)
	}
	result := outcome{Test: *report.Test, Digest: report.Digest}
	for _, round := range report.Rounds {
		if round.Metrics != nil {
			result.Curve = append(result.Curve, *round.Metrics)
		}
	}
	return result, nil
}

// begin starts a simulation, or goes on from the checkpoint.
func begin(s simulate.Settings, data *dataset.Data, checkpoint string) (*simulate.Simulation, error) {
	saved, err := simulate.ReadCheckpoint(checkpoint)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return simulate.New(s, data, nil)
	case err != nil:
		return nil, err
	}
	return simulate.Resume(s, data, nil, saved)
}

// centralCell trains the CNN on all training examples.
func (b *book) centralCell(set *huSet, epochs int, seed int64) cell {
	s := b.federated(seed)
	spec := model.Spec{Name: s.Model, Channels: set.data.Channels, Size: set.data.Size, Classes: len(set.data.Classes)}
	c := b.fit("hu centralised", set, spec, "", epochs, seed, func(func(done, total int)) (parts, error) {
		return parts{set.data.Train, set.data.Test}, nil
	})
	n := set.data.Train.Len()
	c.guess = float64(epochs) * (float64(n)*passCost + float64(batches(n, s.BatchSize))*stepCost)
	c.when = when{passOf(seed), seed, atPaperSetting}
	return c
}

// backboneCell trains the head behind VGG16 on the images enlarged to its size.
func (b *book) backboneCell(set *huSet, seed int64) cell {
	s := b.federated(seed)
	c := b.fit("hu vgg16, features standardised", set, set.backbone.Spec, set.backbone.Digest, s.Epochs, seed, set.features)
	c.guess = headCosts(model.VGG16, s.Epochs, 1, set.data.Train.Len(), s.BatchSize)
	if seed == 1 {
		c.guess += imageCost[model.VGG16] * float64(set.enlarged)
	}
	c.when = when{passOf(seed), seed, behindVGG16}
	return c
}

func centralName(data, model string, epochs int, seed int64) string {
	return fmt.Sprintf("%s, %s centralised, %d epochs, seed %d", data, model, epochs, seed)
}

// fit trains a model on one place's data and measures it once.
func (b *book) fit(experiment string, set *huSet, spec model.Spec, backbone string, epochs int, seed int64, examples func(progress func(done, total int)) (parts, error)) cell {
	s := b.federated(seed)
	o := model.TrainOptions{Epochs: epochs, BatchSize: s.BatchSize, LearningRate: node.Float(s.LearningRate), Momentum: node.Float(s.Momentum), Seed: seed}
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
	}{experiment, set.name, set.data.SHA256, spec, backbone, epochs, o.BatchSize, o.LearningRate, o.Momentum, seed}
	name := centralName(set.name, spec.Name, epochs, seed)
	return cell{name: name, command: ownCommand(name), key: key, run: func(ctx context.Context, _ string, progress func(done, total int)) (outcome, error) {
		split, err := examples(progress)
		if err != nil {
			return outcome{}, err
		}
		start, err := model.Initial(spec, seed)
		if err != nil {
			return outcome{}, err
		}
		o.Progress = progress
		w, err := model.Train(ctx, spec, start, split.train, o)
		if err != nil {
			return outcome{}, err
		}
		measured, err := model.Evaluate(ctx, spec, w, split.test)
		return outcome{Test: measured, Digest: w.Digest()}, err
	}}
}
