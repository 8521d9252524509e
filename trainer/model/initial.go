package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/weights"
)

// Streams separate the numbers drawn from one seed for different things. That of
// the order of examples is 0; dropouts count on from dropoutStream.
const (
	initialStream  = 1
	backboneStream = 2
	dropoutStream  = 16
)

// Initial returns the weights from which training starts. Weights and biases are drawn
// as PyTorch draws them by default, uniform in ±1/sqrt(fan in); batch normalisation
// starts at scale 1 and shift 0. Its running statistics are those that the drawn
// network has on images that show nothing ([dataset.ValueNoise]), not PyTorch's mean 0
// and variance 1: until training has moved those, what they normalise keeps the scale
// that the weights give it, and five layers of that leave next to nothing of an image.
// The head behind a frozen backbone, which is not at hand here, has PyTorch's; see
// [InitialHead]. The same spec and seed give the same bytes everywhere. The errors are
// those of [Spec.Validate].
func Initial(spec Spec, seed int64) (*weights.Weights, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	source := rand.NewPCG(uint64(seed), initialStream)
	w := drawn(spec.slots(), source, func(t slot) float64 { return 1 / math.Sqrt(float64(t.fanIn)) })
	member, _ := spec.member()
	err := member.measure(spec.membersOf(w))
	debug.FreeOSMemory() // of the network that measured: what follows builds a larger one
	return w, err
}

// drawn draws weights and biases uniform in ± bound.
func drawn(slots []slot, source *rand.PCG, bound func(slot) float64) *weights.Weights {
	w := emptyOf(slots)
	for i, t := range slots {
		data := w.Tensors[i].Data
		switch t.kind {
		case weight, bias:
			bound := bound(t)
			for j := range data {
				// 53 random bits as a number in [-1, 1), rounded once to float32.
				unit := float64(source.Uint64()>>11)*0x1p-52 - 1
				data[j] = float32(unit * bound)
			}
		case gamma, variance:
			for j := range data {
				data[j] = 1
			}
		}
	}
	return w
}

// measuredImages is how many images the first running statistics are of.
const measuredImages = 64

// measure sets the running statistics of networks of the spec to those of the images
// of [dataset.ValueNoise]. Those of a head are of features.
func (s Spec) measure(networks []*weights.Weights) error {
	if s.Frozen() {
		return nil
	}
	n, err := build(design{s, measuredImages, nn.Measuring})
	if err != nil {
		return err
	}
	kernel.Enter()
	defer kernel.Leave()
	all := make([]int, measuredImages)
	for i := range all {
		all[i] = i
	}
	if err := n.feed(dataset.ValueNoise(measuredImages, s.Channels, s.Size), all); err != nil {
		return err
	}
	for _, w := range networks {
		n.load(w)
		if err := n.run(); err != nil {
			return fmt.Errorf("first running statistics: %w", err)
		}
		for i, t := range n.slots {
			if !t.learned() {
				copy(w.Tensors[i].Data, n.tensors[i])
			}
		}
	}
	return nil
}
