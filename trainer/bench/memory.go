package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// peakMemory lets a process of its own train on PneumoniaMNIST and takes the most
// memory that it had resident.
func (r *result) peakMemory(ctx context.Context, folder string) error {
	if folder == "" {
		r.missing("peak memory: %s does not name the folder with pneumoniamnist.npz", dataset.FolderVariable)
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, "-train", folder)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("the training process: %w", err)
	}
	peak := kilobytes(strings.TrimSpace(string(out)))
	if peak == 0 {
		r.missing("peak memory: this system does not tell a process's peak")
		return nil
	}
	mb := float64(peak) * 1024 / 1e6
	r.PeakMB = &mb
	return nil
}

// trainOnce loads PneumoniaMNIST, trains an epoch, measures the model, and prints
// the peak of this process.
func trainOnce(ctx context.Context, folder string) error {
	data, err := dataset.Load(ctx, "pneumoniamnist", dataset.Options{Folder: folder})
	if err != nil {
		return err
	}
	spec := model.Spec{Name: model.HMChainCNN, Channels: data.Channels, Size: data.Size, Classes: data.Classes}
	start, err := model.Initial(spec, 1)
	if err != nil {
		return err
	}
	w, err := model.Train(ctx, spec, start, data.Train, model.TrainOptions{Epochs: 1, BatchSize: batch, LearningRate: 0.05, Momentum: 0.9, Seed: 1})
	if err != nil {
		return err
	}
	measured, err := model.Evaluate(ctx, spec, w, data.Test)
	if err != nil {
		return err
	}
	if measured.AUC < 0.8 {
		return errors.New("the measured process has not learned; no number is given")
	}
	fmt.Println(field("/proc/self/status", "VmHWM"))
	return nil
}
