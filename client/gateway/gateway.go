// Package gateway is medfed's way to the ledger: a connection profile and an
// enrolled identity become submitted and evaluated transactions, and events. It
// keeps the chaincode's coded refusals, endorses again when the ledger moved
// under a transaction, asks for the fate of a transaction before it sends it
// again, and goes to another peer when one fails. All medfed transactions are
// idempotent, which makes repeating them safe.
//
// A refusal by the chaincode begins with the chaincode's own code (see
// [Refusal]). Others begin with:
//
//	MF-GATEWAY-PROFILE      the connection profile is missing or wrong
//	MF-GATEWAY-IDENTITY     the MSP folder is missing, expired or inconsistent
//	MF-GATEWAY-UNREACHABLE  no peer of the profile, or not enough orderers, can be reached
//	MF-GATEWAY-TIMEOUT      a peer did not answer in time
//	MF-GATEWAY-BEHIND       the only peer that can answer has not got all blocks yet
//	MF-GATEWAY-UNKNOWN      sent, and not known whether it was committed; repeating it is safe
//	MF-GATEWAY-CONFLICT     other transactions got ahead of it each time
//	MF-GATEWAY-POLICY       committed without the endorsements its policy asks for
//	MF-GATEWAY-INVALID      committed as invalid for another reason
//	MF-GATEWAY-DENIED       the peers do not accept the identity
//	MF-GATEWAY-CLOCK        this machine's clock is too far from the peers'
//	MF-GATEWAY-REFUSED      a peer failed in a way that has no code of its own
//	MF-GATEWAY-RESULT       request or result is not what the transaction's type says
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	msppb "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/medfed/medfed/chaincode/codes"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
)

// Options tunes a gateway. The zero value is for production.
type Options struct {
	Observe       func(Call)    // told of every finished call, when set; it must be quick
	Log           *slog.Logger  // retries at debug level; slog.Default when nil
	Attempts      int           // most attempts of one call; 10 when 0
	CallTimeout   time.Duration // of one endorsement, submit or evaluation; 15 s when 0, two endorsement time-outs of our peers and more
	CommitTimeout time.Duration // of the wait for the commit; 60 s when 0
	StatusTimeout time.Duration // of asking for the fate of a transaction that may be lost; 5 s when 0
}

func (o Options) orDefaults() Options {
	pick := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	pick(&o.CallTimeout, 15*time.Second)
	pick(&o.CommitTimeout, 60*time.Second)
	pick(&o.StatusTimeout, 5*time.Second)
	if o.Attempts <= 0 {
		o.Attempts = 10
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Call is one finished transaction or query, for time accounting.
type Call struct {
	Transaction string // for instance round:OpenRound
	Submitted   bool   // false: evaluated
	Started     time.Time
	Duration    time.Duration // until committed, retries included
	Attempts    int
	Err         error
}

// Gateway is a connection to the ledger as one identity. It is safe for
// concurrent use.
type Gateway struct {
	identity  *Identity
	channel   string
	chaincode string
	options   Options

	looks singleflight.Group // of look: one at a time

	mu     *sync.Mutex
	peers  []*peerConnection // in order of preference
	others []*peerConnection // that know the ledger but may not be asked; see only
	looked time.Time         // when it was last found out who hangs
	later  time.Duration     // after which those are asked again
}

// peerConnection is one peer of the profile and the gateway service on it.
type peerConnection struct {
	name       string
	msp        string // that runs it
	connection *grpc.ClientConn
	gateway    *client.Gateway
	failed     time.Time     // when it last failed; zero when its last call went well
	hangs      bool          // it is passed over until it answers; see look
	gone       chan struct{} // closed while it hangs
}

// rest is how long a peer that failed is asked only after the others.
const rest = 5 * time.Second

// Connect opens connections to the profile's peers. It does not wait for them:
// the first call does. Errors are MF-GATEWAY-PROFILE and MF-GATEWAY-IDENTITY.
func Connect(profile *Profile, id *Identity, options Options) (*Gateway, error) {
	g := &Gateway{
		identity:  id,
		channel:   profile.Medfed.Channel,
		chaincode: profile.Medfed.Chaincode,
		options:   options.orDefaults(),
		mu:        new(sync.Mutex),
	}
	for _, name := range profile.peerNames() {
		p, err := dial(profile, name, id)
		if err != nil {
			g.Close()
			return nil, err
		}
		g.peers = append(g.peers, p)
	}
	return g, nil
}

// Close ends all connections and calls.
func (g *Gateway) Close() error {
	var failures []error
	for _, p := range g.peers {
		failures = append(failures, p.gateway.Close(), p.connection.Close())
	}
	return errors.Join(failures...)
}

// Identity is who the gateway signs as.
func (g *Gateway) Identity() *Identity { return g.identity }

func dial(profile *Profile, name string, id *Identity) (*peerConnection, error) {
	server := profile.Peers[name]
	transport, err := transportOf(name, server)
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-PROFILE", "peer %s has a bad url: %w; correct the profile", name, err)
	}
	connection, err := grpc.NewClient(address.Host,
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		// Fabric's servers refuse pings more often than once a minute.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
	)
	if err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-PROFILE", "no connection to peer %s can be made: %w; correct the profile", name, err)
	}
	gw, err := signingGateway(id, connection)
	if err != nil {
		connection.Close()
		return nil, codes.Wrapf("MF-GATEWAY-IDENTITY", "the identity %s cannot sign: %w; enrol again", id.ID(), err)
	}
	return &peerConnection{name: name, msp: profile.mspOf(name), connection: connection, gateway: gw, gone: make(chan struct{})}, nil
}

