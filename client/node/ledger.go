package node

import (
	"context"

	"github.com/medfed/medfed/client/gateway"
)

// tasks and rounds are the contracts a node calls, on behalf of the round that it
// works on, 0 outside rounds.
func (n *Node) tasks(round int) gateway.Tasks {
	return gateway.Tasks{Caller: timed{n.Ledger, n.journal, round}}
}

func (n *Node) rounds(round int) gateway.Rounds {
	return gateway.Rounds{Caller: timed{n.Ledger, n.journal, round}}
}

// timed is the ledger with a line in the journal for each transaction.
type timed struct {
	gateway.Caller
	journal *journal
	round   int
}

func (t timed) Submit(ctx context.Context, transaction string, request, result any) error {
	defer t.journal.span(SpanLedger, t.round, transaction)()
	return t.Caller.Submit(ctx, transaction, request, result)
}
