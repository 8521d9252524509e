package kernel

import "golang.org/x/sys/cpu"

// available asks the processor, and whether the operating system saves the registers.
var available = func() []Level {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return []Level{Plain, AVX2, AVX512}
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return []Level{Plain, AVX2}
	}
	return []Level{Plain}
}()

func multiply(t *tile, rows, panels int) {
	switch level {
	case AVX512:
		tiles512[panels][rows](t)
	case AVX2:
		tiles256[panels][rows](t)
	default:
		multiplyPlain(t, rows, panels)
	}
}

// lanes of the vector kernels.
const (
	lanes512 = 16
	lanes256 = 8
)

// cover covers the channels with vector kernels as far as they fit, and the rest
// with plain Go.
func cover[T any](argument *T, channels int, with512, with256 func(*T, int), plain func(argument *T, from, to int)) {
	c := 0
	if level == AVX512 {
		for ; c+lanes512 <= channels; c += lanes512 {
			with512(argument, c)
		}
	}
	if level >= AVX2 {
		for ; c+lanes256 <= channels; c += lanes256 {
			with256(argument, c)
		}
	}
	if c < channels {
		plain(argument, c, channels)
	}
}

func moments(s *strip, channels int) { cover(s, channels, moments512, moments256, momentsPlain) }

func normalise(s *strip, channels int) {
	cover(s, channels, normalise512, normalise256, normalisePlain)
}

func gradientSums(s *strip, channels int) {
	cover(s, channels, gradientSums512, gradientSums256, gradientSumsPlain)
}

func inputGradient(s *strip, channels int) {
	cover(s, channels, inputGradient512, inputGradient256, inputGradientPlain)
}

func poolForward(r *poolRow, channels int) {
	cover(r, channels, poolForward512, poolForward256, poolForwardPlain)
}

func poolBackward(r *poolRow, channels int) {
	cover(r, channels, poolBackward512, poolBackward256, poolBackwardPlain)
}

func pooledForward(r *pooledRow, channels int) {
	cover(r, channels, pooledForward512, pooledForward256, pooledForwardPlain)
}

func pooledSums(r *pooledRow, channels int) {
	cover(r, channels, pooledSums512, pooledSums256, pooledSumsPlain)
}

func pooledInput(r *pooledRow, channels int) {
	cover(r, channels, pooledInput512, pooledInput256, pooledInputPlain)
}

func winogradInput(t *winogradTile, channels int) {
	cover(t, channels, winogradInput512, winogradInput256, winogradInputPlain)
}

func winogradOutput(t *winogradTile, channels int) {
	cover(t, channels, winogradOutput512, winogradOutput256, winogradOutputPlain)
}

func winogradOutputGradient(t *winogradTile, channels int) {
	cover(t, channels, winogradOutputGradient512, winogradOutputGradient256, winogradOutputGradientPlain)
}

func winogradInputGradient(t *winogradTile, channels int) {
	cover(t, channels, winogradInputGradient512, winogradInputGradient256, winogradInputGradientPlain)
}

func winogradWeight(t *winogradTile, channels int) {
	cover(t, channels, winogradWeight512, winogradWeight256, winogradWeightPlain)
}

func winogradWeightGradient(t *winogradTile, channels int) {
	cover(t, channels, winogradWeightGradient512, winogradWeightGradient256, winogradWeightGradientPlain)
}
