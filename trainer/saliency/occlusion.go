// Package saliency says which parts of an image a classifier looked at, and draws it over
// the image.
//
// Errors begin with a stable code:
//
//	MF-SALIENCY-IMAGE    the values are no image of this shape, or it has no such class
//	MF-SALIENCY-NUMBERS  the model gives no finite probabilities
//	MF-SALIENCY-DRAW     a picture can't be drawn
package saliency

import (
	"context"
	"math"

	"github.com/medfed/medfed/chaincode/codes"
)

// Image is values as a model takes them: row by row, each pixel's channels side by side.
type Image struct {
	Values   []float32
	Size     int // height and width in pixels
	Channels int
}

// Predict gives the probabilities [n][classes] of n images that lie one after another. It
// does not keep them.
type Predict func(ctx context.Context, images []float32) ([]float32, error)

// Map is what a model looked at to take an image for a class.
type Map struct {
	Size int
	// Heat is, for each pixel row by row, how far the log-odds of the class fall when a
	// square over it is hidden: the mean over the squares that hide it, in nats; below 0
	// where hiding it speaks for the class.
	Heat        []float64
	Probability float32 // of the class, with nothing hidden
	Least       float32 // with the square hidden that costs the most
}

// Of the squares: a side is a seventh of the image's, and they lie half a side apart: 13×13
// of them, or nearly, cover an image whatever its size.
const squaresASide = 7

// Bounds of the images that are predicted at once: how many, and their values, 4 MiB of
// them. Large images are as fast a few at a time.
const (
	most       = 32
	mostValues = 1 << 20
)

// Occlude hides one square of the image after another under its mean colour and sees how
// the class fares (Zeiler and Fergus, "Visualizing and Understanding Convolutional
// Networks", ECCV 2014, arXiv 1311.2901, section 4.2). It asks nothing of the model but
// its probabilities, so it works for all. The odds of the class, not its probability, are
// what is measured: they also move where a model is nearly certain, and a temperature does
// no more than scale those of two classes. progress, if not nil, hears how many of how many
// images are predicted. Errors: those of this package, or predict's.
func Occlude(ctx context.Context, predict Predict, image Image, class int, progress func(done, total int)) (Map, error) {
	if n := image.Size * image.Size * image.Channels; n <= 0 || len(image.Values) != n {
		return Map{}, codes.Errorf("MF-SALIENCY-IMAGE", "%d values are no image of %d×%d×%d; report it", len(image.Values), image.Size, image.Size, image.Channels)
	}
	whole, err := oddsOf(ctx, predict, image.Values, 1, class)
	if err != nil {
		return Map{}, err
	}
	if !whole[0].finite() {
		return Map{}, codes.Errorf("MF-SALIENCY-NUMBERS", "the model gives no finite probabilities; take weights that are finite")
	}
	m := Map{Size: image.Size, Heat: make([]float64, image.Size*image.Size), Probability: whole[0].probability, Least: whole[0].probability}
	covered := make([]int, len(m.Heat))
	squares, colour := image.squares(), image.mean()
	batch, values := max(1, min(most, mostValues/len(image.Values))), len(image.Values)
	hidden := make([]float32, batch*values)
	for first := 0; first < len(squares); first += batch {
		some := squares[first:min(first+batch, len(squares))]
		for i, s := range some {
			image.hide(hidden[i*values:(i+1)*values], s, colour)
		}
		all, err := oddsOf(ctx, predict, hidden[:len(some)*values], len(some), class)
		if err != nil {
			return Map{}, err
		}
		for i, o := range all {
			if !o.finite() {
				return Map{}, codes.Errorf("MF-SALIENCY-NUMBERS", "the model gives no finite probabilities to the image with a part hidden; take weights that are finite")
			}
			m.Least = min(m.Least, o.probability)
			some[i].each(func(x, y int) {
				m.Heat[y*image.Size+x] += whole[0].log - o.log
				covered[y*image.Size+x]++
			})
		}
		if progress != nil {
			progress(first+len(some), len(squares))
		}
	}
	for i, n := range covered {
		m.Heat[i] /= float64(n)
	}
	return m, nil
}

// square is a part of an image: left and top included, right and bottom not.
type square struct{ left, top, right, bottom int }

func (s square) each(do func(x, y int)) {
	for y := s.top; y < s.bottom; y++ {
		for x := s.left; x < s.right; x++ {
			do(x, y)
		}
	}
}

// squares cover the image: the last of a row and of a column end where it ends.
func (m Image) squares() []square {
	side := (m.Size + squaresASide - 1) / squaresASide
	step := max(1, side/2)
	var starts []int
	for at := 0; at < m.Size-side; at += step {
		starts = append(starts, at)
	}
	starts = append(starts, m.Size-side)
	var all []square
	for _, y := range starts {
		for _, x := range starts {
			all = append(all, square{x, y, x + side, y + side})
		}
	}
	return all
}

// mean is the image's mean value by channel.
func (m Image) mean() []float32 {
	sums := make([]float64, m.Channels)
	for i, v := range m.Values {
		sums[i%m.Channels] += float64(v)
	}
	means := make([]float32, m.Channels)
	for c, sum := range sums {
		means[c] = float32(sum / float64(m.Size*m.Size))
	}
	return means
}

// hide writes the values with a square in one colour.
func (m Image) hide(out []float32, s square, colour []float32) {
	copy(out, m.Values)
	s.each(func(x, y int) { copy(out[(y*m.Size+x)*m.Channels:], colour) })
}

// odds are those of a class against all others.
type odds struct {
	probability float32
	log         float64 // natural logarithm; not finite where a probability is not
}

func (o odds) finite() bool { return o.log-o.log == 0 }

// oddsOf predicts n images.
func oddsOf(ctx context.Context, predict Predict, images []float32, n, class int) ([]odds, error) {
	probabilities, err := predict(ctx, images)
	if err != nil {
		return nil, err
	}
	classes := len(probabilities) / n
	if class < 0 || class >= classes {
		return nil, codes.Errorf("MF-SALIENCY-IMAGE", "class %d of %d; report it", class, classes)
	}
	all := make([]odds, n)
	for i := range all {
		row := probabilities[i*classes : (i+1)*classes]
		others := 0.0
		for other, p := range row {
			if other != class {
				others += float64(p)
			}
		}
		all[i] = odds{row[class], logarithm(float64(row[class])) - logarithm(others)}
	}
	return all, nil
}

// logarithm of a probability, above that of 0.
func logarithm(p float64) float64 { return math.Log(max(p, math.SmallestNonzeroFloat32)) }
