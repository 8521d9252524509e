package ledger

// taskObjects are the rows of the table of keys that belong to tasks.
var taskObjects = []object{
	{"task", "task", "fl.Task", "CreateTask and moves of the task's phase", ""},
	{"progress", "task", "fl.Progress", "moves of a round to or from a final phase", ""},
	{"node", "task/node", "fl.Node", "JoinTask, by the node itself", "id"},
	{"salt", "task/node", "fl.BeaconSalt", "RevealSalt, by the node itself", "node"},
	{"standing", "task/node", "fl.Standing", "the tally, and rounds that fail for silent masters", ""},
	{"digest", "task/digest", "fl.DigestUse", "the first use of a digest: CreateTask, SubmitUpdate, CloseRound", ""},
	{"spending", "task/node", "fl.Spending", "SubmitUpdate of a private task, by the trainer itself", "node"},
	{"dataset", "node/dataset", "fl.Spending", "the same, over all tasks", "node"},
	{"round", "task/round#", "fl.Round", "OpenRound and moves of the round's phase", ""},
	{"update", "task/round#/node", "fl.Update", "SubmitUpdate, by the trainer itself", "node"},
	{"commitment", "task/round#/node", "fl.ScoreCommitment", "CommitScores, by the master itself", "master"},
	{"reveal", "task/round#/node", "fl.Reveal", "RevealScores, by the master itself", "master"},
	{"proposal", "task/round#/node", "fl.Proposal", "ProposeGlobal, by the proposer itself", "proposer"},
	{"attestation", "task/round#/node", "fl.Attestation", "AttestGlobal, by the master itself", "master"},
}

// TaskKey names a task.
func TaskKey(task string) Key { return key("task", task) }

// Tasks names all tasks.
func Tasks() Prefix { return prefix("task") }

// ProgressKey names how far a task has come.
func ProgressKey(task string) Key { return key("progress", task) }

// NodeKey names a node of a task.
func NodeKey(task, node string) Key { return key("node", task, node) }

// Nodes names all nodes of a task.
func Nodes(task string) Prefix { return prefix("node", task) }

// SaltKey names the beacon salt a node has revealed.
func SaltKey(task, node string) Key { return key("salt", task, node) }

// Salts names all beacon salts revealed for a task.
func Salts(task string) Prefix { return prefix("salt", task) }

// StandingKey names what a node's past rounds say of it.
func StandingKey(task, node string) Key { return key("standing", task, node) }

// Standings names all standings of a task.
func Standings(task string) Prefix { return prefix("standing", task) }

// DigestKey names the first use of a digest in a task.
func DigestKey(task, digest string) Key { return key("digest", task, digest) }

// SpendingKey names what a private task has spent of a node's data set.
func SpendingKey(task, node string) Key { return key("spending", task, node) }

// Spendings names all that a private task has spent.
func Spendings(task string) Prefix { return prefix("spending", task) }

// DatasetKey names what all private tasks have spent of a node's data set.
func DatasetKey(node, dataset string) Key { return key("dataset", node, dataset) }

// Datasets names what has been spent of all data sets.
func Datasets() Prefix { return prefix("dataset") }

// RoundKey names a round.
func RoundKey(task string, round int) Key { return key("round", task, number(round)) }

// UpdateKey names a trainer's update.
func UpdateKey(task string, round int, node string) Key {
	return key("update", task, number(round), node)
}

// Updates names all updates of a round.
func Updates(task string, round int) Prefix { return prefix("update", task, number(round)) }

// CommitmentKey names a master's sealed scores.
func CommitmentKey(task string, round int, node string) Key {
	return key("commitment", task, number(round), node)
}

// Commitments names all sealed scores of a round.
func Commitments(task string, round int) Prefix { return prefix("commitment", task, number(round)) }

// RevealKey names a master's opened scores.
func RevealKey(task string, round int, node string) Key {
	return key("reveal", task, number(round), node)
}

// Reveals names all opened scores of a round.
func Reveals(task string, round int) Prefix { return prefix("reveal", task, number(round)) }

// ProposalKey names what one proposer offers as the global model.
func ProposalKey(task string, round int, node string) Key {
	return key("proposal", task, number(round), node)
}

// Proposals names all proposals of a round.
func Proposals(task string, round int) Prefix { return prefix("proposal", task, number(round)) }

// AttestationKey names a master's attestation.
func AttestationKey(task string, round int, node string) Key {
	return key("attestation", task, number(round), node)
}

// Attestations names all attestations of a round.
func Attestations(task string, round int) Prefix { return prefix("attestation", task, number(round)) }
