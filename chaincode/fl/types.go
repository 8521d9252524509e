// Package fl is the federated round as pure rules: the phases and their table,
// sampling, election, median, commitment and quorum. It knows neither Fabric
// nor a clock: a rule is a function of its arguments. Hu et al. section 3.2.2
// gives the consensus these rules carry; sections 4.2 and 4.3 the round.
package fl

// Micro is a score or a rate in millionths: 875000 is 0.875. The ledger holds
// no floating-point numbers.
type Micro = int64

// One is the Micro of 1.0.
const One Micro = 1_000_000

// Metric names what a score measures.
type Metric string

// The metrics a task can be scored by.
const (
	MetricAccuracy Metric = "accuracy"
	MetricAUC      Metric = "auc"
)

// ThresholdKind says what a median is compared with.
type ThresholdKind string

const (
	// ThresholdAbsolute accepts an update whose median is at least Threshold.
	ThresholdAbsolute ThresholdKind = "absolute"
	// ThresholdRelative accepts an update whose median is at least the median of
	// the previous global model less the round's allowance: Threshold, and more
	// after rounds that accepted none, see NextAllowance.
	ThresholdRelative ThresholdKind = "relative"
)

// TaskPhase is the state of a task. The table of moves is in phases.go.
type TaskPhase string

// The phases of a task.
const (
	TaskJoining   TaskPhase = "joining"   // nodes join with a salted commitment
	TaskStarting  TaskPhase = "starting"  // nodes reveal their salts: round 1's beacon
	TaskRunning   TaskPhase = "running"   // rounds are open or can be opened
	TaskCompleted TaskPhase = "completed" // the task's rounds have closed
	TaskFailed    TaskPhase = "failed"    // too many rounds in a row failed
)

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

// ModelRef names weights that lie encrypted in the private IPFS.
type ModelRef struct {
	CID    string `json:"cid"`    // canonical CIDv1, base32, of the ciphertext
	Digest string `json:"digest"` // SHA-256 of the plain canonical weights, 64 lower-case hexadecimal digits
	Size   int64  `json:"size"`   // length of the plain canonical weights in bytes
}

// Training is the hyper-parameters every trainer of a task uses.
type Training struct {
	Epochs       int   `json:"epochs"`        // passes over the local data in a round (E)
	BatchSize    int   `json:"batch_size"`    // examples a step (b)
	LearningRate Micro `json:"learning_rate"` // of stochastic gradient descent (lr)
	Momentum     Micro `json:"momentum"`      // 0 for plain stochastic gradient descent
	Seed         int64 `json:"seed"`          // of the shuffles, mixed with round and node

	Decay          Micro        `json:"learning_rate_decay,omitempty" metadata:",optional"` // what the learning rate is multiplied by from round to round; 0 for no decay
	BalanceClasses bool         `json:"balance_classes,omitempty" metadata:",optional"`     // an example counts for the more the rarer its class is at its trainer
	Augmentation   Augmentation `json:"augmentation,omitzero" metadata:",optional"`         // of the training images; left out for none
}

// Augmentation changes training images at random, a little, anew in every epoch.
type Augmentation struct {
	Flip     bool  `json:"flip"`     // left and right exchanged, every other image
	Shift    int   `json:"shift"`    // pixels: moved up to this far, in x and in y
	Rotate   Micro `json:"rotate"`   // degrees: turned up to this far, either way
	Contrast Micro `json:"contrast"` // distance of the values from their mean changed by up to this share
}

// Deadlines bound the phases of a round, in seconds since the phase began. The
// clock is the transactions' timestamps, which may run ledger.TimeWindow ahead:
// a deadline shorter than that lets any member cut its phase short.
type Deadlines struct {
	Starting    int64 `json:"starting"`
	Training    int64 `json:"training"`
	Committing  int64 `json:"committing"`
	Revealing   int64 `json:"revealing"`
	Aggregating int64 `json:"aggregating"`
}

