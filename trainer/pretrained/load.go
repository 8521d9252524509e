package pretrained

import (
	"slices"

	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// Load takes the parameters of a model by name from a file. The result has exactly
// these parameters, in their order. When one is missing or misshapen the error, and
// the fit, list them all and the weights are nil. Only what is wanted is read: of
// torchvision's VGG16 not the head, which is three quarters of the file.
func Load(path string, parameters []model.Parameter) (*weights.Weights, model.Fit, error) {
	f, err := Open(path)
	if err != nil {
		return nil, model.Fit{}, err
	}
	defer f.Close()
	w := &weights.Weights{}
	for _, t := range f.Tensors() {
		read := weights.Tensor{Name: t.Name, Shape: t.Shape}
		if slices.ContainsFunc(parameters, func(p model.Parameter) bool { return p.Name == t.Name && slices.Equal(p.Shape, t.Shape) }) {
			if read.Data, err = f.Read(t.Name); err != nil {
				return nil, model.Fit{}, err
			}
		}
		w.Tensors = append(w.Tensors, read)
	}
	loaded, fit := model.Load(parameters, w)
	return loaded, fit, fit.Err()
}
