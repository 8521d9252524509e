package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image/color"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/medfed/medfed/trainer/dicom"
)

// radiograph is a DICOM file of an image of 12 bits, with what else elements say; tags go
// up.
func radiograph(width, height int, pixels []uint16, elements ...func(b []byte) []byte) []byte {
	b := append(make([]byte, 128), "DICM"...)
	b = said(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1\x00")(b)
	short := func(element, v int) func([]byte) []byte {
		return said(0x0028, element, "US", string(binary.LittleEndian.AppendUint16(nil, uint16(v))))
	}
	for _, e := range append(elements, short(0x10, height), short(0x11, width), short(0x100, 16), short(0x101, 12), short(0x102, 11)) {
		b = e(b)
	}
	b = append(b, 0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(2*len(pixels)))
	for _, v := range pixels {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// said appends a data element.
func said(group, element int, vr, value string) func([]byte) []byte {
	return func(b []byte) []byte {
		value += strings.Repeat(" ", len(value)%2)
		b = binary.LittleEndian.AppendUint16(b, uint16(group))
		b = binary.LittleEndian.AppendUint16(b, uint16(element))
		b = append(b, vr...)
		return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
	}
}

var monochrome = said(0x0028, 0x0004, "CS", "MONOCHROME2")

// TestTwelveBitsOfDICOM: 4,096 levels are 4,096 values, in order, or the other way round
// in MONOCHROME1, and in all three channels.
func TestTwelveBitsOfDICOM(t *testing.T) {
	pixels := make([]uint16, 4096)
	for v := range pixels {
		pixels[v] = uint16(v)
	}
	for photometric, sign := range map[string]float32{"MONOCHROME2": 1, "MONOCHROME1": -1} {
		for _, channels := range []int{1, 3} {
			got, err := decoded(t, radiograph(64, 64, pixels, said(0x0028, 0x0004, "CS", photometric)), 64, channels, Input{})
			if err != nil {
				t.Fatal(err)
			}
			last := float32(math.Inf(-1))
			for i, v := range got {
				if i%channels > 0 {
					if sign*v != last {
						t.Fatalf("channel %d of pixel %d is %v, want %v", i%channels, i/channels, v, sign*last)
					}
					continue
				}
				if sign*v <= last {
					t.Fatalf("%s: level %d is %v, after %v", photometric, i/channels, v, sign*last)
				}
				last = sign * v
			}
			if got[0] != -sign || got[len(got)-1] != sign {
				t.Errorf("%s goes from %v to %v", photometric, got[0], got[len(got)-1])
			}
		}
	}
}

// TestOwnWindow: the file's own window, where it is asked for; else the one that is named.
func TestOwnWindow(t *testing.T) {
	file := radiograph(4, 1, []uint16{0, 100, 150, 200}, monochrome,
		said(0x0028, 0x1050, "DS", "150.5"), said(0x0028, 0x1051, "DS", "101"), said(0x0028, 0x1052, "DS", "0"), said(0x0028, 0x1053, "DS", "1"))
	for _, c := range []struct {
		in   Input
		want []float32
	}{
		{Input{OwnWindow: true, Fit: FitPad}, []float32{-1, -1, 0, 1}},
		{Input{Window: Window{0, 200}, Fit: FitPad}, []float32{-1, 0, 0.5, 1}},
		{Input{Window: Window{0, 200}, Inverted: true, Fit: FitPad}, []float32{1, 0, -0.5, -1}},
	} {
		got, err := decoded(t, file, 4, 1, c.in)
		if err != nil || !slices.Equal(got[4:8], c.want) {
			t.Errorf("%+v: %v, %v", c.in, got, err)
		}
	}
}

// TestFolderOfDICOM: files of any name are found; the images of one patient have one
// patient, whom nothing names; and no patient stands in two parts.
func TestFolderOfDICOM(t *testing.T) {
	of := func(patient string, v uint16) []byte {
		return radiograph(1, 1, []uint16{v}, said(0x0010, 0x0020, "LO", patient), monochrome)
	}
	files := map[string][]byte{
		"train/a/IM1": of("secret-1", 1), "train/a/IM2": of("secret-2", 2), "train/b/x.dcm": of("secret-1", 3), "test/a/1.2.840.1": of("secret-3", 4),
		"test/b/y.dcm": radiograph(1, 1, []uint16{5}, monochrome), "train/a/DICOMDIR": of("", 1), "train/a/notes": []byte("none"),
	}
	f, err := LoadFolder(t.Context(), lay(t, files), FolderOptions{Size: 1, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Data.Train.Patients, []string{"train/a/IM1", "train/a/IM2", "train/a/IM1"}) || !slices.Equal(f.Data.Test.Patients, []string{"test/a/1.2.840.1", "test/b/y.dcm"}) {
		t.Errorf("patients %q and %q", f.Data.Train.Patients, f.Data.Test.Patients)
	}
	f, err = LoadFolder(t.Context(), lay(t, files), FolderOptions{Size: 1, Channels: 1, DICOM: dicom.Options{PatientKey: []byte("k")}})
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Data.Train.Patients; p[0] != p[2] || p[0] == p[1] || len(p[0]) != 64 {
		t.Errorf("patients %q", p)
	}
	files["test/b/z.dcm"] = of("secret-2", 6)
	for _, unread := range []bool{false, true} {
		_, err = LoadFolder(t.Context(), lay(t, files), FolderOptions{Size: 1, Channels: 1, Unread: unread})
		wantCode(t, err, "MF-DATA-FOLDER")
		if !strings.Contains(err.Error(), "test/b/z.dcm") || !strings.Contains(err.Error(), "train/a/IM2") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v does not name the two files alone", err)
		}
	}
}

// TestBurnedInIsRefused unless it is allowed.
func TestBurnedInIsRefused(t *testing.T) {
	burned := radiograph(1, 1, []uint16{9}, monochrome, said(0x0028, 0x0301, "CS", "YES"))
	folder := lay(t, map[string][]byte{"a/1.dcm": burned, "b/2.dcm": radiograph(1, 1, []uint16{9}, monochrome)})
	_, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 1, Channels: 1})
	wantCode(t, err, "MF-DATA-IMAGE")
	if err == nil || !strings.Contains(err.Error(), "MF-DICOM-ANNOTATION") {
		t.Errorf("got %v", err)
	}
	if _, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 1, Channels: 1, DICOM: dicom.Options{BurnedIn: true}}); err != nil {
		t.Error(err)
	}
}

