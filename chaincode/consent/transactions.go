package consent

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
)

// Every transaction of the negotiation is a step here: it reads what is, and gives
// the answer with what is to be written, or the refusal. The contract writes that;
// the audit compares it with what was written.

// Request begins a consent with the caller's first offer. Caller: a requester, who
// becomes the grantee.
func Request(l Ledger, call consortium.Call, request AskRequest) (Offer, Change, error) {
	if err := call.MustBe(consortium.RoleRequester); err != nil {
		return Offer{}, Change{}, err
	}
	if err := CheckConsentID(request.Consent); err != nil {
		return Offer{}, Change{}, err
	}
	parties, found, err := l.Parties(request.Consent)
	if err != nil {
		return Offer{}, Change{}, err
	}
	offer := OfferRequest{Consent: request.Consent, Offer: 1, Terms: request.Terms, PrivateDigest: request.PrivateDigest, Expires: request.Expires}
	if found {
		given, act, err := entered(l, call, request.Consent)
		if err != nil {
			return Offer{}, Change{}, err
		}
		if parties.Record != request.Record {
			return Offer{}, Change{}, codes.Errorf("MF-CONSENT-EXISTS", "there is another consent of that identifier; draw a new one")
		}
		return sameOffer(l, call, given, offer, act)
	}
	rec, err := record.Find(l, request.Record)
	if err != nil {
		return Offer{}, Change{}, err
	}
	if rec.Status != record.Active {
		return Offer{}, Change{}, codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more consents; ask for another", rec.Status)
	}
	parties = Parties{
		Consent: request.Consent, Record: rec.Record, Custodian: rec.Custodian,
		Patient: rec.Patient, Grantee: call.ID, RequestedAt: call.At,
	}
	act := Act{By: call.ID, Side: SideGrantee, At: call.At, Window: call.Window}
	if err := checkOffer(rec, offer, act); err != nil {
		return Offer{}, Change{}, err
	}
	next, first := Ask(parties, offer.Terms, offer.PrivateDigest, offer.Expires, act)
	change := negotiated(call, next, first.Offer)
	change.Parties, change.Offer = &parties, &first
	return first, change, nil
}

// Counter makes the next offer while one is open. Caller: the patient or the
// grantee.
func Counter(l Ledger, call consortium.Call, request OfferRequest) (Offer, Change, error) {
	return propose(l, call, TxCounter, request)
}

// Renew makes an offer for the next version of a consent; the version in force
// stays as it is until the offer is accepted. Caller: the patient or the grantee.
func Renew(l Ledger, call consortium.Call, request OfferRequest) (Offer, Change, error) {
	return propose(l, call, TxRenew, request)
}

func propose(l Ledger, call consortium.Call, by string, request OfferRequest) (Offer, Change, error) {
	given, act, err := entered(l, call, request.Consent)
	if err != nil {
		return Offer{}, Change{}, err
	}
	if request.Offer >= 1 && request.Offer <= given.Offers {
		return sameOffer(l, call, given, request, act)
	}
	rec, err := record.Find(l, given.Record)
	if err != nil {
		return Offer{}, Change{}, err
	}
	if err := checkOffer(rec, request, act); err != nil {
		return Offer{}, Change{}, err
	}
	next, offer, err := given.Propose(by, request.Offer, request.Terms, request.PrivateDigest, request.Expires, act)
	if err != nil {
		return Offer{}, Change{}, err
	}
	change := negotiated(call, next, offer.Offer)
	change.Offer = &offer
	return offer, change, nil
}

