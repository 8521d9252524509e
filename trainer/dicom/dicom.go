// Package dicom reads the pixels of one frame of a DICOM Part 10 file (PS3.10): native
// ones, run-length encoded ones, and the JPEG bytes of those that package image/jpeg
// decodes. A patient's name, number or date never leaves it: only pixels do, what they
// mean, and a keyed hash of the patient's ID.
//
// Whoever names files to this package may mean ill: a length is compared with the file
// before anything rests on it, sequences are passed over without a copy, and a caller
// learns what a frame's pixels take before they are decoded.
//
// Errors begin with a stable code:
//
//	MF-DICOM-FILE        the file is not of DICOM Part 10, or damaged
//	MF-DICOM-SYNTAX      the pixels are compressed in a way that is not read here
//	MF-DICOM-PIXELS      the pixels are of a kind that is not read here, or contradict their description
//	MF-DICOM-FRAME       the file has no such frame
//	MF-DICOM-ANNOTATION  the file says that its pixels show writing, which may name the patient
package dicom

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"math"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// Options say what is read of a file.
type Options struct {
	Frame      int    // of a file of several, from 1; 0 is the first
	BurnedIn   bool   // take a file that says it has burned-in annotations
	PatientKey []byte // of the hash of a patient's ID
}

// Range is the values from Low, which is black, to High, which is white.
type Range struct{ Low, High float64 }

// Frame is one frame of a file, whose pixels are not decoded yet.
type Frame struct {
	Columns, Rows int
	Samples       int    // values of a pixel: 1 for grey, 3 for red, green, blue
	Full          Range  // what rescaling makes of the values that the stored bits can hold
	Inverted      bool   // MONOCHROME1: the lowest value is white
	Patient       string // HMAC-SHA-256 of the patient's ID, in hexadecimal; "" where the file tells none
	JPEG          []byte // the pixels where they are compressed so, for package image/jpeg; else nil
	Bytes         int64  // that Pixels takes beside the file

	elements         elements
	slope, intercept float64
	padding          func(stored int) bool
	allocated        int // bits
	stored           int // bits
	shift            int // of the stored bits
	signed, planar   bool
	ybr              bool
	data             []byte // of the frame: native, or run-length encoded
	encoded          bool
}

// Parse reads the description of a frame. The bytes are kept and must not change.
func Parse(b []byte, o Options) (*Frame, error) {
	r := &reader{b: b}
	syntax, err := r.meta()
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(syntax)
	if err != nil {
		return nil, err
	}
	r.implicit = syntax == implicitLittleEndian
	found, head, err := r.dataset()
	if err != nil {
		return nil, err
	}
	if found.text(burnedInAnnotation) == "YES" && !o.BurnedIn {
		return nil, codes.Errorf("MF-DICOM-ANNOTATION", "the file says that writing is burned into its pixels, which may name the patient; leave it out, or look at it and allow it")
	}
	f := &Frame{elements: found, Patient: found.patient(o.PatientKey)}
	delete(found, patientID)
	delete(found, issuerOfPatientID)
	if err := f.describe(); err != nil {
		return nil, err
	}
	number, frames, err := found.frame(o.Frame)
	if err != nil {
		return nil, err
	}
	if kind == uncompressed {
		return f, f.native(r, head, number)
	}
	if head.length != undefined {
		return nil, codes.Errorf("MF-DICOM-FILE", "the pixels are not compressed, and the transfer syntax says that they are; export the file anew")
	}
	table, fragments, err := r.fragments()
	if err != nil {
		return nil, err
	}
	if f.data, err = frameOf(table, fragments, number, frames); err != nil {
		return nil, err
	}
	if kind == compressedJPEG {
		f.JPEG = f.data
		return f, f.checkJPEG()
	}
	f.encoded, f.Bytes = true, int64(f.size())
	return f, nil
}

// patient is the keyed hash of the patient's ID within its issuer.
func (e elements) patient(key []byte) string {
	id := e.text(patientID)
	if id == "" {
		return ""
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "\x00" + e.text(issuerOfPatientID)))
	return hex.EncodeToString(h.Sum(nil))
}

