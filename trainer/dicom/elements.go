package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// tag is the group and the number of a data element (PS3.5, 7.1).
type tag uint32

func (t tag) String() string { return fmt.Sprintf("(%04X,%04X)", uint32(t)>>16, uint32(t)&0xFFFF) }

// The elements that are read; all others are passed over unseen.
const (
	transferSyntax      tag = 0x00020010
	patientID           tag = 0x00100020
	issuerOfPatientID   tag = 0x00100021
	samplesPerPixel     tag = 0x00280002
	photometric         tag = 0x00280004
	planarConfiguration tag = 0x00280006
	numberOfFrames      tag = 0x00280008
	rows                tag = 0x00280010
	columns             tag = 0x00280011
	bitsAllocated       tag = 0x00280100
	bitsStored          tag = 0x00280101
	highBit             tag = 0x00280102
	pixelRepresentation tag = 0x00280103
	paddingValue        tag = 0x00280120
	paddingRangeLimit   tag = 0x00280121
	burnedInAnnotation  tag = 0x00280301
	windowCentre        tag = 0x00281050
	windowWidth         tag = 0x00281051
	rescaleIntercept    tag = 0x00281052
	rescaleSlope        tag = 0x00281053
	windowFunction      tag = 0x00281056
	modalityTable       tag = 0x00283000
	sharedGroups        tag = 0x52009229
	pixelData           tag = 0x7FE00010
	item                tag = 0xFFFEE000
	endOfItem           tag = 0xFFFEE00D
	endOfSequence       tag = 0xFFFEE0DD
)

const (
	preamble  = 128 // bytes, and then
	magic     = "DICM"
	metaGroup = 0x0002
	undefined = 0xFFFFFFFF // length
	maxDepth  = 32         // of sequences in sequences
)

// elements are the values of a file by their tags, as bytes of the file.
type elements map[tag][]byte

// text is a value without what it is padded with.
func (e elements) text(t tag) string { return strings.Trim(string(e[t]), " \x00") }

// integer is an unsigned short value, or otherwise where there is none.
func (e elements) integer(t tag, otherwise int) int {
	if len(e[t]) < 2 {
		return otherwise
	}
	return int(binary.LittleEndian.Uint16(e[t]))
}

