// Package consent is the patient's consent to the use of health records as pure
// rules: the negotiation's table of moves, the terms, and Permits, which decides
// every access. It knows neither Fabric nor a clock: a rule is a function of its
// arguments. Salim & Park sections II.A, II.C and II.E give the flows; HL7 FHIR's
// Consent the words.
package consent

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// Parties are who and what a consent is between. They are written once.
type Parties struct {
	Consent     string `json:"consent"` // opaque identifier, see CheckConsentID
	Record      string `json:"record"`
	Custodian   string `json:"custodian"` // FHIR's controller: MSP identifier of the hospital
	Patient     string `json:"patient"`   // FHIR's grantor: "MSP/pseudonym"
	Grantee     string `json:"grantee"`   // FHIR's grantee: "MSP/name" of the third party
	RequestedAt int64  `json:"requested_at"`
}

// SideOf says which side an identity is on, or refuses.
func (p Parties) SideOf(id string) (Side, error) {
	switch id {
	case p.Patient:
		return SidePatient, nil
	case p.Grantee:
		return SideGrantee, nil
	default:
		return "", codes.Errorf("MF-CONSENT-DENIED", "%s is neither the patient nor the grantee of this consent; only they negotiate it", id)
	}
}

// Negotiation is where a consent stands. Both sides write it, each with its own
// signature, and never more of it than the table allows.
type Negotiation struct {
	Status      Status     `json:"status"`
	Reason      Reason     `json:"reason"`      // why it is inactive, "" otherwise
	Offers      int        `json:"offers"`      // number of the newest offer
	Open        int        `json:"open"`        // offer that awaits an answer, 0 for none
	OpenBy      Side       `json:"open_by"`     // side that made it, "" for none
	Closed      Closing    `json:"closed"`      // how the last answered offer ended
	Revocations int        `json:"revocations"` // the patient's revocations before the last change
	Agreement   *Agreement `json:"agreement,omitempty" metadata:",optional"`
	ChangedAt   int64      `json:"changed_at"`
	ChangedBy   string     `json:"changed_by"`
}

// Closing is how an offer ended. It makes the same answer twice a success.
type Closing struct {
	Offer int    `json:"offer"` // 0: none has been answered
	By    string `json:"by"`
	How   string `json:"how"` // transaction: Accept, Reject or Withdraw
}

// Revocation is the patient's own key of a consent. Only the patient writes it,
// and no move of the other side can conflict with it: a revocation never waits.
// Every offer and agreement remembers the number it was made under; a higher
// number voids it.
type Revocation struct {
	Number         int    `json:"number"` // how often the patient revoked
	EnteredInError bool   `json:"entered_in_error"`
	At             int64  `json:"at"`
	By             string `json:"by"`
}

// Consent is a consent as it stands: parties and negotiation under the patient's
// revocations. Make it with Assemble.
type Consent struct {
	Parties
	Negotiation
}

// Decision is what a consent, or the ledger on an access, says.
type Decision string

// The decisions, FHIR's words.
const (
	Permit Decision = "permit"
	Deny   Decision = "deny"
)

// Agreement is one consent version: terms that both sides signed. It is written
// once and kept when a renewal follows it.
type Agreement struct {
	Consent     string   `json:"consent"`
	Version     int      `json:"version"` // consent version, from 1
	Offer       int      `json:"offer"`
	OfferDigest string   `json:"offer_digest"`
	Decision    Decision `json:"decision"`
	Terms       Terms    `json:"terms"`
	Revocations int      `json:"revocations"` // number it was made under
	OfferedBy   string   `json:"offered_by"`
	AcceptedBy  string   `json:"accepted_by"`
	AcceptedAt  int64    `json:"accepted_at"`
}

// Offer is one side's proposed terms. It is written once.
type Offer struct {
	Consent       string `json:"consent"`
	Record        string `json:"record"`
	Offer         int    `json:"offer"` // from 1, without gaps
	Side          Side   `json:"side"`
	By            string `json:"by"`
	Terms         Terms  `json:"terms"`
	PrivateDigest string `json:"private_digest"` // Digest of the PrivateTerms, "" for none
	Expires       int64  `json:"expires"`        // Unix seconds after which it can't be accepted, 0 for never
	Revocations   int    `json:"revocations"`    // number it was made under
	MadeAt        int64  `json:"made_at"`
}

// Digest names one exact offer: what an acceptance signs.
func (o Offer) Digest() string { return form.Digest(o) }

// Act is who does something when. Window is how far At may be from the real time.
type Act struct {
	By     string
	Side   Side
	At     int64
	Window int64
}

