package node

import (
	"context"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/model"
)

// dataset names this node's data set to the ledger for a private task: a digest of
// its name under a secret of the node's identity. Two tasks that train on the set
// share its account; nobody else can tell which set it is. It goes by the name, not
// the content: a set that grows is still the same set, of whose older examples
// more has been spent.
func (n *Node) dataset(terms fl.Terms) string {
	if !terms.Privacy.On() {
		return ""
	}
	name := n.Dataset
	if name == "" {
		name = terms.Data
	}
	return n.derive("dataset", name)
}

// examples are how many a private task's updates are trained on.
func (n *Node) examples(terms fl.Terms) int64 {
	if !terms.Privacy.On() {
		return 0
	}
	return int64(n.Train.Len())
}

// budget is the most that this node lets all tasks spend of its data set.
func (n *Node) budget(terms fl.Terms) fl.Micro {
	if !terms.Privacy.On() {
		return 0
	}
	return n.Budget
}

// afford asks, before a private training, whether the ledger would take the update:
// what has been trained and is then refused might still be told.
func (n *Node) afford(ctx context.Context, v View) error {
	terms := v.Task.Task.Terms
	if !terms.Privacy.On() {
		return nil
	}
	for _, node := range v.Task.Nodes {
		if node.ID != n.ID {
			continue
		}
		inAll, err := n.tasks(v.Round.Round.Number).GetSpending(ctx, fl.DatasetRequest{Node: n.ID, Dataset: node.Dataset})
		if err != nil {
			return err
		}
		_, _, err = fl.Charge(terms, node, fl.SpendingOf(v.Task.Spendings, n.ID), inAll, int64(n.Train.Len()))
		return err
	}
	return nil
}

// PrivateOptions are the trainer's form of a task's privacy. The secret is the
// trainer's own.
func PrivateOptions(p fl.Privacy, secret []byte) model.PrivateOptions {
	return model.PrivateOptions{
		NoiseMultiplier: Float(p.NoiseMultiplier),
		ClippingNorm:    Float(p.ClippingNorm),
		Secret:          secret,
	}
}
