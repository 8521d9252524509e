package contract

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
)

// maxRound is the highest number a round can have: keys pad it to eight digits.
const maxRound = 99_999_999

// opening reads what the next round is opened on.
func (call *roundCall) opening(progress fl.Progress) (fl.Opening, error) {
	task, on := call.task.Terms.Task, fl.Opening{}
	var err error
	if on.Nodes, err = ledger.List[fl.Node](call.ctx, ledger.Nodes(task)); err != nil {
		return on, err
	}
	if on.Salts, err = ledger.List[fl.BeaconSalt](call.ctx, ledger.Salts(task)); err != nil {
		return on, err
	}
	if on.Spent, err = call.spent(fl.Participants(on.Nodes, on.Salts)); err != nil || progress.LastRound == 0 {
		return on, err
	}
	if on.Standings, err = ledger.List[fl.Standing](call.ctx, ledger.Standings(task)); err != nil {
		return on, err
	}
	if on.Last, err = readRound(call.ctx, task, progress.LastRound); err != nil {
		return on, err
	}
	on.Reveals, err = ledger.List[fl.Reveal](call.ctx, ledger.Reveals(task, progress.LastRound))
	return on, err
}

// spent are the nodes of a private task whose budgets hold no further update. Of
// what all tasks have spent it reads only the data sets that have a budget over all
// tasks: an update to another task that is charged to one of those in the same block
// conflicts, and the round is opened again on what it left.
func (call *roundCall) spent(nodes []fl.Node) ([]string, error) {
	if !call.task.Privacy.On() {
		return nil, nil
	}
	inTask, err := ledger.List[fl.Spending](call.ctx, ledger.Spendings(call.task.Terms.Task))
	if err != nil {
		return nil, err
	}
	var inAll []fl.Spending
	for _, node := range nodes {
		if node.Budget == 0 {
			continue
		}
		spending, found, err := ledger.Get[fl.Spending](call.ctx, ledger.DatasetKey(node.ID, node.Dataset))
		if err != nil {
			return nil, err
		}
		if found {
			inAll = append(inAll, spending)
		}
	}
	return fl.SpentNodes(call.task.Terms, nodes, inTask, inAll), nil
}

// submission reads what there is of the caller's update with that digest. Only the
// node itself writes what has been spent of its data set: updates of different
// trainers never conflict, and two tasks that train on one data set at once do.
func (call *roundCall) submission(digest string) (fl.Submission, error) {
	found := fl.Submission{}
	task, trainer := call.task.Terms.Task, call.caller.ID
	var err error
	if found.First, err = optional[fl.Update](call.ctx, call.key(ledger.UpdateKey)); err != nil {
		return found, err
	}
	if form.IsHex32(digest) { // else the step refuses it
		if found.Use, err = optional[fl.DigestUse](call.ctx, ledger.DigestKey(task, digest)); err != nil {
			return found, err
		}
	}
	if !call.task.Privacy.On() {
		return found, nil
	}
	if found.Node, err = optional[fl.Node](call.ctx, ledger.NodeKey(task, trainer)); err != nil || found.Node == nil {
		return found, err
	}
	if found.InTask, _, err = ledger.Get[fl.Spending](call.ctx, ledger.SpendingKey(task, trainer)); err != nil {
		return found, err
	}
	found.InAll, _, err = ledger.Get[fl.Spending](call.ctx, ledger.DatasetKey(trainer, found.Node.Dataset))
	return found, err
}

// standing reads how far the task has come and the round with lists of what was
// submitted to it.
func (call *roundCall) standing(submitted ...list) (fl.Progress, fl.RoundState, error) {
	progress, err := readProgress(call.ctx, call.task.Terms.Task)
	if err != nil {
		return progress, fl.RoundState{}, err
	}
	state, err := readState(call.ctx, call.round, submitted...)
	return progress, state, err
}

// used reads which of the proposed digests the task knows.
func (call *roundCall) used(proposals []fl.Proposal) ([]fl.Claim, error) {
	var used []fl.Claim
	for _, proposal := range proposals {
		use, found, err := ledger.Get[fl.DigestUse](call.ctx, ledger.DigestKey(call.task.Terms.Task, proposal.Model.Digest))
		if err != nil {
			return nil, err
		}
		if found {
			used = append(used, fl.Claim{Digest: proposal.Model.Digest, DigestUse: use})
		}
	}
	return used, nil
}

// optional reads a document, nil for none.
func optional[T any](ctx *ledger.Context, key ledger.Key) (*T, error) {
	document, found, err := ledger.Get[T](ctx, key)
	if err != nil || !found {
		return nil, err
	}
	return &document, nil
}

// findRound reads a round that may be there.
func findRound(ctx *ledger.Context, task string, number int) (fl.Round, bool, error) {
	if err := fl.CheckTaskName(task); err != nil {
		return fl.Round{}, false, err
	}
	if number < 1 || number > maxRound {
		return fl.Round{}, false, codes.Errorf("MF-ROUND-NUMBER", "there is no round %d; rounds are numbered from 1", number)
	}
	return ledger.Get[fl.Round](ctx, ledger.RoundKey(task, number))
}

// readRound reads a round that must be there.
func readRound(ctx *ledger.Context, task string, number int) (fl.Round, error) {
	round, found, err := findRound(ctx, task, number)
	if err == nil && !found {
		err = codes.Errorf("MF-ROUND-UNKNOWN", "the task %s has no round %d; look at the task for its newest", task, number)
	}
	return round, err
}

// list reads one of the lists of what was submitted to a round.
type list func(*ledger.Context, *fl.RoundState) error

// readState reads a round with lists of what was submitted to it.
func readState(ctx *ledger.Context, round fl.Round, lists ...list) (fl.RoundState, error) {
	state := fl.RoundState{Round: round}
	for _, read := range lists {
		if err := read(ctx, &state); err != nil {
			return state, err
		}
	}
	return state, nil
}

func updates(ctx *ledger.Context, state *fl.RoundState) (err error) {
	state.Updates, err = ledger.List[fl.Update](ctx, ledger.Updates(state.Round.Task, state.Round.Number))
	return err
}

func commitments(ctx *ledger.Context, state *fl.RoundState) (err error) {
	state.Commitments, err = ledger.List[fl.ScoreCommitment](ctx, ledger.Commitments(state.Round.Task, state.Round.Number))
	return err
}

func reveals(ctx *ledger.Context, state *fl.RoundState) (err error) {
	state.Reveals, err = ledger.List[fl.Reveal](ctx, ledger.Reveals(state.Round.Task, state.Round.Number))
	return err
}

func proposals(ctx *ledger.Context, state *fl.RoundState) (err error) {
	state.Proposals, err = ledger.List[fl.Proposal](ctx, ledger.Proposals(state.Round.Task, state.Round.Number))
	return err
}

func attestations(ctx *ledger.Context, state *fl.RoundState) (err error) {
	state.Attestations, err = ledger.List[fl.Attestation](ctx, ledger.Attestations(state.Round.Task, state.Round.Number))
	return err
}
