package fl

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// Input says how a stored pixel of an image becomes a number, and how an image is brought
// to the model's size. A number means the same at all who train and use a model because
// they have one Input. A value goes through its fields from first to last.
type Input struct {
	WindowLow  Micro   `json:"window_low"`  // stored value that becomes black; with WindowHigh 0 as well, the full range of the file's depth
	WindowHigh Micro   `json:"window_high"` // stored value that becomes white
	OwnWindow  bool    `json:"own_window"`  // a window that a file names goes before the one above
	Inverted   bool    `json:"inverted"`    // black and white are exchanged
	Mean       []Micro `json:"mean"`        // by channel: a value v from 0, black, to 1, white,
	Std        []Micro `json:"std"`         // becomes (v-Mean)/Std
	Fit        string  `json:"fit"`         // one of Fits
}

// The ways to bring an image of any shape to a square.
const (
	FitStretch = "stretch" // both sides to the square's
	FitPad     = "pad"     // the longer side to the square's, with black beside the image
	FitCrop    = "crop"    // the shorter side to the square's, and the middle of the longer
)

// Fits are all of them.
func Fits() []string { return []string{FitStretch, FitPad, FitCrop} }

// Limits of an Input.
const (
	MaxStored = One << 32 // farthest that a window's end is from 0
	MaxStd    = 100 * One
)

// isZero reports whether nothing is set.
func (in Input) isZero() bool {
	return in.WindowLow == 0 && in.WindowHigh == 0 && !in.OwnWindow && !in.Inverted && len(in.Mean) == 0 && len(in.Std) == 0 && in.Fit == ""
}

// Given reports whether the terms have an Input. Tasks that are older than it have none.
func (in Input) Given() bool { return in.Fit != "" }

// checkInput refuses an Input by which an image does not become numbers.
func checkInput(t Terms) error {
	in := t.Input
	switch {
	case in.isZero():
		return nil
	case (in.WindowLow != 0 || in.WindowHigh != 0) && in.WindowLow >= in.WindowHigh:
		return codes.Errorf("MF-TERMS-INVALID", "input.window_low is %s and input.window_high %s; set the first below the second, or both to 0 for a file's full range", in.WindowLow, in.WindowHigh)
	case len(in.Mean) != t.Channels || len(in.Std) != t.Channels:
		return codes.Errorf("MF-TERMS-INVALID", "input.mean has %d numbers and input.std %d; set one of each for every of %d channels", len(in.Mean), len(in.Std), t.Channels)
	case !slices.Contains(Fits(), in.Fit):
		return codes.Errorf("MF-TERMS-INVALID", "input.fit is not known; use %s, %s or %s", FitStretch, FitPad, FitCrop)
	}
	return within(inputBounds(t))
}

func inputBounds(t Terms) []Bound {
	bounds := []Bound{
		bound("input.window_low", t.Input.WindowLow, -MaxStored, MaxStored),
		bound("input.window_high", t.Input.WindowHigh, -MaxStored, MaxStored),
	}
	for c := range t.Input.Mean {
		bounds = append(bounds, bound("input.mean", t.Input.Mean[c], 0, One), bound("input.std", t.Input.Std[c], 1, MaxStd))
	}
	return bounds
}
