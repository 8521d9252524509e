package ledgertest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// Transaction is an endorsed proposal, ready to be ordered.
type Transaction struct {
	TxID      string
	Payload   []byte      // the chaincode's response
	Event     *Event      // nil when the chaincode set none
	Endorsers []*Identity // the peers that signed

	proposal *Proposal
	response []byte // ProposalResponsePayload, the same from every endorser
	set      *readWriteSet
}

// simulated is what one peer answers to a proposal.
type simulated struct {
	peer        *Peer
	response    *peer.Response
	event       *peer.ChaincodeEvent
	set         *readWriteSet
	readPrivate map[string]bool
	payload     []byte // ProposalResponsePayload
}

// Endorse runs the proposal on its endorsers and compares what they answer. They
// are the peers named by On; otherwise all that the gateway could choose: where
// private data is read or transient data given, those of the collections'
// members only, provided that they satisfy the policies. The error is an
// *EndorseError.
func (p *Proposal) Endorse() (*Transaction, error) {
	p.seal()
	l := p.ledger
	l.mu.RLock()
	tx, err := l.endorse(p)
	l.journal.add(journalEntry{kind: endorsed, proposal: p, now: l.now, err: err})
	l.mu.RUnlock()
	if err != nil {
		l.mu.Lock()
		l.refusals = append(l.refusals, err.Error())
		l.mu.Unlock()
		return nil, err
	}
	return tx, nil
}

func (l *Ledger) endorse(p *Proposal) (*Transaction, error) {
	if len(p.on) > 0 {
		peers, err := l.peersOf(p.on)
		if err != nil {
			return nil, &EndorseError{TxID: p.txID, Message: err.Error()}
		}
		return l.collect(p, peers, nil)
	}
	first, err := l.simulate(p, l.gatewayPeer(p.creator))
	if err != nil {
		return nil, err
	}
	return l.collect(p, l.eligible(p, first), first)
}

// peersOf lists the peers of organisations in that order.
func (l *Ledger) peersOf(organisations []string) ([]*Peer, error) {
	var peers []*Peer
	for _, organisation := range organisations {
		n := len(peers)
		for _, p := range l.peers {
			if p.identity.MSP == organisation {
				peers = append(peers, p)
			}
		}
		if len(peers) == n {
			return nil, fmt.Errorf("no peers available to endorse: organisation %s has none", organisation)
		}
	}
	return peers, nil
}

func (l *Ledger) gatewayPeer(creator *Identity) *Peer {
	if p := l.Peer(creator.MSP); p != nil {
		return p
	}
	return l.Peer(l.gateway)
}

// eligible is who may endorse after the first peer was asked: all, or the
// members of every collection whose values are read, or of any that is touched
// when there is transient data to protect. The first peer's own endorsement is
// left out when it is no such member.
func (l *Ledger) eligible(p *Proposal, first *simulated) []*Peer {
	peers := l.peers
	for name := range first.set.collections {
		if !first.readPrivate[name] && len(p.transient) == 0 {
			continue
		}
		c, ok := l.collection(name)
		if !ok {
			continue
		}
		peers = slices.DeleteFunc(slices.Clone(peers), func(q *Peer) bool { return !c.has(q.identity) })
	}
	return peers
}

// collect gathers the answers of the peers. A peer that refuses the client or
// its timestamp is passed over as long as the others satisfy the policies; a
// chaincode that answers differently on any peer is an error.
func (l *Ledger) collect(p *Proposal, peers []*Peer, first *simulated) (*Transaction, error) {
	failure := &EndorseError{TxID: p.txID, Message: "failed to collect enough transaction endorsements, see attached details for more info"}
	chosen := first == nil
	var endorsers []*Identity
	var differs bool
	for _, q := range peers {
		answer := first
		if first == nil || first.peer != q {
			var err error
			if answer, err = l.simulate(p, q); err != nil {
				refusal := err.(*EndorseError)
				failure.Details = append(failure.Details, refusal.Details...)
				differs = differs || refusal.fromChaincode
				continue
			}
		}
		if first == nil {
			first = answer
		}
		if !bytes.Equal(first.payload, answer.payload) {
			differs = true
			failure.Details = append(failure.Details, EndorserDetail{
				Peer: q.identity.String(), MSP: q.identity.MSP, Message: "ProposalResponsePayloads do not match",
				Difference: difference(first, answer),
			})
			continue
		}
		endorsers = append(endorsers, q.identity)
	}
	if len(endorsers) == 0 || differs || chosen && len(failure.Details) > 0 {
		return nil, failure
	}
	tx := newTransaction(p, first, endorsers)
	if err := l.checkEndorsements(tx, nil); !chosen && err != nil {
		failure.Message = "no combination of peers can be derived which satisfy the endorsement policy: " + err.Error()
		return nil, failure
	}
	return tx, nil
}

