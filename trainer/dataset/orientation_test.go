package dataset

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
)

// oriented is a JPEG of 16×8 pixels, the first quarter white and the second grey,
// with an EXIF orientation.
func oriented(t testing.TB, order binary.AppendByteOrder, orientation uint16) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 16, 8))
	for y := range 4 {
		for x := range 16 {
			picture.SetGray(x, y, color.Gray{255})
			if x >= 8 {
				picture.SetGray(x, y, color.Gray{128})
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	tiff := []byte("MM\x00*")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		tiff = []byte("II*\x00")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2) // entries
	for _, entry := range [][2]uint16{{0x0100, 16}, {0x0112, orientation}} {
		tiff = order.AppendUint16(order.AppendUint16(tiff, entry[0]), 3)
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(order.AppendUint16(tiff, entry[1]), 0)
	}
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{0xFF, 0xD8, 0xFF, 0xE1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
	return append(append(out, segment...), b.Bytes()[2:]...)
}

// TestOrientation: the white quarter and the grey one lie where EXIF's definition has
// them. An orientation that there is not is none.
func TestOrientation(t *testing.T) {
	const size = 8
	corners := map[string]int{"top left": 1*size + 1, "top right": 1*size + 6, "bottom left": 6*size + 1, "bottom right": 6*size + 6}
	for orientation, want := range [][2]string{
		{"top left", "top right"}, // 0 is none
		{"top left", "top right"},
		{"top right", "top left"},
		{"bottom right", "bottom left"},
		{"bottom left", "bottom right"},
		{"top left", "bottom left"},
		{"top right", "bottom right"},
		{"bottom right", "top right"},
		{"bottom left", "top left"},
		{"top left", "top right"}, // 9 is none
	} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			values, err := decoded(t, oriented(t, order, uint16(orientation)), size, 1, Input{})
			if err != nil {
				t.Fatal(err)
			}
			for corner, at := range corners {
				least, most := float32(-1), float32(-0.9)
				switch corner {
				case want[0]:
					least, most = 0.9, 1
				case want[1]:
					least, most = -0.1, 0.1
				}
				if v := values[at]; v < least || v > most {
					t.Errorf("orientation %d: %s is %v, want %v to %v", orientation, corner, v, least, most)
				}
			}
		}
	}
}

// FuzzOrientation: no damaged file breaks the reader.
func FuzzOrientation(f *testing.F) {
	whole := oriented(f, binary.LittleEndian, 6)
	for _, n := range []int{0, 3, 5, 12, 18, 20, 30, 45, len(whole)} {
		f.Add(whole[:n])
	}
	f.Add(append(bytes.Clone(whole[:16]), 0xFF, 0xFF, 0xFF, 0xFF)) // the first entries lie far outside
	f.Fuzz(func(t *testing.T, b []byte) {
		if o := orientationOf(b); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}
