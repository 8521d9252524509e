package fl

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// The steps of a round that is open. Like those of a task, a step takes what is on
// the ledger, what is asked, by whom and when, and gives what the caller is answered
// and the documents to write, or refuses. A step that any member may take needs of a
// RoundState the round and the lists that its comment names. Time never goes back
// before the round's last change, whatever a caller claims.

// Submission is what SubmitUpdate finds of its trainer.
type Submission struct {
	First  *Update    // the trainer's update of the round, nil for none
	Use    *DigestUse // of the digest in the task, nil for none
	Node   *Node      // of a private task: the trainer, nil when it has not joined
	InTask Spending   // of a private task: what it has spent of the trainer's data set
	InAll  Spending   // of a private task: what all tasks have spent of it
}

// SubmitUpdate takes a trainer's update. A digest that another trainer or an earlier
// round has used is a copy. In a private task it spends of the budget of the trainer's
// data set, accepted by the masters or not: what is sent is told.
func SubmitUpdate(task Task, round Round, found Submission, request UpdateRequest, by string, now int64) (Update, Changes, error) {
	if !slices.Contains(round.Trainers, by) {
		return refuse[Update](codes.Errorf("MF-ROUND-NOT-TRAINER", "%s was not sampled to train in round %d; wait for the next round", by, round.Number))
	}
	if request.NumExamples < 1 {
		return refuse[Update](codes.Errorf("MF-UPDATE-EXAMPLES", "num_examples is %d; send how many examples the update was trained on", request.NumExamples))
	}
	update := Update{Node: by, Model: request.Model, NumExamples: min(request.NumExamples, task.MaxExamples), SubmittedAt: round.at(now)}
	if first := found.First; first != nil {
		if first.Model.Digest != update.Model.Digest || first.NumExamples != update.NumExamples {
			return refuse[Update](codes.Errorf("MF-UPDATE-EXISTS", "%s has submitted another update in this round; the first stands, go on with the next round", by))
		}
		return *first, Changes{}, nil
	}
	if err := round.mustBe(RoundTraining); err != nil {
		return refuse[Update](err)
	}
	if err := checkWeights(update.Model, task.Initial.Size, task.Initial.Size); err != nil {
		return refuse[Update](err)
	}
	if found.Use != nil {
		return refuse[Update](codes.Errorf("MF-UPDATE-COPIED", "these weights were first used by %s in round %d; train your own", found.Use.Node, found.Use.Round))
	}
	changes := Changes{Update: &update, Claim: &Claim{update.Model.Digest, DigestUse{Node: by, Round: round.Number}}}
	if task.Privacy.On() {
		if found.Node == nil {
			return refuse[Update](codes.Errorf("MF-NODE-UNKNOWN", "%s has not joined the task; join a task while it is joining", by))
		}
		inTask, inAll, err := Charge(task.Terms, *found.Node, found.InTask, found.InAll, request.NumExamples)
		if err != nil {
			return refuse[Update](err)
		}
		changes.InTask, changes.InAll = &inTask, &inAll
	}
	return update, changes, nil
}

// CloseTraining ends training: when all Updates are in or, after the deadline, the
// task's quorum of them.
func CloseTraining(task Task, progress Progress, state RoundState, now int64) (Changes, error) {
	round := state.Round
	if done, err := round.leaves(RoundTraining); done || err != nil {
		return Changes{}, err
	}
	switch have, all := len(state.Updates), len(round.Trainers); Over(have, all, task.MinUpdates, round.late(now)) {
	case Proceed:
		return move(task, round, RoundCommitting, now)
	case Fail:
		return FailRound(task, progress, round, "too few updates by the deadline", now)
	default:
		return Changes{}, round.tooEarly(have, all, "updates", now)
	}
}

