package pretrained

import (
	"fmt"
	"slices"
	"strings"

	"github.com/medfed/medfed/trainer/weights"
)

// Difference is a tensor whose shape in the file is not the model's.
type Difference struct {
	Name      string
	Want, Got []int
}

// Comparison is what a model's tensors and a file's have to do with each other.
type Comparison struct {
	Missing   []string     // wanted, and not in the file
	Misshapen []Difference // wanted, and of another shape in the file
	Unused    []string     // in the file, and not wanted: a head for other classes, a counter
}

// Fits tells whether every tensor that the model wants can be taken.
func (c Comparison) Fits() bool { return len(c.Missing) == 0 && len(c.Misshapen) == 0 }

// String lists all differences, one a line.
func (c Comparison) String() string {
	var b strings.Builder
	for _, name := range c.Missing {
		fmt.Fprintf(&b, "missing %s\n", name)
	}
	for _, d := range c.Misshapen {
		fmt.Fprintf(&b, "misshapen %s: the file has %v, the model wants %v\n", d.Name, d.Got, d.Want)
	}
	for _, name := range c.Unused {
		fmt.Fprintf(&b, "unused %s\n", name)
	}
	return b.String()
}

// Compare compares names and shapes.
func (f *File) Compare(model *weights.Weights) Comparison {
	var c Comparison
	for _, want := range model.Tensors {
		i := slices.IndexFunc(f.tensors, func(t tensor) bool { return t.Name == want.Name })
		switch {
		case i < 0:
			c.Missing = append(c.Missing, want.Name)
		case !slices.Equal(f.tensors[i].Shape, want.Shape):
			c.Misshapen = append(c.Misshapen, Difference{want.Name, want.Shape, f.tensors[i].Shape})
		}
	}
	for _, t := range f.tensors {
		if model.Find(t.Name) == nil {
			c.Unused = append(c.Unused, t.Name)
		}
	}
	return c
}

// Load returns weights of the model's names, order and shapes with the numbers of
// the file, and how the two compare. model is not changed. When a tensor is missing
// or misshapen the error is MF-PRETRAINED-MISMATCH, lists them all, and nothing is
// loaded.
func Load(path string, model *weights.Weights) (*weights.Weights, Comparison, error) {
	f, err := Open(path)
	if err != nil {
		return nil, Comparison{}, err
	}
	defer f.Close()
	c := f.Compare(model)
	if !c.Fits() {
		return nil, c, fmt.Errorf("MF-PRETRAINED-MISMATCH: of %d tensors that the model wants the file lacks %d, and %d have another shape; use the weights of this architecture:\n%s",
			len(model.Tensors), len(c.Missing), len(c.Misshapen), Comparison{Missing: c.Missing, Misshapen: c.Misshapen})
	}
	w := &weights.Weights{Tensors: make([]weights.Tensor, len(model.Tensors))}
	for i, want := range model.Tensors {
		values, err := f.Read(want.Name)
		if err != nil {
			return nil, c, err
		}
		w.Tensors[i] = weights.Tensor{Name: want.Name, Shape: slices.Clone(want.Shape), Data: values}
	}
	return w, c, nil
}
