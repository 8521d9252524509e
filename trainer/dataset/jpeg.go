package dataset

import (
	"encoding/binary"
	"iter"
)

// jpegSegments are the markers of a JPEG file before the image itself, each with the
// content of its segment (ITU-T T.81, B.1.1). It passes over what package image/jpeg
// passes over, so that both find the same.
func jpegSegments(b []byte) iter.Seq2[byte, []byte] {
	const start, scan, end = 0xD8, 0xDA, 0xD9
	return func(yield func(byte, []byte) bool) {
		if len(b) < 2 || b[0] != 0xFF || b[1] != start {
			return
		}
		for b = b[2:]; len(b) >= 4; {
			marker := b[1]
			switch {
			case b[0] != 0xFF || marker == 0xFF: // what lies between segments; a byte that fills
				b = b[1:]
				continue
			case marker == 0 || marker >= 0xD0 && marker <= 0xD7: // not a marker; a restart
				b = b[2:]
				continue
			case marker == scan || marker == end:
				return
			}
			length := int(binary.BigEndian.Uint16(b[2:]))
			if length < 2 || 2+length > len(b) || !yield(marker, b[4:2+length]) {
				return
			}
			b = b[2+length:]
		}
	}
}

// jpegFrame is how many samples of each component a JPEG file's frame has, in whole
// blocks, and whether they come in several passes (ITU-T T.81, A.2 and B.2.2).
func jpegFrame(b []byte) (samples []int64, progressive bool) {
	const firstSize, progressiveSize, lastSize, fixed, component = 0xC0, 0xC2, 0xC2, 6, 3
	for marker, frame := range jpegSegments(b) {
		if marker < firstSize || marker > lastSize || len(frame) < fixed {
			continue
		}
		height, width := int64(binary.BigEndian.Uint16(frame[1:])), int64(binary.BigEndian.Uint16(frame[3:]))
		h, v := int64(1), int64(1) // the largest sampling factors, across and down
		for c := frame[fixed:]; len(c) >= component; c = c[component:] {
			h, v = max(h, int64(c[1]>>4)), max(v, int64(c[1]&15))
		}
		// Eight samples of each factor are a unit; the frame is filled up to whole ones.
		across, down := (width+8*h-1)/(8*h), (height+8*v-1)/(8*v)
		for c := frame[fixed:]; len(c) >= component; c = c[component:] {
			samples = append(samples, 64*across*int64(c[1]>>4)*down*int64(c[1]&15))
		}
		return samples, marker == progressiveSize
	}
	return nil, false
}
