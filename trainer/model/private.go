package model

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/weights"
)

// PrivateOptions are what makes training differentially private.
type PrivateOptions struct {
	NoiseMultiplier float64 // standard deviation of the noise over ClippingNorm; 0 for no noise, and no privacy
	ClippingNorm    float64 // most that one example's gradient counts for, as Euclidean norm over all parameters; above 0
	Secret          []byte  // what sampling and noise are drawn from: 32 bytes that nobody else can know
}

func (p PrivateOptions) check() error {
	switch {
	case !(p.NoiseMultiplier >= 0) || math.IsInf(p.NoiseMultiplier, 1):
		return codes.Errorf("MF-MODEL-OPTIONS", "a noise multiplier of %v; use 0 for none, or a number above it, such as 1.1", p.NoiseMultiplier)
	case !(p.ClippingNorm > 0):
		return codes.Errorf("MF-MODEL-OPTIONS", "a clipping norm of %v; use a number above 0, such as 1", p.ClippingNorm)
	case p.NoiseMultiplier > 0 && math.IsInf(p.ClippingNorm, 1):
		return codes.Errorf("MF-MODEL-OPTIONS", "noise without a clipping norm; use a number above 0, such as 1")
	case len(p.Secret) < sha256.Size:
		return codes.Errorf("MF-MODEL-OPTIONS", "a secret of %d bytes; use %d that nobody else can know", len(p.Secret), sha256.Size)
	}
	return nil
}

// TrainPrivately returns the weights after training start on data by DP-SGD (Abadi
// et al., arXiv 1607.00133). start is not changed.
//
// Every step samples each example by itself with a probability of batch size over
// examples, at most 1 (Poisson sampling: there may be no example in a step, or
// more than the batch size). It adds up the gradients of the sampled examples,
// each scaled down to ClippingNorm where it is longer, adds Gaussian noise of
// NoiseMultiplier·ClippingNorm to each element, divides by the batch size, and goes
// on as plain descent does. There are as many steps as batches in the epochs.
// Package trainer/privacy says what that spends. A step takes its examples one by
// one and costs by example, not by batch.
//
// Batch normalisation would let every example of a batch into the gradients of the
// others. Its running statistics stay as start has them: they normalise, and are
// neither learned nor changed, those of a head's features as little. Those of [Initial],
// and of the head that package trainer/backbone gives, are of images that show nothing, so
// that they tell nothing and nothing need be accounted for them. Its scale and shift are
// learned as all parameters.
//
// Sampling and noise come from generators of ChaCha8, seeded with Secret, start, the
// data and the options: the same training again gives the same bytes, on one
// architecture of processor, and a training of anything else never has the same
// noise, whose difference would give the data away. Each number of noise is made of
// four, against what floating-point rounding tells (Holohan and Braghin, arXiv
// 2107.10138, section 3). A gradient that is not finite counts as zero. What was
// measured on the way, such as a loss, is not looked at: it is not private.
//
// Errors are as those of Train.
func TrainPrivately(ctx context.Context, spec Spec, start *weights.Weights, data dataset.Split, o TrainOptions, p PrivateOptions) (*weights.Weights, error) {
	for _, err := range []error{spec.CheckPrivate(), o.check(), p.check()} {
		if err != nil {
			return nil, err
		}
	}
	if err := spec.check(start); err != nil {
		return nil, err
	}
	if err := spec.checkData(data); err != nil {
		return nil, err
	}
	if o.BalanceClasses || o.Augmentation != (dataset.Augmentation{}) {
		return nil, codes.Errorf("MF-MODEL-OPTIONS", "private training neither balances classes, whose counts it would tell, nor augments; leave both out")
	}
	n, err := acquire(design{spec, 1, nn.Frozen})
	if err != nil {
		return nil, err
	}
	defer release(n)
	n.load(start)
	n.weighClasses(data, false)
	g, err := p.generators(start, data, o)
	if err != nil {
		return nil, err
	}
	if err := n.trainPrivately(ctx, data, o, p, g); err != nil {
		return nil, err
	}
	w := n.store()
	if name, ok := w.Finite(); !ok {
		return nil, codes.Errorf("MF-MODEL-DIVERGED", "after the last step %s is not finite; lower the learning rate", name)
	}
	return w, nil
}

// CheckPrivate refuses an impossible spec, and one that can't be trained privately; the
// error is coded.
func (s Spec) CheckPrivate() error {
	if err := s.Validate(); err != nil {
		return err
	}
	if member, count := s.member(); count > 1 {
		return codes.Errorf("MF-MODEL-OPTIONS", "private training of %s would spend its budget once for each of %d members; use %s", s.Name, count, member.Name)
	}
	return nil
}

// generators are what a private training draws its numbers from.
type generators struct{ sampling, noise, dropout *rand.Rand }

