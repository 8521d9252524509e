package nn

import (
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"
)

// TestSharedMemory: a net whose results share memory gives the same bits, in several
// runs of several sizes, and needs less.
func TestSharedMemory(t *testing.T) {
	nets := map[string]func() (*Graph, gorgonia.Nodes, *gorgonia.Node, error){
		"chain":    func() (*Graph, gorgonia.Nodes, *gorgonia.Node, error) { return smallNet(3, NewStatistics(4)) },
		"residual": func() (*Graph, gorgonia.Nodes, *gorgonia.Node, error) { return residualNet(3) },
	}
	for name, net := range nets {
		values, found := [2]int{}, [2][]float32{}
		for i := range 2 {
			var g *Graph
			var params gorgonia.Nodes
			var loss *gorgonia.Node
			var machine *Machine
			err := Build(func() (err error) {
				if g, params, loss, err = net(); err != nil {
					return err
				}
				read := gorgonia.Nodes{loss}
				for _, p := range params {
					read = append(read, p.Deriv())
				}
				machine, err = NewMachine(g, read[:i*len(read)]...)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, batch := range []int{3, 1, 2, 3} {
				if err := g.SetBatch(batch); err != nil {
					t.Fatal(err)
				}
				if err := machine.RunAll(); err != nil {
					t.Fatal(err)
				}
				found[i] = append(found[i], results(t, loss, params)...)
			}
			values[i] = g.Values()
		}
		if !slices.Equal(found[0], found[1]) {
			t.Errorf("%s: with shared memory the bits are others", name)
		}
		if values[1] >= values[0]*8/10 {
			t.Errorf("%s: %d values without sharing, %d with it", name, values[0], values[1])
		}
	}
}

// TestNoTwoResultsAreNeededTogether in shared memory, whatever their sizes and times;
// every one has its place, and a group's first is its largest.
func TestNoTwoResultsAreNeededTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var results []*result
		for i := range rapid.IntRange(0, 30).Draw(t, "results") {
			size := rapid.IntRange(1, 9).Draw(t, "size")
			results = append(results, &result{&op{shape: tensor.Shape{size}}, size, i, i + rapid.IntRange(0, 10).Draw(t, "needed")})
		}
		placed := 0
		for _, group := range share(results) {
			placed += len(group)
			for i, a := range group {
				for _, b := range group[:i] {
					if a.first <= b.last && b.first <= a.last || a.size > group[0].size {
						t.Fatalf("%+v and %+v share memory of %d", a, b, group[0].size)
					}
				}
			}
		}
		if placed != len(results) {
			t.Fatalf("%d of %d results have a place", placed, len(results))
		}
	})
}
