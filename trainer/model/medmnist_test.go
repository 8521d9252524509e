package model

import (
	"context"
	"os"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
)

// TestPneumoniaMNIST: three epochs on the official training split reach an AUC
// above 0.9 on the official test split.
func TestPneumoniaMNIST(t *testing.T) {
	folder := os.Getenv(dataset.FolderVariable)
	if folder == "" {
		t.Skipf("%s is not set: it names the folder with pneumoniamnist.npz", dataset.FolderVariable)
	}
	data, err := dataset.Load(context.Background(), "pneumoniamnist", dataset.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{HMChainCNN, data.Channels, data.Size, len(data.Classes)}
	w := train(t, spec, initial(t, spec), data.Train, TrainOptions{Epochs: 3, BatchSize: 128, LearningRate: 0.05, Momentum: 0.9, Seed: 1})
	result, err := Evaluate(context.Background(), spec, w, data.Test)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("accuracy %.3f, AUC %.3f, sensitivity %.3f, specificity %.3f, loss %.3f", result.Accuracy, result.AUC, result.Sensitivity, result.Specificity, result.Loss)
	if result.AUC <= 0.9 {
		t.Errorf("AUC %v after three epochs; want above 0.9", result.AUC)
	}
}