// Accept agrees to the open offer, named by number and digest, and so makes a new
// consent version. The same again, digest and all, is a success. Caller: the side
// that did not make the offer.
func Accept(l Ledger, call consortium.Call, request AcceptRequest) (Agreement, Change, error) {
	given, act, err := entered(l, call, request.Consent)
	if err != nil {
		return Agreement{}, Change{}, err
	}
	if given.Answered(TxAccept, request.Offer, call.ID) && given.Agreement.OfferDigest == request.Digest {
		return *given.Agreement, repeated(call, given, request.Offer), nil
	}
	offer, err := findOffer(l, given.Consent, request.Offer)
	if err != nil {
		return Agreement{}, Change{}, err
	}
	rec, err := record.Find(l, given.Record)
	if err != nil {
		return Agreement{}, Change{}, err
	}
	if !rec.Status.Accessible() {
		return Agreement{}, Change{}, codes.Errorf("MF-RECORD-STATUS", "the record is %s; nothing more can be agreed on it", rec.Status)
	}
	next, err := given.Accept(offer, request.Digest, act)
	if err != nil {
		return Agreement{}, Change{}, err
	}
	if err := checkTermsHeld(l, given.Parties, offer); err != nil {
		return Agreement{}, Change{}, err
	}
	change := negotiated(call, next, offer.Offer)
	change.Agreement = next.Agreement
	return *next.Agreement, change, nil
}

// Reject refuses the open offer. Caller: the side that did not make it.
func Reject(l Ledger, call consortium.Call, request AnswerRequest) (Consent, Change, error) {
	return decline(l, call, TxReject, request)
}

// Withdraw takes the open offer back. Caller: the side that made it.
func Withdraw(l Ledger, call consortium.Call, request AnswerRequest) (Consent, Change, error) {
	return decline(l, call, TxWithdraw, request)
}

func decline(l Ledger, call consortium.Call, by string, request AnswerRequest) (Consent, Change, error) {
	given, act, err := entered(l, call, request.Consent)
	if err != nil {
		return given, Change{}, err
	}
	if given.Answered(by, request.Offer, call.ID) {
		return given, repeated(call, given, request.Offer), nil
	}
	next, err := given.Decline(by, request.Offer, act)
	return next, negotiated(call, next, request.Offer), err
}

// Revoke ends everything agreed and offered in a consent so far. It reads nothing
// that the grantee can write, so no other transaction can hold it up. Caller: the
// patient.
func Revoke(l Ledger, call consortium.Call, request RevokeRequest) (Revocation, Change, error) {
	return veto(l, call, request.Consent, func(r Revocation, act Act) (Revocation, bool, error) {
		return r.Revoke(request.Number, act)
	})
}

// MarkEnteredInError says that a consent should never have been; it is final.
// Caller: the patient.
func MarkEnteredInError(l Ledger, call consortium.Call, request ConsentRequest) (Revocation, Change, error) {
	return veto(l, call, request.Consent, Revocation.MarkEnteredInError)
}

// veto changes the patient's own document of a consent.
func veto(l Ledger, call consortium.Call, id string, change func(Revocation, Act) (Revocation, bool, error)) (Revocation, Change, error) {
	if err := call.MustBe(consortium.RolePatient); err != nil {
		return Revocation{}, Change{}, err
	}
	parties, err := FindParties(l, id)
	if err != nil {
		return Revocation{}, Change{}, err
	}
	side, err := parties.SideOf(call.ID)
	if err != nil {
		return Revocation{}, Change{}, err
	}
	revocation, _, err := l.Revocation(id)
	if err != nil {
		return Revocation{}, Change{}, err
	}
	next, changed, err := change(revocation, Act{By: call.ID, Side: side, At: max(call.At, revocation.At), Window: call.Window})
	if err != nil {
		return Revocation{}, Change{}, err
	}
	status := StatusInactive
	if next.EnteredInError {
		status = StatusEnteredInError
	}
	made := Change{Consent: id, Event: parties.event(call, status, 0)}
	if changed {
		made.Revocation = &next
	}
	return next, made, nil
}

// PutTerms lets the private terms of an offer into the custodian's collection; see
// Offer.CheckPrivate for what they must be. Caller: the patient, or an officer of
// the custodian.
func PutTerms(l Ledger, call consortium.Call, request AnswerRequest) (Offer, Change, error) {
	parties, rec, err := findDecided(l, call, request.Consent)
	if err != nil {
		return Offer{}, Change{}, err
	}
	offer, err := findOffer(l, request.Consent, request.Offer)
	if err != nil {
		return Offer{}, Change{}, err
	}
	if !rec.Status.Accessible() {
		return Offer{}, Change{}, codes.Errorf("MF-RECORD-STATUS", "the record is %s; nothing private is kept of it any more", rec.Status)
	}
	return offer, Change{Consent: parties.Consent, Event: parties.event(call, "", offer.Offer)}, nil
}

