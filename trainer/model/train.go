package model

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/weights"
)

// TrainOptions are the hyper-parameters of local training by stochastic gradient
// descent.
type TrainOptions struct {
	Epochs       int     // passes over the data, at least 1
	BatchSize    int     // most examples per step, at least 1
	LearningRate float64 // above 0
	Momentum     float64 // 0 to below 1; 0 is plain SGD
	Seed         int64   // of the order in which examples are taken, of dropout and of augmentation

	// BalanceClasses lets an example count for the more the rarer its class is in
	// the data: see dataset.ClassWeights. The loss is then the weighted mean over
	// the batch.
	BalanceClasses bool

	// Augmentation changes the images a little, anew in every epoch. The zero value
	// leaves them as they are; a model behind a frozen backbone takes none, because
	// it sees features.
	Augmentation dataset.Augmentation

	// ProximalMu is the factor of FedProx's proximal term (Li et al., arXiv
	// 1812.06127): mu/2 times the squared distance of the learned parameters from
	// those that training starts from is added to the loss. 0 for none.
	ProximalMu float64

	// Progress, if not nil, is called after each step with the steps done and
	// the steps in all.
	Progress func(done, total int)
}

func (o TrainOptions) check() error {
	switch {
	case o.Epochs < 1:
		return codes.Errorf("MF-MODEL-OPTIONS", "%d epochs; train for at least 1", o.Epochs)
	case o.BatchSize < 1:
		return codes.Errorf("MF-MODEL-OPTIONS", "a batch size of %d; use at least 1", o.BatchSize)
	case !(o.LearningRate > 0) || math.IsInf(o.LearningRate, 1):
		return codes.Errorf("MF-MODEL-OPTIONS", "a learning rate of %v; use a number above 0, such as 0.05", o.LearningRate)
	case !(o.Momentum >= 0 && o.Momentum < 1):
		return codes.Errorf("MF-MODEL-OPTIONS", "a momentum of %v; use a number from 0 to below 1, such as 0.9", o.Momentum)
	case !(o.ProximalMu >= 0) || math.IsInf(o.ProximalMu, 1):
		return codes.Errorf("MF-MODEL-OPTIONS", "a proximal mu of %v; use 0 for none, or a number above it, such as 0.01", o.ProximalMu)
	}
	return nil
}

func (o TrainOptions) checkAugmentation(spec Spec) error {
	if spec.Frozen() && o.Augmentation != (dataset.Augmentation{}) {
		return codes.Errorf("MF-MODEL-OPTIONS", "features of a frozen %s backbone can't be augmented; leave augmentation out", spec.Name)
	}
	return o.Augmentation.Check()
}

// checkData reports whether the examples fit the spec.
func (s Spec) checkData(data dataset.Split) error {
	if len(data.Labels) == 0 {
		return codes.Errorf("MF-MODEL-DATA", "there are no examples; give this node a share of the data")
	}
	if values, fits := data.Fits(s.Inputs()); !fits {
		return codes.Errorf("MF-MODEL-DATA", "%d labels of %s need %d values, but there are %d; use the data set the model was made for",
			len(data.Labels), s.example(), len(data.Labels)*s.Inputs(), values)
	}
	for i, l := range data.Labels {
		if l < 0 || l >= s.Classes {
			return codes.Errorf("MF-MODEL-DATA", "example %d has class %d; the model knows 0 to %d", i, l, s.Classes-1)
		}
	}
	return nil
}

// example describes what the model takes.
func (s Spec) example() string {
	if s.Frozen() {
		return fmt.Sprintf("%d features of a %s backbone", s.Inputs(), s.Name)
	}
	return fmt.Sprintf("%d×%d×%d images", s.Size, s.Size, s.Channels)
}

// Train returns the weights after training start on data. start is not changed.
//
// The loss is softmax cross-entropy averaged over the batch. Every epoch takes
// the examples in a new order and shares them out evenly among as few batches as
// BatchSize allows: 50 examples in batches of at most 16 make 12, 13, 12 and 13.
// A small rest batch, as PyTorch's loader makes it, would spoil the batch-norm
// statistics, which are trained along. On one architecture of
// processor the same arguments give the same bytes, whatever the number of cores.
//
// Between steps ctx is looked at: when it ends, so does Train, with an error that
// wraps ctx.Err(). Other errors are coded: a spec, options, weights or data that
// do not fit, and MF-MODEL-DIVERGED when loss or weights are no longer finite.
func Train(ctx context.Context, spec Spec, start *weights.Weights, data dataset.Split, o TrainOptions) (*weights.Weights, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := spec.check(start); err != nil {
		return nil, err
	}
	if err := spec.checkData(data); err != nil {
		return nil, err
	}
	if err := o.checkAugmentation(spec); err != nil {
		return nil, err
	}
	return spec.trainMembers(ctx, start, data, o)
}

