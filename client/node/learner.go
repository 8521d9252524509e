package node

import (
	"context"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// Learner is the machine learning a node does. All of it is deterministic: the
// same arguments give the same bytes.
type Learner interface {
	Train(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions) (*weights.Weights, error)
	TrainPrivately(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions, p model.PrivateOptions) (*weights.Weights, error)
	Evaluate(ctx context.Context, spec model.Spec, w *weights.Weights, data dataset.Split) (metrics.Result, error)
	Aggregate(strategy string, previous *weights.Weights, updates []fed.Update) (*weights.Weights, error)
}

// TrainOptions are the trainer's form of a task's training in a round, from 1. The
// seed is the trainer's own of that round.
func TrainOptions(t fl.Training, strategy fed.Strategy, round int, seed int64) model.TrainOptions {
	rate := Float(t.LearningRate)
	for range round - 1 {
		if t.Decay > 0 {
			rate *= Float(t.Decay)
		}
	}
	return model.TrainOptions{
		Epochs: t.Epochs, BatchSize: t.BatchSize, LearningRate: rate, Momentum: Float(t.Momentum),
		ProximalMu: strategy.ProximalMu(), Seed: seed, BalanceClasses: t.BalanceClasses,
		Augmentation: dataset.Augmentation{
			Flip: t.Augmentation.Flip, Shift: t.Augmentation.Shift,
			Rotate: Float(t.Augmentation.Rotate), Contrast: Float(t.Augmentation.Contrast),
		},
	}
}

// Local is the trainer of this module.
type Local struct{}

// Train is model.Train.
func (Local) Train(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions) (*weights.Weights, error) {
	return model.Train(ctx, spec, start, data, o)
}

// TrainPrivately is model.TrainPrivately.
func (Local) TrainPrivately(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions, p model.PrivateOptions) (*weights.Weights, error) {
	return model.TrainPrivately(ctx, spec, start, data, o, p)
}

// Evaluate is model.Evaluate.
func (Local) Evaluate(ctx context.Context, spec model.Spec, w *weights.Weights, data dataset.Split) (metrics.Result, error) {
	return model.Evaluate(ctx, spec, w, data)
}

// Aggregate is fed.Aggregate.
func (Local) Aggregate(strategy string, previous *weights.Weights, updates []fed.Update) (*weights.Weights, error) {
	return fed.Aggregate(strategy, previous, updates)
}
