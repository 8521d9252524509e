package fl

import (
	"slices"
	"strings"
)

// Candidate is a node that can be elected master.
type Candidate struct {
	ID     string
	Org    string
	Weight Micro // below 1 counts as 1
}

// Elect draws m masters without replacement, each node as likely as its share
// of the weights; no two from one organisation while other organisations have
// candidates left (Hu et al. section 3.2.2: masters are elected each round by
// the scores of the round before). The order of the candidates does not matter;
// the masters are in drawn order, fewer than m when there are fewer candidates.
func Elect(beacon string, candidates []Candidate, m int) []string {
	left := slices.Clone(candidates)
	slices.SortFunc(left, func(a, b Candidate) int { return strings.Compare(a.ID, b.ID) })
	throw := dice{beacon: beacon, label: "election"}
	masters := []string{}
	var orgs []string
	for len(masters) < m && len(left) > 0 {
		pool := fromOtherOrgs(left, orgs)
		if len(pool) == 0 {
			pool = left
		}
		drawn := pick(pool, &throw)
		masters = append(masters, drawn.ID)
		orgs = append(orgs, drawn.Org)
		left = slices.DeleteFunc(slices.Clone(left), func(c Candidate) bool { return c.ID == drawn.ID })
	}
	return masters
}

// fromOtherOrgs keeps the candidates whose organisation has no master yet.
func fromOtherOrgs(candidates []Candidate, orgs []string) []Candidate {
	var others []Candidate
	for _, candidate := range candidates {
		if !slices.Contains(orgs, candidate.Org) {
			others = append(others, candidate)
		}
	}
	return others
}

// pick draws one candidate of at least one by weight.
func pick(pool []Candidate, throw *dice) Candidate {
	var total uint64
	for _, candidate := range pool {
		total += uint64(max(1, candidate.Weight))
	}
	number := throw.below(total)
	last := len(pool) - 1
	for _, candidate := range pool[:last] {
		weight := uint64(max(1, candidate.Weight))
		if number < weight {
			return candidate
		}
		number -= weight
	}
	return pool[last]
}

// Candidates gives every node its weight: that of its standing, or the task's
// base weight for a newcomer.
func Candidates(nodes []Node, standings []Standing, base Micro) []Candidate {
	candidates := []Candidate{}
	for _, node := range nodes {
		candidate := Candidate{ID: node.ID, Org: node.Org, Weight: base}
		for _, standing := range standings {
			if standing.Node == node.ID {
				candidate.Weight = standing.Weight
			}
		}
		candidates = append(candidates, candidate)
	}
	return candidates
}
