package ledgertest

import "time"

// Peer endorses for an organisation. All peers commit the same blocks; each has
// its own clock and holds the private data of its organisation's collections.
type Peer struct {
	ledger   *Ledger
	identity *Identity
	skew     time.Duration
	private  *privateState
	frozen   *frozenPeer // nil while the peer keeps up
}

// frozenPeer is what a peer that has fallen behind knows.
type frozenPeer struct {
	public  *worldState
	private *privateState
}

// Peer finds the peer of an organisation, its first if it has more; nil when it
// has none.
func (l *Ledger) Peer(organisation string) *Peer {
	for _, p := range l.peers {
		if p.identity.MSP == organisation {
			return p
		}
	}
	return nil
}

// Peers lists the peers in the order in which they endorse.
func (l *Ledger) Peers() []*Peer { return append([]*Peer(nil), l.peers...) }

// MSP is the peer's organisation.
func (p *Peer) MSP() string { return p.identity.MSP }

// String is the peer's identity.
func (p *Peer) String() string { return p.identity.String() }

// SetSkew sets how far the peer's clock is ahead of the ledger's time.
func (p *Peer) SetSkew(skew time.Duration) {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	p.skew = skew
	p.ledger.journal.add(journalEntry{kind: changed, now: p.ledger.now, step: &Step{Skew: []string{p.MSP(), skew.String()}}})
}

// Freeze makes the peer endorse from the state it has now while the others go on.
func (p *Peer) Freeze() {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	p.frozen = &frozenPeer{public: p.ledger.state.clone(), private: p.private.clone()}
	p.ledger.journal.add(journalEntry{kind: changed, now: p.ledger.now, step: &Step{Freeze: p.MSP()}})
}

// CatchUp ends a Freeze.
func (p *Peer) CatchUp() {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	p.frozen = nil
	p.ledger.journal.add(journalEntry{kind: changed, now: p.ledger.now, step: &Step{CatchUp: p.MSP()}})
}

func (p *Peer) view() (*worldState, *privateState) {
	if p.frozen != nil {
		return p.frozen.public, p.frozen.private
	}
	return p.ledger.state, p.private
}

func (p *Peer) clock() time.Time { return p.ledger.now.Add(p.skew) }