// train is Train for a spec that is no ensemble, and checked arguments.
func (s Spec) train(ctx context.Context, start *weights.Weights, data dataset.Split, o TrainOptions) (*weights.Weights, error) {
	n, err := acquire(design{s, o.capacity(len(data.Labels)), nn.Training})
	if err != nil {
		return nil, err
	}
	defer release(n)
	n.load(start)
	if s.Frozen() {
		if err := measureFeatures(data, n.tensors[0], n.tensors[1]); err != nil {
			return nil, err
		}
	}
	if err := n.train(ctx, data, o); err != nil {
		return nil, err
	}
	w := n.store()
	if name, ok := w.Finite(); !ok {
		return nil, codes.Errorf("MF-MODEL-DIVERGED", "after the last step %s is not finite; lower the learning rate", name)
	}
	return w, nil
}

// capacity is the batch that a network is built for: the options' for large data,
// else the next power of two, so that nodes with shares of a few sizes share few
// networks. It does not change the result.
func (o TrainOptions) capacity(examples int) int {
	if examples >= o.BatchSize {
		return o.BatchSize
	}
	return min(o.BatchSize, 1<<bits.Len(uint(examples-1)))
}

// train runs all steps. Only what comes before the first allocates.
func (n *network) train(ctx context.Context, data dataset.Split, o TrainOptions) error {
	kernel.Enter()
	defer kernel.Leave()
	examples := len(data.Labels)
	perEpoch := (examples + o.BatchSize - 1) / o.BatchSize
	total := o.Epochs * perEpoch
	solver, pull := o.solver(), n.proximal(o.ProximalMu)
	random := rand.New(rand.NewPCG(uint64(o.Seed), 0))
	for i, source := range n.dropouts {
		source.Seed(uint64(o.Seed), dropoutStream+uint64(i))
	}
	n.weighClasses(data, o.BalanceClasses)
	epoch, order := 0, make([]int, examples)
	n.view = o.view(n.design.spec, &epoch)
	defer func() { n.view = nil }()
	for done := range total {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("training stopped after %d of %d steps: %w", done, total, err)
		}
		batch := done % perEpoch
		if batch == 0 {
			epoch = done / perEpoch
			shuffle(order, random)
		}
		if err := n.feed(data, order[batch*examples/perEpoch:(batch+1)*examples/perEpoch]); err != nil {
			return err
		}
		loss, err := n.step(solver, pull)
		if err != nil {
			return err
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return codes.Errorf("MF-MODEL-DIVERGED", "the loss of step %d of %d is %v; lower the learning rate, or start from weights that are finite", done+1, total, loss)
		}
		if o.Progress != nil {
			o.Progress(done+1, total)
		}
	}
	return nil
}

// shuffle fills order with a permutation, that which random.Perm would give.
func shuffle(order []int, random *rand.Rand) {
	for i := range order {
		order[i] = i
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
}

// view is what the network sees of an example in the epoch that epoch then is; nil
// for all there is.
func (o TrainOptions) view(spec Spec, epoch *int) func(out, in []float32, example int) {
	if o.Augmentation == (dataset.Augmentation{}) {
		return nil
	}
	return func(out, in []float32, example int) {
		o.Augmentation.Apply(out, in, spec.Size, spec.Channels, o.Seed, *epoch, example)
	}
}

// solver is the solver for the options. Its momentum is PyTorch's while the
// learning rate is constant.
func (o TrainOptions) solver() gorgonia.Solver { return nn.NewSGD(o.LearningRate, o.Momentum) }

// proximal gives what adds the gradient of the proximal term, mu times the distance
// from the parameters as they are now, to the gradients of a run.
func (n *network) proximal(mu float64) func() {
	if mu == 0 {
		return func() {}
	}
	factor := float32(mu)
	var start, now [][]float32
	for _, p := range n.learned {
		now = append(now, nn.Floats(p.Value()))
		start = append(start, slices.Clone(nn.Floats(p.Value())))
	}
	return func() {
		for i, gradient := range n.gradient {
			for j, from := range start[i] {
				gradient[j] += factor * (now[i][j] - from)
			}
		}
	}
}

// step runs one batch forward and backward, lets pull add to the gradients, moves
// the parameters and returns the loss before the move, without the proximal term.
func (n *network) step(solver gorgonia.Solver, pull func()) (float64, error) {
	if err := n.run(); err != nil {
		return 0, fmt.Errorf("training step: %w", err)
	}
	pull()
	if err := solver.Step(n.moved); err != nil {
		return 0, fmt.Errorf("solver step: %w", err)
	}
	return n.loss(), nil
}

// loss is the loss of the last run of a training network.
func (n *network) loss() float64 { return float64(*n.result.Value().(*gorgonia.F32)) }
