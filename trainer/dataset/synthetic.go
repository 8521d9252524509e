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

// makeSynthetic draws a set that looks like frontal chest X-rays and means nothing: no
// image was taken of anybody. Class 1 has opacities in the lungs, as pneumonia does;
// class 0 seldom a faint one. It is always the same set. All arithmetic is in integers.
func makeSynthetic(in Input) *Data {
	r := newRandom(syntheticSeed, useSynthetic)
	data := &Data{Name: Synthetic, Synthetic: true, Channels: 1, Size: syntheticSize, Classes: []string{"normal", "pneumonia"}}
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
		split.Values = in.numbered(pixels, 1)
	}
	data.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return data
}

// syntheticImage draws one image of the class.
func syntheticImage(r random, label int) []byte {
	c := newChest(r)
	c.drawTissue()
	c.drawLungs()
	if label == 1 {
		c.drawPneumonia()
	} else if r.below(6) == 0 {
		c.drawPatch(r.between(2*px, 3*px), r.between(8, 14))
	}
	c.drawHeart()
	c.drawDiaphragm()
	c.drawBones()
	return c.exposed()
}

// px is a pixel's width: lengths are in sixteenths of it. whole is the most of a
// shape's cover of a pixel.
const px, whole = 16, 1024

// chest is an image in the making: brightness as on the film, where air is dark and
// bone is bright, and where things lie in it. Left and right are the image's.
type chest struct {
	r       random
	pixels  [syntheticSize * syntheticSize]int
	x, y    int                                // middle of the lungs
	wide    int                                // how far the lungs' middles lie from x
	tall    int                                // half the height of a lung
	depth   int                                // how much darker than tissue a lung is
	lungs   [syntheticSize * syntheticSize]int // how much of a pixel they cover
	domes   [2]int
	ribs    int // distance between ribs
	shifted int // where the first rib lies
}

func newChest(r random) *chest {
	c := &chest{r: r}
	c.x, c.y = r.between(13*px, 15*px), r.between(12*px, 13*px)
	c.wide, c.tall = r.between(11*px/2, 13*px/2), r.between(8*px, 10*px)
	c.depth = r.between(80, 105)
	c.domes = [2]int{c.y + r.between(7*px, 9*px), c.y + r.between(8*px, 10*px)} // the liver lies under the left one
	c.ribs, c.shifted = r.between(50, 62), r.between(0, 61)
	return c
}

// paint adds to every pixel what the function gives for its middle.
func (c *chest) paint(brightness func(x, y int) int) {
	for i := range c.pixels {
		c.pixels[i] += brightness(i%syntheticSize*px+px/2, i/syntheticSize*px+px/2)
	}
}

// paintLungs adds to every pixel what the function gives, as far as a lung covers it.
func (c *chest) paintLungs(brightness func(i, x, y int) int) {
	for i, covered := range c.lungs {
		if covered > 0 {
			c.pixels[i] += brightness(i, i%syntheticSize*px+px/2, i/syntheticSize*px+px/2) * covered / whole
		}
	}
}

// drawTissue is the trunk before the dark of the room, narrow at the neck.
func (c *chest) drawTissue() {
	tissue := c.r.between(125, 150)
	c.paint(func(x, y int) int {
		half := min(15*px, 5*px+2*y)
		return 12 + (tissue-12)*ramped(half-abs(x-c.x), 3*px)/whole
	})
	spine := c.r.between(35, 55)
	c.paint(func(x, y int) int { return spine * ramped(3*px/2-abs(x-c.x), 3*px/2) / whole })
}

// drawLungs makes two dark ovals that are narrower at the top.
func (c *chest) drawLungs() {
	for i := range c.lungs {
		c.lungs[i] = c.lung(i%syntheticSize*px+px/2, i/syntheticSize*px+px/2)
	}
	c.paintLungs(func(int, int, int) int { return -c.depth })
}

// lung is how much of a pixel a lung covers.
func (c *chest) lung(x, y int) int {
	most := 0
	for _, side := range []int{-1, 1} {
		middle := c.x + side*(c.wide-max(0, c.y-y)/8)
		radius := 5*px - max(0, c.y-y)/6
		most = max(most, oval(x-middle, y-c.y, radius, c.tall, whole/2))
	}
	return most
}

