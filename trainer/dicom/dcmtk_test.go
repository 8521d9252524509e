package dicom

import (
	"math"
	"os"
	"testing"
)

// TestFilesOfDCMTK reads what DCMTK 3.6.7 wrote: dump2dcm a ramp of 12 bits, dcmconv +ti and
// dcmcrle the same implicitly and run-length encoded, dcmcjpeg +eb a ramp of 8 bits as JPEG
// and dcmcjpeg +e1 the first without loss, which is not read.
func TestFilesOfDCMTK(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range []string{"ramp.dcm", "ramp-implicit.dcm", "ramp-rle.dcm"} {
		f, got := pixelsOf(t, read(name), Options{})
		if f.Full != (Range{0, 4095}) || f.Patient == "" || len(got) != 4096 {
			t.Errorf("%s: %+v", name, f)
		}
		for i, v := range got {
			if v != float64(i) {
				t.Fatalf("%s: pixel %d is %v", name, i, v)
			}
		}
	}
	f, got := pixelsOf(t, read("grey-jpeg.dcm"), Options{})
	for i, v := range got {
		if math.Abs(v-float64(i)) > 8 || !f.Inverted {
			t.Fatalf("JPEG: pixel %d is %v, exchanged %t", i, v, f.Inverted)
		}
	}
	_, err := Parse(read("ramp-lossless.dcm"), Options{})
	wantCode(t, err, "MF-DICOM-SYNTAX", "dcmdjpeg")
}
