package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

func newTask(a *app) *cobra.Command {
	return group("task", "Create, start and look at tasks", newTaskCreate(a), newTaskStart(a), newTaskList(a), newTaskShow(a))
}

func newTaskCreate(a *app) *cobra.Command {
	var file string
	defaults := defaultTerms()
	c := &cobra.Command{
		Use:   "create TASK",
		Short: "Create a task: make its first model, store it encrypted, fix the terms on the ledger",
		Long: `Create a task. The identity must be a coordinator's. The terms never change
afterwards; they come from a YAML file (--terms, keys as the flags with
underscores) and from flags, which win. The first model is drawn from the seed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			form, err := readTerms(file, cmd.Flags())
			if err != nil {
				return err
			}
			task, err := createTask(cmd.Context(), a, args[0], form)
			if err != nil {
				return err
			}
			return a.print(task, func(w io.Writer) { printTask(w, task) })
		},
	}
	c.Flags().StringVar(&file, "terms", "", "YAML file of terms")
	defaults.bind(c.Flags())
	return c
}

// createTask checks everything that can be checked before it stores the first
// model and asks the ledger.
func createTask(ctx context.Context, a *app, name string, form terms) (fl.TaskState, error) {
	var none fl.TaskState
	if err := checkTask(name); err != nil {
		return none, err
	}
	t, err := form.forTask(name)
	if err != nil {
		return none, err
	}
	if t.Privacy.On() {
		if err := node.Spec(t).CheckPrivate(); err != nil {
			return none, err
		}
	}
	made, named, err := form.Backbone.open(node.Spec(t), node.Input(t))
	if err != nil {
		return none, err
	}
	t.Backbone = named
	var first *weights.Weights
	if made == nil {
		first, err = model.Initial(node.Spec(t), form.Seed)
	} else {
		first, err = a.firstHead(ctx, made, form.Seed)
	}
	if err != nil {
		return none, err
	}
	l, err := a.ledger()
	if err != nil {
		return none, err
	}
	defer l.Close()
	key, err := a.ageIdentity()
	if err != nil {
		return none, err
	}
	t.Recipient = key.Recipient()
	if err := checkBeforeStoring(t, first); err != nil {
		return none, err
	}
	stores, err := a.stores()
	if err != nil {
		return none, err
	}
	if members := len(stores.Members); members > 0 { // a profile of other peers alone does not say
		if err := fl.CheckMembers(t, members); err != nil {
			return none, err
		}
	}
	s, err := stores.NeedPrivate()
	if err != nil {
		return none, err
	}
	t.Initial, err = node.Put(ctx, s, first, []string{t.Recipient})
	if err != nil {
		return none, err
	}
	contracts := gateway.ContractsOf(l)
	if _, err := contracts.Tasks.CreateTask(ctx, t); err != nil && !createdBefore(ctx, contracts, l.Identity().ID(), t, err) {
		return none, err
	}
	return contracts.Tasks.GetTask(ctx, fl.TaskRequest{Task: name})
}

// checkBeforeStoring asks the ledger's rules before anything is stored. The first
// model's CID is known only afterwards, so any canonical one stands in for it.
func checkBeforeStoring(t fl.Terms, first *weights.Weights) error {
	cid, err := ipfs.ComputeCID(bytes.NewReader(nil))
	if err != nil {
		return err
	}
	t.Initial = fl.ModelRef{CID: cid, Digest: first.Digest(), Size: first.Size()}
	return fl.CheckTerms(t)
}

// createdBefore reports whether a refusal only says that this coordinator has
// created the task with these terms before, in a command that was interrupted.
// The first model's CID differs every time it is encrypted.
func createdBefore(ctx context.Context, c gateway.Contracts, creator string, t fl.Terms, refusal error) bool {
	if codes.Of(refusal) != "MF-TASK-EXISTS" {
		return false
	}
	existing, err := c.Tasks.GetTask(ctx, fl.TaskRequest{Task: t.Task})
	t.Initial.CID = existing.Task.Initial.CID
	return err == nil && existing.Task.Creator == creator && existing.Task.Terms.Equal(t)
}

// startTask encrypts the first model to all that have joined and ends joining. A
// task that has been started stays as it is.
func startTask(ctx context.Context, a *app, name string) (fl.TaskState, error) {
	var none fl.TaskState
	l, err := a.ledger()
	if err != nil {
		return none, err
	}
	defer l.Close()
	contracts := gateway.ContractsOf(l)
	task, err := contracts.Tasks.GetTask(ctx, fl.TaskRequest{Task: name})
	if err != nil {
		return none, err
	}
	if creator := task.Task.Creator; creator != l.Identity().ID() {
		return none, codes.Errorf("MF-TASK-DENIED", "task %s is %s's; start it with that identity", name, creator)
	}
	if task.Task.Phase != fl.TaskJoining {
		return task, nil
	}
	key, err := a.ageIdentity()
	if err != nil {
		return none, err
	}
	s, err := a.privateIPFS()
	if err != nil {
		return none, err
	}
	first, err := node.Fetch(ctx, s, task.Task.Initial, key)
	if err != nil {
		return none, err
	}
	sealed, err := node.Put(ctx, s, first, node.Recipients(task))
	if err != nil {
		return none, err
	}
	if _, err := contracts.Tasks.StartTask(ctx, fl.StartRequest{Task: name, First: sealed, Nodes: len(task.Nodes)}); err != nil {
		return none, err
	}
	return contracts.Tasks.GetTask(ctx, fl.TaskRequest{Task: name})
}

func newTaskStart(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "start TASK",
		Short: "End joining: the nodes reveal their salts and the first round opens",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTask(args[0]); err != nil {
				return err
			}
			task, err := startTask(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			return a.print(task, func(w io.Writer) { printTask(w, task) })
		},
	}
}

func newTaskList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all tasks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tasks, err := ask(a, func(c gateway.Contracts, _ *gateway.Identity) ([]fl.Task, error) {
				return gateway.Collect(c.Tasks.ListTasks(cmd.Context()))
			})
			if err != nil {
				return err
			}
			return a.print(tasks, func(w io.Writer) {
				fmt.Fprintln(w, "TASK\tPHASE\tMODEL\tDATA\tROUNDS\tMASTERS\tF\tCREATED\tBY")
				for _, t := range tasks {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n",
						t.Task, t.Phase, t.Model, t.Data, t.Rounds, t.Masters, t.F, moment(t.CreatedAt), t.Creator)
				}
			})
		},
	}
}

func newTaskShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show TASK",
		Short: "Show a task's terms, nodes and progress",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTask(args[0]); err != nil {
				return err
			}
			task, err := ask(a, func(c gateway.Contracts, _ *gateway.Identity) (fl.TaskState, error) {
				return c.Tasks.GetTask(cmd.Context(), fl.TaskRequest{Task: args[0]})
			})
			if err != nil {
				return err
			}
			return a.print(task, func(w io.Writer) { printTask(w, task) })
		},
	}
}

func printTask(w io.Writer, s fl.TaskState) {
	t := s.Task
	fmt.Fprintf(w, "task\t%s, %s\n", t.Task, t.Phase)
	fmt.Fprintf(w, "created\t%s by %s\n", moment(t.CreatedAt), t.Creator)
	printSubject(w, t.Terms)
	if t.Backbone.Digest != "" {
		fmt.Fprintf(w, "backbone\t%s\n", backboneInWords(t.Backbone))
	}
	fmt.Fprintf(w, "training\t%s\n", trainingInWords(t.Training))
	if t.Privacy.On() {
		fmt.Fprintf(w, "privacy\t%s\n", privacyInWords(t.Privacy))
	}
	fmt.Fprintf(w, "rounds\t%d closed of %d, newest %d\n", s.Closed, t.Rounds, s.LastRound)
	fmt.Fprintf(w, "trainers\tshare %s of the nodes that are not masters, %d updates at least; %s\n", t.Participation, t.MinUpdates, t.Strategy)
	fmt.Fprintf(w, "masters\t%d elected a round, of whom %d may lie\n", t.Masters, t.F)
	fmt.Fprintf(w, "accepted\tmedian %s %s\n", t.Metric, thresholdInWords(t.Terms))
	fmt.Fprintf(w, "deadlines\tstarting %d s, training %d s, committing %d s, revealing %d s, aggregating %d s\n",
		t.Deadlines.Starting, t.Deadlines.Training, t.Deadlines.Committing, t.Deadlines.Revealing, t.Deadlines.Aggregating)
	fmt.Fprintf(w, "first model\t%s\n", t.Initial.CID)
	if len(s.Nodes) == 0 {
		return
	}
	spent := ""
	if t.Privacy.On() {
		spent = "\tEPSILON"
	}
	fmt.Fprintln(w, "\nNODE\tJOINED\tREVEALED\tWEIGHT\tSTANDING"+spent)
	for _, n := range s.Nodes {
		weight, standing := standingOf(s, n.ID)
		if t.Privacy.On() {
			spent = "\t" + fl.SpendingOf(s.Spendings, n.ID).Epsilon.Decimal(6)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s%s\n", n.ID, moment(n.JoinedAt), yesOrNo(revealed(s, n.ID)), weight.Decimal(6), standing, spent)
	}
}

// printSubject says what a task's models are for, so that whoever brings images knows
// whether theirs are meant.
func printSubject(w io.Writer, t fl.Terms) {
	in := node.Input(t)
	fmt.Fprintf(w, "model\t%s on %s, %d classes\n", t.Model, t.Data, t.Classes)
	fmt.Fprintf(w, "classes\t%s\n", classesInWords(t.ClassNames))
	fmt.Fprintf(w, "images\t%s\npixels\t%s\n", imagesInWords(node.Spec(t), in.Fit), inputInWords(in))
	fmt.Fprintf(w, "kept\t%s\n", retentionInWords(t.Retention))
}

// retentionInWords says what of a task's rounds can be fetched.
func retentionInWords(r fl.Retention) string {
	if r == (fl.Retention{}) {
		return "all updates and global models"
	}
	return fmt.Sprintf("updates of the newest %d rounds, global models of %d", r.Updates, r.Models)
}

func thresholdInWords(t fl.Terms) string {
	if t.ThresholdKind != fl.ThresholdRelative {
		return "at least " + t.Threshold.String()
	}
	words := allowanceInWords(t.Threshold)
	if t.Threshold > 0 {
		words += ", and " + t.Threshold.String() + " more after each round in a row that accepted none"
	}
	return words
}

func allowanceInWords(allowance fl.Micro) string {
	return "at most " + allowance.String() + " below the previous global model's"
}

// standingOf is a node's weight in the next election and what set it.
func standingOf(s fl.TaskState, id string) (fl.Micro, string) {
	for _, standing := range s.Standings {
		if standing.Node == id {
			return standing.Weight, fmt.Sprintf("%s in round %d", standing.Reason, standing.Round)
		}
	}
	return s.Task.BaseWeight, "newcomer"
}

func revealed(s fl.TaskState, id string) bool {
	return slices.ContainsFunc(s.Salts, func(salt fl.BeaconSalt) bool { return salt.Node == id })
}
