package kernel

import "fmt"

// Linear is a fully connected layer and its gradients, for up to a fixed number
// of rows.
type Linear struct {
	inputs, outputs int
	packed          []float32 // weights as [panel of outputs][input][16]
	bias            []float32 // padded to whole panels
	wideWeight      []float32 // weights and input with rows of whole panels;
	wideInput       []float32 // empty when inputs already are whole panels

	// What the operation under way works on, and its parallel parts. They are made
	// once, because to make one is an allocation.
	weight               []float32
	whole                tile
	rows, cols           int
	packPiece, tilePiece func(w *worker, i int)
}

// NewLinear makes a layer from inputs to outputs for up to batch rows.
func NewLinear(batch, inputs, outputs int) (*Linear, error) {
	if batch < 1 || inputs < 1 || outputs < 1 {
		return nil, fmt.Errorf("linear layer of %d rows, %d inputs, %d outputs: every size must be at least 1", batch, inputs, outputs)
	}
	l := &Linear{inputs: inputs, outputs: outputs}
	l.packPiece, l.tilePiece = l.packPanel, l.tileRows
	l.packed = make([]float32, inputs*panels(outputs))
	l.bias = make([]float32, panels(outputs))
	if inputs%panel != 0 {
		l.wideWeight = make([]float32, outputs*panels(inputs))
		l.wideInput = make([]float32, batch*panels(inputs))
	}
	return l, nil
}

// Forward computes out [n][outputs] = in [n][inputs] · weightᵀ + bias, with
// weight [outputs][inputs].
func (l *Linear) Forward(n int, out, in, weight, bias []float32) {
	l.weight = weight
	parallel(panels(l.outputs)/panel, l.packPiece)
	copy(l.bias, bias)
	l.product(n, l.outputs, tile{
		a: in, b: l.packed, c: out, init: l.bias,
		aRow: l.inputs, aStep: 1, bStep: panel, bPanel: l.inputs * panel, cRow: l.outputs, depth: l.inputs,
	})
}

// packPanel lays the weights of a panel of outputs out.
func (l *Linear) packPanel(_ *worker, p int) {
	to := l.packed[p*l.inputs*panel:]
	first, last := p*panel, min(l.outputs, (p+1)*panel)
	for ; first+8 <= last; first += 8 {
		packEight(to[first%panel:], l.weight[first*l.inputs:], l.inputs)
	}
	for o := first; o < last; o++ {
		for i, v := range l.weight[o*l.inputs : (o+1)*l.inputs] {
			to[i*panel+o%panel] = v
		}
	}
}

// packEight is packPanel for eight outputs at once: what it writes lies together.
func packEight(to, rows []float32, n int) {
	a, b, c, d := rows[:n], rows[n:][:n], rows[2*n:][:n], rows[3*n:][:n]
	e, f, g, h := rows[4*n:][:n], rows[5*n:][:n], rows[6*n:][:n], rows[7*n:][:n]
	for i := range a {
		t := (*[8]float32)(to[i*panel:])
		t[0], t[1], t[2], t[3] = a[i], b[i], c[i], d[i]
		t[4], t[5], t[6], t[7] = e[i], f[i], g[i], h[i]
	}
}

// InputGradient computes gradIn [n][inputs] = gradOut [n][outputs] · weight.
func (l *Linear) InputGradient(n int, gradIn, gradOut, weight []float32) {
	l.product(n, l.inputs, tile{
		a: gradOut, b: l.wide(l.wideWeight, weight, l.outputs), c: gradIn,
		aRow: l.outputs, aStep: 1, bStep: panels(l.inputs), bPanel: panel, cRow: l.inputs, depth: l.outputs,
	})
}

// WeightGradient computes gradWeight [outputs][inputs] = gradOutᵀ · in and
// gradBias, the sum of gradOut's rows.
func (l *Linear) WeightGradient(n int, gradWeight, gradBias, gradOut, in []float32) {
	l.product(l.outputs, l.inputs, tile{
		a: gradOut, b: l.wide(l.wideInput, in, n), c: gradWeight,
		aRow: 1, aStep: l.outputs, bStep: panels(l.inputs), bPanel: panel, cRow: l.inputs, depth: n,
	})
	clear(gradBias)
	for i := range n {
		for o, v := range gradOut[i*l.outputs : (i+1)*l.outputs] {
			gradBias[o] += v
		}
	}
}

// wide returns rows of inputs padded to whole panels.
func (l *Linear) wide(buffer, rows []float32, n int) []float32 {
	if buffer == nil {
		return rows
	}
	widen(buffer, rows, n, l.inputs)
	return buffer
}

// product computes one product, its rows shared out among the processors.
func (l *Linear) product(rows, cols int, t tile) {
	l.rows, l.cols, l.whole = rows, cols, t
	parallel(l.chunks(), l.tilePiece)
}

// chunks is the number of parallel parts of a product.
func (l *Linear) chunks() int { return (l.rows + maxRows - 1) / maxRows }

// tileRows computes some rows of the product.
func (l *Linear) tileRows(w *worker, i int) {
	first, last := i*l.rows/l.chunks(), (i+1)*l.rows/l.chunks()
	w.tile = l.whole
	w.tile.segments = append(w.segmentSpace(1), segment{})
	w.tile.a, w.tile.c = l.whole.a[first*l.whole.aRow:], l.whole.c[first*l.whole.cRow:]
	w.product(last-first, l.cols)
}