// CommitScores takes a master's sealed scores. Nobody sees another's scores before
// sealing its own.
func CommitScores(round Round, first *ScoreCommitment, request CommitRequest, by string) (ScoreCommitment, Changes, error) {
	if err := round.checkMaster(by); err != nil {
		return refuse[ScoreCommitment](err)
	}
	if !form.IsHex32(request.Hash) {
		return refuse[ScoreCommitment](codes.Errorf("MF-COMMITMENT-INVALID", "the commitment is not 64 lower-case hexadecimal digits; send the hash of scores and salt"))
	}
	commitment := ScoreCommitment{Master: by, Hash: request.Hash}
	if first != nil {
		if *first != commitment {
			return refuse[ScoreCommitment](codes.Errorf("MF-COMMITMENT-EXISTS", "%s has committed to other scores in this round; reveal those", by))
		}
		return commitment, Changes{}, nil
	}
	if err := round.mustBe(RoundCommitting); err != nil {
		return refuse[ScoreCommitment](err)
	}
	return commitment, Changes{Commitment: &commitment}, nil
}

// CloseCommits ends committing: when all masters have Commitments or, after the
// deadline, 2f+1 of them.
func CloseCommits(task Task, progress Progress, state RoundState, now int64) (Changes, error) {
	round := state.Round
	if done, err := round.leaves(RoundCommitting); done || err != nil {
		return Changes{}, err
	}
	switch have, all := len(state.Commitments), len(round.Masters); Over(have, all, Quorum(task.F), round.late(now)) {
	case Proceed:
		return move(task, round, RoundRevealing, now)
	case Fail:
		silent := SilentStandings(round.Number, round.Masters, Committed(state.Commitments))
		return FailRound(task, progress, round, "too few commitments by the deadline", now, silent...)
	default:
		return Changes{}, round.tooEarly(have, all, "commitments", now)
	}
}

// RevealScores opens a master's sealed scores, nil when there are none. Its salt feeds
// the next beacon. Revealed says that they have been opened before.
func RevealScores(round Round, sealed *ScoreCommitment, revealed bool, request RevealRequest, by string) (Reveal, Changes, error) {
	if err := round.checkMaster(by); err != nil {
		return refuse[Reveal](err)
	}
	if sealed == nil {
		return refuse[Reveal](codes.Errorf("MF-REVEAL-UNCOMMITTED", "%s has not committed to scores in this round; commit while the round is committing", by))
	}
	if err := CheckScores(round.Trainers, request.Scores, request.Salt); err != nil {
		return refuse[Reveal](err)
	}
	if ScoresCommitment(round.Task, round.Number, by, request.Scores, request.Salt) != sealed.Hash {
		return refuse[Reveal](codes.Errorf("MF-REVEAL-MISMATCH", "scores and salt do not open the commitment of %s in this round; send what was sealed", by))
	}
	reveal := Reveal{Master: by, Scores: SortScores(request.Scores), Salt: request.Salt}
	if revealed { // the commitment opens in one way only, so this is the same reveal
		return reveal, Changes{}, nil
	}
	if err := round.mustBe(RoundRevealing); err != nil {
		return refuse[Reveal](err)
	}
	return reveal, Changes{Reveal: &reveal}, nil
}

// Tally takes the median of each of the Updates' scores and compares it with the
// task's threshold, which the round's allowance widens when it is relative: when all
// that have Commitments have Reveals or, after the deadline, 2f+1 of them. It sets the
// weights of the next election.
func Tally(task Task, progress Progress, state RoundState, now int64) (Changes, error) {
	round := state.Round
	if done, err := round.leaves(RoundRevealing); done || err != nil {
		return Changes{}, err
	}
	silent := SilentStandings(round.Number, round.Masters, Revealed(state.Reveals))
	switch have, all := len(state.Reveals), len(state.Commitments); Over(have, all, Quorum(task.F), round.late(now)) {
	case Wait:
		return Changes{}, round.tooEarly(have, all, "reveals", now)
	case Fail:
		return FailRound(task, progress, round, "too few reveals by the deadline", now, silent...)
	}
	round.Results, round.PreviousMedian = Results(task.Terms, round.Allowance, round.Trainers, state.Updates, state.Reveals)
	standings := append(ScoredStandings(round.Number, round.Results), silent...)
	if !AnyAccepted(round.Results) {
		return FailRound(task, progress, round, "no update was accepted", now, standings...)
	}
	changes, err := move(task, round, RoundAggregating, now)
	changes.Standings = standings
	return changes, err
}

