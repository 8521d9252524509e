package dicom

import (
	"encoding/binary"

	"github.com/medfed/medfed/chaincode/codes"
)

// runLengths decodes a frame's segments (PS3.5, G): a plane of bytes for each byte of each
// sample, that of the highest bits first.
func (f *Frame) runLengths() ([][]byte, error) {
	const head, most = 64, 15
	want := f.Samples * f.allocated / 8
	if len(f.data) < head || int(binary.LittleEndian.Uint32(f.data)) != want || want > most {
		return nil, codes.Errorf("MF-DICOM-PIXELS", "the run-length encoded pixels do not come in %d segments; decompress the file with dcmdrle (of dcmtk)", want)
	}
	offset := func(i int) int { return int(binary.LittleEndian.Uint32(f.data[4+4*i:])) }
	planes := make([][]byte, want)
	for i := range planes {
		first, last := offset(i), len(f.data)
		if i < want-1 {
			last = offset(i + 1)
		}
		if first < head || first > last || last > len(f.data) {
			return nil, codes.Errorf("MF-DICOM-PIXELS", "segment %d of the run-length encoded pixels lies outside them; export the file anew", i+1)
		}
		planes[i] = make([]byte, f.Columns*f.Rows)
		if n := unpack(planes[i], f.data[first:last]); n < len(planes[i]) {
			return nil, codes.Errorf("MF-DICOM-PIXELS", "segment %d of the run-length encoded pixels has %d of %d; export the file anew", i+1, n, len(planes[i]))
		}
	}
	return planes, nil
}

// unpack decodes PackBits (PS3.5, G.3.2) until out is full or in is at its end, and gives
// the number of bytes.
func unpack(out, in []byte) (n int) {
	for len(in) > 1 && n < len(out) {
		switch count := int(int8(in[0])); {
		case count >= 0: // so many and one as they are
			literal := in[1:min(count+2, len(in))]
			n += copy(out[n:], literal)
			in = in[1+len(literal):]
		case count > -128: // one repeated
			for range min(1-count, len(out)-n) {
				out[n] = in[1]
				n++
			}
			in = in[2:]
		default:
			in = in[1:]
		}
	}
	return n
}

// planes gives the samples of planes of bytes.
func (f *Frame) planes(planes [][]byte) samples {
	width := f.allocated / 8
	return func(pixel, sample int) (v int) {
		for _, plane := range planes[sample*width:][:width] {
			v = v<<8 | int(plane[pixel])
		}
		return v
	}
}
