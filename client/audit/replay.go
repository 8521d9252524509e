package audit

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// replayTasks replays every task of the state with the rules of package fl and
// adds what it finds to the summary. The keys are those of chaincode/ledger.
func replayTasks(s *state, summary *Summary) error {
	for _, chaincode := range slices.Sorted(maps.Keys(s.public)) {
		if chaincode == lifecycleNamespace {
			continue
		}
		d := documents{s, chaincode}
		tasks, err := list[fl.Task](d, "task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			if err := replayTask(d, task, summary); err != nil {
				return err
			}
		}
	}
	return nil
}

func replayTask(d documents, task fl.Task, summary *Summary) error {
	state, err := d.task(task)
	if err != nil {
		return err
	}
	rounds, err := d.rounds(task.Task)
	if err != nil {
		return err
	}
	for _, found := range fl.Differences(state, rounds) {
		wrote := d.wrote(task.Task, found.Round)
		summary.Differences = append(summary.Differences, Difference{
			Task: task.Task, Round: found.Round, What: found.What, Ledger: found.Ledger, Replayed: found.Replayed,
			Block: wrote.block, Transaction: wrote.transaction,
		})
	}
	summary.Rounds += len(rounds)
	summary.Tasks = append(summary.Tasks, TaskSummary{
		Chaincode: d.chaincode, Task: task.Task, Phase: task.Phase, Rounds: len(rounds), Closed: state.Closed,
	})
	return nil
}

// documents are those of one chaincode.
type documents struct {
	state     *state
	chaincode string
}

// task gathers what the query task:GetTask would answer.
func (d documents) task(task fl.Task) (fl.TaskState, error) {
	state := fl.TaskState{Task: task}
	progress, err := list[fl.Progress](d, "progress", task.Task)
	if err != nil {
		return state, err
	}
	if len(progress) == 1 {
		state.LastRound, state.Closed = progress[0].LastRound, progress[0].Closed
	}
	if state.Nodes, err = list[fl.Node](d, "node", task.Task); err != nil {
		return state, err
	}
	if state.Salts, err = list[fl.BeaconSalt](d, "salt", task.Task); err != nil {
		return state, err
	}
	if state.Standings, err = list[fl.Standing](d, "standing", task.Task); err != nil {
		return state, err
	}
	state.Spendings, err = list[fl.Spending](d, "spending", task.Task)
	return state, err
}

// rounds gathers what the query round:GetRound would answer for each round.
func (d documents) rounds(task string) ([]fl.RoundState, error) {
	states := []fl.RoundState{}
	var failed error
	err := d.under(func(parts []string, value []byte) error {
		state := fl.RoundState{}
		if err := json.Unmarshal(value, &state.Round); err != nil {
			return err
		}
		number := parts[len(parts)-1]
		if state.Updates, failed = list[fl.Update](d, "update", task, number); failed != nil {
			return failed
		}
		if state.Commitments, failed = list[fl.ScoreCommitment](d, "commitment", task, number); failed != nil {
			return failed
		}
		if state.Reveals, failed = list[fl.Reveal](d, "reveal", task, number); failed != nil {
			return failed
		}
		if state.Proposals, failed = list[fl.Proposal](d, "proposal", task, number); failed != nil {
			return failed
		}
		if state.Attestations, failed = list[fl.Attestation](d, "attestation", task, number); failed != nil {
			return failed
		}
		states = append(states, state)
		return nil
	}, "round", task)
	return states, err
}

// wrote is the transaction that last wrote the nth round of a task, or for round 0
// the task.
func (d documents) wrote(task string, round int) version {
	object := "task"
	if round > 0 {
		object = "round"
	}
	prefix, err := shim.CreateCompositeKey(object, []string{task})
	if err != nil {
		return version{}
	}
	var last version
	n := 0
	d.state.under(d.chaincode, prefix, func(found *document) {
		if n++; n == max(1, round) {
			last = *found.version
		}
	})
	return last
}

// list reads the documents of an object whose keys begin with the same parts.
func list[T any](d documents, object string, parts ...string) ([]T, error) {
	all := []T{}
	err := d.under(func(_ []string, value []byte) error {
		var document T
		if err := json.Unmarshal(value, &document); err != nil {
			return err
		}
		all = append(all, document)
		return nil
	}, object, parts...)
	return all, err
}

// under visits the documents of an object whose keys begin with the same parts.
// Visit gets all parts of the key.
func (d documents) under(visit func(parts []string, value []byte) error, object string, parts ...string) error {
	prefix, err := shim.CreateCompositeKey(object, parts)
	if err != nil {
		return unreadable(object, err)
	}
	var failed error
	d.state.under(d.chaincode, prefix, func(found *document) {
		if failed != nil {
			return
		}
		if failed = visit(splitKey(found.key), found.value); failed != nil && codes.Of(failed) == "" {
			failed = unreadable(object, failed)
		}
	})
	return failed
}

// splitKey gives the object and the parts of a composite key: each is followed
// by a zero byte, and one comes before the first.
func splitKey(key string) []string {
	var parts []string
	for start, i := 1, 1; i < len(key); i++ {
		if key[i] == 0 {
			parts = append(parts, key[start:i])
			start = i + 1
		}
	}
	return parts
}

func unreadable(object string, err error) error {
	return codes.Wrapf("MF-AUDIT-STATE", "a document %s of the replayed state can't be read: %w; use the medfed of the chaincode's version", object, err)
}