// Terms are what a coordinator fixes when a task is created; they never change.
type Terms struct {
	Task          string        `json:"task"`       // identifier: 1 to 64 of a-z 0-9 -
	Model         string        `json:"model"`      // architecture, by the trainer's name for it
	Data          string        `json:"data"`       // data label, for instance pneumoniamnist
	Channels      int           `json:"channels"`   // of an image as the model takes it
	ImageSize     int           `json:"image_size"` // height and width in pixels
	Classes       int           `json:"classes"`    // of the output
	Training      Training      `json:"training"`   //
	Strategy      string        `json:"strategy"`   // aggregation strategy with its parameters, for instance krum:num_malicious_nodes=1; see CheckStrategy
	Metric        Metric        `json:"metric"`     // what the masters score
	ThresholdKind ThresholdKind `json:"threshold_kind"`
	Threshold     Micro         `json:"threshold"`
	F             int           `json:"f"`             // masters that may lie
	Masters       int           `json:"masters"`       // m
	Participation Micro         `json:"participation"` // P: k = max(1, ceil(P*K)) of the K nodes that are not masters
	MinUpdates    int           `json:"min_updates"`   // quorum of updates at the training deadline
	MaxExamples   int64         `json:"max_examples"`  // cap of num_examples
	BaseWeight    Micro         `json:"base_weight"`   // a newcomer's weight in the election
	Rounds        int           `json:"rounds"`        // R: rounds to close
	MaxFailed     int           `json:"max_failed"`    // rounds that may fail in a row before the task fails
	Deadlines     Deadlines     `json:"deadlines"`
	Initial       ModelRef      `json:"initial"`                                // the first global model
	Recipient     string        `json:"recipient"`                              // coordinator's age X25519 recipient
	Privacy       Privacy       `json:"privacy,omitzero" metadata:",optional"`  // of the local training; left out for none
	Backbone      Backbone      `json:"backbone,omitzero" metadata:",optional"` // in front of what is trained; left out for none
}

// Backbone fixes the frozen layers in front of what a task trains, so that all its
// nodes make the same features of an image.
type Backbone struct {
	Digest string `json:"digest"` // SHA-256 of the plain canonical weights, 64 lower-case hexadecimal digits
	Random bool   `json:"random"` // drawn by the trainer from Seed, not pre-trained
	Seed   int64  `json:"seed"`   // of random weights, else 0
}

// Task is a federated job on the ledger.
type Task struct {
	Terms
	// First is Terms.Initial as the nodes can open it: the same weights, encrypted
	// to all that have joined. Until the task starts it is Terms.Initial itself,
	// which only the coordinator can open.
	First     ModelRef  `json:"first"`
	Phase     TaskPhase `json:"phase"`
	Deadline  int64     `json:"deadline"`   // Unix seconds of the phase's end, 0 when it has none
	Creator   string    `json:"creator"`    // the coordinator's identity, "MSP/name"
	CreatedAt int64     `json:"created_at"` // Unix seconds
}

// Node is a participant of a task. ID is the enrolled identity "MSP/name", where
// name is the certificate's common name; it comes from the certificate only.
type Node struct {
	ID         string `json:"id"`
	Org        string `json:"org"`        // MSP identifier
	Commitment string `json:"commitment"` // SHA-256 of the beacon salt, see SaltCommitment
	Recipient  string `json:"recipient"`  // age X25519 recipient: weights are encrypted to every node
	JoinedAt   int64  `json:"joined_at"`
	Dataset    string `json:"dataset,omitempty" metadata:",optional"`  // of a private task: salted digest of the name of what the node trains on
	Examples   int64  `json:"examples,omitempty" metadata:",optional"` // of a private task: how many those are, for all of its updates
	Budget     Micro  `json:"budget,omitempty" metadata:",optional"`   // of a private task: the most ε that all tasks may spend of Dataset; 0 for no such limit
}

// BeaconSalt is the salt a node committed to when it joined, revealed. Round 1's
// beacon is made of all of them.
type BeaconSalt struct {
	Node string `json:"node"`
	Salt string `json:"salt"` // 64 hexadecimal digits
}

// Standing is what a node's past rounds say of it: its weight in the next election.
type Standing struct {
	Node   string `json:"node"`
	Weight Micro  `json:"weight"` // last median if its last update was accepted; 1 after a rejection or a silence
	Round  int    `json:"round"`  // round that set it
	Reason string `json:"reason"` // accepted, rejected or silent
}

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

