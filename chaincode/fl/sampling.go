package fl

import "slices"

// SampleSize is how many of K nodes train in a round: k = max(1, ceil(P*K)),
// and none when there is no node (Hu et al. section 4.2).
func SampleSize(nodes int, participation Micro) int {
	if nodes <= 0 {
		return 0
	}
	k := (participation*Micro(nodes) + One - 1) / One
	return min(max(1, int(k)), nodes)
}

// Sample draws the trainers of a round from the nodes that are not masters,
// each equally likely. The order of the nodes does not matter; the trainers are
// in drawn order.
func Sample(beacon string, nodes []string, participation Micro) []string {
	left := slices.Sorted(slices.Values(nodes))
	throw := dice{beacon: beacon, label: "sampling"}
	trainers := []string{}
	for range SampleSize(len(left), participation) {
		i := int(throw.below(uint64(len(left))))
		trainers = append(trainers, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return trainers
}

// Draw gives a round's masters and trainers, from its beacon and what is known
// of the nodes when it opens. A node whose budget is spent does not train (see
// SpentNodes), and can still be a master.
func Draw(terms Terms, nodes []Node, standings []Standing, spent []string, beacon string) (masters, trainers []string) {
	masters = Elect(beacon, Candidates(nodes, standings, terms.BaseWeight), terms.Masters)
	var others []string
	for _, node := range nodes {
		if !slices.Contains(masters, node.ID) && !slices.Contains(spent, node.ID) {
			others = append(others, node.ID)
		}
	}
	return masters, Sample(beacon, others, terms.Participation)
}
