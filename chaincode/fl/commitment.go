package fl

import (
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// SaltCommitment is what a node commits to when it joins: the hash of its
// beacon salt with task and node bound in, so that nobody else can reveal a
// copy of it. The salt is 64 hexadecimal digits of the node's own randomness.
func SaltCommitment(task, node, salt string) string {
	return hash("medfed/beacon-salt/1", task, node, salt)
}

// ScoresCommitment is a master's sealed scores: the hash of their canonical form
// with task, round and master bound in, so that a commitment copied from
// another master or another round can't be opened. The order of the scores does
// not matter. The salt is 64 hexadecimal digits of the master's own randomness.
func ScoresCommitment(task string, round int, master string, scores []Score, salt string) string {
	fields := []string{task, strconv.Itoa(round), master, salt}
	for _, score := range SortScores(scores) {
		fields = append(fields, score.Node, strconv.FormatInt(int64(score.Score), 10))
	}
	return hash("medfed/scores/1", fields...)
}

// CheckScores refuses scores that can't be of a round with these trainers: each
// trainer, and the previous global model, at most once and from 0 to One.
func CheckScores(trainers []string, scores []Score, salt string) error {
	if !form.IsHex32(salt) {
		return codes.Errorf("MF-REVEAL-SALT", "the salt is not 64 lower-case hexadecimal digits; send the one the scores were sealed with")
	}
	sorted := SortScores(scores)
	for i, score := range sorted {
		if score.Node != PreviousGlobal && !slices.Contains(trainers, score.Node) {
			return codes.Errorf("MF-REVEAL-SCORES", "a score is of a node that does not train in this round; score its trainers and %s", PreviousGlobal)
		}
		if i > 0 && sorted[i-1].Node == score.Node {
			return codes.Errorf("MF-REVEAL-SCORES", "there are two scores of %s; send one", score.Node)
		}
		if score.Score < 0 || score.Score > One {
			return codes.Errorf("MF-REVEAL-SCORES", "the score of %s is %d; send micro-units from 0 to %d", score.Node, score.Score, One)
		}
	}
	return nil
}

// SortScores gives the scores in the one order the ledger keeps them in: by node.
func SortScores(scores []Score) []Score {
	sorted := slices.Clone(scores)
	slices.SortFunc(sorted, func(a, b Score) int { return strings.Compare(a.Node, b.Node) })
	return sorted
}
