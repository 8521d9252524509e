// Package weights is a model's parameters as ordered, named float32 tensors,
// and their one canonical serialisation, whose SHA-256 the ledger names and the
// masters attest.
//
// The serialisation is a valid safetensors file
// (https://github.com/huggingface/safetensors, "Format"): eight bytes of header
// length, little-endian; a JSON header; the tensors' float32 values,
// little-endian, C order, contiguous. Where that format leaves a choice there is
// one answer: tensors stand in the header and in the data in the order of
// [Weights.Tensors]; a header entry's fields are dtype, shape, data_offsets; no
// white space but the trailing spaces that bring the header to a multiple of
// eight bytes; no __metadata__. Equal weights have equal bytes, and
// Parse(b).Bytes() is b for every b that [Parse] takes.
//
// Errors begin with a stable code:
//
//	MF-WEIGHTS-TRUNCATED     the bytes end before the header or the data does
//	MF-WEIGHTS-TRAILING      bytes follow the last tensor
//	MF-WEIGHTS-HEADER        the header is no safetensors header, or too long
//	MF-WEIGHTS-NAME          a tensor's name is empty, too long or has other characters
//	MF-WEIGHTS-DUPLICATE     two tensors have one name
//	MF-WEIGHTS-DTYPE         a tensor is not F32, or of a type that safetensors does not know
//	MF-WEIGHTS-SHAPE         a dimension is not positive, or sizes do not agree
//	MF-WEIGHTS-OFFSETS       tensors overlap, leave a gap or are out of order
//	MF-WEIGHTS-NONCANONICAL  valid safetensors, but not the canonical bytes
//	MF-WEIGHTS-INCOMPATIBLE  two sets of weights differ in names or shapes
package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"github.com/medfed/medfed/chaincode/codes"
	"io"
	"slices"
)

// Limits of what can be serialised. They bound the work a stranger's bytes can
// cause and are far above any model of this repository.
const (
	maxHeader   = 16 << 20 // bytes of JSON, padding included
	maxName     = 256      // bytes of a tensor's name
	maxRank     = 8        // dimensions of a tensor
	maxElements = 1 << 28  // values in a tensor: 1 GiB
)

// Tensor is one named array of float32 values in C order (last index fastest).
// Layouts are PyTorch's: a convolution's weight is output channels, input
// channels, height, width; a linear layer's is outputs, inputs.
type Tensor struct {
	Name  string    // as in a PyTorch state dict, for instance features.0.weight
	Shape []int     // empty for a scalar
	Data  []float32 // the product of Shape values
}

// Weights is a model's parameters and running statistics. The order of Tensors
// is fixed by the architecture and part of the identity: other order, other
// digest.
type Weights struct {
	Tensors []Tensor
}

// Validate reports whether w can be serialised: names of 1 to 256 characters of
// A-Z a-z 0-9 . _ - / that occur once, positive dimensions, and as many values
// as the shape says. The errors are MF-WEIGHTS-NAME, MF-WEIGHTS-DUPLICATE,
// MF-WEIGHTS-SHAPE and MF-WEIGHTS-HEADER.
func (w *Weights) Validate() error {
	seen := make(map[string]bool, len(w.Tensors))
	for _, t := range w.Tensors {
		if err := checkName(t.Name, seen); err != nil {
			return err
		}
		n, err := elements(t.Name, t.Shape)
		if err != nil {
			return err
		}
		if n != len(t.Data) {
			return codes.Errorf("MF-WEIGHTS-SHAPE", "tensor %q has shape %v, that is %d values, but holds %d; make shape and values agree", t.Name, t.Shape, n, len(t.Data))
		}
	}
	if n := len(appendHeader(nil, w.Tensors)); n > maxHeader {
		return codes.Errorf("MF-WEIGHTS-HEADER", "the header of %d tensors would be %d bytes, above the limit of %d; use fewer or shorter-named tensors", len(w.Tensors), n, maxHeader)
	}
	return nil
}

// Size is the length of the canonical bytes.
func (w *Weights) Size() int64 {
	n := int64(8 + len(appendHeader(nil, w.Tensors)))
	for _, t := range w.Tensors {
		n += 4 * int64(len(t.Data))
	}
	return n
}

// Bytes is the canonical serialisation. NaN payloads, infinities and negative
// zero keep their bits. It panics when [Weights.Validate] has an error, which is
// a fault of the program: what [Parse] returns and the models build is valid.
func (w *Weights) Bytes() []byte {
	w.mustBeValid()
	b := make([]byte, 0, w.Size())
	b = appendPrefix(b, w.Tensors)
	for _, t := range w.Tensors {
		b = appendFloats(b, t.Data)
	}
	return b
}

