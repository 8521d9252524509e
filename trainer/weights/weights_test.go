package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// file makes safetensors bytes from a header as it stands and data.
func file(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// pad brings a header to a multiple of eight bytes.
func pad(header string) string {
	return header + strings.Repeat(" ", (8-len(header)%8)%8)
}

func TestBytesIsTheDocumentedLayout(t *testing.T) {
	w := &Weights{Tensors: []Tensor{
		{Name: "features.0.weight", Shape: []int{2, 1}, Data: []float32{1, -2}},
		{Name: "features.0.bias", Shape: []int{}, Data: []float32{0.5}},
	}}
	header := pad(`{"features.0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},` +
		`"features.0.bias":{"dtype":"F32","shape":[],"data_offsets":[8,12]}}`)
	want := file(header, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f})
	if got := w.Bytes(); !bytes.Equal(got, want) {
		t.Fatalf("got\n%q\nwant\n%q", got, want)
	}
	if w.Size() != int64(len(want)) {
		t.Errorf("Size is %d, Bytes has %d", w.Size(), len(want))
	}
	sum := sha256.Sum256(want)
	if w.Digest() != hex.EncodeToString(sum[:]) {
		t.Errorf("Digest is not the SHA-256 of Bytes")
	}
}

func TestEmptyWeightsAreAnEmptyHeader(t *testing.T) {
	b := (&Weights{}).Bytes()
	if want := file("{}      ", nil); !bytes.Equal(b, want) {
		t.Fatalf("got %q, want %q", b, want)
	}
	if _, err := Parse(b); err != nil {
		t.Fatal(err)
	}
}

