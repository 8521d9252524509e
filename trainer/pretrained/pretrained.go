// Package pretrained reads weights that others have trained: safetensors files of
// any order, type and metadata, and what PyTorch's torch.save writes of a state
// dict, as a zip archive (.pt, .pth) or in the format from before version 1.6,
// which many of torchvision's files have. [Load] takes from a file, by name, what a
// model wants.
//
// A PyTorch file holds a pickle, which is a program. Here it is not run: of its
// instructions those are known that a state dict needs, of its objects those that
// make up tensors, and everything else is refused by name. The work is bounded by
// the file's own length. The reader of github.com/nlpodyssey/gopickle is not used
// because it takes memory on a file's word and panics on damaged ones.
//
// Errors begin with a stable code:
//
//	MF-PRETRAINED-FILE   the file can't be opened or read
//	MF-PRETRAINED-FORMAT it is damaged, or neither safetensors nor a PyTorch state dict
//	MF-PRETRAINED-OBJECT its pickle makes more than a state dict
//	MF-PRETRAINED-TYPE   a tensor is not of floating point numbers
//	MF-PRETRAINED-FINITE a tensor holds NaN, an infinity, or more than float32 can
//
// and those of package weights for a safetensors header, and of package model for
// tensors that are missing or misshapen.
package pretrained

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/weights"
)

// Tensor describes a tensor of a file.
type Tensor struct {
	Name  string
	Type  string // F16, BF16, F32 and F64 can be read; others are named as safetensors does
	Shape []int
}

// File is a weight file, open for reading.
type File struct {
	tensors []tensor
	closer  io.Closer
}

// tensor is a Tensor with the place of its numbers.
type tensor struct {
	Tensor
	storage storage
	offset  int   // of the first number in the storage
	stride  []int // numbers from one index to the next, of each dimension
}

// storage is a run of numbers of one type in the file.
type storage struct {
	values int
	number number
	open   func() (io.ReadCloser, error)
}

// Open reads the list of a file's tensors; their numbers are read by [File.Read].
// Close it.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, codes.Wrapf("MF-PRETRAINED-FILE", "the weights can't be opened: %w; check the path and its permissions", err)
	}
	info, err := f.Stat()
	var tensors []tensor
	if err == nil {
		tensors, err = listTensors(f, info.Size())
	} else {
		err = codes.Wrapf("MF-PRETRAINED-FILE", "the weights can't be read: %w; check the disk", err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{tensors, f}, nil
}

// The first bytes of the formats.
var (
	zipMagic    = []byte("PK\x03\x04")
	pickleMagic = []byte{opProto}
)

// listTensors finds out the format of a file by its first bytes, and reads its list.
func listTensors(r io.ReaderAt, size int64) ([]tensor, error) {
	head := make([]byte, 9)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, codes.Wrapf("MF-PRETRAINED-FILE", "the weights can't be read: %w; check the disk", err)
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, zipMagic):
		return listZip(r, size)
	case bytes.HasPrefix(head, pickleMagic) && !(n == 9 && head[8] == '{'):
		return listLegacy(r, size)
	case n == 9 && head[8] == '{':
		return listSafetensors(r, size)
	}
	return nil, malformed("it begins like neither a safetensors file nor one of torch.save")
}

func malformed(format string, args ...any) error {
	return codes.Errorf("MF-PRETRAINED-FORMAT", "the file can't be taken: %s; use a safetensors file, or what torch.save(model.state_dict(), …) writes", fmt.Sprintf(format, args...))
}

// listSafetensors lists the tensors of a safetensors file.
func listSafetensors(r io.ReaderAt, size int64) ([]tensor, error) {
	entries, data, err := weights.Header(r, size)
	if err != nil {
		return nil, err
	}
	tensors := make([]tensor, len(entries))
	for i, e := range entries {
		begin, length := data+int64(e.Offsets[0]), int64(e.Offsets[1]-e.Offsets[0])
		tensors[i] = tensor{
			Tensor: Tensor{Name: e.Name, Type: e.DType, Shape: e.Shape},
			storage: storage{
				values: product(e.Shape), number: numbers[e.DType],
				open: func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, begin, length)), nil },
			},
			stride: contiguous(e.Shape),
		}
	}
	return tensors, nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// contiguous are the strides of a shape in C order.
func contiguous(shape []int) []int {
	strides, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

// Close closes the file.
func (f *File) Close() error { return f.closer.Close() }

// Tensors lists the file's tensors in its order.
func (f *File) Tensors() []Tensor {
	all := make([]Tensor, len(f.tensors))
	for i, t := range f.tensors {
		all[i] = t.Tensor
	}
	return all
}

// Read reads the numbers of the tensor of that name in C order, as float32. It
// panics when the file has no such tensor.
func (f *File) Read(name string) ([]float32, error) {
	i := slices.IndexFunc(f.tensors, func(t tensor) bool { return t.Name == name })
	t := f.tensors[i]
	if t.storage.number.value == nil {
		return nil, codes.Errorf("MF-PRETRAINED-TYPE", "tensor %q is of %s; F16, BF16, F32 and F64 are taken, so convert it first", name, t.Type)
	}
	values, err := t.read()
	if err != nil {
		return nil, codes.Wrapf("MF-PRETRAINED-FILE", "tensor %q can't be read: %w; fetch the file again", name, err)
	}
	for _, v := range values {
		if v-v != 0 { // NaN for infinities and NaN
			return nil, codes.Errorf("MF-PRETRAINED-FINITE", "tensor %q holds %v as float32; use weights whose training has not diverged", name, v)
		}
	}
	return values, nil
}

// read reads the numbers that the tensor spans, and puts them in C order.
func (t tensor) read() ([]float32, error) {
	span := 1
	for i, d := range t.Shape {
		span += (d - 1) * t.stride[i]
	}
	values, err := t.storage.read(t.offset, span)
	if err != nil || slices.Equal(t.stride, contiguous(t.Shape)) {
		return values, err
	}
	out := make([]float32, 0, product(t.Shape))
	return gather(out, values, t.Shape, t.stride), nil
}

// gather appends the numbers of a strided tensor in C order.
func gather(out, values []float32, shape, stride []int) []float32 {
	if len(shape) == 0 {
		return append(out, values[0])
	}
	for i := range shape[0] {
		out = gather(out, values[i*stride[0]:], shape[1:], stride[1:])
	}
	return out
}

// read reads count numbers from the one at offset on. It goes to the storage's end
// so that a zip archive's checksum is compared.
func (s storage) read(offset, count int) (values []float32, err error) {
	r, err := s.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size := s.number.size
	buffered := bufio.NewReaderSize(r, 1<<16)
	if _, err := io.CopyN(io.Discard, buffered, int64(offset*size)); err != nil {
		return nil, err
	}
	values = make([]float32, count)
	chunk := make([]byte, 4096*size)
	for first := 0; first < count; first += 4096 {
		n := min(4096, count-first)
		if _, err := io.ReadFull(buffered, chunk[:n*size]); err != nil {
			return nil, err
		}
		for i := range n {
			values[first+i] = s.number.value(chunk[i*size:])
		}
	}
	_, err = io.Copy(io.Discard, buffered)
	return values, err
}
