package kernel

// The transforms in plain Go, for the channels from .. to-1.

// winogradInputPlain transforms a tile of pixels for the channels from .. to-1.
func winogradInputPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [nPlanes]float32
		for j := range tileIn {
			var d [tileIn]float32
			for i := range d {
				d[i] = t.in[i*t.row+j*t.step+c]
			}
			for i, v := range transformInput(d) {
				half[i*tileIn+j] = v
			}
		}
		for i := range tileIn {
			for j, v := range transformInput([tileIn]float32(half[i*tileIn:])) {
				t.out[(i*tileIn+j)*t.plane+c] = v
			}
		}
	}
}

// winogradOutputPlain transforms the sums of a tile for the channels from .. to-1.
func winogradOutputPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [tileOut][tileIn]float32
		for j := range tileIn {
			var m [tileIn]float32
			for i := range m {
				m[i] = t.in[(i*tileIn+j)*t.plane+c]
			}
			for i, v := range transformOutput(m) {
				half[i][j] = v
			}
		}
		for i, row := range half {
			for j, v := range transformOutput(row) {
				v += t.bias[c]
				t.spoil(v)
				if v < t.floor {
					v = t.floor
				}
				t.out[i*t.row+j*t.step+c] = v
			}
		}
	}
}

// transformInput transforms six pixels of a row or column.
func transformInput(d [tileIn]float32) [tileIn]float32 {
	p, q := fma32(-4, d[2], d[4]), fma32(-4, d[1], d[3])
	r, s := d[4]-d[2], d[3]-d[1]
	return [tileIn]float32{
		fma32(4, d[0], fma32(-5, d[2], d[4])), p + q, p - q,
		fma32(2, s, r), fma32(-2, s, r), fma32(4, d[1], fma32(-5, d[3], d[5])),
	}
}

// transformOutput transforms six sums of a row or column to four.
func transformOutput(m [tileIn]float32) [tileOut]float32 {
	s, d, u, v := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	return [tileOut]float32{(m[0] + s) + u, fma32(2, v, d), fma32(4, u, s), fma32(8, v, d) + m[5]}
}

// spoil makes spoilt NaN if v is not finite.
func (t *winogradTile) spoil(v float32) { t.spoilt[0] += v - v }

// winogradOutputGradientPlain is the adjoint of winogradOutputPlain: it transforms
// a tile of 4×4 pixels to planes.
func winogradOutputGradientPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [tileIn][tileOut]float32
		for j := range tileOut {
			var y [tileOut]float32
			for i := range y {
				y[i] = t.in[i*t.row+j*t.step+c]
			}
			for i, v := range transformOutputGradient(y) {
				half[i][j] = v
			}
		}
		for i, row := range half {
			for j, v := range transformOutputGradient(row) {
				t.out[(i*tileIn+j)*t.plane+c] = v
			}
		}
	}
}

// winogradInputGradientPlain is the adjoint of winogradInputPlain: it adds the
// transform of planes to a tile of 6×6 pixels.
func winogradInputGradientPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [tileIn][tileIn]float32
		for j := range tileIn {
			var m [tileIn]float32
			for i := range m {
				m[i] = t.in[(i*tileIn+j)*t.plane+c]
			}
			for i, v := range transformInputGradient(m) {
				half[i][j] = v
			}
		}
		for i, row := range half {
			for j, v := range transformInputGradient(row) {
				at := i*t.row + j*t.step + c
				v += t.out[at]
				t.spoil(v)
				t.out[at] = v
			}
		}
	}
}

// winogradWeightPlain transforms 3×3 weights, whose distance is step, to planes.
func winogradWeightPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [tileIn][taps]float32
		for j := range taps {
			g := [taps]float32{t.in[j*t.step+c], t.in[(taps+j)*t.step+c], t.in[(2*taps+j)*t.step+c]}
			for i, v := range transformWeight(g) {
				half[i][j] = v
			}
		}
		for i, row := range half {
			for j, v := range transformWeight(row) {
				t.out[(i*tileIn+j)*t.plane+c] = v
			}
		}
	}
}

// winogradWeightGradientPlain is the adjoint of winogradWeightPlain, of the sum of
// several parts of planes, whose distance is row.
func winogradWeightGradientPlain(t *winogradTile, from, to int) {
	for c := from; c < to; c++ {
		var half [taps][tileIn]float32
		for j := range tileIn {
			var m [tileIn]float32
			for i := range m {
				at := (i*tileIn+j)*t.plane + c
				m[i] = t.in[at]
				for part := 1; part < t.parts; part++ {
					m[i] += t.in[part*t.row+at]
				}
			}
			for i, v := range transformWeightGradient(m) {
				half[i][j] = v
			}
		}
		for i, row := range half {
			for j, v := range transformWeightGradient(row) {
				t.spoil(v)
				t.out[(i*taps+j)*t.step+c] = v
			}
		}
	}
}

// transformOutputGradient is the adjoint of transformOutput.
func transformOutputGradient(y [tileOut]float32) [tileIn]float32 {
	s, d := y[0]+y[2], y[1]+y[3]
	p, q := fma32(4, y[2], y[0]), fma32(4, y[3], y[1])
	return [tileIn]float32{y[0], s + d, s - d, fma32(2, q, p), fma32(-2, q, p), y[3]}
}

// transformInputGradient is the adjoint of transformInput.
func transformInputGradient(m [tileIn]float32) [tileIn]float32 {
	s, d, u, v := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	return [tileIn]float32{
		float32(4 * m[0]), fma32(-2, v, float32(4*(m[5]-d))), fma32(-5, m[0], -fma32(4, s, u)),
		fma32(-5, m[5], fma32(2, v, d)), (m[0] + s) + u, m[5],
	}
}

// Factors of the transforms of weights.
const (
	minusSixth   float32 = -1. / 6
	twentyFourth float32 = 1. / 24
)

// transformWeight transforms three weights of a row or column.
func transformWeight(g [taps]float32) [tileIn]float32 {
	t := g[0] + g[2]
	even := fma32(-minusSixth, g[2], float32(g[0]*twentyFourth))
	odd := float32((g[1] + g[1]) * twentyFourth)
	return [tileIn]float32{
		g[0] / 4, float32((t + g[1]) * minusSixth), float32((t - g[1]) * minusSixth),
		even + odd, even - odd, g[2],
	}
}

// transformWeightGradient is the adjoint of transformWeight.
func transformWeightGradient(m [tileIn]float32) [taps]float32 {
	s, d, u, v := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	t := float32(s * minusSixth)
	return [taps]float32{
		fma32(0.25, m[0], fma32(twentyFourth, u, t)),
		fma32(twentyFourth, v+v, float32(d*minusSixth)),
		fma32(-minusSixth, u, t) + m[5],
	}
}
