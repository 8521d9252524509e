package ledger

// recordObjects are the rows of the table of keys that belong to records, consents
// and accesses. Their identifiers are opaque (package form), so that a key says
// nothing.
var recordObjects = []object{
	{"record", "record", "record.Record", "Register and moves of the record's status", "changed_by"},
	{"version", "record/version#", "record.Version", "Register, AddVersion; once", "added_by"},
	{"record-patient", "patient/record", "Reference", "Register; once", ""},
	{"record-custodian", "msp/record", "Reference", "Register; once", ""},
	{"erasure", "record/msp", "record.Attestation", "AttestErasure, by the member itself; once", "by"},
	{"erasure-members", "record", "record.ErasureMembers", "RequestErasure", ""},
	{"recipient", "msp/role/name", "record.Recipient", "Publish, by the identity itself; Retire", "changed_by"},
	{"consent", "consent", "consent.Parties", "Request; once", "grantee"},
	{"negotiation", "consent", "consent.Negotiation", "every move of the negotiation", "changed_by"},
	{"revocation", "consent", "consent.Revocation", "Revoke, MarkEnteredInError, by the patient only", "by"},
	{"offer", "consent/offer#", "consent.Offer", "Request, Counter, Renew; once", "by"},
	{"agreement", "consent/version#", "consent.Agreement", "Accept; once", "accepted_by"},
	{"consent-patient", "patient/consent", "Reference", "Request; once", ""},
	{"consent-grantee", "grantee/consent", "Reference", "Request; once", ""},
	{"consent-record", "record/consent", "Reference", "Request; once", ""},
	{"access", "access", "consent.Access", "RequestAccess, by the grantee itself; once", "grantee"},
	{"access-patient", "patient/time-/access", "consent.Access", "RequestAccess; once; newest first", "grantee"},
	{"access-record", "record/time-/access", "consent.Access", "RequestAccess; once; newest first", "grantee"},
	{"access-grantee", "grantee/time-/access", "consent.Access", "RequestAccess; once; newest first", "grantee"},
	{"access-all", "all/time-/access", "consent.Access", "RequestAccess; once; newest first", "grantee"},
}

// The keys of the collections. Their hashes are public, so they too say nothing.
//
//	records-<msp>: private-version/<record>/<version>                 PrivateVersionKey record.SealedVersion   Stage
//	records-<msp>: custody/<record>                                   CustodyKey        record.Custody         the custodian's transactions on a record
//	records-<msp>: hospital-key/<number>                              HospitalKeyKey    record.HospitalKey     PutHospitalKey
//	grants-<msp>:  terms/<consent>/<offer>                            TermsKey          consent.SealedTerms    PutTerms
//	grants-<msp>:  grant/<consent>/<agreement>/<version>/<writer>     GrantKey          consent.Grant          PutGrant

// Reference is what an index key holds: the identifier it leads to.
type Reference struct {
	ID string `json:"id"`
}

// RecordKey names a record.
func RecordKey(record string) Key { return key("record", record) }

// VersionKey names a version of a record.
func VersionKey(record string, version int) Key { return key("version", record, number(version)) }

// Versions names all versions of a record.
func Versions(record string) Prefix { return prefix("version", record) }

// RecordOfPatientKey leads from a patient to a record.
func RecordOfPatientKey(patient, record string) Key { return key("record-patient", patient, record) }

// RecordsOfPatient names all records of a patient.
func RecordsOfPatient(patient string) Prefix { return prefix("record-patient", patient) }

// RecordOfHospitalKey leads from a custodian to a record.
func RecordOfHospitalKey(msp, record string) Key { return key("record-custodian", msp, record) }

// RecordsOfHospital names all records of a custodian.
func RecordsOfHospital(msp string) Prefix { return prefix("record-custodian", msp) }

// ErasureMembersKey names the members that must attest a record's erasure.
func ErasureMembersKey(record string) Key { return key("erasure-members", record) }

// RecipientKey names an identity's entry in the directory of age recipients.
func RecipientKey(msp, role, name string) Key { return key("recipient", msp, role, name) }

// RecipientsOfRole names the entries of an organisation's identities of a role.
func RecipientsOfRole(msp, role string) Prefix { return prefix("recipient", msp, role) }

// ErasureKey names a member's attestation.
func ErasureKey(record, msp string) Key { return key("erasure", record, msp) }

