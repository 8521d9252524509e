package gateway

import (
	"context"

	"github.com/medfed/medfed/chaincode/fl"
)

// OpenRound opens the round after the last and draws its masters and trainers.
// Caller: the task's coordinator or a joined node.
func (c Contracts) OpenRound(ctx context.Context, task string, round int) (fl.Round, error) {
	return submit[fl.Round](ctx, c, "round:OpenRound", fl.RoundRequest{Task: task, Round: round})
}

// SubmitUpdate submits the caller's update. Caller: a trainer sampled for the
// round.
func (c Contracts) SubmitUpdate(ctx context.Context, request fl.UpdateRequest) (fl.Update, error) {
	return submit[fl.Update](ctx, c, "round:SubmitUpdate", request)
}

// CloseTraining moves the round on to scoring, or fails it. Caller: the task's
// coordinator or a joined node.
func (c Contracts) CloseTraining(ctx context.Context, task string, round int) (fl.Round, error) {
	return submit[fl.Round](ctx, c, "round:CloseTraining", fl.RoundRequest{Task: task, Round: round})
}

// CommitScores submits the caller's sealed scores. Caller: a master of the round.
func (c Contracts) CommitScores(ctx context.Context, task string, round int, hash string) (fl.ScoreCommitment, error) {
	return submit[fl.ScoreCommitment](ctx, c, "round:CommitScores", fl.CommitRequest{Task: task, Round: round, Hash: hash})
}

// CloseCommits moves the round on to revealing, or fails it. Caller: the task's
// coordinator or a joined node.
func (c Contracts) CloseCommits(ctx context.Context, task string, round int) (fl.Round, error) {
	return submit[fl.Round](ctx, c, "round:CloseCommits", fl.RoundRequest{Task: task, Round: round})
}

// RevealScores opens the caller's sealed scores. Caller: a master of the round
// that committed.
func (c Contracts) RevealScores(ctx context.Context, request fl.RevealRequest) (fl.Reveal, error) {
	return submit[fl.Reveal](ctx, c, "round:RevealScores", request)
}

// Tally takes the medians and moves the round on to aggregating, or fails it.
// Caller: the task's coordinator or a joined node.
func (c Contracts) Tally(ctx context.Context, task string, round int) (fl.Round, error) {
	return submit[fl.Round](ctx, c, "round:Tally", fl.RoundRequest{Task: task, Round: round})
}

// ProposeGlobal offers an aggregate as the global model. Caller: the task's
// coordinator or, after the deadline, a master of the round.
func (c Contracts) ProposeGlobal(ctx context.Context, task string, round int, model fl.ModelRef) (fl.Proposal, error) {
	return submit[fl.Proposal](ctx, c, "round:ProposeGlobal", fl.ProposeRequest{Task: task, Round: round, Model: model})
}

// AttestGlobal attests the digest of the aggregate the caller computed itself.
// Caller: a master of the round.
func (c Contracts) AttestGlobal(ctx context.Context, task string, round int, digest string) (fl.Attestation, error) {
	return submit[fl.Attestation](ctx, c, "round:AttestGlobal", fl.AttestRequest{Task: task, Round: round, Digest: digest})
}

// CloseRound closes the round with the model that 2f+1 masters attested, or fails
// it. Caller: the task's coordinator or a joined node.
func (c Contracts) CloseRound(ctx context.Context, task string, round int) (fl.Round, error) {
	return submit[fl.Round](ctx, c, "round:CloseRound", fl.RoundRequest{Task: task, Round: round})
}

// GetRound gives everything the ledger knows of a round.
func (c Contracts) GetRound(ctx context.Context, task string, round int) (fl.RoundState, error) {
	return evaluate[fl.RoundState](ctx, c, "round:GetRound", fl.RoundRequest{Task: task, Round: round})
}

// GetLineage gives the ancestry of a closed round's global model, newest first.
func (c Contracts) GetLineage(ctx context.Context, task string, round int) ([]fl.LineageStep, error) {
	return evaluate[[]fl.LineageStep](ctx, c, "round:GetLineage", fl.RoundRequest{Task: task, Round: round})
}

// GetRoundHistory gives every committed value of a round's document, or of the
// task's for round 0, oldest first.
func (c Contracts) GetRoundHistory(ctx context.Context, task string, round int) ([]fl.HistoryEntry, error) {
	return evaluate[[]fl.HistoryEntry](ctx, c, "round:GetRoundHistory", fl.HistoryRequest{Task: task, Round: round})
}
