package fl

import (
	"slices"
	"strings"
)

// Unscored is the median of an update that too few masters scored.
const Unscored Micro = -1

// OrgOf is the organisation of a node: the MSP identifier before the slash.
func OrgOf(node string) string {
	org, _, _ := strings.Cut(node, "/")
	return org
}

// LowerMedian is the middle value, the lower of two; Unscored of none. With at
// most f false values among 2f+1 or more it lies within the true ones.
func LowerMedian(values []Micro) Micro {
	if len(values) == 0 {
		return Unscored
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// Results are those of a round, in the order of its trainers: each update's
// lower median over the masters that revealed, its own organisation's left
// out, and whether the task's threshold with the round's allowance accepts it
// (Hu et al. section 3.2.2, phases 3 to 5). An update that a revealing master left
// out counts as scored 0 by it. It also gives the median of the previous global
// model, Unscored when no master scored it or fewer than a quorum revealed.
func Results(terms Terms, allowance Micro, trainers []string, updates []Update, reveals []Reveal) ([]Result, Micro) {
	previous := previousMedian(terms, reveals)
	results := []Result{}
	for _, trainer := range trainers {
		if !slices.ContainsFunc(updates, func(u Update) bool { return u.Node == trainer }) {
			continue
		}
		var scores []Micro
		for _, reveal := range reveals {
			if OrgOf(reveal.Master) != OrgOf(trainer) {
				scores = append(scores, scoreOf(reveal, trainer))
			}
		}
		result := Result{Node: trainer, Median: Unscored, Scores: len(scores)}
		if len(scores) >= Quorum(terms.F) {
			result.Median = LowerMedian(scores)
			result.Accepted = accepts(terms, allowance, result.Median, previous)
		}
		results = append(results, result)
	}
	return results, previous
}

// previousMedian is the median score of the previous global model.
func previousMedian(terms Terms, reveals []Reveal) Micro {
	var scores []Micro
	scored := false
	for _, reveal := range reveals {
		scores = append(scores, scoreOf(reveal, PreviousGlobal))
		scored = scored || hasScore(reveal, PreviousGlobal)
	}
	if !scored || len(scores) < Quorum(terms.F) {
		return Unscored
	}
	return LowerMedian(scores)
}

// scoreOf is what a master scored an update, 0 when it left it out.
func scoreOf(reveal Reveal, node string) Micro {
	for _, score := range reveal.Scores {
		if score.Node == node {
			return score.Score
		}
	}
	return 0
}

func hasScore(reveal Reveal, node string) bool {
	return slices.ContainsFunc(reveal.Scores, func(s Score) bool { return s.Node == node })
}

// AnyAccepted reports whether a round has something to aggregate.
func AnyAccepted(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return r.Accepted })
}
