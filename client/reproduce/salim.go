package main

import (
	"context"
	"fmt"

	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// The setting of Salim & Park (section III): four hospitals. What the paper leaves
// open is fixed here: hospitals have different patients, train one epoch a round,
// and stochastic gradient descent has these numbers.
const (
	hospitals    = 4
	xrayBatch    = 16
	xrayRate     = 0.01
	xrayMomentum = 0.9
)

// xray is the folder of X-rays and the backbones.
type xray struct {
	folder    *dataset.Folder
	backbones map[string]*backbone.Backbone
	features  map[string]func(progress func(done, total int)) (parts, error) // by backbone
	shards    map[int64][][]int                                              // training X-rays of the hospitals, by seed
}

// figures are the backbones in the order of their figures, 3 and 4.
var figures = []string{model.VGG16, model.ResNet50}

// xrayKey is all that a run on X-rays depends on.
type xrayKey struct {
	Experiment string  `json:"experiment"`
	SHA256     string  `json:"sha256"`
	Images     int     `json:"images"`
	Backbone   string  `json:"backbone"`
	Digest     string  `json:"digest"` // of the backbone's weights
	Features   string  `json:"features"`
	Rounds     int     `json:"rounds"`
	Hospitals  int     `json:"hospitals,omitempty"`
	Batch      int     `json:"batch"`
	Rate       float64 `json:"rate"`
	Momentum   float64 `json:"momentum"`
	Seed       int64   `json:"seed"`
}

// openXRays loads the folder of X-rays, where there is one, and the backbones.
func (b *book) openXRays(ctx context.Context) error {
	if b.options.xray == "" {
		b.note("Salim & Park: not run; %s does not name the folder of X-rays", xrayVariable)
		return nil
	}
	folder, err := dataset.LoadFolder(ctx, b.options.xray, dataset.FolderOptions{
		Name: "X-rays", Size: backbone.ImageSize, Channels: 3, Input: dataset.ImageNet,
	})
	if err != nil {
		return err
	}
	if err := folder.Data.Match([]string{"normal", "covid"}, dataset.Matching{}); err != nil {
		return err
	}
	if folder.Data.Test.Len() == 0 || folder.Data.Train.Len() == 0 {
		b.note("Salim & Park: not run; the folder of X-rays has no images of train or of test")
		return nil
	}
	if b.options.quick {
		folder.Data.Train, folder.Data.Test = few(folder.Data.Train), few(folder.Data.Test)
	}
	x := &xray{folder: folder, backbones: map[string]*backbone.Backbone{}, features: map[string]func(func(done, total int)) (parts, error){}, shards: map[int64][][]int{}}
	for seed := int64(1); seed <= int64(b.options.headSeeds); seed++ {
		if x.shards[seed], err = (dataset.Partition{Kind: dataset.ByPatient}).Shards(folder.Data.Train, hospitals, seed); err != nil {
			return err
		}
	}
	for _, name := range figures {
		made, cache, err := b.openBackbone(name, 2)
		if err != nil {
			return err
		}
		x.backbones[name] = made
		x.features[name] = featuresOf(ctx, parts{folder.Data.Train, folder.Data.Test}, func(ctx context.Context, images dataset.Split, progress func(done, total int)) (dataset.Split, error) {
			return made.Prepared(ctx, cache, images, progress)
		})
	}
	b.xray = x
	return nil
}

// few are the first 16 images of each class.
func few(s dataset.Split) dataset.Split {
	var some []int
	count := map[int]int{}
	for i, label := range s.Labels {
		if count[label]++; count[label] <= 16 {
			some = append(some, i)
		}
	}
	return s.Select(some)
}

func distinct(names []string) int {
	seen := map[string]bool{}
	for _, n := range names {
		seen[n] = true
	}
	return len(seen)
}

// xrayCells are the runs of Table II.
func (b *book) xrayCells() []cell {
	if b.xray == nil {
		return nil
	}
	var cells []cell
	for _, name := range figures {
		for seed := int64(1); seed <= int64(b.options.headSeeds); seed++ {
			cells = append(cells, b.xrayCell(name, true, seed), b.xrayCell(name, false, seed))
		}
	}
	return cells
}

// xrayCell trains a head behind a backbone, among the hospitals or at one place.
func (b *book) xrayCell(backbone string, federated bool, seed int64) cell {
	x, f := b.xray, b.xray.backbones[backbone]
	train, test := x.folder.Data.Train.Len(), x.folder.Data.Test.Len()
	way, places, shards := "centralised", 1, [][]int(nil)
	if federated {
		way, places, shards = "federated", hospitals, x.shards[seed]
	}
	key := xrayKey{
		Experiment: "salim-park " + way, SHA256: x.folder.Data.SHA256, Images: train + test, Backbone: backbone, Digest: f.Digest, Features: "normalised in the head",
		Rounds: b.options.xrayRounds, Batch: xrayBatch, Rate: xrayRate, Momentum: xrayMomentum, Seed: seed,
	}
	if federated {
		key.Hospitals = hospitals
	}
	c := cell{name: xrayName(backbone, way, seed), key: key, when: when{passOf(seed), seed, onXRays}}
	c.command = ownCommand(c.name)
	c.guess = headCosts(backbone, key.Rounds, places, train, key.Batch)
	if seed == 1 && !federated {
		c.guess += imageCost[backbone] * float64(train+test)
	}
	c.run = func(ctx context.Context, _ string, progress func(done, total int)) (outcome, error) {
		made, err := x.features[backbone](progress)
		if err != nil {
			return outcome{}, err
		}
		return trainHead(ctx, f.Spec, made, shards, key, progress)
	}
	return c
}

func xrayName(backbone, way string, seed int64) string {
	return fmt.Sprintf("X-rays, %s %s, seed %d", backbone, way, seed)
}

// trainHead trains the head on features: by FedAvg among the shards, or without
// shards an epoch at a time on everything. The head is measured on the test split
// after every round; nothing is chosen by that, and the last one counts.
func trainHead(ctx context.Context, spec model.Spec, examples parts, shards [][]int, key xrayKey, progress func(done, total int)) (outcome, error) {
	if shards == nil {
		all := make([]int, examples.train.Len())
		for i := range all {
			all[i] = i
		}
		shards = [][]int{all}
	}
	var hospital []dataset.Split
	for _, shard := range shards {
		hospital = append(hospital, examples.train.Select(shard))
	}
	// Training measures the statistics of the features before its first step, so that those
	// of the first weights do not matter.
	global, err := model.Initial(spec, key.Seed)
	if err != nil {
		return outcome{}, err
	}
	result := outcome{}
	for round := range key.Rounds {
		if global, err = headRound(ctx, spec, global, hospital, key, round); err != nil {
			return outcome{}, err
		}
		var measured metrics.Result
		if measured, err = model.Evaluate(ctx, spec, global, examples.test); err != nil {
			return outcome{}, err
		}
		result.Curve = append(result.Curve, measured)
		result.Test = measured
		progress(round+1, key.Rounds)
	}
	result.Digest = global.Digest()
	return result, nil
}

// headRound is a round of FedAvg, each hospital training one epoch. With one
// hospital it is an epoch of centralised training: momentum begins anew there, too.
func headRound(ctx context.Context, spec model.Spec, global *weights.Weights, hospital []dataset.Split, key xrayKey, round int) (*weights.Weights, error) {
	var updates []fed.Update
	for i, data := range hospital {
		w, err := model.Train(ctx, spec, global, data, model.TrainOptions{
			Epochs: 1, BatchSize: key.Batch, LearningRate: key.Rate, Momentum: key.Momentum, Seed: key.Seed*1_000_000 + int64(round*len(hospital)+i),
		})
		if err != nil {
			return nil, err
		}
		updates = append(updates, fed.Update{ID: fmt.Sprintf("hospital%d", i+1), Weights: w, NumExamples: int64(data.Len())})
	}
	return fed.Aggregate("fedavg", global, updates)
}