// CheckPrivate refuses sealed terms that are not those of an offer.
func (o Offer) CheckPrivate(private SealedTerms) error {
	if err := record.CheckSealed(private.Sealed); err != nil {
		return err
	}
	if private.Consent != o.Consent || private.Offer != o.Offer || form.Digest(private) != o.PrivateDigest {
		return codes.Errorf("MF-OFFER-PRIVATE", "the private terms are not those of the digest in offer %d; send the ones the offer was made with", o.Offer)
	}
	return nil
}

// entered puts the consent together that one of its sides acts on.
func entered(l Ledger, call consortium.Call, id string) (Consent, Act, error) {
	if err := call.MustBe(consortium.RolePatient, consortium.RoleRequester); err != nil {
		return Consent{}, Act{}, err
	}
	given, _, err := FindConsent(l, id)
	if err != nil {
		return given, Act{}, err
	}
	side, err := given.SideAs(call.Caller)
	return given, Act{By: call.ID, Side: side, At: max(call.At, given.ChangedAt), Window: call.Window}, err
}

// SideAs says which side a caller is on, who must be enrolled as such.
func (p Parties) SideAs(caller consortium.Caller) (Side, error) {
	side, err := p.SideOf(caller.ID)
	if err != nil {
		return "", err
	}
	role := consortium.RoleRequester
	if side == SidePatient {
		role = consortium.RolePatient
	}
	return side, caller.MustBe(role)
}

// checkOffer refuses an offer that no one should be asked to accept, and one for a
// version that is not there.
func checkOffer(rec record.Record, request OfferRequest, act Act) error {
	if !rec.Status.Accessible() {
		return codes.Errorf("MF-RECORD-STATUS", "the record is %s; nothing more can be agreed on it", rec.Status)
	}
	if err := CheckOffer(request.Terms, request.PrivateDigest, request.Expires, act); err != nil {
		return err
	}
	if scope := request.Terms.Scope; scope.Kind == ScopeThis && scope.Version > rec.Versions {
		return codes.Errorf("MF-VERSION-UNKNOWN", "the record has no version %d; see its versions", scope.Version)
	}
	return nil
}

// checkTermsHeld refuses an acceptance while the custodian's collection does not
// hold the private terms that both sides sign.
func checkTermsHeld(l Ledger, parties Parties, offer Offer) error {
	if offer.PrivateDigest == "" {
		return nil
	}
	held, err := l.HeldTerms(parties.Custodian, offer.Consent, offer.Offer)
	if err == nil && held != offer.PrivateDigest {
		err = codes.Errorf("MF-OFFER-PRIVATE", "the custodian's collection does not hold the private terms of offer %d; the patient puts them there before anyone accepts", offer.Offer)
	}
	return err
}

// sameOffer answers an offer that was made before: the same content by the same
// caller is a success.
func sameOffer(l Ledger, call consortium.Call, given Consent, request OfferRequest, act Act) (Offer, Change, error) {
	offer, err := findOffer(l, given.Consent, request.Offer)
	if err != nil {
		return Offer{}, Change{}, err
	}
	same := offer.By == act.By && offer.Terms.equal(request.Terms) &&
		offer.PrivateDigest == request.PrivateDigest && offer.Expires == request.Expires
	if !same {
		return Offer{}, Change{}, codes.Errorf("MF-OFFER-EXISTS", "there is another offer %d; look at the consent and make offer %d", request.Offer, given.Offers+1)
	}
	return offer, repeated(call, given, offer.Offer), nil
}

func (t Terms) equal(other Terms) bool {
	return t.Scope == other.Scope && t.Period == other.Period && t.Compensation == other.Compensation && slices.Equal(t.Purposes, other.Purposes)
}

// negotiated is a change of where the consent stands.
func negotiated(call consortium.Call, next Consent, offer int) Change {
	return Change{Consent: next.Consent, Negotiation: &next.Negotiation, Event: next.event(call, next.Status, offer)}
}

// repeated is a change of nothing.
func repeated(call consortium.Call, given Consent, offer int) Change {
	return Change{Consent: given.Consent, Event: given.event(call, given.Status, offer)}
}
