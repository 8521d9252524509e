// Package model holds the architectures by name, and trains and evaluates their
// weights. It knows no ledger and no network: weights in, weights or metrics out.
//
// Errors that a user can cause begin with a stable code:
//
//	MF-MODEL-NAME      no architecture has this name
//	MF-MODEL-SHAPE     the architecture does not take such images or classes
//	MF-MODEL-OPTIONS   a training option is out of range
//	MF-MODEL-DATA      the examples do not fit the model
//	MF-MODEL-LOAD      a file lacks parameters of the model, or has them in other shapes
//	MF-MODEL-DIVERGED  training ran into numbers that are not finite
//	MF-MODEL-DESCRIPTION  a file says of itself what can't be read, or what no model is
//	MF-WEIGHTS-FILE    a file of weights can't be read
//	MF-WRITE-MODEL     a model can't be written
//
// and the codes of packages weights and metrics.
package model

import (
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// Spec fixes a model: an architecture and the images it is for.
type Spec struct {
	Name     string // one of Names
	Channels int    // of an image: 1 or 3; a backbone takes 3
	Size     int    // height and width of an image: 16 to 64, and 224 for a backbone
	Classes  int    // 2 to 1000
}

// Numbers of classes that a model takes.
const minClasses, maxClasses = 2, 1000

// Validate reports whether there is such a model; the error is MF-MODEL-NAME
// or MF-MODEL-SHAPE.
func (s Spec) Validate() error {
	a, ok := lookup(s.Name)
	switch {
	case !ok:
		return codes.Errorf("MF-MODEL-NAME", "no architecture is called %q; use one of %s", s.Name, strings.Join(Names(), ", "))
	case !slices.Contains(a.channels, s.Channels):
		return codes.Errorf("MF-MODEL-SHAPE", "images have %d channels; %s takes one of %v", s.Channels, s.Name, a.channels)
	case s.Size < a.minSize || s.Size > a.maxSize:
		return codes.Errorf("MF-MODEL-SHAPE", "images are %d×%d; %s takes %d to %d pixels, so use the data set's version of that size", s.Size, s.Size, s.Name, a.minSize, a.maxSize)
	case s.Classes < minClasses || s.Classes > maxClasses:
		return codes.Errorf("MF-MODEL-SHAPE", "%d classes; %s takes %d to %d", s.Classes, s.Name, minClasses, maxClasses)
	}
	return nil
}

// Frozen reports whether the model is a head behind a frozen backbone. Then what
// Initial, Train and Evaluate work on is the head, and the examples they take are
// the backbone's features, [Spec.Inputs] values each, in the place of images.
func (s Spec) Frozen() bool { return s.architecture().backbone != nil }

// Inputs is the number of values of an example: those of an image, or the features
// of a frozen backbone.
func (s Spec) Inputs() int { return s.input().values() }

// Parameters are the tensors of the weights that Initial, Train and Evaluate work
// on, in their order. The spec must be valid.
func (s Spec) Parameters() []Parameter { return parameters(s.slots()) }

// BackboneParameters are the tensors of the frozen backbone, with torchvision's
// names; none for a model without. The spec must be valid.
func (s Spec) BackboneParameters() []Parameter {
	backbone, _ := s.backbone()
	return parameters(backbone)
}

// Parameter describes a tensor of a model.
type Parameter struct {
	Name    string // in the state dict of the same model in PyTorch
	Shape   []int  // in PyTorch's layout
	Learned bool   // moved by training: not a running statistic
}

func parameters(slots []slot) []Parameter {
	all := make([]Parameter, 0, len(slots))
	for _, t := range slots {
		all = append(all, Parameter{t.name, slices.Clone(t.shape), t.learned()})
	}
	return all
}

// architecture is that of a valid spec.
func (s Spec) architecture() architecture {
	a, ok := lookup(s.Name)
	if !ok {
		panic("an architecture of an invalid spec: " + s.Name)
	}
	return a
}

// backbone lists the tensors of the frozen layers, and the size of what they give.
func (s Spec) backbone() ([]slot, extent) {
	image := extent{s.Size, s.Size, s.Channels}
	if a := s.architecture(); a.backbone != nil {
		return slotsOf(a.backbone(), image)
	}
	return nil, image
}

// input is the size of what the learned layers start from.
func (s Spec) input() extent {
	_, size := s.backbone()
	return size
}

// layers are the learned layers.
func (s Spec) layers() []layer {
	a := s.architecture()
	return append(a.layers(), linear{a.output, s.Classes})
}

// kind is what a tensor is for; it decides how the tensor starts.
type kind int

const (
	weight   kind = iota // uniform
	bias                 // the same
	gamma                // ones; scale of a batch normalisation
	beta                 // zeros; shift of a batch normalisation
	mean                 // zeros until measured; running mean, not learned
	variance             // ones until measured; running variance, not learned
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

// learned reports whether the solver moves the tensor.
func (s slot) learned() bool { return s.kind != mean && s.kind != variance }

// slots lists the tensors of a valid spec in the order and with the names of the
// state dict of the same model in PyTorch; num_batches_tracked, which nothing
// reads, is left out. hmchain-cnn is two Sequentials, features and classifier;
// resnet18 is torchvision's ResNet with another stem; a head is a BatchNorm1d named norm,
// with affine=False and eps=0, and a Sequential named head, of dropout, linear, ReLU,
// linear, ReLU, linear; an ensemble is a ModuleList named members. Where a variance of
// norm is 0 the feature becomes 0; PyTorch does that with an infinity in its place.
func (s Spec) slots() []slot {
	if member, count := s.member(); count > 1 {
		return memberSlots(member.slots(), count)
	}
	all, _ := slotsOf(s.layers(), s.input())
	return all
}

// empty returns weights of the spec's names and shapes, all zero.
func (s Spec) empty() *weights.Weights { return emptyOf(s.slots()) }

func emptyOf(slots []slot) *weights.Weights {
	w := new(weights.Weights)
	for _, t := range slots {
		w.Tensors = append(w.Tensors, weights.Tensor{Name: t.name, Shape: t.shape, Data: make([]float32, t.size())})
	}
	return w
}

// check reports whether w can be loaded into the spec's model.
func (s Spec) check(w *weights.Weights) error { return check(s.slots(), w) }

// check reports whether w has these slots.
func check(slots []slot, w *weights.Weights) error {
	if w == nil {
		return codes.Errorf("MF-WEIGHTS-INCOMPATIBLE", "there are no weights; start from Initial or from a global model")
	}
	if err := w.Validate(); err != nil {
		return err
	}
	shapes := new(weights.Weights)
	for _, t := range slots {
		shapes.Tensors = append(shapes.Tensors, weights.Tensor{Name: t.name, Shape: t.shape})
	}
	if name := shapes.Tensors[0].Name; name == headMean && w.Find(name) == nil {
		return codes.Errorf("MF-WEIGHTS-INCOMPATIBLE", "the head has no %s: it is of a medfed that normalised features outside of the weights; it can't be used with this version: train a head with it, or use the version that made this one", name)
	}
	return weights.Compatible(shapes, w)
}
