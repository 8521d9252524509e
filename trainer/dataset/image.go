package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decoders of image.Decode
	_ "image/png"
	"math"
	"path"
	"strings"

	"github.com/medfed/medfed/trainer/dicom"
)

// maxSize is the most pixels of a side after resizing.
const maxSize = 2048

// isImage knows image files by their names.
func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".dcm":
		return true
	}
	return false
}

// decode reads a DICOM, PNG or JPEG image, of up to 16 bits a channel, brings it to size by
// size pixels as in says and turns it as a JPEG's EXIF orientation says. What is
// transparent is black. Grey is the luma of ITU-R BT.601, rounded to a step of the file's
// depth. patient is what a DICOM file tells: a keyed hash. stored is the bytes that the file
// takes where it lies.
func decode(ctx context.Context, b []byte, stored, size, channels int, in Input, o dicom.Options) (values []float32, patient string, err error) {
	if dicom.Is(b) {
		return decodeDICOM(ctx, b, stored, size, channels, in, o)
	}
	m, release, err := decompress(ctx, b, stored)
	if err != nil {
		return nil, "", err
	}
	defer release()
	return turn(in.values(storedOf(m, channels), size), size, channels, orientationOf(b)), "", nil
}

// decompress decodes a PNG or JPEG image that is in a file of so many bytes. release gives
// back the memory that it takes.
func decompress(ctx context.Context, b []byte, file int) (m image.Image, release func(), err error) {
	config, claim, err := configOf(b)
	if err != nil {
		return nil, nil, err
	}
	if release, err = decoding.claim(ctx, claim, file); err != nil {
		return nil, nil, fmt.Errorf("it has %d by %d pixels: %w", config.Width, config.Height, err)
	}
	if m, _, err = image.Decode(bytes.NewReader(b)); err != nil {
		release()
		return nil, nil, err
	}
	return m, release, nil
}

// configOf is the shape of a PNG or JPEG image, and the bytes that decoding it takes.
func configOf(b []byte) (image.Config, int64, error) {
	config, kind, err := image.DecodeConfig(bytes.NewReader(b))
	if errors.Is(err, image.ErrFormat) {
		return config, 0, errors.New("it is neither DICOM nor PNG nor JPEG")
	}
	if kind == "jpeg" {
		return config, claimOfJPEG(b, config), err
	}
	return config, claimOfPNG(b, config), err
}

// look reads no more of a file than what describes its image, and gives the hash of the
// patient as decode does.
func look(b []byte, o dicom.Options) (patient string, err error) {
	if !dicom.Is(b) {
		_, _, err = configOf(b)
		return "", err
	}
	f, err := dicom.Parse(b, o)
	if err != nil {
		return "", err
	}
	return f.Patient, nil
}

// decodeDICOM reads one frame of a DICOM file.
func decodeDICOM(ctx context.Context, b []byte, stored, size, channels int, in Input, o dicom.Options) ([]float32, string, error) {
	f, err := dicom.Parse(b, o)
	if err != nil {
		return nil, "", err
	}
	var m image.Image
	var release func()
	if f.JPEG != nil {
		m, release, err = decompress(ctx, f.JPEG, stored)
	} else {
		release, err = decoding.claim(ctx, f.Bytes, stored)
	}
	if err != nil {
		return nil, "", err
	}
	defer release()
	row, err := f.Pixels(m)
	if err != nil {
		return nil, "", err
	}
	p := pixels{width: f.Columns, height: f.Rows, channels: channels, full: Window(f.Full), inverted: f.Inverted}
	if in.OwnWindow {
		own, err := f.Window()
		if err != nil {
			return nil, "", err
		}
		p.own = Window(own)
	}
	p.row = row
	if f.Samples != channels {
		p.row = converted(row, f.Samples, channels, f.Columns)
	}
	return in.values(p, size), f.Patient, nil
}

// converted gives rows of one channel of rows of three, or of three of one.
func converted(row dicom.Row, samples, channels, width int) func(out []float64, x, y int) {
	all := make([]float64, width*samples)
	return func(out []float64, x, y int) {
		own := all[:len(out)/channels*samples]
		row(own, x, y)
		for i := range len(out) / channels {
			if channels == 1 {
				out[i] = luma(int(own[3*i]), int(own[3*i+1]), int(own[3*i+2]))
			} else {
				out[3*i], out[3*i+1], out[3*i+2] = own[i], own[i], own[i]
			}
		}
	}
}

// luma is that of ITU-R BT.601, rounded to a whole.
func luma(r, g, b int) float64 { return float64((299*r + 587*g + 114*b + 500) / 1000) }

// storedOf gives an image's pixels as they are stored, in one channel or three.
func storedOf(m image.Image, channels int) pixels {
	p := pixels{width: m.Bounds().Dx(), height: m.Bounds().Dy(), channels: channels, full: Window{0, math.MaxUint8}}
	shift := 8 // of a channel's 16 bits as package image gives them
	switch m.ColorModel() {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		p.full.High, shift = math.MaxUint16, 0
	}
	at := m.(image.RGBA64Image).RGBA64At // all that image.Decode gives have it
	left, top := m.Bounds().Min.X, m.Bounds().Min.Y
	p.row = func(out []float64, x, y int) {
		for i := 0; i < len(out); i += channels {
			c := at(left+x+i/channels, top+y)
			r, g, b := int(c.R)>>shift, int(c.G)>>shift, int(c.B)>>shift
			if channels == 1 {
				out[i] = luma(r, g, b)
			} else {
				out[i], out[i+1], out[i+2] = float64(r), float64(g), float64(b)
			}
		}
	}
	if grey, ok := m.(*image.Gray); ok && channels == 1 { // the most frequent, ten times as fast
		p.row = func(out []float64, x, y int) {
			for i, v := range grey.Pix[grey.PixOffset(left+x, top+y):][:len(out)] {
				out[i] = float64(v)
			}
		}
	}
	return p
}