// ProposeGlobal offers the aggregate of the accepted updates: by the task's
// coordinator, who signs as one, or, once its time has passed, by a master of the
// round.
func ProposeGlobal(task Task, round Round, first *Proposal, request ProposeRequest, by string, coordinator bool, now int64) (Proposal, Changes, error) {
	if err := round.checkMaster(by); err != nil && !coordinator {
		return refuse[Proposal](err)
	}
	proposal := Proposal{Proposer: by, Model: request.Model}
	if first != nil {
		if first.Model.Digest != request.Model.Digest {
			return refuse[Proposal](codes.Errorf("MF-PROPOSAL-EXISTS", "%s has proposed another global model in this round; another master can propose after the deadline", by))
		}
		return *first, Changes{}, nil
	}
	if err := round.mustBe(RoundAggregating); err != nil {
		return refuse[Proposal](err)
	}
	if !coordinator && !round.late(now) {
		return refuse[Proposal](codes.Errorf("MF-PROPOSAL-EARLY", "the coordinator has until %d to propose and it is %d; attest meanwhile, and propose then", round.Deadline, round.at(now)))
	}
	least, most := GlobalSizes(task.Terms)
	if err := checkWeights(request.Model, least, most); err != nil {
		return refuse[Proposal](err)
	}
	return proposal, Changes{Proposal: &proposal}, nil
}

// AttestGlobal takes a master's word for the digest of the aggregate that it computed
// itself, proposed already or not.
func AttestGlobal(round Round, first *Attestation, request AttestRequest, by string) (Attestation, Changes, error) {
	if err := round.checkMaster(by); err != nil {
		return refuse[Attestation](err)
	}
	if !form.IsHex32(request.Digest) {
		return refuse[Attestation](codes.Errorf("MF-MODEL-DIGEST", "the digest is not 64 lower-case hexadecimal digits; send the SHA-256 of the plain canonical weights"))
	}
	attestation := Attestation{Master: by, Digest: request.Digest}
	if first != nil {
		if *first != attestation {
			return refuse[Attestation](codes.Errorf("MF-ATTESTATION-EXISTS", "%s has attested another digest in this round; the first stands", by))
		}
		return attestation, Changes{}, nil
	}
	if err := round.mustBe(RoundAggregating); err != nil {
		return refuse[Attestation](err)
	}
	return attestation, Changes{Attestation: &attestation}, nil
}

// CloseRound makes the one of the Proposals that 2f+1 masters have Attestations of the
// global model, or fails the round when there is none after twice the time for it.
// Used are the uses of the proposed digests that the task knows.
func CloseRound(task Task, progress Progress, state RoundState, used []Claim, now int64) (Changes, error) {
	round := state.Round
	if done, err := round.leaves(RoundAggregating); done || err != nil {
		return Changes{}, err
	}
	agreed, attestations, ok := Agreed(task.Terms, task.Creator, round.Masters, state.Proposals, state.Attestations)
	end := round.Deadline + task.Deadlines.Aggregating
	switch {
	case ok:
		return AdoptGlobal(task, progress, round, agreed, attestations, used, now)
	case round.at(now) >= end:
		return FailRound(task, progress, round, "no global model was agreed on in twice its time", now)
	default:
		return Changes{}, codes.Errorf("MF-ROUND-EARLY", "no proposed digest has %d attestations yet; propose and attest, or close the round after %d", Quorum(task.F), end)
	}
}

