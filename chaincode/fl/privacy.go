package fl

import (
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/renyi"
)

// Privacy is the differential privacy of a task's local training (DP-SGD, Abadi
// et al., arXiv 1607.00133). Its zero value is training without.
//
// Two data sets are neighbours when one holds one example more. What is bounded
// is what a node's updates tell of an example; the number of examples is public,
// and a master's scores are released without noise.
type Privacy struct {
	NoiseMultiplier Micro `json:"noise_multiplier"` // standard deviation of the noise over the clipping norm
	ClippingNorm    Micro `json:"clipping_norm"`    // most that the gradient of one example counts for, as Euclidean norm
	InverseDelta    int64 `json:"inverse_delta"`    // δ = 1/InverseDelta
	Epsilon         Micro `json:"epsilon"`          // budget: the most ε, at δ, that the task may spend of a node's data set
}

// MaxEpsilon is the largest budget of ε: beyond it no ε is worth the name.
const MaxEpsilon = 1000 * One

// On reports whether a task trains privately.
func (p Privacy) On() bool { return p != Privacy{} }

// Spending is what has been spent of a node's data set: in one task, or in all of
// a ledger.
type Spending struct {
	Node         string            `json:"node"`
	Dataset      string            `json:"dataset"`       // as the node named it when it joined
	Updates      int               `json:"updates"`       // updates that spent it
	Divergences  renyi.Divergences `json:"divergences"`   // rounded up
	Epsilon      Micro             `json:"epsilon"`       // the same as ε at δ, rounded up
	InverseDelta int64             `json:"inverse_delta"` // δ = 1/InverseDelta: that of the task that spent last
}

// checkPrivacy refuses parameters that no budget can be kept with. With a noise
// multiplier below a tenth no ε is worth the name.
func checkPrivacy(t Terms) error {
	if !t.Privacy.On() {
		return nil
	}
	return within(privacyBounds(t))
}

func privacyBounds(t Terms) []Bound {
	return []Bound{
		bound("privacy.noise_multiplier", t.Privacy.NoiseMultiplier, One/10, 1000*One),
		bound("privacy.clipping_norm", t.Privacy.ClippingNorm, 1, 1_000_000*One),
		bound("privacy.inverse_delta", t.Privacy.InverseDelta, 1000, 1_000_000_000_000_000),
		bound("privacy.epsilon", t.Privacy.Epsilon, 1, MaxEpsilon),
	}
}

// CheckDataset reports whether a node may join with the data set of its request. A
// private task takes a node that names its data set and says how many examples it
// has, any other task one that does not. The name is a salted digest, from which
// nobody learns more than that two tasks train on the same data. With a budget of 0
// the node sets no limit of its own. The error is MF-PRIVACY-DATASET.
func CheckDataset(t Terms, request JoinRequest) error {
	switch {
	case !t.Privacy.On() && (request.Dataset != "" || request.Examples != 0 || request.Budget != 0):
		return codes.Errorf("MF-PRIVACY-DATASET", "the task does not train privately and keeps no account of a data set; join without one")
	case !t.Privacy.On():
		return nil
	case !form.IsHex32(request.Dataset):
		return codes.Errorf("MF-PRIVACY-DATASET", "the task keeps account of each data set, and the one sent is not 64 lower-case hexadecimal digits; send a salted digest of its name")
	case request.Examples < 1 || request.Examples > t.MaxExamples:
		return codes.Errorf("MF-PRIVACY-DATASET", "the data set has %d examples and a private task counts all of them, at most %d; join with 1 to that many", request.Examples, t.MaxExamples)
	case request.Budget < 0 || request.Budget > MaxEpsilon:
		return codes.Errorf("MF-PRIVACY-DATASET", "the budget of the data set is %d; set it from 0, for none, to %d", request.Budget, MaxEpsilon)
	}
	return nil
}

// PrivateSteps is how many steps a private training takes: as many passes as the
// epochs, in expectation, when each step samples BatchSize of the examples.
func PrivateSteps(training Training, examples int64) int64 {
	batch := min(int64(training.BatchSize), examples)
	return int64(training.Epochs) * ((examples + batch - 1) / batch)
}

// UpdateCost bounds what an update on so many examples, at least 1, spends.
func UpdateCost(t Terms, examples int64) renyi.Divergences {
	rate := renyi.Rate{Batch: int64(t.Training.BatchSize), Examples: examples}
	return renyi.SampledGaussian(rate, int64(t.Privacy.NoiseMultiplier), PrivateSteps(t.Training, examples))
}