// frame is the frame that is asked for, from 0, of how many.
func (e elements) frame(asked int) (number, frames int, err error) {
	frames = 1
	if text := e.text(numberOfFrames); text != "" {
		if frames, err = strconv.Atoi(text); err != nil || frames < 1 || frames > math.MaxInt32 {
			return 0, 0, codes.Errorf("MF-DICOM-PIXELS", "the number of frames is not one from 1 on; repair the file")
		}
	}
	number = max(asked, 1) - 1
	if asked < 0 || number >= frames {
		return 0, 0, codes.Errorf("MF-DICOM-FRAME", "the file has no frame %d; name one of 1 to %d", asked, frames)
	}
	return number, frames, nil
}

// describe reads what the pixels mean.
func (f *Frame) describe() error {
	e := f.elements
	f.Columns, f.Rows = e.integer(columns, 0), e.integer(rows, 0)
	f.Samples = e.integer(samplesPerPixel, 1)
	f.allocated, f.stored = e.integer(bitsAllocated, 0), e.integer(bitsStored, 0)
	f.shift = e.integer(highBit, f.stored-1) + 1 - f.stored
	f.signed, f.planar = e.integer(pixelRepresentation, 0) == 1, e.integer(planarConfiguration, 0) == 1
	if f.Columns < 1 || f.Rows < 1 {
		return codes.Errorf("MF-DICOM-PIXELS", "the image has %d by %d pixels; name a file with an image", f.Columns, f.Rows)
	}
	if f.allocated != 8 && f.allocated != 16 || f.stored < 1 || f.shift < 0 || f.stored+f.shift > f.allocated {
		return codes.Errorf("MF-DICOM-PIXELS", "%d bits of %d are stored of a pixel, the highest %d; pixels of 8 or 16 bits are read", f.stored, f.allocated, f.stored+f.shift-1)
	}
	switch p := e.text(photometric); {
	case p == "MONOCHROME2" && f.Samples == 1:
	case p == "MONOCHROME1" && f.Samples == 1:
		f.Inverted = true
	case (p == "RGB" || p == "YBR_FULL" || p == "YBR_FULL_422") && f.Samples == 3 && f.allocated == 8 && f.stored == 8:
		f.ybr = p != "RGB"
	default:
		return codes.Errorf("MF-DICOM-PIXELS", "pixels of the kind %q with %d values of %d bits are not read; have the file converted to RGB or MONOCHROME2, with dcmj2pnm or gdcmimg", p, f.Samples, f.stored)
	}
	return f.scale()
}

// scale reads how stored values become the values of the modality (PS3.3, C.11.1.1.2), and
// which are no pixels (C.7.5.1.1.2).
func (f *Frame) scale() (err error) {
	e := f.elements
	f.slope, f.intercept, f.padding = 1, 0, func(int) bool { return false }
	low, high := 0, 1<<f.stored-1
	if f.signed {
		low, high = -1<<(f.stored-1), 1<<(f.stored-1)-1
	}
	if f.Samples > 1 { // colours are not rescaled
		f.Full = Range{float64(low), float64(high)}
		return nil
	}
	_, table := e[modalityTable]
	_, groups := e[sharedGroups]
	if _, rescaled := e[rescaleSlope]; table || groups && !rescaled {
		return codes.Errorf("MF-DICOM-PIXELS", "a table, or a description of each frame, says what the stored values mean, and neither is read; have the file converted to one of the classic kind, with a rescale slope")
	}
	if f.slope, err = e.decimal(rescaleSlope, 1); err != nil {
		return err
	}
	if f.intercept, err = e.decimal(rescaleIntercept, 0); err != nil {
		return err
	}
	if f.slope == 0 {
		return codes.Errorf("MF-DICOM-PIXELS", "the rescale slope is 0, which makes all pixels one; repair the file")
	}
	a, b := f.rescaled(low), f.rescaled(high)
	f.Full = Range{min(a, b), max(a, b)}
	if value, ok := f.short(paddingValue); ok {
		limit, ranged := f.short(paddingRangeLimit)
		if !ranged {
			limit = value
		}
		least, most := min(value, limit), max(value, limit)
		f.padding = func(stored int) bool { return stored >= least && stored <= most }
	}
	return nil
}

