package scenario

import (
	"sort"
	"time"

	"github.com/medfed/medfed/test-network/report"
)

// interval is a stretch of wall time.
type interval struct{ from, to time.Time }

// Split divides a round's wall time between what the participants were doing.
// A moment at which any node trained counts as training, whatever else went on;
// of the rest, a moment at which any scored counts as scoring; then IPFS; all
// that is left, the waiting on blocks and events included, is the ledger's.
// The four parts therefore add up to the total.
func Split(from, to time.Time, spans []Span) report.Seconds {
	round := interval{from, to}
	var taken []interval
	part := func(kind string) float64 {
		var of []interval
		for _, s := range spans {
			if s.Kind != kind {
				continue
			}
			started := s.Time.Add(-time.Duration(s.Seconds * float64(time.Second)))
			if clipped, ok := clip(interval{started, s.Time}, round); ok {
				of = append(of, clipped)
			}
		}
		before := length(taken)
		taken = union(append(taken, of...))
		return length(taken) - before
	}
	seconds := report.Seconds{Total: to.Sub(from).Seconds()}
	seconds.Training = part(KindTraining)
	seconds.Scoring = part(KindScoring)
	seconds.IPFS = part(KindIPFS)
	seconds.Ledger = seconds.Total - length(taken)
	return seconds
}

// clip keeps the part of a that lies in b.
func clip(a, b interval) (interval, bool) {
	if a.from.Before(b.from) {
		a.from = b.from
	}
	if a.to.After(b.to) {
		a.to = b.to
	}
	return a, a.from.Before(a.to)
}

// union merges intervals that overlap.
func union(all []interval) []interval {
	sort.Slice(all, func(i, j int) bool { return all[i].from.Before(all[j].from) })
	var merged []interval
	for _, next := range all {
		if last := len(merged) - 1; last >= 0 && !next.from.After(merged[last].to) {
			if next.to.After(merged[last].to) {
				merged[last].to = next.to
			}
			continue
		}
		merged = append(merged, next)
	}
	return merged
}

// length adds up intervals that don't overlap, in seconds.
func length(all []interval) float64 {
	var sum time.Duration
	for _, i := range all {
		sum += i.to.Sub(i.from)
	}
	return sum.Seconds()
}
