package record

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
)

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

// RequestErasure ends all access to a record and begins its erasure. It names the
// members that must attest besides the holders; a repetition may add some. Caller:
// an officer of the custodian, or the patient, whom no hospital can hold up: the
// custodian's own peer need not endorse the patient's word, so the patient's writes
// no custody.
func RequestErasure(l Ledger, call consortium.Call, request ErasureRequest) (Record, Change, error) {
	record, err := decided(l, call, request.Record)
	if err != nil {
		return record, Change{}, err
	}
	if err := CheckMembers(request.Members); err != nil {
		return record, Change{}, err
	}
	change := Change{}
	if record.Status != Erased {
		if change.ErasureMembers, err = withMembers(l, request); err != nil {
			return record, Change{}, err
		}
	}
	if record.Status.Accessible() {
		if record, err = record.moved(Erasing, call); err != nil {
			return record, Change{}, err
		}
		change.Record = &record
		if call.Role != consortium.RolePatient {
			change.Custody = record.custody()
		}
	}
	change.Event = record.event(call, 0)
	return record, change, nil
}

// withMembers adds to who must attest; nil where that is no news.
func withMembers(l Ledger, request ErasureRequest) (*ErasureMembers, error) {
	named, found, err := l.ErasureMembers(request.Record)
	if err != nil {
		return nil, err
	}
	named.Record = request.Record
	all := named.With(request.Members)
	if found && slices.Equal(all.Members, named.Members) {
		return nil, nil
	}
	return &all, CheckMembers(all.Members)
}

// Purge lets the private documents of a record that is being erased be removed.
// Caller: an officer of the custodian, or the patient.
func Purge(l Ledger, call consortium.Call, request RecordRequest) (Record, Change, error) {
	record, err := decided(l, call, request.Record)
	if err == nil && record.Status.Accessible() {
		err = codes.Errorf("MF-RECORD-STATUS", "the record is %s; request its erasure first", record.Status)
	}
	return record, Change{Event: record.event(call, 0)}, err
}

// AttestErasure is a member's signed word that its nodes have dropped the
// ciphertext of every version. Caller: an officer or the coordinator of a holder,
// or of a member that the request for the erasure names.
func AttestErasure(l Ledger, call consortium.Call, request RecordRequest) (Attestation, Change, error) {
	if err := call.MustBe(consortium.RoleCustodian, consortium.RoleCoordinator); err != nil {
		return Attestation{}, Change{}, err
	}
	record, err := Find(l, request.Record)
	if err != nil {
		return Attestation{}, Change{}, err
	}
	if record.Status.Accessible() {
		return Attestation{}, Change{}, codes.Errorf("MF-RECORD-STATUS", "the record is %s; its erasure has not been asked for", record.Status)
	}
	members, err := attestors(l, record.Record)
	if err != nil {
		return Attestation{}, Change{}, err
	}
	if !slices.Contains(members, call.MSP) {
		return Attestation{}, Change{}, codes.Errorf("MF-RECORD-DENIED", "%s is not of a member that holds the record or was named; nothing of it is to be attested", call.ID)
	}
	change := Change{Event: record.event(call, 0)}
	attestation, found, err := l.Attestation(record.Record, call.MSP)
	if err == nil && !found {
		attestation = Attestation{Record: record.Record, Member: call.MSP, By: call.ID, At: max(call.At, record.ChangedAt)}
		change.Attestation = &attestation
	}
	return attestation, change, err
}

// CompleteErasure ends the erasure, once everyone sees by the hashes that nothing
// private is left and every member has attested. Caller: an officer of the
// custodian, or the patient.
func CompleteErasure(l Ledger, call consortium.Call, request RecordRequest) (Record, Change, error) {
	record, err := decided(l, call, request.Record)
	if err != nil {
		return record, Change{}, err
	}
	if record.Status == Erased {
		return record, Change{Event: record.event(call, 0)}, nil
	}
	erasure, err := ErasureOf(l, record)
	if err != nil {
		return record, Change{}, err
	}
	if len(erasure.Remaining) > 0 {
		return record, Change{}, codes.Errorf("MF-ERASURE-REMAINS", "%d private documents of the record are left; purge it", len(erasure.Remaining))
	}
	if len(erasure.Missing) > 0 {
		return record, Change{}, codes.Errorf("MF-ERASURE-UNATTESTED", "%s has not attested that it dropped the record; wait for every member", erasure.Missing[0])
	}
	next, err := record.moved(Erased, call)
	return next, Change{Record: &next, Event: next.event(call, 0)}, err
}

// decided reads the record of a transaction of those who decide on it.
func decided(l Ledger, call consortium.Call, id string) (Record, error) {
	if err := call.MustBe(consortium.RoleCustodian, consortium.RolePatient); err != nil {
		return Record{}, err
	}
	record, err := Find(l, id)
	if err != nil {
		return record, err
	}
	return record, record.MayDecide(call.Caller)
}

// ErasureOf gathers how far an erasure has come.
func ErasureOf(l Ledger, record Record) (Erasure, error) {
	erasure := Erasure{Record: record}
	var err error
	if erasure.Remaining, err = l.Remaining(record); err != nil {
		return erasure, err
	}
	if erasure.Members, err = attestors(l, record.Record); err != nil {
		return erasure, err
	}
	if erasure.Attestations, err = l.Attestations(record.Record); err != nil {
		return erasure, err
	}
	erasure.Missing = MissingAttestations(erasure.Members, erasure.Attestations)
	return erasure, nil
}

// attestors are the members that must attest: every holder of a version, and who
// was named besides.
func attestors(l Ledger, record string) ([]string, error) {
	versions, err := l.Versions(record)
	if err != nil {
		return nil, err
	}
	named, _, err := l.ErasureMembers(record)
	return named.With(Holders(versions)).Members, err
}
