package testnetwork

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// Case 32: patient and grantee, each through several clients at once, negotiate,
// revoke and use one consent. What they were answered must be what one client
// after another could have been answered: there is an order of all operations,
// each between its call and its answer, in which every answer is the one that the
// rules of package consent give.
func TestCase32ConcurrentOperationsAreLinearizable(t *testing.T) {
	w := newWard(t)
	h := &history{
		w: w, record: w.add("", "MRN-1", "one").Record, consent: record.NewConsentID(),
		terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone), began: time.Now(),
	}
	_, grantee := w.enrol("insurer", "requester", consortium.RoleRequester)
	_, pseudonym, _ := strings.Cut(w.patient.id, "/")
	_, patient := w.enrol(custodian, pseudonym, consortium.RolePatient)
	clients := []*negotiator{
		h.client(0, consent.SidePatient, custodian, patient), h.client(1, consent.SidePatient, custodian, patient),
		h.client(2, consent.SideGrantee, custodian, grantee), h.client(3, consent.SideGrantee, custodian, grantee),
		h.client(4, consent.SideGrantee, "insurer", grantee), // through the research centre's peer
	}
	var together sync.WaitGroup
	for _, c := range clients[2:] {
		together.Go(func() { c.do(operation{kind: consent.TxRequest, number: 1}) })
	}
	together.Wait()
	asked := clients[0].do(operation{kind: txGet})
	clients[0].do(operation{kind: consent.TxAccept, number: asked.open, digest: asked.offer.Digest()})
	for _, c := range clients {
		together.Go(func() {
			for range 7 {
				c.turn()
			}
		})
	}
	together.Wait()
	if t.Failed() {
		return
	}
	// What came to an end is final: a last revocation, and an access after it.
	last := clients[0].do(operation{kind: txGet})
	clients[0].do(operation{kind: consent.TxRevoke, number: last.revocations + 1})
	clients[2].do(operation{kind: txAccess})
	h.check()
}

// operation is what a client asked for.
type operation struct {
	kind   string // transaction of the negotiation, RequestAccess or Get
	side   consent.Side
	remote bool   // by way of a peer that may lag behind the custodian's
	number int    // of the offer or revocation that is meant
	digest string // of the offer that is accepted
}

// The kinds of operation that are no move of the negotiation.
const (
	txAccess = "RequestAccess"
	txGet    = "Get"
)

// outcome is what it was answered.
type outcome struct {
	code         codes.Code // of a refusal, or of an access that was denied
	unknown      bool       // sent, and nothing is known of its fate
	offer        consent.Offer
	agreement    int // consent version
	revocations  int
	status       consent.Status
	reason       consent.Reason
	offers, open int
}

// history is what several clients did with one consent.
type history struct {
	w               *ward
	record, consent string
	terms           consent.Terms // of every offer
	began           time.Time

	mu         sync.Mutex
	operations []porcupine.Operation
}

// negotiator is one client of one side.
type negotiator struct {
	h          *history
	number     int
	side       consent.Side
	remote     bool
	ledger     gateway.Contracts
	connection *gateway.Gateway
	chance     *rand.Rand
}

// client connects to an organisation's peer, and to no other when that one is slow
// to answer: another may lag behind it. The fate of every transaction is waited for,
// however slow the machine is.
func (h *history) client(number int, side consent.Side, through string, id *gateway.Identity) *negotiator {
	h.w.t.Helper()
	profile := h.w.profile(through)
	profile.Channels = nil
	connection, err := gateway.Connect(profile, id, gateway.Options{Attempts: 30, StatusTimeout: time.Minute})
	h.w.must(err)
	h.w.t.Cleanup(func() { _ = connection.Close() })
	return &negotiator{
		h: h, number: number, side: side, remote: through != custodian, ledger: connection.Contracts(), connection: connection,
		chance: rand.New(rand.NewPCG(32, uint64(number))),
	}
}

// turn is one look at the consent and one thing to do about it. By then others
// may have changed it.
func (c *negotiator) turn() {
	seen := c.do(operation{kind: txGet})
	next := operation{number: seen.offers + 1}
	dice := c.chance.IntN(10)
	switch {
	case seen.unknown:
		return
	case c.side == consent.SidePatient && seen.agreement > 0 && dice == 0:
		next.kind, next.number = consent.TxRevoke, seen.revocations+1
	case c.side == consent.SideGrantee && dice < 4:
		next.kind = txAccess
	case seen.open == 0 && seen.agreement > 0:
		next.kind = consent.TxRenew
	case seen.open == 0 || seen.agreement == 0 && seen.offer.Side == c.side:
		next.kind = consent.TxCounter
	case seen.offer.Side == c.side && dice%2 == 0:
		next.kind, next.number = consent.TxWithdraw, seen.open
	case seen.offer.Side != c.side && (seen.agreement == 0 || dice%3 != 0):
		next.kind, next.number, next.digest = consent.TxAccept, seen.open, seen.offer.Digest()
	case seen.offer.Side != c.side && dice%2 == 0:
		next.kind, next.number = consent.TxReject, seen.open
	default:
		next.kind = consent.TxCounter
	}
	c.do(next)
}