// Progress is how far a task has come. It is written only when a round opens or
// comes to a final phase.
type Progress struct {
	LastRound int `json:"last_round"` // number of the newest round, 0 when none is open
	Closed    int `json:"closed"`     // rounds closed
	Failed    int `json:"failed"`     // rounds failed in a row since the last that closed
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
	Hash   string `json:"hash"` // see CommitScores
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

// TaskState is a task with its nodes and how far it has come.
type TaskState struct {
	Task      Task         `json:"task"`
	Nodes     []Node       `json:"nodes"`                                    // sorted by ID
	Salts     []BeaconSalt `json:"salts"`                                    // beacon salts revealed, sorted by node
	Standings []Standing   `json:"standings"`                                // sorted by node; a node without one has the task's base weight
	LastRound int          `json:"last_round"`                               // number of the newest round, 0 when none is open
	Closed    int          `json:"closed"`                                   // rounds closed
	Spendings []Spending   `json:"spendings,omitempty" metadata:",optional"` // of a private task: what it has spent of the nodes' data sets, sorted by node
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

// HistoryEntry is one committed value of a key.
type HistoryEntry struct {
	TxID      string `json:"tx_id"`
	Timestamp int64  `json:"timestamp"` // Unix seconds, the client's claim within the peer's time window
	Deleted   bool   `json:"deleted"`
	Value     string `json:"value"` // the document as stored
}

// The arguments of the transactions, one JSON object each.
type (
	// TaskRequest names a task.
	TaskRequest struct {
		Task string `json:"task"`
	}
	// StartRequest ends joining.
	StartRequest struct {
		Task  string   `json:"task"`
		First ModelRef `json:"first"` // Terms.Initial, encrypted to all nodes that have joined
		Nodes int      `json:"nodes"` // how many those were
	}
	// ListRequest pages through a list in key order.
	ListRequest struct {
		Bookmark string `json:"bookmark" metadata:",optional"`
		PageSize int    `json:"page_size"` // 1 to 1000
	}
	// TaskPage is one page of tasks.
	TaskPage struct {
		Tasks    []Task `json:"tasks"`
		Bookmark string `json:"bookmark"` // "" on the last page
	}
	// JoinRequest enters the caller as a node.
	JoinRequest struct {
		Task       string `json:"task"`
		Commitment string `json:"commitment"`
		Recipient  string `json:"recipient"`
		Dataset    string `json:"dataset,omitempty" metadata:",optional"`  // see Node
		Examples   int64  `json:"examples,omitempty" metadata:",optional"` // see Node
		Budget     Micro  `json:"budget,omitempty" metadata:",optional"`   // see Node
	}
	// DatasetRequest names a node's data set.
	DatasetRequest struct {
		Node    string `json:"node"`
		Dataset string `json:"dataset"`
	}
	// SpendingPage is one page of what all tasks have spent of data sets.
	SpendingPage struct {
		Spendings []Spending `json:"spendings"`
		Bookmark  string     `json:"bookmark"` // "" on the last page
	}
	// RevealSaltRequest opens the commitment made on joining.
	RevealSaltRequest struct {
		Task string `json:"task"`
		Salt string `json:"salt"`
	}
	// RoundRequest names a round.
	RoundRequest struct {
		Task  string `json:"task"`
		Round int    `json:"round"`
	}
	// UpdateRequest submits the caller's update.
	UpdateRequest struct {
		Task        string   `json:"task"`
		Round       int      `json:"round"`
		Model       ModelRef `json:"model"`
		NumExamples int64    `json:"num_examples"`
	}
	// CommitRequest submits the caller's sealed scores.
	CommitRequest struct {
		Task  string `json:"task"`
		Round int    `json:"round"`
		Hash  string `json:"hash"`
	}
	// RevealRequest opens the caller's scores.
	RevealRequest struct {
		Task   string  `json:"task"`
		Round  int     `json:"round"`
		Scores []Score `json:"scores"`
		Salt   string  `json:"salt"`
	}
	// ProposeRequest offers an aggregate.
	ProposeRequest struct {
		Task  string   `json:"task"`
		Round int      `json:"round"`
		Model ModelRef `json:"model"`
	}
	// AttestRequest attests an aggregate's digest.
	AttestRequest struct {
		Task   string `json:"task"`
		Round  int    `json:"round"`
		Digest string `json:"digest"`
	}
	// HistoryRequest asks for every committed value of a round (or of the task, Round 0).
	HistoryRequest struct {
		Task  string `json:"task"`
		Round int    `json:"round"`
	}
)

// Event is the payload of every round and task transaction's single event; the
// event's name is the transaction's name.
type Event struct {
	Task  string `json:"task"`
	Round int    `json:"round"` // 0 for events of the task itself
	Phase string `json:"phase"` // the phase after the transaction
	Actor string `json:"actor"` // "MSP/name"
}
