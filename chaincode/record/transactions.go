package record

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
)

// Every transaction on records is a step here: it reads what is, and gives the
// answer with what is to be written, or the refusal. The contract writes that; the
// audit compares it with what was written.

// Stageable is a version whose private part the custodian may put.
type Stageable struct {
	VersionRequest
	Public string // the digest that everyone knows of it, "" while it is not public
}

// Stage lets the custodian put the private part of the newest version again, or of
// the one after it. Caller: an officer of the custodian.
func Stage(l Ledger, call consortium.Call, request VersionRequest) (Stageable, Change, error) {
	if err := call.MustBe(consortium.RoleCustodian); err != nil {
		return Stageable{}, Change{}, err
	}
	if err := CheckRecordID(request.Record); err != nil {
		return Stageable{}, Change{}, err
	}
	if err := checkNextVersion(l, call, request); err != nil {
		return Stageable{}, Change{}, err
	}
	version, _, err := l.Version(request.Record, request.Version)
	return Stageable{request, version.Digest}, Change{Event: stagedEvent(call, request)}, err
}

// Stage refuses to change the private part of a version that is public. See
// CheckStaged for what comes before it.
func (s Stageable) Stage(private SealedVersion) (Staged, error) {
	staged := Staged{Record: s.Record, Version: s.Version, Digest: form.Digest(private)}
	if s.Public != "" && s.Public != staged.Digest {
		return Staged{}, versionExists(s.Version)
	}
	return staged, nil
}

// Unstage lets the custodian take back the private part of a version that was never
// made public. Caller: an officer of the custodian.
func Unstage(l Ledger, call consortium.Call, request VersionRequest) (VersionRequest, Change, error) {
	if err := call.MustBe(consortium.RoleCustodian); err != nil {
		return request, Change{}, err
	}
	if err := CheckRecordID(request.Record); err != nil {
		return request, Change{}, err
	}
	if err := checkVersionNumber(request.Version); err != nil {
		return request, Change{}, err
	}
	_, public, err := l.Version(request.Record, request.Version)
	if err == nil && public {
		err = versionExists(request.Version)
	}
	return request, Change{Event: stagedEvent(call, request)}, err
}

// checkNextVersion lets the custodian stage the newest version again and the one
// after it.
func checkNextVersion(l Ledger, call consortium.Call, request VersionRequest) error {
	record, found, err := l.Record(request.Record)
	if err != nil {
		return err
	}
	if found {
		if err := record.MayKeep(call.Caller); err != nil {
			return err
		}
		if record.Status != Active {
			return codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", record.Status)
		}
	}
	if request.Version > record.Versions+1 {
		return codes.Errorf("MF-VERSION-NUMBER", "the newest version is %d; stage version %d", record.Versions, record.Versions+1)
	}
	return nil
}

func versionExists(number int) error {
	return codes.Errorf("MF-VERSION-EXISTS", "version %d exists with another content; add a new version", number)
}

func stagedEvent(call consortium.Call, request VersionRequest) Event {
	return Event{Record: request.Record, Version: request.Version, Custodian: call.MSP, Actor: call.ID}
}

// Register makes a record public with its staged version 1. Caller: an officer of
// the custodian.
func Register(l Ledger, call consortium.Call, request RegisterRequest) (Record, Change, error) {
	if err := call.MustBe(consortium.RoleCustodian); err != nil {
		return Record{}, Change{}, err
	}
	for _, err := range []error{CheckRecordID(request.Record), CheckKind(request.Kind), CheckPseudonym(request.Patient)} {
		if err != nil {
			return Record{}, Change{}, err
		}
	}
	record := Record{
		Record: request.Record, Kind: request.Kind, Custodian: call.MSP, Patient: call.MSP + "/" + request.Patient,
		Status: Active, Versions: 1, RegisteredAt: call.At, ChangedAt: call.At, ChangedBy: call.ID,
	}
	version := AddVersionRequest{Record: request.Record, Version: 1, Digest: request.Digest, Content: request.Content, Size: request.Size, Holders: request.Holders}.version(call)
	first, found, err := l.Record(request.Record)
	if err != nil {
		return Record{}, Change{}, err
	}
	if found {
		if first.Kind != record.Kind || first.Custodian != record.Custodian || first.Patient != record.Patient {
			return Record{}, Change{}, codes.Errorf("MF-RECORD-EXISTS", "there is another record of that identifier; draw a new one")
		}
		_, err := sameVersion(l, version)
		return first, Change{Event: first.event(call, 1)}, err
	}
	change, err := withVersion(l, call, record, version)
	change.Registered = true
	return record, change, err
}