func transportOf(name string, server Server) (credentials.TransportCredentials, error) {
	certificates := []byte(server.TLSCACerts.PEM)
	if server.TLSCACerts.Path != "" {
		var err error
		if certificates, err = os.ReadFile(server.TLSCACerts.Path); err != nil {
			return nil, codes.Wrapf("MF-GATEWAY-PROFILE", "the TLS certificate of peer %s cannot be read: %w; name its file in the profile, or use the profile that medfed network up wrote, which holds it", name, err)
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificates) {
		return nil, codes.Errorf("MF-GATEWAY-PROFILE", "peer %s has no TLS certificate in tlsCACerts; put it there, or use the profile that medfed network up wrote, which holds it", name)
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: server.GRPCOptions.TargetName, MinVersion: tls.VersionTLS12}), nil
}

func signingGateway(id *Identity, connection *grpc.ClientConn) (*client.Gateway, error) {
	x509Identity, err := identity.NewX509Identity(id.MSP, id.certificate)
	if err != nil {
		return nil, err
	}
	sign, err := identity.NewPrivateKeySign(id.key)
	if err != nil {
		return nil, err
	}
	return client.Connect(x509Identity, client.WithSign(sign), client.WithHash(hash.SHA256), client.WithClientConnection(connection))
}

// Submit carries out a transaction, "contract:Name", with one JSON argument, and
// returns when it is committed; result, when not nil, gets the transaction's
// answer. The error of a refused transaction is a [Refusal].
func (g *Gateway) Submit(ctx context.Context, name string, request, result any) error {
	return g.call(ctx, name, true, request, result, func(p *peerConnection, argument string) ([]byte, *failure) {
		return g.submitOnce(ctx, p, name, argument, nil)
	})
}

// Evaluate answers a query, "contract:Name", with one JSON argument, from the
// ledger of a peer, the identity's own organisation's where it has one that is
// up. Nothing is written.
func (g *Gateway) Evaluate(ctx context.Context, name string, request, result any) error {
	return g.call(ctx, name, false, request, result, func(p *peerConnection, argument string) ([]byte, *failure) {
		return g.evaluateOnce(ctx, p, name, argument, p.msp)
	})
}

// evaluateOnce asks a peer of the organisation through the gateway of peer p.
func (g *Gateway) evaluateOnce(ctx context.Context, p *peerConnection, name, argument, organisation string) ([]byte, *failure) {
	attempt, cancel := g.watched(ctx, g.options.CallTimeout, func() bool { return g.hangs(p) })
	defer cancel()
	answer, err := g.contract(p).EvaluateWithContext(attempt, name,
		client.WithArguments(argument), client.WithEndorsingOrganizations(organisation))
	if err != nil {
		f := g.explain(ctx, attempt, name, p, err)
		return nil, &f
	}
	return answer, nil
}

