package fl

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// FirstBeacon is round 1's public randomness, of the salts that the nodes
// committed to when they joined and revealed when the task started. Nobody
// knows it before the last reveal, and a node can only choose to reveal or not.
func FirstBeacon(task string, salts []BeaconSalt) string {
	sorted := slices.Clone(salts)
	slices.SortFunc(sorted, func(a, b BeaconSalt) int { return strings.Compare(a.Node, b.Node) })
	fields := []string{task}
	for _, salt := range sorted {
		fields = append(fields, salt.Node, salt.Salt)
	}
	return hash("medfed/beacon/first/1", fields...)
}

// NextBeacon is the public randomness of the round after the given one: its
// beacon mixed with the salts its masters revealed. When it failed before any
// reveal, that is the hash of its beacon and number.
func NextBeacon(task string, round int, beacon string, reveals []Reveal) string {
	sorted := slices.Clone(reveals)
	slices.SortFunc(sorted, func(a, b Reveal) int { return strings.Compare(a.Master, b.Master) })
	fields := []string{task, strconv.Itoa(round), beacon}
	for _, reveal := range sorted {
		fields = append(fields, reveal.Master, reveal.Salt)
	}
	return hash("medfed/beacon/next/1", fields...)
}

// dice draws numbers from a beacon: SHA-256 in counter mode over beacon, label
// and counter. Anyone with the beacon throws the same dice.
type dice struct {
	beacon string
	label  string // what is drawn, so that two draws of one round differ
	throws uint64
}

// below gives a number from 0 to n-1, each equally likely: a throw in the
// incomplete last multiple of n is thrown again.
func (d *dice) below(n uint64) uint64 {
	limit := ^uint64(0) / n * n
	for {
		block := sum("medfed/dice/1", d.beacon, d.label, strconv.FormatUint(d.throws, 10))
		d.throws++
		if number := binary.BigEndian.Uint64(block[:8]); number < limit {
			return number % n
		}
	}
}
