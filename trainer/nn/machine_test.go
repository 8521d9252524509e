package nn

import (
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// residualNet is a net whose gradients are sums: x goes two ways twice, once in rows
// of the batch and once as a parameter that two layers share.
func residualNet(capacity int) (*Graph, gorgonia.Nodes, *gorgonia.Node, error) {
	g, err := NewGraph(capacity)
	if err != nil {
		return nil, nil, nil, err
	}
	x, labels := g.Data("x", capacity, 6, 6, 3), g.Data("labels", capacity)
	copy(Floats(x.Value()), numbers(1, capacity*108))
	copy(Floats(labels.Value()), []float32{0, 2, 1})
	var params gorgonia.Nodes
	param := parameters(g, &params)
	first, shared, last := param(3, 3, 3, 3), param(3, 3, 3, 3), []*gorgonia.Node{param(3, 3), param(3)}
	chain := []func(x *gorgonia.Node) (*gorgonia.Node, error){
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.Conv2D(x, first, nil, 1, 1) },
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return residual(g, x, shared) },
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return residual(g, x, shared) },
		g.GlobalAveragePool,
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.Linear(x, last[0], last[1]) },
		func(x *gorgonia.Node) (*gorgonia.Node, error) { return g.CrossEntropy(x, labels, nil) },
	}
	for _, layer := range chain {
		if x, err = layer(x); err != nil {
			return nil, nil, nil, err
		}
	}
	_, err = gorgonia.Grad(x, params...)
	return g, params, x, err
}

func residual(g *Graph, x, weight *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := g.Conv2D(x, weight, nil, 1, 1)
	if err != nil {
		return nil, err
	}
	return g.Add(x, y, true)
}

// results are the loss and the gradients that the nodes have.
func results(t *testing.T, loss *gorgonia.Node, params gorgonia.Nodes) []float32 {
	t.Helper()
	all := []float32{loss.Value().Data().(float32)}
	for _, p := range params {
		d, err := p.Grad()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Floats(d)...)
	}
	return all
}

// A machine gives the bits that Gorgonia's own machine gives, also where gradients
// are added, and the same at every run.
func TestMachineGivesTheBitsOfGorgonias(t *testing.T) {
	nets := map[string]func() (*Graph, gorgonia.Nodes, *gorgonia.Node, error){
		"chain":    func() (*Graph, gorgonia.Nodes, *gorgonia.Node, error) { return smallNet(3, NewStatistics(4)) },
		"residual": func() (*Graph, gorgonia.Nodes, *gorgonia.Node, error) { return residualNet(3) },
	}
	for name, net := range nets {
		var machines []gorgonia.VM
		var params []gorgonia.Nodes
		var losses gorgonia.Nodes
		err := Build(func() error {
			for range 2 {
				g, p, loss, err := net()
				if err != nil {
					return err
				}
				var machine gorgonia.VM = gorgonia.NewTapeMachine(g.Expr, gorgonia.BindDualValues(p...))
				if len(machines) == 0 {
					if machine, err = NewMachine(g); err != nil {
						return err
					}
				}
				machines, params, losses = append(machines, machine), append(params, p), append(losses, loss)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, machine := range machines {
			if err := machine.RunAll(); err != nil {
				t.Fatal(err)
			}
		}
		ours, theirs := results(t, losses[0], params[0]), results(t, losses[1], params[1])
		if !slices.Equal(ours, theirs) {
			t.Errorf("%s: the loss and the gradients differ", name)
		}
		machines[0].Reset()
		if err := machines[0].RunAll(); err != nil {
			t.Fatal(err)
		}
		if again := results(t, losses[0], params[0]); !slices.Equal(again, ours) {
			t.Errorf("%s: a second run differs from the first", name)
		}
	}
}

// A machine refuses what it cannot run.
func TestMachineRefusesForeignOperations(t *testing.T) {
	err := Build(func() error {
		g, err := NewGraph(1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gorgonia.Sigmoid(g.Data("x", 1, 3)); err != nil {
			t.Fatal(err)
		}
		_, err = NewMachine(g)
		return err
	})
	if err == nil {
		t.Error("a sigmoid is accepted")
	}
	err = Build(func() error {
		g, err := NewGraph(1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.ReLU(gorgonia.NewMatrix(g.Expr, tensor.Float32, gorgonia.WithName("x"), gorgonia.WithShape(1, 3))); err != nil {
			t.Fatal(err)
		}
		_, err = NewMachine(g)
		return err
	})
	if err == nil {
		t.Error("an input without a value is accepted")
	}
}
