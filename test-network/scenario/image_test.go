package scenario

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
)

func TestWriteImageGivesTheBytesBack(t *testing.T) {
	data := &dataset.Data{Name: "four", Channels: 1, Size: 2, Train: dataset.Split{
		Values: []float32{0, 0, 0, 0, -1, 1, 100.0/127.5 - 1, 201.0/127.5 - 1}, Labels: []int{0, 1},
	}}
	path := filepath.Join(t.TempDir(), "x.png")
	if err := WriteImage(path, data, 1); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint32{0, 255, 100, 201} {
		if r, g, b, _ := picture.At(i%2, i/2).RGBA(); r>>8 != want || g != r || b != r {
			t.Errorf("pixel %d is %d, %d, %d, want %d", i, r>>8, g>>8, b>>8, want)
		}
	}
	if err := WriteImage(path, data, 2); err == nil {
		t.Error("an image that is not there was written")
	}
}
