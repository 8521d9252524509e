package contract

// Transaction describes one transaction for people and tools: it is served with
// the contract metadata, and the chaincode refuses what is not listed.
type Transaction struct {
	Contract    string // name of its contract
	Name        string
	Evaluate    bool // a query: evaluated, not submitted
	Description string
}

// Transactions lists every transaction of the chaincode, by contract.
func Transactions() []Transaction {
	return append(roundTransactions(), recordTransactions()...)
}

// roundTransactions lists the transactions of tasks and rounds.
func roundTransactions() []Transaction {
	return []Transaction{
		{taskContract, "CreateTask", false, "Creates a task with terms that never change. Caller: a coordinator. Refused when the numbers can't hold the task's f."},
		{taskContract, "JoinTask", false, "Enters the caller as a node of a task, with the commitment to its beacon salt and the age recipient that weights are encrypted to; for a private task with its data set and a budget of its own. Caller: a trainer."},
		{taskContract, "StartTask", false, "Ends joining and brings the first model encrypted to all nodes: from now on they reveal their salts. Caller: the coordinator who created the task."},
		{taskContract, "RevealSalt", false, "Opens the commitment a node made when it joined; round 1's beacon is made of all of them. Caller: a joined node."},
		{taskContract, "GetTask", true, "Gives a task with its nodes, revealed salts, standings and how far it has come."},
		{taskContract, "ListTasks", true, "Gives one page of all tasks, in the order of their names."},
		{taskContract, "GetSpending", true, "Gives what all private tasks have spent of a node's data set: Rényi divergences and ε."},
		{taskContract, "ListSpendings", true, "Gives one page of what all private tasks have spent of every data set, by node."},
		{roundContract, "OpenRound", false, "Opens the next round: makes its beacon and draws its masters and trainers. The first round also starts the task running. Caller: the task's coordinator or a joined node."},
		{roundContract, "SubmitUpdate", false, "Submits the caller's update: CID, digest and number of examples. In a private task it spends of its data set's budget. Caller: a trainer sampled for the round."},
		{roundContract, "CloseTraining", false, "Moves the round on to scoring when all updates are in or, after the deadline, the task's quorum of them; else fails it after the deadline. Caller: the task's coordinator or a joined node."},
		{roundContract, "CommitScores", false, "Submits the caller's sealed scores. Caller: a master of the round."},
		{roundContract, "CloseCommits", false, "Moves the round on to revealing when all masters committed or, after the deadline, 2f+1 did; else fails it after the deadline. Caller: the task's coordinator or a joined node."},
		{roundContract, "RevealScores", false, "Opens the caller's sealed scores. Caller: a master of the round that committed."},
		{roundContract, "Tally", false, "Takes the median of each update's scores, accepts or rejects it, and moves the round on to aggregating; fails it when too few revealed by the deadline or nothing is accepted. Caller: the task's coordinator or a joined node."},
		{roundContract, "ProposeGlobal", false, "Offers the aggregate of the accepted updates as the global model. Caller: the task's coordinator or, after the deadline, a master of the round."},
		{roundContract, "AttestGlobal", false, "Attests the digest of the aggregate that the caller computed itself. Caller: a master of the round."},
		{roundContract, "CloseRound", false, "Closes the round with the proposed global model that 2f+1 masters attested; fails it when there is none after twice the deadline. Caller: the task's coordinator or a joined node."},
		{roundContract, "GetRound", true, "Gives everything the ledger knows of a round."},
		{roundContract, "GetLineage", true, "Gives the ancestry of a closed round's global model back to the task's first model: updates, trainers, masters and the model they started from."},
		{roundContract, "GetRoundHistory", true, "Gives every committed value of a round's document, or of the task's for round 0, oldest first."},
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