func newTransaction(p *Proposal, answer *simulated, endorsers []*Identity) *Transaction {
	tx := &Transaction{
		TxID: p.txID, Payload: answer.response.Payload, Endorsers: endorsers,
		proposal: p, response: answer.payload, set: answer.set,
	}
	if answer.event != nil {
		tx.Event = &Event{TxID: p.txID, Name: answer.event.EventName, Payload: answer.event.Payload}
	}
	return tx
}

// simulate asks one peer to endorse: the checks at its door, then the chaincode.
func (l *Ledger) simulate(p *Proposal, q *Peer) (*simulated, error) {
	if err := l.checkProposal(p, q); err != nil {
		return nil, refusal(p, q, err.Error(), false)
	}
	public, private := q.view()
	s := &simulation{
		ledger: l, peer: q, creator: p.creator, txID: p.txID, public: public, private: private,
		set: newReadWriteSet(), readPrivate: map[string]bool{}, permissions: map[string]permission{},
	}
	view := &stub{simulation: s, proposal: p}
	response, err := l.run(view)
	if err != nil {
		return nil, refusal(p, q, "error in simulation: "+err.Error(), true)
	}
	if response.Status >= shim.ERRORTHRESHOLD {
		return nil, refusal(p, q, fmt.Sprintf("chaincode response %d, %s", response.Status, response.Message), true)
	}
	answer := &simulated{peer: q, response: response, event: view.event, set: s.finish(), readPrivate: s.readPrivate}
	answer.payload = l.responsePayload(p, answer)
	return answer, nil
}

// invoke runs the chaincode; a panic ends it as it would end the process.
func invoke(chaincode shim.Chaincode, view *stub) (response *peer.Response, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("failed to execute transaction %s: error sending: chaincode stream terminated: panic: %v", view.txID, r)
		}
	}()
	response = chaincode.Invoke(view)
	mustBeText("response message", response.GetMessage())
	if err := view.FinishWriteBatch(); err != nil {
		return nil, fmt.Errorf("transaction returned with failure: failed send batch: %w", err)
	}
	return response, nil
}

// checkProposal is what a peer checks before it runs the chaincode.
func (l *Ledger) checkProposal(p *Proposal, q *Peer) error {
	clock := q.clock()
	if p.time.Add(l.timeWindow).Before(clock) || p.time.Add(-l.timeWindow).After(clock) {
		return fmt.Errorf("request unauthorized due to incorrect timestamp %s, peer time %s, peer.authentication.timewindow %s",
			p.time.UTC().Format(time.RFC3339), clock.UTC().Format(time.RFC3339), l.timeWindow)
	}
	if clock.After(p.creator.Certificate.NotAfter) {
		return fmt.Errorf("proposal client identity expired")
	}
	if err := l.admit(p.creator); err != nil {
		return err
	}
	if _, ok := l.committed[p.txID]; ok {
		return fmt.Errorf("duplicate transaction found [%s]. Creator [%x]", p.txID, p.creator.serialized)
	}
	return nil
}

func (l *Ledger) responsePayload(p *Proposal, answer *simulated) []byte {
	action := &peer.ChaincodeAction{
		Results: marshal(answer.set.publicMessage(l.chaincodeName)), Response: answer.response,
		ChaincodeId: &peer.ChaincodeID{Name: l.chaincodeName, Version: "1.0"},
	}
	if answer.event != nil {
		answer.event.ChaincodeId, answer.event.TxId = l.chaincodeName, p.txID
		action.Events = marshal(answer.event)
	}
	return marshal(&peer.ProposalResponsePayload{ProposalHash: p.proposalHash, Extension: marshal(action)})
}

// ReadWriteSet is the serialised TxReadWriteSet that the endorsers agreed on:
// what was read and written in public, and hashes of what was in private.
func (t *Transaction) ReadWriteSet() []byte {
	return marshal(t.set.publicMessage(t.proposal.ledger.chaincodeName))
}
