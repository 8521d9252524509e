package fed

import (
	"math"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// clip moves every update whose Euclidean distance from the previous global
// model, over all tensors, is above norm back to that distance on the straight
// line between them. The others keep their bits.
func clip(previous *weights.Weights, updates []Update, norm float64) ([]Update, error) {
	if previous == nil {
		return nil, codes.Errorf("MF-FED-PREVIOUS", "%s measures from the previous global model; give it", clippingNorm.Name)
	}
	clipped := slices.Clone(updates)
	for i := range clipped {
		u := &clipped[i]
		if distance := math.Sqrt(squaredDistance(u.Weights, previous)); distance > norm {
			u.Weights = towards(previous, u.Weights, norm/distance)
		}
	}
	return clipped, nil
}

// towards is from + share*(to-from).
func towards(from, to *weights.Weights, share float64) *weights.Weights {
	out := to.Clone()
	for i, t := range out.Tensors {
		for j, v := range t.Data {
			start := float64(from.Tensors[i].Data[j])
			t.Data[j] = float32(start + float64(share*(float64(v)-start)))
		}
	}
	return out
}
