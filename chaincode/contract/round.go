package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
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
	return &RoundContract{contractapi.Contract{
		Name:                      roundContract,
		Info:                      info("Rounds", "The rounds of a task: election, updates, sealed scores, medians and the global model."),
		TransactionContextHandler: new(ledger.Context),
	}}
}

// GetEvaluateTransactions names the queries.
func (*RoundContract) GetEvaluateTransactions() []string { return evaluated(roundContract) }

// OpenRound opens the round after the last: its beacon comes from the salts of
// the round before, and its masters and trainers from the beacon. Caller: any
// member.
func (*RoundContract) OpenRound(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	s, err := enterTask(ctx, "OpenRound", request.Task, anyMember)
	if err != nil {
		return nil, err
	}
	round, found, err := findRound(ctx, request.Task, request.Round)
	if err != nil {
		return nil, err
	}
	if found {
		s.round = round
		return s.done()
	}
	progress, err := readProgress(ctx, request.Task)
	if err != nil {
		return nil, err
	}
	if request.Round != progress.LastRound+1 {
		return nil, codes.Errorf("MF-ROUND-NUMBER", "round %d can't be opened after round %d; open round %d", request.Round, progress.LastRound, progress.LastRound+1)
	}
	switch s.task.Phase {
	case fl.TaskStarting:
		return s.openFirst()
	case fl.TaskRunning:
		return s.openNext(progress)
	default:
		return nil, codes.Errorf("MF-TASK-PHASE", "the task is %s; rounds are opened while it is starting or running", s.task.Phase)
	}
}

// SubmitUpdate takes a trainer's update. A digest that another trainer or an
// earlier round has used is a copy. In a private task it spends of the budget of
// the trainer's data set, accepted by the masters or not: what is sent is told.
// Caller: a trainer sampled for the round.
func (*RoundContract) SubmitUpdate(ctx *ledger.Context, request fl.UpdateRequest) (*fl.Update, error) {
	s, err := enterRound(ctx, "SubmitUpdate", request.Task, request.Round, aTrainer)
	if err != nil {
		return nil, err
	}
	if request.NumExamples < 1 {
		return nil, codes.Errorf("MF-UPDATE-EXAMPLES", "num_examples is %d; send how many examples the update was trained on", request.NumExamples)
	}
	update := fl.Update{
		Node:        s.caller.ID,
		Model:       request.Model,
		NumExamples: min(request.NumExamples, s.task.MaxExamples),
		SubmittedAt: s.now,
	}
	first, found, err := ledger.Get[fl.Update](ctx, s.key(ledger.UpdateKey))
	if err != nil {
		return nil, err
	}
	if found {
		if first.Model.Digest != update.Model.Digest || first.NumExamples != update.NumExamples {
			return nil, codes.Errorf("MF-UPDATE-EXISTS", "%s has submitted another update in this round; the first stands, go on with the next round", s.caller.ID)
		}
		return &first, s.emit()
	}
	if err := s.mustBe(fl.RoundTraining); err != nil {
		return nil, err
	}
	if err := s.checkUpdate(update.Model); err != nil {
		return nil, err
	}
	if err := s.claimDigest(update.Model.Digest); err != nil {
		return nil, err
	}
	if err := s.charge(request.NumExamples); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, s.key(ledger.UpdateKey), update); err != nil {
		return nil, err
	}
	return &update, s.emit()
}

// CloseTraining ends training: when all updates are in, or the deadline has
// passed. Caller: any member.
func (*RoundContract) CloseTraining(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	s, err := enterRound(ctx, "CloseTraining", request.Task, request.Round, anyMember)
	if err != nil {
		return nil, err
	}
	if s.isPast(fl.RoundTraining) {
		return s.done()
	}
	if err := s.mustBe(fl.RoundTraining); err != nil {
		return nil, err
	}
	updates, err := ledger.List[fl.Update](ctx, ledger.Updates(request.Task, request.Round))
	if err != nil {
		return nil, err
	}
	switch fl.Over(len(updates), len(s.round.Trainers), s.task.MinUpdates, s.pastDeadline()) {
	case fl.Proceed:
		return s.moveOn(fl.RoundCommitting)
	case fl.Fail:
		return s.fail("too few updates by the deadline", nil)
	default:
		return nil, s.tooEarly(len(updates), len(s.round.Trainers), "updates")
	}
}