// Erasures names all attestations of a record's erasure.
func Erasures(record string) Prefix { return prefix("erasure", record) }

// ConsentKey names the parties of a consent.
func ConsentKey(consent string) Key { return key("consent", consent) }

// NegotiationKey names where a consent stands.
func NegotiationKey(consent string) Key { return key("negotiation", consent) }

// RevocationKey names the patient's revocations of a consent.
func RevocationKey(consent string) Key { return key("revocation", consent) }

// OfferKey names an offer.
func OfferKey(consent string, offer int) Key { return key("offer", consent, number(offer)) }

// Offers names all offers of a consent.
func Offers(consent string) Prefix { return prefix("offer", consent) }

// AgreementKey names a consent version.
func AgreementKey(consent string, version int) Key { return key("agreement", consent, number(version)) }

// Agreements names all versions of a consent.
func Agreements(consent string) Prefix { return prefix("agreement", consent) }

// ConsentOfPatientKey leads from a patient to a consent.
func ConsentOfPatientKey(patient, consent string) Key {
	return key("consent-patient", patient, consent)
}

// ConsentsOfPatient names all consents of a patient.
func ConsentsOfPatient(patient string) Prefix { return prefix("consent-patient", patient) }

// ConsentOfGranteeKey leads from a grantee to a consent.
func ConsentOfGranteeKey(grantee, consent string) Key {
	return key("consent-grantee", grantee, consent)
}

// ConsentsOfGrantee names all consents of a grantee.
func ConsentsOfGrantee(grantee string) Prefix { return prefix("consent-grantee", grantee) }

// ConsentOfRecordKey leads from a record to a consent.
func ConsentOfRecordKey(record, consent string) Key { return key("consent-record", record, consent) }

// ConsentsOfRecord names all consents on a record.
func ConsentsOfRecord(record string) Prefix { return prefix("consent-record", record) }

// AccessKey names an access.
func AccessKey(access string) Key { return key("access", access) }

// AccessList is one order in which accesses are listed.
type AccessList string

// The lists of accesses.
const (
	AccessesOfPatient AccessList = "patient"
	AccessesOfRecord  AccessList = "record"
	AccessesOfGrantee AccessList = "grantee"
	AllAccesses       AccessList = "all" // the list of the one value "all"
)

// AccessListKey names an access in a list, newest first. It holds the whole
// document, so that a page is one range.
func AccessListKey(list AccessList, value string, at int64, access string) Key {
	return key("access-"+string(list), value, newestFirst(at), access)
}

// AccessListKeys names an access in every list that it belongs to. Patient is ""
// where the consent is unknown, and so the patient.
func AccessListKeys(access, patient, record, grantee string, at int64) []Key {
	keys := []Key{}
	if patient != "" {
		keys = append(keys, AccessListKey(AccessesOfPatient, patient, at, access))
	}
	return append(keys,
		AccessListKey(AccessesOfRecord, record, at, access),
		AccessListKey(AccessesOfGrantee, grantee, at, access),
		AccessListKey(AllAccesses, string(AllAccesses), at, access),
	)
}

// Accesses names all accesses of a list.
func Accesses(list AccessList, value string) Prefix { return prefix("access-"+string(list), value) }

// AccessesUntil names the accesses of a list made at one second: the older ones
// follow them.
func AccessesUntil(list AccessList, value string, at int64) Prefix {
	return prefix("access-"+string(list), value, newestFirst(at))
}

// PrivateVersionKey names the private part of a version, in the custodian's
// records collection.
func PrivateVersionKey(record string, version int) Key {
	return key("private-version", record, number(version))
}

// CustodyKey names the custodian's own copy of where a record stands, in its
// records collection.
func CustodyKey(record string) Key { return key("custody", record) }

// HospitalKeyKey names a key that a hospital's officers hold together, in its
// records collection.
func HospitalKeyKey(keyNumber int) Key { return key("hospital-key", number(keyNumber)) }

// TermsKey names the private terms of an offer, in the custodian's grants
// collection.
func TermsKey(consent string, offer int) Key { return key("terms", consent, number(offer)) }

// GrantKey names a grant, in the custodian's grants collection.
func GrantKey(consent string, agreement, version int, writer string) Key {
	return key("grant", consent, number(agreement), number(version), writer)
}
