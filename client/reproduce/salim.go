package main

import (
	"context"
	"fmt"
	"sync"

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

// xray is what came of the X-rays.
type xray struct {
	sha256                string
	train, test           int
	trainPatients         int
	testPatients          int
	rounds                int
	backbones             []string
	origin                map[string]string
	federated, centralise map[string][]outcome // by backbone, one of each seed
}

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

// salimPark runs Table II and Figs. 3 and 4.
func (b *book) salimPark(ctx context.Context) error {
	if b.options.xray == "" {
		b.note("Salim & Park: not run; %s does not name the folder of X-rays", xrayVariable)
		return b.write()
	}
	folder, err := dataset.LoadFolder(ctx, b.options.xray, dataset.FolderOptions{
		Name: "X-rays", Size: frozenSize, Channels: 3, Classes: []string{"normal", "covid"}, Normalisation: dataset.ImageNet,
	})
	if err != nil {
		return err
	}
	if folder.Data.Test.Len() == 0 || folder.Data.Train.Len() == 0 {
		b.note("Salim & Park: not run; the folder of X-rays has no images of train or of test")
		return b.write()
	}
	if b.options.quick {
		folder.Data.Train, folder.Train = few(folder.Data.Train, folder.Train)
		folder.Data.Test, folder.Test = few(folder.Data.Test, folder.Test)
	}
	b.xray = &xray{
		sha256: folder.Data.SHA256, train: folder.Data.Train.Len(), test: folder.Data.Test.Len(), trainPatients: distinct(folder.Train), testPatients: distinct(folder.Test),
		rounds: b.options.xrayRounds, origin: map[string]string{}, federated: map[string][]outcome{}, centralise: map[string][]outcome{},
	}
	for _, name := range []string{model.ResNet50, model.VGG16} {
		if err := b.xrayBackbone(ctx, folder, name); err != nil {
			return err
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// few are the first 16 images of each class.
func few(s dataset.Split, patients []string) (dataset.Split, []string) {
	var some []int
	var who []string
	count := map[int]int{}
	for i, label := range s.Labels {
		if count[label]++; count[label] <= 16 {
			some, who = append(some, i), append(who, patients[i])
		}
	}
	return s.Select(some), who
}

func distinct(names []string) int {
	seen := map[string]bool{}
	for _, n := range names {
		seen[n] = true
	}
	return len(seen)
}

// xrayBackbone runs both ways of training behind one backbone, for every seed.
func (b *book) xrayBackbone(ctx context.Context, folder *dataset.Folder, name string) error {
	f, err := b.openFrozen(name)
	if err != nil {
		return err
	}
	// Computed when the first run is not kept.
	computed := sync.OnceValues(func() (parts [2]dataset.Split, err error) {
		if parts[0], err = f.features(ctx, "the training X-rays", folder.Data.Train); err == nil {
			parts[1], err = f.features(ctx, "the test X-rays", folder.Data.Test)
		}
		if err == nil {
			parts[0], parts[1] = standardise(parts[0], parts[1])
		}
		return parts, err
	})
	train := func(key xrayKey, shards [][]int) (outcome, error) {
		way := "centralised"
		if shards != nil {
			way = "federated"
		}
		key.Experiment = "salim-park " + way
		return b.store.run(fmt.Sprintf("X-rays, %s, %s, seed %d", name, way, key.Seed), key, func(string) (outcome, error) {
			parts, err := computed()
			if err != nil {
				return outcome{}, err
			}
			return trainHead(ctx, f.spec, parts[0], shards, parts[1], key)
		})
	}
	b.xray.backbones, b.xray.origin[name] = append(b.xray.backbones, name), f.origin
	for seed := int64(1); seed <= int64(b.options.seeds); seed++ {
		shards, err := dataset.PatientShards(folder.Train, hospitals, seed)
		if err != nil {
			return err
		}
		key := xrayKey{
			SHA256: b.xray.sha256, Images: b.xray.train + b.xray.test, Backbone: name, Digest: f.digest, Features: "standardised",
			Rounds: b.xray.rounds, Batch: xrayBatch, Rate: xrayRate, Momentum: xrayMomentum, Seed: seed,
		}
		centralised, err := train(key, nil)
		if err := add(b.xray.centralise, name, centralised, err); err != nil {
			return err
		}
		key.Hospitals = hospitals
		federated, err := train(key, shards)
		if err := add(b.xray.federated, name, federated, err); err != nil {
			return err
		}
	}
	return nil
}

// trainHead trains the head on features: by FedAvg among the shards, or without
// shards an epoch at a time on everything. The head is measured on the test split
// after every round; nothing is chosen by that, and the last one counts.
func trainHead(ctx context.Context, spec model.Spec, train dataset.Split, shards [][]int, test dataset.Split, key xrayKey) (outcome, error) {
	central := shards == nil
	if central {
		all := make([]int, train.Len())
		for i := range all {
			all[i] = i
		}
		shards = [][]int{all}
	}
	var hospital []dataset.Split
	for _, shard := range shards {
		hospital = append(hospital, train.Select(shard))
	}
	global, err := model.Initial(spec, key.Seed)
	if err != nil {
		return outcome{}, err
	}
	result := outcome{Command: "make reproduce"}
	for round := range key.Rounds {
		if global, err = headRound(ctx, spec, global, hospital, key, round); err != nil {
			return outcome{}, err
		}
		var measured metrics.Result
		if measured, err = model.Evaluate(ctx, spec, global, test); err != nil {
			return outcome{}, err
		}
		result.Curve = append(result.Curve, measured)
		result.Test = measured
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
