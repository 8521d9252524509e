package dataset

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/sbinet/npyio/npy"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset/source"
)

// read parses a verified MedMNIST file.
func read(ctx context.Context, info Info, in Input, file *source.File) (*Data, error) {
	data, err := parseNPZ(ctx, info, in, file, file.Size)
	if err != nil {
		return nil, codes.Wrapf("MF-DATA-CORRUPT", "%s is not a readable MedMNIST file: %w; it is not the data set: move it away and fetch %s, or name the folder that has the official file", file.Name(), err, info.URL)
	}
	data.SHA256 = file.SHA256
	return data, nil
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// parseNPZ reads the six arrays of a MedMNIST file: {train,val,test}_images,
// bytes of shape (N,28,28) or (N,28,28,3), and {train,val,test}_labels, bytes of
// shape (N,1), with the sizes that info says.
func parseNPZ(ctx context.Context, info Info, in Input, r io.ReaderAt, size int64) (*Data, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	data := &Data{Name: info.Name, Channels: info.Channels, Size: info.Size, Classes: slices.Clone(info.Classes)}
	for _, part := range []struct {
		name  string
		n     int
		split *Split
	}{
		{"train", info.Train, &data.Train},
		{"val", info.Validation, &data.Validation},
		{"test", info.Test, &data.Test},
	} {
		shape := []int{part.n, info.Size, info.Size}
		if info.Channels > 1 {
			shape = append(shape, info.Channels)
		}
		images, err := readBytes(ctx, archive, part.name+"_images.npy", shape)
		if err != nil {
			return nil, err
		}
		labels, err := readBytes(ctx, archive, part.name+"_labels.npy", []int{part.n, 1})
		if err != nil {
			return nil, err
		}
		*part.split = Split{Values: in.numbered(images, info.Channels), Labels: make([]int, part.n)}
		for i, label := range labels {
			if int(label) >= len(info.Classes) {
				return nil, fmt.Errorf("%s_labels: label %d of image %d is not below %d", part.name, label, i, len(info.Classes))
			}
			part.split.Labels[i] = int(label)
		}
	}
	return data, nil
}

// readBytes reads the one member of a name that must be an array of bytes of that shape, in C
// order, no longer and no shorter. Memory is taken only for that shape.
func readBytes(ctx context.Context, archive *zip.Reader, member string, shape []int) ([]byte, error) {
	file, err := only(archive, member)
	if err != nil {
		return nil, err
	}
	rc, err := file.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", member, err)
	}
	defer rc.Close()
	r := bufio.NewReaderSize(contextReader{ctx, rc}, 1<<16)
	header, err := readHeader(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", member, err)
	}
	if d := header.Descr; d.Type != "|u1" || d.Fortran || !slices.Equal(d.Shape, shape) {
		return nil, fmt.Errorf("%s: type %q, Fortran order %v, shape %v where |u1, false, %v belongs", member, d.Type, d.Fortran, d.Shape, shape)
	}
	n := 1
	for _, d := range shape {
		n *= d
	}
	values := make([]byte, n)
	if _, err := io.ReadFull(r, values); err != nil {
		return nil, fmt.Errorf("%s: %w", member, err)
	}
	// The read to the end also makes the zip reader compare its checksum.
	switch extra, err := io.Copy(io.Discard, io.LimitReader(r, 1)); {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", member, err)
	case extra > 0:
		return nil, fmt.Errorf("%s: it does not end after %d values", member, n)
	}
	return values, nil
}

// only is the member of that name. Two are refused: readers differ in which they take.
func only(archive *zip.Reader, member string) (*zip.File, error) {
	var found *zip.File
	for _, f := range archive.File {
		switch {
		case f.Name == member && found != nil:
			return nil, fmt.Errorf("%s is there twice", member)
		case f.Name == member:
			found = f
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s is missing", member)
	}
	return found, nil
}

// readHeader reads an array's header and nothing beyond it. npyio trusts the
// header's length and form, so the length is looked at first and a panic at a
// malformed dictionary becomes an error.
func readHeader(r *bufio.Reader) (header npy.Header, err error) {
	start, err := r.Peek(12)
	if err != nil {
		return header, fmt.Errorf("no array header: %w", err)
	}
	if start[6] != 1 && binary.LittleEndian.Uint32(start[8:]) > 1<<16 {
		return header, fmt.Errorf("an array header longer than %d bytes", 1<<16)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a malformed array header: %v", p)
		}
	}()
	reader, err := npy.NewReader(r)
	if err != nil {
		return header, err
	}
	return reader.Header, nil
}

// numbered is what a model gets of bytes, the channels of a pixel side by side.
func (in Input) numbered(pixels []byte, channels int) []float32 {
	numbers, values := in.bytes(), make([]float32, len(pixels))
	for i, v := range pixels {
		values[i] = numbers[i%channels][v]
	}
	return values
}
