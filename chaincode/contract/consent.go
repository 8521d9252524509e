package contract

import (
	"slices"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// consentContract is the name before the colon in consent:Request.
const consentContract = "consent"

// ConsentContract is the negotiation of Salim & Park section II.E: a third party
// requests, either side counters, one exact offer is accepted by the side that
// did not make it, and the patient revokes at any time. Both sides sign with
// their own certificates; nobody else can.
type ConsentContract struct{ contractapi.Contract }

// NewConsentContract makes the contract.
func NewConsentContract() *ConsentContract {
	return &ConsentContract{newContract(consentContract, "Consents", "What a patient and a third party agree on: offers, consent versions, revocation.")}
}

// GetEvaluateTransactions names the queries.
func (*ConsentContract) GetEvaluateTransactions() []string { return evaluated(consentContract) }

// Request begins a consent with the caller's first offer. Caller: a requester,
// who becomes the grantee.
func (*ConsentContract) Request(ctx *ledger.Context, request consent.AskRequest) (*consent.Offer, error) {
	caller, err := ctx.CallerAs(ledger.RoleRequester)
	if err != nil {
		return nil, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return nil, err
	}
	if err := consent.CheckConsentID(request.Consent); err != nil {
		return nil, err
	}
	parties, found, err := ledger.Get[consent.Parties](ctx, ledger.ConsentKey(request.Consent))
	if err != nil {
		return nil, err
	}
	offer := consent.OfferRequest{Consent: request.Consent, Offer: 1, Terms: request.Terms, PrivateDigest: request.PrivateDigest, Expires: request.Expires}
	if found {
		n, err := enterConsent(ctx, "consent:Request", request.Consent)
		if err != nil {
			return nil, err
		}
		if parties.Record != request.Record {
			return nil, codes.Errorf("MF-CONSENT-EXISTS", "there is another consent of that identifier; draw a new one")
		}
		return n.sameOffer(offer)
	}
	record, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	n := &negotiation{
		ctx: ctx, name: "consent:Request", caller: caller,
		act: consent.Act{By: caller.ID, Side: consent.SideGrantee, At: now, Window: ledger.TimeWindow},
	}
	return n.begin(consent.Parties{
		Consent: request.Consent, Record: record.Record, Custodian: record.Custodian,
		Patient: record.Patient, Grantee: caller.ID, RequestedAt: now,
	}, record, offer)
}

// Counter makes the next offer while one is open. Caller: the patient or the
// grantee.
func (*ConsentContract) Counter(ctx *ledger.Context, request consent.OfferRequest) (*consent.Offer, error) {
	return propose(ctx, "consent:Counter", consent.TxCounter, request)
}

// Renew makes an offer for the next version of a consent; the version in force
// stays as it is until the offer is accepted. Caller: the patient or the grantee.
func (*ConsentContract) Renew(ctx *ledger.Context, request consent.OfferRequest) (*consent.Offer, error) {
	return propose(ctx, "consent:Renew", consent.TxRenew, request)
}

func propose(ctx *ledger.Context, name, by string, request consent.OfferRequest) (*consent.Offer, error) {
	n, err := enterConsent(ctx, name, request.Consent)
	if err != nil {
		return nil, err
	}
	if request.Offer >= 1 && request.Offer <= n.consent.Offers {
		return n.sameOffer(request)
	}
	record, err := readRecord(ctx, n.consent.Record)
	if err != nil {
		return nil, err
	}
	if err := n.checkOffer(record, request); err != nil {
		return nil, err
	}
	next, offer, err := n.consent.Propose(by, request.Offer, request.Terms, request.PrivateDigest, request.Expires, n.act)
	if err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, ledger.OfferKey(next.Consent, offer.Offer), offer); err != nil {
		return nil, err
	}
	return &offer, n.save(next, offer.Offer)
}

