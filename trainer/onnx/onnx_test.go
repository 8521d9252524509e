package onnx_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/medfed/medfed/trainer/onnx"
)

// fields are those of a message by their numbers, in their order: uint64 of a varint,
// uint32 of a fixed32, and []byte.
type fields map[protowire.Number][]any

// parse reads a message and refuses what is none.
func parse(t testing.TB, b []byte) fields {
	t.Helper()
	all := fields{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		var v any
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			v, n = protowire.ConsumeFixed32(b)
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		default:
			t.Fatalf("field %d is of the kind %d, which ONNX does not have here", number, kind)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b, all[number] = b[n:], append(all[number], v)
	}
	return all
}

func (f fields) messages(t testing.TB, number protowire.Number) (all []fields) {
	t.Helper()
	for _, v := range f[number] {
		all = append(all, parse(t, v.([]byte)))
	}
	return all
}

func (f fields) texts(number protowire.Number) (all []string) {
	for _, v := range f[number] {
		all = append(all, string(v.([]byte)))
	}
	return all
}

func (f fields) text(number protowire.Number) string {
	if all := f.texts(number); len(all) > 0 {
		return all[0]
	}
	return ""
}

func (f fields) numbers(number protowire.Number) (all []int) {
	for _, v := range f[number] {
		all = append(all, int(v.(uint64)))
	}
	return all
}

// read is the opposite of WriteTo, with the numbers of onnx.proto written down a second
// time. It holds what the file says of itself against what every file here must say.
func read(t testing.TB, b []byte) *onnx.Model {
	t.Helper()
	file := parse(t, b)
	if got := file.numbers(1); !reflect.DeepEqual(got, []int{7}) {
		t.Errorf("ir_version is %v", got)
	}
	sets := file.messages(t, 8)
	if len(sets) != 1 || sets[0].text(1) != "" || !reflect.DeepEqual(sets[0].numbers(2), []int{13}) {
		t.Errorf("opset_import is %v", sets)
	}
	m := &onnx.Model{Producer: file.text(2), Doc: file.text(6)}
	for _, entry := range file.messages(t, 14) {
		m.Metadata = append(m.Metadata, onnx.Property{Key: entry.text(1), Value: entry.text(2)})
	}
	graphs := file.messages(t, 7)
	if len(graphs) != 1 {
		t.Fatalf("%d graphs", len(graphs))
	}
	m.Graph.Name = graphs[0].text(2)
	for _, v := range graphs[0].messages(t, 11) {
		m.Graph.Inputs = append(m.Graph.Inputs, readValue(t, v))
	}
	for _, v := range graphs[0].messages(t, 12) {
		m.Graph.Outputs = append(m.Graph.Outputs, readValue(t, v))
	}
	for _, v := range graphs[0].messages(t, 5) {
		m.Graph.Constants = append(m.Graph.Constants, readTensor(t, v))
	}
	for _, v := range graphs[0].messages(t, 1) {
		m.Graph.Nodes = append(m.Graph.Nodes, readNode(t, v))
	}
	return m
}

func readValue(t testing.TB, v fields) onnx.Value {
	t.Helper()
	tensor := v.messages(t, 2)[0].messages(t, 1)[0]
	if got := tensor.numbers(1); !reflect.DeepEqual(got, []int{1}) {
		t.Errorf("the elements of %s are of type %v, not float", v.text(1), got)
	}
	out := onnx.Value{Name: v.text(1), Doc: v.text(3)}
	for _, dimension := range tensor.messages(t, 2)[0].messages(t, 1) {
		size := onnx.Batch
		if name := dimension.text(2); name == "" {
			size = dimension.numbers(1)[0]
		} else if name != "N" {
			t.Errorf("a dimension of %s is called %q", v.text(1), name)
		}
		out.Shape = append(out.Shape, size)
	}
	return out
}

func readTensor(t testing.TB, v fields) onnx.Tensor {
	t.Helper()
	out := onnx.Tensor{Name: v.text(8), Shape: v.numbers(1)}
	if got := v.numbers(2); !reflect.DeepEqual(got, []int{1}) {
		t.Errorf("%s is of type %v, not float", out.Name, got)
	}
	raw := v[9][0].([]byte)
	for ; len(raw) >= 4; raw = raw[4:] {
		out.Data = append(out.Data, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	if len(raw) != 0 {
		t.Errorf("%s has %d bytes too many", out.Name, len(raw))
	}
	return out
}

func readNode(t testing.TB, v fields) onnx.Node {
	t.Helper()
	out := onnx.Node{Op: v.text(4), Inputs: v.texts(1), Output: v.text(2)}
	if v.text(3) == "" || len(v[2]) != 1 {
		t.Errorf("node %s has the name %q and %d outputs", out.Op, v.text(3), len(v[2]))
	}
	for _, a := range v.messages(t, 5) {
		attribute := onnx.Attribute{Name: a.text(1)}
		switch a.numbers(20)[0] {
		case 1:
			attribute.Value = math.Float32frombits(a[2][0].(uint32))
		case 2:
			attribute.Value = a.numbers(3)[0]
		case 7:
			attribute.Value = a.numbers(8)
		default:
			t.Errorf("attribute %s is of type %v", attribute.Name, a.numbers(20))
		}
		out.Attributes = append(out.Attributes, attribute)
	}
	return out
}

// written is a model's file.
func written(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes, said to be %d: %v", b.Len(), n, err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	m := &onnx.Model{
		Producer: "p", Doc: "söme words", Metadata: []onnx.Property{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}},
		Graph: onnx.Graph{
			Name:    "g",
			Inputs:  []onnx.Value{{Name: "x", Doc: "in", Shape: []int{onnx.Batch, 3, 300}}},
			Outputs: []onnx.Value{{Name: "y", Shape: []int{onnx.Batch, 2}}},
			Nodes: []onnx.Node{
				{Op: "Clip", Inputs: []string{"x", "low", "w"}, Output: "z"},
				{Op: "Conv", Inputs: []string{"z", "w"}, Output: "y", Attributes: []onnx.Attribute{{Name: "i", Value: -1}, {Name: "is", Value: []int{1, 2, 300}}, {Name: "f", Value: float32(1e-5)}}},
			},
			Constants: []onnx.Tensor{{Name: "low", Data: []float32{-0.5}}, {Name: "w", Shape: []int{2, 1}, Data: []float32{1, float32(math.Inf(1))}}},
		},
	}
	if got := read(t, written(t, m)); !reflect.DeepEqual(got, m) {
		t.Errorf("wrote %+v, read %+v", m, got)
	}
}

// full fails to be written to.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestAFullDiskIsTold(t *testing.T) {
	m := &onnx.Model{Graph: onnx.Graph{Constants: []onnx.Tensor{{Name: "w", Shape: []int{5000}, Data: make([]float32, 5000)}}}}
	if _, err := m.WriteTo(full{}); err == nil {
		t.Error("written to where nothing can be")
	}
}
