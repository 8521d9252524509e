package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
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
	return onConsent(ctx, request, consent.Request)
}

// Counter makes the next offer while one is open. Caller: the patient or the
// grantee.
func (*ConsentContract) Counter(ctx *ledger.Context, request consent.OfferRequest) (*consent.Offer, error) {
	return onConsent(ctx, request, consent.Counter)
}

// Renew makes an offer for the next version of a consent; the version in force
// stays as it is until the offer is accepted. Caller: the patient or the grantee.
func (*ConsentContract) Renew(ctx *ledger.Context, request consent.OfferRequest) (*consent.Offer, error) {
	return onConsent(ctx, request, consent.Renew)
}

// Accept agrees to the open offer, named by number and digest, and so makes a
// new consent version. Caller: the side that did not make the offer.
func (*ConsentContract) Accept(ctx *ledger.Context, request consent.AcceptRequest) (*consent.Agreement, error) {
	return onConsent(ctx, request, consent.Accept)
}

// Reject refuses the open offer. Caller: the side that did not make it.
func (*ConsentContract) Reject(ctx *ledger.Context, request consent.AnswerRequest) (*consent.Consent, error) {
	return onConsent(ctx, request, consent.Reject)
}

// Withdraw takes the open offer back. Caller: the side that made it.
func (*ConsentContract) Withdraw(ctx *ledger.Context, request consent.AnswerRequest) (*consent.Consent, error) {
	return onConsent(ctx, request, consent.Withdraw)
}

// Revoke ends everything agreed and offered in a consent so far. It reads
// nothing that the grantee can write, so no other transaction can hold it up.
// Caller: the patient.
func (*ConsentContract) Revoke(ctx *ledger.Context, request consent.RevokeRequest) (*consent.Revocation, error) {
	return onConsent(ctx, request, consent.Revoke)
}

// MarkEnteredInError says that a consent should never have been; it is final.
// Caller: the patient.
func (*ConsentContract) MarkEnteredInError(ctx *ledger.Context, request consent.ConsentRequest) (*consent.Revocation, error) {
	return onConsent(ctx, request, consent.MarkEnteredInError)
}

// PutTerms puts the private terms of an offer into the custodian's grants
// collection, where they must match the digest in the offer; transient field
// "terms", a consent.SealedTerms. Caller: the patient, or an officer of the
// custodian.
func (*ConsentContract) PutTerms(ctx *ledger.Context, request consent.AnswerRequest) (*consent.Offer, error) {
	var private consent.SealedTerms
	l, call, err := enterPrivate(ctx, "terms", &private, consortium.RolePatient, consortium.RoleCustodian)
	if err != nil {
		return nil, err
	}
	offer, change, err := consent.PutTerms(l, call, request)
	if err != nil {
		return nil, err
	}
	if err := offer.CheckPrivate(private); err != nil {
		return nil, err
	}
	if err := ledger.PutPrivate(ctx, collections.Grants(change.Event.Custodian), ledger.TermsKey(offer.Consent, offer.Offer), private); err != nil {
		return nil, err
	}
	return &offer, ctx.Emit(change.Event)
}

// ReadTerms gives the private terms of an offer. It is evaluated on the
// custodian's peer: no other has them, so no majority could endorse it. The patient and
// the grantee can open them. Caller:
// the patient, the grantee, or an officer of the custodian.
func (*ConsentContract) ReadTerms(ctx *ledger.Context, request consent.AnswerRequest) (*consent.SealedTerms, error) {
	parties, err := enterParties(ctx, request.Consent, false)
	if err != nil {
		return nil, err
	}
	private, found, err := ledger.GetPrivate[consent.SealedTerms](ctx, collections.Grants(parties.Custodian), ledger.TermsKey(request.Consent, request.Offer))
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
	assembled, revocation, err := consent.FindConsent(ledger.Records{Reader: ctx}, request.Consent)
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
	caller, err := ctx.CallerAs(consortium.RolePatient, consortium.RoleRequester, consortium.RoleCustodian, consortium.RoleAuditor)
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
		assembled, _, err := consent.FindConsent(ledger.Records{Reader: ctx}, reference.ID)
		if err != nil {
			return nil, err
		}
		page.Consents = append(page.Consents, assembled.Seen(now, ledger.TimeWindow))
	}
	return &page, nil
}

// consentList finds the list a caller may see.
func consentList(ctx *ledger.Context, caller consortium.Caller, request record.PageRequest) (ledger.Prefix, error) {
	switch request.By {
	case "patient":
		own := caller.Role == consortium.RolePatient && caller.ID == request.Value
		return ledger.ConsentsOfPatient(request.Value), mayList(caller, own)
	case "grantee":
		own := caller.Role == consortium.RoleRequester && caller.ID == request.Value
		return ledger.ConsentsOfGrantee(request.Value), mayList(caller, own)
	case "record":
		rec, err := record.Find(ledger.Records{Reader: ctx}, request.Value)
		if err != nil {
			return ledger.Prefix{}, err
		}
		return ledger.ConsentsOfRecord(request.Value), mayList(caller, rec.MayDecide(caller) == nil)
	default:
		return ledger.Prefix{}, codes.Errorf("MF-LIST-UNKNOWN", "consents are not listed by that; list them by patient, grantee or record")
	}
}

// enterParties begins a query about a consent: its sides and officers of its
// custodian may ask, auditors where they are let.
func enterParties(ctx *ledger.Context, id string, auditors bool) (consent.Parties, error) {
	caller, err := ctx.Caller()
	if err != nil {
		return consent.Parties{}, err
	}
	parties, err := consent.FindParties(ledger.Records{Reader: ctx}, id)
	if err != nil {
		return parties, err
	}
	_, stranger := parties.SideAs(caller)
	officer := caller.Role == consortium.RoleCustodian && caller.MSP == parties.Custodian
	if stranger == nil || officer || auditors && caller.Role == consortium.RoleAuditor {
		return parties, nil
	}
	return parties, codes.Errorf("MF-CONSENT-DENIED", "%s has no part in this consent; ask its patient, its grantee or its custodian", caller.ID)
}
