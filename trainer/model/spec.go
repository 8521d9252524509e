// Package model holds the architectures by name, and trains and evaluates their
// weights. It knows no ledger and no network: weights in, weights or metrics out.
//
// Errors that a user can cause begin with a stable code:
//
//	MF-MODEL-NAME      no architecture has this name
//	MF-MODEL-SHAPE     the architecture does not take such images or classes
//	MF-MODEL-OPTIONS   a training option is out of range
//	MF-MODEL-DATA      the examples do not fit the model
//	MF-MODEL-DIVERGED  training ran into numbers that are not finite
//
// and the codes of packages weights and metrics.
package model

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/medfed/medfed/trainer/weights"
)

// HMChainCNN names the six-layer network of FL-HMChain: five 3×3 convolutions
// (16, 16, 64, 64, 64 filters, the last padded by 1), each followed by batch
// normalisation and ReLU, max-pooling 2×2 after the second and the fifth, and a
// fully connected head of 128, 128 and as many outputs as classes.
const HMChainCNN = "hmchain-cnn"

// Spec fixes a model: an architecture and the images it is for.
type Spec struct {
	Name     string // HMChainCNN
	Channels int    // of an image: 1 or 3
	Size     int    // height and width of an image, 16 to 64; the paper's is 28
	Classes  int    // 2 to 1000
}

// Image sizes and numbers of classes that hmchain-cnn takes. Below 16 pixels
// nothing is left after the last pooling.
const (
	minSize, maxSize       = 16, 64
	minClasses, maxClasses = 2, 1000
)

// stage is a convolution with batch normalisation and ReLU.
type stage struct {
	filters, padding int
	pool             bool // followed by max-pooling 2×2
}

var (
	features   = []stage{{16, 0, false}, {16, 0, true}, {64, 0, false}, {64, 0, false}, {64, 1, true}}
	hidden     = []int{128, 128}
	kernelSize = 3
)

// Validate tells whether there is such a model; the error is coded.
func (s Spec) Validate() error {
	switch {
	case s.Name != HMChainCNN:
		return fmt.Errorf("MF-MODEL-NAME: no architecture is called %q; use %q", s.Name, HMChainCNN)
	case s.Channels != 1 && s.Channels != 3:
		return fmt.Errorf("MF-MODEL-SHAPE: images have %d channels; %s takes 1 or 3", s.Channels, s.Name)
	case s.Size < minSize || s.Size > maxSize:
		return fmt.Errorf("MF-MODEL-SHAPE: images are %d×%d; %s takes %d to %d pixels, so use the data set's 28×28 version", s.Size, s.Size, s.Name, minSize, maxSize)
	case s.Classes < minClasses || s.Classes > maxClasses:
		return fmt.Errorf("MF-MODEL-SHAPE: %d classes; %s takes %d to %d", s.Classes, s.Name, minClasses, maxClasses)
	}
	return nil
}

// kind is what a tensor is for; it decides how the tensor starts.
type kind int

const (
	weight   kind = iota // uniform in ±1/sqrt(fan in)
	bias                 // the same
	gamma                // ones; scale of a batch normalisation
	beta                 // zeros; shift of a batch normalisation
	mean                 // zeros; running mean, not learned
	variance             // ones; running variance, not learned
)

// slot is the place of one tensor in the weights.
type slot struct {
	name  string
	kind  kind
	shape []int
	fanIn int // inputs of one output, for weight and bias
}

func (s slot) size() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// learned tells whether the solver moves the tensor.
func (s slot) learned() bool { return s.kind != mean && s.kind != variance }

// slots lists the tensors of a valid spec in the order and with the names of the
// state dict of the same model written in PyTorch as two Sequentials, features
// and classifier; num_batches_tracked, which nothing reads, is left out.
func (s Spec) slots() []slot {
	var all []slot
	add := func(module string, index int, name string, k kind, fanIn int, shape ...int) {
		all = append(all, slot{fmt.Sprintf("%s.%d.%s", module, index, name), k, shape, fanIn})
	}
	index, in, size := 0, s.Channels, s.Size
	for _, f := range features {
		fan := in * kernelSize * kernelSize
		add("features", index, "weight", weight, fan, f.filters, in, kernelSize, kernelSize)
		add("features", index, "bias", bias, fan, f.filters)
		add("features", index+1, "weight", gamma, 0, f.filters)
		add("features", index+1, "bias", beta, 0, f.filters)
		add("features", index+1, "running_mean", mean, 0, f.filters)
		add("features", index+1, "running_var", variance, 0, f.filters)
		index, in, size = index+3, f.filters, size+2*f.padding-kernelSize+1
		if f.pool {
			index, size = index+1, size/2
		}
	}
	in *= size * size
	for i, out := range append(append([]int(nil), hidden...), s.Classes) {
		add("classifier", 2*i, "weight", weight, in, out, in)
		add("classifier", 2*i, "bias", bias, in, out)
		in = out
	}
	return all
}

// empty returns weights of the spec's names and shapes, all zero.
func (s Spec) empty() *weights.Weights {
	w := new(weights.Weights)
	for _, t := range s.slots() {
		w.Tensors = append(w.Tensors, weights.Tensor{Name: t.name, Shape: t.shape, Data: make([]float32, t.size())})
	}
	return w
}

// initialStream separates the numbers of Initial from those of Train, which may
// have the same seed.
const initialStream = 1

// Initial returns the weights from which training starts, drawn as PyTorch draws
// them by default: weights and biases uniform in ±1/sqrt(fan in), batch
// normalisation at scale 1, shift 0, mean 0 and variance 1. The same spec and
// seed give the same bytes everywhere. An impossible spec is a coded error.
func Initial(spec Spec, seed int64) (*weights.Weights, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	source := rand.NewPCG(uint64(seed), initialStream)
	w := spec.empty()
	for i, t := range spec.slots() {
		data := w.Tensors[i].Data
		switch t.kind {
		case weight, bias:
			bound := 1 / math.Sqrt(float64(t.fanIn))
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
	return w, nil
}

// check tells whether w can be loaded into the spec's model.
func (s Spec) check(w *weights.Weights) error {
	if w == nil {
		return fmt.Errorf("MF-WEIGHTS-INCOMPATIBLE: there are no weights; start from Initial or from a global model")
	}
	if err := w.Validate(); err != nil {
		return err
	}
	return weights.Compatible(s.empty(), w)
}
