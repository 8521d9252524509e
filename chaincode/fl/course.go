package fl

import "slices"

// Course is a task from its start on, in memory: what a replay and a simulation have
// where the contract has the ledger. Its methods take the steps of the newest round
// and keep what these give.
type Course struct {
	Task      Task
	Progress  Progress
	Nodes     []Node
	Salts     []BeaconSalt
	Standings []Standing // sorted by node
	Spendings []Spending // of a private task, sorted by node
	Rounds    []RoundState
}

// NewCourse is a task that is starting, with all that joined it and all the salts that
// it will have: its deadline has passed.
func NewCourse(task Task, nodes []Node, salts []BeaconSalt) *Course {
	task.Phase, task.Deadline = TaskStarting, 0
	return &Course{Task: task, Nodes: nodes, Salts: salts, Standings: []Standing{}}
}

// State is what the query for the task answers.
func (c *Course) State() TaskState {
	return TaskState{
		Task: c.Task, Nodes: c.Nodes, Salts: c.Salts, Standings: c.Standings, Spendings: c.Spendings,
		LastRound: c.Progress.LastRound, Closed: c.Progress.Closed,
	}
}

// Newest is the newest round, once one has been opened.
func (c *Course) Newest() *RoundState { return &c.Rounds[len(c.Rounds)-1] }

// OpenRound takes the step. Spent are the nodes without budget for an update.
func (c *Course) OpenRound(spent []string, now int64) error {
	on := Opening{Nodes: c.Nodes, Salts: c.Salts, Standings: c.Standings, Spent: spent}
	if len(c.Rounds) > 0 {
		on.Last, on.Reveals = c.Newest().Round, c.Newest().Reveals
	}
	changes, err := OpenRound(c.Task, c.Progress, on, len(c.Rounds)+1, now)
	if err != nil {
		return err
	}
	c.Rounds = append(c.Rounds, RoundState{
		Updates: []Update{}, Commitments: []ScoreCommitment{}, Reveals: []Reveal{}, Proposals: []Proposal{}, Attestations: []Attestation{},
	})
	return c.take(changes, nil)
}

// Submit adds an update to the newest round, and in a private task what it spends.
// Whether its node keeps to a budget of its own over all tasks can't be seen from one.
func (c *Course) Submit(update Update) {
	c.Newest().Updates = append(c.Newest().Updates, update)
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.ID == update.Node })
	if !c.Task.Privacy.On() || i < 0 {
		return
	}
	node := c.Nodes[i]
	node.Budget = 0
	spent, _, err := Charge(c.Task.Terms, node, SpendingOf(c.Spendings, node.ID), Spending{}, update.NumExamples)
	if err == nil {
		c.Spendings = UpdateSpendings(c.Spendings, spent)
	}
}

// CloseTraining takes the step.
func (c *Course) CloseTraining(now int64) error {
	return c.take(CloseTraining(c.Task, c.Progress, *c.Newest(), now))
}

// CloseCommits takes the step.
func (c *Course) CloseCommits(now int64) error {
	return c.take(CloseCommits(c.Task, c.Progress, *c.Newest(), now))
}

// Tally takes the step.
func (c *Course) Tally(now int64) error {
	return c.take(Tally(c.Task, c.Progress, *c.Newest(), now))
}

// CloseRound takes the step.
func (c *Course) CloseRound(now int64) error {
	return c.take(CloseRound(c.Task, c.Progress, *c.Newest(), nil, now))
}

// FailRound takes the step.
func (c *Course) FailRound(reason string, now int64) error {
	return c.take(FailRound(c.Task, c.Progress, c.Newest().Round, reason, now))
}

// AdoptGlobal takes the step for a model that nobody attested.
func (c *Course) AdoptGlobal(proposal Proposal, now int64) error {
	return c.take(AdoptGlobal(c.Task, c.Progress, c.Newest().Round, proposal, 0, nil, now))
}

// take keeps what a step has changed.
func (c *Course) take(changes Changes, err error) error {
	if err != nil {
		return err
	}
	if changes.Task != nil {
		c.Task = *changes.Task
	}
	if changes.Progress != nil {
		c.Progress = *changes.Progress
	}
	if changes.Round != nil {
		c.Newest().Round = *changes.Round
	}
	c.Standings = UpdateStandings(c.Standings, changes.Standings)
	return nil
}
