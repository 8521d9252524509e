package fl

import "github.com/medfed/medfed/chaincode/codes"

// Retention says how long the private IPFS keeps what the rounds of a task have made, in
// rounds counted back from the newest that has closed. The ledger keeps every digest for
// ever. All is kept where both are 0, as by tasks that are older than this.
type Retention struct {
	Updates int `json:"updates"` // newest rounds whose updates are kept
	Models  int `json:"models"`  // newest rounds whose global models are kept
}

// KeepsUpdates reports whether the updates of a round are kept when closed is the newest round
// that has closed, 0 for none.
func (r Retention) KeepsUpdates(round, closed int) bool {
	return r.Updates == 0 || round > closed-r.Updates
}

// KeepsModel reports whether the global model of a round is kept when closed is the newest
// round that has closed. The task's first model always is.
func (r Retention) KeepsModel(round, closed int) bool {
	return r.Models == 0 || round == 0 || round > closed-r.Models
}

// checkRetention refuses to keep one and not the other: a global model that can't be fetched
// is computed again from its updates.
func checkRetention(t Terms) error {
	if (t.Retention.Updates == 0) != (t.Retention.Models == 0) {
		return codes.Errorf("MF-TERMS-INVALID", "retention.updates is %d and retention.models %d; set both to at least 1, or both to 0 to keep all", t.Retention.Updates, t.Retention.Models)
	}
	return within(retentionBounds(t))
}

func retentionBounds(t Terms) []Bound {
	return []Bound{
		bound("retention.updates", t.Retention.Updates, 0, MaxRounds),
		bound("retention.models", t.Retention.Models, 0, MaxRounds),
	}
}