// Accept agrees to the open offer, named by number and digest, and so makes a
// new consent version. Caller: the side that did not make the offer.
func (*ConsentContract) Accept(ctx *ledger.Context, request consent.AcceptRequest) (*consent.Agreement, error) {
	n, err := enterConsent(ctx, "consent:Accept", request.Consent)
	if err != nil {
		return nil, err
	}
	if n.consent.Answered(consent.TxAccept, request.Offer, n.caller.ID) && n.consent.Agreement.OfferDigest == request.Digest {
		return n.consent.Agreement, n.emit(n.consent, request.Offer)
	}
	offer, err := n.readOffer(request.Offer)
	if err != nil {
		return nil, err
	}
	record, err := readRecord(ctx, n.consent.Record)
	if err != nil {
		return nil, err
	}
	if !record.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; nothing more can be agreed on it", record.Status)
	}
	next, err := n.consent.Accept(offer, request.Digest, n.act)
	if err != nil {
		return nil, err
	}
	if err := n.checkTermsHeld(offer); err != nil {
		return nil, err
	}
	if err := ledger.Put(ctx, ledger.AgreementKey(next.Consent, next.Agreement.Version), next.Agreement); err != nil {
		return nil, err
	}
	return next.Agreement, n.save(next, offer.Offer)
}

// Reject refuses the open offer. Caller: the side that did not make it.
func (*ConsentContract) Reject(ctx *ledger.Context, request consent.AnswerRequest) (*consent.Consent, error) {
	return decline(ctx, "consent:Reject", consent.TxReject, request)
}

// Withdraw takes the open offer back. Caller: the side that made it.
func (*ConsentContract) Withdraw(ctx *ledger.Context, request consent.AnswerRequest) (*consent.Consent, error) {
	return decline(ctx, "consent:Withdraw", consent.TxWithdraw, request)
}

func decline(ctx *ledger.Context, name, by string, request consent.AnswerRequest) (*consent.Consent, error) {
	n, err := enterConsent(ctx, name, request.Consent)
	if err != nil {
		return nil, err
	}
	if n.consent.Answered(by, request.Offer, n.caller.ID) {
		return &n.consent, n.emit(n.consent, request.Offer)
	}
	next, err := n.consent.Decline(by, request.Offer, n.act)
	if err != nil {
		return nil, err
	}
	return &next, n.save(next, request.Offer)
}

// Revoke ends everything agreed and offered in a consent so far. It reads
// nothing that the grantee can write, so no other transaction can hold it up.
// Caller: the patient.
func (*ConsentContract) Revoke(ctx *ledger.Context, request consent.RevokeRequest) (*consent.Revocation, error) {
	return veto(ctx, "consent:Revoke", request.Consent, func(r consent.Revocation, act consent.Act) (consent.Revocation, bool, error) {
		return consent.Revoke(r, request.Number, act)
	})
}

// MarkEnteredInError says that a consent should never have been; it is final.
// Caller: the patient.
func (*ConsentContract) MarkEnteredInError(ctx *ledger.Context, request consent.ConsentRequest) (*consent.Revocation, error) {
	return veto(ctx, "consent:MarkEnteredInError", request.Consent, consent.MarkEnteredInError)
}

// veto changes the patient's own key of a consent.
func veto(ctx *ledger.Context, name, id string, change func(consent.Revocation, consent.Act) (consent.Revocation, bool, error)) (*consent.Revocation, error) {
	caller, err := ctx.CallerAs(ledger.RolePatient)
	if err != nil {
		return nil, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	parties, err := readParties(ctx, id)
	if err != nil {
		return nil, err
	}
	side, err := parties.SideOf(caller.ID)
	if err != nil {
		return nil, err
	}
	revocation, _, err := ledger.Get[consent.Revocation](ctx, ledger.RevocationKey(id))
	if err != nil {
		return nil, err
	}
	act := consent.Act{By: caller.ID, Side: side, At: max(now, revocation.At), Window: ledger.TimeWindow}
	next, changed, err := change(revocation, act)
	if err != nil {
		return nil, err
	}
	if changed {
		if err := ledger.Put(ctx, ledger.RevocationKey(id), next); err != nil {
			return nil, err
		}
	}
	status := consent.StatusInactive
	if next.EnteredInError {
		status = consent.StatusEnteredInError
	}
	return &next, ctx.Emit(eventOf(parties, status, 0, caller))
}

// PutTerms puts the private terms of an offer into the custodian's grants
// collection, where they must match the digest in the offer; transient field
// "terms", a consent.PrivateTerms. Caller: the patient, or an officer of the
// custodian.
func (*ConsentContract) PutTerms(ctx *ledger.Context, request consent.AnswerRequest) (*consent.Offer, error) {
	caller, err := ctx.CallerAs(ledger.RolePatient, ledger.RoleCustodian)
	if err != nil {
		return nil, err
	}
	var private consent.PrivateTerms
	if err := ledger.Transient(ctx, "terms", &private); err != nil {
		return nil, err
	}
	parties, record, err := readConsented(ctx, request.Consent)
	if err != nil {
		return nil, err
	}
	if err := mayDecide(caller, record); err != nil {
		return nil, err
	}
	offer, err := readOffer(ctx, request.Consent, request.Offer)
	if err != nil {
		return nil, err
	}
	if err := consent.CheckPrivateTerms(private, offer.Terms.Compensation); err != nil {
		return nil, err
	}
	if private.Consent != offer.Consent || private.Offer != offer.Offer || form.Digest(private) != offer.PrivateDigest {
		return nil, codes.Errorf("MF-OFFER-PRIVATE", "the private terms are not those of the digest in offer %d; send the ones the offer was made with", offer.Offer)
	}
	if !record.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; nothing private is kept of it any more", record.Status)
	}
	if err := ledger.PutPrivate(ctx, collections.Grants(record.Custodian), ledger.TermsKey(offer.Consent, offer.Offer), private); err != nil {
		return nil, err
	}
	return &offer, ctx.Emit(eventOf(parties, "", offer.Offer, caller))
}

