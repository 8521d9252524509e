package contract

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
)

// GetRound gives everything the ledger knows of a round.
func (*RoundContract) GetRound(ctx *ledger.Context, request fl.RoundRequest) (*fl.RoundState, error) {
	round, err := readRound(ctx, request.Task, request.Round)
	if err != nil {
		return nil, err
	}
	state, err := readState(ctx, round, updates, commitments, reveals, proposals, attestations)
	if err != nil {
		return nil, err
	}
	return &state, nil
}

// GetLineage gives the ancestry of a closed round's global model, newest first:
// the model, the accepted updates it was made of, who trained and scored them,
// and the model they started from, back to the task's first.
func (*RoundContract) GetLineage(ctx *ledger.Context, request fl.RoundRequest) ([]fl.LineageStep, error) {
	steps := []fl.LineageStep{}
	for number := request.Round; number > 0 || len(steps) == 0; {
		round, err := readRound(ctx, request.Task, number)
		if err != nil {
			return nil, err
		}
		step, err := lineageStep(ctx, round)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
		number = round.PreviousRound
	}
	return steps, nil
}

// GetRoundHistory gives every committed value of a round's document, or of the
// task's for round 0.
func (*RoundContract) GetRoundHistory(ctx *ledger.Context, request fl.HistoryRequest) ([]ledger.Change, error) {
	if request.Round == 0 {
		if _, err := readTask(ctx, request.Task); err != nil {
			return nil, err
		}
		return ledger.Changes(ctx, ledger.TaskKey(request.Task))
	}
	if _, err := readRound(ctx, request.Task, request.Round); err != nil {
		return nil, err
	}
	return ledger.Changes(ctx, ledger.RoundKey(request.Task, request.Round))
}

// lineageStep is one link of the ancestry.
func lineageStep(ctx *ledger.Context, round fl.Round) (fl.LineageStep, error) {
	if round.Global == nil {
		return fl.LineageStep{}, codes.Errorf("MF-ROUND-NO-GLOBAL", "round %d is %s and has made no global model; ask for a closed round", round.Number, round.Phase)
	}
	state, err := readState(ctx, round, updates)
	if err != nil {
		return fl.LineageStep{}, err
	}
	closing, err := ledger.Changes(ctx, ledger.RoundKey(round.Task, round.Number))
	if err != nil {
		return fl.LineageStep{}, err
	}
	if len(closing) == 0 {
		return fl.LineageStep{}, codes.Errorf("MF-LEDGER-READ", "the peer has no history of round %d; see that its history database is on", round.Number)
	}
	step := fl.LineageStep{
		Round:         round.Number,
		Global:        *round.Global,
		Previous:      round.Previous,
		PreviousRound: round.PreviousRound,
		Masters:       round.Masters,
		Updates:       []fl.Update{},
		Rejected:      []string{},
		TxID:          closing[len(closing)-1].TxID,
	}
	for _, result := range round.Results {
		if !result.Accepted {
			step.Rejected = append(step.Rejected, result.Node)
			continue
		}
		i := slices.IndexFunc(state.Updates, func(u fl.Update) bool { return u.Node == result.Node })
		if i < 0 {
			return fl.LineageStep{}, codes.Errorf("MF-LEDGER-CORRUPT", "round %d accepted an update that is not there; report this", round.Number)
		}
		step.Updates = append(step.Updates, state.Updates[i])
	}
	return step, nil
}
