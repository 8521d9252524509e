package gateway

import (
	"context"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// Rounds are the transactions of the contract round.
type Rounds struct{ Caller }

// OpenRound opens the round after the last and draws its masters and trainers.
// Caller: the task's coordinator or a joined node.
func (r Rounds) OpenRound(ctx context.Context, round fl.RoundRequest) (fl.Round, error) {
	return openRound(ctx, r, round)
}

// SubmitUpdate submits the caller's update. Caller: a trainer sampled for the
// round.
func (r Rounds) SubmitUpdate(ctx context.Context, update fl.UpdateRequest) (fl.Update, error) {
	return submitUpdate(ctx, r, update)
}

// CloseTraining moves the round on to scoring, or fails it. Caller: the task's
// coordinator or a joined node.
func (r Rounds) CloseTraining(ctx context.Context, round fl.RoundRequest) (fl.Round, error) {
	return closeTraining(ctx, r, round)
}

// CommitScores submits the caller's sealed scores. Caller: a master of the round.
func (r Rounds) CommitScores(ctx context.Context, commit fl.CommitRequest) (fl.ScoreCommitment, error) {
	return commitScores(ctx, r, commit)
}

// CloseCommits moves the round on to revealing, or fails it. Caller: the task's
// coordinator or a joined node.
func (r Rounds) CloseCommits(ctx context.Context, round fl.RoundRequest) (fl.Round, error) {
	return closeCommits(ctx, r, round)
}

// RevealScores opens the caller's sealed scores. Caller: a master of the round
// that committed.
func (r Rounds) RevealScores(ctx context.Context, reveal fl.RevealRequest) (fl.Reveal, error) {
	return revealScores(ctx, r, reveal)
}

// Tally takes the medians and moves the round on to aggregating, or fails it.
// Caller: the task's coordinator or a joined node.
func (r Rounds) Tally(ctx context.Context, round fl.RoundRequest) (fl.Round, error) {
	return tally(ctx, r, round)
}

// ProposeGlobal offers an aggregate as the global model. Caller: the task's
// coordinator or, after the deadline, a master of the round.
func (r Rounds) ProposeGlobal(ctx context.Context, propose fl.ProposeRequest) (fl.Proposal, error) {
	return proposeGlobal(ctx, r, propose)
}

// AttestGlobal attests the digest of the aggregate the caller computed itself.
// Caller: a master of the round.
func (r Rounds) AttestGlobal(ctx context.Context, attest fl.AttestRequest) (fl.Attestation, error) {
	return attestGlobal(ctx, r, attest)
}

// CloseRound closes the round with the model that 2f+1 masters attested, or fails
// it. Caller: the task's coordinator or a joined node.
func (r Rounds) CloseRound(ctx context.Context, round fl.RoundRequest) (fl.Round, error) {
	return closeRound(ctx, r, round)
}

// GetRound gives everything the ledger knows of a round.
func (r Rounds) GetRound(ctx context.Context, round fl.RoundRequest) (fl.RoundState, error) {
	return getRound(ctx, r, round)
}

// GetLineage gives the ancestry of a closed round's global model, newest first.
func (r Rounds) GetLineage(ctx context.Context, round fl.RoundRequest) ([]fl.LineageStep, error) {
	return getLineage(ctx, r, round)
}

// GetRoundHistory gives every committed value of a round's document, or of the
// task's for round 0, oldest first.
func (r Rounds) GetRoundHistory(ctx context.Context, round fl.HistoryRequest) ([]ledger.Change, error) {
	return getRoundHistory(ctx, r, round)
}
