package gateway

import (
	"context"
	"iter"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

// Consents are the transactions of the contract consent.
type Consents struct{ PrivateCaller }

// Request begins a consent with the caller's first offer. Caller: a requester.
func (c Consents) Request(ctx context.Context, offer consent.AskRequest) (consent.Offer, error) {
	return request(ctx, c, offer)
}

// Counter makes the next offer while one is open. Caller: patient or grantee.
func (c Consents) Counter(ctx context.Context, offer consent.OfferRequest) (consent.Offer, error) {
	return counter(ctx, c, offer)
}

// Renew makes an offer for the next version of a consent. Caller: patient or
// grantee.
func (c Consents) Renew(ctx context.Context, offer consent.OfferRequest) (consent.Offer, error) {
	return renew(ctx, c, offer)
}

// Accept agrees to one exact offer. Caller: the side that did not make it.
func (c Consents) Accept(ctx context.Context, offer consent.AcceptRequest) (consent.Agreement, error) {
	return accept(ctx, c, offer)
}

// Reject refuses the open offer. Caller: the side that did not make it.
func (c Consents) Reject(ctx context.Context, offer consent.AnswerRequest) (consent.Consent, error) {
	return reject(ctx, c, offer)
}

// Withdraw takes the open offer back. Caller: the side that made it.
func (c Consents) Withdraw(ctx context.Context, offer consent.AnswerRequest) (consent.Consent, error) {
	return withdraw(ctx, c, offer)
}

// Revoke ends everything agreed and offered in a consent. Caller: the patient.
func (c Consents) Revoke(ctx context.Context, r consent.RevokeRequest) (consent.Revocation, error) {
	return revoke(ctx, c, r)
}

// MarkEnteredInError says that a consent should never have been; it is final.
// Caller: the patient.
func (c Consents) MarkEnteredInError(ctx context.Context, r consent.ConsentRequest) (consent.Revocation, error) {
	return markEnteredInError(ctx, c, r)
}

// PutTerms puts the sealed private terms of an offer into the custodian's collection.
// Caller: the patient, or an officer of the custodian.
func (c Consents) PutTerms(ctx context.Context, custodian string, terms consent.SealedTerms) (consent.Offer, error) {
	return putTerms(ctx, c, custodian, consent.AnswerRequest{Consent: terms.Consent, Offer: terms.Offer}, terms)
}

// ReadTerms gives the sealed private terms of an offer, from the custodian's peer.
func (c Consents) ReadTerms(ctx context.Context, custodian string, offer consent.AnswerRequest) (consent.SealedTerms, error) {
	return readTerms(ctx, c, custodian, offer)
}

// Get gives everything the public ledger knows of a consent.
func (c Consents) Get(ctx context.Context, r consent.ConsentRequest) (consent.State, error) {
	return getConsent(ctx, c, r)
}

// List gives the consents by patient, grantee or record.
func (c Consents) List(ctx context.Context, by, value string) iter.Seq2[consent.Consent, error] {
	return pages(func(bookmark string) ([]consent.Consent, string, error) {
		page, err := listConsents(ctx, c, record.PageRequest{By: by, Value: value, Bookmark: bookmark, PageSize: pageSize})
		return page.Consents, page.Bookmark, err
	})
}