// call makes attempts until one succeeds, fails for good, or none are left.
func (g *Gateway) call(ctx context.Context, name string, submitted bool, request, result any, once func(*peerConnection, string) ([]byte, *failure)) (err error) {
	call := Call{Transaction: name, Submitted: submitted, Started: time.Now()}
	defer func() {
		if g.options.Observe != nil {
			call.Duration, call.Err = time.Since(call.Started), err
			g.options.Observe(call)
		}
	}()
	argument, err := json.Marshal(request)
	if err != nil {
		return codes.Wrapf("MF-GATEWAY-RESULT", "the request of %s is no JSON: %w; report this", name, err)
	}
	var failed *failure
	var ahead *peerConnection // to be asked instead of one that is behind it
	for call.Attempts < g.options.Attempts {
		p := ahead
		if p == nil {
			p = g.pick()
		}
		call.Attempts++
		var answer []byte
		if answer, failed = once(p, string(argument)); failed == nil {
			g.mark(p, time.Time{})
			return decode(name, answer, result)
		}
		if failed.remedy == none && ahead == nil {
			ahead, failed = g.behind(ctx, name, p, failed)
			if ahead != nil {
				continue
			}
		}
		ahead = nil
		if failed.remedy == none {
			return failed.err
		}
		g.options.Log.Debug("calling again", "transaction", name, "attempt", call.Attempts, "error", failed.err)
		if failed.remedy == anew {
			continue
		}
		if failed.remedy == elsewhere {
			g.mark(p, time.Now())
			if call.Attempts < len(g.peers) {
				continue // the next peer is fresh
			}
		}
		if err := pause(ctx, call.Attempts); err != nil {
			return fmt.Errorf("%w (given up: %w)", failed.err, err)
		}
	}
	return failed.err
}

func decode(name string, answer []byte, result any) error {
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return codes.Wrapf("MF-GATEWAY-RESULT", "the answer of %s cannot be read: %w; use a client of the chaincode's version", name, err)
	}
	return nil
}

// pause waits longer after each attempt, at most 2 s, and not twice the same: of
// several clients that met at a key one should be first.
func pause(ctx context.Context, attempt int) error {
	ceiling := min(2*time.Second, 25*time.Millisecond<<min(attempt, 10))
	return sleep(ctx, ceiling/2+rand.N(ceiling/2))
}

// sleep returns after a time, with an error when the context ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// submitOnce endorses, submits and awaits the commit. Chosen are the options of a
// transaction that one organisation endorses, nil where the peer's gateway chooses who
// does, or this one while an organisation hangs.
func (g *Gateway) submitOnce(ctx context.Context, p *peerConnection, name, argument string, chosen []client.ProposalOption) ([]byte, *failure) {
	asked := 1
	if chosen == nil {
		organisations := g.endorsers()
		if asked = len(organisations); asked > 0 {
			chosen = append(chosen, client.WithEndorsingOrganizations(organisations...))
		}
	}
	transaction, failed := g.endorse(ctx, p, name, append(slices.Clone(chosen), client.WithArguments(argument)), asked)
	if failed != nil {
		return nil, failed
	}
	outcome, failed := g.commit(ctx, p, name, transaction)
	if failed != nil {
		return nil, failed
	}
	if !outcome.Successful {
		f := invalid(name, outcome)
		return nil, &f
	}
	return transaction.Result(), nil
}

// endorse has a transaction endorsed. Asked is how many organisations the caller
// asks, 0 where the peer's gateway chooses them. An attempt is given up when its peer
// hangs, or an organisation that did not when it began.
func (g *Gateway) endorse(ctx context.Context, p *peerConnection, name string, options []client.ProposalOption, asked int) (*client.Transaction, *failure) {
	proposal, err := g.contract(p).NewProposal(name, options...)
	if err != nil {
		return nil, &failure{codes.Wrapf("MF-GATEWAY-IDENTITY", "%s cannot be signed: %w; enrol again", name, err), none}
	}
	known := g.hanging()
	attempt, cancel := g.watched(ctx, g.options.CallTimeout, func() bool {
		return g.hangs(p) || g.endorsers() != nil && slices.ContainsFunc(g.hanging(), func(msp string) bool { return !slices.Contains(known, msp) })
	})
	defer cancel()
	transaction, err := proposal.EndorseWithContext(attempt)
	if err == nil {
		return transaction, nil
	}
	f := g.explain(ctx, attempt, name, p, err)
	var refused *Refusal
	if errors.As(f.err, &refused) && lagging(err, asked) {
		f.remedy = again
	}
	return nil, &f
}