func TestFloatBitsSurvive(t *testing.T) {
	bits := []uint32{
		0, 0x80000000, 1, 0x007fffff, 0x7f7fffff, 0x7f800000, 0xff800000,
		0x7fc00000, 0x7fc12345, 0xffc00001, 0x7f800001, 0xffabcdef, // quiet and signalling NaN
	}
	values := make([]float32, len(bits))
	for i, u := range bits {
		values[i] = math.Float32frombits(u)
	}
	w := &Weights{Tensors: []Tensor{{Name: "a", Shape: []int{len(bits)}, Data: values}}}
	got, err := Parse(w.Clone().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range bits {
		if g := math.Float32bits(got.Tensors[0].Data[i]); g != u {
			t.Errorf("%08x came back as %08x", u, g)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	a := `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	four := make([]byte, 4)
	valid := file(pad("{"+a+"}"), four)
	announce := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	for _, c := range []struct {
		name, code string
		b          []byte
	}{
		{"nothing", "TRUNCATED", nil},
		{"seven bytes", "TRUNCATED", make([]byte, 7)},
		{"length only", "TRUNCATED", announce(64)},
		{"absurd header length", "HEADER", announce(math.MaxUint64)},
		{"header length beyond the limit", "HEADER", announce(maxHeader + 1)},
		{"no header", "HEADER", announce(0)},
		{"header no object", "HEADER", file("[]      ", nil)},
		{"header no JSON", "HEADER", file(pad("{\"a\":}"), nil)},
		{"header unfinished", "HEADER", file(pad("{"+a), four)},
		{"entry no object", "HEADER", file(pad(`{"a":7}`), nil)},
		{"entry null", "DTYPE", file(pad(`{"a":null}`), nil)},
		{"unknown field", "HEADER", file(pad(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`), four)},
		{"one byte short", "TRUNCATED", valid[:len(valid)-1]},
		{"one byte long", "TRAILING", append(bytes.Clone(valid), 0)},
		{"data without tensors", "TRAILING", file("{}      ", four)},
		{"duplicate name", "DUPLICATE", file(pad("{"+a+`,"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`), make([]byte, 8))},
		{"duplicate name by escape", "DUPLICATE", file(pad("{"+a+`,"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`), make([]byte, 8))},
		{"empty name", "NAME", file(pad(`{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"long name", "NAME", file(pad(`{"`+strings.Repeat("a", 257)+`":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"name with a control character", "NAME", file(pad(`{"a\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"metadata", "NAME", file(pad(`{"__metadata__":{"format":"pt"},`+a+"}"), four)},
		{"float16", "DTYPE", file(pad(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`), four)},
		{"int64", "DTYPE", file(pad(`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`), make([]byte, 8))},
		{"no dtype", "DTYPE", file(pad(`{"a":{"shape":[1],"data_offsets":[0,4]}}`), four)},
		{"zero dimension", "SHAPE", file(pad(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`), nil)},
		{"negative dimensions", "SHAPE", file(pad(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`), four)},
		{"absurd shape", "SHAPE", file(pad(`{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}`), four)},
		{"product overflows to 1", "SHAPE", file(pad(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`), four)},
		{"dimension beyond int64", "HEADER", file(pad(`{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}`), four)},
		{"fractional dimension", "HEADER", file(pad(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`), four)},
		{"nine dimensions", "SHAPE", file(pad(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`), four)},
		{"shape and offsets disagree", "SHAPE", file(pad(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`), four)},
		{"large but absent tensor", "TRUNCATED", file(pad(`{"a":{"dtype":"F32","shape":[268435456],"data_offsets":[0,1073741824]}}`), four)},
		{"gap before", "OFFSETS", file(pad(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`), make([]byte, 8))},
		{"gap between", "OFFSETS", file(pad("{"+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`), make([]byte, 12))},
		{"overlap", "OFFSETS", file(pad("{"+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"end before begin", "OFFSETS", file(pad("{"+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`), four)},
		{"three offsets", "OFFSETS", file(pad(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}`), four)},
		{"no offsets", "OFFSETS", file(pad(`{"a":{"dtype":"F32","shape":[1]}}`), four)},
		{"negative offset", "HEADER", file(pad(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`), four)},
		{"data order other than header order", "OFFSETS", file(pad(`{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},`+a+"}"), make([]byte, 8))},
		{"white space inside", "NONCANONICAL", file(pad("{ "+a+"}"), four)},
		{"white space before", "NONCANONICAL", file(pad(" {"+a+"}"), four)},
		{"too much padding", "NONCANONICAL", file(pad("{"+a+"}")+"        ", four)},
		{"no padding", "NONCANONICAL", file("{"+a+"}", four)},
		{"padding of another kind", "NONCANONICAL", file(strings.ReplaceAll(pad("{"+a+"}"), " ", "\n"), four)},
		{"second value after the header", "HEADER", file(pad("{"+a+"}{}"), four)},
		{"other field order", "NONCANONICAL", file(pad(`{"a":{"shape":[1],"dtype":"F32","data_offsets":[0,4]}}`), four)},
		{"field twice", "NONCANONICAL", file(pad(`{"a":{"dtype":"F16","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"field in capitals", "NONCANONICAL", file(pad(`{"a":{"DTYPE":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"escaped name", "NONCANONICAL", file(pad(`{"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), four)},
		{"null shape for a scalar", "NONCANONICAL", file(pad(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`), four)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := Parse(c.b)
			if err == nil {
				t.Fatalf("taken as %+v", w)
			}
			if want := "MF-WEIGHTS-" + c.code + ": "; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %q, want %s", err, want)
			}
		})
	}
	if _, err := Parse(valid); err != nil {
		t.Errorf("the file the cases are made of is refused: %v", err)
	}
}

// What safetensors files of others may have and canonical ones may not.
func TestHeaderTakesOthersFiles(t *testing.T) {
	header := pad(`{"__metadata__":{"format":"pt"}, "b":{"shape":[2],"dtype":"F16","data_offsets":[4,8]},` +
		`"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"n":{"dtype":"I64","shape":[],"data_offsets":[8,16]}}`)
	b := file(header, make([]byte, 16))
	entries, data, err := Header(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(entries) != "[{a F32 [1] [0 4]} {b F16 [2] [4 8]} {n I64 [] [8 16]}]" || data != int64(8+len(header)) {
		t.Errorf("got %v, data at %d", entries, data)
	}
}

func TestHeaderRefuses(t *testing.T) {
	a := `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	four := make([]byte, 4)
	for _, c := range []struct {
		name, code string
		b          []byte
	}{
		{"nothing", "TRUNCATED", nil},
		{"length only", "TRUNCATED", binary.LittleEndian.AppendUint64(nil, 64)},
		{"absurd header length", "HEADER", binary.LittleEndian.AppendUint64(nil, math.MaxUint64)},
		{"metadata twice", "NAME", file(`{"__metadata__":{},"__metadata__":{},`+a+"}", four)},
		{"metadata that is no table of texts", "HEADER", file(`{"__metadata__":[],`+a+"}", four)},
		{"second object", "HEADER", file("{"+a+"}{}", four)},
		{"unknown type", "DTYPE", file(`{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}`, four)},
		{"size of another type", "SHAPE", file(`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}}`, four)},
		{"gap", "OFFSETS", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8))},
		{"overlap", "OFFSETS", file("{"+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four)},
		{"one byte short", "TRUNCATED", file("{"+a+"}", four[:3])},
		{"one byte long", "TRAILING", file("{"+a+"}", make([]byte, 5))},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, _, err := Header(bytes.NewReader(c.b), int64(len(c.b)))
			if want := "MF-WEIGHTS-" + c.code + ": "; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, %v, want %s", entries, err, want)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	tensor := func(name string, shape []int, n int) Tensor {
		return Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
	}
	for _, c := range []struct {
		name, code string
		tensors    []Tensor
	}{
		{"quote in a name", "NAME", []Tensor{tensor(`a"b`, nil, 1)}},
		{"name not ASCII", "NAME", []Tensor{tensor("é", nil, 1)}},
		{"same name twice", "DUPLICATE", []Tensor{tensor("a", nil, 1), tensor("a", nil, 1)}},
		{"too few values", "SHAPE", []Tensor{tensor("a", []int{2, 3}, 5)}},
		{"no values", "SHAPE", []Tensor{tensor("a", []int{0}, 0)}},
		{"header too long", "HEADER", manyTensors(maxHeader / 280)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &Weights{Tensors: c.tensors}
			err := w.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), "MF-WEIGHTS-"+c.code+": ") {
				t.Fatalf("got %v, want MF-WEIGHTS-%s", err, c.code)
			}
			defer func() {
				if recover() == nil {
					t.Error("Bytes did not panic")
				}
			}()
			w.Bytes()
		})
	}
}

func manyTensors(n int) []Tensor {
	tensors := make([]Tensor, n)
	for i := range tensors {
		tensors[i] = Tensor{Name: fmt.Sprintf("%0256d", i), Data: []float32{0}}
	}
	return tensors
}

func TestCompatible(t *testing.T) {
	base := func() *Weights {
		return &Weights{Tensors: []Tensor{
			{Name: "a", Shape: []int{2}, Data: []float32{1, 2}},
			{Name: "b", Shape: []int{1, 1}, Data: []float32{3}},
		}}
	}
	if err := Compatible(base(), base()); err != nil {
		t.Errorf("same architecture refused: %v", err)
	}
	for name, change := range map[string]func(w *Weights){
		"fewer":  func(w *Weights) { w.Tensors = w.Tensors[:1] },
		"name":   func(w *Weights) { w.Tensors[1].Name = "c" },
		"order":  func(w *Weights) { w.Tensors[0], w.Tensors[1] = w.Tensors[1], w.Tensors[0] },
		"shape":  func(w *Weights) { w.Tensors[0].Shape = []int{1, 2} },
		"scalar": func(w *Weights) { w.Tensors[1].Shape = nil },
	} {
		other := base()
		change(other)
		if err := Compatible(base(), other); err == nil || !strings.HasPrefix(err.Error(), "MF-WEIGHTS-INCOMPATIBLE: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	w := &Weights{Tensors: []Tensor{{Name: "a", Shape: []int{2}, Data: []float32{1, 2}}}}
	before := w.Digest()
	c := w.Clone()
	c.Find("a").Data[0] = 9
	c.Tensors[0].Shape[0] = 1
	if w.Digest() != before {
		t.Error("a change of the clone changed the original")
	}
	if w.Find("b") != nil {
		t.Error("found a tensor that is not there")
	}
}

// drawWeights draws valid weights with any float32 bits.
func drawWeights(t *rapid.T) *Weights {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9._/-]{1,12}`), 0, 5, rapid.ID[string]).Draw(t, "names")
	w := &Weights{Tensors: []Tensor{}}
	for _, name := range names {
		shape := rapid.SliceOfN(rapid.IntRange(1, 4), 0, 4).Draw(t, "shape")
		n := 1
		for _, d := range shape {
			n *= d
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
		}
		w.Tensors = append(w.Tensors, Tensor{Name: name, Shape: shape, Data: data})
	}
	return w
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWeights(t)
		b := w.Bytes()
		if len(b) > 8 && binary.LittleEndian.Uint64(b)%8 != 0 {
			t.Fatal("data is not aligned to 8 bytes")
		}
		var streamed bytes.Buffer
		if n, err := w.WriteTo(&streamed); err != nil || n != int64(len(b)) || !bytes.Equal(streamed.Bytes(), b) {
			t.Fatalf("WriteTo differs from Bytes: %d bytes, %v", n, err)
		}
		got, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := Compatible(got, w); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), b) || got.Digest() != w.Digest() {
			t.Fatal("parsing and writing again gave other bytes")
		}
	})
}

// TestAnyCutIsRefused: no proper prefix of canonical bytes is taken.
func TestAnyCutIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawWeights(t).Bytes()
		n := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := Parse(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken", n, len(b))
		}
	})
}

// TestSafetensorsRules holds the bytes against the reference reader's rules
// (safetensors/src/tensor.rs, Metadata::validate and read_metadata), written
// here a second time and naively.
func TestSafetensorsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawWeights(t).Bytes()
		n := binary.LittleEndian.Uint64(b)
		if n > 100_000_000 || b[8] != '{' {
			t.Fatal("header too long or not begun with a brace")
		}
		var header map[string]struct {
			DType   string   `json:"dtype"`
			Shape   []uint64 `json:"shape"`
			Offsets [2]int   `json:"data_offsets"`
		}
		if err := json.Unmarshal(b[8:8+n], &header); err != nil {
			t.Fatal(err)
		}
		covered := make([]int, len(b)-8-int(n))
		for name, e := range header {
			size := 4
			for _, d := range e.Shape {
				size *= int(d)
			}
			if e.DType != "F32" || e.Offsets[1]-e.Offsets[0] != size {
				t.Fatalf("%s: dtype %s, shape %v, offsets %v", name, e.DType, e.Shape, e.Offsets)
			}
			for i := e.Offsets[0]; i < e.Offsets[1]; i++ {
				covered[i]++
			}
		}
		for i, c := range covered {
			if c != 1 {
				t.Fatalf("byte %d belongs to %d tensors", i, c)
			}
		}
	})
}

// failingWriter fails after some bytes, as a full disk does.
type failingWriter int

func (f *failingWriter) Write(b []byte) (int, error) {
	if int(*f) < len(b) {
		n := int(*f)
		*f = 0
		return n, fmt.Errorf("no space left")
	}
	*f -= failingWriter(len(b))
	return len(b), nil
}

func TestWriteToReportsAFullDisk(t *testing.T) {
	w := &Weights{Tensors: []Tensor{{Name: "a", Shape: []int{40000}, Data: make([]float32, 40000)}}}
	for _, room := range []int{0, 10, 80, 70000, int(w.Size()) - 1} {
		f := failingWriter(room)
		if n, err := w.WriteTo(&f); err == nil || n != int64(room) {
			t.Errorf("room for %d: wrote %d, %v", room, n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add((&Weights{}).Bytes())
	f.Add((&Weights{Tensors: []Tensor{
		{Name: "features.0.weight", Shape: []int{2, 1, 1, 1}, Data: []float32{1, float32(math.NaN())}},
		{Name: "b", Shape: nil, Data: []float32{float32(math.Inf(-1))}},
	}}).Bytes())
	f.Add(file(pad(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := Parse(b)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "MF-WEIGHTS-") {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		if !bytes.Equal(w.Bytes(), b) {
			t.Fatal("taken, but written back as other bytes")
		}
	})
}

// TestFinite: the first tensor that holds NaN or an infinity is named, the largest
// and smallest numbers are finite.
func TestFinite(t *testing.T) {
	w := &Weights{Tensors: []Tensor{
		{Name: "a", Shape: []int{4}, Data: []float32{0, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}},
		{Name: "b", Shape: []int{1}, Data: []float32{1}},
		{Name: "c", Shape: []int{1}, Data: []float32{1}},
	}}
	if name, ok := w.Finite(); !ok || name != "" {
		t.Errorf("%q is not finite", name)
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		w.Tensors[1].Data[0], w.Tensors[2].Data[0] = float32(v), float32(v)
		if name, ok := w.Finite(); ok || name != "b" {
			t.Errorf("%v is taken for finite, or found in %q", v, name)
		}
	}
}
