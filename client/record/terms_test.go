package record_test

import (
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/record"
)

// The two sides read an offer's private terms, and nobody else, who may hold all that the
// custodian's peer does. What is not the offer's, or does not fit it, is told before it is
// agreed on.
func TestPrivateTermsAreForTheTwoSides(t *testing.T) {
	money := consent.PrivateTerms{Consent: consentID, Offer: 1, Amount: 5000, Currency: "EUR"}
	for name, c := range map[string]struct {
		spoil func(w *world, seal func(consent.PrivateTerms) consent.SealedTerms)
		code  codes.Code
	}{
		"as offered": {func(*world, func(consent.PrivateTerms) consent.SealedTerms) {}, ""},
		"other terms than the offer's": {func(w *world, seal func(consent.PrivateTerms) consent.SealedTerms) {
			w.terms = seal(consent.PrivateTerms{Consent: consentID, Offer: 1, Amount: 1, Currency: "EUR"})
		}, "MF-OFFER-PRIVATE"},
		"offered without money": {func(w *world, seal func(consent.PrivateTerms) consent.SealedTerms) {
			w.terms = seal(consent.PrivateTerms{Consent: consentID, Offer: 1, Care: "a place in the trial"})
			w.offers[0].PrivateDigest = form.Digest(w.terms)
		}, "MF-PRIVATE-INVALID"},
		"those of another offer": {func(w *world, seal func(consent.PrivateTerms) consent.SealedTerms) {
			another := money
			another.Offer = 2
			w.terms = seal(another)
			w.offers[0].PrivateDigest = form.Digest(w.terms)
		}, "MF-OFFER-PRIVATE"},
		"no such offer": {func(w *world, _ func(consent.PrivateTerms) consent.SealedTerms) { w.offers = nil }, "MF-OFFER-UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.registered(t)
			w.publish("patient", w.record.Patient, w.patient.Recipient())
			seal := func(terms consent.PrivateTerms) consent.SealedTerms {
				sealed, err := w.as(consortium.RoleRequester).SealTerms(t.Context(), w.record.Record, insurer, terms)
				if err != nil {
					t.Fatal(err)
				}
				return sealed
			}
			w.terms = seal(money)
			w.offers = []consent.Offer{{Consent: consentID, Offer: 1, Terms: consent.Terms{Compensation: consent.CompensationMoney}, PrivateDigest: form.Digest(w.terms)}}
			c.spoil(w, seal)
			for _, side := range []*record.Client{w.as(consortium.RolePatient), w.as(consortium.RoleRequester)} {
				read, err := side.Terms(t.Context(), consentID, 1)
				if c.code != "" {
					wantCode(t, err, c.code)
				} else if err != nil || read != money {
					t.Errorf("%s reads %+v, %v", side.Role, read, err)
				}
			}
			for _, key := range []*envelope.Identity{w.officer, w.hospital} {
				_, err := envelope.OpenDocument[consent.PrivateTerms](w.terms.Sealed, key)
				wantCode(t, err, "MF-ENVELOPE-NOT-RECIPIENT")
			}
		})
	}
}
