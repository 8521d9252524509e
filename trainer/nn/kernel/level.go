package kernel

import (
	"fmt"
	"slices"
)

// Level names a family of inner loops. All families give the same bits.
type Level int

// The families, from the one that runs everywhere to the fastest.
const (
	Plain  Level = iota // Go
	NEON                // arm64: 4 lanes, for products of matrices; the rest in Go
	AVX2                // amd64 with AVX2 and FMA: 8 lanes
	AVX512              // amd64 with AVX-512 F, VL and DQ: 16 lanes
)

// String is the family's usual name.
func (l Level) String() string { return [...]string{"plain Go", "NEON", "AVX2", "AVX-512"}[l] }

// level is the family in use.
var level = Best()

// Levels are the families that this machine can run, the fastest last.
func Levels() []Level { return slices.Clone(available) }

// Best is the fastest family that this machine can run. It is in use unless Use
// chose another.
func Best() Level { return available[len(available)-1] }

// Use selects a family for the whole process, for comparisons and tests, and
// returns a function that restores the one before. It must not be called while an
// operation runs. It fails when the machine cannot run the family.
func Use(l Level) (restore func(), err error) {
	if !slices.Contains(available, l) {
		return nil, fmt.Errorf("kernel family %d is not among those of this machine: %v", l, available)
	}
	before := level
	level = l
	return func() { level = before }, nil
}

// tilesOf is the number of tiles that so many rows are cut into, which is as few as
// leave the sums of a tile in registers.
func tilesOf(rows int) int {
	const fewRows = 6
	if level == AVX2 || level == NEON {
		return (rows + fewRows - 1) / fewRows
	}
	return (rows + maxRows - 1) / maxRows
}

// tilePanels is the number of panels a tile may span.
func tilePanels() int {
	if level == AVX512 {
		return 2
	}
	return 1
}