// WriteTo writes the canonical serialisation without holding it in memory. It
// panics where [Weights.Bytes] does.
func (w *Weights) WriteTo(out io.Writer) (int64, error) {
	w.mustBeValid()
	n, err := out.Write(appendPrefix(nil, w.Tensors))
	if err != nil {
		return int64(n), err
	}
	values, err := w.writeValues(out)
	return int64(n) + values, err
}

// writeValues writes the tensors' values, one after another, a few at a time.
func (w *Weights) writeValues(out io.Writer) (total int64, err error) {
	const chunk = 16 << 10 // values a write
	buffer := make([]byte, 0, 4*chunk)
	for _, t := range w.Tensors {
		for values := range slices.Chunk(t.Data, chunk) {
			n, err := out.Write(appendFloats(buffer[:0], values))
			if total += int64(n); err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// Digest is the SHA-256 of the canonical bytes as 64 lower-case hexadecimal
// digits: the name of these weights on the ledger.
func (w *Weights) Digest() string {
	h := sha256.New()
	if _, err := w.WriteTo(h); err != nil {
		panic(err) // a hash never fails to be written to
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Clone is a copy that shares no memory with w.
func (w *Weights) Clone() *Weights {
	c := &Weights{Tensors: make([]Tensor, len(w.Tensors))}
	for i, t := range w.Tensors {
		c.Tensors[i] = Tensor{Name: t.Name, Shape: slices.Clone(t.Shape), Data: slices.Clone(t.Data)}
	}
	return c
}

// Find is the tensor of that name, or nil. The tensor shares memory with w.
func (w *Weights) Find(name string) *Tensor {
	for i := range w.Tensors {
		if w.Tensors[i].Name == name {
			return &w.Tensors[i]
		}
	}
	return nil
}

// Finite reports whether no value of w is NaN or an infinity; where one is, it names
// the first tensor that holds one.
func (w *Weights) Finite() (tensor string, ok bool) {
	for _, t := range w.Tensors {
		for _, v := range t.Data {
			if v-v != 0 { // NaN for infinities and NaN
				return t.Name, false
			}
		}
	}
	return "", true
}

// Compatible reports whether a and b hold the same tensor names and shapes in
// the same order, so that one can stand in the other's place or be averaged with
// it. The error MF-WEIGHTS-INCOMPATIBLE names the first difference.
func Compatible(a, b *Weights) error {
	if len(a.Tensors) != len(b.Tensors) {
		return codes.Errorf("MF-WEIGHTS-INCOMPATIBLE", "%d tensors against %d; use weights of one architecture", len(a.Tensors), len(b.Tensors))
	}
	for i := range a.Tensors {
		s, t := &a.Tensors[i], &b.Tensors[i]
		if s.Name != t.Name {
			return codes.Errorf("MF-WEIGHTS-INCOMPATIBLE", "tensor %d is %q against %q; use weights of one architecture", i, s.Name, t.Name)
		}
		if !slices.Equal(s.Shape, t.Shape) {
			return codes.Errorf("MF-WEIGHTS-INCOMPATIBLE", "tensor %q has shape %v against %v; use weights of one architecture", s.Name, s.Shape, t.Shape)
		}
	}
	return nil
}

func (w *Weights) mustBeValid() {
	if err := w.Validate(); err != nil {
		panic(err)
	}
}

// CheckName reports whether a tensor can have this name; the error is
// MF-WEIGHTS-NAME.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > maxName {
		return codes.Errorf("MF-WEIGHTS-NAME", "a tensor's name has %d bytes; names have 1 to %d", len(name), maxName)
	}
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' && c != '/' {
			return codes.Errorf("MF-WEIGHTS-NAME", "tensor name %q has a character other than A-Z a-z 0-9 . _ - /; rename it", name)
		}
	}
	if name == metadataName {
		return codes.Errorf("MF-WEIGHTS-NAME", "__metadata__ is reserved by safetensors and has no place in canonical weights; give them without it")
	}
	return nil
}

// checkName is CheckName, and refuses names that have been seen.
func checkName(name string, seen map[string]bool) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if seen[name] {
		return codes.Errorf("MF-WEIGHTS-DUPLICATE", "tensor %q occurs twice; give every tensor a name of its own", name)
	}
	seen[name] = true
	return nil
}

// elements is how many values a shape holds; the error is MF-WEIGHTS-SHAPE.
func elements(name string, shape []int) (int, error) {
	if len(shape) > maxRank {
		return 0, codes.Errorf("MF-WEIGHTS-SHAPE", "tensor %q has %d dimensions; the limit is %d", name, len(shape), maxRank)
	}
	n := 1
	for _, d := range shape {
		if d < 1 {
			return 0, codes.Errorf("MF-WEIGHTS-SHAPE", "tensor %q has shape %v; every dimension is at least 1", name, shape)
		}
		if d > maxElements/n {
			return 0, codes.Errorf("MF-WEIGHTS-SHAPE", "tensor %q has shape %v, more than %d values; split it", name, shape, maxElements)
		}
		n *= d
	}
	return n, nil
}