// do carries an operation out and writes down when it was called, when it was
// answered and what. It is answered once the custodian's peer knows of it too.
func (c *negotiator) do(op operation) outcome {
	op.side, op.remote = c.side, c.remote
	call := time.Since(c.h.began)
	out := c.perform(op)
	if c.remote {
		c.catchUp()
	}
	answered := porcupine.Operation{ClientId: c.number, Input: op, Call: int64(call), Output: out, Return: int64(time.Since(c.h.began))}
	if out.unknown {
		answered.Return = math.MaxInt64
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	c.h.operations = append(c.h.operations, answered)
	return out
}

// catchUp returns when the custodian's peer has the blocks of the client's own.
func (c *negotiator) catchUp() {
	ctx := c.h.w.t.Context()
	reached, err := c.connection.Height(ctx)
	for own := uint64(0); err == nil && own < reached; {
		own, err = c.h.w.peers[0].Height(ctx)
	}
	if err != nil {
		c.h.w.t.Error(err)
	}
}

func (c *negotiator) perform(op operation) (out outcome) {
	ctx, h := c.h.w.t.Context(), c.h
	answer := consent.AnswerRequest{Consent: h.consent, Offer: op.number}
	offer := consent.OfferRequest{Consent: h.consent, Offer: op.number, Terms: h.terms}
	var err error
	switch op.kind {
	case consent.TxRequest:
		out.offer, err = c.ledger.Consents.Request(ctx, consent.AskRequest{Consent: h.consent, Record: h.record, Terms: h.terms})
	case consent.TxCounter:
		out.offer, err = c.ledger.Consents.Counter(ctx, offer)
	case consent.TxRenew:
		out.offer, err = c.ledger.Consents.Renew(ctx, offer)
	case consent.TxAccept:
		var agreed consent.Agreement
		agreed, err = c.ledger.Consents.Accept(ctx, consent.AcceptRequest{Consent: h.consent, Offer: op.number, Digest: op.digest})
		out.agreement = agreed.Version
	case consent.TxReject:
		var stands consent.Consent
		stands, err = c.ledger.Consents.Reject(ctx, answer)
		out.read(stands)
	case consent.TxWithdraw:
		var stands consent.Consent
		stands, err = c.ledger.Consents.Withdraw(ctx, answer)
		out.read(stands)
	case consent.TxRevoke:
		var revoked consent.Revocation
		revoked, err = c.ledger.Consents.Revoke(ctx, consent.RevokeRequest{Consent: h.consent, Number: op.number})
		out.revocations = revoked.Number
	case txAccess:
		var access consent.Access
		access, err = c.ledger.Accesses.RequestAccess(ctx, use(h.consent, h.record, 1))
		out.code, out.agreement = codes.Code(access.Code), access.Agreement
	case txGet:
		var state consent.State
		if state, err = c.ledger.Consents.Get(ctx, consent.ConsentRequest{Consent: h.consent}); err == nil {
			out.read(state.Consent)
			out.revocations = state.Revocation.Number
			if out.open > 0 {
				out.offer = state.Offers[out.open-1]
			}
		}
	}
	if err == nil {
		return out
	}
	out = outcome{code: codes.Of(err)}
	var refusal *gateway.Refusal
	switch {
	case errors.As(err, &refusal), out.code == "MF-GATEWAY-CONFLICT":
	case strings.HasPrefix(string(out.code), "MF-GATEWAY-"):
		out.unknown = true
	default:
		h.w.t.Errorf("%s: %v", op.kind, err)
	}
	return out
}

// read notes where a consent stands.
func (o *outcome) read(c consent.Consent) {
	o.status, o.reason, o.offers, o.open = c.Status, c.Reason, c.Offers, c.Open
	if c.Agreement != nil {
		o.agreement = c.Agreement.Version
	}
}

// standing is the state of the model: the documents of one consent.
type standing struct {
	negotiation consent.Negotiation
	revocation  consent.Revocation
	offers      []consent.Offer
}

// apply says what an operation does and is answered when nothing else happens at
// the time. It asks the rules of package consent; what a contract does besides
// (the same call twice is a success) stands here a second time.
func (h *history) apply(s standing, op operation, at int64) (standing, outcome) {
	id := h.w.patient.id
	if op.side == consent.SideGrantee {
		id = h.w.requester.id
	}
	act := consent.Act{By: id, Side: op.side, At: at}
	parties := consent.Parties{Consent: h.consent, Record: h.record, Custodian: custodianMSP, Patient: h.w.patient.id, Grantee: h.w.requester.id}
	c := consent.Assemble(parties, s.negotiation, s.revocation)
	switch op.kind {
	case consent.TxRequest, consent.TxCounter, consent.TxRenew:
		return h.offered(s, c, op, act)
	case consent.TxAccept:
		return accepted(s, c, op, act)
	case consent.TxReject, consent.TxWithdraw:
		return declined(s, c, op, act)
	case consent.TxRevoke:
		next, _, err := s.revocation.Revoke(op.number, act)
		if err != nil {
			return s, refusedWith(err)
		}
		s.revocation = next
		return s, outcome{revocations: next.Number}
	case txAccess:
		kept := records.Record{Record: h.record, Status: records.Active, Versions: 1}
		decision, code := consent.Permits(c, kept, consent.Use{Grantee: id, Record: h.record, Version: 1, Purpose: payment}, at, 0)
		out := outcome{code: code}
		if decision == consent.Permit {
			out.agreement = c.Agreement.Version
		}
		return s, out
	default:
		out := outcome{revocations: s.revocation.Number}
		if out.read(c); out.open > 0 {
			out.offer = s.offers[out.open-1]
		}
		return s, out
	}
}

func (h *history) offered(s standing, c consent.Consent, op operation, act consent.Act) (standing, outcome) {
	if op.number <= len(s.offers) {
		if first := s.offers[op.number-1]; first.By == act.By {
			return s, outcome{offer: first} // all offers have the same terms
		}
		return s, outcome{code: "MF-OFFER-EXISTS"}
	}
	var next consent.Consent
	var offer consent.Offer
	if op.kind == consent.TxRequest {
		next, offer = consent.Ask(c.Parties, h.terms, "", 0, act)
	} else {
		var err error
		if next, offer, err = c.Propose(op.kind, op.number, h.terms, "", 0, act); err != nil {
			return s, refusedWith(err)
		}
	}
	return standing{next.Negotiation, s.revocation, append(slices.Clone(s.offers), offer)}, outcome{offer: offer}
}

func accepted(s standing, c consent.Consent, op operation, act consent.Act) (standing, outcome) {
	if c.Answered(consent.TxAccept, op.number, act.By) && c.Agreement.OfferDigest == op.digest {
		return s, outcome{agreement: c.Agreement.Version}
	}
	if op.number > len(s.offers) {
		return s, outcome{code: "MF-OFFER-UNKNOWN"}
	}
	next, err := c.Accept(s.offers[op.number-1], op.digest, act)
	if err != nil {
		return s, refusedWith(err)
	}
	s.negotiation = next.Negotiation
	return s, outcome{agreement: next.Agreement.Version}
}

func declined(s standing, c consent.Consent, op operation, act consent.Act) (standing, outcome) {
	var out outcome
	if c.Answered(op.kind, op.number, act.By) {
		out.read(c)
		return s, out
	}
	next, err := c.Decline(op.kind, op.number, act)
	if err != nil {
		return s, refusedWith(err)
	}
	s.negotiation = next.Negotiation
	out.read(next)
	return s, out
}

func refusedWith(err error) outcome { return outcome{code: codes.Of(err)} }

// step gives what a consent may be after an operation that was answered so, none
// when it can't have been answered so.
func (h *history) step(s standing, op operation, out outcome) []any {
	next, want := h.apply(s, op, out.offer.MadeAt)
	refused := out.code != "" && op.kind != txAccess // an access that is denied is committed
	switch {
	case out.unknown:
		return []any{s, next}
	case out.code == "MF-GATEWAY-CONFLICT", op.remote && (refused || op.kind == txGet): // what a peer knew that lags behind
		return []any{s}
	case reflect.DeepEqual(out, want):
		return []any{next}
	default:
		return nil
	}
}

// check looks for the order; and makes sure that it would not find one had the
// last access been permitted, which was after the last revocation.
func (h *history) check() {
	h.w.t.Helper()
	model := porcupine.NondeterministicModel{
		Init:  func() []any { return []any{standing{}} },
		Step:  func(state, op, out any) []any { return h.step(state.(standing), op.(operation), out.(outcome)) },
		Equal: reflect.DeepEqual,
	}
	judge := func(operations []porcupine.Operation) porcupine.CheckResult {
		return porcupine.CheckOperationsTimeout(model.ToModel(), operations, 2*time.Minute)
	}
	if result := judge(h.operations); result != porcupine.Ok {
		h.w.t.Errorf("the history is %s:\n%s", result, h)
	}
	planted := slices.Clone(h.operations)
	last := &planted[len(planted)-1]
	if out := last.Output.(outcome); out.code != "MF-CONSENT-REVOKED" {
		h.w.t.Errorf("the last access: %+v", out)
	}
	last.Output = outcome{agreement: 1}
	if result := judge(planted); result != porcupine.Illegal {
		h.w.t.Errorf("with a permit after the last revocation the history is %s", result)
	}
	h.w.t.Logf("%d operations in %.1f s: %v", len(h.operations), time.Since(h.began).Seconds(), h.counts())
}

// counts says how often each kind of operation was answered how.
func (h *history) counts() map[string]int {
	counts := map[string]int{}
	for _, o := range h.operations {
		counts[strings.TrimSpace(fmt.Sprint(o.Input.(operation).kind, " ", o.Output.(outcome).code))]++
	}
	return counts
}

func (h *history) String() string {
	var lines []string
	for _, o := range h.operations {
		lines = append(lines, fmt.Sprintf("%9.3f to %9.3f s  client %d  %+v  %+v", time.Duration(o.Call).Seconds(), time.Duration(o.Return).Seconds(), o.ClientId, o.Input, o.Output))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
