package audit

import (
	"encoding/json"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// follows gives the writes on consents and accesses that the rules of package
// consent make of a transaction, none where it repeats an earlier one, or the
// rules' refusal.
func (r *review) follows() ([]expected, error) {
	switch r.function {
	case "access:RequestAccess":
		return decided(r, r.access)
	case "consent:Request":
		return decided(r, r.request)
	case "consent:Counter":
		return decided(r, r.propose(consent.TxCounter))
	case "consent:Renew":
		return decided(r, r.propose(consent.TxRenew))
	case "consent:Accept":
		return decided(r, r.accept)
	case "consent:Reject":
		return decided(r, r.decline(consent.TxReject))
	case "consent:Withdraw":
		return decided(r, r.decline(consent.TxWithdraw))
	case "consent:Revoke":
		return decided(r, r.revoke)
	case "consent:MarkEnteredInError":
		return decided(r, r.markEnteredInError)
	default:
		return nil, nil
	}
}

// decided reads the transaction's argument for a rule.
func decided[T any](r *review, rule func(T) ([]expected, error)) ([]expected, error) {
	var request T
	if err := json.Unmarshal(r.argument, &request); err != nil {
		return nil, codes.Wrapf("MF-ARGUMENT-JSON", "the argument can't be read: %w; look at the block", err)
	}
	return rule(request)
}

// access decides a use of a consent: permit or denial, and why.
func (r *review) access(request consent.AccessRequest) ([]expected, error) {
	if _, repeated := prior[consent.Access](r, ledger.AccessKey(request.Access)); repeated {
		return nil, nil
	}
	if err := r.caller.MustBe(ledger.RoleRequester); err != nil {
		return nil, err
	}
	rec, _ := prior[record.Record](r, ledger.RecordKey(request.Record))
	given, _, _ := r.consent(request.Consent)
	access := consent.Decide(given, rec, request, r.caller.ID, r.txID, r.now, ledger.TimeWindow)
	writes := []expected{{ledger.AccessKey(access.Access), access}}
	for _, key := range ledger.AccessListKeys(access.Access, access.Patient, access.Record, access.Grantee, access.At) {
		writes = append(writes, expected{key, access})
	}
	return writes, nil
}

// consent puts a consent together as it is before the transaction.
func (r *review) consent(id string) (consent.Consent, consent.Revocation, bool) {
	parties, found := prior[consent.Parties](r, ledger.ConsentKey(id))
	stands, _ := prior[consent.Negotiation](r, ledger.NegotiationKey(id))
	revocation, _ := prior[consent.Revocation](r, ledger.RevocationKey(id))
	if !found {
		return consent.Consent{}, revocation, false
	}
	return consent.Assemble(parties, stands, revocation), revocation, true
}

// side is who acts on a consent and when.
func (r *review) side(parties consent.Parties, since int64) (consent.Act, error) {
	side, err := parties.SideOf(r.caller.ID)
	if err != nil {
		return consent.Act{}, err
	}
	role := ledger.RoleRequester
	if side == consent.SidePatient {
		role = ledger.RolePatient
	}
	return consent.Act{By: r.caller.ID, Side: side, At: max(r.now, since), Window: ledger.TimeWindow}, r.caller.MustBe(role)
}

// entered is a consent that one of its sides acts on.
func (r *review) entered(id string) (consent.Consent, consent.Act, error) {
	given, _, found := r.consent(id)
	if !found {
		return given, consent.Act{}, codes.Errorf("MF-CONSENT-UNKNOWN", "there is no consent %s; look at the block", id)
	}
	act, err := r.side(given.Parties, given.ChangedAt)
	return given, act, err
}

// request begins a consent.
func (r *review) request(request consent.AskRequest) ([]expected, error) {
	if _, repeated := prior[consent.Parties](r, ledger.ConsentKey(request.Consent)); repeated {
		return nil, nil
	}
	if err := r.caller.MustBe(ledger.RoleRequester); err != nil {
		return nil, err
	}
	rec, _ := prior[record.Record](r, ledger.RecordKey(request.Record))
	if rec.Status != record.Active {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record takes no consents; look at the block")
	}
	act := consent.Act{By: r.caller.ID, Side: consent.SideGrantee, At: r.now, Window: ledger.TimeWindow}
	if err := offerable(rec, request.Terms, request.PrivateDigest, request.Expires, act); err != nil {
		return nil, err
	}
	parties := consent.Parties{
		Consent: request.Consent, Record: rec.Record, Custodian: rec.Custodian, Patient: rec.Patient, Grantee: r.caller.ID, RequestedAt: r.now,
	}
	next, offer := consent.Ask(parties, request.Terms, request.PrivateDigest, request.Expires, act)
	reference := ledger.Reference{ID: parties.Consent}
	return []expected{
		{ledger.ConsentKey(parties.Consent), parties},
		{ledger.OfferKey(parties.Consent, offer.Offer), offer},
		{ledger.ConsentOfPatientKey(parties.Patient, parties.Consent), reference},
		{ledger.ConsentOfGranteeKey(parties.Grantee, parties.Consent), reference},
		{ledger.ConsentOfRecordKey(parties.Record, parties.Consent), reference},
		{ledger.NegotiationKey(parties.Consent), next.Negotiation},
	}, nil
}

// offerable refuses an offer that no one should be asked to accept.
func offerable(rec record.Record, terms consent.Terms, privateDigest string, expires int64, act consent.Act) error {
	if !rec.Status.Accessible() {
		return codes.Errorf("MF-RECORD-STATUS", "the record is %s; look at the block", rec.Status)
	}
	if terms.Scope.Kind == consent.ScopeThis && terms.Scope.Version > rec.Versions {
		return codes.Errorf("MF-VERSION-UNKNOWN", "the record has no version %d; look at the block", terms.Scope.Version)
	}
	return consent.CheckOffer(terms, privateDigest, expires, act)
}

// propose makes the next offer.
func (r *review) propose(by string) func(consent.OfferRequest) ([]expected, error) {
	return func(request consent.OfferRequest) ([]expected, error) {
		given, act, err := r.entered(request.Consent)
		if err != nil || request.Offer >= 1 && request.Offer <= given.Offers {
			return nil, err
		}
		rec, _ := prior[record.Record](r, ledger.RecordKey(given.Record))
		if err := offerable(rec, request.Terms, request.PrivateDigest, request.Expires, act); err != nil {
			return nil, err
		}
		next, offer, err := given.Propose(by, request.Offer, request.Terms, request.PrivateDigest, request.Expires, act)
		if err != nil {
			return nil, err
		}
		return []expected{{ledger.OfferKey(next.Consent, offer.Offer), offer}, {ledger.NegotiationKey(next.Consent), next.Negotiation}}, nil
	}
}

// accept makes a consent version of the open offer.
func (r *review) accept(request consent.AcceptRequest) ([]expected, error) {
	given, act, err := r.entered(request.Consent)
	if err != nil || given.Answered(consent.TxAccept, request.Offer, r.caller.ID) {
		return nil, err
	}
	rec, _ := prior[record.Record](r, ledger.RecordKey(given.Record))
	if !rec.Status.Accessible() {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s; look at the block", rec.Status)
	}
	offer, _ := prior[consent.Offer](r, ledger.OfferKey(request.Consent, request.Offer))
	next, err := given.Accept(offer, request.Digest, act)
	if err != nil {
		return nil, err
	}
	if offer.PrivateDigest != "" && !r.holds(collections.Grants(given.Custodian), ledger.TermsKey(offer.Consent, offer.Offer), offer.PrivateDigest) {
		return nil, codes.Errorf("MF-OFFER-PRIVATE", "the custodian's collection does not hold the private terms; look at the block")
	}
	return []expected{
		{ledger.AgreementKey(next.Consent, next.Agreement.Version), next.Agreement},
		{ledger.NegotiationKey(next.Consent), next.Negotiation},
	}, nil
}

// decline ends the open offer without an agreement.
func (r *review) decline(by string) func(consent.AnswerRequest) ([]expected, error) {
	return func(request consent.AnswerRequest) ([]expected, error) {
		given, act, err := r.entered(request.Consent)
		if err != nil || given.Answered(by, request.Offer, r.caller.ID) {
			return nil, err
		}
		next, err := given.Decline(by, request.Offer, act)
		if err != nil {
			return nil, err
		}
		return []expected{{ledger.NegotiationKey(request.Consent), next.Negotiation}}, nil
	}
}

func (r *review) revoke(request consent.RevokeRequest) ([]expected, error) {
	return r.veto(request.Consent, func(before consent.Revocation, act consent.Act) (consent.Revocation, bool, error) {
		return consent.Revoke(before, request.Number, act)
	})
}

func (r *review) markEnteredInError(request consent.ConsentRequest) ([]expected, error) {
	return r.veto(request.Consent, consent.MarkEnteredInError)
}

// veto changes the patient's own document of a consent.
func (r *review) veto(id string, change func(consent.Revocation, consent.Act) (consent.Revocation, bool, error)) ([]expected, error) {
	given, revocation, found := r.consent(id)
	if !found {
		return nil, codes.Errorf("MF-CONSENT-UNKNOWN", "there is no consent %s; look at the block", id)
	}
	act, err := r.side(given.Parties, revocation.At)
	if err != nil {
		return nil, err
	}
	next, changed, err := change(revocation, act)
	if err != nil || !changed {
		return nil, err
	}
	return []expected{{ledger.RevocationKey(id), next}}, nil
}

// countConsents counts what the replayed state holds of records and consents.
func countConsents(s *state, summary *Summary) error {
	for chaincode := range s.public {
		if chaincode == lifecycleNamespace {
			continue
		}
		d := documents{s, chaincode}
		for object, count := range map[string]*int{"record": &summary.Records, "consent": &summary.Consents, "agreement": &summary.Agreements} {
			if err := d.under(func([]string, []byte) error { *count++; return nil }, object); err != nil {
				return err
			}
		}
		accesses, err := list[consent.Access](d, "access")
		if err != nil {
			return err
		}
		for _, access := range accesses {
			if access.Decision == consent.Permit {
				summary.Accesses.Permits++
			} else {
				summary.Accesses.Denials++
			}
		}
	}
	return nil
}
