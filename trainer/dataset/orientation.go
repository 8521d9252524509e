package dataset

import (
	"bytes"
	"encoding/binary"
)

// upright is the EXIF orientation of an image that is stored as it is to be seen.
const upright = 1

// orientationOf is the EXIF orientation, 1 to 8, that a JPEG file names: cameras store
// an image as their sensor has it and say how to turn it (CIPA DC-008, tag 0x0112).
// Whatever has none, or a damaged one, is upright.
func orientationOf(b []byte) int {
	tiff := exif(b)
	if len(tiff) < 8 {
		return upright
	}
	var order binary.ByteOrder = binary.BigEndian
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
	default:
		return upright
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return upright
	}
	const entry, tag, short = 12, 0x0112, 3
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < entry {
			break
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
		}
		entries = entries[entry:]
	}
	return upright
}

// exif is the TIFF structure of a JPEG's EXIF segment; nil where there is none before
// the image itself.
func exif(b []byte) []byte {
	const app1 = 0xE1
	for marker, content := range jpegSegments(b) {
		if tiff, ok := bytes.CutPrefix(content, []byte("Exif\x00\x00")); ok && marker == app1 {
			return tiff
		}
	}
	return nil
}

// turn gives the values of a square image, channels for each pixel, as they are to be
// seen.
func turn(values []float32, size, channels, orientation int) []float32 {
	if orientation == upright {
		return values
	}
	out := make([]float32, len(values))
	last := size - 1
	for r := range size {
		for c := range size {
			y, x := r, c
			if orientation >= 5 { // rows become columns
				y, x = c, r
			}
			switch orientation {
			case 2, 6:
				x = last - x
			case 3, 7:
				y, x = last-y, last-x
			case 4, 8:
				y = last - y
			}
			copy(out[channels*(y*size+x):], values[channels*(r*size+c):][:channels])
		}
	}
	return out
}