// ReadTerms gives the private terms of an offer. It is evaluated on the
// custodian's peer: no other has them, so no majority could endorse it. Caller:
// the patient, the grantee, or an officer of the custodian.
func (*ConsentContract) ReadTerms(ctx *ledger.Context, request consent.AnswerRequest) (*consent.PrivateTerms, error) {
	parties, err := enterParties(ctx, request.Consent, false)
	if err != nil {
		return nil, err
	}
	private, found, err := ledger.GetPrivate[consent.PrivateTerms](ctx, collections.Grants(parties.Custodian), ledger.TermsKey(request.Consent, request.Offer))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, codes.Errorf("MF-OFFER-PRIVATE", "the custodian's collection holds no private terms of offer %d; the patient puts them there", request.Offer)
	}
	return &private, nil
}

// Get gives everything the public ledger knows of a consent, as it is now.
// Caller: the patient, the grantee, an officer of the custodian, or an auditor.
func (*ConsentContract) Get(ctx *ledger.Context, request consent.ConsentRequest) (*consent.State, error) {
	if _, err := enterParties(ctx, request.Consent, true); err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	assembled, revocation, err := readConsent(ctx, request.Consent)
	if err != nil {
		return nil, err
	}
	state := consent.State{Consent: assembled.Seen(now, ledger.TimeWindow), Revocation: revocation}
	if state.Offers, err = ledger.List[consent.Offer](ctx, ledger.Offers(request.Consent)); err != nil {
		return nil, err
	}
	if state.Agreements, err = ledger.List[consent.Agreement](ctx, ledger.Agreements(request.Consent)); err != nil {
		return nil, err
	}
	return &state, nil
}