func (f *Frame) rescaled(stored int) float64 { return float64(f.slope*float64(stored)) + f.intercept }

// short is a value of 16 bits of the pixels' own kind, signed or not.
func (f *Frame) short(t tag) (int, bool) {
	v := f.elements.integer(t, -1)
	if v >= 0 && f.signed {
		return int(int16(v)), true
	}
	return v, v >= 0
}

// Window is the first window that the file names, of the values after rescaling: where
// the function LINEAR of PS3.3, C.11.2.1.2.1, or LINEAR_EXACT of C.11.2.1.3.2, reaches
// black and white. It is zero where the file names none. The error is MF-DICOM-PIXELS.
func (f *Frame) Window() (Range, error) {
	if f.Samples > 1 || f.elements.text(windowCentre) == "" || f.elements.text(windowWidth) == "" {
		return Range{}, nil
	}
	centre, err := f.elements.decimal(windowCentre, 0)
	if err != nil {
		return Range{}, err
	}
	width, err := f.elements.decimal(windowWidth, 0)
	if err != nil {
		return Range{}, err
	}
	switch function := f.elements.text(windowFunction); {
	case (function == "" || function == "LINEAR") && width >= 1:
		return Range{centre - 0.5 - (width-1)/2, centre - 0.5 + (width-1)/2}, nil
	case function == "LINEAR_EXACT" && width > 0:
		return Range{centre - width/2, centre + width/2}, nil
	default:
		return Range{}, codes.Errorf("MF-DICOM-PIXELS", "the file's window is %s of width %v, which is not read; name a window instead", function, width)
	}
}

// size is the bytes of a frame that is not compressed.
func (f *Frame) size() int { return f.Columns * f.Rows * f.Samples * f.allocated / 8 }

// native finds the frame's pixels in the file.
func (f *Frame) native(r *reader, head element, number int) error {
	data, err := r.value(head)
	if err != nil {
		return err
	}
	size := int64(f.size())
	if f.elements.text(photometric) == "YBR_FULL_422" || size*int64(number+1) > int64(len(data)) {
		return codes.Errorf("MF-DICOM-PIXELS", "the file has %d bytes of pixels, and %d by %d of them of %s take %d; export it anew", len(data), f.Columns, f.Rows, f.elements.text(photometric), size)
	}
	f.data = data[size*int64(number):][:size]
	return nil
}

// checkJPEG refuses what package image/jpeg does not decode.
func (f *Frame) checkJPEG() error {
	if f.stored != 8 || f.signed {
		return codes.Errorf("MF-DICOM-SYNTAX", "JPEG of %d bits, signed %t, is not read; decompress the file with dcmdjpeg (of dcmtk) or gdcmconv --raw", f.stored, f.signed)
	}
	return nil
}

// Row writes a row's values from a column on: Samples for each pixel, rescaled, and for
// what is no pixel of the image's, not a number.
type Row func(out []float64, column, row int)

// Pixels decodes the frame. decoded is what package image/jpeg makes of f.JPEG, nil
// where that is nil.
func (f *Frame) Pixels(decoded image.Image) (Row, error) {
	if f.JPEG != nil {
		return f.decompressed(decoded)
	}
	at := f.interleaved()
	if f.encoded {
		planes, err := f.runLengths()
		if err != nil {
			return nil, err
		}
		at = f.planes(planes)
	}
	return f.row(at), nil
}

// samples gives the bits of a sample of a pixel.
type samples func(pixel, sample int) int

// row gives the rows of what is stored: grey values rescaled, or red, green and blue.
func (f *Frame) row(at samples) Row {
	if f.Samples == 3 {
		return func(out []float64, column, row int) {
			for i := 0; i < len(out); i += 3 {
				pixel := row*f.Columns + column + i/3
				f.colour(out[i:], at(pixel, 0), at(pixel, 1), at(pixel, 2))
			}
		}
	}
	unused := 64 - f.stored - f.shift
	return func(out []float64, column, row int) {
		for i := range out {
			v := at(row*f.Columns+column+i, 0)
			if f.signed {
				v = v << unused >> (unused + f.shift)
			} else {
				v = int(uint(v) << unused >> (unused + f.shift))
			}
			out[i] = f.rescaled(v)
			if f.padding(v) {
				out[i] = math.NaN()
			}
		}
	}
}

