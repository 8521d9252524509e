package model

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/onnx"
	"github.com/medfed/medfed/trainer/weights"
)

// The names of what a model in ONNX takes and gives, and of what is said of it besides.
const (
	ONNXPixels        = "pixels"        // [N, channels, size, size]
	ONNXProbabilities = "probabilities" // [N, classes]

	onnxDescription = descriptionKey // the description, as JSON
	onnxClasses     = "classes"      // what the outputs mean, as a JSON list
	onnxDigest      = "digest"       // of the weights, as the ledger has it
	onnxNotice      = "notice"
)

// Notice stands on everything that a model says of a person's image.
const Notice = "not for diagnosis"

// ONNX is the whole function of the described model, from pixels to probabilities: what
// says how a pixel becomes a number, the frozen backbone where there is one, and w. Only
// decoding a file and bringing an image to size are left to whoever runs it. digest is
// that of the weights on the ledger. backbone is nil for a model without one. Errors:
// those of [Spec.Validate] and [dataset.Input.Check], MF-MODEL-DESCRIPTION and MF-WEIGHTS-INCOMPATIBLE.
func (d Description) ONNX(w, backbone *weights.Weights, digest string) (*onnx.Model, error) {
	spec := d.Spec()
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := d.Input.Check(); err != nil {
		return nil, err
	}
	if err := spec.check(w); err != nil {
		return nil, err
	}
	frozen, _ := spec.backbone()
	if spec.Frozen() {
		if err := check(frozen, backbone); err != nil {
			return nil, err
		}
	}
	if err := d.checkTemperature(); err != nil {
		return nil, codes.Wrapf("MF-MODEL-DESCRIPTION", "the model has a temperature that no calibration gives: %w", err)
	}
	metadata, err := d.onnxMetadata(digest)
	if err != nil {
		return nil, err
	}
	t := &translation{graph: onnx.Graph{
		Name:    spec.Name,
		Inputs:  []onnx.Value{{Name: ONNXPixels, Doc: d.pixelsInWords(), Shape: []int{onnx.Batch, d.Channels, d.Size, d.Size}}},
		Outputs: []onnx.Value{{Name: ONNXProbabilities, Doc: "of the classes, in their order; " + Notice, Shape: []int{onnx.Batch, spec.Classes}}},
	}}
	if err := t.translate(d, w, backbone); err != nil {
		return nil, fmt.Errorf("%s in ONNX: %w", spec.Name, err)
	}
	return &onnx.Model{
		Producer: "medfed", Doc: fmt.Sprintf("%s for images of %d×%d×%d; %s", spec.Name, d.Size, d.Size, d.Channels, Notice),
		Metadata: metadata, Graph: t.graph,
	}, nil
}

// onnxMetadata are the texts that the file has beside the graph.
func (d Description) onnxMetadata(digest string) ([]onnx.Property, error) {
	description, err := json.Marshal(d)
	if err != nil {
		return nil, codes.Wrapf("MF-WRITE-MODEL", "the model can't be described: %w; report this", err)
	}
	classes, err := json.Marshal(d.Classes)
	if err != nil {
		return nil, codes.Wrapf("MF-WRITE-MODEL", "the classes can't be described: %w; report this", err)
	}
	return []onnx.Property{
		{Key: onnxDescription, Value: string(description)}, {Key: onnxClasses, Value: string(classes)},
		{Key: onnxDigest, Value: digest}, {Key: onnxNotice, Value: Notice},
	}, nil
}

// WriteONNX writes what ONNX gives, whole or not at all. The error is MF-WRITE-MODEL.
func WriteONNX(path string, m *onnx.Model) error {
	return writeModel(path, func(w io.Writer) error {
		_, err := m.WriteTo(w)
		return err
	})
}

// windowed reports whether the graph has a window of stored values. That of a file's own
// is not known here.
func (d Description) windowed() bool {
	return d.Input.Window != dataset.Window{} && !d.Input.OwnWindow
}

// pixelsInWords says what the graph takes.
func (d Description) pixelsInWords() string {
	fit := fmt.Sprintf("the image brought to size (fit: %s)", d.Input.Whole(d.Channels).Fit)
	switch {
	case d.windowed():
		w := d.Input.Window
		return fmt.Sprintf("%s; stored values, of which %v is black and %v is white (of a file with black and white exchanged, as MONOCHROME1: %v less the stored value)", fit, w.Low, w.High, w.Low+w.High)
	case d.Input.OwnWindow:
		return fit + "; from 0, black, to 1, white, by the window that the file names"
	}
	return fit + "; from 0, black, to 1, white, of all that the file's depth can hold"
}

