package saliency

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/medfed/medfed/chaincode/codes"
)

// Picture is what is drawn: the image as the model sees it, and beside it the same under
// the heat, with words below.
type Picture struct {
	// Brightness of the image is 0 for black to 1 for white, row by row, each pixel's
	// channels side by side.
	Brightness []float64
	Channels   int // 1 grey, 3 red, green and blue
	Map        Map
	Words      []string // a line each
}

// Of a picture, in pixels: the least side of an image in it, and a line of words.
const (
	leastSide  = 448
	lineHeight = 24
	fontSize   = 16
	margin     = 8
)

// PNG draws the picture. The error is MF-SALIENCY-DRAW.
func (p Picture) PNG() ([]byte, error) {
	scale := (leastSide + p.Map.Size - 1) / p.Map.Size
	side := p.Map.Size * scale
	canvas := image.NewRGBA(image.Rect(0, 0, 2*side+3*margin, side+3*margin+lineHeight*len(p.Words)))
	for i := range canvas.Pix {
		canvas.Pix[i] = 255
	}
	heat := p.Map.shares()
	for y := range side {
		for x := range side {
			own := p.at(x/scale, y/scale)
			canvas.SetRGBA(margin+x, margin+y, own)
			canvas.SetRGBA(2*margin+side+x, margin+y, under(own, between(heat, p.Map.Size, x, y, scale)))
		}
	}
	for i, line := range p.Words {
		if err := write(canvas, line, margin, side+2*margin+lineHeight*i+fontSize); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, canvas); err != nil {
		return nil, notDrawn(err)
	}
	return b.Bytes(), nil
}

// at is the colour of a pixel of the image.
func (p Picture) at(x, y int) color.RGBA {
	pixel := p.Brightness[(y*p.Map.Size+x)*p.Channels:][:p.Channels]
	level := func(c int) uint8 { return uint8(math.Round(255 * min(1, max(0, pixel[min(c, p.Channels-1)])))) }
	return color.RGBA{level(0), level(1), level(2), 255}
}

// Heat in nats. Below Faint the odds of the class fall by less than a tenth; what is to be
// red is at least strong, two fifths, or a picture would have red parts also where nothing
// matters.
const (
	Faint  = 0.1
	strong = 0.5
)

// shares is the heat from 0, where hiding does not speak against the class, to 1 where it
// is highest, and strong.
func (m Map) shares() []float64 {
	highest := strong
	for _, h := range m.Heat {
		highest = max(highest, h)
	}
	shares := make([]float64, len(m.Heat))
	for i, h := range m.Heat {
		if h > 0 {
			shares[i] = h / highest
		}
	}
	return shares
}

// between is the heat of a pixel of the enlarged image, bilinearly.
func between(heat []float64, size, x, y, scale int) float64 {
	position := func(at int) (low, high int, share float64) {
		v := min(float64(size-1), max(0, (float64(at)+0.5)/float64(scale)-0.5))
		low = int(v)
		return low, min(low+1, size-1), v - float64(low)
	}
	x0, x1, dx := position(x)
	y0, y1, dy := position(y)
	top := heat[y0*size+x0]*(1-dx) + heat[y0*size+x1]*dx
	bottom := heat[y1*size+x0]*(1-dx) + heat[y1*size+x1]*dx
	return top*(1-dy) + bottom*dy
}

// under lays heat over a colour: none leaves it as it is, half is yellow, all is red.
func under(own color.RGBA, heat float64) color.RGBA {
	opacity := 0.7 * math.Sqrt(heat)
	green := 255 * min(1, 2*(1-heat))
	mix := func(a uint8, b float64) uint8 { return uint8(math.Round(float64(a)*(1-opacity) + b*opacity)) }
	return color.RGBA{mix(own.R, 255), mix(own.G, green), mix(own.B, 0), 255}
}

// typeface is that of the words: Go Regular has the letters of Latin, Greek and Cyrillic.
var typeface = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) })

// write draws a line of words from a place on its baseline on, smaller if it were too wide
// otherwise, and cut if that is not enough.
func write(canvas *image.RGBA, line string, x, baseline int) error {
	parsed, err := typeface()
	if err != nil {
		return notDrawn(err)
	}
	room := fixed.I(canvas.Bounds().Dx() - x - margin)
	for _, size := range []float64{fontSize, 13, 10} {
		face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
		if err != nil {
			return notDrawn(err)
		}
		defer face.Close()
		if font.MeasureString(face, line) > room && size > 10 {
			continue
		}
		drawer := font.Drawer{Dst: canvas, Src: image.Black, Face: face, Dot: fixed.P(x, baseline)}
		drawer.DrawString(cut(face, line, room))
		break
	}
	return nil
}

// cut leaves out the end of a line that has no room.
func cut(face font.Face, line string, room fixed.Int26_6) string {
	if font.MeasureString(face, line) <= room {
		return line
	}
	letters := []rune(line)
	for len(letters) > 0 && font.MeasureString(face, string(letters)+"…") > room {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}

func notDrawn(err error) error {
	return codes.Wrapf("MF-SALIENCY-DRAW", "the picture can't be drawn: %w; report it", err)
}
