package scenario

import (
	"strings"

	"github.com/medfed/medfed/trainer/weights"
)

// Tamper changes the weights that a node sends in a round.
type Tamper func(round int, w *weights.Weights) *weights.Weights

// SignFlip is the poison of the demo: from round `from` on, every trained
// weight is sent with its sign turned, which sends each example to the wrong
// side of the decision while the update keeps its shapes and its norm. Running
// variances keep their sign, or the model would be rejected as malformed rather
// than as wrong.
func SignFlip(from int) Tamper {
	return func(round int, w *weights.Weights) *weights.Weights {
		if round < from {
			return w
		}
		poisoned := w.Clone()
		for _, tensor := range poisoned.Tensors {
			if isRunningStatistic(tensor.Name) {
				continue
			}
			for i := range tensor.Data {
				tensor.Data[i] = -tensor.Data[i]
			}
		}
		return poisoned
	}
}

// isRunningStatistic tells batch normalisation's statistics from trained weights.
func isRunningStatistic(name string) bool {
	return strings.HasSuffix(name, "running_mean") || strings.HasSuffix(name, "running_var")
}