// Assemble puts a consent together from its three documents.
func Assemble(p Parties, n Negotiation, r Revocation) Consent {
	switch {
	case r.EnteredInError:
		n.Status, n.Reason, n.Open, n.OpenBy = StatusEnteredInError, "", 0, ""
	case r.Number > n.Revocations && n.Status != StatusRejected:
		n.Status, n.Reason, n.Open, n.OpenBy = StatusInactive, ReasonRevoked, 0, ""
	}
	if r.Number > n.Revocations || r.EnteredInError {
		n.Revocations = r.Number
		if r.At >= n.ChangedAt {
			n.ChangedAt, n.ChangedBy = r.At, r.By
		}
	}
	return Consent{p, n}
}

// Seen gives a consent as it is at a time: an active one whose period has ended
// is inactive.
func (c Consent) Seen(at, window int64) Consent {
	if c.Status == StatusActive && c.Agreement != nil && reached(c.Agreement.Terms.Period.Until, at, window) {
		c.Status, c.Reason = StatusInactive, ReasonExpired
	}
	return c
}

// CheckOffer refuses an offer that no one should be asked to accept.
func CheckOffer(terms Terms, privateDigest string, expires int64, act Act) error {
	if err := CheckTerms(terms, act.At, act.Window); err != nil {
		return err
	}
	switch {
	case privateDigest != "" && !form.IsHex32(privateDigest):
		return codes.Errorf("MF-OFFER-PRIVATE", "the private digest is not 64 lower-case hexadecimal digits; send the digest of the private terms, or none")
	case privateDigest == "" && terms.Compensation != CompensationNone:
		return codes.Errorf("MF-OFFER-PRIVATE", "the compensation is %s and there are no private terms that say what exactly; send their digest", terms.Compensation)
	case expires < 0:
		return codes.Errorf("MF-OFFER-EXPIRED", "the offer's expiry is before all time; send Unix seconds, or 0 for none")
	case expires != 0 && reached(expires, act.At, act.Window):
		return codes.Errorf("MF-OFFER-EXPIRED", "the offer would expire within the peers' time window of %d seconds; choose a later expiry, or none", act.Window)
	}
	return nil
}

// Ask begins a consent with the grantee's first offer. CheckOffer comes before it.
func Ask(p Parties, terms Terms, privateDigest string, expires int64, act Act) (Consent, Offer) {
	return Consent{Parties: p}.offer(StatusProposed, terms, privateDigest, expires, act)
}

// Propose makes the next offer, by Counter while one is open or by Renew while
// none is. CheckOffer comes before it.
func (c Consent) Propose(by string, number int, terms Terms, privateDigest string, expires int64, act Act) (Consent, Offer, error) {
	move, err := c.move(by, act)
	if err != nil {
		return c, Offer{}, err
	}
	switch {
	case by == TxCounter && c.Open == 0:
		return c, Offer{}, codes.Errorf("MF-OFFER-NONE", "no offer is open; renew the consent, or request another")
	case by == TxRenew && c.Open != 0:
		return c, Offer{}, codes.Errorf("MF-OFFER-OPEN", "offer %d is open; answer it, or counter it", c.Open)
	case by == TxRenew && c.Agreement == nil:
		return c, Offer{}, codes.Errorf("MF-CONSENT-NEVER-AGREED", "nothing was ever agreed on in this consent; request another")
	case number != c.Offers+1:
		return c, Offer{}, codes.Errorf("MF-OFFER-NUMBER", "the newest offer is %d; make offer %d", c.Offers, c.Offers+1)
	}
	next, offer := c.offer(move.To, terms, privateDigest, expires, act)
	return next, offer, nil
}

// offer writes the next offer into a consent.
func (c Consent) offer(to Status, terms Terms, privateDigest string, expires int64, act Act) (Consent, Offer) {
	c = c.changed(to, act)
	c.Offers++
	c.Open, c.OpenBy = c.Offers, act.Side
	offer := Offer{
		Consent: c.Consent, Record: c.Record, Offer: c.Offers, Side: act.Side, By: act.By,
		Terms: terms, PrivateDigest: privateDigest, Expires: expires, Revocations: c.Revocations, MadeAt: act.At,
	}
	return c, offer
}

