package kernel

// available: every arm64 processor that Go runs on has NEON.
var available = []Level{Plain, NEON}

func multiply(t *tile, rows, panels int) {
	if level != NEON {
		multiplyPlain(t, rows, panels)
		return
	}
	var held heldExtra
	extra := held.hold(t, rows, panels)
	tilesNEON[rows](t) // one panel, see tilePanels
	finish(t, rows, panels, extra)
}
