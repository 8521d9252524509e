package record

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
)

// Ledger is what the rules read: public documents, and of a collection the hashes
// alone. The contract reads the peer's ledger, the audit the one it has replayed.
// A document comes with false, and a hash is "", where there is none.
type Ledger interface {
	Record(record string) (Record, bool, error)
	Version(record string, version int) (Version, bool, error)
	Versions(record string) ([]Version, error) // oldest first
	Staged(custodian, record string, version int) (digest string, err error)
	ErasureMembers(record string) (ErasureMembers, bool, error)
	Attestation(record, member string) (Attestation, bool, error)
	Attestations(record string) ([]Attestation, error) // by member
	Remaining(Record) ([]string, error)                // the private keys of a record that still have a value
	Recipient(msp, role, name string) (Recipient, bool, error)
}

// Change is what a transaction makes: the documents to write, nil for those that
// stay as they are, and its event. One without documents repeats what was done
// before, or changes what is private alone.
type Change struct {
	Record         *Record
	Registered     bool     // the record is new: it is entered in the lists of its patient and its custodian
	Custody        *Custody // in the custodian's collection
	Version        *Version
	ErasureMembers *ErasureMembers
	Attestation    *Attestation
	Recipient      *Recipient
	Event          Event
}

// Event is the payload of the single event of every transaction on records,
// consents and accesses; the event's name is the transaction's, for instance
// "consent:Accept". It holds nothing private.
type Event struct {
	Record    string `json:"record"`
	Version   int    `json:"version"` // of the record, 0 where none is meant
	Consent   string `json:"consent"` // "" where none is meant
	Offer     int    `json:"offer"`   // 0 where none is meant
	Access    string `json:"access"`  // "" where none is meant
	Custodian string `json:"custodian"`
	Patient   string `json:"patient"`
	Grantee   string `json:"grantee"`
	Status    string `json:"status"` // after the transaction: of record or consent, or the decision on an access
	Code      string `json:"code"`   // why an access was denied, "" otherwise
	Actor     string `json:"actor"`  // "MSP/name"
}

// Find reads a record that must be there.
func Find(l Ledger, id string) (Record, error) {
	if err := CheckRecordID(id); err != nil {
		return Record{}, err
	}
	record, found, err := l.Record(id)
	if err == nil && !found {
		err = codes.Errorf("MF-RECORD-UNKNOWN", "there is no record %s; see the list of records", id)
	}
	return record, err
}

// FindVersion reads a version that must be there.
func FindVersion(l Ledger, record string, number int) (Version, error) {
	version, found, err := l.Version(record, number)
	if err == nil && !found {
		err = codes.Errorf("MF-VERSION-UNKNOWN", "the record has no version %d; see its versions", number)
	}
	return version, err
}

// MayKeep lets officers of the record's custodian pass.
func (r Record) MayKeep(caller consortium.Caller) error {
	if caller.Role == consortium.RoleCustodian && caller.MSP == r.Custodian {
		return nil
	}
	return codes.Errorf("MF-RECORD-DENIED", "%s is no officer of %s, the record's custodian; ask one of them", caller.ID, r.Custodian)
}

// MayDecide lets officers of the record's custodian and the patient pass.
func (r Record) MayDecide(caller consortium.Caller) error {
	if caller.Role == consortium.RolePatient && caller.ID == r.Patient {
		return nil
	}
	return r.MayKeep(caller)
}

// event is that of a transaction on a record, version 0 where none is meant.
func (r Record) event(call consortium.Call, version int) Event {
	return Event{
		Record: r.Record, Version: version, Custodian: r.Custodian, Patient: r.Patient,
		Status: string(r.Status), Actor: call.ID,
	}
}

// custody is the custodian's own copy of where a record stands.
func (r Record) custody() *Custody {
	return &Custody{Record: r.Record, Versions: r.Versions, Status: r.Status}
}

// moved changes a record's status, if the table has the move.
func (r Record) moved(to Status, call consortium.Call) (Record, error) {
	if !r.Status.CanMoveTo(to) {
		return r, codes.Errorf("MF-RECORD-STATUS", "the record is %s and can't become %s; see the record", r.Status, to)
	}
	r.Status, r.ChangedAt, r.ChangedBy = to, max(call.At, r.ChangedAt), call.ID
	return r, nil
}