// commit sends an endorsed transaction to the orderers and finds out what became
// of it. The orderers may refuse a transaction that they, or a peer, have already
// taken, so after a failed submit its own status is asked for before anything
// else is tried.
func (g *Gateway) commit(ctx context.Context, p *peerConnection, name string, transaction *client.Transaction) (*client.Status, *failure) {
	commit, failed := g.order(ctx, p, name, transaction)
	if failed != nil {
		if ctx.Err() == nil {
			if outcome := g.fate(ctx, transaction.TransactionID()); outcome != nil {
				return outcome, nil
			}
		}
		return nil, failed
	}
	waiting, cancel := g.watched(ctx, g.options.CommitTimeout, func() bool { return g.hangs(p) })
	defer cancel()
	outcome, err := commit.StatusWithContext(waiting)
	if err == nil {
		return outcome, nil
	}
	if hung(waiting) || waiting.Err() == nil { // the peer is gone, the transaction is not
		if !hung(waiting) {
			g.mark(p, time.Now())
		}
		if outcome := g.fate(ctx, transaction.TransactionID()); outcome != nil {
			return outcome, nil
		}
	}
	if ctx.Err() != nil {
		return nil, &failure{fmt.Errorf("%s: %w", name, context.Cause(ctx)), none}
	}
	return nil, &failure{codes.Wrapf("MF-GATEWAY-UNKNOWN", "%s: transaction %s was sent and its commit is not known: %w; repeat the command, that is safe", name, transaction.TransactionID(), err), elsewhere}
}

func (g *Gateway) order(ctx context.Context, p *peerConnection, name string, transaction *client.Transaction) (*client.Commit, *failure) {
	attempt, cancel := g.watched(ctx, g.options.CallTimeout, func() bool { return g.hangs(p) })
	defer cancel()
	commit, err := transaction.SubmitWithContext(attempt)
	if err != nil {
		f := g.explain(ctx, attempt, name, p, err)
		return nil, &f
	}
	return commit, nil
}

// fate asks the peers, in order of preference, for a transaction's status; nil
// when none of them knows it within the time allowed.
func (g *Gateway) fate(ctx context.Context, transactionID string) *client.Status {
	request, err := g.statusRequest(transactionID)
	if err != nil {
		return nil
	}
	for range g.peers {
		p := g.pick()
		commit, err := p.gateway.NewCommit(request)
		if err != nil {
			return nil
		}
		asking, cancel := context.WithTimeout(ctx, g.options.StatusTimeout)
		outcome, err := commit.StatusWithContext(asking)
		expired := asking.Err() != nil
		cancel()
		if err == nil {
			return outcome
		}
		if expired { // the peer is up and has not seen the transaction
			return nil
		}
		g.mark(p, time.Now())
	}
	return nil
}

// statusRequest is a question for the fate of a transaction of this identity.
func (g *Gateway) statusRequest(transactionID string) ([]byte, error) {
	id := g.peers[0].gateway.Identity()
	creator, err := proto.Marshal(&msppb.SerializedIdentity{Mspid: id.MspID(), IdBytes: id.Credentials()})
	if err != nil {
		return nil, err
	}
	request, err := proto.Marshal(&gatewaypb.CommitStatusRequest{ChannelId: g.channel, TransactionId: transactionID, Identity: creator})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&gatewaypb.SignedCommitStatusRequest{Request: request})
}

func (g *Gateway) contract(p *peerConnection) *client.Contract {
	return p.gateway.GetNetwork(g.channel).GetContract(g.chaincode)
}

// pick is the most preferred peer that neither hangs nor has just failed; when all
// do, one that does not hang, whose failure lies furthest back. Those that hang are
// looked at again from time to time.
func (g *Gateway) pick() *peerConnection {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if now.Sub(g.looked) >= g.later && slices.ContainsFunc(g.peers, func(p *peerConnection) bool { return p.hangs }) {
		g.look()
	}
	for _, p := range g.peers {
		if !p.hangs && now.Sub(p.failed) >= rest {
			return p
		}
	}
	all := slices.DeleteFunc(slices.Clone(g.peers), func(p *peerConnection) bool { return p.hangs }) // never all: see ask
	return slices.MinFunc(all, func(a, b *peerConnection) int { return a.failed.Compare(b.failed) })
}

func (g *Gateway) mark(p *peerConnection, failed time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.failed = failed
}
