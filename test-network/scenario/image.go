package scenario

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
)

// WriteImage makes a PNG of one training image of a data set. The project ships
// no images of its own: a record in the demo is one of the examples that the
// nodes train on.
func WriteImage(path string, data *dataset.Data, index int) (err error) {
	if index < 0 || index >= data.Train.Len() {
		return codes.Errorf("MF-SCENARIO", "%s has no training image %d; name one of %d", data.Name, index, data.Train.Len())
	}
	values, err := data.Train.Example(index, make([]float32, data.Size*data.Size*data.Channels))
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return codes.Wrapf("MF-SCENARIO", "%w; make the folder writable", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return png.Encode(f, picture(values, data.Size, data.Channels))
}

// picture turns normalised values back into the bytes they were made from.
func picture(values []float32, side, channels int) image.Image {
	picture := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			pixel := values[(y*side+x)*channels:]
			level := func(channel int) uint8 {
				return uint8(math.Round(min(max(float64(pixel[min(channel, channels-1)])+1, 0), 2) * 127.5))
			}
			picture.SetNRGBA(x, y, color.NRGBA{R: level(0), G: level(1), B: level(2), A: 255})
		}
	}
	return picture
}
