package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

func newModel(a *app) *cobra.Command {
	return group("model", "Fetch, show, measure, use and export models", newModelGet(a), newModelShow(a), newModelEvaluate(a), newModelCalibrate(a), newModelPredict(a), newModelExport(a))
}

// globalModel is a task's global model after it has been fetched and checked.
type globalModel struct {
	Task    string      `json:"task"`
	Round   int         `json:"round"` // that made it, 0 for the task's first model
	Model   fl.ModelRef `json:"model"`
	File    string      `json:"file,omitempty"` // where it was written, "" when it was not
	terms   fl.Terms
	weights *weights.Weights
}

// newestRound stands for the newest closed round where a round can be named.
const newestRound = -1

func newModelGet(a *app) *cobra.Command {
	var round int
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "get TASK",
		Short: "Fetch a task's global model, check it against the ledger and write it as safetensors",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, force); err != nil {
				return err
			}
			m, err := fetchGlobal(cmd.Context(), a, args[0], round)
			if err != nil {
				return err
			}
			m.File = output
			if m.File == "" {
				m.File = fmt.Sprintf("%s-%d.safetensors", m.Task, m.Round)
				if err := checkOutput(m.File, force); err != nil {
					return err
				}
			}
			if err := m.write(); err != nil {
				return err
			}
			return a.print(m, func(w io.Writer) { printModel(w, m) })
		},
	}
	c.Flags().IntVar(&round, "round", newestRound, "round that made it, 0 for the task's first model (default the newest closed round)")
	c.Flags().Lookup("round").DefValue = "0"
	c.Flags().StringVarP(&output, "out", "o", "", "file to write (default TASK-ROUND.safetensors)")
	c.Flags().BoolVar(&force, "force", false, "write over an existing file")
	return c
}

func printModel(w io.Writer, m globalModel) {
	fmt.Fprintf(w, "task\t%s, round %d\nCID\t%s\ndigest\t%s\nbytes\t%d\nfile\t%s\n", m.Task, m.Round, m.Model.CID, m.Model.Digest, m.Model.Size, m.File)
}

// fetchGlobal gets a global model and checks CID and digest against the ledger.
func fetchGlobal(ctx context.Context, a *app, task string, round int) (globalModel, error) {
	m := globalModel{Task: task}
	if err := checkTask(task); err != nil {
		return m, err
	}
	if round < newestRound {
		return m, usage("--round is %d; use 0 for the first model or a round's number", round)
	}
	l, err := a.ledger()
	if err != nil {
		return m, err
	}
	defer l.Close()
	key, err := a.ageIdentity()
	if err != nil {
		return m, err
	}
	s, err := a.privateIPFS()
	if err != nil {
		return m, err
	}
	contracts := gateway.ContractsOf(l)
	state, err := contracts.Tasks.GetTask(ctx, fl.TaskRequest{Task: task})
	if err != nil {
		return m, err
	}
	m.terms = state.Task.Terms
	if m.Model, m.Round, err = globalOf(ctx, contracts, state, round); err != nil {
		return m, err
	}
	if err := checkKept(ctx, contracts, state, m.Round); err != nil {
		return m, err
	}
	m.weights, err = node.Fetch(ctx, s, m.Model, key)
	return m, err
}

// checkKept refuses a global model that the nodes have removed from IPFS, as the task's terms
// have it.
func checkKept(ctx context.Context, c gateway.Contracts, task fl.TaskState, round int) error {
	if round == 0 {
		return nil
	}
	_, newest, err := newestGlobal(ctx, c, task)
	if err == nil && !task.Task.Retention.KeepsModel(round, newest) {
		return codes.Errorf("MF-ROUND-GONE", "the global model of round %d is gone: the task keeps %s, and the newest is of round %d; name one of these", round, retentionInWords(task.Task.Retention), newest)
	}
	return err
}

// globalOf finds the global model that a round made.
func globalOf(ctx context.Context, c gateway.Contracts, task fl.TaskState, round int) (fl.ModelRef, int, error) {
	switch round {
	case newestRound:
		return newestGlobal(ctx, c, task)
	case 0:
		return task.Task.First, 0, nil
	}
	state, err := c.Rounds.GetRound(ctx, fl.RoundRequest{Task: task.Task.Task, Round: round})
	if err != nil {
		return fl.ModelRef{}, 0, err
	}
	if state.Round.Global == nil {
		return fl.ModelRef{}, 0, codes.Errorf("MF-ROUND-NO-GLOBAL", "round %d is %s and has made no global model; name a closed round", round, state.Round.Phase)
	}
	return *state.Round.Global, round, nil
}

// checkOutput refuses, before anything is fetched, a file that is there already.
func checkOutput(path string, force bool) error {
	if path == "" || force {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return codes.Errorf("MF-WRITE-EXISTS", "%s exists; name another file, or write over it with --force", path)
	}
	return nil
}

// write writes the model with its description. A task from before classes had names has
// none.
func (m globalModel) write() error {
	if m.terms.ClassNames == nil {
		return model.WriteFile(m.File, m.weights, nil)
	}
	d := describe(m.terms)
	d.Task, d.Round = m.Task, m.Round
	return model.WriteFile(m.File, m.weights, &d)
}

// describe says what a task's models are.
func describe(t fl.Terms) model.Description {
	d := node.Spec(t).Describe(t.ClassNames, node.Input(t))
	d.Data = t.Data
	if t.Backbone.Digest != "" {
		d.Backbone = &model.Backbone{Digest: t.Backbone.Digest, Random: t.Backbone.Random, Seed: t.Backbone.Seed}
	}
	return d
}
