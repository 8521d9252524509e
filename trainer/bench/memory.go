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
func (r *result) peakMemory(ctx context.Context, o dataset.Options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	set, err := memorySet(ctx, o)
	if err != nil {
		r.missing("PneumoniaMNIST (%v): peak memory is that of as many synthetic images of its size", err)
	}
	c := exec.CommandContext(ctx, self, "-train", set, "-data", o.Folder)
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

// memorySet is PneumoniaMNIST or, where that can't be had and the error says why, the
// synthetic set, which has as many images of the same size.
func memorySet(ctx context.Context, o dataset.Options) (string, error) {
	const wanted = "pneumoniamnist"
	if _, err := dataset.Load(ctx, wanted, o); err != nil {
		return dataset.Synthetic, err
	}
	return wanted, nil
}

// trainOnce loads a data set, trains an epoch, measures the model, and prints the
// peak of this process.
func trainOnce(ctx context.Context, set, folder string) error {
	data, err := dataset.Load(ctx, set, dataset.Options{Folder: folder})
	if err != nil {
		return err
	}
	spec := model.Spec{Name: model.HMChainCNN, Channels: data.Channels, Size: data.Size, Classes: len(data.Classes)}
	start, err := model.Initial(spec, 1)
	if err != nil {
		return err
	}
	w, err := model.Train(ctx, spec, start, data.Train, model.TrainOptions{Epochs: 1, BatchSize: batch, LearningRate: 0.02, Momentum: 0.9, Seed: 1})
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