// AddVersion makes the record's staged next version public. Caller: an officer of
// the custodian.
func AddVersion(l Ledger, call consortium.Call, request AddVersionRequest) (Version, Change, error) {
	if err := call.MustBe(consortium.RoleCustodian); err != nil {
		return Version{}, Change{}, err
	}
	record, err := Find(l, request.Record)
	if err != nil {
		return Version{}, Change{}, err
	}
	if err := record.MayKeep(call.Caller); err != nil {
		return Version{}, Change{}, err
	}
	version := request.version(call)
	if request.Version >= 1 && request.Version <= record.Versions {
		first, err := sameVersion(l, version)
		return first, Change{Event: record.event(call, version.Version)}, err
	}
	if record.Status != Active {
		return Version{}, Change{}, codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", record.Status)
	}
	if request.Version != record.Versions+1 {
		return Version{}, Change{}, codes.Errorf("MF-VERSION-NUMBER", "the newest version is %d; add version %d", record.Versions, record.Versions+1)
	}
	record.Versions, record.ChangedAt, record.ChangedBy = request.Version, max(call.At, record.ChangedAt), call.ID
	change, err := withVersion(l, call, record, version)
	return version, change, err
}

// version is the document that a request asks for.
func (r AddVersionRequest) version(call consortium.Call) Version {
	return Version{
		Record: r.Record, Version: r.Version, Digest: r.Digest, Content: r.Content, Size: r.Size, Holders: r.Holders,
		AddedAt: call.At, AddedBy: call.ID,
	}
}

// sameVersion reads a version that is already public and refuses another content.
func sameVersion(l Ledger, version Version) (Version, error) {
	first, err := FindVersion(l, version.Record, version.Version)
	if err != nil {
		return first, err
	}
	if first.Digest != version.Digest || first.Content != version.Content || first.Size != version.Size || !slices.Equal(first.Holders, version.Holders) {
		return first, versionExists(version.Version)
	}
	return first, nil
}

// withVersion writes a new version with its record, once the collection holds what
// its digest says.
func withVersion(l Ledger, call consortium.Call, record Record, version Version) (Change, error) {
	if err := CheckVersion(version, record.Custodian); err != nil {
		return Change{}, err
	}
	staged, err := l.Staged(record.Custodian, record.Record, version.Version)
	if err != nil {
		return Change{}, err
	}
	if staged != version.Digest {
		return Change{}, codes.Errorf("MF-RECORD-NOT-STAGED", "the custodian's collection does not hold the private part of this digest; stage version %d first", version.Version)
	}
	return Change{Record: &record, Custody: record.custody(), Version: &version, Event: record.event(call, version.Version)}, nil
}

// Deprecate ends new versions and new consents of a record; what was consented to
// goes on. Caller: an officer of the custodian.
func Deprecate(l Ledger, call consortium.Call, request RecordRequest) (Record, Change, error) {
	if err := call.MustBe(consortium.RoleCustodian); err != nil {
		return Record{}, Change{}, err
	}
	record, err := Find(l, request.Record)
	if err != nil {
		return Record{}, Change{}, err
	}
	if err := record.MayKeep(call.Caller); err != nil {
		return Record{}, Change{}, err
	}
	if record.Status == Deprecated {
		return record, Change{Event: record.event(call, 0)}, nil
	}
	next, err := record.moved(Deprecated, call)
	return next, Change{Record: &next, Custody: next.custody(), Event: next.event(call, 0)}, err
}