// colour writes a pixel as red, green and blue.
func (f *Frame) colour(out []float64, a, b, c int) {
	red, green, blue := uint8(a), uint8(b), uint8(c)
	if f.ybr {
		red, green, blue = color.YCbCrToRGB(red, green, blue)
	}
	out[0], out[1], out[2] = float64(red), float64(green), float64(blue)
}

// interleaved gives native samples: those of a pixel side by side, or plane by plane.
func (f *Frame) interleaved() samples {
	pixels := f.Columns * f.Rows
	return func(pixel, sample int) int {
		i := pixel*f.Samples + sample
		if f.planar {
			i = sample*pixels + pixel
		}
		if f.allocated == 8 {
			return int(f.data[i])
		}
		return int(f.data[2*i]) | int(f.data[2*i+1])<<8
	}
}

// decompressed is the row of a decoded JPEG image.
func (f *Frame) decompressed(m image.Image) (Row, error) {
	if size := m.Bounds().Size(); size != image.Pt(f.Columns, f.Rows) {
		return nil, codes.Errorf("MF-DICOM-PIXELS", "the file says %d by %d pixels, and the JPEG image in it has %v; export it anew", f.Columns, f.Rows, size)
	}
	switch m := m.(type) {
	case *image.Gray:
		if f.Samples == 1 {
			return f.row(func(pixel, _ int) int { return int(m.Pix[pixel/f.Columns*m.Stride+pixel%f.Columns]) }), nil
		}
	case *image.YCbCr: // the samples are YCbCr whatever the file says, but for RGB
		if f.Samples == 3 {
			f.ybr = f.elements.text(photometric) != "RGB"
			return f.row(func(pixel, sample int) int {
				x, y := pixel%f.Columns, pixel/f.Columns
				switch sample {
				case 0:
					return int(m.Y[m.YOffset(x, y)])
				case 1:
					return int(m.Cb[m.COffset(x, y)])
				}
				return int(m.Cr[m.COffset(x, y)])
			}), nil
		}
	case *image.RGBA:
		if f.Samples == 3 {
			f.ybr = false
			return f.row(func(pixel, sample int) int { return int(m.Pix[pixel/f.Columns*m.Stride+pixel%f.Columns*4+sample]) }), nil
		}
	}
	return nil, codes.Errorf("MF-DICOM-PIXELS", "the file says %d values of a pixel, and the JPEG image in it has others; export it anew", f.Samples)
}

// The transfer syntaxes whose pixels are not compressed.
const (
	explicitLittleEndian = "1.2.840.10008.1.2.1"
	implicitLittleEndian = "1.2.840.10008.1.2"
)

// The ways pixels lie in a file.
const (
	uncompressed = iota
	compressedJPEG
	runLength
)

// kindOf knows the transfer syntaxes (PS3.6, A.1) that are read, and for the others who
// converts them.
func kindOf(syntax string) (int, error) {
	const family = "1.2.840.10008.1.2.4."
	number, compressed := strings.CutPrefix(syntax, family)
	switch {
	case syntax == explicitLittleEndian || syntax == implicitLittleEndian:
		return uncompressed, nil
	case syntax == "1.2.840.10008.1.2.5":
		return runLength, nil
	case number == "50" || number == "51":
		return compressedJPEG, nil
	case syntax == "1.2.840.10008.1.2.2" || syntax == "1.2.840.10008.1.2.1.99":
		return 0, unread(syntax, "convert the file with dcmconv +te (of dcmtk)")
	case compressed && number < "80" && len(number) == 2:
		return 0, unread(syntax, "decompress the file with dcmdjpeg (of dcmtk) or gdcmconv --raw")
	case compressed && (number == "80" || number == "81"):
		return 0, unread(syntax, "decompress the file with dcmdjpls (of dcmtk) or gdcmconv --raw")
	}
	return 0, unread(syntax, "decompress the file with gdcmconv --raw")
}

func unread(syntax, instead string) error {
	return codes.Errorf("MF-DICOM-SYNTAX", "the transfer syntax %s is not read; %s", syntax, instead)
}
