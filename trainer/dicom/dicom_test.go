package dicom

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
)

// writer makes a file byte by byte.
type writer struct {
	bytes.Buffer
	implicit bool
}

func (w *writer) short(v int) { binary.Write(w, binary.LittleEndian, uint16(v)) }
func (w *writer) long(v int)  { binary.Write(w, binary.LittleEndian, uint32(v)) }

// head writes a data element's head of that length.
func (w *writer) head(t tag, vr string, length int) {
	w.short(int(t >> 16))
	w.short(int(t & 0xFFFF))
	switch {
	case w.implicit || t>>16 == 0xFFFE:
		w.long(length)
	case slices.Contains([]string{"OB", "OW", "SQ", "UN"}, vr):
		w.WriteString(vr + "\x00\x00")
		w.long(length)
	default:
		w.WriteString(vr)
		w.short(length)
	}
}

func (w *writer) text(t tag, vr, value string) {
	value += strings.Repeat(" ", len(value)%2)
	w.head(t, vr, len(value))
	w.WriteString(value)
}

func (w *writer) number(t tag, v int) {
	w.head(t, "US", 2)
	w.short(v)
}

// described is what is said of an image; the zero value of a field is left out.
type described struct {
	syntax                                  string
	width, height, samples                  int
	allocated, stored, high, signed, planar int
	photometric, frames                     string
	slope, intercept, centre, wide, shape   string
	padding, limit                          int
	burned, patient, issuer                 string
	before                                  func(w *writer) // writes what stands in front of the image
}

// file is a file of an image whose pixels follow as write has them.
func (d described) file(pixels func(w *writer)) []byte {
	w := &writer{}
	w.Write(make([]byte, preamble))
	w.WriteString(magic)
	syntax := d.syntax
	if syntax == "" {
		syntax = explicitLittleEndian
	}
	w.text(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.7")
	w.text(transferSyntax, "UI", syntax)
	w.implicit = syntax == implicitLittleEndian
	text := func(t tag, vr, value string) {
		if value != "" {
			w.text(t, vr, value)
		}
	}
	number := func(t tag, v int) {
		if v != 0 {
			w.number(t, v)
		}
	}
	text(0x00100010, "PN", "Doe^Jane")
	text(patientID, "LO", d.patient)
	text(issuerOfPatientID, "LO", d.issuer)
	if d.before != nil {
		d.before(w)
	}
	w.number(samplesPerPixel, max(1, d.samples))
	w.text(photometric, "CS", d.photometric)
	number(planarConfiguration, d.planar)
	text(numberOfFrames, "IS", d.frames)
	w.number(rows, d.height)
	w.number(columns, d.width)
	w.number(bitsAllocated, d.allocated)
	w.number(bitsStored, d.stored)
	w.number(highBit, max(d.high, d.stored-1))
	w.number(pixelRepresentation, d.signed)
	number(paddingValue, d.padding)
	number(paddingRangeLimit, d.limit)
	text(burnedInAnnotation, "CS", d.burned)
	text(windowCentre, "DS", d.centre)
	text(windowWidth, "DS", d.wide)
	text(rescaleIntercept, "DS", d.intercept)
	text(rescaleSlope, "DS", d.slope)
	text(windowFunction, "CS", d.shape)
	pixels(w)
	return w.Bytes()
}

// words are native pixels of 16 bits.
func words(all ...int) func(*writer) {
	return func(w *writer) {
		w.head(pixelData, "OW", 2*len(all))
		for _, v := range all {
			w.short(v)
		}
	}
}

// octets are native pixels of 8 bits.
func octets(all ...byte) func(*writer) {
	return func(w *writer) {
		w.head(pixelData, "OB", len(all)+len(all)%2)
		w.Write(append(all, make([]byte, len(all)%2)...))
	}
}

// encapsulated are compressed pixels: the table of offsets and the fragments.
func encapsulated(table []byte, fragments ...[]byte) func(*writer) {
	return func(w *writer) {
		w.head(pixelData, "OB", undefined)
		for _, f := range append([][]byte{table}, fragments...) {
			f = append(f, make([]byte, len(f)%2)...)
			w.head(item, "", len(f))
			w.Write(f)
		}
		w.head(endOfSequence, "", 0)
	}
}

// pixelsOf reads all values of a frame.
func pixelsOf(t testing.TB, b []byte, o Options) (*Frame, []float64) {
	t.Helper()
	f, err := Parse(b, o)
	if err != nil {
		t.Fatal(err)
	}
	var decoded image.Image
	if f.JPEG != nil {
		if decoded, err = jpeg.Decode(bytes.NewReader(f.JPEG)); err != nil {
			t.Fatal(err)
		}
	}
	row, err := f.Pixels(decoded)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, f.Columns*f.Rows*f.Samples)
	for y := range f.Rows {
		row(out[y*f.Columns*f.Samples:][:f.Columns*f.Samples], 0, y)
	}
	return f, out
}

