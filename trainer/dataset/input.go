package dataset

import (
	"cmp"
	"image"
	"math"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// Input says how a stored pixel becomes a number and how an image is brought to a
// model's size. Those who train one model use one Input, or a number means another
// thing at each of them. The zero value is the full range of a pixel's depth from black
// to white, mean 0.5 and standard deviation 0.5, stretched to a square.
type Input struct {
	// Window gives the stored values that become black and white; what is outside becomes
	// black or white. The zero value stands for the full range of the file's depth.
	Window Window `json:"window,omitzero"`
	// OwnWindow takes the window that a DICOM file names in the place of Window; files
	// that name none, as PNG and JPEG do, are read by Window.
	OwnWindow bool `json:"own_window,omitempty"`
	Inverted  bool `json:"inverted,omitempty"` // black and white are exchanged
	// Mean and Std turn a value v from 0 (black) to 1 (white) of channel c into
	// (v-Mean[c])/Std[c]: one number each for every channel, or one for all. None stand
	// for 0.5.
	Mean []float64 `json:"mean,omitempty"`
	Std  []float64 `json:"std,omitempty"`
	Fit  Fit       `json:"fit,omitempty"` // "" is FitStretch
}

// Window is a range of stored values: from 0 to 255 or 65535 in a PNG or JPEG file, and
// in a DICOM file what its rescaling makes of them, such as Hounsfield units.
type Window struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Fit is how an image of any shape is brought to a square.
type Fit string

// The fits.
const (
	FitStretch Fit = "stretch" // both sides to the square's
	FitPad     Fit = "pad"     // the longer side to the square's, with black beside the image
	FitCrop    Fit = "crop"    // the middle: the shorter side to the square's
)

// Fits are all of them.
func Fits() []Fit { return []Fit{FitStretch, FitPad, FitCrop} }

// ImageNet is what backbones pre-trained on ImageNet expect (torchvision's
// documentation of its pre-trained models).
var ImageNet = Input{Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}

// Check refuses what is out of bounds; the error is MF-DATA-INPUT.
func (in Input) Check() error {
	w := in.Window
	if w != (Window{}) && !(w.Low < w.High && !math.IsInf(w.High-w.Low, 0)) {
		return codes.Errorf("MF-DATA-INPUT", "a window from %v to %v; use two numbers of which the first is the smaller", w.Low, w.High)
	}
	if n := len(in.Mean); n != len(in.Std) || n > 1 && n != 3 {
		return codes.Errorf("MF-DATA-INPUT", "%d means and %d standard deviations; use one each for all channels, or one for each of three", n, len(in.Std))
	}
	for c, mean := range in.Mean {
		if std := in.Std[c]; !(std > 0) || math.IsInf(std, 0) || math.IsNaN(mean) || math.IsInf(mean, 0) {
			return codes.Errorf("MF-DATA-INPUT", "mean %v and standard deviation %v of a channel; use numbers, the second above 0", mean, std)
		}
	}
	if !slices.Contains(append(Fits(), ""), in.Fit) {
		return codes.Errorf("MF-DATA-INPUT", "there is no fit %q; use %s, %s or %s", in.Fit, FitStretch, FitPad, FitCrop)
	}
	return nil
}

// scale is the mean and the standard deviation of each channel.
func (in Input) scale() (mean, std [3]float64) {
	for c := range mean {
		mean[c], std[c] = 0.5, 0.5
		if n := len(in.Mean); n > 0 {
			mean[c], std[c] = in.Mean[min(c, n-1)], in.Std[min(c, n-1)]
		}
	}
	return mean, std
}

// Whole is the same Input with all that it leaves out, for images of so many channels.
func (in Input) Whole(channels int) Input {
	mean, std := in.scale()
	in.Mean, in.Std, in.Fit = mean[:channels], std[:channels], cmp.Or(in.Fit, FitStretch)
	return in
}

// Brightness is the part of an Input that reads stored values: its window and what is
// black. Numbers have mean and standard deviation 0.5.
func (in Input) Brightness() Input {
	return Input{Window: in.Window, OwnWindow: in.OwnWindow, Inverted: in.Inverted}
}

// brightness is 0 for black to 1 for white of a stored value; what is no number, for it
// is no pixel of the image's, is black.
func (w Window) brightness(v float64, inverted bool) float64 {
	if math.IsNaN(v) {
		return 0
	}
	share := 0.0
	switch {
	case v >= w.High && v > w.Low:
		share = 1
	case v > w.Low:
		share = (v - w.Low) / (w.High - w.Low)
	}
	if inverted {
		return 1 - share
	}
	return share
}

// shade turns an image's stored values into brightness, as the model is to see it.
func (in Input) shade(values []float64, p pixels) {
	window := p.full
	switch {
	case in.OwnWindow && p.own != Window{}:
		window = p.own
	case in.Window != Window{}:
		window = in.Window
	}
	for i, v := range values {
		values[i] = window.brightness(v, p.inverted)
		if in.Inverted {
			values[i] = 1 - values[i]
		}
	}
}

// number writes what the model gets of brightnesses, n channels side by side.
func (in Input) number(out []float32, brightness []float64, n int) {
	mean, std := in.scale()
	for i, v := range brightness {
		out[i] = float32((v - mean[i%n]) / std[i%n])
	}
}

// place gives the part of an image of width by height pixels that is shown, and where in
// a square of size by size pixels. Nothing is left of a side that is shown: at least one
// pixel of each is.
func (f Fit) place(width, height, size int) (from, to image.Rectangle) {
	from, to = image.Rect(0, 0, width, height), image.Rect(0, 0, size, size)
	shorter, longer := min(width, height), max(width, height)
	switch f {
	case FitCrop:
		x, y := (width-shorter)/2, (height-shorter)/2
		from = image.Rect(x, y, x+shorter, y+shorter)
	case FitPad:
		w, h := max(1, (size*width+longer/2)/longer), max(1, (size*height+longer/2)/longer)
		x, y := (size-w)/2, (size-h)/2
		to = image.Rect(x, y, x+w, y+h)
	}
	return from, to
}

// pixels is a decoded image.
type pixels struct {
	width, height, channels int
	full                    Window // the values that its depth can hold
	own                     Window // a window that the file names, or the zero value
	inverted                bool   // the file's own black and white are exchanged
	// row writes the stored values of row y from column x on, the channels of a pixel side
	// by side; what is no pixel of the image's is NaN.
	row func(out []float64, x, y int)
}

// values are the numbers of an image that is brought to size by size pixels, row by row,
// each pixel's channels side by side: bilinearly, averaging over the area where it
// shrinks. The order and the rounding of every operation are fixed, so that they are the
// same on every machine.
func (in Input) values(p pixels, size int) []float32 {
	from, to := in.Fit.place(p.width, p.height, size)
	n, out := p.channels, make([]float32, size*size*p.channels)
	if to.Dx() < size || to.Dy() < size {
		beside := slices.Repeat([]float64{math.NaN()}, len(out))
		in.shade(beside, p)
		in.number(out, beside, n)
	}
	columns, rows := bilinear(from.Dx(), to.Dx()), bilinear(from.Dy(), to.Dy())
	stored, row := make([]float64, from.Dx()*n), make([]float64, to.Dx()*n)
	narrow := newRing(rows, len(row)) // rows of the image that have their width already
	for y, t := range rows {
		for narrow.next < t.first+len(t.weights) {
			p.row(stored, from.Min.X, from.Min.Y+narrow.next)
			in.shade(stored, p)
			columns.apply(narrow.push(), stored, n)
		}
		clear(row)
		for k, weight := range t.weights {
			for i, v := range narrow.row(t.first + k) {
				row[i] += float64(weight * v)
			}
		}
		in.number(out[((to.Min.Y+y)*size+to.Min.X)*n:], row, n)
	}
	return out
}

// bytes gives the number of every byte in each channel, of an image that needs no resizing.
func (in Input) bytes() (numbers [3][256]float32) {
	p := pixels{full: Window{0, math.MaxUint8}}
	for v := range 256 {
		value := []float64{float64(v)}
		in.shade(value, p)
		one := make([]float32, 3)
		in.number(one, slices.Repeat(value, 3), 3)
		for c := range numbers {
			numbers[c][v] = one[c]
		}
	}
	return numbers
}

// Resized brings an image of a [Split] that was read under [Input.Brightness], of size by
// size pixels and channels values each, to another size and number of channels: grey has
// all three alike. It is what is left of in to be done.
func (in Input) Resized(image []float32, size, channels, to, toChannels int) []float32 {
	in.Window, in.OwnWindow, in.Inverted = Window{}, false, false
	return in.values(pixels{
		width: size, height: size, channels: toChannels, full: Window{-1, 1},
		row: func(out []float64, x, y int) {
			for i := range out {
				out[i] = float64(image[(y*size+x+i/toChannels)*channels+min(i%toChannels, channels-1)])
			}
		},
	}, to)
}
