package kernel

// Everything that multiplies matrices (convolution forward and both gradients,
// linear layers) is cut into tiles of at most maxRows rows and one or two panels
// of 16 columns, so that a tile's result stays in vector registers.

const (
	panel   = 16 // columns of a panel
	maxRows = 12 // rows of the largest tile
)

// segment is one stretch of the summed index: offsets, in elements, into the
// tile's a and b. A convolution has one segment for each row of its window.
type segment struct{ a, b int }

// tile is the argument of a tile kernel, which computes for rows r and columns j
//
//	c[r*cRow+j] = init[j] + Σ_s Σ_k a[s.a + r*aRow + k*aStep] * b[s.b + k*bStep + j]
//
// over segments s in order and 0 <= k < depth, each product fused into the sum.
// Columns 16..31 of b lie at a distance of bPanel from columns 0..15. An empty
// init is zero. Then extra[r*cRow+j] is added, unless extra is empty; it may be c, as
// c was before. With relu set what is below zero becomes zero. Offsets are in elements.
//
// The assembly knows the offsets of these fields; TestLayout checks them.
type tile struct {
	a, b, c, init       []float32
	segments            []segment
	aRow, aStep, bStep  int
	bPanel, cRow, depth int
	extra               []float32
	relu                bool
}

// fill computes all rows of the columns col .. col+width of a product with cols
// columns in all; a, b, c and init of w.tile belong to the whole product's first
// element. Columns past cols are computed and dropped.
func (w *worker) fill(rows, col, width, cols int) {
	whole := w.tile
	t := &w.tile
	t.b = whole.b[col/panel*whole.bPanel:]
	if len(whole.init) > 0 {
		t.init = whole.init[col:]
	}
	tiles := tilesOf(rows)
	// A division takes as long as a small tile, so there is one for all tiles.
	each, larger := rows/tiles, rows%tiles
	for i, row := 0, 0; i < tiles; i++ {
		n := each
		if i < larger {
			n++
		}
		t.a = whole.a[row*whole.aRow:]
		at := row*whole.cRow + col
		row += n
		if col+width <= cols {
			t.c = whole.c[at:]
			if len(whole.extra) > 0 {
				t.extra = whole.extra[at:]
			}
			multiply(t, n, width/panel)
			continue
		}
		t.c, t.cRow, t.extra, t.relu = w.edge[:], width, nil, false
		multiply(t, n, width/panel)
		for r := range n {
			line := w.edge[r*width:][:cols-col]
			if len(whole.extra) > 0 {
				addRow(line, whole.extra[at+r*whole.cRow:])
			}
			if whole.relu {
				clip(line)
			}
			copy(whole.c[at+r*whole.cRow:], line)
		}
	}
	w.tile = whole
}

// product computes a whole product of rows times cols from w.tile.
func (w *worker) product(rows, cols int) {
	for col := 0; col < cols; {
		width := block(cols - col)
		w.fill(rows, col, width, cols)
		col += width
	}
}

// block is the number of columns to compute at once when left are left to do.
func block(left int) int {
	if left > panel {
		return panel * tilePanels()
	}
	return panel
}

// multiplyPlain is the tile kernel in plain Go.
func multiplyPlain(t *tile, rows, panels int) {
	var held heldExtra
	extra := held.hold(t, rows, panels)
	for p := range panels {
		for r := range rows {
			var sum [panel]float32
			if len(t.init) > 0 {
				copy(sum[:], t.init[p*panel:])
			}
			for _, s := range t.segments {
				a, b := s.a+r*t.aRow, s.b+p*t.bPanel
				for range t.depth {
					fmaRow(&sum, t.a[a], t.b[b:])
					a += t.aStep
					b += t.bStep
				}
			}
			copy(t.c[r*t.cRow+p*panel:], sum[:])
		}
	}
	finish(t, rows, panels, extra)
}

// heldExtra has room for the extra of a tile.
type heldExtra [maxRows * 2 * panel]float32

// hold copies a tile's extra, in rows of whole panels: it may lie where the result
// goes. The result is nil where there is none.
func (h *heldExtra) hold(t *tile, rows, panels int) []float32 {
	if len(t.extra) == 0 {
		return nil
	}
	for r := range rows {
		copy(h[r*panels*panel:][:panels*panel], t.extra[r*t.cRow:])
	}
	return h[:rows*panels*panel]
}

// finish is the end of a tile kernel in plain Go: the extra that was held, and ReLU.
func finish(t *tile, rows, panels int, extra []float32) {
	if extra == nil && !t.relu {
		return
	}
	for r := range rows {
		sums := t.c[r*t.cRow:][:panels*panel]
		if extra != nil {
			addRow(sums, extra[r*panels*panel:])
		}
		if t.relu {
			clip(sums)
		}
	}
}

// clip sets what is below zero to zero. A NaN stays one.
func clip(v []float32) {
	for i, f := range v {
		if f < 0 {
			v[i] = 0
		}
	}
}

// panels rounds a number of columns up to whole panels.
func panels(cols int) int { return (cols + panel - 1) / panel * panel }

// widen copies rows of cols elements to rows of whole panels in dst, whose
// remaining columns it leaves as they are.
func widen(dst, src []float32, rows, cols int) {
	wide := panels(cols)
	for r := range rows {
		copy(dst[r*wide:], src[r*cols:(r+1)*cols])
	}
}
