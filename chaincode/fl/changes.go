package fl

// Changes are the documents that a step of a task or of a round writes. What is nil
// or empty stays as it is on the ledger.
type Changes struct {
	Task        *Task
	Progress    *Progress
	Node        *Node       // of the caller
	Salt        *BeaconSalt // of the caller
	Round       *Round
	Update      *Update          // of the caller in the round, as are the next four
	Commitment  *ScoreCommitment //
	Reveal      *Reveal          //
	Proposal    *Proposal        //
	Attestation *Attestation     //
	Standings   []Standing       // one for each node whose standing changed
	InTask      *Spending        // what the task has spent of the caller's data set
	InAll       *Spending        // what all tasks have spent of it
	Claim       *Claim
}

// Claim is a digest with who first used it in a task.
type Claim struct {
	Digest string
	DigestUse
}
