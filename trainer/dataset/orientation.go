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
	const start, app1, scan = 0xD8, 0xE1, 0xDA
	if len(b) < 2 || b[0] != 0xFF || b[1] != start {
		return nil
	}
	for b = b[2:]; len(b) >= 4 && b[0] == 0xFF && b[1] != scan; {
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < 2 || 2+length > len(b) {
			return nil
		}
		if content, ok := bytes.CutPrefix(b[4:2+length], []byte("Exif\x00\x00")); ok && b[1] == app1 {
			return content
		}
		b = b[2+length:]
	}
	return nil
}

// turn gives the pixels, of four bytes, of a square image as they are to be seen.
func turn(pixels []byte, size, orientation int) []byte {
	if orientation == upright {
		return pixels
	}
	out := make([]byte, len(pixels))
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
			copy(out[4*(y*size+x):], pixels[4*(r*size+c):][:4])
		}
	}
	return out
}
