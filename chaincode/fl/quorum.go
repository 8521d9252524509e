package fl

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
)

// Quorum is how many masters must speak for their word to count when f of them
// may lie: 2f+1, of which the honest are the most.
func Quorum(f int) int { return 2*f + 1 }

// Verdict is what a phase's end has come to.
type Verdict int

// The verdicts.
const (
	Wait    Verdict = iota // the phase goes on
	Proceed                // the round moves to the next phase
	Fail                   // the round has failed
)

// Over judges a phase in which all must speak, or at the deadline a quorum:
// have of all have spoken, and past says whether the deadline has passed.
func Over(have, all, quorum int, past bool) Verdict {
	switch {
	case have >= all && have >= quorum:
		return Proceed
	case !past:
		return Wait
	case have >= quorum:
		return Proceed
	default:
		return Fail
	}
}

// CheckNodes refuses a set of nodes with which the task's numbers can't be
// held: there must be an organisation for every master, and enough trainers
// left to sample.
func CheckNodes(terms Terms, nodes []Node) error {
	var orgs []string
	for _, node := range nodes {
		if !slices.Contains(orgs, node.Org) {
			orgs = append(orgs, node.Org)
		}
	}
	if len(orgs) < terms.Masters {
		return codes.Errorf("MF-TASK-NODES", "%d nodes of %d organisations take part; the task's %d masters need as many organisations", len(nodes), len(orgs), terms.Masters)
	}
	trainers := SampleSize(len(nodes)-terms.Masters, terms.Participation)
	if trainers < terms.MinUpdates {
		return codes.Errorf("MF-TASK-NODES", "%d nodes take part, of which %d would train in a round; the task's %d updates a round need more nodes", len(nodes), trainers, terms.MinUpdates)
	}
	return nil
}

// CheckMembers refuses terms that no nodes of that many organisations could hold,
// before anyone joins: each master is of another organisation.
func CheckMembers(terms Terms, members int) error {
	if members < terms.Masters {
		return codes.Errorf("MF-TASK-NODES", "%d masters, %d of whom may lie, need as many organisations, and the network has %d members; ask for at most %d masters and a smaller f", terms.Masters, terms.F, members, members)
	}
	return nil
}

// Agreed finds the proposal that the masters have agreed on: one whose digest
// at least a quorum of them attested, counting each master once. Of several,
// the most attested counts, then the smallest digest; of several proposals of
// that digest the coordinator's, then the masters' in drawn order. The count is
// the digest's attestations.
func Agreed(terms Terms, coordinator string, masters []string, proposals []Proposal, attestations []Attestation) (agreed Proposal, count int, ok bool) {
	for _, proposer := range append([]string{coordinator}, masters...) {
		for _, proposal := range proposals {
			if proposal.Proposer != proposer {
				continue
			}
			n := attesting(proposal.Model.Digest, masters, attestations)
			if n < Quorum(terms.F) {
				continue
			}
			if !ok || n > count || n == count && proposal.Model.Digest < agreed.Model.Digest {
				agreed, count, ok = proposal, n, true
			}
		}
	}
	return agreed, count, ok
}

// attesting counts the masters that attested a digest.
func attesting(digest string, masters []string, attestations []Attestation) int {
	n := 0
	for _, master := range masters {
		if slices.Contains(attestations, Attestation{Master: master, Digest: digest}) {
			n++
		}
	}
	return n
}
