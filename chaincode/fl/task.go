// Package fl is the federated round as pure rules: the phases and their table,
// sampling, election, median, commitment and quorum. It knows neither Fabric
// nor a clock: a rule is a function of its arguments. Hu et al. section 3.2.2
// gives the consensus these rules carry; sections 4.2 and 4.3 the round.
package fl

import "github.com/medfed/medfed/chaincode/form"

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

	// ClassNames is what the outputs mean, one name each, in their order. Of two classes
	// the second is the positive one. Left out by tasks that are older than this field.
	ClassNames []string `json:"class_names,omitempty" metadata:",optional"`
	Input      Input    `json:"input,omitzero" metadata:",optional"` // how an image becomes numbers; left out by older tasks

	Retention Retention `json:"retention,omitzero" metadata:",optional"` // of updates and global models on the private IPFS; left out to keep all
}

// Equal reports whether two terms are the same.
func (t Terms) Equal(other Terms) bool { return form.Digest(t) == form.Digest(other) }

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

// Progress is how far a task has come. It is written only when a round opens or
// comes to a final phase.
type Progress struct {
	LastRound int `json:"last_round"` // number of the newest round, 0 when none is open
	Closed    int `json:"closed"`     // rounds closed
	Failed    int `json:"failed"`     // rounds failed in a row since the last that closed
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