// AdoptGlobal ends a round with its global model; the last one completes the task. The
// model's digest becomes the proposer's, unless it is used already, so that no trainer
// passes it off as an update: the mean of a single update is that update.
func AdoptGlobal(task Task, progress Progress, round Round, agreed Proposal, attestations int, used []Claim, now int64) (Changes, error) {
	progress.Closed, progress.Failed = progress.Closed+1, 0
	round.Global, round.Attestations = &agreed.Model, attestations
	changes, err := move(task, round, RoundClosed, now)
	changes.Progress = &progress
	if !slices.ContainsFunc(used, func(c Claim) bool { return c.Digest == agreed.Model.Digest }) {
		changes.Claim = &Claim{agreed.Model.Digest, DigestUse{Node: agreed.Proposer, Round: round.Number}}
	}
	if err == nil && progress.Closed >= task.Rounds {
		err = task.moveTo(TaskCompleted)
		changes.Task = &task
	}
	return changes, err
}

// FailRound ends a round without a global model; after too many in a row the task
// fails with it.
func FailRound(task Task, progress Progress, round Round, reason string, now int64, standings ...Standing) (Changes, error) {
	changes, err := fail(task, progress, round, reason, false, now)
	changes.Standings = standings
	return changes, err
}

// fail ends a round, and with it a task for which there is no hope.
func fail(task Task, progress Progress, round Round, reason string, forever bool, now int64) (Changes, error) {
	progress.Failed++
	round.Reason, round.FailedIn = reason, round.Phase
	changes, err := move(task, round, RoundFailed, now)
	changes.Progress = &progress
	if err == nil && (forever || progress.Failed >= task.MaxFailed) {
		err = task.moveTo(TaskFailed)
		changes.Task = &task
	}
	return changes, err
}

// move takes a round to its next phase, if the table has the move.
func move(task Task, round Round, to RoundPhase, now int64) (Changes, error) {
	if !round.Phase.CanMoveTo(to) {
		return Changes{}, codes.Errorf("MF-INTERNAL", "a round can't move from %s to %s; report this", round.Phase, to)
	}
	round.Phase, round.ChangedAt, round.Deadline = to, round.at(now), 0
	if !to.Final() {
		round.Deadline = round.ChangedAt + task.Deadlines.Of(to)
	}
	return Changes{Round: &round}, nil
}

// refuse answers with nothing but the refusal.
func refuse[T any](err error) (answer T, changes Changes, _ error) { return answer, changes, err }

// at is the time of a step.
func (r Round) at(now int64) int64 { return max(now, r.ChangedAt) }

// late reports whether the phase may be moved on without all.
func (r Round) late(now int64) bool { return r.at(now) >= r.Deadline }

// tooEarly refuses to end a phase that goes on.
func (r Round) tooEarly(have, all int, what string, now int64) error {
	return codes.Errorf("MF-ROUND-EARLY", "%d of %d %s are in at %d; wait for the rest, or until the deadline at %d", have, all, what, r.at(now), r.Deadline)
}

// leaves refuses to end a phase that the round has not come to, and reports whether it
// has been ended before.
func (r Round) leaves(phase RoundPhase) (done bool, err error) {
	if phase.Before(r.Phase) {
		return true, nil
	}
	return false, r.mustBe(phase)
}

// mustBe refuses a round that is in another phase.
func (r Round) mustBe(phase RoundPhase) error {
	if r.Phase == phase {
		return nil
	}
	return codes.Errorf("MF-ROUND-PHASE", "round %d is %s and this is done while it is %s; look at the round and do what its phase asks", r.Number, r.Phase, phase)
}

// checkMaster refuses who was not elected for the round.
func (r Round) checkMaster(id string) error {
	if slices.Contains(r.Masters, id) {
		return nil
	}
	return codes.Errorf("MF-ROUND-NOT-MASTER", "%s was not elected master of round %d; wait for the next round", id, r.Number)
}

// checkWeights refuses weights that can't be of the task's model.
func checkWeights(model ModelRef, least, most int64) error {
	if err := CheckModel(model); err != nil {
		return err
	}
	if model.Size < least || model.Size > most {
		return codes.Errorf("MF-MODEL-SIZE", "the weights have %d bytes and the task's model has %d to %d; send weights of that model", model.Size, least, most)
	}
	return nil
}