// CommitScores takes a master's sealed scores. Nobody sees another's scores
// before sealing its own. Caller: a master of the round.
func (*RoundContract) CommitScores(ctx *ledger.Context, request fl.CommitRequest) (*fl.ScoreCommitment, error) {
	s, err := enterRound(ctx, "CommitScores", request.Task, request.Round, aMaster)
	if err != nil {
		return nil, err
	}
	if !form.IsHex32(request.Hash) {
		return nil, codes.Errorf("MF-COMMITMENT-INVALID", "the commitment is not 64 lower-case hexadecimal digits; send the hash of scores and salt")
	}
	commitment := fl.ScoreCommitment{Master: s.caller.ID, Hash: request.Hash}
	first, found, err := ledger.Get[fl.ScoreCommitment](ctx, s.key(ledger.CommitmentKey))
	if err != nil {
		return nil, err
	}
	if found {
		if first != commitment {
			return nil, codes.Errorf("MF-COMMITMENT-EXISTS", "%s has committed to other scores in this round; reveal those", s.caller.ID)
		}
		return &first, s.emit()
	}
	if err := s.mustBe(fl.RoundCommitting); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, s.key(ledger.CommitmentKey), commitment); err != nil {
		return nil, err
	}
	return &commitment, s.emit()
}

// CloseCommits ends committing: when all masters committed, or the deadline has
// passed. Caller: any member.
func (*RoundContract) CloseCommits(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	s, err := enterRound(ctx, "CloseCommits", request.Task, request.Round, anyMember)
	if err != nil {
		return nil, err
	}
	if s.isPast(fl.RoundCommitting) {
		return s.done()
	}
	if err := s.mustBe(fl.RoundCommitting); err != nil {
		return nil, err
	}
	commitments, err := ledger.List[fl.ScoreCommitment](ctx, ledger.Commitments(request.Task, request.Round))
	if err != nil {
		return nil, err
	}
	switch fl.Over(len(commitments), len(s.round.Masters), fl.Quorum(s.task.F), s.pastDeadline()) {
	case fl.Proceed:
		return s.moveOn(fl.RoundRevealing)
	case fl.Fail:
		silent := fl.SilentStandings(s.round.Number, s.round.Masters, fl.Committed(commitments))
		return s.fail("too few commitments by the deadline", silent)
	default:
		return nil, s.tooEarly(len(commitments), len(s.round.Masters), "commitments")
	}
}

// RevealScores opens a master's sealed scores. Its salt feeds the next beacon.
// Caller: a master of the round that committed.
func (*RoundContract) RevealScores(ctx *ledger.Context, request fl.RevealRequest) (*fl.Reveal, error) {
	s, err := enterRound(ctx, "RevealScores", request.Task, request.Round, aMaster)
	if err != nil {
		return nil, err
	}
	commitment, committed, err := ledger.Get[fl.ScoreCommitment](ctx, s.key(ledger.CommitmentKey))
	if err != nil {
		return nil, err
	}
	if !committed {
		return nil, codes.Errorf("MF-REVEAL-UNCOMMITTED", "%s has not committed to scores in this round; commit while the round is committing", s.caller.ID)
	}
	if err := fl.CheckScores(s.round.Trainers, request.Scores, request.Salt); err != nil {
		return nil, err
	}
	if fl.CommitScores(request.Task, request.Round, s.caller.ID, request.Scores, request.Salt) != commitment.Hash {
		return nil, codes.Errorf("MF-REVEAL-MISMATCH", "scores and salt do not open the commitment of %s in this round; send what was sealed", s.caller.ID)
	}
	reveal := fl.Reveal{Master: s.caller.ID, Scores: fl.SortScores(request.Scores), Salt: request.Salt}
	revealed, err := ledger.Exists(ctx, s.key(ledger.RevealKey))
	if err != nil {
		return nil, err
	}
	if revealed { // the commitment opens in one way only, so this is the same reveal
		return &reveal, s.emit()
	}
	if err := s.mustBe(fl.RoundRevealing); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, s.key(ledger.RevealKey), reveal); err != nil {
		return nil, err
	}
	return &reveal, s.emit()
}

// Tally takes the median of each update's scores and compares it with the
// task's threshold, which the round's allowance widens when it is relative, when
// all that committed revealed, or the deadline has passed. It sets the weights of
// the next election. Caller: any member.
func (*RoundContract) Tally(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	s, err := enterRound(ctx, "Tally", request.Task, request.Round, anyMember)
	if err != nil {
		return nil, err
	}
	if s.isPast(fl.RoundRevealing) {
		return s.done()
	}
	if err := s.mustBe(fl.RoundRevealing); err != nil {
		return nil, err
	}
	state, err := readState(ctx, s.round)
	if err != nil {
		return nil, err
	}
	standings := fl.SilentStandings(s.round.Number, s.round.Masters, fl.Revealed(state.Reveals))
	switch fl.Over(len(state.Reveals), len(state.Commitments), fl.Quorum(s.task.F), s.pastDeadline()) {
	case fl.Wait:
		return nil, s.tooEarly(len(state.Reveals), len(state.Commitments), "reveals")
	case fl.Fail:
		return s.fail("too few reveals by the deadline", standings)
	}
	s.round.Results, s.round.PreviousMedian = fl.Tally(s.task.Terms, s.round.Allowance, s.round.Trainers, state.Updates, state.Reveals)
	standings = append(fl.ScoredStandings(s.round.Number, s.round.Results), standings...)
	if !fl.AnyAccepted(s.round.Results) {
		return s.fail("no update was accepted", standings)
	}
	if err := s.putStandings(standings); err != nil {
		return nil, err
	}
	return s.moveOn(fl.RoundAggregating)
}

