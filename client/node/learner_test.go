package node

import (
	"math"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
)

func TestTrainOptionsAreTheTerms(t *testing.T) {
	strategy, err := fed.Parse("fedprox:proximal_mu=0.5")
	if err != nil {
		t.Fatal(err)
	}
	training := fl.Training{
		Epochs: 3, BatchSize: 16, LearningRate: 100_000, Momentum: 900_000, Decay: 500_000, BalanceClasses: true,
		Augmentation: fl.Augmentation{Flip: true, Shift: 2, Rotate: 10 * fl.One, Contrast: 250_000},
	}
	got := TrainOptions(training, strategy, 3, 7)
	rate := got.LearningRate
	want := model.TrainOptions{
		Epochs: 3, BatchSize: 16, Momentum: 0.9, Seed: 7, BalanceClasses: true, ProximalMu: 0.5,
		Augmentation: dataset.Augmentation{Flip: true, Shift: 2, Rotate: 10, Contrast: 0.25},
	}
	if math.Abs(rate-0.025) > 1e-12 {
		t.Errorf("the learning rate of round 3 is %v, want a quarter of 0.1", rate)
	}
	if got.Epochs != want.Epochs || got.BatchSize != want.BatchSize || got.Momentum != want.Momentum || got.Seed != want.Seed ||
		got.BalanceClasses != want.BalanceClasses || got.ProximalMu != want.ProximalMu || got.Augmentation != want.Augmentation {
		t.Errorf("got %+v, want %+v", got, want)
	}
	training.Decay = 0
	if rate := TrainOptions(training, strategy, 50, 7).LearningRate; rate != 0.1 {
		t.Errorf("without decay the learning rate of round 50 is %v", rate)
	}
}
