package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// roundContract is the name before the colon in round:OpenRound.
const roundContract = "round"

// RoundContract is one pass of a task: sample, train, score, aggregate. It is
// the paper's consensus (Hu et al. section 3.2.2) carried by endorsed
// transactions. No phase waits for ever: after its deadline any member moves
// the round on, at quorum to the next phase and below it to failed.
type RoundContract struct{ contractapi.Contract }

// NewRoundContract makes the contract.
func NewRoundContract() *RoundContract {
	return &RoundContract{newContract(roundContract, "Rounds", "The rounds of a task: election, updates, sealed scores, medians and the global model.")}
}

// GetEvaluateTransactions names the queries.
func (*RoundContract) GetEvaluateTransactions() []string { return evaluated(roundContract) }

// OpenRound opens the round after the last: its beacon comes from the salts of
// the round before, and its masters and trainers from the beacon. Caller: any
// member.
func (*RoundContract) OpenRound(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	call, err := enterTask(ctx, request.Task, anyMember)
	if err != nil {
		return nil, err
	}
	var found bool
	if call.round, found, err = findRound(ctx, request.Task, request.Round); err != nil {
		return nil, err
	}
	if found {
		return call.endRound(fl.Changes{})
	}
	progress, err := readProgress(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	on, err := call.opening(progress)
	if err != nil {
		return nil, err
	}
	changes, err := fl.OpenRound(call.task, progress, on, request.Round, call.now)
	if err != nil {
		return nil, err
	}
	return call.endRound(changes)
}

// SubmitUpdate takes a trainer's update. A digest that another trainer or an
// earlier round has used is a copy. In a private task it spends of the budget of
// the trainer's data set, accepted by the masters or not: what is sent is told.
// Caller: a trainer sampled for the round.
func (*RoundContract) SubmitUpdate(ctx *ledger.Context, request fl.UpdateRequest) (*fl.Update, error) {
	call, err := enterRound(ctx, request.Task, request.Round, aTrainer)
	if err != nil {
		return nil, err
	}
	found, err := call.submission(request.Model.Digest)
	if err != nil {
		return nil, err
	}
	update, changes, err := fl.SubmitUpdate(call.task, call.round, found, request, call.caller.ID, call.now)
	if err != nil {
		return nil, err
	}
	return &update, call.end(changes)
}

// CloseTraining ends training: when all updates are in, or the deadline has
// passed. Caller: any member.
func (*RoundContract) CloseTraining(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	return endPhase(ctx, request, fl.CloseTraining, updates)
}

// CommitScores takes a master's sealed scores. Nobody sees another's scores
// before sealing its own. Caller: a master of the round.
func (*RoundContract) CommitScores(ctx *ledger.Context, request fl.CommitRequest) (*fl.ScoreCommitment, error) {
	call, err := enterRound(ctx, request.Task, request.Round, aTrainer)
	if err != nil {
		return nil, err
	}
	first, err := optional[fl.ScoreCommitment](ctx, call.key(ledger.CommitmentKey))
	if err != nil {
		return nil, err
	}
	commitment, changes, err := fl.CommitScores(call.round, first, request, call.caller.ID)
	if err != nil {
		return nil, err
	}
	return &commitment, call.end(changes)
}

// CloseCommits ends committing: when all masters committed, or the deadline has
// passed. Caller: any member.
func (*RoundContract) CloseCommits(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	return endPhase(ctx, request, fl.CloseCommits, commitments)
}

// RevealScores opens a master's sealed scores. Its salt feeds the next beacon.
// Caller: a master of the round that committed.
func (*RoundContract) RevealScores(ctx *ledger.Context, request fl.RevealRequest) (*fl.Reveal, error) {
	call, err := enterRound(ctx, request.Task, request.Round, aTrainer)
	if err != nil {
		return nil, err
	}
	sealed, err := optional[fl.ScoreCommitment](ctx, call.key(ledger.CommitmentKey))
	if err != nil {
		return nil, err
	}
	revealed, err := ledger.Exists(ctx, call.key(ledger.RevealKey))
	if err != nil {
		return nil, err
	}
	reveal, changes, err := fl.RevealScores(call.round, sealed, revealed, request, call.caller.ID)
	if err != nil {
		return nil, err
	}
	return &reveal, call.end(changes)
}

// Tally takes the median of each update's scores and compares it with the
// task's threshold, which the round's allowance widens when it is relative, when
// all that committed revealed, or the deadline has passed. It sets the weights of
// the next election. Caller: any member.
func (*RoundContract) Tally(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	return endPhase(ctx, request, fl.Tally, updates, commitments, reveals)
}

// ProposeGlobal offers the aggregate of the accepted updates. Caller: the
// task's coordinator or, once its time has passed, a master of the round.
func (*RoundContract) ProposeGlobal(ctx *ledger.Context, request fl.ProposeRequest) (*fl.Proposal, error) {
	call, err := enterRound(ctx, request.Task, request.Round, coordinatorOrTrainer)
	if err != nil {
		return nil, err
	}
	first, err := optional[fl.Proposal](ctx, call.key(ledger.ProposalKey))
	if err != nil {
		return nil, err
	}
	proposal, changes, err := fl.ProposeGlobal(call.task, call.round, first, request, call.caller.ID, call.isCoordinator(), call.now)
	if err != nil {
		return nil, err
	}
	return &proposal, call.end(changes)
}

// AttestGlobal takes a master's word for the digest of the aggregate that it
// computed itself, proposed already or not. Caller: a master of the round.
func (*RoundContract) AttestGlobal(ctx *ledger.Context, request fl.AttestRequest) (*fl.Attestation, error) {
	call, err := enterRound(ctx, request.Task, request.Round, aTrainer)
	if err != nil {
		return nil, err
	}
	first, err := optional[fl.Attestation](ctx, call.key(ledger.AttestationKey))
	if err != nil {
		return nil, err
	}
	attestation, changes, err := fl.AttestGlobal(call.round, first, request, call.caller.ID)
	if err != nil {
		return nil, err
	}
	return &attestation, call.end(changes)
}

// CloseRound makes the proposal that 2f+1 masters attested the global model,
// or fails the round when there is none after twice the time for it. Caller: any
// member.
func (*RoundContract) CloseRound(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	call, err := enterRound(ctx, request.Task, request.Round, anyMember)
	if err != nil {
		return nil, err
	}
	progress, state, err := call.standing(proposals, attestations)
	if err != nil {
		return nil, err
	}
	used, err := call.used(state.Proposals)
	if err != nil {
		return nil, err
	}
	changes, err := fl.CloseRound(call.task, progress, state, used, call.now)
	if err != nil {
		return nil, err
	}
	return call.endRound(changes)
}

// phaseEnd is a step that any member may take, once the round's phase is over.
type phaseEnd func(task fl.Task, progress fl.Progress, state fl.RoundState, now int64) (fl.Changes, error)

// endPhase ends a phase of a round on the lists of what was submitted in it.
func endPhase(ctx *ledger.Context, request fl.RoundRequest, step phaseEnd, submitted ...list) (*fl.Round, error) {
	call, err := enterRound(ctx, request.Task, request.Round, anyMember)
	if err != nil {
		return nil, err
	}
	progress, state, err := call.standing(submitted...)
	if err != nil {
		return nil, err
	}
	changes, err := step(call.task, progress, state, call.now)
	if err != nil {
		return nil, err
	}
	return call.endRound(changes)
}