// Accept agrees to the open offer, which the caller names by number and digest:
// the terms can't change under the signature. It makes a new consent version.
func (c Consent) Accept(offer Offer, digest string, act Act) (Consent, error) {
	move, err := c.answer(TxAccept, offer.Offer, act)
	if err != nil {
		return c, err
	}
	switch {
	case offer.Digest() != digest:
		return c, codes.Errorf("MF-OFFER-DIGEST", "the digest is not that of offer %d; look at the offer again and accept what you see", offer.Offer)
	case offer.Revocations != c.Revocations:
		return c, codes.Errorf("MF-OFFER-CLOSED", "offer %d is from before the patient's revocation; renew the consent", offer.Offer)
	case offer.Expires != 0 && reached(offer.Expires, act.At, act.Window):
		return c, codes.Errorf("MF-OFFER-EXPIRED", "offer %d has expired, or will within the peers' time window of %d seconds; ask for a new one", offer.Offer, act.Window)
	case reached(offer.Terms.Period.Until, act.At, act.Window):
		return c, codes.Errorf("MF-OFFER-EXPIRED", "the period of offer %d is over, or will be within the peers' time window of %d seconds; counter it with a later end", offer.Offer, act.Window)
	}
	version := 1
	if c.Agreement != nil {
		version = c.Agreement.Version + 1
	}
	c = c.close(move, act)
	c.Agreement = &Agreement{
		Consent: c.Consent, Version: version, Offer: offer.Offer, OfferDigest: digest, Decision: Permit,
		Terms: offer.Terms, Revocations: c.Revocations, OfferedBy: offer.By, AcceptedBy: act.By, AcceptedAt: act.At,
	}
	return c, nil
}

// Decline ends the open offer: Reject by the other side, Withdraw by its maker.
func (c Consent) Decline(by string, number int, act Act) (Consent, error) {
	move, err := c.answer(by, number, act)
	if err != nil {
		return c, err
	}
	c = c.close(move, act)
	if move.From == StatusProposed && move.To == StatusInactive {
		c.Reason = ReasonWithdrawn
	}
	return c, nil
}

// Answered reports whether an identity has given this answer to this offer before.
func (c Consent) Answered(by string, number int, id string) bool {
	return c.Closed == Closing{Offer: number, By: id, How: by}
}

// Revoke gives the patient's next revocation. It is not judged by what the negotiation
// says, so that nothing can stand in its way. The second result is false when this
// revocation has been made before.
func (r Revocation) Revoke(number int, act Act) (Revocation, bool, error) {
	switch {
	case act.Side != SidePatient:
		return r, false, codes.Errorf("MF-CONSENT-DENIED", "%s is not the patient; only the patient revokes", act.By)
	case number == r.Number && number > 0:
		return r, false, nil
	case number != r.Number+1:
		return r, false, codes.Errorf("MF-REVOCATION-NUMBER", "the patient has revoked %d times; send %d as the number", r.Number, r.Number+1)
	}
	r.Number, r.At, r.By = number, act.At, act.By
	return r, true, nil
}

// MarkEnteredInError gives the patient's word that the consent should never have been: it
// is final. The second result is false when it was given before.
func (r Revocation) MarkEnteredInError(act Act) (Revocation, bool, error) {
	if act.Side != SidePatient {
		return r, false, codes.Errorf("MF-CONSENT-DENIED", "%s is not the patient; only the patient marks a consent entered in error", act.By)
	}
	if r.EnteredInError {
		return r, false, nil
	}
	r.EnteredInError, r.At, r.By = true, act.At, act.By
	return r, true, nil
}

// move finds the table's line for a transaction, or refuses.
func (c Consent) move(by string, act Act) (Move, error) {
	move, ok := FindMove(c.Status, by, act.Side, c.OpenBy)
	if ok {
		return move, nil
	}
	status := slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == c.Status && m.By == by })
	if status && c.Open != 0 {
		return move, codes.Errorf("MF-OFFER-SIDE", "offer %d was made by the %s; its maker withdraws it, the other side accepts or rejects it", c.Open, c.OpenBy)
	}
	if status {
		return move, codes.Errorf("MF-OFFER-NONE", "no offer is open; renew the consent, or request another")
	}
	return move, codes.Errorf("MF-CONSENT-STATUS", "the consent is %s, where %s is not possible; request another", c.Status, by)
}

// answer finds the table's line for an answer to the open offer, or refuses.
func (c Consent) answer(by string, number int, act Act) (Move, error) {
	move, err := c.move(by, act)
	switch {
	case err != nil:
		return move, err
	case number == c.Open:
		return move, nil
	case number < c.Open:
		return move, codes.Errorf("MF-OFFER-CLOSED", "offer %d has been followed by offer %d; answer that one", number, c.Open)
	default:
		return move, codes.Errorf("MF-OFFER-UNKNOWN", "there is no offer %d; the newest is %d", number, c.Offers)
	}
}

// close ends the open offer.
func (c Consent) close(move Move, act Act) Consent {
	c = c.changed(move.To, act)
	c.Closed = Closing{Offer: c.Open, By: act.By, How: move.By}
	c.Open, c.OpenBy = 0, ""
	return c
}

// changed sets status, time and author of a change.
func (c Consent) changed(to Status, act Act) Consent {
	if to != StatusInactive {
		c.Reason = ""
	}
	c.Status, c.ChangedAt, c.ChangedBy = to, act.At, act.By
	return c
}
