package ledgertest

import (
	"bytes"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Result is a committed transaction. An invalid one is in its block too, with
// everything it carries, but changed nothing.
type Result struct {
	TxID    string
	Code    peer.TxValidationCode
	Payload []byte // the chaincode's response
	Event   *Event // nil when there is none
	Block   uint64
	Index   int // place in the block
}

// Valid reports whether the transaction took effect.
func (r *Result) Valid() bool { return r.Code == peer.TxValidationCode_VALID }

// Err is nil for a valid transaction and a *CommitError otherwise.
func (r *Result) Err() error {
	if r.Valid() {
		return nil
	}
	return &CommitError{TxID: r.TxID, Code: r.Code}
}

// Event is a chaincode event.
type Event struct {
	TxID    string
	Block   uint64
	Name    string
	Payload []byte
}

// block is a committed block.
type block struct {
	transactions []*Transaction
	results      []*Result
}

type historyEntry struct {
	at     height
	change *queryresult.KeyModification
}

type expiringKey struct {
	collection, key string
	committed       uint64 // block of the write
}

// Submit endorses, orders alone in a block, validates and commits a transaction.
// The error is an *EndorseError, or a *CommitError beside the result.
func (l *Ledger) Submit(id *Identity, function string, args ...any) (*Result, error) {
	return l.Propose(id, function, args...).Submit()
}

// Submit endorses, orders alone in a block, validates and commits the proposal.
func (p *Proposal) Submit() (*Result, error) {
	tx, err := p.Endorse()
	if err != nil {
		return nil, err
	}
	result := p.ledger.Commit(tx)[0]
	return result, result.Err()
}

// Evaluate runs a transaction on one peer and returns its response; nothing is
// ordered. The error is an *EvaluateError.
func (l *Ledger) Evaluate(id *Identity, function string, args ...any) ([]byte, error) {
	return l.Propose(id, function, args...).Evaluate()
}

// Evaluate runs the proposal on one peer: the first named by On, or the peer of
// the client's organisation, or the gateway's.
func (p *Proposal) Evaluate() ([]byte, error) {
	p.seal()
	l := p.ledger
	l.mu.RLock()
	defer l.mu.RUnlock()
	payload, err := l.evaluate(p)
	if !p.aside {
		l.journal.add(journalEntry{kind: evaluated, proposal: p, now: l.now, err: err})
	}
	return payload, err
}

func (l *Ledger) evaluate(p *Proposal) ([]byte, error) {
	q := l.gatewayPeer(p.creator)
	if len(p.on) > 0 {
		peers, err := l.peersOf(p.on[:1])
		if err != nil {
			return nil, &EvaluateError{Message: err.Error()}
		}
		q = peers[0]
	}
	answer, err := l.simulate(p, q)
	if err != nil {
		return nil, &EvaluateError{Peer: q.String(), Message: err.(*EndorseError).Details[0].Message}
	}
	return answer.response.Payload, nil
}

// Commit orders transactions into one block, validates them in that order and
// commits the block on every peer. It panics where a real peer does: when one
// transaction deletes a key and a later one of the block sets its validation
// parameter without having read it.
func (l *Ledger) Commit(transactions ...*Transaction) []*Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := l.state.height
	codes := l.validate(number, transactions)
	b := &block{transactions: transactions}
	for i, tx := range transactions {
		result := &Result{TxID: tx.TxID, Code: codes[i], Payload: tx.Payload, Block: number, Index: i}
		if tx.Event != nil {
			event := *tx.Event
			event.Block = number
			result.Event = &event
		}
		if _, ok := l.committed[tx.TxID]; !ok {
			l.committed[tx.TxID] = result
		}
		b.results = append(b.results, result)
	}
	l.blocks = append(l.blocks, b)
	l.journal.add(journalEntry{kind: committed, block: b, now: l.now})
	l.state.height++
	return b.results
}

// record adds a valid transaction's public writes to the history.
func (l *Ledger) record(tx *Transaction, at height) {
	for key, w := range tx.set.writes {
		l.history[key] = append(l.history[key], historyEntry{at: at, change: &queryresult.KeyModification{
			TxId: tx.TxID, Value: w.Value, IsDelete: w.IsDelete, Timestamp: timestamppb.New(tx.proposal.time),
		}})
	}
}

// historyOf gives a key's committed values before a height, newest first.
func (l *Ledger) historyOf(key string, before uint64) []*queryresult.KeyModification {
	entries := l.history[key]
	var changes []*queryresult.KeyModification
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].at.block < before {
			c := entries[i].change
			changes = append(changes, &queryresult.KeyModification{
				TxId: c.TxId, Value: bytes.Clone(c.Value), IsDelete: c.IsDelete, Timestamp: c.Timestamp,
			})
		}
	}
	return changes
}

// Events lists the events of valid transactions from block from on, in order.
func (l *Ledger) Events(from uint64) []Event {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var events []Event
	for number := from; number < uint64(len(l.blocks)); number++ {
		for _, r := range l.blocks[number].results {
			if r.Valid() && r.Event != nil {
				events = append(events, *r.Event)
			}
		}
	}
	return events
}
