package testnetwork

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/record"
)

// proposeAt is propose with a time of the client's choice, in Unix seconds. The
// peers take it while their own clocks are within ledger.TimeWindow of it.
func (w *ward) proposeAt(p party, at int64, name string, request any, organisations ...string) *fabric.Proposal {
	w.t.Helper()
	content, err := w.propose(p, name, request).Bytes()
	w.must(err)
	var proposed gatewaypb.ProposedTransaction
	var inner peer.Proposal
	var header common.Header
	var channel common.ChannelHeader
	w.must(proto.Unmarshal(content, &proposed))
	w.must(proto.Unmarshal(proposed.GetProposal().GetProposalBytes(), &inner))
	w.must(proto.Unmarshal(inner.GetHeader(), &header))
	w.must(proto.Unmarshal(header.GetChannelHeader(), &channel))
	channel.Timestamp = &timestamppb.Timestamp{Seconds: at}
	header.ChannelHeader = w.marshal(&channel)
	inner.Header = w.marshal(&header)
	proposed.Proposal.ProposalBytes = w.marshal(&inner)
	proposed.EndorsingOrganizations = organisations
	again, err := p.fabric.NewProposal(w.marshal(&proposed))
	w.must(err)
	return again
}

func (w *ward) marshal(message proto.Message) []byte {
	w.t.Helper()
	content, err := proto.Marshal(message)
	w.must(err)
	return content
}

// endorseAt has a transaction endorsed at a claimed time.
func (w *ward) endorseAt(p party, at int64, name string, request any) (*fabric.Transaction, error) {
	w.t.Helper()
	transaction, err := w.proposeAt(p, at, name, request).EndorseWithContext(w.t.Context())
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w %s", name, at, err, details(err))
	}
	return transaction, nil
}

// submitAt carries out a transaction at a claimed time.
func (w *ward) submitAt(p party, at int64, name string, request, result any) error {
	w.t.Helper()
	transaction, err := w.endorseAt(p, at, name, request)
	if err != nil {
		return err
	}
	if got := w.submit(transaction); got != peer.TxValidationCode_VALID {
		w.t.Fatalf("%s at %d: %s", name, at, got)
	}
	return json.Unmarshal(transaction.Result(), result)
}

// readGrantAt reads the grants of an access at a claimed time, from the
// custodian's peer.
func (w *ward) readGrantAt(at int64, access string) (grants []consent.Grant, err error) {
	w.t.Helper()
	answer, err := w.proposeAt(w.requester, at, "access:ReadGrant", consent.ReadGrantRequest{Access: access}, custodianMSP).EvaluateWithContext(w.t.Context())
	if err != nil {
		if refusal := codes.Parse(err.Error()); refusal != nil { // Fabric's own client knows no codes
			return nil, refusal
		}
		return nil, err
	}
	return grants, json.Unmarshal(answer, &grants)
}

// ending is a consent whose period ends so soon that a client may claim times on
// both sides of the last moment at which it permits anything: last and last+1.
// It is made within the minute that the claims stay credible.
type ending struct {
	record, consent string
	last            int64 // Unix seconds
}

// tooSlow reports whether a peer found a claimed time too old: this machine took
// more than the peers' time window for a few transactions.
func tooSlow(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "incorrect timestamp") || codes.Of(err) == "MF-GATEWAY-CLOCK")
}

// whileItEnds makes a consent that ends, grants version 1, and runs a case on it;
// all of it once more with another consent where the machine was too slow.
func (w *ward) whileItEnds(run func(ending) error) {
	w.t.Helper()
	id := w.add("", "MRN-1", "one").Record
	var err error
	for range 20 {
		var e ending
		if e, err = w.ending(id); err == nil {
			err = run(e)
		}
		if !tooSlow(err) {
			break
		}
	}
	w.must(err)
}

