package node

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// The chaincode can't import the trainer: its table of strategies is a copy.
func TestTheLedgerKnowsTheTrainersStrategies(t *testing.T) {
	rules := fl.StrategyRules()
	names := fed.Strategies()
	if len(rules) != len(names) {
		t.Fatalf("the ledger knows %d strategies, the trainer %d", len(rules), len(names))
	}
	for i, rule := range rules {
		if rule.Name != names[i] {
			t.Fatalf("strategy %d is %s on the ledger and %s in the trainer", i, rule.Name, names[i])
		}
		parameters := fed.Parameters(rule.Name)
		if len(parameters) != len(rule.Parameters) {
			t.Fatalf("%s has %d parameters on the ledger, %d in the trainer", rule.Name, len(rule.Parameters), len(parameters))
		}
		for j, p := range rule.Parameters {
			low, err1 := strconv.ParseFloat(p.Low, 64)
			high, err2 := strconv.ParseFloat(p.High, 64)
			want := parameters[j]
			if err1 != nil || err2 != nil || p.Name != want.Name || low != want.Low || high != want.High || p.Whole != want.Whole {
				t.Errorf("%s: the ledger has %+v, the trainer %+v", rule.Name, p, want)
			}
		}
	}
}

func TestWhatTheLedgerAcceptsTheTrainerReads(t *testing.T) {
	numbers := []string{"0", "1", "2", "0.1", "0.2", "0.499999", "0.5", "0.999999", "1e-12", "1e-13", "1e+30", "1e31", "1000000", "1000001", "1.5", "-1", "-0", "", "x", "NaN", "0x1", "00", "1e2", "1e-99"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(append(fed.Strategies(), "fedmagic")).Draw(t, "name")
		keys := []string{"eta", ""}
		for _, p := range fed.Parameters(name) {
			keys = append(keys, p.Name)
		}
		text, separator := name, ":"
		for range rapid.IntRange(0, 3).Draw(t, "parameters") {
			number := rapid.OneOf(rapid.SampledFrom(numbers), rapid.Custom(func(t *rapid.T) string {
				return strconv.FormatFloat(rapid.Float64().Draw(t, "value"), 'g', -1, 64)
			})).Draw(t, "number")
			text += separator + rapid.SampledFrom(keys).Draw(t, "key") + "=" + number
			separator = ","
		}
		_, err := fed.Parse(text)
		if onLedger := fl.CheckStrategy(text); onLedger == nil && err != nil {
			t.Fatalf("the ledger takes %q, the trainer says %v", text, err)
		}
	})
}

// bare is a learner that minds what it is given: the model without the server
// optimiser's state, and the strategy's proximal term.
type bare struct {
	stub
	mu       *sync.Mutex
	state    *int // models seen with state
	proximal *float64
}

func (b bare) look(w *weights.Weights, proximal float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if fed.Model(w) != w {
		*b.state++
	}
	*b.proximal = max(*b.proximal, proximal)
}

func (b bare) Train(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions) (*weights.Weights, error) {
	b.look(start, o.ProximalMu)
	return b.stub.Train(ctx, spec, start, data, o)
}

func (b bare) Evaluate(ctx context.Context, spec model.Spec, w *weights.Weights, data dataset.Split) (metrics.Result, error) {
	b.look(w, 0)
	return b.stub.Evaluate(ctx, spec, w, data)
}

func TestTasksOfEveryStrategyComplete(t *testing.T) {
	strategies := []string{
		"fedadam:eta=0.6", "fedavgm:server_momentum=0.1", "fedprox:proximal_mu=0.25", "fedmedian", "fedtrimmedavg:beta=0.2", "krum:num_malicious_nodes=1",
		"multikrum:num_malicious_nodes=1,num_nodes_to_select=3", "bulyan", "fedavg:clipping_norm=1.5",
	}
	if testing.Short() {
		strategies = strategies[:3] // with state, with a parameter of the trainer's
	}
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, func(terms *fl.Terms) { terms.Strategy = strategy })
			state, proximal := 0, 0.0
			learner := bare{mu: &sync.Mutex{}, state: &state, proximal: &proximal}
			w.configure = func(c *Config) { c.Learner = learner }
			w.run(w.nodes...)
			w.wantCompleted()
			parsed, err := fed.Parse(strategy)
			if err != nil {
				t.Fatal(err)
			}
			if state > 0 || proximal != parsed.ProximalMu() {
				t.Errorf("the learner saw %d models with state and a proximal mu of %v", state, proximal)
			}
			last := w.round(w.terms.Rounds).Round
			if larger := last.Global.Size > w.terms.Initial.Size; larger != parsed.KeepsState() {
				t.Errorf("the global model has %d bytes, the first %d", last.Global.Size, w.terms.Initial.Size)
			}
		})
	}
}
