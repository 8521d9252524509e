package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/pretrained"
	"github.com/medfed/medfed/trainer/pytorch"
	"github.com/medfed/medfed/trainer/weights"
)

// What a training step is measured with: FL-HMChain's CNN on a batch of 128 images
// of PneumoniaMNIST's shape, by SGD with momentum.
var cnn = model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}

const (
	batch    = 128
	rate     = 0.01
	momentum = 0.9

	// tolerance is how far the two sides' first steps may differ, as a share of each
	// tensor's largest change: float32 sums of 10^5 gradients in two orders.
	tolerance = 1e-2
)

// noise is images of random values and random labels.
func noise(spec model.Spec, n int) dataset.Split {
	random := rand.New(rand.NewPCG(7, 7))
	s := dataset.Split{Values: make([]float32, n*spec.Size*spec.Size*spec.Channels), Labels: make([]int, n)}
	for i := range s.Values {
		s.Values[i] = float32(random.NormFloat64())
	}
	for i := range s.Labels {
		s.Labels[i] = random.IntN(spec.Classes)
	}
	return s
}

func options(steps int) model.TrainOptions {
	return model.TrainOptions{Epochs: steps, BatchSize: batch, LearningRate: rate, Momentum: momentum, Seed: 1}
}

// trainer is this project's training, held after every step.
type trainer struct {
	release chan struct{} // to take a step
	took    chan time.Duration
	end     chan error // how training ended
	cancel  context.CancelFunc
}

// startTrainer begins training on one batch, again and again. Stop it.
func startTrainer(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split) *trainer {
	ctx, cancel := context.WithCancel(ctx)
	t := &trainer{make(chan struct{}), make(chan time.Duration), make(chan error, 1), cancel}
	o := options(1 << 30)
	var since time.Time
	first := true
	o.Progress = func(int, int) {
		took := time.Since(since)
		if first {
			// The first step began with building the graph, which is no part of a step.
			first = false
		} else {
			t.took <- took
		}
		select {
		case <-t.release:
		case <-ctx.Done():
		}
		since = time.Now()
	}
	go func() {
		_, err := model.Train(ctx, spec, start, data, o)
		t.end <- err
	}()
	return t
}

// step takes one step: drawing the batch, forward, backward and solver.
func (t *trainer) step() (time.Duration, error) {
	select {
	case t.release <- struct{}{}:
	case err := <-t.end:
		t.end <- err
		return 0, err
	}
	select {
	case took := <-t.took:
		return took, nil
	case err := <-t.end:
		t.end <- err
		return 0, err
	}
}

// stop ends training and waits for it.
func (t *trainer) stop() {
	t.cancel()
	<-t.end
}

// againstPyTorch measures training steps and backbones.
func (r *result) againstPyTorch(ctx context.Context, python pytorch.Python, folder string, turns int) error {
	for _, n := range threads() {
		err := withThreads(n, func() error {
			w, err := startWorker(ctx, python, folder, n)
			if err != nil {
				return err
			}
			defer w.stop()
			if fair, err := r.fair(w, n); err != nil || !fair {
				return err
			}
			if err := r.steps(ctx, w, n, turns); err != nil {
				return err
			}
			return r.forwards(ctx, w, n, min(turns, 9))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fair reports whether PyTorch multiplies matrices as it can: with the reference BLAS
// it does not reach a tenth of the processor's peak, and every ratio would flatter.
func (r *result) fair(w *worker, threads int) (bool, error) {
	rate, err := w.matmulRate()
	if err != nil {
		return false, err
	}
	loop, operations := peakLoop()
	if loop == nil {
		return true, nil
	}
	const rounds = 1_000_000
	peak := rounds * operations / timed(func() { loop(rounds) }).Seconds() * float64(threads)
	r.Machine.PyTorchShare = rate / peak
	if r.Machine.PyTorchShare < 0.1 {
		r.missing("against PyTorch, %d thread(s): its matrix product reaches %.0f %% of the processor's peak, which no comparison would be fair to; install an optimised BLAS (Debian: libopenblas0-pthread)", threads, 100*r.Machine.PyTorchShare)
		return false, nil
	}
	return true, nil
}

// steps measures training steps against PyTorch's in both layouts.
func (r *result) steps(ctx context.Context, w *worker, threads, turns int) error {
	start, err := model.Initial(cnn, 1)
	if err != nil {
		return err
	}
	data := noise(cnn, batch)
	ours, err := model.Train(ctx, cnn, start, data, options(1))
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.file("start.safetensors"), start.Bytes(), 0o600); err != nil {
		return err
	}
	if err := writeFloats(w.file("images"), data.Values); err != nil {
		return err
	}
	layouts := []string{"nchw", "channels_last"}
	for _, layout := range layouts {
		if err := w.loadCNN(layout, data.Labels); err != nil {
			return err
		}
		if err := w.compareStep(layout, start, ours); err != nil {
			return err
		}
	}
	t := startTrainer(ctx, cnn, start, data)
	defer t.stop()
	medians, err := alternate(ctx, turns, t.step, w.contender("step", layouts[0]), w.contender("step", layouts[1]))
	if err != nil {
		return err
	}
	key := fmt.Sprintf("step, %d thread(s)", threads)
	r.Milliseconds[key] = medians[0]
	r.Milliseconds[key+", PyTorch NCHW"], r.Milliseconds[key+", PyTorch channels_last"] = medians[1], medians[2]
	nchw, last := medians[0]/medians[1], medians[0]/medians[2]
	r.Step[fmt.Sprint(threads)] = stepRatios{&nchw, &last}
	return nil
}

// loadCNN gives the worker the network, the batch and the solver.
func (w *worker) loadCNN(layout string, labels []int) error {
	_, err := w.do(map[string]any{
		"do": "load", "name": layout, "net": cnn.Name, "weights": w.file("start.safetensors"), "images": w.file("images"), "size": cnn.Size, "channels": cnn.Channels,
		"labels": labels, "channels_last": layout == "channels_last", "rate": rate, "momentum": momentum,
	})
	return err
}

// compareStep lets PyTorch take one step and compares it with ours.
func (w *worker) compareStep(layout string, start, ours *weights.Weights) error {
	if _, err := w.do(map[string]any{"do": "step", "name": layout}); err != nil {
		return err
	}
	path := w.file("stepped.safetensors")
	if _, err := w.do(map[string]any{"do": "save", "name": layout, "out": path}); err != nil {
		return err
	}
	theirs, _, err := pretrained.Load(path, cnn.Parameters())
	if err != nil {
		return err
	}
	return sameStep(start, ours, theirs, tolerance)
}