func (w *ward) ending(id string) (ending, error) {
	w.t.Helper()
	begin := time.Now().Unix()
	until := begin + 2*ledger.TimeWindow
	e := ending{record: id, consent: record.NewConsentID(), last: until - ledger.TimeWindow - 1}
	asked := terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone)
	asked.Period.Until = until
	var offer consent.Offer
	if err := w.submitAt(w.requester, begin, "consent:Request", consent.AskRequest{Consent: e.consent, Record: id, Terms: asked}, &offer); err != nil {
		return e, err
	}
	var agreed consent.Agreement
	accept := consent.AcceptRequest{Consent: e.consent, Offer: offer.Offer, Digest: offer.Digest()}
	if err := w.submitAt(w.patient, begin, "consent:Accept", accept, &agreed); err != nil {
		return e, err
	}
	_, err := w.officer.Grant(w.t.Context(), e.consent, 1, w.requester.Key.Recipient())
	if err != nil && codes.Of(err) == "MF-CONSENT-EXPIRED" {
		err = fmt.Errorf("incorrect timestamp: the grant claims this machine's time, which is past the end: %w", err)
	}
	w.settle()
	return e, err
}

// Case 10: an access one window before the expiry is denied, one second before
// that it is permitted; and what was permitted is not read any more.
func TestCase10AccessAtExpiry(t *testing.T) {
	w := newWard(t)
	w.whileItEnds(func(e ending) error {
		var early, late consent.Access
		if err := w.submitAt(w.requester, e.last, "access:RequestAccess", use(e.consent, e.record, 1), &early); err != nil {
			return err
		}
		if err := w.submitAt(w.requester, e.last+1, "access:RequestAccess", use(e.consent, e.record, 1), &late); err != nil {
			return err
		}
		if early.Decision != consent.Permit || early.At != e.last {
			t.Errorf("one second before the expiry minus the window: %+v", early)
		}
		if late.Decision != consent.Deny || late.Code != "MF-CONSENT-EXPIRED" || late.At != e.last+1 {
			t.Errorf("at the expiry minus the window: %+v", late)
		}
		grants, err := w.readGrantAt(e.last, early.Access)
		if tooSlow(err) {
			return err
		}
		if err != nil || len(grants) != 1 {
			t.Errorf("the grant, one second before: %v (%v)", grants, err)
		}
		if _, err = w.readGrantAt(e.last+1, early.Access); tooSlow(err) {
			return err
		}
		w.denied("MF-CONSENT-EXPIRED", err)
		return nil
	})
}

// Case 12: an access that is endorsed while the consent lasts and submitted after
// its end stays a permit in the log, of the time it was endorsed at, and no grant
// is read by it.
func TestCase12ExpiredBetweenEndorsementAndCommit(t *testing.T) {
	w := newWard(t)
	w.whileItEnds(func(e ending) error {
		request := use(e.consent, e.record, 1)
		endorsed, err := w.endorseAt(w.requester, e.last, "access:RequestAccess", request)
		if err != nil {
			return err
		}
		var after consent.Access
		if err := w.submitAt(w.requester, e.last+1, "access:RequestAccess", use(e.consent, e.record, 1), &after); err != nil {
			return err
		}
		if after.Code != "MF-CONSENT-EXPIRED" {
			t.Errorf("the consent has not ended: %+v", after)
		}
		if got := w.submit(endorsed); got != peer.TxValidationCode_VALID {
			t.Errorf("endorsed before the end, submitted after it: %s", got)
		}
		logged, err := w.requester.Ledger.Accesses.Get(t.Context(), consent.ReadGrantRequest{Access: request.Access})
		w.must(err)
		if logged.Decision != consent.Permit || logged.At != e.last {
			t.Errorf("the log has %+v, want the permit of %d", logged, e.last)
		}
		if _, err = w.readGrantAt(e.last+1, request.Access); tooSlow(err) {
			return err
		}
		w.denied("MF-CONSENT-EXPIRED", err)
		return nil
	})
}

