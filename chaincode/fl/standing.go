package fl

import (
	"slices"
	"strings"
)

// Reasons of a standing.
const (
	ReasonAccepted = "accepted" // the node's last scored update was accepted
	ReasonRejected = "rejected" // it was not
	ReasonSilent   = "silent"   // as a master it did not commit or reveal in time
)

// Demoted is the weight after a rejection or a silence: as good as never elected
// while others have a score.
const Demoted Micro = 1

// ScoredStandings is what a tally says of the trainers: an accepted one's weight
// is its median, a rejected one's is Demoted. An update that too few masters
// scored changes nothing: its trainer is not to blame. Neither does a round in
// which nothing was accepted: the masters may be at fault as well as all
// trainers, and demoting the trainers would elect the same masters for ever.
func ScoredStandings(round int, results []Result) []Standing {
	standings := []Standing{}
	if !AnyAccepted(results) {
		return standings
	}
	for _, result := range results {
		switch {
		case result.Accepted:
			standings = append(standings, Standing{Node: result.Node, Weight: max(1, result.Median), Round: round, Reason: ReasonAccepted})
		case result.Median != Unscored:
			standings = append(standings, Standing{Node: result.Node, Weight: Demoted, Round: round, Reason: ReasonRejected})
		}
	}
	return standings
}

// SilentStandings demotes the masters that did not speak.
func SilentStandings(round int, masters, spoke []string) []Standing {
	standings := []Standing{}
	for _, master := range masters {
		if !slices.Contains(spoke, master) {
			standings = append(standings, Standing{Node: master, Weight: Demoted, Round: round, Reason: ReasonSilent})
		}
	}
	return standings
}

// UpdateStandings puts new standings over old ones, sorted by node.
func UpdateStandings(old, changed []Standing) []Standing {
	merged := append([]Standing{}, changed...)
	for _, standing := range old {
		if !slices.ContainsFunc(changed, func(s Standing) bool { return s.Node == standing.Node }) {
			merged = append(merged, standing)
		}
	}
	slices.SortFunc(merged, func(a, b Standing) int { return strings.Compare(a.Node, b.Node) })
	return merged
}

// Committed lists the masters that committed to scores.
func Committed(commitments []ScoreCommitment) []string {
	masters := []string{}
	for _, commitment := range commitments {
		masters = append(masters, commitment.Master)
	}
	return masters
}

// Revealed lists the masters that revealed scores.
func Revealed(reveals []Reveal) []string {
	masters := []string{}
	for _, reveal := range reveals {
		masters = append(masters, reveal.Master)
	}
	return masters
}
