package kernel

import (
	"fmt"
	"math"
)

// BatchNorm is batch normalisation over all positions of each channel, with an
// optional ReLU behind it and the gradients of both together.
type BatchNorm struct {
	channels int
	floor    float32 // outputs below become the floor: 0 with ReLU, -Inf without
	trained  bool    // the last Forward used the batch's own statistics

	mean, invStd   []float64 // of the last Forward
	center         []float32 // the mean, or near it; subtracted before all else
	scale, offset  []float32 // out = (in-center)*scale + offset
	factors        [3][]float32
	partial        []float32 // two sums per channel for each chunk of rows
	sum, sumSquare []float64

	// What the pass under way works on, and its parallel parts. They are made once,
	// because to make one is an allocation.
	kernel              func(*strip, int)
	all                 strip // of as many rows as there are
	addPiece, eachPiece func(w *worker, i int)
}

// Epsilon is what PyTorch's BatchNorm2d adds to the variance.
const Epsilon = 1e-5

// normRows is the number of rows (positions) summed in float32; sums of chunks
// are added in float64.
const normRows = 512

// strip is the argument of the batch-normalisation kernels, which go through rows
// of stride channels each and keep per-channel values in registers. The assembly
// knows the offsets of these fields; TestLayout checks them.
type strip struct {
	x, dy, out            []float32 // rows
	scale, offset, center []float32 // one value per channel, as are the next
	first, second, third  []float32
	rows, stride          int
	floor                 float32
}

// NewBatchNorm makes a normalisation of the given number of channels for inputs
// of at most rows positions (images × height × width).
func NewBatchNorm(rows, channels int, relu bool) (*BatchNorm, error) {
	if rows < 1 || channels < 1 {
		return nil, fmt.Errorf("batch normalisation of %d rows, %d channels: both must be at least 1", rows, channels)
	}
	b := &BatchNorm{channels: channels, floor: float32(math.Inf(-1))}
	if relu {
		b.floor = 0
	}
	b.addPiece, b.eachPiece = b.addChunk, b.eachChunk
	floats := make([]float32, 6*channels)
	for i, v := range []*[]float32{&b.center, &b.scale, &b.offset, &b.factors[0], &b.factors[1], &b.factors[2]} {
		*v = floats[i*channels : (i+1)*channels : (i+1)*channels]
	}
	doubles := make([]float64, 4*channels)
	for i, v := range []*[]float64{&b.mean, &b.invStd, &b.sum, &b.sumSquare} {
		*v = doubles[i*channels : (i+1)*channels : (i+1)*channels]
	}
	b.partial = make([]float32, chunksOf(rows)*2*channels)
	return b, nil
}

func chunksOf(rows int) int { return (rows + normRows - 1) / normRows }

// Train normalises the rows of in by their own mean and biased variance, and
// moves runningMean and runningVar towards the mean and the unbiased variance by the
// momentum, PyTorch's word for the weight of the batch: 0 leaves them, 1 replaces them.
// A single row leaves runningVar as it is: its unbiased variance is undefined.
func (b *BatchNorm) Train(out, in, gamma, beta, runningMean, runningVar []float32, momentum float64) {
	b.measure(in, runningMean, runningVar, momentum)
	b.apply(out, in, gamma, beta)
}

// measure takes mean and variance of in, and moves the running ones.
func (b *BatchNorm) measure(in, runningMean, runningVar []float32, momentum float64) {
	rows := len(in) / b.channels
	b.trained = true
	b.guessMean(in, rows)
	b.sums(rows, moments, strip{x: in, center: b.center})
	n := float64(rows)
	for c := range b.channels {
		shift := b.sum[c] / n
		variance := b.sumSquare[c]/n - float64(shift*shift)
		if variance < 0 {
			variance = 0
		}
		b.mean[c] = float64(b.center[c]) + shift
		b.invStd[c] = 1 / math.Sqrt(variance+Epsilon)
		runningMean[c] = move(runningMean[c], b.mean[c], momentum)
		if rows > 1 {
			runningVar[c] = move(runningVar[c], variance*n/(n-1), momentum)
		}
	}
}