// decimal is the first of the decimal strings of a value, or otherwise where there is
// none.
func (e elements) decimal(t tag, otherwise float64) (float64, error) {
	first, _, _ := strings.Cut(e.text(t), `\`)
	if first = strings.TrimSpace(first); first == "" {
		return otherwise, nil
	}
	v, err := strconv.ParseFloat(first, 64)
	if err != nil || v-v != 0 { // infinite or no number
		return 0, codes.Errorf("MF-DICOM-PIXELS", "the element %v is no decimal number; repair the file", t)
	}
	return v, nil
}

// reader goes through a file. Lengths are looked at before anything rests on them, and
// nothing is copied.
type reader struct {
	b        []byte
	implicit bool // elements do not name their value representations
}

// element is a data element's head. Its value begins at the reader's bytes.
type element struct {
	tag    tag
	vr     string // "" where it is implicit
	length uint32
}

func truncated(t tag) error {
	return codes.Errorf("MF-DICOM-FILE", "the file ends within the element %v; export it anew", t)
}

// head reads a data element's tag, value representation and length (PS3.5, 7.1).
func (r *reader) head() (element, error) {
	const short, long = 8, 12
	if len(r.b) < short {
		return element{}, codes.Errorf("MF-DICOM-FILE", "the file ends before its pixels; export it anew")
	}
	e := element{tag: tag(binary.LittleEndian.Uint16(r.b))<<16 | tag(binary.LittleEndian.Uint16(r.b[2:]))}
	if r.implicit || e.tag == item || e.tag == endOfItem || e.tag == endOfSequence {
		e.length = binary.LittleEndian.Uint32(r.b[4:])
		r.b = r.b[short:]
		return e, nil
	}
	e.vr = string(r.b[4:6])
	switch e.vr {
	case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
		if len(r.b) < long {
			return element{}, truncated(e.tag)
		}
		e.length = binary.LittleEndian.Uint32(r.b[8:])
		r.b = r.b[long:]
	default:
		e.length = uint32(binary.LittleEndian.Uint16(r.b[6:]))
		r.b = r.b[short:]
	}
	return e, nil
}

// value takes a value of a length that is known.
func (r *reader) value(e element) ([]byte, error) {
	if int64(e.length) > int64(len(r.b)) {
		return nil, truncated(e.tag)
	}
	value := r.b[:e.length]
	r.b = r.b[e.length:]
	return value, nil
}

// skip passes over a value, of a length known or not (PS3.5, 7.5).
func (r *reader) skip(e element, depth int) error {
	if e.length != undefined {
		_, err := r.value(e)
		return err
	}
	if depth == maxDepth {
		return codes.Errorf("MF-DICOM-FILE", "sequences lie in one another more than %d deep; export the file anew", maxDepth)
	}
	end := endOfSequence
	if e.tag == item {
		end = endOfItem
	}
	implicit := r.implicit
	if e.vr == "UN" {
		r.implicit = true // PS3.5, 6.2.2, note 2
	}
	for {
		inner, err := r.head()
		if err != nil {
			return err
		}
		if inner.tag == end {
			r.implicit = implicit
			return nil
		}
		if err := r.skip(inner, depth+1); err != nil {
			return err
		}
	}
}

// Start is how many bytes of a file Is looks at.
const Start = preamble + len(magic)

// Is reports whether a file is one of DICOM Part 10 (PS3.10, 7.1).
func Is(b []byte) bool {
	return len(b) >= Start && string(b[preamble:Start]) == magic
}

// meta reads the file's meta information, which is little-endian with explicit value
// representations, and gives the transfer syntax.
func (r *reader) meta() (string, error) {
	if !Is(r.b) {
		return "", codes.Errorf("MF-DICOM-FILE", "it is no DICOM file of Part 10: the mark %s is missing; export it as one", magic)
	}
	r.b = r.b[Start:]
	syntax := ""
	for len(r.b) >= 2 && binary.LittleEndian.Uint16(r.b) == metaGroup {
		e, err := r.head()
		if err != nil {
			return "", err
		}
		value, err := r.value(e)
		if err != nil {
			return "", err
		}
		if e.tag == transferSyntax {
			syntax = strings.Trim(string(value), " \x00")
		}
	}
	if syntax == "" {
		return "", codes.Errorf("MF-DICOM-FILE", "the file does not name its transfer syntax; export it anew")
	}
	return syntax, nil
}

// dataset reads the elements down to the pixels, and leaves the reader at these.
func (r *reader) dataset() (elements, element, error) {
	found := elements{}
	for {
		e, err := r.head()
		if err != nil || e.tag == pixelData {
			return found, e, err
		}
		if e.length == undefined || !wanted(e.tag) {
			if wanted(e.tag) {
				found[e.tag] = nil // that it is there is all that is asked of a sequence
			}
			if err := r.skip(e, 0); err != nil {
				return nil, e, err
			}
			continue
		}
		if found[e.tag], err = r.value(e); err != nil {
			return nil, e, err
		}
	}
}

// wanted reports whether anything is read of an element.
func wanted(t tag) bool {
	const image = 0x0028 // the group
	return t>>16 == image || t == patientID || t == issuerOfPatientID || t == sharedGroups
}

// fragments are the items of encapsulated pixels (PS3.5, A.4): the table of offsets,
// which may be empty, and what follows it.
func (r *reader) fragments() (table []byte, all [][]byte, err error) {
	for {
		e, err := r.head()
		if err != nil {
			return nil, nil, err
		}
		if e.tag == endOfSequence && len(all) > 0 {
			return all[0], all[1:], nil
		}
		if e.tag != item || e.length == undefined {
			return nil, nil, codes.Errorf("MF-DICOM-FILE", "the compressed pixels are not in items; export the file anew")
		}
		fragment, err := r.value(e)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, fragment)
	}
}

// frameOf joins the fragments of frame i, from 0, of n: those between its offset and the
// next where there is a table, all of them where there is one frame, or else its own.
func frameOf(table []byte, fragments [][]byte, i, n int) ([]byte, error) {
	switch {
	case n == 1:
		return bytes.Join(fragments, nil), nil
	case len(table) == 4*n:
		const head = 8 // of an item, which offsets count
		first, last := binary.LittleEndian.Uint32(table[4*i:]), uint32(undefined)
		if i < n-1 {
			last = binary.LittleEndian.Uint32(table[4*i+4:])
		}
		var own [][]byte
		at := uint32(0)
		for _, f := range fragments {
			if at >= first && at < last {
				own = append(own, f)
			}
			at += head + uint32(len(f))
		}
		return bytes.Join(own, nil), nil
	case len(fragments) == n:
		return fragments[i], nil
	}
	return nil, codes.Errorf("MF-DICOM-FILE", "nothing says which of %d compressed pieces belong to which of %d frames; decompress the file with gdcmconv --raw", len(fragments), n)
}