// generators seeds one generator for each purpose. The error is that of reading the data.
func (p PrivateOptions) generators(start *weights.Weights, data dataset.Split, o TrainOptions) (generators, error) {
	content := sha256.New()
	for _, text := range []string{start.Digest(), fmt.Sprint(o.Epochs, o.BatchSize, o.LearningRate, o.Momentum, o.ProximalMu, p.NoiseMultiplier, p.ClippingNorm)} {
		content.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		content.Write([]byte(text))
	}
	stream := bufio.NewWriter(content) // a hash's Write never fails
	if err := data.Each(func(values []float32) {
		for _, v := range values {
			stream.Write(binary.BigEndian.AppendUint32(stream.AvailableBuffer(), math.Float32bits(v)))
		}
	}); err != nil {
		return generators{}, err
	}
	for _, label := range data.Labels {
		stream.Write(binary.BigEndian.AppendUint64(stream.AvailableBuffer(), uint64(label)))
	}
	stream.Flush()
	digest := content.Sum(nil)
	seeded := func(purpose string) *rand.Rand {
		mac := hmac.New(sha256.New, p.Secret)
		mac.Write(append(digest, purpose...))
		return rand.New(rand.NewChaCha8([32]byte(mac.Sum(nil))))
	}
	return generators{seeded("sampling"), seeded("noise"), seeded("dropout")}, nil
}

// sample takes each of the examples by itself with a probability of exactly batch
// over examples, and appends it to taken.
func (g generators) sample(taken []int, examples, batch int) []int {
	for example := range examples {
		if g.sampling.Uint64N(uint64(examples)) < uint64(batch) {
			taken = append(taken, example)
		}
	}
	return taken
}

// trainPrivately runs all steps.
func (n *network) trainPrivately(ctx context.Context, data dataset.Split, o TrainOptions, p PrivateOptions, g generators) error {
	kernel.Enter()
	defer kernel.Leave()
	examples := len(data.Labels)
	batch := min(o.BatchSize, examples)
	total := o.Epochs * ((examples + batch - 1) / batch)
	for _, source := range n.dropouts {
		source.Seed(g.dropout.Uint64(), g.dropout.Uint64())
	}
	// Where there is dropout, its first numbers have always gone to a run before the
	// first step: without it, the same secret would give other weights.
	if err := n.gradientOf(data, 0); err != nil {
		return err
	}
	solver, pull, sum, taken := o.solver(), n.proximal(o.ProximalMu), n.newSum(), make([]int, 0, examples)
	for done := range total {
		sum.clear()
		for _, example := range g.sample(taken, examples, batch) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("training stopped after %d of %d steps: %w", done, total, err)
			}
			if err := n.gradientOf(data, example); err != nil {
				return err
			}
			sum.add(n.gradient, p.ClippingNorm)
		}
		if p.NoiseMultiplier > 0 {
			sum.addNoise(p.NoiseMultiplier*p.ClippingNorm, g.noise)
		}
		sum.divide(n.gradient, float64(batch))
		pull()
		if err := solver.Step(n.moved); err != nil {
			return fmt.Errorf("solver step: %w", err)
		}
		if o.Progress != nil {
			o.Progress(done+1, total)
		}
	}
	return nil
}

// gradientOf runs one example forward and backward.
func (n *network) gradientOf(data dataset.Split, example int) error {
	if err := n.feed(data, []int{example}); err != nil {
		return err
	}
	if err := n.run(); err != nil {
		return fmt.Errorf("gradient of an example: %w", err)
	}
	return nil
}

// gradientSum adds up clipped gradients. In float64 its rounding is far below the
// noise.
type gradientSum [][]float64

func (n *network) newSum() gradientSum {
	var sum gradientSum
	for _, p := range n.learned {
		sum = append(sum, make([]float64, p.Shape().TotalSize()))
	}
	return sum
}

func (s gradientSum) clear() {
	for _, v := range s {
		clear(v)
	}
}

// add adds a gradient, scaled down to the bound where its norm is above. One that
// is not finite is left out.
func (s gradientSum) add(gradient [][]float32, bound float64) {
	var square float64
	for _, g := range gradient {
		for _, v := range g {
			square += float64(v) * float64(v)
		}
	}
	norm, factor := math.Sqrt(square), 1.0
	if norm-norm != 0 { // NaN for infinities and NaN
		return
	}
	if norm > bound {
		factor = bound / norm
	}
	for i, g := range gradient {
		to := s[i]
		for j, v := range g {
			to[j] += factor * float64(v)
		}
	}
}

// addNoise adds Gaussian noise to each element.
func (s gradientSum) addNoise(deviation float64, source *rand.Rand) {
	for _, v := range s {
		for j := range v {
			// The sum of four standard normal numbers has twice their deviation.
			four := source.NormFloat64() + source.NormFloat64() + source.NormFloat64() + source.NormFloat64()
			v[j] += deviation * (four / 2)
		}
	}
}

// divide writes the sum over a number of examples.
func (s gradientSum) divide(to [][]float32, by float64) {
	for i, v := range s {
		for j, f := range v {
			to[i][j] = float32(f / by)
		}
	}
}