// move is one step of a running statistic.
func move(running float32, batch, momentum float64) float32 {
	return float32(float64((1-momentum)*float64(running)) + float64(momentum*batch))
}

// Apply normalises the rows of in by the running statistics.
func (b *BatchNorm) Apply(out, in, gamma, beta, runningMean, runningVar []float32) {
	b.use(runningMean, runningVar)
	b.apply(out, in, gamma, beta)
}

// use takes mean and variance as given.
func (b *BatchNorm) use(runningMean, runningVar []float32) {
	b.trained = false
	for c := range b.channels {
		b.mean[c] = float64(runningMean[c])
		b.invStd[c] = 1 / math.Sqrt(float64(runningVar[c])+Epsilon)
	}
}

// guessMean sets center to the mean of some rows. Summing squares around a point
// near the mean loses no precision, and needs no second pass over the input.
func (b *BatchNorm) guessMean(in []float32, rows int) {
	const sample = 64
	clear(b.sum)
	taken := min(sample, rows)
	for i := range taken {
		row := i * rows / taken
		for c, v := range in[row*b.channels : (row+1)*b.channels] {
			b.sum[c] += float64(v)
		}
	}
	for c, v := range b.sum {
		b.center[c] = float32(v / float64(taken))
	}
}

// sums runs a kernel that adds to first and second over chunks of rows, and folds
// the chunks in order into b.sum and b.sumSquare.
func (b *BatchNorm) sums(rows int, kernel func(*strip, int), s strip) {
	chunks := chunksOf(rows)
	b.begin(rows, kernel, s)
	parallel(chunks, b.addPiece)
	b.fold(chunks)
}

// fold adds the partial sums of chunks, in their order.
func (b *BatchNorm) fold(chunks int) {
	clear(b.sum)
	clear(b.sumSquare)
	for i := range chunks {
		part := b.partial[i*2*b.channels:]
		for c := range b.channels {
			b.sum[c] += float64(part[c])
			b.sumSquare[c] += float64(part[b.channels+c])
		}
	}
}

// begin sets what the parallel parts of a pass work on.
func (b *BatchNorm) begin(rows int, kernel func(*strip, int), s strip) {
	s.rows = rows
	b.kernel, b.all = kernel, s
}

// addChunk adds up one chunk of rows.
func (b *BatchNorm) addChunk(w *worker, i int) {
	part := b.partial[i*2*b.channels : (i+1)*2*b.channels]
	clear(part)
	w.strip = b.chunk(i)
	w.strip.first, w.strip.second = part[:b.channels], part[b.channels:]
	b.kernel(&w.strip, b.channels)
}

// chunk narrows the strip of all rows to those of chunk i.
func (b *BatchNorm) chunk(i int) strip {
	s := b.all
	first, last := i*normRows, min(s.rows, (i+1)*normRows)
	for _, v := range []*[]float32{&s.x, &s.dy, &s.out} {
		if *v != nil {
			*v = (*v)[first*b.channels : last*b.channels]
		}
	}
	s.rows, s.stride, s.floor = last-first, b.channels, b.floor
	return s
}

// each runs a kernel that writes out over chunks of rows.
func (b *BatchNorm) each(rows int, kernel func(*strip, int), s strip) {
	b.begin(rows, kernel, s)
	parallel(chunksOf(rows), b.eachPiece)
}

// eachChunk writes one chunk of rows.
func (b *BatchNorm) eachChunk(w *worker, i int) {
	w.strip = b.chunk(i)
	b.kernel(&w.strip, b.channels)
}

// apply computes out from mean and invStd.
func (b *BatchNorm) apply(out, in, gamma, beta []float32) {
	b.prepare(gamma, beta)
	b.each(len(in)/b.channels, normalise, strip{x: in, out: out, scale: b.scale, offset: b.offset, center: b.center})
}

// prepare sets scale, offset and center from mean and invStd.
func (b *BatchNorm) prepare(gamma, beta []float32) {
	for c := range b.channels {
		scale := float64(gamma[c]) * b.invStd[c]
		b.scale[c] = float32(scale)
		b.center[c] = float32(b.mean[c])
		b.offset[c] = float32(float64(beta[c]) + float64((float64(b.center[c])-b.mean[c])*scale))
	}
}