// drawPneumonia draws one of its three looks: a large opacity, several small ones, or
// a haze with a mesh in it over both lungs.
func (c *chest) drawPneumonia() {
	switch c.r.below(3) {
	case 0:
		c.drawPatch(c.r.between(7*px/2, 5*px), c.r.between(70, 100))
	case 1:
		for range c.r.between(4, 7) {
			c.drawPatch(c.r.between(2*px, 3*px), c.r.between(50, 80))
		}
	default:
		haze := c.r.between(36, 56)
		mesh := noiseImage(c.r, syntheticSize)
		c.paintLungs(func(i, _, _ int) int { return haze + mesh[i]*haze/120 })
	}
}

// drawPatch draws an opacity of that radius somewhere in a lung; what it hides of the
// lung fades towards its rim.
func (c *chest) drawPatch(radius, brightness int) {
	side := 2*int(c.r.below(2)) - 1
	middleX := c.x + side*c.wide + c.r.between(-2*px, 2*px)
	middleY := c.y + c.r.between(-5*px, 7*px)
	high := radius * c.r.between(80, 130) / 100
	c.paintLungs(func(_, x, y int) int {
		return brightness * oval(x-middleX, y-middleY, radius, high, whole) / whole
	})
}

// drawHeart lies before the lungs, for the most part on the right.
func (c *chest) drawHeart() {
	x, y := c.x+c.r.between(3*px/2, 3*px), c.y+c.r.between(4*px, 5*px)
	wide, tall := c.r.between(4*px, 5*px), c.r.between(4*px, 5*px)
	c.cover(c.r.between(140, 165), func(i, j int) int { return oval(i-x, j-y, wide, tall, whole/2) })
	arch := c.y - c.r.between(4*px, 6*px)
	c.cover(145, func(i, j int) int { return oval(i-c.x-px, j-arch, 2*px, 2*px, whole) / 2 })
}

// drawDiaphragm ends the lungs below, with a dome on each side.
func (c *chest) drawDiaphragm() {
	belly := c.r.between(145, 175)
	c.cover(belly, func(x, y int) int {
		side := 0
		if x > c.x {
			side = 1
		}
		far := abs(abs(x-c.x) - c.wide)
		return ramped(y-c.domes[side]-far*far/(6*px), px+px/2)
	})
}

// cover brings pixels to a brightness as far as they are covered, where they are darker.
func (c *chest) cover(brightness int, covered func(x, y int) int) {
	c.paint(func(x, y int) int {
		now := c.pixels[y/px*syntheticSize+x/px]
		return max(0, brightness-now) * covered(x, y) / whole
	})
}

// drawBones draws the ribs, which fall off to the sides, and the collar bones, which
// rise there.
func (c *chest) drawBones() {
	rib, collar := c.r.between(14, 26), c.r.between(20, 35)
	height := c.y - c.tall + c.r.between(px, 2*px)
	c.paint(func(x, y int) int {
		out := abs(x - c.x)
		along := (y - out*out/(14*px) + c.shifted + 64*c.ribs) % c.ribs
		bright := rib * ramped(c.ribs/4-abs(along-c.ribs/2), c.ribs/4) / whole * ramped(13*px-out, 2*px) / whole
		if y > c.domes[0]+2*px || out < 2*px {
			bright = 0
		}
		return bright + collar*ramped(px-abs(y-height+out/4), px)/whole*ramped(out-px, px)/whole
	})
}

// exposed is the picture as it is taken: with a contrast, a brightness and grain.
func (c *chest) exposed() []byte {
	contrast, brightness, grain := c.r.between(85, 115), c.r.between(-10, 10), c.r.between(5, 12)
	cloud := noiseImage(c.r, syntheticSize)
	out := make([]byte, len(c.pixels))
	for i, v := range c.pixels {
		v += cloud[i] / 8
		v = 128 + (v-128)*contrast/100 + brightness
		v += (c.r.between(-grain, grain) + c.r.between(-grain, grain)) / 2
		out[i] = byte(min(255, max(0, v)))
	}
	return out
}

// ramped is the cover of a shape at the distance inside its edge: nothing outside,
// whole when it lies deeper than the edge is soft.
func ramped(inside, soft int) int { return min(whole, max(0, inside*whole/soft)) }

// oval is the cover of an ellipse with those radii at (x, y) from its middle. Soft is
// how much of it, of whole, is the rim.
func oval(x, y, radiusX, radiusY, soft int) int {
	if radiusX <= 0 {
		return 0
	}
	q := x*x*whole/(radiusX*radiusX) + y*y*whole/(radiusY*radiusY)
	return ramped(whole-q, soft)
}

func abs(v int) int { return max(v, -v) }