// TestUnread: images that stay in their files are read as all others are, whatever is
// selected of them, and only while their files are what they were.
func TestUnread(t *testing.T) {
	files := map[string][]byte{
		"a/1.dcm": radiograph(2, 1, []uint16{0, 4095}, monochrome), "a/2.dcm": radiograph(2, 1, []uint16{4095, 9}, monochrome),
		"b/3.png": plain(t, 3, 2, color.Gray{51}), "test/b/4.png": plain(t, 3, 2, color.Gray{9}), "b/cut.png": plain(t, 3, 2, color.Gray{9})[:60],
	}
	folder := lay(t, files)
	o := FolderOptions{Size: 2, Channels: 1, SkipBad: true}
	read, err := LoadFolder(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	r := remembered{}
	o.Unread, o.Decoded = true, r.open
	if _, err := LoadFolder(t.Context(), folder, o); err != nil {
		t.Fatal(err)
	}
	if got, put := r.counts(); put != 4 || got != 0 { // b/cut.png can't be decoded
		t.Errorf("%d images are decoded, %d are from before", put, got)
	}
	left, err := LoadFolder(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, put := r.counts(); put != 0 || got != 4 {
		t.Errorf("a second time %d images are decoded, %d are from before", put, got)
	}
	if left.Data.SHA256 != read.Data.SHA256 || len(left.Bad) != 1 || left.Data.Train.Values != nil || left.Data.Train.Len() != 3 || left.Data.Validation.Unread != nil {
		t.Errorf("got %+v, want %+v", left, read)
	}
	order := []int{2, 0}
	got, err := left.Data.Train.Select(order).Unread.Read(t.Context(), []int{0, 1})
	if want := read.Data.Train.Select(order).Values; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v (%v)", got, want, err)
	}
	u := left.Data.Train.Unread
	if u.Digest(0) == u.Digest(1) || u.Digest(0) != left.Data.Train.Select([]int{0}).Unread.Digest(0) {
		t.Error("two images have one digest, or one has two")
	}
	o.Input.Inverted = true
	other, err := LoadFolder(t.Context(), folder, o)
	if err != nil || other.Data.Train.Unread.Digest(0) == u.Digest(0) {
		t.Errorf("what is read in another way has the same digest (%v)", err)
	}
	if err := os.WriteFile(folder+"/a/2.dcm", files["a/1.dcm"], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = u.Read(t.Context(), []int{1})
	wantCode(t, err, "MF-DATA-IMAGE")
	o.SkipBad = false // the description alone is looked at
	if left, err = LoadFolder(t.Context(), folder, o); err != nil {
		t.Fatal(err)
	}
	_, err = left.Data.Train.Unread.Read(t.Context(), []int{0, 1, 2, 3})
	wantCode(t, err, "MF-DATA-IMAGE")
	if err == nil || !strings.Contains(err.Error(), "b/cut.png") {
		t.Errorf("%v does not name the file", err)
	}
}

// TestDecodedOnce: a second reading decodes nothing and gives the same values and patients;
// what has changed alone is decoded, and all where they are read in another way. What a file
// says of itself is looked at each time.
func TestDecodedOnce(t *testing.T) {
	patient := func(id string) func([]byte) []byte { return said(0x0010, 0x0020, "LO", id) }
	burned := said(0x0028, 0x0301, "CS", "YES")
	files := map[string][]byte{
		"a/1.dcm": radiograph(2, 1, []uint16{0, 4095}, patient("p"), monochrome), "b/2.dcm": radiograph(2, 1, []uint16{7, 9}, patient("p"), monochrome),
		"a/3.png": plain(t, 3, 2, color.Gray{51}), "test/b/4.png": plain(t, 3, 2, color.Gray{9}), "b/cut.png": plain(t, 3, 2, color.Gray{9})[:60],
		"test/a/5.dcm": radiograph(2, 1, []uint16{1, 2}, monochrome, burned),
	}
	folder := lay(t, files)
	r := remembered{}
	o := FolderOptions{Size: 2, Channels: 1, SkipBad: true, Decoded: r.open, DICOM: dicom.Options{BurnedIn: true, PatientKey: []byte("k")}}
	load := func(what string, want, got int) *Folder {
		t.Helper()
		f, err := LoadFolder(t.Context(), folder, o)
		if err != nil {
			t.Fatal(err)
		}
		if old, decoded := r.counts(); decoded != want || old != got {
			t.Errorf("%s: %d images are decoded, want %d, and %d are from before, want %d", what, decoded, want, old, got)
		}
		return f
	}
	first := load("at first", 5, 0)
	for what, memory := range map[string]int64{"a second time": 0, "into a file": 1} {
		o.InMemory = memory
		second := load(what, 0, 5)
		if d, want := second.Data, first.Data; !slices.Equal(valuesOf(t, d.Train), valuesOf(t, want.Train)) || !slices.Equal(valuesOf(t, d.Test), valuesOf(t, want.Test)) || !slices.Equal(d.Train.Patients, want.Train.Patients) || d.SHA256 != want.SHA256 || len(second.Bad) != 1 {
			t.Errorf("%s: got %+v, want %+v", what, second, first)
		}
	}
	if err := os.WriteFile(folder+"/a/3.png", plain(t, 3, 2, color.Gray{52}), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := load("with another image", 1, 4); f.Data.SHA256 == first.Data.SHA256 {
		t.Error("what has changed is passed over")
	}
	for what, other := range map[string]func(*FolderOptions){
		"another size": func(o *FolderOptions) { o.Size = 3 }, "another depth": func(o *FolderOptions) { o.Channels = 3 },
		"another window": func(o *FolderOptions) { o.Input.Window = Window{0, 9} }, "another mean": func(o *FolderOptions) { o.Input.Mean, o.Input.Std = []float64{1}, []float64{1} },
		"another fit": func(o *FolderOptions) { o.Input.Fit = FitPad }, "unread": func(o *FolderOptions) { o.Unread = true },
	} {
		before := o
		other(&o)
		load(what, 5, 0)
		o = before
	}
	o.DICOM.BurnedIn = false
	if f := load("without writing in the picture", 0, 5); len(f.Bad) != 2 || f.Bad[1].Path != "test/a/5.dcm" {
		t.Errorf("left out are %v", f.Bad)
	}
}

// remembered keeps images by the way in which they are decoded.
type remembered map[string]*kept

func (r remembered) open(way string, length int) Decoded {
	key := fmt.Sprint(way, length)
	if r[key] == nil {
		r[key] = &kept{values: map[[sha256.Size]byte][]float32{}}
	}
	return r[key]
}

// counts gives how many images were there and how many were decoded, since it was asked.
func (r remembered) counts() (got, put int) {
	for _, k := range r {
		got, put = got+k.got, put+k.put
		k.got, k.put = 0, 0
	}
	return got, put
}

type kept struct {
	sync.Mutex
	values   map[[sha256.Size]byte][]float32
	got, put int
}

func (k *kept) Get(file [sha256.Size]byte) (values []float32, ok bool) {
	k.Lock()
	defer k.Unlock()
	if values, ok = k.values[file]; ok {
		k.got++
	}
	return values, ok
}

func (k *kept) Put(file [sha256.Size]byte, values []float32) {
	k.Lock()
	defer k.Unlock()
	k.values[file] = values
	k.put++
}

func (k *kept) Close() {}
