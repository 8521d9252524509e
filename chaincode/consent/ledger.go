package consent

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
)

// Ledger is what the rules read, see record.Ledger.
type Ledger interface {
	record.Ledger
	Parties(consent string) (Parties, bool, error)
	Negotiation(consent string) (Negotiation, bool, error)
	Revocation(consent string) (Revocation, bool, error)
	Offer(consent string, number int) (Offer, bool, error)
	Access(access string) (Access, bool, error)
	HeldTerms(custodian, consent string, offer int) (digest string, err error)
}

// Change is what a transaction makes: the documents to write, nil for those that
// stay as they are, and its event. One without documents repeats what was done
// before, or changes what is private alone.
type Change struct {
	Consent     string   // the consent that the documents are of
	Parties     *Parties // a new consent is entered in the lists of its patient, its grantee and its record
	Offer       *Offer
	Agreement   *Agreement
	Negotiation *Negotiation
	Revocation  *Revocation
	Access      *Access // is entered in the lists of its patient, its record and its grantee
	Event       record.Event
}

// FindParties reads the parties of a consent that must be there.
func FindParties(l Ledger, id string) (Parties, error) {
	if err := CheckConsentID(id); err != nil {
		return Parties{}, err
	}
	parties, found, err := l.Parties(id)
	if err == nil && !found {
		err = codes.Errorf("MF-CONSENT-UNKNOWN", "there is no consent %s; see the list of consents", id)
	}
	return parties, err
}

// FindConsent puts a consent that must be there together.
func FindConsent(l Ledger, id string) (Consent, Revocation, error) {
	parties, err := FindParties(l, id)
	if err != nil {
		return Consent{}, Revocation{}, err
	}
	stands, found, err := l.Negotiation(id)
	if err != nil {
		return Consent{}, Revocation{}, err
	}
	if !found {
		return Consent{}, Revocation{}, codes.Errorf("MF-LEDGER-CORRUPT", "the consent %s has no negotiation; report this", id)
	}
	revocation, _, err := l.Revocation(id)
	return Assemble(parties, stands, revocation), revocation, err
}

// FindAccess reads an access that must be there.
func FindAccess(l Ledger, id string) (Access, error) {
	if err := CheckAccessID(id); err != nil {
		return Access{}, err
	}
	access, found, err := l.Access(id)
	if err == nil && !found {
		err = codes.Errorf("MF-ACCESS-UNKNOWN", "there is no access %s; request it first", id)
	}
	return access, err
}

// findOffer reads an offer that must be there.
func findOffer(l Ledger, id string, number int) (Offer, error) {
	offer, found, err := l.Offer(id, number)
	if err == nil && !found {
		err = codes.Errorf("MF-OFFER-UNKNOWN", "the consent has no offer %d; look at the consent", number)
	}
	return offer, err
}

// findDecided reads the parties of a consent and the record it is on, for those who
// decide on the record.
func findDecided(l Ledger, call consortium.Call, id string) (Parties, record.Record, error) {
	if err := call.MustBe(consortium.RoleCustodian, consortium.RolePatient); err != nil {
		return Parties{}, record.Record{}, err
	}
	parties, err := FindParties(l, id)
	if err != nil {
		return parties, record.Record{}, err
	}
	rec, err := record.Find(l, parties.Record)
	if err != nil {
		return parties, rec, err
	}
	return parties, rec, rec.MayDecide(call.Caller)
}

// event is that of a transaction on a consent, offer 0 where none is meant.
func (p Parties) event(call consortium.Call, status Status, offer int) record.Event {
	return record.Event{
		Record: p.Record, Consent: p.Consent, Offer: offer, Custodian: p.Custodian,
		Patient: p.Patient, Grantee: p.Grantee, Status: string(status), Actor: call.ID,
	}
}
