package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/renyi"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
	accountant "github.com/medfed/medfed/trainer/privacy"
)

// privacy is what a coordinator writes down of private training: fl.Privacy in the
// words of a person. Without noise there is none.
type privacy struct {
	Noise   decimal `yaml:"dp_noise"`
	Clip    decimal `yaml:"dp_clip"`
	Delta   delta   `yaml:"dp_delta"`
	Epsilon decimal `yaml:"dp_epsilon"`
}

// defaultPrivacy is off; with noise, its clipping norm is 1 and its budget ε = 8 at
// δ = 1e-5.
func defaultPrivacy() privacy {
	return privacy{Clip: decimal(fl.One), Delta: 100_000, Epsilon: decimal(8 * fl.One)}
}

// bind makes a flag of each. The present values become the defaults.
func (p *privacy) bind(flags *pflag.FlagSet) {
	flags.Var(&p.Noise, "dp-noise", "train with differential privacy: noise multiplier of DP-SGD, such as 1.1; 0 for none")
	flags.Var(&p.Clip, "dp-clip", "with --dp-noise: clipping norm of an example's gradient")
	flags.Var(&p.Delta, "dp-delta", "with --dp-noise: δ, below one by the number of examples of a node")
	flags.Var(&p.Epsilon, "dp-epsilon", "with --dp-noise: budget, the most ε that the task may spend of a node's data set")
}

// onLedger is the ledger's form.
func (p privacy) onLedger() fl.Privacy {
	if p.Noise == 0 {
		return fl.Privacy{}
	}
	return fl.Privacy{NoiseMultiplier: fl.Micro(p.Noise), ClippingNorm: fl.Micro(p.Clip), InverseDelta: int64(p.Delta), Epsilon: fl.Micro(p.Epsilon)}
}

// delta is a flag and YAML value: a probability, held as the whole number that it is
// one by.
type delta int64

// deltaPattern keeps a typed number small.
var deltaPattern = regexp.MustCompile(`^(1/[0-9]{1,16}|[0-9](\.[0-9]{1,18})?([eE]-[0-9]{1,2})?)$`)

func (d *delta) Type() string { return "probability" }

func (d *delta) String() string {
	text := fmt.Sprint(int64(*d))
	if zeros := len(text) - 1; text == "1"+strings.Repeat("0", zeros) {
		return fmt.Sprintf("1e-%d", zeros)
	}
	return "1/" + text
}

