package dataset

import (
	"image/color"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// TestLargeFoldersLieInAFile, and their values are those of a folder held in memory: as they
// are, selected, viewed and joined with others. The file has no name.
func TestLargeFoldersLieInAFile(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	files := map[string][]byte{"b/cut.png": plain(t, 3, 2, color.Gray{9})[:60]}
	for i, name := range []string{"a/1", "a/2", "b/3", "val/b/4", "test/a/5", "test/b/6"} {
		files[name+".png"] = plain(t, 3, 2, color.Gray{uint8(40 * i)})
	}
	folder := lay(t, files)
	load := func(memory int64) *Data {
		f, err := LoadFolder(t.Context(), folder, FolderOptions{Name: "x", Size: 2, Channels: 3, SkipBad: true, InMemory: memory})
		if err != nil {
			t.Fatal(err)
		}
		return f.Data
	}
	held, stored := load(7*2*2*3*4), load(7*2*2*3*4-1)
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("the folder for temporary files has %v, %v", left, err)
	}
	if held.Train.rows != nil || stored.Train.Values != nil || stored.SHA256 != held.SHA256 {
		t.Fatalf("held %+v, stored %+v", held, stored)
	}
	for part, of := range map[string]func(*Data) Split{
		"train":      func(d *Data) Split { return d.Train },
		"validation": func(d *Data) Split { return d.Validation },
		"test":       func(d *Data) Split { return d.Test },
		"selection":  func(d *Data) Split { return d.Train.Select([]int{2, 0}) },
		"view":       func(d *Data) Split { return d.Train.View([]int{1, 1}) },
		"both":       func(d *Data) Split { return Join(d.Train, d.Test).Select([]int{4, 0}) },
		"with held":  func(d *Data) Split { return Join(held.Test, d.Validation) },
	} {
		want, got := of(held), of(stored)
		if !reflect.DeepEqual(got.Labels, want.Labels) || !reflect.DeepEqual(got.Patients, want.Patients) {
			t.Errorf("%s: got %+v, want %+v", part, got, want)
		}
		if values, fits := got.Fits(12); !fits || values != 12*want.Len() {
			t.Errorf("%s: %d values, of 12 each: %t", part, values, fits)
		}
		if got, want := valuesOf(t, got), valuesOf(t, want); !slices.Equal(got, want) || len(got) == 0 {
			t.Errorf("%s: got %v, want %v", part, got, want)
		}
	}
}

// valuesOf reads all examples by themselves, and then one after another.
func valuesOf(t *testing.T, s Split) []float32 {
	t.Helper()
	var all []float32
	for i := range s.Len() {
		values, err := s.Example(i, make([]float32, 12))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values...)
	}
	if err := s.Each(func(values []float32) { all = append(all, values...) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNoRoomForDecodedImages(t *testing.T) {
	folder := lay(t, map[string][]byte{"a/1.png": plain(t, 3, 2, color.Gray{9}), "b/2.png": plain(t, 3, 2, color.Gray{90})})
	o := FolderOptions{Size: 2, Channels: 1, InMemory: 1}
	f, err := LoadFolder(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	stored := f.Data.Train
	if err := stored.rows[0].file.Truncate(20); err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Example(0, make([]float32, 4)); err != nil {
		t.Error(err)
	}
	_, err = stored.Example(1, make([]float32, 4))
	wantCode(t, err, "MF-DATA-FOLDER")
	wantCode(t, stored.Each(func([]float32) {}), "MF-DATA-FOLDER")
	if err := stored.rows[0].file.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, stored.rows[0].write([]float32{1}), "MF-DATA-FOLDER")
	t.Setenv("TMPDIR", filepath.Join(folder, "missing"))
	_, err = LoadFolder(t.Context(), folder, o)
	wantCode(t, err, "MF-DATA-FOLDER")
}
