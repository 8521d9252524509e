//go:build !amd64

package kernel

func moments(s *strip, channels int)       { momentsPlain(s, 0, channels) }
func normalise(s *strip, channels int)     { normalisePlain(s, 0, channels) }
func gradientSums(s *strip, channels int)  { gradientSumsPlain(s, 0, channels) }
func inputGradient(s *strip, channels int) { inputGradientPlain(s, 0, channels) }

func poolForward(r *poolRow, channels int)  { poolForwardPlain(r, 0, channels) }
func poolBackward(r *poolRow, channels int) { poolBackwardPlain(r, 0, channels) }

func pooledForward(r *pooledRow, channels int) { pooledForwardPlain(r, 0, channels) }
func pooledSums(r *pooledRow, channels int)    { pooledSumsPlain(r, 0, channels) }
func pooledInput(r *pooledRow, channels int)   { pooledInputPlain(r, 0, channels) }

func winogradInput(t *winogradTile, channels int)  { winogradInputPlain(t, 0, channels) }
func winogradOutput(t *winogradTile, channels int) { winogradOutputPlain(t, 0, channels) }

func winogradOutputGradient(t *winogradTile, channels int) {
	winogradOutputGradientPlain(t, 0, channels)
}

func winogradInputGradient(t *winogradTile, channels int) {
	winogradInputGradientPlain(t, 0, channels)
}

func winogradWeight(t *winogradTile, channels int) { winogradWeightPlain(t, 0, channels) }

func winogradWeightGradient(t *winogradTile, channels int) {
	winogradWeightGradientPlain(t, 0, channels)
}
