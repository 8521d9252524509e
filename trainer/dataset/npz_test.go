package dataset

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dataset/source"
)

// member is one array of a test file.
type member struct {
	name, header string
	data         []byte
}

// array is a member with a well-formed header.
func array(name string, data []byte, shape ...int) member {
	s := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	return member{name, fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }", s), data}
}

// npz is a file of these members.
func npz(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.Create(m.name)
		if err != nil {
			t.Fatal(err)
		}
		header := m.header + strings.Repeat(" ", (64-(10+len(m.header)+1)%64)%64) + "\n"
		w.Write([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, byte(len(header)), byte(len(header) >> 8)})
		w.Write([]byte(header))
		w.Write(m.data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ramp is n bytes 0, 1, 2… below m.
func ramp(n, m int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % m)
	}
	return b
}

// small is a set of 3, 2 and 2 images of 2 by 2 pixels, and the members of its file.
func small(channels int) (Info, []member) {
	info := Info{Name: "small", Task: source.TaskBinary, Channels: channels, Size: 2, Classes: []string{"no", "yes"}, Train: 3, Validation: 2, Test: 2, URL: "https://example.invalid/small.npz"}
	var members []member
	for _, p := range []struct {
		name string
		n    int
	}{{"train", 3}, {"val", 2}, {"test", 2}} {
		shape := []int{p.n, 2, 2}
		if channels > 1 {
			shape = append(shape, channels)
		}
		members = append(members,
			array(p.name+"_images.npy", ramp(p.n*4*channels, 256), shape...),
			array(p.name+"_labels.npy", ramp(p.n, 2), p.n, 1))
	}
	return info, members
}

