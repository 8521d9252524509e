package fl_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/renyi"
)

func accountTerms() fl.Terms {
	return fl.Terms{
		Training: fl.Training{Epochs: 1, BatchSize: 128},
		Privacy:  fl.Privacy{NoiseMultiplier: 1_100_000, ClippingNorm: fl.One, InverseDelta: 100_000, Epsilon: 6 * fl.One},
	}
}

// costs are what an update spends, by its examples.
var costs = map[int64]renyi.Divergences{
	50: fl.UpdateCost(accountTerms(), 50), 400: fl.UpdateCost(accountTerms(), 400), 2000: fl.UpdateCost(accountTerms(), 2000),
}

// spentTimes is what so many updates spend.
func spentTimes(updates int, examples int64) (spent renyi.Divergences) {
	for range updates {
		spent = spent.Plus(costs[examples])
	}
	return spent
}

// accounts draws terms, nodes of different sizes and budgets, and what has been
// spent of their data sets.
func accounts(t *rapid.T) (terms fl.Terms, nodes []fl.Node, inTask, inAll []fl.Spending) {
	terms = accountTerms()
	terms.Masters, terms.MinUpdates = rapid.IntRange(2, 4).Draw(t, "m"), rapid.IntRange(1, 3).Draw(t, "least")
	terms.Participation = micros(1, fl.One).Draw(t, "p")
	for i := range rapid.IntRange(terms.Masters+1, 7).Draw(t, "nodes") {
		node := fl.Node{ID: fmt.Sprint("node", i), Examples: rapid.SampledFrom([]int64{50, 400, 2000}).Draw(t, "examples"), Budget: rapid.SampledFrom([]fl.Micro{0, 3 * fl.One, 9 * fl.One}).Draw(t, "budget")}
		nodes = append(nodes, node)
		task, all := fl.Spending{Node: node.ID}, fl.Spending{Node: node.ID}
		task.Divergences = spentTimes(rapid.IntRange(0, 2).Draw(t, "updates"), node.Examples)
		all.Divergences = task.Divergences.Plus(spentTimes(rapid.IntRange(0, 2).Draw(t, "elsewhere"), node.Examples))
		task.Epsilon, all.Epsilon = fl.Micro(task.Divergences.Epsilon(100_000)), fl.Micro(all.Divergences.Epsilon(100_000))
		inTask, inAll = append(inTask, task), append(inAll, all)
	}
	return terms, nodes, inTask, inAll
}

func TestSpentNodesAreThoseWhoseUpdateWouldBeRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, nodes, inTask, inAll := accounts(t)
		spent := fl.SpentNodes(terms, nodes, inTask, inAll)
		for i, node := range nodes {
			_, _, err := fl.Charge(terms, node, inTask[i], inAll[i], node.Examples)
			if slices.Contains(spent, node.ID) != (err != nil) {
				t.Fatalf("%+v is among %v, and its update: %v", node, spent, err)
			}
			if node.Budget > 0 && node.Budget <= inAll[i].Epsilon && !slices.Contains(spent, node.ID) {
				t.Fatalf("%+v has spent %d", node, inAll[i].Epsilon)
			}
		}
		terms.Privacy = fl.Privacy{}
		if spent := fl.SpentNodes(terms, nodes, inTask, inAll); spent != nil {
			t.Fatalf("without privacy %v are spent", spent)
		}
	})
}

// mostTrainers tries every set of masters.
func mostTrainers(terms fl.Terms, nodes []fl.Node, spent []string) int {
	most := 0
	for set := range 1 << len(nodes) {
		masters, others := 0, 0
		for i, node := range nodes {
			switch {
			case set>>i&1 == 1:
				masters++
			case !slices.Contains(spent, node.ID):
				others++
			}
		}
		if masters == terms.Masters {
			most = max(most, fl.SampleSize(others, terms.Participation))
		}
	}
	return most
}

func TestATaskEndsWhenNoDrawHasEnoughTrainers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, nodes, inTask, inAll := accounts(t)
		spent := fl.SpentNodes(terms, nodes, inTask, inAll)
		_, trainers := fl.Draw(terms, nodes, nil, spent, beacon(1))
		reason, forever := fl.TooFewTrainers(terms, nodes, spent, trainers)
		if enough := len(trainers) >= terms.MinUpdates; enough != (reason == "") || enough && forever {
			t.Fatalf("%d trainers for %d updates: %q, for ever %t", len(trainers), terms.MinUpdates, reason, forever)
		}
		if most := mostTrainers(terms, nodes, spent); forever != (most < terms.MinUpdates) {
			t.Fatalf("at most %d trainers for %d updates, for ever %t", most, terms.MinUpdates, forever)
		}
	})
}