func (d *delta) Set(s string) error {
	if !deltaPattern.MatchString(s) {
		return fmt.Errorf("%q is no small probability; write 1e-5, or 1/60000", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Sign() <= 0 {
		return fmt.Errorf("%q is no small probability; write 1e-5, or 1/60000", s)
	}
	r.Inv(r)
	if !r.IsInt() || !r.Num().IsInt64() {
		return errors.New("it is not one by a whole number; write 1e-5, or 1/60000")
	}
	*d = delta(r.Num().Int64())
	return nil
}

// UnmarshalYAML reads the number as it stands in the file.
func (d *delta) UnmarshalYAML(node *yaml.Node) error {
	if err := d.Set(node.Value); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

// privacyInWords describes a private task's terms.
func privacyInWords(p fl.Privacy) string {
	d := delta(p.InverseDelta)
	return fmt.Sprintf("noise multiplier %s, clipping norm %s, at most ε = %s of a data set at δ = %s", p.NoiseMultiplier, p.ClippingNorm, p.Epsilon, d.String())
}

func newPrivacy(a *app) *cobra.Command {
	return group("privacy", "Plan private training, and see what it has spent", newPrivacyPlan(a), newPrivacySpent(a))
}

// plan is what private training would spend of a node's data set.
type plan struct {
	Examples int      `json:"examples"`
	Updates  int      `json:"updates"`
	Steps    int      `json:"steps"`   // of all updates
	Rate     float64  `json:"rate"`    // probability with which a step samples an example
	Delta    float64  `json:"delta"`   //
	Ledger   fl.Micro `json:"ledger"`  // ε as the ledger accounts it, in integers rounded up
	Epsilon  float64  `json:"epsilon"` // ε in floating point at the orders that Opacus uses
	Classic  float64  `json:"classic"` // the same with the conversion of older papers
	Holds    int      `json:"holds"`   // updates that the budget holds
}

func newPrivacyPlan(a *app) *cobra.Command {
	t, examples, updates := defaultTerms(), 500, 1
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what private training would spend, before a task is created",
		Long: `Say how much ε a number of updates would spend of a data set, and how many updates
a budget holds. A node makes an update in each round in which it is drawn to train.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := planned(t, examples, updates)
			if err != nil {
				return err
			}
			return a.print(p, func(w io.Writer) {
				fmt.Fprintf(w, "updates\t%d, of %d steps that sample each of %d examples with a probability of %.4f\n", p.Updates, p.Steps, p.Examples, p.Rate)
				fmt.Fprintf(w, "ledger\tε = %s at δ = %s\n", p.Ledger.Decimal(6), t.Privacy.Delta.String())
				fmt.Fprintf(w, "at the orders of Opacus\tε = %.6f; by the classic conversion %.6f\n", p.Epsilon, p.Classic)
				fmt.Fprintf(w, "budget\tε = %s holds %d updates\n", t.Privacy.Epsilon, p.Holds)
			})
		},
	}
	flags := c.Flags()
	flags.IntVar(&examples, "examples", examples, "examples of the node's data set")
	flags.IntVar(&updates, "updates", updates, "updates of the node")
	flags.IntVar(&t.Epochs, "epochs", t.Epochs, "passes over the local data in an update (E)")
	flags.IntVar(&t.BatchSize, "batch-size", t.BatchSize, "examples a training step, in the mean (b)")
	t.Privacy.Noise = 1_100_000
	t.Privacy.bind(flags)
	return c
}

// planned asks the ledger's account and the trainer's.
func planned(t terms, examples, updates int) (plan, error) {
	terms, err := t.forTask("plan")
	if err != nil {
		return plan{}, err
	}
	if err := fl.CheckNumbers(terms); err != nil {
		return plan{}, err
	}
	if !terms.Privacy.On() || examples < 1 || updates < 1 || updates > fl.MaxRounds {
		return plan{}, usage("there is nothing to plan without noise, examples or updates; use --dp-noise, and --examples and --updates from 1")
	}
	p := plan{Examples: examples, Updates: updates, Delta: 1 / float64(terms.Privacy.InverseDelta)}
	p.Steps, p.Rate = accountant.Steps(examples, terms.Training.BatchSize, terms.Training.Epochs)
	p.Steps *= updates
	spent := accountant.NewAccountant(nil)
	spent.Add(node.Float(terms.Privacy.NoiseMultiplier), p.Rate, p.Steps)
	p.Epsilon, _ = spent.Epsilon(p.Delta, accountant.Improved)
	p.Classic, _ = spent.Epsilon(p.Delta, accountant.Classic)
	cost, total := fl.UpdateCost(terms, int64(examples)), renyi.Divergences(nil)
	for update := 1; update <= max(updates, fl.MaxRounds); update++ {
		total = total.Plus(cost)
		epsilon := fl.Micro(total.Epsilon(terms.Privacy.InverseDelta))
		if update == updates {
			p.Ledger = epsilon
		}
		if epsilon <= terms.Privacy.Epsilon {
			p.Holds = update
		} else if update >= updates {
			break
		}
	}
	return p, nil
}

func newPrivacySpent(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "spent [NODE]",
		Short: "Show what all private tasks have spent of each data set, or of a node's",
		Long: `Show, for each data set, the updates that private tasks have had of it and the ε
they have spent together. A data set goes by a digest that only its node can make:
two tasks of one set share it. "task show" shows what one task has spent.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spendings, err := ask(a, func(c gateway.Contracts, _ *gateway.Identity) ([]fl.Spending, error) {
				return listSpendings(cmd.Context(), c, args)
			})
			if err != nil {
				return err
			}
			return a.print(spendings, func(w io.Writer) {
				fmt.Fprintln(w, "NODE\tDATA SET\tUPDATES\tEPSILON\tDELTA")
				for _, s := range spendings {
					d := delta(s.InverseDelta)
					fmt.Fprintf(w, "%s\t%.16s…\t%d\t%s\t%s\n", s.Node, s.Dataset, s.Updates, s.Epsilon.Decimal(6), d.String())
				}
			})
		},
	}
}

// listSpendings gives what was spent of every data set, or of one node's where one
// is named.
func listSpendings(ctx context.Context, c gateway.Contracts, node []string) ([]fl.Spending, error) {
	spendings, err := gateway.Collect(c.Tasks.ListSpendings(ctx))
	return slices.DeleteFunc(spendings, func(s fl.Spending) bool { return len(node) > 0 && s.Node != node[0] }), err
}
