package fl

// RoundPhase is the state of a round. The table of moves is in phases.go.
type RoundPhase string

// The phases of a round.
const (
	RoundTraining    RoundPhase = "training"    // trainers submit updates
	RoundCommitting  RoundPhase = "committing"  // masters commit to their scores
	RoundRevealing   RoundPhase = "revealing"   // masters reveal scores and salts
	RoundAggregating RoundPhase = "aggregating" // global model proposed and attested
	RoundClosed      RoundPhase = "closed"      // a quorum attested one global model
	RoundFailed      RoundPhase = "failed"      // below quorum at a deadline; redrawn as the next round
)

// Round is one pass. It is written only when its phase changes; what nodes
// submit lies under keys of their own.
type Round struct {
	Task           string     `json:"task"`
	Number         int        `json:"number"` // from 1, failed rounds included
	Phase          RoundPhase `json:"phase"`
	Deadline       int64      `json:"deadline"`                             // Unix seconds at which the phase may be moved on without all
	Beacon         string     `json:"beacon"`                               // 64 hexadecimal digits
	Masters        []string   `json:"masters"`                              // node IDs in drawn order
	Trainers       []string   `json:"trainers"`                             // node IDs in drawn order
	Spent          []string   `json:"spent,omitempty" metadata:",optional"` // of a private task: nodes whose budgets hold no further update, so that they were not drawn to train
	Previous       ModelRef   `json:"previous"`                             // global model the trainers start from
	PreviousRound  int        `json:"previous_round"`                       // round that made Previous, 0 for the task's first model
	OpenedAt       int64      `json:"opened_at"`
	ChangedAt      int64      `json:"changed_at"`                            // Unix seconds of the last change of phase
	Results        []Result   `json:"results"`                               // set by the tally, in the order of Trainers; empty before
	Allowance      Micro      `json:"allowance"`                             // of a relative threshold: how far below PreviousMedian an update is accepted; see NextAllowance
	PreviousMedian Micro      `json:"previous_median"`                       // of the previous global model, -1 when not scored
	Global         *ModelRef  `json:"global,omitempty" metadata:",optional"` // set when the round closes
	Attestations   int        `json:"attestations"`                          // masters that attested Global
	Reason         string     `json:"reason"`                                // why it failed, "" otherwise
	FailedIn       RoundPhase `json:"failed_in"`                             // phase it failed in, "" otherwise and when it never began
}

// DigestUse is who first used a digest in a task: nobody else may, and nobody
// in a later round.
type DigestUse struct {
	Node  string `json:"node"`  // trainer, or who proposed the global model
	Round int    `json:"round"` // 0 for the first model
}

// Update is a trainer's weights for a round.
type Update struct {
	Node        string   `json:"node"`
	Model       ModelRef `json:"model"`
	NumExamples int64    `json:"num_examples"`
	SubmittedAt int64    `json:"submitted_at"`
}

// Score is what a master measured for one update, or for the previous global
// model where Node is PreviousGlobal.
type Score struct {
	Node  string `json:"node"`
	Score Micro  `json:"score"` // 0 to 1000000
}

// PreviousGlobal stands in Score.Node for the previous global model.
const PreviousGlobal = "previous-global"

// ScoreCommitment is a master's sealed scores.
type ScoreCommitment struct {
	Master string `json:"master"`
	Hash   string `json:"hash"` // see ScoresCommitment
}

// Reveal is a master's opened scores. An update that a revealing master leaves
// out counts as scored 0: it could not be fetched, or was not what its digest
// says.
type Reveal struct {
	Master string  `json:"master"`
	Scores []Score `json:"scores"` // sorted by Node
	Salt   string  `json:"salt"`   // 64 hexadecimal digits; feeds the next beacon
}

// Result is what the tally found for one update.
type Result struct {
	Node     string `json:"node"`
	Median   Micro  `json:"median"` // lower median, -1 when fewer than 2f+1 masters of other organisations revealed
	Scores   int    `json:"scores"` // how many scores the median was taken over
	Accepted bool   `json:"accepted"`
}

// Proposal is an aggregate offered as the global model.
type Proposal struct {
	Proposer string   `json:"proposer"`
	Model    ModelRef `json:"model"`
}

// Attestation is a master's word that it computed this digest itself.
type Attestation struct {
	Master string `json:"master"`
	Digest string `json:"digest"`
}

// RoundState is everything the ledger knows of a round: what a client needs to
// decide its next step. Lists are sorted by node.
type RoundState struct {
	Round        Round             `json:"round"`
	Updates      []Update          `json:"updates"`
	Commitments  []ScoreCommitment `json:"commitments"`
	Reveals      []Reveal          `json:"reveals"`
	Proposals    []Proposal        `json:"proposals"`
	Attestations []Attestation     `json:"attestations"`
}

// NewestGlobal is the newest global model of a task whose newest round is known, nil
// where none was opened, and the round that made it, 0 for the task's first model.
func (t Task) NewestGlobal(newest *Round) (ModelRef, int) {
	switch {
	case newest == nil:
		return t.First, 0
	case newest.Global != nil:
		return *newest.Global, newest.Number
	default:
		return newest.Previous, newest.PreviousRound
	}
}

// LineageStep is one link of a global model's ancestry: the model, who trained
// the updates it was made of, who scored them, and the model they started from.
type LineageStep struct {
	Round         int      `json:"round"`
	Global        ModelRef `json:"global"`
	Previous      ModelRef `json:"previous"`
	PreviousRound int      `json:"previous_round"`
	Masters       []string `json:"masters"`
	Updates       []Update `json:"updates"`  // accepted ones only
	Rejected      []string `json:"rejected"` // trainers whose update was not accepted
	TxID          string   `json:"tx_id"`    // transaction that closed the round
}
