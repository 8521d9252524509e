package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // decoders of image.Decode
	_ "image/png"
	"path"
	"strings"

	"golang.org/x/image/draw"
)

// Limits of an image file, so that a small file cannot claim much memory.
const (
	maxSize   = 2048      // pixels of a side after resizing
	maxPixels = 1 << 26   // pixels before resizing
	maxFile   = 256 << 20 // bytes
)

// Normalisation turns a value v from 0 (black) to 1 (white) of channel c into
// (v-Mean[c])/Std[c]. The zero value stands for mean 0.5 and standard deviation
// 0.5. Grey images use the first channel's numbers.
type Normalisation struct {
	Mean, Std [3]float64
}

// ImageNet is what backbones pre-trained on ImageNet expect (torchvision's
// documentation of its pre-trained models).
var ImageNet = Normalisation{Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}}

// table gives the value of every byte of a channel.
func (n Normalisation) table(channel int) (values [256]float32) {
	if n == (Normalisation{}) {
		return normalised
	}
	for v := range values {
		values[v] = float32((float64(v)/255 - n.Mean[channel]) / n.Std[channel])
	}
	return values
}

// isImage knows image files by their names.
func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".png", ".jpg", ".jpeg":
		return true
	}
	return false
}

// decode reads a PNG or JPEG image, brings it to size by size pixels (bilinear,
// averaging over the area when it shrinks; the shape is stretched to a square), turns
// it as a JPEG's EXIF orientation says and normalises it. What is transparent is
// black. Grey is the luma of ITU-R BT.601. The resizing is in floating point: between
// kinds of machines a value may differ by one step of 255.
func decode(b []byte, size, channels int, n Normalisation) ([]float32, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(b))
	if errors.Is(err, image.ErrFormat) {
		return nil, errors.New("it is neither PNG nor JPEG")
	}
	if err != nil {
		return nil, err
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("it has %d by %d pixels; from 1 to %d in all are taken", config.Width, config.Height, maxPixels)
	}
	source, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	scaled := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.BiLinear.Scale(scaled, scaled.Bounds(), source, source.Bounds(), draw.Src, nil)
	return n.Values(turn(scaled.Pix, size, orientationOf(b)), channels), nil
}

// Values are the normalised values of pixels of four bytes, red, green, blue and alpha,
// which is passed over: three a pixel, or for one channel its grey, which is the luma of
// ITU-R BT.601.
func (n Normalisation) Values(pixels []byte, channels int) []float32 {
	out := make([]float32, 0, len(pixels)/4*channels)
	if channels == 1 {
		grey := n.table(0)
		for p := 0; p < len(pixels); p += 4 {
			r, g, b := int(pixels[p]), int(pixels[p+1]), int(pixels[p+2])
			out = append(out, grey[(299*r+587*g+114*b+500)/1000])
		}
		return out
	}
	red, green, blue := n.table(0), n.table(1), n.table(2)
	for p := 0; p < len(pixels); p += 4 {
		out = append(out, red[pixels[p]], green[pixels[p+1]], blue[pixels[p+2]])
	}
	return out
}