// List gives one page of the consents of a patient, of a grantee or on a record,
// as they are now.
func (*ConsentContract) List(ctx *ledger.Context, request record.PageRequest) (*consent.Page, error) {
	caller, err := ctx.CallerAs(ledger.RolePatient, ledger.RoleRequester, ledger.RoleCustodian, ledger.RoleAuditor)
	if err != nil {
		return nil, err
	}
	list, err := consentList(ctx, caller, request)
	if err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	references, bookmark, err := ledger.Page[ledger.Reference](ctx, list, request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	page := consent.Page{Consents: []consent.Consent{}, Bookmark: bookmark}
	for _, reference := range references {
		assembled, _, err := readConsent(ctx, reference.ID)
		if err != nil {
			return nil, err
		}
		page.Consents = append(page.Consents, assembled.Seen(now, ledger.TimeWindow))
	}
	return &page, nil
}

// consentList finds the list a caller may see.
func consentList(ctx *ledger.Context, caller ledger.Caller, request record.PageRequest) (ledger.Prefix, error) {
	switch request.By {
	case "patient":
		own := caller.Role == ledger.RolePatient && caller.ID == request.Value
		return ledger.ConsentsOfPatient(request.Value), mayList(caller, own)
	case "grantee":
		own := caller.Role == ledger.RoleRequester && caller.ID == request.Value
		return ledger.ConsentsOfGrantee(request.Value), mayList(caller, own)
	case "record":
		rec, err := readRecord(ctx, request.Value)
		if err != nil {
			return ledger.Prefix{}, err
		}
		return ledger.ConsentsOfRecord(request.Value), mayList(caller, mayDecide(caller, rec) == nil)
	default:
		return ledger.Prefix{}, codes.Errorf("MF-LIST-UNKNOWN", "consents are not listed by that; list them by patient, grantee or record")
	}
}

// negotiation is what a transaction of the negotiation finds when it begins.
type negotiation struct {
	ctx     *ledger.Context
	name    string // of the transaction, and so of its event
	caller  ledger.Caller
	act     consent.Act
	consent consent.Consent
}

// enterConsent begins a transaction of one of the sides of a consent.
func enterConsent(ctx *ledger.Context, name, id string) (*negotiation, error) {
	caller, err := ctx.CallerAs(ledger.RolePatient, ledger.RoleRequester)
	if err != nil {
		return nil, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	if err := consent.CheckConsentID(id); err != nil {
		return nil, err
	}
	assembled, _, err := readConsent(ctx, id)
	if err != nil {
		return nil, err
	}
	side, err := sideOf(caller, assembled.Parties)
	if err != nil {
		return nil, err
	}
	act := consent.Act{By: caller.ID, Side: side, At: max(now, assembled.ChangedAt), Window: ledger.TimeWindow}
	return &negotiation{ctx: ctx, name: name, caller: caller, act: act, consent: assembled}, nil
}

// sideOf says which side a caller is on, who must be enrolled as such.
func sideOf(caller ledger.Caller, parties consent.Parties) (consent.Side, error) {
	side, err := parties.SideOf(caller.ID)
	if err != nil {
		return "", err
	}
	role := ledger.RoleRequester
	if side == consent.SidePatient {
		role = ledger.RolePatient
	}
	return side, caller.MustBe(role)
}

// begin writes a new consent.
func (n *negotiation) begin(parties consent.Parties, rec record.Record, request consent.OfferRequest) (*consent.Offer, error) {
	if rec.Status != record.Active {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more consents; ask for another", rec.Status)
	}
	if err := n.checkOffer(rec, request); err != nil {
		return nil, err
	}
	next, offer := consent.Ask(parties, request.Terms, request.PrivateDigest, request.Expires, n.act)
	reference := ledger.Reference{ID: parties.Consent}
	for _, write := range []struct {
		key      ledger.Key
		document any
	}{
		{ledger.ConsentKey(parties.Consent), parties},
		{ledger.OfferKey(parties.Consent, offer.Offer), offer},
		{ledger.ConsentOfPatientKey(parties.Patient, parties.Consent), reference},
		{ledger.ConsentOfGranteeKey(parties.Grantee, parties.Consent), reference},
		{ledger.ConsentOfRecordKey(parties.Record, parties.Consent), reference},
	} {
		if err := ledger.Put(n.ctx, write.key, write.document); err != nil {
			return nil, err
		}
	}
	return &offer, n.save(next, offer.Offer)
}

// checkOffer refuses an offer that no one should be asked to accept, and one for
// a version that is not there.
func (n *negotiation) checkOffer(rec record.Record, request consent.OfferRequest) error {
	if !rec.Status.Accessible() {
		return codes.Errorf("MF-RECORD-STATUS", "the record is %s; nothing more can be agreed on it", rec.Status)
	}
	if err := consent.CheckOffer(request.Terms, request.PrivateDigest, request.Expires, n.act); err != nil {
		return err
	}
	if scope := request.Terms.Scope; scope.Kind == consent.ScopeThis && scope.Version > rec.Versions {
		return codes.Errorf("MF-VERSION-UNKNOWN", "the record has no version %d; see its versions", scope.Version)
	}
	return nil
}

// checkTermsHeld refuses an acceptance while the custodian's collection does not
// hold the private terms that both sides sign.
func (n *negotiation) checkTermsHeld(offer consent.Offer) error {
	if offer.PrivateDigest == "" {
		return nil
	}
	held, err := ledger.PrivateDigest(n.ctx, collections.Grants(n.consent.Custodian), ledger.TermsKey(offer.Consent, offer.Offer))
	if err == nil && held != offer.PrivateDigest {
		err = codes.Errorf("MF-OFFER-PRIVATE", "the custodian's collection does not hold the private terms of offer %d; the patient puts them there before anyone accepts", offer.Offer)
	}
	return err
}

// sameOffer answers an offer that was made before: the same content by the same
// caller is a success.
func (n *negotiation) sameOffer(request consent.OfferRequest) (*consent.Offer, error) {
	offer, err := n.readOffer(request.Offer)
	if err != nil {
		return nil, err
	}
	same := offer.By == n.caller.ID && sameTerms(offer.Terms, request.Terms) &&
		offer.PrivateDigest == request.PrivateDigest && offer.Expires == request.Expires
	if !same {
		return nil, codes.Errorf("MF-OFFER-EXISTS", "there is another offer %d; look at the consent and make offer %d", request.Offer, n.consent.Offers+1)
	}
	return &offer, n.emit(n.consent, offer.Offer)
}

func sameTerms(a, b consent.Terms) bool {
	return a.Scope == b.Scope && a.Period == b.Period && a.Compensation == b.Compensation && slices.Equal(a.Purposes, b.Purposes)
}

// readOffer reads an offer that must be there.
func (n *negotiation) readOffer(number int) (consent.Offer, error) {
	return readOffer(n.ctx, n.consent.Consent, number)
}

func readOffer(ctx *ledger.Context, id string, number int) (consent.Offer, error) {
	offer, found, err := ledger.Get[consent.Offer](ctx, ledger.OfferKey(id, number))
	if err == nil && !found {
		err = codes.Errorf("MF-OFFER-UNKNOWN", "the consent has no offer %d; look at the consent", number)
	}
	return offer, err
}

// save writes where the consent stands now, and sets the transaction's event.
func (n *negotiation) save(next consent.Consent, offer int) error {
	if err := ledger.Put(n.ctx, ledger.NegotiationKey(next.Consent), next.Negotiation); err != nil {
		return err
	}
	return n.emit(next, offer)
}

func (n *negotiation) emit(c consent.Consent, offer int) error {
	return n.ctx.Emit(eventOf(c.Parties, c.Status, offer, n.caller))
}

// eventOf is the event of a consent's transaction.
func eventOf(parties consent.Parties, status consent.Status, offer int, caller ledger.Caller) consent.Event {
	return consent.Event{
		Record: parties.Record, Consent: parties.Consent, Offer: offer, Custodian: parties.Custodian,
		Patient: parties.Patient, Grantee: parties.Grantee, Status: string(status), Actor: caller.ID,
	}
}

// enterParties begins a query about a consent: its sides and officers of its
// custodian may ask, auditors where they are let.
func enterParties(ctx *ledger.Context, id string, auditors bool) (consent.Parties, error) {
	caller, err := ctx.Caller()
	if err != nil {
		return consent.Parties{}, err
	}
	parties, err := readParties(ctx, id)
	if err != nil {
		return parties, err
	}
	_, stranger := sideOf(caller, parties)
	officer := caller.Role == ledger.RoleCustodian && caller.MSP == parties.Custodian
	if stranger == nil || officer || auditors && caller.Role == ledger.RoleAuditor {
		return parties, nil
	}
	return parties, codes.Errorf("MF-CONSENT-DENIED", "%s has no part in this consent; ask its patient, its grantee or its custodian", caller.ID)
}

// readParties reads the parties of a consent that must be there.
func readParties(ctx *ledger.Context, id string) (consent.Parties, error) {
	if err := consent.CheckConsentID(id); err != nil {
		return consent.Parties{}, err
	}
	parties, found, err := ledger.Get[consent.Parties](ctx, ledger.ConsentKey(id))
	if err == nil && !found {
		err = codes.Errorf("MF-CONSENT-UNKNOWN", "there is no consent %s; see the list of consents", id)
	}
	return parties, err
}

// readConsent puts a consent that must be there together.
func readConsent(ctx *ledger.Context, id string) (consent.Consent, consent.Revocation, error) {
	var revocation consent.Revocation
	parties, err := readParties(ctx, id)
	if err != nil {
		return consent.Consent{}, revocation, err
	}
	stands, found, err := ledger.Get[consent.Negotiation](ctx, ledger.NegotiationKey(id))
	if err != nil {
		return consent.Consent{}, revocation, err
	}
	if !found {
		return consent.Consent{}, revocation, codes.Errorf("MF-LEDGER-CORRUPT", "the consent %s has no negotiation; report this", id)
	}
	revocation, _, err = ledger.Get[consent.Revocation](ctx, ledger.RevocationKey(id))
	return consent.Assemble(parties, stands, revocation), revocation, err
}

// readConsented reads the parties of a consent and the record it is on.
func readConsented(ctx *ledger.Context, id string) (consent.Parties, record.Record, error) {
	parties, err := readParties(ctx, id)
	if err != nil {
		return parties, record.Record{}, err
	}
	rec, err := readRecord(ctx, parties.Record)
	return parties, rec, err
}
