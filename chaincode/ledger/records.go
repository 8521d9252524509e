package ledger

import (
	"strings"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// Records reads what the rules of packages record and consent look at, from a
// transaction's Context or from a replayed ledger: under which key a document lies
// is said here, for reading it and for writing it.
type Records struct{ Reader }

var _ consent.Ledger = Records{}

// Record reads a record.
func (r Records) Record(id string) (record.Record, bool, error) {
	return Get[record.Record](r, RecordKey(id))
}

// Version reads a version of a record.
func (r Records) Version(id string, number int) (record.Version, bool, error) {
	return Get[record.Version](r, VersionKey(id, number))
}

// Versions reads all versions of a record, oldest first.
func (r Records) Versions(id string) ([]record.Version, error) {
	return List[record.Version](r, Versions(id))
}

// Staged gives the digest of a version's private part.
func (r Records) Staged(custodian, id string, number int) (string, error) {
	return r.ReadHash(collections.Records(custodian), PrivateVersionKey(id, number))
}

// ErasureMembers reads the members that a request for an erasure named.
func (r Records) ErasureMembers(id string) (record.ErasureMembers, bool, error) {
	return Get[record.ErasureMembers](r, ErasureMembersKey(id))
}

// Attestation reads a member's attestation.
func (r Records) Attestation(id, member string) (record.Attestation, bool, error) {
	return Get[record.Attestation](r, ErasureKey(id, member))
}

// Attestations reads all attestations of a record's erasure, by member.
func (r Records) Attestations(id string) ([]record.Attestation, error) {
	return List[record.Attestation](r, Erasures(id))
}

// Recipient reads an entry of the directory.
func (r Records) Recipient(msp, role, name string) (record.Recipient, bool, error) {
	return Get[record.Recipient](r, RecipientKey(msp, role, name))
}

// Parties reads the parties of a consent.
func (r Records) Parties(id string) (consent.Parties, bool, error) {
	return Get[consent.Parties](r, ConsentKey(id))
}

// Negotiation reads where a consent stands.
func (r Records) Negotiation(id string) (consent.Negotiation, bool, error) {
	return Get[consent.Negotiation](r, NegotiationKey(id))
}

// Revocation reads the patient's revocations of a consent.
func (r Records) Revocation(id string) (consent.Revocation, bool, error) {
	return Get[consent.Revocation](r, RevocationKey(id))
}

// Offer reads an offer.
func (r Records) Offer(id string, number int) (consent.Offer, bool, error) {
	return Get[consent.Offer](r, OfferKey(id, number))
}

// Access reads an access.
func (r Records) Access(id string) (consent.Access, bool, error) {
	return Get[consent.Access](r, AccessKey(id))
}

// HeldTerms gives the digest of an offer's private terms.
func (r Records) HeldTerms(custodian, id string, offer int) (string, error) {
	return r.ReadHash(collections.Grants(custodian), TermsKey(id, offer))
}

// Place is where a private document lies.
type Place struct {
	Collection string
	Key        Key
}

// String shows a place without saying anything private.
func (p Place) String() string { return p.Collection + ":" + p.Key.String() }

// Names shows places without saying anything private.
func Names(places []Place) []string {
	names := []string{}
	for _, place := range places {
		names = append(names, place.String())
	}
	return names
}

// Remaining names the private documents of a record that are left.
func (r Records) Remaining(rec record.Record) ([]string, error) {
	places, err := r.PrivateOfRecord(rec)
	return Names(places), err
}

// PrivateOfRecord finds, by their hashes, all private documents of a record that
// are left: of its versions, and of the consents on it.
func (r Records) PrivateOfRecord(rec record.Record) ([]Place, error) {
	records := collections.Records(rec.Custodian)
	candidates := []Place{{records, CustodyKey(rec.Record)}}
	for version := 1; version <= rec.Versions+1; version++ { // one more: staged and never registered
		candidates = append(candidates, Place{records, PrivateVersionKey(rec.Record, version)})
	}
	left, err := r.Existing(candidates...)
	if err != nil {
		return nil, err
	}
	references, err := List[Reference](r, ConsentsOfRecord(rec.Record))
	if err != nil {
		return nil, err
	}
	for _, reference := range references {
		more, err := r.PrivateOfConsent(rec, reference.ID)
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	return left, nil
}

// PrivateOfConsent finds, by their hashes, all private terms and grants of a
// consent on a record that are left.
func (r Records) PrivateOfConsent(rec record.Record, id string) ([]Place, error) {
	negotiation, _, err := r.Negotiation(id)
	if err != nil {
		return nil, err
	}
	grants := collections.Grants(rec.Custodian)
	var candidates []Place
	for offer := 1; offer <= negotiation.Offers; offer++ {
		candidates = append(candidates, Place{grants, TermsKey(id, offer)})
	}
	agreements := 0
	if negotiation.Agreement != nil {
		agreements = negotiation.Agreement.Version
	}
	for agreement := 1; agreement <= agreements; agreement++ {
		for version := 1; version <= rec.Versions; version++ {
			for _, writer := range consent.Writers() {
				candidates = append(candidates, Place{grants, GrantKey(id, agreement, version, string(writer))})
			}
		}
	}
	return r.Existing(candidates...)
}

// Existing keeps the places that hold a document.
func (r Records) Existing(candidates ...Place) ([]Place, error) {
	var left []Place
	for _, candidate := range candidates {
		digest, err := r.ReadHash(candidate.Collection, candidate.Key)
		if err != nil {
			return nil, err
		}
		if digest != "" {
			left = append(left, candidate)
		}
	}
	return left, nil
}

// Write is a document to write under its key, in a collection or, where that is "",
// in the public state.
type Write struct {
	Collection string
	Key        Key
	Document   any
}

// RecordWrites are the documents that a change of a record writes.
func RecordWrites(c record.Change) []Write {
	var w []Write
	if r := c.Record; r != nil {
		w = append(w, Write{Key: RecordKey(r.Record), Document: *r})
		if c.Registered {
			reference := Reference{ID: r.Record}
			w = append(w, Write{Key: RecordOfPatientKey(r.Patient, r.Record), Document: reference},
				Write{Key: RecordOfHospitalKey(r.Custodian, r.Record), Document: reference})
		}
		if c.Custody != nil {
			w = append(w, Write{collections.Records(r.Custodian), CustodyKey(r.Record), *c.Custody})
		}
	}
	if v := c.Version; v != nil {
		w = append(w, Write{Key: VersionKey(v.Record, v.Version), Document: *v})
	}
	if m := c.ErasureMembers; m != nil {
		w = append(w, Write{Key: ErasureMembersKey(m.Record), Document: *m})
	}
	if a := c.Attestation; a != nil {
		w = append(w, Write{Key: ErasureKey(a.Record, a.Member), Document: *a})
	}
	if e := c.Recipient; e != nil {
		msp, name, _ := strings.Cut(e.Identity, "/")
		w = append(w, Write{Key: RecipientKey(msp, e.Role, name), Document: *e})
	}
	return w
}

// ConsentWrites are the documents that a change of a consent writes.
func ConsentWrites(c consent.Change) []Write {
	var w []Write
	if p := c.Parties; p != nil {
		reference := Reference{ID: p.Consent}
		w = append(w, Write{Key: ConsentKey(p.Consent), Document: *p},
			Write{Key: ConsentOfPatientKey(p.Patient, p.Consent), Document: reference},
			Write{Key: ConsentOfGranteeKey(p.Grantee, p.Consent), Document: reference},
			Write{Key: ConsentOfRecordKey(p.Record, p.Consent), Document: reference})
	}
	if o := c.Offer; o != nil {
		w = append(w, Write{Key: OfferKey(o.Consent, o.Offer), Document: *o})
	}
	if a := c.Agreement; a != nil {
		w = append(w, Write{Key: AgreementKey(a.Consent, a.Version), Document: *a})
	}
	if c.Negotiation != nil {
		w = append(w, Write{Key: NegotiationKey(c.Consent), Document: *c.Negotiation})
	}
	if c.Revocation != nil {
		w = append(w, Write{Key: RevocationKey(c.Consent), Document: *c.Revocation})
	}
	if a := c.Access; a != nil {
		w = append(w, Write{Key: AccessKey(a.Access), Document: *a})
		for _, key := range AccessListKeys(a.Access, a.Patient, a.Record, a.Grantee, a.At) {
			w = append(w, Write{Key: key, Document: *a})
		}
	}
	return w
}
