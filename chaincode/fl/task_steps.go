package fl

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// The steps of a task before its rounds. A step takes what is on the ledger, what is
// asked, by whom ("MSP/name") and when (Unix seconds), and gives what the caller is
// answered and the documents to write, or refuses. The same step again is answered
// with the first's result and writes nothing.

// CreateTask gives a new task, unless there is one of its name. CheckTerms comes
// before it.
func CreateTask(there *Task, terms Terms, by string, now int64) (Task, Changes, error) {
	if there == nil {
		task := Task{Terms: terms, First: terms.Initial, Phase: TaskJoining, Creator: by, CreatedAt: now}
		first := Claim{terms.Initial.Digest, DigestUse{Node: by, Round: 0}}
		return task, Changes{Task: &task, Progress: &Progress{}, Claim: &first}, nil
	}
	if !there.Terms.Equal(terms) || there.Creator != by {
		return refuse[Task](codes.Errorf("MF-TASK-EXISTS", "the task %s exists with other terms or another coordinator; choose another name", terms.Task))
	}
	return *there, Changes{}, nil
}

// JoinTask enters a node of an organisation into a task that is joining, unless it is
// there.
func JoinTask(task Task, there *Node, request JoinRequest, by, org string, now int64) (Node, Changes, error) {
	node := Node{
		ID: by, Org: org, Commitment: request.Commitment, Recipient: request.Recipient, JoinedAt: now,
		Dataset: request.Dataset, Examples: request.Examples, Budget: request.Budget,
	}
	if there != nil {
		node.Org, node.JoinedAt = there.Org, there.JoinedAt
		if node != *there {
			return refuse[Node](codes.Errorf("MF-NODE-EXISTS", "%s has joined with another commitment, recipient, data set, number of examples or budget; go on with the first", by))
		}
		return node, Changes{}, nil
	}
	if task.Phase != TaskJoining {
		return refuse[Node](codes.Errorf("MF-TASK-PHASE", "the task is %s and takes no more nodes; join another task", task.Phase))
	}
	if !form.IsHex32(request.Commitment) {
		return refuse[Node](codes.Errorf("MF-COMMITMENT-INVALID", "the commitment is not 64 lower-case hexadecimal digits; send the hash of the beacon salt"))
	}
	if err := form.CheckRecipient(request.Recipient); err != nil {
		return refuse[Node](err)
	}
	if err := CheckDataset(task.Terms, request); err != nil {
		return refuse[Node](err)
	}
	return node, Changes{Node: &node}, nil
}

// StartTask ends joining by word of the task's coordinator, if enough nodes of enough
// organisations have joined. From now on the task has its first model as all of them
// can open it.
func StartTask(task Task, nodes []Node, request StartRequest, by string, now int64) (Task, Changes, error) {
	if by != task.Creator {
		return refuse[Task](codes.Errorf("MF-TASK-DENIED", "%s did not create the task; its coordinator %s starts it", by, task.Creator))
	}
	if task.Phase != TaskJoining {
		return task, Changes{}, nil
	}
	if err := CheckNodes(task.Terms, nodes); err != nil {
		return refuse[Task](err)
	}
	if err := CheckModel(request.First); err != nil {
		return refuse[Task](err)
	}
	if request.Nodes != len(nodes) {
		return refuse[Task](codes.Errorf("MF-TASK-JOINED", "%d nodes have joined, but the first model was encrypted to %d; encrypt it to all of them", len(nodes), request.Nodes))
	}
	if request.First.Digest != task.Initial.Digest || request.First.Size != task.Initial.Size {
		return refuse[Task](codes.Errorf("MF-TASK-FIRST", "the first model sent is not the one the task was created with; encrypt that one to all nodes"))
	}
	task.First = request.First
	if err := task.moveTo(TaskStarting); err != nil {
		return refuse[Task](err)
	}
	task.Deadline = max(now, task.CreatedAt) + task.Deadlines.Starting
	return task, Changes{Task: &task}, nil
}

// RevealSalt opens the commitment that a node, nil for none, made when it joined, while
// the task is starting. Revealed says that it has been opened before.
func RevealSalt(task Task, node *Node, revealed bool, request RevealSaltRequest, by string) (BeaconSalt, Changes, error) {
	if node == nil {
		return refuse[BeaconSalt](codes.Errorf("MF-NODE-UNKNOWN", "%s has not joined the task; join a task while it is joining", by))
	}
	if !form.IsHex32(request.Salt) || SaltCommitment(task.Terms.Task, node.ID, request.Salt) != node.Commitment {
		return refuse[BeaconSalt](codes.Errorf("MF-SALT-MISMATCH", "the salt does not open the commitment %s made when it joined; send that salt", node.ID))
	}
	opened := BeaconSalt{Node: node.ID, Salt: request.Salt}
	if revealed { // the commitment opens in one way only, so this is the same salt
		return opened, Changes{}, nil
	}
	if task.Phase != TaskStarting {
		return refuse[BeaconSalt](codes.Errorf("MF-TASK-PHASE", "the task is %s; salts are revealed while it is starting", task.Phase))
	}
	return opened, Changes{Salt: &opened}, nil
}

// moveTo takes a task to its next phase, which has no deadline, if the table has the
// move.
func (t *Task) moveTo(to TaskPhase) error {
	if !t.Phase.CanMoveTo(to) {
		return codes.Errorf("MF-INTERNAL", "a task can't move from %s to %s; report this", t.Phase, to)
	}
	t.Phase, t.Deadline = to, 0
	return nil
}
