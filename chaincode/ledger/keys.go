// Package ledger is the thin layer between the contracts and the world state:
// every key in one table (keys.go), typed reads and writes (store.go), who calls
// and when (context.go), strict arguments (decode.go) and the coded errors that
// survive the gateway (errors.go).
package ledger

import (
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// Every key of the world state. Each is a Fabric composite key: the object's
// name and then its parts, so that ("a","bc") and ("ab","c") stay apart. One
// key per fact and writer, so that concurrent submits never conflict; round
// numbers are padded so that key order is number order.
//
//	key                                constructor      document           written by
//	task/<task>                        TaskKey          fl.Task            CreateTask and moves of the task's phase
//	progress/<task>                    ProgressKey      fl.Progress        moves of a round to or from a final phase
//	node/<task>/<node>                 NodeKey          fl.Node            JoinTask, by the node itself
//	salt/<task>/<node>                 SaltKey          fl.BeaconSalt      RevealSalt, by the node itself
//	standing/<task>/<node>             StandingKey      fl.Standing        the tally, and rounds that fail for silent masters
//	digest/<task>/<digest>             DigestKey        fl.DigestUse       the first use of a digest: CreateTask, SubmitUpdate, CloseRound
//	spending/<task>/<node>             SpendingKey      fl.Spending        SubmitUpdate of a private task, by the trainer itself
//	dataset/<node>/<dataset>           DatasetKey       fl.Spending        the same, over all tasks
//	round/<task>/<round>               RoundKey         fl.Round           OpenRound and moves of the round's phase
//	update/<task>/<round>/<node>       UpdateKey        fl.Update          SubmitUpdate, by the trainer itself
//	commitment/<task>/<round>/<node>   CommitmentKey    fl.ScoreCommitment CommitScores, by the master itself
//	reveal/<task>/<round>/<node>       RevealKey        fl.Reveal          RevealScores, by the master itself
//	proposal/<task>/<round>/<node>     ProposalKey      fl.Proposal        ProposeGlobal, by the proposer itself
//	attestation/<task>/<round>/<node>  AttestationKey   fl.Attestation     AttestGlobal, by the master itself

// Key names one document of the world state.
type Key struct{ path }

// Prefix names all documents whose keys begin with the same parts.
type Prefix struct{ path }

// path is an object's name and its parts, in order.
type path struct {
	object string
	parts  []string
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

func key(object string, parts ...string) Key { return Key{path{object, parts}} }

func prefix(object string, parts ...string) Prefix { return Prefix{path{object, parts}} }

// number pads a counted part so that key order is number order.
func number(n int) string { return fmt.Sprintf("%08d", n) }

// compose makes the composite key, after checking every part.
func (p path) compose() (string, error) {
	for _, part := range p.parts {
		if err := form.CheckIdentifier("a part of the key "+p.object, part); err != nil {
			return "", err
		}
	}
	composed, err := shim.CreateCompositeKey(p.object, p.parts)
	if err != nil {
		return "", codes.Errorf("MF-IDENTIFIER-CHARACTER", "a part of the key %s holds a character that Fabric refuses; use letters, digits and hyphens", p.object)
	}
	return composed, nil
}

// Composite gives the key, or the prefix, as Fabric stores it, for whoever reads a
// ledger outside of a transaction. It refuses parts that can't be in a key.
func (p path) Composite() (string, error) { return p.compose() }

// String shows the key for messages, for example "update/covid/00000003/Hospital1MSP/node1".
func (p path) String() string {
	text := p.object
	for _, part := range p.parts {
		text += "/" + part
	}
	return text
}
