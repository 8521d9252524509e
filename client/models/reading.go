package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"path/filepath"

	"github.com/medfed/medfed/trainer/dataset"
)

// levels reads a ramp of 12 bits in each format and counts the values that it became.
func (b *bench) levels(ctx context.Context) (any, error) {
	const side, depth = 64, 4096
	pixels, ramp := make([]uint16, depth), image.NewGray16(image.Rect(0, 0, side, side))
	for v := range depth {
		pixels[v] = uint16(v)
		ramp.SetGray16(v%side, v/side, color.Gray16{Y: uint16(v)})
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, ramp); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for format, content := range map[string][]byte{"png": encoded.Bytes(), "dicom": radiograph(side, side, pixels)} {
		path := filepath.Join(b.folder, "ramp."+format)
		if err := write(path, content); err != nil {
			return nil, err
		}
		values, err := dataset.ReadImage(ctx, path, dataset.FolderOptions{Size: side, Channels: 1})
		if err != nil {
			return nil, err
		}
		met := map[float32]bool{}
		for _, v := range values {
			met[v] = true
		}
		counts[format] = len(met)
		b.Bar(len(met) == depth, "12 bits in %s: %d of %d levels are told apart", format, len(met), depth)
	}
	return counts, nil
}

// Bounds of a bomb: bytes of its file, and 10^6 bytes resident of the program that reads it.
const bombBytes, bombMB = 1 << 20, 100

// bombs has medfed read small files that claim much, each alone, several at once in a
// folder, and packed into an archive. Some are refused, and some are read.
func (b *bench) bombs(ctx context.Context) (any, error) {
	grey := black(4096, 6143, 16, 0, 1) // the largest that is read
	files := map[string][]byte{
		"8192×8192 RGBA of 16 bits.png": black(8192, 8192, 16, 6, 4),
		"4096×6143 grey of 16 bits.png": grey,
		"65535×65535 grey.jpg":          patchedJPEG(65535, 65535),
		"6000×6000 grey.jpg":            patchedJPEG(6000, 6000),
		"65535×65535 of 12 bits.dcm":    radiograph(65535, 65535, make([]uint16, 4096)),
	}
	model, err := b.train(ctx, shape{"hmchain-cnn", 1, 28, 256})
	if err != nil {
		return nil, err
	}
	peaks := map[string]float64{}
	note := func(name string, bytes int, o outcome) {
		peaks[name] = rounded(o.peakMB)
		b.Bar(o.peakMB <= bombMB, "%s (%d bytes): %.0f MB resident, the bar is %d", name, bytes, o.peakMB, bombMB)
	}
	for name, content := range files {
		if len(content) > bombBytes {
			return nil, fmt.Errorf("%s has %d bytes", name, len(content))
		}
		b.Doing("a file of %d bytes: %s", len(content), name)
		path := filepath.Join(b.folder, "bombs", name)
		if err := write(path, content); err != nil {
			return nil, err
		}
		o, err := b.medfed(ctx, "model", "predict", model.file, path)
		if err != nil {
			return nil, err
		}
		if o.code != "" && o.code != "MF-DATA-IMAGE" {
			return nil, fmt.Errorf("%w on %s: %s", errFailed, name, o.stderr)
		}
		note(name, len(content), o)
		for i := range 4 {
			if err := write(filepath.Join(b.folder, "many", "train", bothClasses[i%2], fmt.Sprint(i, name)), content); err != nil {
				return nil, err
			}
		}
	}
	archive, err := packed(grey)
	if err != nil {
		return nil, err
	}
	if err := write(filepath.Join(b.folder, "many.zip"), archive); err != nil {
		return nil, err
	}
	for name, images := range map[string]string{"a folder of four of each, eight workers": "many", "an archive of files of 30 MB": "many.zip"} {
		b.Doing("%s", name)
		o, err := b.medfedWith(ctx, []string{"GOMAXPROCS=8"}, "model", "evaluate", model.file, "--images", images, "--split", "train", "--skip-bad-images")
		if err != nil {
			return nil, err
		}
		if o.code != "" {
			return nil, fmt.Errorf("%w on %s: %s", errFailed, name, o.stderr)
		}
		note(name, len(archive), o)
	}
	return peaks, nil
}

// patchedJPEG is a small file that claims another size.
func patchedJPEG(width, height int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		panic(err) // a buffer takes everything
	}
	out := b.Bytes()
	frame := bytes.Index(out, []byte{0xFF, 0xC0}) + 5 // behind marker, length and precision
	binary.BigEndian.PutUint16(out[frame:], uint16(height))
	binary.BigEndian.PutUint16(out[frame+2:], uint16(width))
	return out
}

// packed is an archive of two images, and of more with much behind them that packs to
// little.
func packed(content []byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	padding := make([]byte, 30<<20)
	for i := range 6 {
		w, err := z.Create(fmt.Sprintf("train/%s/%d.png", bothClasses[i%2], i))
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
		if i > 1 {
			if _, err := w.Write(padding); err != nil {
				return nil, err
			}
		}
	}
	err := z.Close()
	return b.Bytes(), err
}
