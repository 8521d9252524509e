package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// layer is a layer of the six-layer CNN that multiplies, with the floating point
// operations of one pass by definition and its passes: forward, the weights' gradient
// and, but for the first layer, the input's. Winograd's method needs a quarter of
// these operations, so a layer computed by it may have up to four times the share.
type layer struct {
	name       string
	operations float64
	most       float64 // share that the method can have
	passes     func() ([]func(), error)
}

// layers are those of the batch that steps are measured with.
func layers() []layer {
	conv := func(name string, size, in, filters, padding int) layer {
		shape := kernel.ConvShape{Batch: batch, Height: size, Width: size, Channels: in, Filters: filters, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: padding}
		height, width := shape.Output()
		most := 1.
		if in > 1 {
			most = 4
		}
		return layer{name, 2 * float64(batch*height*width*filters*in*9), most, func() ([]func(), error) { return convPasses(shape, in > 1) }}
	}
	linear := func(name string, inputs, outputs int) layer {
		return layer{name, 2 * float64(batch*inputs*outputs), 1, func() ([]func(), error) { return linearPasses(inputs, outputs) }}
	}
	return []layer{
		conv("conv1", 28, 1, 16, 0), conv("conv2", 26, 16, 16, 0), conv("conv3", 12, 16, 64, 0), conv("conv4", 10, 64, 64, 0), conv("conv5", 8, 64, 64, 1),
		linear("linear1", 1024, 128), linear("linear2", 128, 128), linear("linear3", 128, 2),
	}
}

// values are n random numbers.
func values(n int) []float32 {
	random := rand.New(rand.NewPCG(uint64(n), 3))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

func convPasses(s kernel.ConvShape, withInput bool) ([]func(), error) {
	c, err := kernel.NewConv(s)
	if err != nil {
		return nil, err
	}
	height, width := s.Output()
	in, out := values(s.Batch*s.Height*s.Width*s.Channels), values(s.Batch*height*width*s.Filters)
	weight, bias := values(s.Filters*s.Channels*9), values(s.Filters)
	result, gradWeight, gradBias, gradIn := make([]float32, len(out)), make([]float32, len(weight)), make([]float32, len(bias)), make([]float32, len(in))
	passes := []func(){
		func() { c.Forward(s.Batch, result, in, weight, bias) },
		func() { c.WeightGradient(s.Batch, gradWeight, gradBias, out, in) },
	}
	if withInput {
		passes = append(passes, func() { c.InputGradient(s.Batch, gradIn, out, weight) })
	}
	return passes, nil
}

func linearPasses(inputs, outputs int) ([]func(), error) {
	l, err := kernel.NewLinear(batch, inputs, outputs)
	if err != nil {
		return nil, err
	}
	in, out, weight, bias := values(batch*inputs), values(batch*outputs), values(inputs*outputs), values(outputs)
	result, gradWeight, gradBias, gradIn := make([]float32, len(out)), make([]float32, len(weight)), make([]float32, len(bias)), make([]float32, len(in))
	return []func(){
		func() { l.Forward(batch, result, in, weight, bias) },
		func() { l.WeightGradient(batch, gradWeight, gradBias, out, in) },
		func() { l.InputGradient(batch, gradIn, out, weight) },
	}, nil
}

// layerShares measures, on one thread, each layer's passes by turns with a loop of
// nothing but fused multiply-adds.
func (r *result) layerShares(ctx context.Context, turns int) error {
	loop, operations := peakLoop()
	if loop == nil {
		r.missing("share of the FMA peak: there is no loop that measures the peak of this processor")
		return nil
	}
	r.FMAShare = map[string]float64{}
	return withThreads(1, func() error {
		for _, l := range layers() {
			share, milliseconds, err := l.share(ctx, turns, loop, operations)
			if err != nil {
				return err
			}
			if share > l.most {
				// No layer is faster than that: something else ran during one of the two.
				r.missing("share of the FMA peak of %s: it came out as %.2f, because the machine is busy", l.name, share)
				continue
			}
			r.FMAShare[l.name] = share
			r.Milliseconds["layer "+l.name+", 1 thread"] = milliseconds
		}
		return nil
	})
}

// share is the layer's rate over the loop's.
func (l layer) share(ctx context.Context, turns int, loop func(int), operations float64) (share, milliseconds float64, err error) {
	passes, err := l.passes()
	if err != nil {
		return 0, 0, err
	}
	const rounds = 100_000
	medians, err := alternate(ctx, turns,
		func() (time.Duration, error) { return timed(func() { loop(rounds) }), nil },
		func() (time.Duration, error) {
			return timed(func() {
				for _, pass := range passes {
					pass()
				}
			}), nil
		})
	if err != nil {
		return 0, 0, err
	}
	peak := rounds * operations / medians[0]
	return l.operations * float64(len(passes)) / medians[1] / peak, medians[1], nil
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
