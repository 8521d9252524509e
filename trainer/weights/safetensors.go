package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"github.com/medfed/medfed/chaincode/codes"
	"io"
	"math"
	"slices"
	"strconv"
)

// Entry is one tensor in a safetensors header.
type Entry struct {
	Name    string   `json:"-"`
	DType   string   `json:"dtype"` // F32, F16, BF16, F64, I64 and others of the format
	Shape   []int    `json:"shape"`
	Offsets []uint64 `json:"data_offsets"` // begin and end in bytes, from the end of the header
}

// metadataName is the key that safetensors keeps for what is no tensor.
const metadataName = "__metadata__"

// Header reads the header of any safetensors file of size bytes, not of canonical
// ones only: the tensors in the order of their data, and the byte at which the data
// begin. Tensors may stand in any order, be of any type and have metadata beside
// them, which are passed over; they must fill the data without gap or overlap, as
// the format has it. The errors are those of [Parse] and, where the file can't be
// read, MF-WEIGHTS-TRUNCATED.
func Header(r io.ReaderAt, size int64) (entries []Entry, data int64, err error) {
	prefix := make([]byte, min(size, 8))
	if _, err := r.ReadAt(prefix, 0); err != nil {
		return nil, 0, unreadable(err)
	}
	n, err := headerLength(prefix, size)
	if err != nil {
		return nil, 0, err
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, 8); err != nil {
		return nil, 0, unreadable(err)
	}
	if entries, err = parseHeader(header, true); err != nil {
		return nil, 0, err
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return slices.Compare(a.Offsets, b.Offsets) })
	return entries, 8 + n, tile(entries, uint64(size-8-n))
}

func unreadable(err error) error {
	return codes.Wrapf("MF-WEIGHTS-TRUNCATED", "the header cannot be read: %w; fetch the weights again", err)
}

// Parse reads canonical bytes and nothing else: other safetensors files, and
// anything short, long or contradictory, are refused with a coded error. Every
// size is checked against len(b) before memory is taken, so the cost is bounded
// by the input's own length. The result shares no memory with b.
func Parse(b []byte) (*Weights, error) {
	header, data, err := split(b)
	if err != nil {
		return nil, err
	}
	entries, err := parseHeader(header, false)
	if err != nil {
		return nil, err
	}
	w, err := layOut(entries, uint64(len(data)))
	if err != nil {
		return nil, err
	}
	if canonical := appendHeader(nil, w.Tensors); !bytes.Equal(header, canonical) {
		return nil, codes.Errorf("MF-WEIGHTS-NONCANONICAL", "the header is valid but not in canonical form; write it with medfed")
	}
	for i, e := range entries {
		w.Tensors[i].Data = parseFloats(data[e.Offsets[0]:e.Offsets[1]])
	}
	return w, nil
}

