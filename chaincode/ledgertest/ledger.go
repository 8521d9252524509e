package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
)

// DefaultPeers are the organisations that have a peer each when WithPeers does
// not say otherwise: those of the consortium's default network.
var DefaultPeers = []string{"Hospital1MSP", "Hospital2MSP", "Hospital3MSP", "Hospital4MSP", "ResearchCentreMSP"}

// DefaultTimeWindow is a peer's default bound on the difference between its
// clock and a proposal's timestamp.
const DefaultTimeWindow = 15 * time.Minute

// Ledger is a channel with one chaincode, its peers and what they committed. It
// is safe for concurrent use; simulations run side by side, commits alone.
type Ledger struct {
	mu            sync.RWMutex
	chaincode     shim.Chaincode
	chaincodeName string
	channel       string
	policy        Policy
	collections   map[string]*Collection
	organisations map[string]bool
	peers         []*Peer
	gateway       string
	timeWindow    time.Duration
	now           time.Time
	proposals     uint64 // number of proposals made, the source of nonces

	peerEnvironment bool // see WithPeerEnvironment

	state     *worldState
	committed map[string]*Result // by transaction ID
	blocks    []*block
	history   map[string][]historyEntry
	expiring  map[uint64][]expiringKey
	revoked   map[*Identity]bool
	refusals  []string
	journal   journal
}

// Option changes a ledger under construction.
type Option func(*Ledger) error

// WithPeers gives the organisations one peer each; an organisation named twice
// has two.
func WithPeers(organisations ...string) Option {
	return func(l *Ledger) error {
		if len(organisations) == 0 {
			return errors.New("a ledger needs a peer")
		}
		l.peers = nil
		for _, organisation := range organisations {
			l.addPeer(organisation)
		}
		return nil
	}
}

// WithOrganisations adds organisations without peers to the channel.
func WithOrganisations(organisations ...string) Option {
	return func(l *Ledger) error {
		for _, organisation := range organisations {
			l.organisations[organisation] = true
		}
		return nil
	}
}

// WithPolicy sets the chaincode's endorsement policy. Without it, peers of more
// than half of the organisations that have one must endorse.
func WithPolicy(policy Policy) Option {
	return func(l *Ledger) error {
		l.policy = policy
		return nil
	}
}

// WithCollections defines private data collections.
func WithCollections(collections ...Collection) Option {
	return func(l *Ledger) error {
		for _, c := range collections {
			if c.Name == "" || c.Members.IsZero() {
				return fmt.Errorf("collection %q needs a name and members", c.Name)
			}
			l.collections[c.Name] = &c
		}
		return nil
	}
}

// WithTimeWindow sets how far a proposal's timestamp may lie from a peer's clock.
func WithTimeWindow(window time.Duration) Option {
	return func(l *Ledger) error {
		l.timeWindow = window
		return nil
	}
}

// WithNames sets the channel and the chaincode name, both "medfed" otherwise.
func WithNames(channel, chaincode string) Option {
	return func(l *Ledger) error {
		l.channel, l.chaincodeName = channel, chaincode
		return nil
	}
}

// WithGateway names the organisation whose peer answers the clients of
// organisations that have none; otherwise it is the first peer's.
func WithGateway(organisation string) Option {
	return func(l *Ledger) error {
		l.gateway = organisation
		return nil
	}
}

// New makes an empty ledger for a chaincode: a *contractapi.ContractChaincode,
// or anything else that the shim can run.
func New(chaincode shim.Chaincode, options ...Option) (*Ledger, error) {
	if chaincode == nil {
		return nil, errors.New("ledgertest: no chaincode")
	}
	l := &Ledger{
		chaincode: chaincode, chaincodeName: "medfed", channel: "medfed",
		collections: map[string]*Collection{}, organisations: map[string]bool{},
		timeWindow: DefaultTimeWindow, now: Start,
		state: newWorldState(), committed: map[string]*Result{}, history: map[string][]historyEntry{},
		expiring: map[uint64][]expiringKey{}, revoked: map[*Identity]bool{},
	}
	for _, option := range append([]Option{WithPeers(DefaultPeers...)}, options...) {
		if err := option(l); err != nil {
			return nil, fmt.Errorf("ledgertest: %w", err)
		}
	}
	l.complete()
	if l.Peer(l.gateway) == nil {
		return nil, fmt.Errorf("ledgertest: gateway organisation %q has no peer", l.gateway)
	}
	return l, nil
}

// complete fills in what depends on the options, and commits the block that a
// channel begins with.
func (l *Ledger) complete() {
	var organisations []string
	seen := map[string]bool{}
	for _, p := range l.peers {
		if !seen[p.identity.MSP] {
			organisations = append(organisations, p.identity.MSP)
		}
		seen[p.identity.MSP] = true
		l.organisations[p.identity.MSP] = true
	}
	if l.policy.IsZero() {
		l.policy = Majority(organisations...)
	}
	if l.gateway == "" {
		l.gateway = organisations[0]
	}
	l.blocks = []*block{{}}
	l.state.height = 1
}

func (l *Ledger) addPeer(organisation string) {
	n := 0
	for _, p := range l.peers {
		if p.identity.MSP == organisation {
			n++
		}
	}
	name := fmt.Sprintf("peer%d", n)
	l.peers = append(l.peers, &Peer{
		ledger: l, private: newPrivateState(),
		identity: enrol(organisation, name, "", msp.MSPRole_PEER, nil),
	})
}

// Now is the ledger's time: that of the clients, and of the peers but for their
// skew. It moves only when a test moves it.
func (l *Ledger) Now() time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.now
}

// SetTime sets the ledger's time.
func (l *Ledger) SetTime(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
}

// Advance moves the ledger's time.
func (l *Ledger) Advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// Height is the number of blocks committed, the first of the channel included.
func (l *Ledger) Height() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.state.height
}

// State is the committed public value of a key, nil for none.
func (l *Ledger) State(key string) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if e := l.state.public.get(key); e != nil {
		return append([]byte{}, e.value...)
	}
	return nil
}

// Keys lists the public keys that begin with prefix, in order.
func (l *Ledger) Keys(prefix string) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var keys []string
	l.state.public.ascend(prefix, "", func(e *entry) bool {
		if len(e.key) < len(prefix) || e.key[:len(prefix)] != prefix {
			return false
		}
		keys = append(keys, e.key)
		return true
	})
	return keys
}
