package pretrained

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/pytorch"
	"github.com/medfed/medfed/trainer/weights"
)

// expectation is what generate.py says of a file: the code it is refused with, or
// its floating point tensors.
type expectation struct {
	code    string
	tensors map[string]struct {
		Shape  []int     `json:"shape"`
		Values []float32 `json:"values"`
	}
}

func (e *expectation) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &e.code) == nil {
		return nil
	}
	return json.Unmarshal(b, &e.tensors)
}

// checkFolder reads every file that generate.py wrote to a folder.
func checkFolder(t *testing.T, folder string) {
	text, err := os.ReadFile(filepath.Join(folder, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]expectation
	if err := json.Unmarshal(text, &files); err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files", len(files))
	}
	for name, want := range files {
		t.Run(name, func(t *testing.T) { checkFile(t, filepath.Join(folder, name), want) })
	}
}

func checkFile(t *testing.T, path string, want expectation) {
	f, err := Open(path)
	if want.code != "" {
		if err == nil || !strings.HasPrefix(err.Error(), want.code+": ") {
			t.Errorf("got %v, want %s", err, want.code)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := 0
	for _, tensor := range f.Tensors() {
		values, err := f.Read(tensor.Name)
		expected, ok := want.tensors[tensor.Name]
		if !ok {
			if err == nil || !strings.HasPrefix(err.Error(), "MF-PRETRAINED-TYPE: ") {
				t.Errorf("%s of type %s: got %v, want it refused", tensor.Name, tensor.Type, err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
		}
		read++
		if !slices.Equal(tensor.Shape, expected.Shape) || !slices.Equal(values, expected.Values) {
			t.Errorf("%s: got %v %v, want %v %v", tensor.Name, tensor.Shape, values, expected.Shape, expected.Values)
		}
	}
	if read != len(want.tensors) {
		t.Errorf("%d tensors read, want %d", read, len(want.tensors))
	}
}

func TestFilesOfPyTorch(t *testing.T) { checkFolder(t, "testdata") }

// The same files, written now by this machine's PyTorch.
func TestFilesOfThisMachinesPyTorch(t *testing.T) {
	python, err := pytorch.Find(t.Context())
	if err != nil {
		t.Skip(err)
	}
	folder := t.TempDir()
	if out, err := python.Command(t.Context(), "testdata/generate.py", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checkFolder(t, folder)
}

// net is what generate.py's Net wants of a file.
func net() []model.Parameter {
	return []model.Parameter{
		{Name: "features.0.weight", Shape: []int{3, 2, 2, 2}}, {Name: "features.0.bias", Shape: []int{3}},
		{Name: "features.1.weight", Shape: []int{3}}, {Name: "features.1.bias", Shape: []int{3}},
		{Name: "features.1.running_mean", Shape: []int{3}}, {Name: "features.1.running_var", Shape: []int{3}},
		{Name: "fc.bias", Shape: []int{5}}, {Name: "fc.weight", Shape: []int{5, 4}},
	}
}

func TestLoadTakesByName(t *testing.T) {
	for _, name := range []string{"zip.pt", "legacy.pth"} {
		w, fit, err := Load(filepath.Join("testdata", name), net())
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range net() {
			if got := w.Tensors[i]; got.Name != p.Name || !slices.Equal(got.Shape, p.Shape) {
				t.Errorf("%s: got %s %v, want %s %v", name, got.Name, got.Shape, p.Name, p.Shape)
			}
		}
		if !slices.Equal(fit.Unused, []string{"features.1.num_batches_tracked"}) {
			t.Errorf("%s: got %+v", name, fit)
		}
		if v := w.Find("fc.bias").Data[1]; v != -5.5 {
			t.Errorf("%s: got %v", name, v)
		}
	}
}

func TestLoadListsAllThatDoesNotFit(t *testing.T) {
	want := net()
	want[0].Shape, want[6].Name, want[7].Shape = []int{3, 2, 3, 3}, "fc.offset", []int{4, 5}
	want = append(want, model.Parameter{Name: "head.weight", Shape: []int{1}})
	w, _, err := Load("testdata/zip.pt", want)
	if err == nil || w != nil {
		t.Fatalf("got %v", w)
	}
	for _, part := range []string{"MF-MODEL-LOAD: ", "fc.offset, head.weight", "features.0.weight [3 2 2 2] instead of [3 2 3 3]", "fc.weight [5 4] instead of [4 5]"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestHalfIsTheDefinition(t *testing.T) {
	for h := range 1 << 16 {
		sign, exponent, fraction := 1.0, h>>10&31, float64(h&1023)
		if h>>15 == 1 {
			sign = -1
		}
		got := float64(half(uint16(h)))
		var want float64
		switch exponent {
		case 0:
			want = math.Copysign(math.Ldexp(fraction, -24), sign)
		case 31:
			want = math.Inf(int(sign))
			if fraction != 0 {
				if !math.IsNaN(got) {
					t.Errorf("%#04x: got %v, want NaN", h, got)
				}
				continue
			}
		default:
			want = sign * math.Ldexp(1+fraction/1024, exponent-15)
		}
		if math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%#04x: got %v, want %v", h, got, want)
		}
	}
}

func TestNumbersThatAreNotFiniteAreRefused(t *testing.T) {
	for name, value := range map[string]float64{"NaN": math.NaN(), "infinity": math.Inf(-1), "more than float32": 1e39} {
		w := &weights.Weights{Tensors: []weights.Tensor{{Name: "a", Shape: []int{2}, Data: []float32{1, 2}}}}
		b := bytes.Replace(w.Bytes(), []byte("F32"), []byte("F64"), 1)
		b = bytes.Replace(b, []byte(`"shape":[2]`), []byte(`"shape":[1]`), 1)
		putFloat64(b[len(b)-8:], value)
		path := filepath.Join(t.TempDir(), "a.safetensors")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read("a"); err == nil || !strings.HasPrefix(err.Error(), "MF-PRETRAINED-FINITE: ") {
			t.Errorf("%s: got %v", name, err)
		}
		f.Close()
	}
}

func putFloat64(b []byte, v float64) {
	for i := range 8 {
		b[i] = byte(math.Float64bits(v) >> (8 * i))
	}
}

func TestFilesThatAreNoWeightsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, code, content string }{
		{"nothing", "FORMAT", ""},
		{"text", "FORMAT", "epoch,loss\n1,0.5\n"},
		{"picture", "FORMAT", "\x89PNG\r\n\x1a\n00000000"},
		{"other pickle", "FORMAT", "\x80\x02K\x07."},
		{"pickle of protocol 9", "FORMAT", "\x80\x09K\x07."},
		{"pickle cut off", "FORMAT", "\x80\x02"},
		{"half a zip archive", "FORMAT", "PK\x03\x04 and no more"},
		{"call", "OBJECT", "\x80\x02cos\nsystem\nX\x06\x00\x00\x00exit 1\x85R."},
		{"unknown instruction", "FORMAT", "\x80\x02\xff"},
		{"empty integer", "FORMAT", "\x80\x02\x8a\x00."},
		{"announced length", "FORMAT", "\x80\x02X\xff\xff\xff\xffa."},
		{"empty stack", "FORMAT", "\x80\x02."},
		{"below the mark", "FORMAT", "\x80\x02K\x01(0."},
		{"no mark", "FORMAT", "\x80\x02t."},
		{"unknown memory", "FORMAT", "\x80\x02h\x05."},
	} {
		t.Run(c.name, func(t *testing.T) {
			tensors, err := listTensors(strings.NewReader(c.content), int64(len(c.content)))
			if err == nil || !strings.HasPrefix(err.Error(), "MF-PRETRAINED-"+c.code+": ") {
				t.Errorf("got %v, %v", tensors, err)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent.pt")); err == nil || !strings.HasPrefix(err.Error(), "MF-PRETRAINED-FILE: ") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// archive makes a zip archive with these members, not compressed.
func archive(t *testing.T, members ...[2]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m[0], Method: zip.Store})
		if err == nil {
			_, err = io.WriteString(f, m[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// view is the pickle of {"a": tensor} over storage 0 of n numbers.
func view(n int, offset byte, shape, stride string) string {
	return "\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n" +
		fmt.Sprintf("X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQK%c", byte(n), offset) + shape + stride + "\x89NtRs."
}

func TestViewsBeyondTheirStorageAreRefused(t *testing.T) {
	four, vast := "K\x04\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"
	one := "K\x01\x85"
	for _, c := range []struct {
		name    string
		pickle  string
		refused bool
	}{
		{"the whole", view(4, 0, four, one), false},
		{"one number too many", view(4, 1, four, one), true},
		{"stride too wide", view(4, 0, four, "K\x02\x85"), true},
		{"stride of zero", view(4, 0, four, "K\x00\x85"), false}, // four times the first number
		{"stride of zero, more than the storage", view(4, 0, "K\x05\x85", "K\x00\x85"), true},
		{"vast shape", view(4, 0, vast, one), true},
		{"vast stride", view(4, 0, four, vast), true},
		{"negative stride", view(4, 3, four, "J\xff\xff\xff\xff\x85"), true},
		{"empty", view(4, 0, "K\x00\x85", one), true},
		{"other rank", view(4, 0, "K\x02K\x02\x86", one), true},
		{"storage of another size", view(5, 0, four, one), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := archive(t, [2]string{"archive/data.pkl", c.pickle}, [2]string{"archive/data/0", strings.Repeat("\x00\x00\x80\x3f", 4)})
			tensors, err := listTensors(bytes.NewReader(b), int64(len(b)))
			if c.refused {
				if err == nil || !strings.HasPrefix(err.Error(), "MF-PRETRAINED-FORMAT: ") {
					t.Errorf("got %v, %v", tensors, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if values, err := tensors[0].read(); err != nil || !slices.Equal(values, []float32{1, 1, 1, 1}) {
				t.Errorf("got %v, %v", values, err)
			}
		})
	}
}

func TestDamagedNumbersAreNoticed(t *testing.T) {
	b, err := os.ReadFile("testdata/zip.pt")
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := listTensors(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	values, err := tensors[0].read()
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		bits := math.Float32bits(v)
		raw = append(raw, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	at := bytes.Index(b, raw)
	if at < 0 {
		t.Fatal("the numbers are not in the file")
	}
	b[at+5] ^= 1
	if values, err := tensors[0].read(); !errors.Is(err, zip.ErrChecksum) {
		t.Errorf("got %v, %v", values, err)
	}
}

// Whatever the bytes are, the answer is tensors that can be read or a coded error,
// at a cost that the bytes bound.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) < 20 {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil && len(b) < 6000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, err := listTensors(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "MF-PRETRAINED-") && !strings.HasPrefix(err.Error(), "MF-WEIGHTS-") {
				t.Errorf("%v has no code", err)
			}
			return
		}
		for _, x := range tensors {
			if n := product(x.Shape); n > len(b) {
				t.Fatalf("%s claims %d numbers in %d bytes", x.Name, n, len(b))
			}
			if x.storage.number.value == nil {
				continue
			}
			if values, err := x.read(); err == nil && len(values) != product(x.Shape) {
				t.Errorf("%s: %d values of shape %v", x.Name, len(values), x.Shape)
			}
		}
	})
}
