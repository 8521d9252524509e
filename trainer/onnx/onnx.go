// Package onnx writes neural networks in the Open Neural Network Exchange format, which
// runtimes of many makers read. It knows the format and no model: plain values go in, and
// the bytes of a file come out.
//
// The format is that of onnx.proto in ONNX 1.8.0 (https://github.com/onnx/onnx, tag
// v1.8.0; what it means stands in docs/IR.md there): version 7 of the intermediate
// representation, operators of set 13. Runtimes since the end of 2020 read it. All values
// are float32.
package onnx

import (
	"bufio"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// What a file is written in.
const (
	IRVersion = 7  // of the intermediate representation
	Opset     = 13 // version of the operators
)

// Batch is the size of a dimension that is whatever a caller brings, under the name
// BatchName.
const (
	Batch     = -1
	BatchName = "N"
)

// Model is a graph and what is said of it.
type Model struct {
	Producer string // the program that made it
	Doc      string // for a person
	Metadata []Property
	Graph    Graph
}

// Property is a text under a name.
type Property struct{ Key, Value string }

// Graph is operators with their constants. Nodes, inputs, outputs and constants know each
// other by the names of values; a node stands behind those whose values it takes.
type Graph struct {
	Name            string
	Inputs, Outputs []Value
	Nodes           []Node
	Constants       []Tensor
}

// Value is an input or output of a graph.
type Value struct {
	Name, Doc string
	Shape     []int // may hold Batch
}

// Node is one use of an operator, of one output.
type Node struct {
	Op         string // its name in docs/Operators.md of ONNX
	Inputs     []string
	Output     string
	Attributes []Attribute
}

// Attribute is a constant of an operator: an int, a []int or a float32.
type Attribute struct {
	Name  string
	Value any
}

// Tensor is a constant, in C order. Its shape is empty for a scalar.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// The numbers of fields and types, as onnx.proto has them.
const (
	modelIRVersion, modelProducer, modelDoc, modelGraph, modelOpset, modelMetadata = 1, 2, 6, 7, 8, 14

	graphNode, graphName, graphConstant, graphInput, graphOutput = 1, 2, 5, 11, 12

	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttribute = 1, 2, 3, 4, 5

	attributeName, attributeFloat, attributeInt, attributeInts, attributeType = 1, 2, 3, 8, 20
	typeFloat, typeInt, typeInts                                              = 1, 2, 7

	tensorDims, tensorType, tensorName, tensorRaw = 1, 2, 8, 9
	float32Type                                   = 1

	valueName, valueType, valueDoc             = 1, 2, 3
	typeTensor, tensorElement, tensorShape     = 1, 1, 2
	shapeDimension, dimensionSize, dimensionOf = 1, 1, 2

	opsetVersion, entryKey, entryValue = 2, 1, 2
)

// WriteTo writes the file. The same model gives the same bytes.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	all := m.encode()
	out := bufio.NewWriter(w)
	for _, p := range all.pieces {
		if _, err := out.Write(p.bytes); err != nil {
			return 0, err
		}
		for _, v := range p.floats {
			if _, err := out.Write(appendFloat(out.AvailableBuffer(), v)); err != nil {
				return 0, err
			}
		}
	}
	return int64(all.size), out.Flush()
}

func (m *Model) encode() (out message) {
	var opset message
	opset.number(opsetVersion, Opset)
	out.number(modelIRVersion, IRVersion)
	out.text(modelProducer, m.Producer)
	out.text(modelDoc, m.Doc)
	out.embed(modelGraph, m.Graph.encode())
	out.embed(modelOpset, opset)
	for _, p := range m.Metadata {
		var entry message
		entry.text(entryKey, p.Key)
		entry.text(entryValue, p.Value)
		out.embed(modelMetadata, entry)
	}
	return out
}

func (g *Graph) encode() (out message) {
	for _, n := range g.Nodes {
		out.embed(graphNode, n.encode())
	}
	out.text(graphName, g.Name)
	for _, t := range g.Constants {
		out.embed(graphConstant, t.encode())
	}
	for _, v := range g.Inputs {
		out.embed(graphInput, v.encode())
	}
	for _, v := range g.Outputs {
		out.embed(graphOutput, v.encode())
	}
	return out
}

func (n *Node) encode() (out message) {
	for _, name := range n.Inputs {
		out.text(nodeInput, name)
	}
	out.text(nodeOutput, n.Output)
	out.text(nodeName, n.Output)
	out.text(nodeOp, n.Op)
	for _, a := range n.Attributes {
		out.embed(nodeAttribute, a.encode())
	}
	return out
}

// encode panics where the value is of no type that an attribute can have here.
func (a *Attribute) encode() (out message) {
	out.text(attributeName, a.Name)
	switch v := a.Value.(type) {
	case int:
		out.number(attributeInt, v)
		out.number(attributeType, typeInt)
	case []int:
		for _, n := range v {
			out.number(attributeInts, n)
		}
		out.number(attributeType, typeInts)
	case float32:
		out.float(attributeFloat, v)
		out.number(attributeType, typeFloat)
	default:
		panic(fmt.Sprintf("attribute %s is a %T", a.Name, a.Value))
	}
	return out
}

func (t *Tensor) encode() (out message) {
	for _, n := range t.Shape {
		out.number(tensorDims, n)
	}
	out.number(tensorType, float32Type)
	out.text(tensorName, t.Name)
	out.values(tensorRaw, t.Data)
	return out
}

func (v *Value) encode() (out message) {
	var shape, tensor, kind message
	for _, n := range v.Shape {
		var dimension message
		if n == Batch {
			dimension.text(dimensionOf, BatchName)
		} else {
			dimension.number(dimensionSize, n)
		}
		shape.embed(shapeDimension, dimension)
	}
	tensor.number(tensorElement, float32Type)
	tensor.embed(tensorShape, shape)
	kind.embed(typeTensor, tensor)
	out.text(valueName, v.Name)
	out.embed(valueType, kind)
	out.text(valueDoc, v.Doc)
	return out
}

// message is a message of protocol buffers in pieces, so that the values of large tensors
// are copied when they are written, and not before.
type message struct {
	pieces []piece
	size   int // bytes
}

// piece is bytes and behind them values.
type piece struct {
	bytes  []byte
	floats []float32
}

// add lets bytes follow.
func (m *message) add(b []byte) {
	m.pieces = append(m.pieces, piece{bytes: b})
	m.size += len(b)
}

func (m *message) number(field protowire.Number, v int) {
	m.add(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), uint64(v)))
}

func (m *message) float(field protowire.Number, v float32) {
	m.add(appendFloat(protowire.AppendTag(nil, field, protowire.Fixed32Type), v))
}

func (m *message) text(field protowire.Number, s string) {
	m.add(protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s))
}

// values are raw bytes, in little-endian order.
func (m *message) values(field protowire.Number, data []float32) {
	m.add(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.BytesType), uint64(4*len(data))))
	m.pieces[len(m.pieces)-1].floats = data
	m.size += 4 * len(data)
}

func (m *message) embed(field protowire.Number, inner message) {
	m.add(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.BytesType), uint64(inner.size)))
	m.pieces = append(m.pieces, inner.pieces...)
	m.size += inner.size
}

func appendFloat(b []byte, v float32) []byte {
	return protowire.AppendFixed32(b, math.Float32bits(v))
}
