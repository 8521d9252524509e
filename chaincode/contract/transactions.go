package contract

import (
	"reflect"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/record"
)

// Transaction describes one transaction for people and tools: it is served with
// the contract metadata, and the chaincode refuses what is not listed.
type Transaction struct {
	Contract    string // name of its contract
	Name        string
	Evaluate    bool   // a query: evaluated, not submitted
	Caller      string // who may send it, in words
	Description string
	Transient   string // field that goes by transient, a JSON object; "" for none
	AtCustodian bool   // endorsed or answered by the custodian's peer alone: no other sees, or has, what is private

	private reflect.Type // of the transient field
}

// submit lists a transaction that changes the ledger.
func submit(contract, name, caller, description string) Transaction {
	return Transaction{Contract: contract, Name: name, Caller: caller, Description: description}
}

// evaluate lists a query.
func evaluate(contract, name, caller, description string) Transaction {
	return Transaction{Contract: contract, Name: name, Evaluate: true, Caller: caller, Description: description}
}

// with says that a transaction takes a transient field, which none but the
// custodian's peer may see.
func (t Transaction) with(field string, private reflect.Type) Transaction {
	t.Transient, t.private, t.AtCustodian = field, private, true
	return t
}

// answeredByCustodian says that no other peer has what a query gives.
func (t Transaction) answeredByCustodian() Transaction {
	t.AtCustodian = true
	return t
}

// Transactions lists every transaction of the chaincode, by contract.
func Transactions() []Transaction {
	return append(roundTransactions(), recordTransactions()...)
}

// eventOfContract is the payload of the events of a contract's transactions.
func eventOfContract(contract string) reflect.Type {
	if contract == taskContract || contract == roundContract {
		return reflect.TypeFor[fl.Event]()
	}
	return reflect.TypeFor[record.Event]()
}

// roundTransactions lists the transactions of tasks and rounds.
func roundTransactions() []Transaction {
	return []Transaction{
		submit(taskContract, "CreateTask", "a coordinator",
			"Creates a task with terms that never change. Refused when the numbers can't hold the task's f."),
		submit(taskContract, "JoinTask", "a trainer",
			"Enters the caller as a node of a task, with the commitment to its beacon salt and the age recipient that weights are encrypted to; for a private task with its data set and a budget of its own."),
		submit(taskContract, "StartTask", "the coordinator who created the task",
			"Ends joining and brings the first model encrypted to all nodes: from now on they reveal their salts."),
		submit(taskContract, "RevealSalt", "a joined node",
			"Opens the commitment a node made when it joined; round 1's beacon is made of all of them."),
		evaluate(taskContract, "GetTask", "anyone of the channel",
			"Gives a task with its nodes, revealed salts, standings and how far it has come."),
		evaluate(taskContract, "ListTasks", "anyone of the channel",
			"Gives one page of all tasks, in the order of their names."),
		evaluate(taskContract, "GetSpending", "anyone of the channel",
			"Gives what all private tasks have spent of a node's data set: Rényi divergences and ε."),
		evaluate(taskContract, "ListSpendings", "anyone of the channel",
			"Gives one page of what all private tasks have spent of every data set, by node."),
		submit(roundContract, "OpenRound", "the task's coordinator or a joined node",
			"Opens the next round: makes its beacon and draws its masters and trainers. The first round also starts the task running."),
		submit(roundContract, "SubmitUpdate", "a trainer sampled for the round",
			"Submits the caller's update: CID, digest and number of examples. In a private task it spends of its data set's budget."),
		submit(roundContract, "CloseTraining", "the task's coordinator or a joined node",
			"Moves the round on to scoring when all updates are in or, after the deadline, the task's quorum of them; else fails it after the deadline."),
		submit(roundContract, "CommitScores", "a master of the round",
			"Submits the caller's sealed scores."),
		submit(roundContract, "CloseCommits", "the task's coordinator or a joined node",
			"Moves the round on to revealing when all masters committed or, after the deadline, 2f+1 did; else fails it after the deadline."),
		submit(roundContract, "RevealScores", "a master of the round that committed",
			"Opens the caller's sealed scores."),
		submit(roundContract, "Tally", "the task's coordinator or a joined node",
			"Takes the median of each update's scores, accepts or rejects it, and moves the round on to aggregating; fails it when too few revealed by the deadline or nothing is accepted."),
		submit(roundContract, "ProposeGlobal", "the task's coordinator or, after the deadline, a master of the round",
			"Offers the aggregate of the accepted updates as the global model."),
		submit(roundContract, "AttestGlobal", "a master of the round",
			"Attests the digest of the aggregate that the caller computed itself."),
		submit(roundContract, "CloseRound", "the task's coordinator or a joined node",
			"Closes the round with the proposed global model that 2f+1 masters attested; fails it when there is none after twice the deadline."),
		evaluate(roundContract, "GetRound", "anyone of the channel",
			"Gives everything the ledger knows of a round."),
		evaluate(roundContract, "GetLineage", "anyone of the channel",
			"Gives the ancestry of a closed round's global model back to the task's first model: updates, trainers, masters and the model they started from."),
		evaluate(roundContract, "GetRoundHistory", "anyone of the channel",
			"Gives every committed value of a round's document, or of the task's for round 0, oldest first."),
	}
}

// evaluated lists the queries of a contract.
func evaluated(contract string) []string {
	names := []string{}
	for _, transaction := range Transactions() {
		if transaction.Contract == contract && transaction.Evaluate {
			names = append(names, transaction.Name)
		}
	}
	return names
}