// translation is a model on its way to ONNX. A value has the name of the layer that gives
// it, or of the operator and a number.
type translation struct {
	graph   onnx.Graph
	prefix  string // of the names of the tensors
	tensors *weights.Weights
	frozen  bool // batch normalisations are folded into the convolutions, as [Extractor] does it
}

// translate adds everything between pixels and probabilities.
func (t *translation) translate(d Description, w, backbone *weights.Weights) error {
	spec := d.Spec()
	x, err := t.number(d), error(nil)
	if backbone != nil && spec.Frozen() {
		t.prefix, t.tensors, t.frozen = "backbone.", backbone, true
		if x, err = t.addAll(spec.architecture().backbone(), x); err != nil {
			return err
		}
		t.frozen = false
	}
	member, count := spec.member()
	var logits []string
	for i, own := range spec.membersOf(w) {
		t.prefix, t.tensors = "", own
		if count > 1 {
			t.prefix = fmt.Sprintf("members.%d.", i)
		}
		y, err := t.addAll(member.layers(), x)
		if err != nil {
			return err
		}
		logits = append(logits, y)
	}
	t.answer(logits, d.Temperature)
	t.graph.Nodes[len(t.graph.Nodes)-1].Output = ONNXProbabilities
	return nil
}

// answer adds what makes probabilities of the logits of one network or of an ensemble's,
// calibrated where there is a temperature, as [metrics.Tempered] does it: with logarithms
// that end at that of the smallest float32.
func (t *translation) answer(logits []string, temperature float64) {
	const smallest = math.SmallestNonzeroFloat32
	axis := onnx.Attribute{Name: "axis", Value: 1}
	calibrated := temperature != 0 && temperature != 1
	var x string
	switch {
	case len(logits) == 1 && calibrated:
		x = t.add("Clip", []string{t.add("LogSoftmax", logits, axis), t.constant("least", []float32{float32(math.Log(smallest))})})
	case len(logits) == 1:
		t.add("Softmax", logits, axis)
	default:
		var all []string
		for _, of := range logits {
			all = append(all, t.add("Softmax", []string{of}, axis))
		}
		x = t.add("Mean", all)
		if calibrated {
			x = t.add("Log", []string{t.add("Clip", []string{x, t.constant("least", []float32{smallest})})})
		}
	}
	if calibrated {
		t.add("Softmax", []string{t.add("Div", []string{x, t.constant("temperature", []float32{float32(temperature)})})}, axis)
	}
}

// number adds what makes numbers of pixels, as [dataset.Input] says it.
func (t *translation) number(d Description) string {
	in, x := d.Input.Whole(d.Channels), ONNXPixels
	scalar := func(name string, v float64) string { return t.constant(name, []float32{float32(v)}) }
	channels := func(name string, v []float64) string {
		data := make([]float32, len(v))
		for i, f := range v {
			data[i] = float32(f)
		}
		return t.constant(name, data, len(v), 1, 1)
	}
	if d.windowed() {
		w := in.Window
		x = t.add("Sub", []string{x, scalar("window.low", w.Low)})
		x = t.add("Div", []string{x, scalar("window.width", w.High-w.Low)})
		x = t.add("Clip", []string{x, scalar("window.black", 0), scalar("window.white", 1)})
	}
	if in.Inverted {
		x = t.add("Sub", []string{scalar("inverted.white", 1), x})
	}
	x = t.add("Sub", []string{x, channels("mean", in.Mean)})
	return t.add("Div", []string{x, channels("std", in.Std)})
}

// add adds a node and returns the name of its value.
func (t *translation) add(op string, inputs []string, attributes ...onnx.Attribute) string {
	name := fmt.Sprintf("%s_%d", op, len(t.graph.Nodes))
	t.graph.Nodes = append(t.graph.Nodes, onnx.Node{Op: op, Inputs: inputs, Output: name, Attributes: attributes})
	return name
}

// constant adds a constant and returns its name.
func (t *translation) constant(name string, data []float32, shape ...int) string {
	t.graph.Constants = append(t.graph.Constants, onnx.Tensor{Name: name, Shape: shape, Data: data})
	return name
}

