package dataset

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sbinet/npyio/npy"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset/source"
)

// read parses a verified MedMNIST file.
func read(ctx context.Context, info Info, in Input, file *source.File) (*Data, error) {
	data, err := parseNPZ(ctx, info, in, file, file.Size, inMemory)
	if codes.Of(err) != "" { // not the file's fault
		return nil, err
	}
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
// shape (N,1), with the sizes that info says. Images that take more than that much memory, in
// bytes, go to a file, as those of a folder do.
func parseNPZ(ctx context.Context, info Info, in Input, r io.ReaderAt, size, memory int64) (*Data, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	data := &Data{Name: info.Name, Channels: info.Channels, Size: info.Size, Classes: slices.Clone(info.Classes)}
	place := placing{in: in, channels: info.Channels, length: info.Size * info.Size * info.Channels}
	if 4*int64(place.length)*int64(info.Train+info.Validation+info.Test) > memory {
		if place.file, err = nameless(); err != nil {
			return nil, err
		}
	}
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
		images, write := place.split(part.n)
		if err := readBytes(ctx, archive, part.name+"_images.npy", shape, place.length, write); err != nil {
			return nil, err
		}
		*part.split, part.split.Labels = images, make([]int, part.n)
		err := readBytes(ctx, archive, part.name+"_labels.npy", []int{part.n, 1}, 1, func(i int, label []byte) error {
			if int(label[0]) >= len(info.Classes) {
				return fmt.Errorf("%s_labels: label %d of image %d is not below %d", part.name, label[0], i, len(info.Classes))
			}
			part.split.Labels[i] = int(label[0])
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// placing gives images of a set their places: in memory, or one after another in a file.
type placing struct {
	in               Input
	channels, length int
	file             *os.File // nil for memory
	at               int64    // the end of what is placed in it
}

// split makes room for n images, and what brings the bytes of one there as numbers.
func (p *placing) split(n int) (Split, func(i int, image []byte) error) {
	numbers := p.in.bytes()
	if p.file == nil {
		values := make([]float32, n*p.length)
		return Split{Values: values}, func(i int, image []byte) error {
			writeNumbers(values[i*p.length:], image, &numbers, p.channels)
			return nil
		}
	}
	rows, room := make([]row, n), make([]float32, p.length)
	for i := range rows {
		rows[i] = row{file: p.file, length: p.length, at: p.at}
		p.at += 4 * int64(p.length)
	}
	return Split{rows: rows}, func(i int, image []byte) error {
		writeNumbers(room, image, &numbers, p.channels)
		return rows[i].write(room)
	}
}

// readBytes reads the one member of a name that must be an array of bytes of that shape, in C
// order, no longer and no shorter, and gives do so many at a time.
func readBytes(ctx context.Context, archive *zip.Reader, member string, shape []int, some int, do func(i int, values []byte) error) error {
	file, err := only(archive, member)
	if err != nil {
		return err
	}
	rc, err := file.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	defer rc.Close()
	r := bufio.NewReaderSize(contextReader{ctx, rc}, 1<<16)
	header, err := readHeader(r)
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	if d := header.Descr; d.Type != "|u1" || d.Fortran || !slices.Equal(d.Shape, shape) {
		return fmt.Errorf("%s: type %q, Fortran order %v, shape %v where |u1, false, %v belongs", member, d.Type, d.Fortran, d.Shape, shape)
	}
	n := 1
	for _, d := range shape {
		n *= d
	}
	values := make([]byte, some)
	for i := range n / some {
		if _, err := io.ReadFull(r, values); err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		if err := do(i, values); err != nil {
			return err
		}
	}
	// The read to the end also makes the zip reader compare its checksum.
	switch extra, err := io.Copy(io.Discard, io.LimitReader(r, 1)); {
	case err != nil:
		return fmt.Errorf("%s: %w", member, err)
	case extra > 0:
		return fmt.Errorf("%s: it does not end after %d values", member, n)
	}
	return nil
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
	writeNumbers(values, pixels, &numbers, channels)
	return values
}

// writeNumbers writes what a model gets of each byte, the channels of a pixel side by side.
func writeNumbers(out []float32, pixels []byte, numbers *[3][256]float32, channels int) {
	for i, v := range pixels {
		out[i] = numbers[i%channels][v]
	}
}
