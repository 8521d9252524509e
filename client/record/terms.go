package record

import (
	"context"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// SealTerms encrypts an offer's private terms to its two sides: the patient of a record
// and the grantee, "MSP/name", as the directory says. Needs the ledger.
func (c *Client) SealTerms(ctx context.Context, rec, grantee string, terms consent.PrivateTerms) (consent.SealedTerms, error) {
	sealed := consent.SealedTerms{Consent: terms.Consent, Offer: terms.Offer}
	public, err := c.Ledger.Records.Get(ctx, record.RecordRequest{Record: rec})
	if err != nil {
		return sealed, err
	}
	patient, err := c.RecipientOf(ctx, public.Patient, consortium.RolePatient)
	if err != nil {
		return sealed, err
	}
	other, err := c.RecipientOf(ctx, grantee, consortium.RoleRequester)
	if err != nil {
		return sealed, err
	}
	sealed.Sealed, err = envelope.SealDocument(terms, patient, other)
	return sealed, err
}

// Terms reads an offer's private terms from the custodian's peer, and refuses those that
// are not the offer's or do not fit its public ones: nobody else looks at them before
// they are agreed on. Caller: the patient, or the grantee. Needs Key.
func (c *Client) Terms(ctx context.Context, id string, number int) (consent.PrivateTerms, error) {
	state, err := c.Ledger.Consents.Get(ctx, consent.ConsentRequest{Consent: id})
	if err != nil {
		return consent.PrivateTerms{}, err
	}
	if number < 1 || number > len(state.Offers) {
		return consent.PrivateTerms{}, codes.Errorf("MF-OFFER-UNKNOWN", "the consent has no offer %d; look at the consent", number)
	}
	offer := state.Offers[number-1]
	sealed, err := c.Ledger.Consents.ReadTerms(ctx, state.Consent.Custodian, consent.AnswerRequest{Consent: id, Offer: number})
	if err != nil {
		return consent.PrivateTerms{}, err
	}
	if form.Digest(sealed) != offer.PrivateDigest {
		return consent.PrivateTerms{}, codes.Errorf("MF-OFFER-PRIVATE", "what the custodian's peer holds is not the private terms of offer %d; ask the custodian", number)
	}
	terms, err := envelope.OpenDocument[consent.PrivateTerms](sealed.Sealed, c.Key)
	if err != nil {
		return terms, err
	}
	if terms.Consent != id || terms.Offer != number {
		return terms, codes.Errorf("MF-OFFER-PRIVATE", "what is sealed as the private terms of offer %d is another's; reject the offer", number)
	}
	return terms, consent.CheckPrivateTerms(terms, offer.Terms.Compensation)
}