// Case 13: whatever a consent does not clearly permit is denied, the denial is in
// the auditor's list with its code, nothing is read by it, and no file appears.
func TestCase13DenialsAreLogged(t *testing.T) {
	w := newWard(t)
	auditor := w.party("auditor", "auditor", consortium.RoleAuditor)
	lab := w.party("foreignlab", "requester", consortium.RoleRequester)
	id := w.add("", "MRN-1", "one").Record
	w.add(id, "", "two")
	ask := func(scope consent.Scope) consent.Offer {
		offer, err := w.requester.Ledger.Consents.Request(t.Context(), consent.AskRequest{
			Consent: record.NewConsentID(), Record: id, Terms: terms(scope, consent.CompensationNone),
		})
		w.must(err)
		return offer
	}
	all, first := consent.Scope{Kind: consent.ScopeAllFuture}, consent.Scope{Kind: consent.ScopeThis, Version: 1}
	wide, narrow, proposed, rejected, withdrawn, revoked, inError := ask(all), ask(first), ask(all), ask(all), ask(all), ask(all), ask(all)
	w.settle()
	for _, offer := range []consent.Offer{wide, narrow, revoked, inError} {
		w.accept(offer)
	}
	w.grant(wide.Consent, 1)
	_, err := w.patient.Ledger.Consents.Reject(t.Context(), consent.AnswerRequest{Consent: rejected.Consent, Offer: 1})
	w.must(err)
	_, err = w.requester.Ledger.Consents.Withdraw(t.Context(), consent.AnswerRequest{Consent: withdrawn.Consent, Offer: 1})
	w.must(err)
	w.revoke(revoked.Consent)
	_, err = w.patient.Ledger.Consents.MarkEnteredInError(t.Context(), consent.ConsentRequest{Consent: inError.Consent})
	w.committed(err)

	logged := map[string]consent.Access{}
	for _, c := range []struct {
		name    string
		by      party
		consent string
		version int
		purpose string
		want    codes.Code
	}{
		{"permitted", w.requester, wide.Consent, 1, payment, ""},
		{"nothing decided: proposed", w.requester, proposed.Consent, 1, payment, "MF-CONSENT-NOT-ACTIVE"},
		{"nothing decided: rejected", w.requester, rejected.Consent, 1, payment, "MF-CONSENT-NOT-ACTIVE"},
		{"no such consent", w.requester, record.NewConsentID(), 1, payment, "MF-CONSENT-UNKNOWN"},
		{"inactive: withdrawn", w.requester, withdrawn.Consent, 1, payment, "MF-CONSENT-NOT-ACTIVE"},
		{"inactive: revoked", w.requester, revoked.Consent, 1, payment, "MF-CONSENT-REVOKED"},
		{"entered in error", w.requester, inError.Consent, 1, payment, "MF-CONSENT-ENTERED-IN-ERROR"},
		{"other purpose", w.requester, wide.Consent, 1, "HRESCH", "MF-CONSENT-OTHER-PURPOSE"},
		{"other grantee", lab, wide.Consent, 1, payment, "MF-CONSENT-OTHER-GRANTEE"},
		{"later version than granted", w.requester, narrow.Consent, 2, payment, "MF-CONSENT-OUT-OF-SCOPE"},
		{"version that is not there", w.requester, wide.Consent, 3, payment, "MF-VERSION-UNKNOWN"},
	} {
		request := use(c.consent, id, c.version)
		request.Purpose = c.purpose
		access, err := c.by.Ledger.Accesses.RequestAccess(t.Context(), request)
		w.must(err)
		if access.Code != string(c.want) || (access.Decision == consent.Permit) != (c.want == "") {
			t.Errorf("%s: %+v, want %q", c.name, access, c.want)
		}
		logged[access.Access] = access
		grants, err := c.by.Ledger.Accesses.ReadGrant(t.Context(), custodianMSP, consent.ReadGrantRequest{Access: access.Access})
		if c.want != "" {
			w.denied("MF-ACCESS-DENIED", err)
		} else if err != nil || len(grants) != 1 {
			t.Errorf("%s: %v (%v)", c.name, grants, err)
		}
	}
	output := filepath.Join(t.TempDir(), "two")
	opened, err := w.requester.Open(t.Context(), record.Use{Consent: narrow.Consent, Version: 2, Purpose: payment, Output: output})
	w.denied("MF-CONSENT-OUT-OF-SCOPE", err)
	absent(t, output)
	logged[opened.Access.Access] = opened.Access

	w.settle()
	page, err := auditor.Ledger.Audit.ListAccesses(t.Context(), consent.AccessListRequest{By: "record", Value: id, PageSize: 100})
	w.must(err)
	for _, access := range page.Accesses {
		if logged[access.Access] != access {
			t.Errorf("the auditor's list has %+v, the answer was %+v", access, logged[access.Access])
		}
		delete(logged, access.Access)
	}
	for _, missing := range logged {
		t.Errorf("not in the auditor's list: %+v", missing)
	}
}