// Charge adds an update on so many examples to what has been spent of a node's
// data set in the task and in all, and refuses it when the one would exceed the
// task's budget or the other the node's own. What was spent before may be the zero
// value. The examples are those that the node joined with: whoever could name more
// where the budget is short would spend less.
func Charge(t Terms, node Node, inTask, inAll Spending, examples int64) (task, all Spending, err error) {
	if examples != node.Examples {
		return inTask, inAll, codes.Errorf("MF-UPDATE-EXAMPLES", "num_examples is %d and the node joined the private task with %d; train on all of those and no others", examples, node.Examples)
	}
	return charge(t, node, inTask, inAll, UpdateCost(t, examples))
}

// charge is Charge with what the update costs.
func charge(t Terms, node Node, inTask, inAll Spending, cost renyi.Divergences) (task, all Spending, err error) {
	task, all = inTask.with(t, node, cost), inAll.with(t, node, cost)
	const advice = "train no more in this task, or take part in one with more noise, fewer epochs or a larger budget"
	if task.Epsilon > t.Privacy.Epsilon {
		return inTask, inAll, codes.Errorf("MF-PRIVACY-BUDGET", "the update would take what the task has spent of the data set to ε = %s, and its budget is %s; %s", task.Epsilon.Decimal(6), t.Privacy.Epsilon.Decimal(6), advice)
	}
	if node.Budget > 0 && all.Epsilon > node.Budget {
		return inTask, inAll, codes.Errorf("MF-PRIVACY-BUDGET", "the update would take what all tasks have spent of the data set to ε = %s, and the node's own budget is %s; %s", all.Epsilon.Decimal(6), node.Budget.Decimal(6), advice)
	}
	return task, all, nil
}

// SpentNodes are those of the nodes, in their order, whose next update Charge would
// refuse: a budget does not hold it, the task's or the node's own. inAll need only
// have those of nodes with a budget of their own. In a task that does not train
// privately there are none.
func SpentNodes(t Terms, nodes []Node, inTask, inAll []Spending) []string {
	if !t.Privacy.On() {
		return nil
	}
	var spent []string
	costs := map[int64]renyi.Divergences{} // of an update, by its examples: what takes long
	for _, node := range nodes {
		cost, known := costs[node.Examples]
		if !known {
			cost = UpdateCost(t, node.Examples)
			costs[node.Examples] = cost
		}
		if _, _, err := charge(t, node, SpendingOf(inTask, node.ID), SpendingOf(inAll, node.ID), cost); err != nil {
			spent = append(spent, node.ID)
		}
	}
	return spent
}

// TooFewTrainers says why a round of a private task can't begin with the trainers
// that were drawn, "" when it can, and whether no other draw could begin either: not
// even one whose masters are the nodes that have no budget left.
func TooFewTrainers(t Terms, nodes []Node, spent, trainers []string) (reason string, forever bool) {
	if !t.Privacy.On() || len(trainers) >= t.MinUpdates {
		return "", false
	}
	most := min(len(nodes)-len(spent), len(nodes)-t.Masters)
	if SampleSize(most, t.Participation) < t.MinUpdates {
		return "too few nodes have budget left for an update, whoever is a master", true
	}
	return "too few of the nodes that are no masters have budget left for an update", false
}

// with adds what an update spends.
func (s Spending) with(t Terms, node Node, cost renyi.Divergences) Spending {
	spent := s.Divergences.Plus(cost)
	return Spending{
		Node: node.ID, Dataset: node.Dataset, Updates: s.Updates + 1, Divergences: spent,
		Epsilon: Micro(spent.Epsilon(t.Privacy.InverseDelta)), InverseDelta: t.Privacy.InverseDelta,
	}
}

// SpendingOf finds what has been spent of a node's data set, the zero value for
// nothing.
func SpendingOf(spendings []Spending, node string) Spending {
	for _, spending := range spendings {
		if spending.Node == node {
			return spending
		}
	}
	return Spending{}
}

// UpdateSpendings puts a node's spending into those of a task, sorted by node.
func UpdateSpendings(spendings []Spending, changed Spending) []Spending {
	updated := slices.DeleteFunc(slices.Clone(spendings), func(s Spending) bool { return s.Node == changed.Node })
	updated = append(updated, changed)
	slices.SortFunc(updated, func(a, b Spending) int { return strings.Compare(a.Node, b.Node) })
	return updated
}