// ProposeGlobal offers the aggregate of the accepted updates. Caller: the
// task's coordinator or, once its time has passed, a master of the round.
func (*RoundContract) ProposeGlobal(ctx *ledger.Context, request fl.ProposeRequest) (*fl.Proposal, error) {
	s, err := enterRound(ctx, "ProposeGlobal", request.Task, request.Round, coordinatorOrMaster)
	if err != nil {
		return nil, err
	}
	proposal := fl.Proposal{Proposer: s.caller.ID, Model: request.Model}
	first, found, err := ledger.Get[fl.Proposal](ctx, s.key(ledger.ProposalKey))
	if err != nil {
		return nil, err
	}
	if found {
		if first.Model.Digest != proposal.Model.Digest {
			return nil, codes.Errorf("MF-PROPOSAL-EXISTS", "%s has proposed another global model in this round; another master can propose after the deadline", s.caller.ID)
		}
		return &first, s.emit()
	}
	if err := s.mustBe(fl.RoundAggregating); err != nil {
		return nil, err
	}
	if s.caller.ID != s.task.Creator && !s.pastDeadline() {
		return nil, codes.Errorf("MF-PROPOSAL-EARLY", "the coordinator has until %d to propose and it is %d; attest meanwhile, and propose then", s.round.Deadline, s.now)
	}
	if err := s.checkGlobal(proposal.Model); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, s.key(ledger.ProposalKey), proposal); err != nil {
		return nil, err
	}
	return &proposal, s.emit()
}

// AttestGlobal takes a master's word for the digest of the aggregate that it
// computed itself, proposed already or not. Caller: a master of the round.
func (*RoundContract) AttestGlobal(ctx *ledger.Context, request fl.AttestRequest) (*fl.Attestation, error) {
	s, err := enterRound(ctx, "AttestGlobal", request.Task, request.Round, aMaster)
	if err != nil {
		return nil, err
	}
	if !form.IsHex32(request.Digest) {
		return nil, codes.Errorf("MF-MODEL-DIGEST", "the digest is not 64 lower-case hexadecimal digits; send the SHA-256 of the plain canonical weights")
	}
	attestation := fl.Attestation{Master: s.caller.ID, Digest: request.Digest}
	first, found, err := ledger.Get[fl.Attestation](ctx, s.key(ledger.AttestationKey))
	if err != nil {
		return nil, err
	}
	if found {
		if first != attestation {
			return nil, codes.Errorf("MF-ATTESTATION-EXISTS", "%s has attested another digest in this round; the first stands", s.caller.ID)
		}
		return &first, s.emit()
	}
	if err := s.mustBe(fl.RoundAggregating); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, s.key(ledger.AttestationKey), attestation); err != nil {
		return nil, err
	}
	return &attestation, s.emit()
}

// CloseRound makes the proposal that 2f+1 masters attested the global model,
// or fails the round when there is none after twice the time for it. Caller: any
// member.
func (*RoundContract) CloseRound(ctx *ledger.Context, request fl.RoundRequest) (*fl.Round, error) {
	s, err := enterRound(ctx, "CloseRound", request.Task, request.Round, anyMember)
	if err != nil {
		return nil, err
	}
	if s.isPast(fl.RoundAggregating) {
		return s.done()
	}
	if err := s.mustBe(fl.RoundAggregating); err != nil {
		return nil, err
	}
	state, err := readState(ctx, s.round)
	if err != nil {
		return nil, err
	}
	agreed, attestations, ok := fl.Agreed(s.task.Terms, s.task.Creator, s.round.Masters, state.Proposals, state.Attestations)
	if ok {
		s.round.Global, s.round.Attestations = &agreed.Model, attestations
		return s.close(agreed)
	}
	if s.now >= s.round.Deadline+s.task.Deadlines.Aggregating {
		return s.fail("no global model was agreed on in twice its time", nil)
	}
	return nil, codes.Errorf("MF-ROUND-EARLY", "no proposed digest has %d attestations yet; propose and attest, or close the round after %d", fl.Quorum(s.task.F), s.round.Deadline+s.task.Deadlines.Aggregating)
}