// same compares values of which one that is no number is like another.
func same(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) })
}

func wantCode(t testing.TB, err error, code, says string) {
	t.Helper()
	if codes.Of(err) != codes.Code(code) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), ";") {
		t.Errorf("got %v, want %s with %q", err, code, says)
	}
}

// grey is an image of 2 by 2 pixels of 12 bits in 16.
func grey() described {
	return described{width: 2, height: 2, allocated: 16, stored: 12, photometric: "MONOCHROME2"}
}

// TestNative: values of 12 bits and of signed ones, in explicit and implicit form, with
// what is not read standing in front of them, rescaled, and what pads.
func TestNative(t *testing.T) {
	sequences := func(w *writer) {
		w.head(0x00280015, "SQ", undefined) // of a group that is read
		w.head(item, "", undefined)
		w.text(patientID, "LO", "of another")
		w.head(0x00281234, "SQ", undefined)
		w.head(endOfSequence, "", 0)
		w.head(endOfItem, "", 0)
		w.head(item, "", 2)
		w.short(7)
		w.head(endOfSequence, "", 0)
		implicit := w.implicit
		w.head(0x00281235, "UN", undefined)
		w.head(item, "", undefined)
		w.implicit = true
		w.text(0x00100030, "", "19700101")
		w.implicit = implicit
		w.head(endOfItem, "", 0)
		w.head(endOfSequence, "", 0)
	}
	for name, c := range map[string]struct {
		d      described
		pixels func(*writer)
		want   []float64
		full   Range
	}{
		"12 bits":         {grey(), words(0, 1, 4094, 4095), []float64{0, 1, 4094, 4095}, Range{0, 4095}},
		"bits above":      {grey(), words(0xF000, 0x1001, 0x8FFE, 4095), []float64{0, 1, 4094, 4095}, Range{0, 4095}},
		"high bit 15":     {func() described { d := grey(); d.high = 15; return d }(), words(0, 0x1F, 0xFFEF, 0xFFF0), []float64{0, 1, 4094, 4095}, Range{0, 4095}},
		"signed":          {func() described { d := grey(); d.signed = 1; return d }(), words(0, 0xFFF, 0x7FF, 0x800), []float64{0, -1, 2047, -2048}, Range{-2048, 2047}},
		"rescaled":        {func() described { d := grey(); d.slope, d.intercept = "2", "-1024"; return d }(), words(0, 1, 2, 4095), []float64{-1024, -1022, -1020, 7166}, Range{-1024, 7166}},
		"negative slope":  {func() described { d := grey(); d.slope, d.intercept = "-1", " 5 "; return d }(), words(0, 1, 2, 4095), []float64{5, 4, 3, -4090}, Range{-4090, 5}},
		"padding":         {func() described { d := grey(); d.padding = 4000; return d }(), words(0, 4000, 4001, 3999), []float64{0, math.NaN(), 4001, 3999}, Range{0, 4095}},
		"padding range":   {func() described { d := grey(); d.padding, d.limit = 4000, 3000; return d }(), words(2999, 3000, 4000, 4001), []float64{2999, math.NaN(), math.NaN(), 4001}, Range{0, 4095}},
		"signed padding":  {func() described { d := grey(); d.signed, d.padding = 1, 0xF800; return d }(), words(0x800, 1, 2, 3), []float64{math.NaN(), 1, 2, 3}, Range{-2048, 2047}},
		"8 bits":          {described{width: 3, height: 1, allocated: 8, stored: 8, photometric: "MONOCHROME1"}, octets(0, 128, 255), []float64{0, 128, 255}, Range{0, 255}},
		"colours":         {described{width: 2, height: 1, samples: 3, allocated: 8, stored: 8, photometric: "RGB"}, octets(1, 2, 3, 4, 5, 6), []float64{1, 2, 3, 4, 5, 6}, Range{0, 255}},
		"planes":          {described{width: 2, height: 1, samples: 3, allocated: 8, stored: 8, planar: 1, photometric: "RGB"}, octets(1, 4, 2, 5, 3, 6), []float64{1, 2, 3, 4, 5, 6}, Range{0, 255}},
		"YCbCr":           {described{width: 1, height: 1, samples: 3, allocated: 8, stored: 8, photometric: "YBR_FULL"}, octets(76, 85, 255), []float64{254, 0, 0}, Range{0, 255}},
		"second of three": {func() described { d := grey(); d.frames = "3"; return d }(), words(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), []float64{5, 6, 7, 8}, Range{0, 4095}},
	} {
		for _, syntax := range []string{explicitLittleEndian, implicitLittleEndian} {
			c.d.syntax, c.d.before = syntax, sequences
			o := Options{}
			if c.d.frames != "" {
				o.Frame = 2
			}
			f, got := pixelsOf(t, c.d.file(c.pixels), o)
			if !same(got, c.want) || f.Full != c.full || f.Inverted != (c.d.photometric == "MONOCHROME1") || f.Bytes != 0 {
				t.Errorf("%s, %s: %v, %+v; want %v, %v", name, syntax, got, f, c.want, c.full)
			}
		}
	}
}

