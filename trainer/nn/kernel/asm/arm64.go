package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

// Of NEON's 32 registers, rows×4 hold the sums of a tile of one panel, four a row of
// b, and four in turn an element of a.
const (
	neonRows   = 6
	neonB      = 4 * neonRows
	neonA      = neonB + 4
	neonFirstR = 19 // general registers from here on are the addresses of a's rows
)

// neon writes the tile kernels of arm64 into a folder.
func neon(folder string) {
	var assembly, stubs strings.Builder
	assembly.WriteString(generated + "\n#include \"textflag.h\"\n")
	stubs.WriteString(generated + "\npackage kernel\n\n// tilesNEON are the tile kernels by rows, of one panel.\nvar tilesNEON = [...]func(t *tile){\n")
	for rows := 1; rows <= neonRows; rows++ {
		fmt.Fprintf(&stubs, "\t%d: tile%dNEON,\n", rows, rows)
	}
	stubs.WriteString("}\n")
	for rows := 1; rows <= neonRows; rows++ {
		fmt.Fprintf(&stubs, "\n//go:noescape\nfunc tile%dNEON(t *tile)\n", rows)
		neonTile(&assembly, rows)
	}
	for name, text := range map[string]*strings.Builder{"vector_arm64.s": &assembly, "vector_arm64.go": &stubs} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text.String()), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// four names four registers in a row, as a load or a store of a panel wants them.
func four(first int) string {
	return fmt.Sprintf("[V%d.S4, V%d.S4, V%d.S4, V%d.S4]", first, first+1, first+2, first+3)
}

// neonTile writes the kernel of a number of rows and one panel. It leaves extra and
// ReLU to Go.
func neonTile(out *strings.Builder, rows int) {
	line := func(format string, arguments ...any) { fmt.Fprintf(out, "\t"+format+"\n", arguments...) }
	label := func(name string) { fmt.Fprintf(out, "\n%s:\n", name) }
	row := func(r int) int { return neonFirstR + r }

	fmt.Fprintf(out, "\n// func tile%dNEON(t *tile)\nTEXT ·tile%dNEON(SB), NOSPLIT, $0-8\n", rows, rows)
	line("MOVD t+0(FP), R0")
	line("MOVD %d(R0), R1", tileInitLen)
	line("CBZ R1, zero")
	line("MOVD %d(R0), R1", tileInit)
	for r := range rows {
		line("VLD1 (R1), %s", four(4*r))
	}
	line("B start")
	label("zero")
	for v := range 4 * rows {
		line("VEOR V%d.B16, V%d.B16, V%d.B16", v, v, v)
	}
	label("start")
	for i, offset := range []int{tileARow, tileAStep, tileBStep, tileCRow} { // R2 to R5, in bytes
		line("MOVD %d(R0), R%d", offset, 2+i)
		line("LSL $%d, R%d", float32Shift, 2+i)
	}
	line("MOVD %d(R0), R6", tileA)
	line("MOVD %d(R0), R7", tileB)
	line("MOVD %d(R0), R8", tileSegments)
	line("MOVD %d(R0), R9", tileSegmentsLen)
	line("CBZ R9, done")
	label("segment")
	line("MOVD %d(R8), R10", segmentA)
	line("ADD R10<<%d, R6, R%d", float32Shift, row(0))
	line("MOVD %d(R8), R10", segmentB)
	line("ADD R10<<%d, R7, R11", float32Shift)
	line("ADD $%d, R8", segmentSize)
	for r := 1; r < rows; r++ {
		line("ADD R2, R%d, R%d", row(r-1), row(r))
	}
	line("MOVD %d(R0), R12", tileDepth)
	label("step")
	line("VLD1 (R11), %s", four(neonB))
	line("ADD R4, R11")
	for r := range rows {
		a := neonA + r%4
		line("VLD1R (R%d), [V%d.S4]", row(r), a)
		line("ADD R3, R%d", row(r))
		for v := range 4 {
			line("VFMLA V%d.S4, V%d.S4, V%d.S4", neonB+v, a, 4*r+v)
		}
	}
	line("SUB $1, R12")
	line("CBNZ R12, step")
	line("SUB $1, R9")
	line("CBNZ R9, segment")
	label("done")
	line("MOVD %d(R0), R1", tileC)
	for r := range rows {
		line("VST1 %s, (R1)", four(4*r))
		if r < rows-1 {
			line("ADD R5, R1")
		}
	}
	line("RET")
}