// place writes b as info's file into a new folder and makes its MD5 the official one.
func place(t testing.TB, info *Info, b []byte) (path string) {
	t.Helper()
	sum := md5.Sum(b)
	info.MD5 = hex.EncodeToString(sum[:])
	path = filepath.Join(t.TempDir(), info.Name+".npz")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// readVerified reads a file that must be info's.
func readVerified(ctx context.Context, info Info, path string) (*Data, error) {
	file, err := source.Open(ctx, info, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(ctx, info, Input{}, file)
}

func wantCode(t interface {
	Helper()
	Errorf(format string, args ...any)
}, err error, code string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), code+": ") {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestReadsAnNPZ(t *testing.T) {
	for _, channels := range []int{1, 3} {
		info, members := small(channels)
		b := npz(t, members...)
		path := place(t, &info, b)
		data, err := readVerified(t.Context(), info, path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if data.SHA256 != hex.EncodeToString(sum[:]) || data.Synthetic || data.Channels != channels {
			t.Errorf("got %+v", data)
		}
		if data.Train.Len() != 3 || data.Validation.Len() != 2 || data.Test.Len() != 2 {
			t.Errorf("sizes %d %d %d", data.Train.Len(), data.Validation.Len(), data.Test.Len())
		}
		if got := len(data.Train.Values); got != 3*4*channels {
			t.Errorf("%d values", got)
		}
		// The file's order is kept: image, row, column, channel.
		if got, want := data.Train.Values[5], float32(5.0/127.5-1); got != want {
			t.Errorf("value 5 is %v, want %v", got, want)
		}
	}
}

// TestLargeSetsLieInAFile, and their values are those of a set held in memory.
func TestLargeSetsLieInAFile(t *testing.T) {
	for _, channels := range []int{1, 3} {
		info, members := small(channels)
		b, in := npz(t, members...), Input{Inverted: true, Mean: []float64{0.4}, Std: []float64{0.2}}
		all := int64(4 * (3 + 2 + 2) * 2 * 2 * channels)
		held, err := parseNPZ(t.Context(), info, in, bytes.NewReader(b), int64(len(b)), all)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := parseNPZ(t.Context(), info, in, bytes.NewReader(b), int64(len(b)), all-1)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range []Split{stored.Train, stored.Validation, stored.Test} {
			want := []Split{held.Train, held.Validation, held.Test}[i]
			if part.Values != nil || !slices.Equal(part.Labels, want.Labels) || !slices.Equal(valuesOf(t, part), valuesOf(t, want)) {
				t.Errorf("got %+v, want %+v", part, want)
			}
		}
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
		path := place(t, &info, b)
		file, err := source.Open(t.Context(), info, path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseNPZ(t.Context(), info, in, file, file.Size, all-1); err == nil || !strings.HasPrefix(err.Error(), "MF-DATA-FOLDER: ") {
			t.Errorf("without a folder for temporary files: %v", err)
		}
		file.Close()
		t.Setenv("TMPDIR", "")
	}
}

func TestNormalisation(t *testing.T) {
	for v, want := range map[int]float32{0: -1, 255: 1, 51: -0.6, 204: 0.6} {
		if got := (Input{}).bytes()[0][v]; got != want {
			t.Errorf("byte %d is %v, want %v", v, got, want)
		}
	}
}

func TestCorruptNPZIsRefused(t *testing.T) {
	info, good := small(1)
	whole := npz(t, good...)
	with := func(i int, m member) []byte {
		members := append([]member(nil), good...)
		members[i] = m
		return npz(t, members...)
	}
	header := func(h string) []byte { return with(0, member{"train_images.npy", h, good[0].data}) }
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/3] ^= 0x40
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"no zip":               []byte("this is no zip file"),
		"cut in half":          whole[:len(whole)/2],
		"cut by one":           whole[:len(whole)-1],
		"missing member":       npz(t, good[:5]...),
		"member twice":         npz(t, append(good[:6:6], good[0])...),
		"flipped bit":          flipped,
		"empty member":         with(0, member{}),
		"other shape":          with(0, array("train_images.npy", ramp(16, 256), 4, 2, 2)),
		"flat shape":           with(0, array("train_images.npy", ramp(12, 256), 12)),
		"absurd shape":         with(0, array("train_images.npy", ramp(12, 256), 1<<40, 2, 2)),
		"too few values":       with(0, array("train_images.npy", ramp(11, 256), 3, 2, 2)),
		"too many values":      with(0, array("train_images.npy", ramp(13, 256), 3, 2, 2)),
		"label out of range":   with(1, array("train_labels.npy", []byte{0, 1, 2}, 3, 1)),
		"labels of other rank": with(1, array("train_labels.npy", []byte{0, 1, 1}, 3)),
		"floats":               header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 2), }"),
		"Fortran order":        header("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2, 2), }"),
		"header no dictionary": header("no dictionary"),
		"header empty":         header(""),
		"header backwards":     header("}'shape': , 'fortran_order': 'descr': "),
		"header shape torn":    header("{'descr': '|u1', 'fortran_order': False, 'shape': }"),
		"header shape words":   header("{'descr': '|u1', 'fortran_order': False, 'shape': (a, b), }"),
	} {
		t.Run(name, func(t *testing.T) {
			info := info
			path := place(t, &info, b)
			data, err := readVerified(t.Context(), info, path)
			wantCode(t, err, "MF-DATA-CORRUPT")
			if data != nil {
				t.Error("data came with the error")
			}
			if strings.Contains(err.Error(), "nil") {
				t.Errorf("%v tells of an error that there is not", err)
			}
		})
	}
}

func TestArrayHeaderWithAbsurdLength(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create("train_images.npy")
	w.Write([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 0xff, 0xff, 0xff, 0xff, 0})
	z.Close()
	info, _ := small(1)
	_, err := parseNPZ(t.Context(), info, Input{}, bytes.NewReader(b.Bytes()), int64(b.Len()), inMemory)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func TestOtherChecksumIsRefusedBeforeParsing(t *testing.T) {
	info, _ := small(1)
	path := place(t, &info, []byte("neither zip nor official"))
	info.MD5 = strings.Repeat("0", 32)
	_, err := readVerified(t.Context(), info, path)
	wantCode(t, err, "MF-DATA-CHECKSUM")
}

func TestReadingEndsWithItsContext(t *testing.T) {
	info, members := small(1)
	path := place(t, &info, npz(t, members...))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readVerified(ctx, info, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseNPZ(f *testing.F) {
	info, members := small(1)
	f.Add(npz(f, members...))
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, b []byte) {
		data, err := parseNPZ(t.Context(), info, Input{}, bytes.NewReader(b), int64(len(b)), inMemory)
		if err == nil && (data.Train.Len() != 3 || len(data.Train.Values) != 12) {
			t.Fatal("taken with other sizes")
		}
	})
}