// linear is the function of PS3.3, C.11.2.1.2.1 from 0 to 1, as it stands there.
func linear(x, c, w float64) float64 {
	switch {
	case x <= c-0.5-(w-1)/2:
		return 0
	case x > c-0.5+(w-1)/2:
		return 1
	}
	return (x-(c-0.5))/(w-1) + 0.5
}

// TestWindow holds the window against the formulas.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := grey()
		c, w := rapid.IntRange(-3000, 3000).Draw(t, "centre"), rapid.IntRange(2, 4000).Draw(t, "width")
		d.centre, d.wide = strings.Join([]string{strconv.Itoa(c), "7"}, `\`), strings.Join([]string{strconv.Itoa(w), "9"}, `\`)
		f, err := Parse(d.file(words(0, 0, 0, 0)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		window, err := f.Window()
		if err != nil {
			t.Fatal(err)
		}
		x := rapid.Float64Range(-6000, 6000).Draw(t, "x")
		got := max(0, min(1, (x-window.Low)/(window.High-window.Low)))
		if want := linear(x, float64(c), float64(w)); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v under centre %d and width %d is %v, want %v", x, c, w, got, want)
		}
	})
	for name, c := range map[string]struct {
		centre, wide, shape string
		want                Range
		refused             bool
	}{
		"none":      {},
		"exact":     {"100", "50", "LINEAR_EXACT", Range{75, 125}, false},
		"sigmoid":   {"100", "50", "SIGMOID", Range{}, true},
		"narrow":    {"100", "0.5", "", Range{}, true},
		"a step":    {"100", "1", "LINEAR", Range{99.5, 99.5}, false},
		"no centre": {"", "1", "", Range{}, false},
		"no number": {"x", "1", "", Range{}, true},
	} {
		d := grey()
		d.centre, d.wide, d.shape = c.centre, c.wide, c.shape
		f, err := Parse(d.file(words(0, 0, 0, 0)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Window(); got != c.want || (err != nil) != c.refused {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// pack encodes PackBits the simplest way: runs where there are some.
func pack(in []byte) (out []byte) {
	for i := 0; i < len(in); {
		n := 1
		for i+n < len(in) && in[i+n] == in[i] && n < 128 {
			n++
		}
		if n == 1 {
			out = append(out, 0, in[i])
		} else {
			out = append(out, byte(1-n), in[i])
		}
		i += n
	}
	return out
}

// runLengthFrame encodes planes of bytes.
func runLengthFrame(planes ...[]byte) []byte {
	head := make([]byte, 64)
	binary.LittleEndian.PutUint32(head, uint32(len(planes)))
	out := head
	for i, p := range planes {
		binary.LittleEndian.PutUint32(out[4+4*i:], uint32(len(out)))
		out = append(out, pack(p)...)
	}
	return out
}

// TestRunLengths: any pixels come back as they are, of both depths, in several frames.
func TestRunLengths(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := described{syntax: "1.2.840.10008.1.2.5", width: 5, height: 3, allocated: 16, stored: 16, photometric: "MONOCHROME2", frames: "2"}
		pixels := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 65535), rapid.Just(7)), 15, 15).Draw(rt, "pixels")
		var high, low []byte
		var want []float64
		for _, v := range pixels {
			high, low, want = append(high, byte(v>>8)), append(low, byte(v)), append(want, float64(v))
		}
		zero := make([]byte, 15)
		f, got := pixelsOf(t, d.file(encapsulated(nil, runLengthFrame(zero, zero), runLengthFrame(high, low))), Options{Frame: 2})
		if !slices.Equal(got, want) || f.Bytes != 30 {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
	d := described{syntax: "1.2.840.10008.1.2.5", width: 3, height: 1, samples: 3, allocated: 8, stored: 8, photometric: "RGB"}
	if _, got := pixelsOf(t, d.file(encapsulated(nil, runLengthFrame([]byte{1, 1, 1}, []byte{2, 2, 9}, []byte{3, 4, 5}))), Options{}); !slices.Equal(got, []float64{1, 2, 3, 1, 2, 4, 1, 9, 5}) {
		t.Errorf("colours are %v", got)
	}
}

// TestUnpack: the example of PackBits' description comes out, and what is torn does not
// run over.
func TestUnpack(t *testing.T) {
	in := []byte{0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0x80, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7, 0xAA}
	want := []byte{0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA}
	for n := range len(want) + 1 {
		out := make([]byte, n)
		if got := unpack(out, in); got != n || !bytes.Equal(out, want[:n]) {
			t.Errorf("%d bytes are %x", n, out)
		}
	}
	for n := range in {
		unpack(make([]byte, 100), in[:n])
	}
}

// TestJPEG: grey and colour come out as package image/jpeg has them, from one fragment or
// several, and colours that are not YCbCr are not taken for it.
func TestJPEG(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 9, 5))
	for i := range m.Pix {
		m.Pix[i] = byte(5 * i)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	d := described{syntax: "1.2.840.10008.1.2.4.50", width: 9, height: 5, allocated: 8, stored: 8, photometric: "MONOCHROME1", intercept: "100", slope: "1"}
	half := b.Len() / 2 &^ 1
	other := b.Bytes()
	for name, c := range map[string]struct {
		frames string
		pixels func(*writer)
	}{
		"one fragment":  {"", encapsulated(nil, b.Bytes())},
		"two fragments": {"1", encapsulated(nil, b.Bytes()[:half], b.Bytes()[half:])},
		"by the table":  {"2", encapsulated(binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0}, uint32(8+len(other)+len(other)%2)), other, b.Bytes()[:half], b.Bytes()[half:])},
		"by the number": {"2", encapsulated(nil, other[:10], b.Bytes())},
	} {
		d.frames = c.frames
		o := Options{}
		if c.frames == "2" {
			o.Frame = 2
		}
		f, got := pixelsOf(t, d.file(c.pixels), o)
		for i, v := range got {
			if want := decoded.(*image.Gray).GrayAt(i%9, i/9).Y; v != float64(want)+100 {
				t.Fatalf("%s: pixel %d is %v, want %d and 100", name, i, v, want)
			}
		}
		if !f.Inverted {
			t.Errorf("%s: MONOCHROME1 is lost", name)
		}
	}
	colours := image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio420)
	for i := range colours.Y {
		colours.Y[i] = 90
	}
	for i := range colours.Cb {
		colours.Cb[i], colours.Cr[i] = 110, 160
	}
	b.Reset()
	if err := jpeg.Encode(&b, colours, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	red, green, blue := color.YCbCrToRGB(90, 110, 160)
	for photometric, want := range map[string][]float64{
		"YBR_FULL_422": {float64(red), float64(green), float64(blue)}, "RGB": {90, 110, 160},
	} {
		d := described{syntax: "1.2.840.10008.1.2.4.50", width: 16, height: 16, samples: 3, allocated: 8, stored: 8, photometric: photometric}
		_, got := pixelsOf(t, d.file(encapsulated(nil, b.Bytes())), Options{})
		for i, v := range got {
			if math.Abs(v-want[i%3]) > 2 {
				t.Fatalf("%s: value %d is %v, want %v", photometric, i, v, want[i%3])
			}
		}
	}
}

// TestPatient: the hash is of the ID within its issuer, under the key, and nothing else of
// the patient leaves the reader.
func TestPatient(t *testing.T) {
	hash := func(id, issuer, key string) string {
		d := grey()
		d.patient, d.issuer = id, issuer
		f, err := Parse(d.file(words(0, 0, 0, 0)), Options{PatientKey: []byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		return f.Patient
	}
	// printf 'P1\0' | openssl dgst -sha256 -hmac key
	const want = "2ba99edf9e530170e7fe3c25ddd711d6d23a25a8afa6aabaf3ed4988d1b0c8e9"
	if got := hash("P1", "", "key"); got != want {
		t.Errorf("the hash is %s, want %s", got, want)
	}
	if hash("", "", "key") != "" {
		t.Error("no ID has a hash")
	}
	all := []string{hash("P1", "", "key"), hash("P2", "", "key"), hash("P1", "X", "key"), hash("P1", "", "other")}
	slices.Sort(all)
	if len(slices.Compact(all)) != 4 {
		t.Errorf("two of four are alike: %v", all)
	}
}

// TestRefused: each by its code, with what to do.
func TestRefused(t *testing.T) {
	four := words(0, 0, 0, 0)
	with := func(change func(*described)) []byte {
		d := grey()
		change(&d)
		return d.file(four)
	}
	rle := described{syntax: "1.2.840.10008.1.2.5", width: 2, height: 2, allocated: 8, stored: 8, photometric: "MONOCHROME2"}
	deep := func(w *writer) {
		for range 100_000 {
			w.head(0x00081140, "SQ", undefined)
			w.head(item, "", undefined)
		}
	}
	for name, c := range map[string]struct {
		b          []byte
		code, says string
	}{
		"nothing":           {nil, "MF-DICOM-FILE", "DICM"},
		"no syntax":         {append(make([]byte, preamble), magic...), "MF-DICOM-FILE", "transfer syntax"},
		"big endian":        {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.2" }), "MF-DICOM-SYNTAX", "dcmconv"},
		"deflated":          {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.1.99" }), "MF-DICOM-SYNTAX", "dcmconv"},
		"lossless JPEG":     {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.4.70" }), "MF-DICOM-SYNTAX", "dcmdjpeg"},
		"JPEG-LS":           {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.4.80" }), "MF-DICOM-SYNTAX", "dcmdjpls"},
		"JPEG 2000":         {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.4.90" }), "MF-DICOM-SYNTAX", "gdcmconv"},
		"HTJ2K":             {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.4.201" }), "MF-DICOM-SYNTAX", "gdcmconv"},
		"a film":            {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.4.100" }), "MF-DICOM-SYNTAX", "gdcmconv"},
		"JPEG of 12 bits":   {with(func(d *described) { d.syntax = "1.2.840.10008.1.2.4.51" }), "MF-DICOM-FILE", "compressed"},
		"burned in":         {with(func(d *described) { d.burned = "YES" }), "MF-DICOM-ANNOTATION", "writing"},
		"palette":           {with(func(d *described) { d.photometric = "PALETTE COLOR" }), "MF-DICOM-PIXELS", "PALETTE"},
		"32 bits":           {with(func(d *described) { d.allocated, d.stored = 32, 32 }), "MF-DICOM-PIXELS", "8 or 16"},
		"bits outside":      {with(func(d *described) { d.high = 20 }), "MF-DICOM-PIXELS", "8 or 16"},
		"no height":         {with(func(d *described) { d.height = 0 }), "MF-DICOM-PIXELS", "2 by 0"},
		"too few pixels":    {with(func(d *described) { d.height = 60000; d.width = 60000 }), "MF-DICOM-PIXELS", "bytes of pixels"},
		"frames":            {with(func(d *described) { d.frames = "x" }), "MF-DICOM-PIXELS", "frames"},
		"second of one":     {with(func(d *described) { d.frames = "2000000000" }), "MF-DICOM-PIXELS", "bytes of pixels"},
		"slope 0":           {with(func(d *described) { d.slope = "0" }), "MF-DICOM-PIXELS", "slope"},
		"slope no number":   {with(func(d *described) { d.slope = "inf" }), "MF-DICOM-PIXELS", "decimal"},
		"nests":             {with(func(d *described) { d.before = deep }), "MF-DICOM-FILE", "deep"},
		"frame by frame":    {with(func(d *described) { d.before = func(w *writer) { w.head(sharedGroups, "SQ", 0) } }), "MF-DICOM-PIXELS", "classic"},
		"segments too many": {rle.file(encapsulated(nil, runLengthFrame([]byte{1, 2, 3, 4}, nil))), "", ""},
		"segments outside":  {rle.file(encapsulated(nil, append([]byte{1, 0, 0, 0, 0xFF, 0xFF}, make([]byte, 60)...))), "", ""},
		"too short a run":   {rle.file(encapsulated(nil, runLengthFrame([]byte{1, 2, 3}))), "", ""},
	} {
		f, err := Parse(c.b, Options{Frame: map[string]int{"second of one": 2}[name]})
		if c.code == "" { // found when the pixels are decoded
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			_, err = f.Pixels(nil)
			c.code, c.says = "MF-DICOM-PIXELS", "run-length"
		}
		wantCode(t, err, c.code, c.says)
	}
	_, err := Parse(grey().file(four), Options{Frame: 2})
	wantCode(t, err, "MF-DICOM-FRAME", "1 to 1")
	_, err = Parse(grey().file(four), Options{Frame: -1})
	wantCode(t, err, "MF-DICOM-FRAME", "1 to 1")
	burned := grey()
	burned.burned = "YES"
	if _, err := Parse(burned.file(four), Options{BurnedIn: true}); err != nil {
		t.Error(err)
	}
	whole := grey().file(four)
	for n := range whole {
		if _, err := Parse(whole[:n], Options{}); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(whole))
		}
	}
}

func FuzzParse(f *testing.F) {
	d := grey()
	d.slope, d.centre, d.wide, d.patient = "2", "1", "2", "P"
	f.Add(d.file(words(0, 0, 0, 0)))
	d.syntax = implicitLittleEndian
	f.Add(d.file(words(0, 0, 0, 0)))
	d.syntax, d.allocated, d.stored = "1.2.840.10008.1.2.5", 8, 8
	f.Add(d.file(encapsulated(nil, runLengthFrame([]byte{1, 2, 3, 4}))))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := Parse(b, Options{})
		if err != nil || frame.JPEG != nil || frame.Bytes > 1<<20 {
			return
		}
		row, err := frame.Pixels(nil)
		if err != nil {
			return
		}
		row(make([]float64, frame.Columns*frame.Samples), 0, frame.Rows-1)
		frame.Window()
	})
}
