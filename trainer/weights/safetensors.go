package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// entry is one tensor in a safetensors header.
type entry struct {
	Name    string   `json:"-"`
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets []uint64 `json:"data_offsets"` // begin and end in bytes, from the end of the header
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
	entries, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	w, err := layOut(entries, uint64(len(data)))
	if err != nil {
		return nil, err
	}
	if canonical := appendHeader(nil, w.Tensors); !bytes.Equal(header, canonical) {
		return nil, fmt.Errorf("MF-WEIGHTS-NONCANONICAL: the header is valid but not in canonical form; write it with medfed")
	}
	for i, e := range entries {
		w.Tensors[i].Data = parseFloats(data[e.Offsets[0]:e.Offsets[1]])
	}
	return w, nil
}

// split separates the header from the data.
func split(b []byte) (header, data []byte, err error) {
	if len(b) < 8 {
		return nil, nil, fmt.Errorf("MF-WEIGHTS-TRUNCATED: %d bytes cannot hold the 8-byte header length; fetch the weights again", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader {
		return nil, nil, fmt.Errorf("MF-WEIGHTS-HEADER: a header of %d bytes is announced, above the limit of %d; this is no weights file of medfed", n, maxHeader)
	}
	if n > uint64(len(b)-8) {
		return nil, nil, fmt.Errorf("MF-WEIGHTS-TRUNCATED: a header of %d bytes is announced but %d follow; fetch the weights again", n, len(b)-8)
	}
	return b[8 : 8+n], b[8+n:], nil
}

// parseHeader reads the header's entries in their order.
func parseHeader(header []byte) ([]entry, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("MF-WEIGHTS-HEADER: the header is no JSON object; this is no safetensors file")
	}
	var entries []entry
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, headerError(err)
		}
		name, _ := t.(string)
		if err := checkName(name, seen); err != nil {
			return nil, err
		}
		e := entry{Name: name}
		if err := d.Decode(&e); err != nil {
			return nil, headerError(err)
		}
		entries = append(entries, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, headerError(err)
	}
	return entries, nil
}

func headerError(err error) error {
	return fmt.Errorf("MF-WEIGHTS-HEADER: the header cannot be read as safetensors JSON: %w; fetch the weights again", err)
}

// layOut checks that the entries fill size bytes of data one after another, and
// returns their names and shapes without values.
func layOut(entries []entry, size uint64) (*Weights, error) {
	w := &Weights{Tensors: make([]Tensor, len(entries))}
	end := uint64(0)
	for i, e := range entries {
		if e.DType != "F32" {
			return nil, fmt.Errorf("MF-WEIGHTS-DTYPE: tensor %q is %q; only F32 is taken, convert it first", e.Name, e.DType)
		}
		n, err := elements(e.Name, e.Shape)
		if err != nil {
			return nil, err
		}
		if len(e.Offsets) != 2 || e.Offsets[0] != end || e.Offsets[1] < end {
			return nil, fmt.Errorf("MF-WEIGHTS-OFFSETS: tensor %q lies at %v where it has to begin at %d; tensors lie in header order without gap or overlap", e.Name, e.Offsets, end)
		}
		if e.Offsets[1]-end != 4*uint64(n) {
			return nil, fmt.Errorf("MF-WEIGHTS-SHAPE: tensor %q has shape %v, that is %d bytes, but offsets %v; make them agree", e.Name, e.Shape, 4*uint64(n), e.Offsets)
		}
		end = e.Offsets[1]
		if end > size {
			return nil, fmt.Errorf("MF-WEIGHTS-TRUNCATED: tensor %q ends at byte %d of the data but there are %d; fetch the weights again", e.Name, end, size)
		}
		w.Tensors[i] = Tensor{Name: e.Name, Shape: e.Shape}
	}
	if end != size {
		return nil, fmt.Errorf("MF-WEIGHTS-TRAILING: %d bytes follow the last tensor; fetch the weights again", size-end)
	}
	return w, nil
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
