// Package consent is health records and the patient's consent to their use as
// pure rules: what a record and its versions are, the negotiation's table of
// moves, the terms, and Permits, which decides every access. It knows neither
// Fabric nor a clock: a rule is a function of its arguments. Salim & Park
// sections II.A and II.C to II.E give the flows; Hu et al. Table 1 the kinds of
// record; HL7 FHIR's Consent the words.
package consent

import "github.com/medfed/medfed/chaincode/form"

// Kind is what a record holds: the applications of Hu et al. Table 1.
type Kind string

// The kinds of record.
const (
	KindEHR          Kind = "ehr"          // electronic health record, a person's whole life
	KindEMR          Kind = "emr"          // electronic medical record of a clinical information system
	KindResearch     Kind = "research"     // clinical research and development
	KindBiomedical   Kind = "biomedical"   // biomedical development: sensors, samples, experiments
	KindNeuroscience Kind = "neuroscience" // brain activity
	KindGenome       Kind = "genome"       // genotypes, variants, sequences
	KindImage        Kind = "image"        // medical images
)

// Kinds lists the kinds of record in the order of Table 1.
func Kinds() []Kind {
	return []Kind{KindEHR, KindEMR, KindResearch, KindBiomedical, KindNeuroscience, KindGenome, KindImage}
}

// RecordStatus is the state of a record. RecordMoves is its table.
type RecordStatus string

// The states of a record.
const (
	RecordActive     RecordStatus = "active"     // takes new versions and new consents
	RecordDeprecated RecordStatus = "deprecated" // takes neither; what was consented to goes on
	RecordErasing    RecordStatus = "erasing"    // erasure was asked for: no access any more
	RecordErased     RecordStatus = "erased"     // nothing private is left, and every member signed so
)

// RecordMove is a line of the record's table of states. From is "" for the state
// a record is registered in.
type RecordMove struct {
	From RecordStatus
	To   RecordStatus
	By   string // transaction that moves it
	When string
}

// RecordMoves is the table of all moves a record can make.
func RecordMoves() []RecordMove {
	return []RecordMove{
		{"", RecordActive, "Register", "the custodian's collection holds the private part of version 1"},
		{RecordActive, RecordDeprecated, "Deprecate", "the custodian says so"},
		{RecordActive, RecordErasing, "RequestErasure", "the custodian or the patient asks"},
		{RecordDeprecated, RecordErasing, "RequestErasure", "the custodian or the patient asks"},
		{RecordErasing, RecordErased, "CompleteErasure", "everything private is purged and every member attested"},
	}
}

// CanMoveTo tells whether the table has the move.
func (s RecordStatus) CanMoveTo(to RecordStatus) bool {
	for _, move := range RecordMoves() {
		if move.From == s && move.To == to {
			return true
		}
	}
	return false
}

// Accessible tells whether a record's versions may be given to a grantee.
func (s RecordStatus) Accessible() bool { return s == RecordActive || s == RecordDeprecated }

// Record is the public part of a patient's health record. Patient is a
// pseudonymous identity; who that is, is known to the custodian's collection
// only.
type Record struct {
	Record       string       `json:"record"` // opaque identifier, see CheckRecordID
	Kind         Kind         `json:"kind"`
	Custodian    string       `json:"custodian"` // MSP identifier of the hospital that keeps it
	Patient      string       `json:"patient"`   // "MSP/pseudonym", enrolled with the custodian
	Status       RecordStatus `json:"status"`
	Versions     int          `json:"versions"` // number of the newest version; all from 1 exist
	RegisteredAt int64        `json:"registered_at"`
	ChangedAt    int64        `json:"changed_at"` // Unix seconds of the last change
	ChangedBy    string       `json:"changed_by"` // "MSP/name" of who made it
}

// Version is the public part of one version of a record. It is written once.
type Version struct {
	Record  string   `json:"record"`
	Version int      `json:"version"` // from 1, without gaps
	Digest  string   `json:"digest"`  // of the private part, which holds a random salt; see Digest
	Size    int64    `json:"size"`    // of the ciphertext in bytes
	Holders []string `json:"holders"` // MSP identifiers of the members whose IPFS nodes pin the ciphertext, sorted
	AddedAt int64    `json:"added_at"`
	AddedBy string   `json:"added_by"`
}

// PrivateVersion is what only the custodian's collection holds of a version.
type PrivateVersion struct {
	Record            string `json:"record"`
	Version           int    `json:"version"`
	Salt              string `json:"salt"`               // 32 random bytes, 64 hexadecimal digits
	CID               string `json:"cid"`                // of the ciphertext, canonical CIDv1
	PlainDigest       string `json:"plain_digest"`       // SHA-256 of the plain file
	ContentType       string `json:"content_type"`       // for instance image/png
	PatientIdentifier string `json:"patient_identifier"` // the hospital's own, for instance a medical record number
	CustodianWrap     string `json:"custodian_wrap"`     // the version's key, encrypted to the custodian; base64
	PatientWrap       string `json:"patient_wrap"`       // the same key, encrypted to the patient; base64
}

// Custody is the custodian's own copy, in its collection, of where a record
// stands. It holds nothing private: writing it beside the public record is what
// makes the endorsement of the custodian's own peer needed there, on top of the
// majority's.
type Custody struct {
	Record   string       `json:"record"`
	Versions int          `json:"versions"`
	Status   RecordStatus `json:"status"`
}

// Attestation is a member's word that its nodes have dropped every version of a
// record.
type Attestation struct {
	Record string `json:"record"`
	Member string `json:"member"` // MSP identifier
	By     string `json:"by"`
	At     int64  `json:"at"`
}

// ErasureMembers are the members that must attest the erasure of a record besides
// its holders: all that have a node of the private IPFS, where copies may lie. A
// repeated request may add members and takes none away.
type ErasureMembers struct {
	Record  string   `json:"record"`
	Members []string `json:"members"` // MSP identifiers, sorted
}

// With gives the members with more of them, sorted and once each.
func (m ErasureMembers) With(more []string) ErasureMembers {
	return ErasureMembers{m.Record, form.SortedOnce(append(append([]string{}, m.Members...), more...))}
}

// Erasure is how far the erasure of a record has come.
type Erasure struct {
	Record       Record        `json:"record"`
	Members      []string      `json:"members"`      // that must attest: holders and named members, sorted
	Remaining    []string      `json:"remaining"`    // private keys that still have a value, none of them private itself
	Attestations []Attestation `json:"attestations"` // sorted by member
	Missing      []string      `json:"missing"`      // members that have not attested, sorted
}

// Holders lists every member that pins a version, sorted and once each.
func Holders(versions []Version) []string {
	holders := []string{}
	for _, version := range versions {
		holders = append(holders, version.Holders...)
	}
	return form.SortedOnce(holders)
}

// MissingAttestations lists the members that have not attested, in their order.
func MissingAttestations(members []string, attestations []Attestation) []string {
	missing := []string{}
	for _, member := range members {
		attested := false
		for _, attestation := range attestations {
			attested = attested || attestation.Member == member
		}
		if !attested {
			missing = append(missing, member)
		}
	}
	return missing
}