// Gradient computes the gradients of input, gamma and beta from the gradient of
// the output and the input of the last Train or Apply.
func (b *BatchNorm) Gradient(gradIn, gradGamma, gradBeta, gradOut, in, gamma []float32) {
	rows := len(in) / b.channels
	s := strip{x: in, dy: gradOut, scale: b.scale, offset: b.offset, center: b.center}
	b.sums(rows, gradientSums, s)
	b.slopes(rows, gradGamma, gradBeta, gamma)
	s.out, s.first, s.second, s.third = gradIn, b.factors[0], b.factors[1], b.factors[2]
	b.each(rows, inputGradient, s)
}

// slopes computes the gradients of gamma and beta from the two sums over all rows:
// of the gradient that passes the floor, and of it times the input less the center.
// It sets the factors of the input gradient.
func (b *BatchNorm) slopes(rows int, gradGamma, gradBeta, gamma []float32) {
	n := float64(rows)
	for c := range b.channels {
		// The sum was taken around center, the mean rounded to float32.
		shift := b.mean[c] - float64(b.center[c])
		slope := (b.sumSquare[c] - float64(shift*b.sum[c])) * b.invStd[c]
		gradBeta[c], gradGamma[c] = float32(b.sum[c]), float32(slope)
		scale := float64(gamma[c]) * b.invStd[c]
		b.factors[0][c] = float32(scale)
		b.factors[1][c], b.factors[2][c] = 0, 0
		if b.trained {
			// gradIn = scale*(d - sum/n - x̂*slope/n), x̂ = (in-mean)*invStd
			b.factors[1][c] = float32(-scale * slope / n * b.invStd[c])
			b.factors[2][c] = float32(-scale*b.sum[c]/n + float64(scale*slope/n*b.invStd[c]*shift))
		}
	}
}

// momentsPlain adds x-center to first and its square to second, for the channels
// from .. to-1.
func momentsPlain(s *strip, from, to int) {
	for r := range s.rows {
		x := s.x[r*s.stride:][:s.stride]
		for c := from; c < to; c++ {
			d := x[c] - s.center[c]
			s.first[c] += d
			s.second[c] = fma32(d, d, s.second[c])
		}
	}
}

// normalisePlain sets out to (x-center)*scale + offset, or to the floor if that is higher.
func normalisePlain(s *strip, from, to int) {
	for r := range s.rows {
		x, out := s.x[r*s.stride:][:s.stride], s.out[r*s.stride:][:s.stride]
		for c := from; c < to; c++ {
			y := fma32(x[c]-s.center[c], s.scale[c], s.offset[c])
			if y < s.floor {
				y = s.floor
			}
			out[c] = y
		}
	}
}

// gradientSumsPlain adds to first the gradient that passes the floor, and to
// second that gradient times x-center.
func gradientSumsPlain(s *strip, from, to int) {
	for r := range s.rows {
		x, dy := s.x[r*s.stride:][:s.stride], s.dy[r*s.stride:][:s.stride]
		for c := from; c < to; c++ {
			centred := x[c] - s.center[c]
			d := passed(s, centred, dy[c], c)
			s.first[c] += d
			s.second[c] = fma32(d, centred, s.second[c])
		}
	}
}

// inputGradientPlain sets out to d*first + ((x-center)*second + third), with d
// the gradient that passes the floor.
func inputGradientPlain(s *strip, from, to int) {
	for r := range s.rows {
		x, dy, out := s.x[r*s.stride:][:s.stride], s.dy[r*s.stride:][:s.stride], s.out[r*s.stride:][:s.stride]
		for c := from; c < to; c++ {
			centred := x[c] - s.center[c]
			out[c] = fma32(passed(s, centred, dy[c], c), s.first[c], fma32(centred, s.second[c], s.third[c]))
		}
	}
}

// passed is the output gradient where the output is above the floor, else zero.
func passed(s *strip, centred, dy float32, c int) float32 {
	if fma32(centred, s.scale[c], s.offset[c]) > s.floor {
		return dy
	}
	return 0
}
