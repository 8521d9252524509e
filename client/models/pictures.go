package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// write writes a file and the folders to it.
func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// quickPNG encodes fast.
var quickPNG = png.Encoder{CompressionLevel: png.BestSpeed}

// drawMany writes n images of side × side pixels in two classes, of which one in ten is for
// testing. So many are distinct; the others have the content of one of those. Each has a
// patient of its own.
func drawMany(folder string, n, side, distinct int) error {
	m := image.NewGray(image.Rect(0, 0, side, side))
	for i := range n {
		kind := i % distinct
		for at := range m.Pix {
			m.Pix[at] = byte(at%side + at/side*(1+kind%5))
		}
		for k := range 3 {
			m.Pix[k] = byte(kind >> (8 * k))
		}
		var b bytes.Buffer
		if err := quickPNG.Encode(&b, m); err != nil {
			return err
		}
		part := "train"
		if i%10 == 9 {
			part = "test"
		}
		if err := write(filepath.Join(folder, part, string("ab"[i/10%2]), fmt.Sprintf("%d.png", i)), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// scene draws noise of some brightness and contrast, with a bright stripe whose place tells
// the class. Images that differ in noise alone would have features that hardly differ, and
// whose standardisation makes much of float32's rounding.
func scene(random *rand.Rand, shape shape, class int) image.Image {
	side := shape.size
	bright := func(y int) bool { return y*2/side == class%2 && y%4 < 2 }
	dark, contrast := random.Float64()*0.4, 0.1+random.Float64()*0.25
	brightness := func(y int) float64 {
		v := dark + contrast*random.Float64()
		if bright(y) {
			v += 0.25
		}
		return v
	}
	if shape.channels == 1 && shape.levels > 256 {
		m := image.NewGray16(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				m.SetGray16(x, y, color.Gray16{Y: uint16(brightness(y) * float64(shape.levels))})
			}
		}
		return m
	}
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			var rgb [3]byte
			for c := range rgb {
				rgb[c] = byte(brightness(y) * 256)
			}
			if shape.channels == 1 {
				rgb[1], rgb[2] = rgb[0], rgb[0]
			}
			m.SetNRGBA(x, y, color.NRGBA{R: rgb[0], G: rgb[1], B: rgb[2], A: 255})
		}
	}
	if shape.channels == 3 {
		return m
	}
	grey := image.NewGray(m.Bounds())
	for at := range grey.Pix {
		grey.Pix[at] = m.Pix[4*at]
	}
	return grey
}

// black is a PNG of zeros, written a row at a time: huge images need no memory here.
func black(width, height, depth, kind, samples int) []byte {
	out := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, content []byte) {
		body := append([]byte(name), content...)
		binary.Write(out, binary.BigEndian, uint32(len(content)))
		out.Write(body)
		binary.Write(out, binary.BigEndian, crc32.ChecksumIEEE(body))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	chunk("IHDR", append(head, byte(depth), byte(kind), 0, 0, 0))
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	row := make([]byte, 1+width*samples*depth/8)
	for range height {
		z.Write(row)
	}
	z.Close()
	chunk("IDAT", packed.Bytes())
	chunk("IEND", nil)
	return out.Bytes()
}

// radiograph is a DICOM file (PS3.10) of an image of 12 bits in explicit little-endian, with
// these pixels, whatever it says of their number.
func radiograph(width, height int, pixels []uint16) []byte {
	b := append(make([]byte, 128), "DICM"...)
	said := func(group, element int, vr, value string) {
		value += strings.Repeat(" ", len(value)%2)
		b = binary.LittleEndian.AppendUint16(b, uint16(group))
		b = binary.LittleEndian.AppendUint16(b, uint16(element))
		b = append(b, vr...)
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
	}
	number := func(element, v int) {
		said(0x0028, element, "US", string(binary.LittleEndian.AppendUint16(nil, uint16(v))))
	}
	said(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1\x00")
	number(0x0002, 1) // samples per pixel
	said(0x0028, 0x0004, "CS", "MONOCHROME2")
	number(0x0010, height)
	number(0x0011, width)
	number(0x0100, 16) // bits allocated, stored, high bit
	number(0x0101, 12)
	number(0x0102, 11)
	b = append(b, 0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(2*len(pixels)))
	for _, v := range pixels {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}