// tensor adds a tensor of the weights as a constant.
func (t *translation) tensor(name string) string {
	found := t.tensors.Find(name)
	return t.constant(t.prefix+name, found.Data, found.Shape...)
}

// addAll adds layers behind x, one behind the other. Images are NCHW here, as PyTorch has
// them.
func (t *translation) addAll(layers []layer, x string) (string, error) {
	for len(layers) > 0 {
		first := layers[0]
		layers = layers[1:]
		switch l := first.(type) {
		case conv:
			if t.frozen {
				x, layers = t.convolveFolded(l, layers, x)
			} else {
				x = t.convolve(l, x)
			}
		case norm:
			x = t.normalise(l, x)
		case featureNorm:
			x = t.standardise(l, x)
		case relu:
			x = t.add("Relu", []string{x})
		case maxPool:
			x = t.pool(l, x)
		case globalPool:
			x = t.add("Flatten", []string{t.add("GlobalAveragePool", []string{x})}, onnx.Attribute{Name: "axis", Value: 1})
		case flatten:
			x = t.add("Flatten", []string{x}, onnx.Attribute{Name: "axis", Value: 1})
		case linear:
			x = t.add("Gemm", []string{x, t.tensor(l.name + ".weight"), t.tensor(l.name + ".bias")}, onnx.Attribute{Name: "transB", Value: 1})
		case dropout: // does nothing where nothing is learned
		case residual:
			y, err := t.addAll(l.body, x)
			if err != nil {
				return "", err
			}
			if x, err = t.addAll(l.shortcut, x); err != nil {
				return "", err
			}
			x = t.add("Relu", []string{t.add("Add", []string{y, x})})
		default:
			return "", fmt.Errorf("a %T has no form in ONNX", l)
		}
	}
	return x, nil
}

func (t *translation) convolve(c conv, x string) string {
	inputs := []string{x, t.tensor(c.name + ".weight")}
	if c.bias {
		inputs = append(inputs, t.tensor(c.name+".bias"))
	}
	return t.add("Conv", inputs, window(c.kernel, c.stride, c.padding)...)
}

// convolveFolded adds a convolution with what follows it folded in, and gives what is left of
// rest. So runtimes compute with the same rounded weights as medfed.
func (t *translation) convolveFolded(c conv, rest []layer, x string) (string, []layer) {
	f, rest := folded(c, rest, func(name string) []float32 {
		if found := t.tensors.Find(name); found != nil {
			return found.Data
		}
		return nil
	})
	name := t.prefix + c.name
	x = t.add("Conv", []string{
		x, t.constant(name+".weight", f.weight, t.tensors.Find(c.name+".weight").Shape...), t.constant(name+".bias", f.shift, c.filters),
	}, window(c.kernel, c.stride, c.padding)...)
	if f.relu {
		x = t.add("Relu", []string{x})
	}
	return x, rest
}

func (t *translation) pool(p maxPool, x string) string {
	return t.add("MaxPool", []string{x}, window(p.window, p.stride, p.padding)...)
}

// window are the attributes of what slides a square over an image.
func window(size, stride, padding int) []onnx.Attribute {
	return []onnx.Attribute{
		{Name: "kernel_shape", Value: []int{size, size}},
		{Name: "pads", Value: []int{padding, padding, padding, padding}},
		{Name: "strides", Value: []int{stride, stride}},
	}
}

func (t *translation) normalise(m norm, x string) string {
	inputs := []string{x}
	for _, of := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		inputs = append(inputs, t.tensor(m.name+of))
	}
	x = t.add("BatchNormalization", inputs, onnx.Attribute{Name: "epsilon", Value: float32(kernel.Epsilon)})
	if m.relu {
		x = t.add("Relu", []string{x})
	}
	if m.pool {
		x = t.pool(maxPool{2, 2, 0}, x)
	}
	return x
}

// standardise brings features to mean 0 and variance 1, and to 0 where the variance is 0.
func (t *translation) standardise(m featureNorm, x string) string {
	variance := t.tensors.Find(m.name + ".running_var").Data
	scale := make([]float32, len(variance))
	for i, v := range variance {
		if v != 0 {
			scale[i] = float32(1 / math.Sqrt(float64(v)))
		}
	}
	x = t.add("Sub", []string{x, t.tensor(m.name + ".running_mean")})
	return t.add("Mul", []string{x, t.constant(t.prefix+m.name+".scale", scale, len(scale))})
}
