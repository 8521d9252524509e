package fl

// The arguments of the transactions, one JSON object each.
type (
	// TaskRequest names a task.
	TaskRequest struct {
		Task string `json:"task"`
	}
	// StartRequest ends joining.
	StartRequest struct {
		Task  string   `json:"task"`
		First ModelRef `json:"first"` // Terms.Initial, encrypted to all nodes that have joined
		Nodes int      `json:"nodes"` // how many those were
	}
	// ListRequest pages through a list in key order.
	ListRequest struct {
		Bookmark string `json:"bookmark" metadata:",optional"`
		PageSize int    `json:"page_size"` // 1 to 1000
	}
	// TaskPage is one page of tasks.
	TaskPage struct {
		Tasks    []Task `json:"tasks"`
		Bookmark string `json:"bookmark"` // "" on the last page
	}
	// JoinRequest enters the caller as a node.
	JoinRequest struct {
		Task       string `json:"task"`
		Commitment string `json:"commitment"`
		Recipient  string `json:"recipient"`
		Dataset    string `json:"dataset,omitempty" metadata:",optional"`  // see Node
		Examples   int64  `json:"examples,omitempty" metadata:",optional"` // see Node
		Budget     Micro  `json:"budget,omitempty" metadata:",optional"`   // see Node
	}
	// DatasetRequest names a node's data set.
	DatasetRequest struct {
		Node    string `json:"node"`
		Dataset string `json:"dataset"`
	}
	// SpendingPage is one page of what all tasks have spent of data sets.
	SpendingPage struct {
		Spendings []Spending `json:"spendings"`
		Bookmark  string     `json:"bookmark"` // "" on the last page
	}
	// RevealSaltRequest opens the commitment made on joining.
	RevealSaltRequest struct {
		Task string `json:"task"`
		Salt string `json:"salt"`
	}
	// RoundRequest names a round.
	RoundRequest struct {
		Task  string `json:"task"`
		Round int    `json:"round"`
	}
	// UpdateRequest submits the caller's update.
	UpdateRequest struct {
		Task        string   `json:"task"`
		Round       int      `json:"round"`
		Model       ModelRef `json:"model"`
		NumExamples int64    `json:"num_examples"`
	}
	// CommitRequest submits the caller's sealed scores.
	CommitRequest struct {
		Task  string `json:"task"`
		Round int    `json:"round"`
		Hash  string `json:"hash"`
	}
	// RevealRequest opens the caller's scores.
	RevealRequest struct {
		Task   string  `json:"task"`
		Round  int     `json:"round"`
		Scores []Score `json:"scores"`
		Salt   string  `json:"salt"`
	}
	// ProposeRequest offers an aggregate.
	ProposeRequest struct {
		Task  string   `json:"task"`
		Round int      `json:"round"`
		Model ModelRef `json:"model"`
	}
	// AttestRequest attests an aggregate's digest.
	AttestRequest struct {
		Task   string `json:"task"`
		Round  int    `json:"round"`
		Digest string `json:"digest"`
	}
	// HistoryRequest asks for every committed value of a round (or of the task, Round 0).
	HistoryRequest struct {
		Task  string `json:"task"`
		Round int    `json:"round"`
	}
)

// Event is the payload of every round and task transaction's single event; the
// event's name is the transaction's name.
type Event struct {
	Task  string `json:"task"`
	Round int    `json:"round"` // 0 for events of the task itself
	Phase string `json:"phase"` // the phase after the transaction
	Actor string `json:"actor"` // "MSP/name"
}
