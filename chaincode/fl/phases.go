package fl

// TaskMove is a line of the task's table of phases. From is "" for the phase a
// task is created in.
type TaskMove struct {
	From TaskPhase
	To   TaskPhase
	By   string // transaction that moves it
	When string
}

// TaskMoves is the table of all moves a task can make.
func TaskMoves() []TaskMove {
	return []TaskMove{
		{"", TaskJoining, "CreateTask", "the terms hold"},
		{TaskJoining, TaskStarting, "StartTask", "enough nodes of enough organisations have joined"},
		{TaskStarting, TaskRunning, "OpenRound", "all nodes revealed their salts, or the deadline passed and enough did"},
		{TaskStarting, TaskFailed, "OpenRound", "the deadline passed and too few nodes revealed their salts, or too few nodes of a private task have budget for an update, whoever is a master"},
		{TaskRunning, TaskCompleted, "CloseRound", "the task's rounds have closed"},
		{TaskRunning, TaskFailed, "OpenRound, CloseTraining, CloseCommits, Tally, CloseRound", "too many rounds in a row failed, or too few nodes of a private task have budget for an update, whoever is a master"},
	}
}

// RoundMove is a line of the round's table of phases. From is "" for the phase a
// round is opened in.
type RoundMove struct {
	From RoundPhase
	To   RoundPhase
	By   string // transaction that moves it
	When string
}

// RoundMoves is the table of all moves a round can make.
func RoundMoves() []RoundMove {
	return []RoundMove{
		{"", RoundTraining, "OpenRound", "the round before is final and the task runs"},
		{"", RoundFailed, "OpenRound", "the task's starting deadline passed and too few nodes revealed their salts, or too few nodes of a private task that are no masters have budget for an update"},
		{RoundTraining, RoundCommitting, "CloseTraining", "all updates are in, or the deadline passed and the task's quorum of updates is"},
		{RoundTraining, RoundFailed, "CloseTraining", "the deadline passed with fewer updates"},
		{RoundCommitting, RoundRevealing, "CloseCommits", "all masters committed, or the deadline passed and 2f+1 did"},
		{RoundCommitting, RoundFailed, "CloseCommits", "the deadline passed with fewer commitments"},
		{RoundRevealing, RoundAggregating, "Tally", "all that committed revealed, or the deadline passed and 2f+1 did, and an update is accepted"},
		{RoundRevealing, RoundFailed, "Tally", "the deadline passed with fewer reveals, or no update is accepted"},
		{RoundAggregating, RoundClosed, "CloseRound", "2f+1 masters attested a proposed digest"},
		{RoundAggregating, RoundFailed, "CloseRound", "twice the deadline passed without"},
	}
}

// CanMoveTo reports whether the table has the move.
func (p TaskPhase) CanMoveTo(to TaskPhase) bool {
	for _, move := range TaskMoves() {
		if move.From == p && move.To == to {
			return true
		}
	}
	return false
}

// CanMoveTo reports whether the table has the move.
func (p RoundPhase) CanMoveTo(to RoundPhase) bool {
	for _, move := range RoundMoves() {
		if move.From == p && move.To == to {
			return true
		}
	}
	return false
}

// Final reports whether a task never moves again.
func (p TaskPhase) Final() bool { return p == TaskCompleted || p == TaskFailed }

// Final reports whether a round never moves again.
func (p RoundPhase) Final() bool { return p == RoundClosed || p == RoundFailed }

// Before reports whether a round in phase p comes to phase other later if all goes
// well.
func (p RoundPhase) Before(other RoundPhase) bool { return p.place() < other.place() }

// place numbers the phases in their order; the final ones share the last place.
func (p RoundPhase) place() int {
	switch p {
	case RoundTraining:
		return 1
	case RoundCommitting:
		return 2
	case RoundRevealing:
		return 3
	case RoundAggregating:
		return 4
	default:
		return 5
	}
}

// Of is how many seconds a phase may take before it can be moved on without
// all; 0 for a final phase.
func (d Deadlines) Of(phase RoundPhase) int64 {
	switch phase {
	case RoundTraining:
		return d.Training
	case RoundCommitting:
		return d.Committing
	case RoundRevealing:
		return d.Revealing
	case RoundAggregating:
		return d.Aggregating
	default:
		return 0
	}
}
