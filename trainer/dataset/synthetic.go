package dataset

import (
	"crypto/sha256"
	"encoding/hex"
)

// The synthetic set has the sizes and the imbalance of PneumoniaMNIST: how many
// images of class 0 and 1 there are in train, validation and test.
var syntheticCounts = [3][2]int{{1214, 3494}, {135, 389}, {234, 390}}

const (
	syntheticSize = 28
	syntheticSeed = 20230119 // the day MedMNIST v2 appeared; any other would do
)

// makeSynthetic draws a set that has the shape of a chest X-ray set and none of
// its meaning: two dark ovals on a grey ground under noise; class 1 has bright
// patches in the ovals, class 0 seldom a faint one. It is always the same set.
// All arithmetic is in integers.
func makeSynthetic() *Data {
	r := newRandom(syntheticSeed, useSynthetic)
	data := &Data{Name: Synthetic, Synthetic: true, Channels: 1, Size: syntheticSize, Classes: 2}
	hash := sha256.New()
	for part, split := range []*Split{&data.Train, &data.Validation, &data.Test} {
		zeros, ones := syntheticCounts[part][0], syntheticCounts[part][1]
		pixels := make([]byte, 0, (zeros+ones)*syntheticSize*syntheticSize)
		for _, i := range r.permutation(zeros + ones) {
			label := 0
			if i >= zeros {
				label = 1
			}
			split.Labels = append(split.Labels, label)
			pixels = append(pixels, syntheticImage(r, label)...)
			hash.Write([]byte{byte(label)})
		}
		hash.Write(pixels)
		split.Values = normalise(pixels)
	}
	data.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return data
}

// syntheticImage draws one image of the class.
func syntheticImage(r random, label int) []byte {
	var c canvas
	ground := r.between(110, 160)
	for i := range c {
		c[i] = ground
	}
	dx, dy := r.between(-2, 2), r.between(-2, 2)
	depth := r.between(50, 90)
	ovals := [2][2]int{{8 + dx, 14 + dy}, {20 + dx, 14 + dy}}
	for _, o := range ovals {
		c.add(o[0], o[1], 6, 10, -depth)
	}
	patches, low, high := 0, 12, 36
	switch {
	case label == 1:
		patches, low, high = r.between(1, 3), 40, 90
	case r.below(5) == 0:
		patches = 1
	}
	for range patches {
		o := ovals[r.below(2)]
		radius := r.between(3, 6)
		c.add(o[0]+r.between(-3, 3), o[1]+r.between(-7, 7), radius, radius, r.between(low, high))
	}
	return c.noisy(r, 24)
}

// canvas is an image before noise and clipping.
type canvas [syntheticSize * syntheticSize]int

// add puts a bump of that height at (x, y): height*(1-q)^2 where q, the squared
// distance in radii, is below 1.
func (c *canvas) add(x, y, radiusX, radiusY, height int) {
	whole := radiusX * radiusX * radiusY * radiusY
	for j := range syntheticSize {
		for i := range syntheticSize {
			q := (i-x)*(i-x)*radiusY*radiusY + (j-y)*(j-y)*radiusX*radiusX
			if q < whole {
				c[j*syntheticSize+i] += height * (whole - q) * (whole - q) / (whole * whole)
			}
		}
	}
}

// noisy adds noise of a triangular distribution up to the amplitude, and clips.
func (c *canvas) noisy(r random, amplitude int) []byte {
	out := make([]byte, len(c))
	for i, v := range c {
		v += (r.between(-amplitude, amplitude) + r.between(-amplitude, amplitude)) / 2
		out[i] = byte(min(255, max(0, v)))
	}
	return out
}
