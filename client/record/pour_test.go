package record

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/medfed/medfed/chaincode/codes"
)

func TestPour(t *testing.T) {
	want := bytes.Repeat([]byte("an X-ray "), 100_000)
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"as it comes": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "end with data": iotest.DataErrReader,
	} {
		var got bytes.Buffer
		size, err := pour(&got, reader(bytes.NewReader(want)))
		if err != nil || size != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %d bytes, %v", name, size, err)
		}
	}
	broken := codes.Errorf("MF-IPFS-CORRUPT", "a block; fetch it elsewhere")
	if _, err := pour(io.Discard, io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader that breaks: %v", err)
	}
	for _, room := range []int64{0, 1, 64 << 10, 700_000} {
		_, err := pour(&full{room: room}, bytes.NewReader(want))
		if codes.Of(err) != "MF-WRITE-RECORD" {
			t.Errorf("a disk with room for %d bytes: %v", room, err)
		}
	}
}

// full is a disk with so much room.
type full struct{ room int64 }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= int64(len(p)); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}
