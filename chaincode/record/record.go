// Package record is patients' health records as pure rules: what a record, its
// versions and their private parts are, the states of a record, its erasure, and
// the directory of what to encrypt to for whom. It knows neither Fabric nor a
// clock: a rule is a function of its arguments. Salim & Park section II.D gives the
// flow; Hu et al. Table 1 the kinds of record.
package record

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

// Status is the state of a record. Moves is its table.
type Status string

// The states of a record.
const (
	Active     Status = "active"     // takes new versions and new consents
	Deprecated Status = "deprecated" // takes neither; what was consented to goes on
	Erasing    Status = "erasing"    // erasure was asked for: no access any more
	Erased     Status = "erased"     // nothing private is left, and every member signed so
)

// Move is a line of the record's table of states. From is "" for the state
// a record is registered in.
type Move struct {
	From Status
	To   Status
	By   string // transaction that moves it
	When string
}

// Moves is the table of all moves a record can make.
func Moves() []Move {
	return []Move{
		{"", Active, "Register", "the custodian's collection holds the private part of version 1"},
		{Active, Deprecated, "Deprecate", "the custodian says so"},
		{Active, Erasing, "RequestErasure", "the custodian or the patient asks"},
		{Deprecated, Erasing, "RequestErasure", "the custodian or the patient asks"},
		{Erasing, Erased, "CompleteErasure", "everything private is purged and every member attested"},
	}
}

// CanMoveTo reports whether the table has the move.
func (s Status) CanMoveTo(to Status) bool {
	for _, move := range Moves() {
		if move.From == s && move.To == to {
			return true
		}
	}
	return false
}

// Accessible reports whether a record's versions may be given to a grantee.
func (s Status) Accessible() bool { return s == Active || s == Deprecated }

// Record is the public part of a patient's health record. Patient is a
// pseudonymous identity; who that is, is known to the custodian's collection
// only.
type Record struct {
	Record       string `json:"record"` // opaque identifier, see CheckRecordID
	Kind         Kind   `json:"kind"`
	Custodian    string `json:"custodian"` // MSP identifier of the hospital that keeps it
	Patient      string `json:"patient"`   // "MSP/pseudonym", enrolled with the custodian
	Status       Status `json:"status"`
	Versions     int    `json:"versions"` // number of the newest version; all from 1 exist
	RegisteredAt int64  `json:"registered_at"`
	ChangedAt    int64  `json:"changed_at"` // Unix seconds of the last change
	ChangedBy    string `json:"changed_by"` // "MSP/name" of who made it
}

// Version is the public part of one version of a record. It is written once.
type Version struct {
	Record  string   `json:"record"`
	Version int      `json:"version"`                  // from 1, without gaps
	Digest  string   `json:"digest"`                   // of the sealed private part, see SealedVersion
	Content string   `json:"content_digest,omitempty"` // see ContentDigest; "" on ledgers of before there was one
	Size    int64    `json:"size"`                     // of the ciphertext in bytes
	Holders []string `json:"holders"`                  // MSP identifiers of the members whose IPFS nodes pin the ciphertext, sorted
	AddedAt int64    `json:"added_at"`
	AddedBy string   `json:"added_by"`
}

// SealedVersion is what the custodian's collection holds of a version: whose it is,
// where its ciphertext lies and what opens it, encrypted before it is sent, to a key
// of its own that the custodian keeps in a place it can be deleted from, and to the
// patient. What a peer's files keep of it after a purge opens nothing then (NIST SP
// 800-88 Rev. 1 section 2.5, cryptographic erase). No rule reads what is in it.
type SealedVersion struct {
	Record  string `json:"record"`
	Version int    `json:"version"`
	Sealed  string `json:"sealed"` // age file, base64
}

// ContentDigest binds a version to its file, for those who are given what is in it:
// a grantee sees by it that a grant is of the file that was registered. It is the
// [form.Digest] of the salt, 32 random bytes, the ciphertext's CID and the plain file's
// SHA-256.
func ContentDigest(salt, cid, plainDigest string) string {
	return form.Digest(struct {
		Salt        string `json:"salt"`
		CID         string `json:"cid"`
		PlainDigest string `json:"plain_digest"`
	}{salt, cid, plainDigest})
}

// Custody is the custodian's own copy, in its collection, of where a record
// stands. It holds nothing private: writing it beside the public record is what
// makes the endorsement of the custodian's own peer needed there, on top of the
// majority's.
type Custody struct {
	Record   string `json:"record"`
	Versions int    `json:"versions"`
	Status   Status `json:"status"`
}
