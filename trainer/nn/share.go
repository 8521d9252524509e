package nn

import (
	"cmp"
	"slices"

	"gorgonia.org/gorgonia"
)

// result is what an operation gives: how many values, and the steps of a run from the
// one that writes them to the last that reads them.
type result struct {
	op          *op
	size        int
	first, last int
}

// place gives every operation room for its result: where results are never needed at
// the same time, the same. A gradient so takes the place of activations that no later
// gradient is made of. read are the nodes whose values are read after a run; with none
// those of all are.
func (g *Graph) place(nodes gorgonia.Nodes, operations map[*gorgonia.Node]*op, read gorgonia.Nodes) {
	for _, together := range share(g.results(nodes, operations, read)) {
		buffer := make([]float32, together[0].size)
		g.values += len(buffer)
		for _, r := range together {
			r.op.place(buffer[:r.size])
			g.values -= r.size
		}
	}
}

// results are those of the operations, in the order of a run, which is that of nodes.
func (g *Graph) results(nodes gorgonia.Nodes, operations map[*gorgonia.Node]*op, read gorgonia.Nodes) []*result {
	of := make(map[*gorgonia.Node]*result, len(nodes))
	var all []*result
	for step, n := range nodes {
		for inputs := g.Expr.From(n.ID()); inputs.Next(); {
			if r := of[inputs.Node().(*gorgonia.Node)]; r != nil {
				r.last = max(r.last, step)
			}
		}
		if o := operations[n]; o != nil {
			r := &result{o, o.shape.TotalSize(), step, step}
			if len(read) == 0 || slices.Contains(read, n) {
				r.last = len(nodes)
			}
			of[n], all = r, append(all, r)
		}
	}
	return all
}

// share groups results of which no two are needed at the same time, each group with
// its largest first.
func share(results []*result) [][]*result {
	bySize := slices.Clone(results)
	slices.SortStableFunc(bySize, func(a, b *result) int { return cmp.Compare(b.size, a.size) })
	var groups [][]*result
	for _, r := range bySize {
		i := slices.IndexFunc(groups, func(group []*result) bool {
			return !slices.ContainsFunc(group, func(other *result) bool { return r.first <= other.last && other.first <= r.last })
		})
		if i < 0 {
			groups = append(groups, []*result{r})
		} else {
			groups[i] = append(groups[i], r)
		}
	}
	return groups
}