// split separates the header from the data.
func split(b []byte) (header, data []byte, err error) {
	n, err := headerLength(b, int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	return b[8 : 8+n], b[8+n:], nil
}

// headerLength is what the first eight of size bytes announce.
func headerLength(b []byte, size int64) (int64, error) {
	if len(b) < 8 {
		return 0, codes.Errorf("MF-WEIGHTS-TRUNCATED", "%d bytes cannot hold the 8-byte header length; fetch the weights again", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader {
		return 0, codes.Errorf("MF-WEIGHTS-HEADER", "a header of %d bytes is announced, above the limit of %d; this is no weights file of medfed", n, maxHeader)
	}
	if n > uint64(size-8) {
		return 0, codes.Errorf("MF-WEIGHTS-TRUNCATED", "a header of %d bytes is announced but %d follow; fetch the weights again", n, size-8)
	}
	return int64(n), nil
}

// parseHeader reads the header's entries in their order, and passes over metadata
// where they may be.
func parseHeader(header []byte, metadata bool) ([]Entry, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, codes.Errorf("MF-WEIGHTS-HEADER", "the header is no JSON object; this is no safetensors file")
	}
	var entries []Entry
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, headerError(err)
		}
		name, _ := t.(string)
		if name == metadataName && metadata {
			metadata = false // once
			var ignored map[string]string
			if err := d.Decode(&ignored); err != nil {
				return nil, headerError(err)
			}
			continue
		}
		if err := checkName(name, seen); err != nil {
			return nil, err
		}
		e := Entry{Name: name}
		if err := d.Decode(&e); err != nil {
			return nil, headerError(err)
		}
		entries = append(entries, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, headerError(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, codes.Errorf("MF-WEIGHTS-HEADER", "more than padding follows the header's object; fetch the weights again")
	}
	return entries, nil
}

func headerError(err error) error {
	return codes.Wrapf("MF-WEIGHTS-HEADER", "the header cannot be read as safetensors JSON: %w; fetch the weights again", err)
}

// layOut checks that the entries fill size bytes of data one after another with
// float32 values, and returns their names and shapes without values.
func layOut(entries []Entry, size uint64) (*Weights, error) {
	w := &Weights{Tensors: make([]Tensor, len(entries))}
	for i, e := range entries {
		if e.DType != "F32" {
			return nil, codes.Errorf("MF-WEIGHTS-DTYPE", "tensor %q is %q; only F32 is taken, convert it first", e.Name, e.DType)
		}
		w.Tensors[i] = Tensor{Name: e.Name, Shape: e.Shape}
	}
	return w, tile(entries, size)
}

// typeSize is the bytes of a value by the format's names of types.
var typeSize = map[string]uint64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}

// tile checks that the entries fill size bytes of data one after another.
func tile(entries []Entry, size uint64) error {
	end := uint64(0)
	for _, e := range entries {
		n, err := elements(e.Name, e.Shape)
		if err != nil {
			return err
		}
		value, ok := typeSize[e.DType]
		if !ok {
			return codes.Errorf("MF-WEIGHTS-DTYPE", "tensor %q is %q, which safetensors does not know; convert it first", e.Name, e.DType)
		}
		if len(e.Offsets) != 2 || e.Offsets[0] != end || e.Offsets[1] < end {
			return codes.Errorf("MF-WEIGHTS-OFFSETS", "tensor %q lies at %v where it has to begin at %d; tensors lie in header order without gap or overlap", e.Name, e.Offsets, end)
		}
		if bytes := value * uint64(n); e.Offsets[1]-end != bytes {
			return codes.Errorf("MF-WEIGHTS-SHAPE", "tensor %q has shape %v, that is %d bytes, but offsets %v; make them agree", e.Name, e.Shape, bytes, e.Offsets)
		}
		end = e.Offsets[1]
		if end > size {
			return codes.Errorf("MF-WEIGHTS-TRUNCATED", "tensor %q ends at byte %d of the data but there are %d; fetch the weights again", e.Name, end, size)
		}
	}
	if end != size {
		return codes.Errorf("MF-WEIGHTS-TRAILING", "%d bytes follow the last tensor; fetch the weights again", size-end)
	}
	return nil
}

// appendPrefix appends the header's length and the header.
func appendPrefix(b []byte, tensors []Tensor) []byte {
	header := appendHeader(nil, tensors)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(header)))
	return append(b, header...)
}

// appendHeader appends the canonical header with its padding. Names need no
// escapes: checkName leaves only characters that stand for themselves in JSON.
func appendHeader(b []byte, tensors []Tensor) []byte {
	start := len(b)
	b = append(b, '{')
	offset := int64(0)
	for i, t := range tensors {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, t.Name...)
		b = append(b, `":{"dtype":"F32","shape":[`...)
		size := int64(4)
		for j, d := range t.Shape {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
			size *= int64(d)
		}
		b = append(b, `],"data_offsets":[`...)
		b = strconv.AppendInt(b, offset, 10)
		b = append(b, ',')
		offset += size
		b = strconv.AppendInt(b, offset, 10)
		b = append(b, `]}`...)
	}
	b = append(b, '}')
	for (len(b)-start)%8 != 0 {
		b = append(b, ' ')
	}
	return b
}

func appendFloats(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func parseFloats(b []byte) []float32 {
	values := make([]float32, len(b)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values
}
