package contract

import (
	"slices"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/collections"
)

// recordContract is the name before the colon in record:Register.
const recordContract = "record"

// RecordContract keeps patients' health records: Salim & Park section II.D. The
// file lies encrypted in IPFS; its CID, its keys and whose it is lie in the
// custodian's collection; the ledger has what everyone may know and a salted
// digest of the rest.
//
// A version is written in two transactions, because the peers that endorse a
// public write would see what comes by transient: Stage puts the private part
// into the collection and is endorsed by the custodian's peer alone; Register or
// AddVersion then makes the version public, endorsed by the majority, each of
// which sees by its hash that the collection holds exactly what the digest says.
// The custodian's public writes also write its custody document, so the
// collection's endorsement policy asks for the custodian's own peer as well. A
// key-level policy could not: Fabric puts it in the place of the majority.
type RecordContract struct{ contractapi.Contract }

// NewRecordContract makes the contract.
func NewRecordContract() *RecordContract {
	return &RecordContract{contractapi.Contract{
		Name:                      recordContract,
		Info:                      info("Records", "Patients' health records, their versions and their erasure."),
		TransactionContextHandler: new(ledger.Context),
	}}
}

// GetEvaluateTransactions names the queries.
func (*RecordContract) GetEvaluateTransactions() []string { return evaluated(recordContract) }

// Stage puts the private part of a record's next version into the custodian's
// collection; transient field "version", a consent.PrivateVersion. Caller: an
// officer of the custodian.
func (*RecordContract) Stage(ctx *ledger.Context, request consent.VersionRequest) (*consent.Staged, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian)
	if err != nil {
		return nil, err
	}
	var private consent.PrivateVersion
	if err := ledger.Transient(ctx, "version", &private); err != nil {
		return nil, err
	}
	if err := consent.CheckPrivateVersion(private); err != nil {
		return nil, err
	}
	if private.Record != request.Record || private.Version != request.Version {
		return nil, codes.Errorf("MF-PRIVATE-INVALID", "the transient version is of another record or number than the argument; send the two for the same version")
	}
	if err := checkNextVersion(ctx, caller, request); err != nil {
		return nil, err
	}
	staged := consent.Staged{Record: request.Record, Version: request.Version, Digest: form.Digest(private)}
	if err := checkStaged(ctx, staged); err != nil {
		return nil, err
	}
	key := ledger.PrivateVersionKey(request.Record, request.Version)
	if err := ledger.PutPrivate(ctx, collections.Records(caller.MSP), key, private); err != nil {
		return nil, err
	}
	return &staged, emitStaged(ctx, "record:Stage", request, caller)
}

// Unstage purges the private part of a version that was never made public.
// Caller: an officer of the custodian.
func (*RecordContract) Unstage(ctx *ledger.Context, request consent.VersionRequest) (*consent.Purged, error) {
	caller, _, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	if err := consent.CheckRecordID(request.Record); err != nil {
		return nil, err
	}
	if err := checkStaged(ctx, consent.Staged{Record: request.Record, Version: request.Version}); err != nil {
		return nil, err
	}
	left, err := existing(ctx, []place{{collections.Records(caller.MSP), ledger.PrivateVersionKey(request.Record, request.Version)}})
	if err != nil {
		return nil, err
	}
	purged, err := purge(ctx, left)
	if err != nil {
		return nil, err
	}
	return purged, emitStaged(ctx, "record:Unstage", request, caller)
}

// checkNextVersion lets the custodian stage the newest version again and the one
// after it.
func checkNextVersion(ctx *ledger.Context, caller ledger.Caller, request consent.VersionRequest) error {
	record, found, err := ledger.Get[consent.Record](ctx, ledger.RecordKey(request.Record))
	if err != nil {
		return err
	}
	if found {
		if err := mayKeep(caller, record); err != nil {
			return err
		}
		if record.Status != consent.RecordActive {
			return codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", record.Status)
		}
	}
	if request.Version > record.Versions+1 {
		return codes.Errorf("MF-VERSION-NUMBER", "the newest version is %d; stage version %d", record.Versions, record.Versions+1)
	}
	return nil
}

// checkStaged refuses to change the private part of a version that is public.
func checkStaged(ctx *ledger.Context, staged consent.Staged) error {
	version, public, err := ledger.Get[consent.Version](ctx, ledger.VersionKey(staged.Record, staged.Version))
	if err == nil && public && version.Digest != staged.Digest {
		err = codes.Errorf("MF-VERSION-EXISTS", "version %d exists with another content; add a new version", staged.Version)
	}
	return err
}

// emitStaged sets the one event of a transaction on a version's private part.
func emitStaged(ctx *ledger.Context, name string, request consent.VersionRequest, caller ledger.Caller) error {
	return ctx.Emit(consent.Event{Record: request.Record, Version: request.Version, Custodian: caller.MSP, Actor: caller.ID})
}

// Register makes a record public with its staged version 1. Caller: an officer
// of the custodian.
func (*RecordContract) Register(ctx *ledger.Context, request consent.RegisterRequest) (*consent.Record, error) {
	caller, now, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	for _, err := range []error{consent.CheckRecordID(request.Record), consent.CheckKind(request.Kind), consent.CheckPseudonym(request.Patient)} {
		if err != nil {
			return nil, err
		}
	}
	record := consent.Record{
		Record: request.Record, Kind: request.Kind, Custodian: caller.MSP, Patient: caller.MSP + "/" + request.Patient,
		Status: consent.RecordActive, Versions: 1, RegisteredAt: now, ChangedAt: now, ChangedBy: caller.ID,
	}
	version := consent.Version{
		Record: request.Record, Version: 1, Digest: request.Digest, Size: request.Size, Holders: request.Holders,
		AddedAt: now, AddedBy: caller.ID,
	}
	first, found, err := ledger.Get[consent.Record](ctx, ledger.RecordKey(request.Record))
	if err != nil {
		return nil, err
	}
	if found {
		if first.Kind != record.Kind || first.Custodian != record.Custodian || first.Patient != record.Patient {
			return nil, codes.Errorf("MF-RECORD-EXISTS", "there is another record of that identifier; draw a new one")
		}
		if _, err := sameVersion(ctx, version); err != nil {
			return nil, err
		}
		return &first, emitRecord(ctx, "record:Register", first, 1, caller)
	}
	if err := putVersion(ctx, record, version); err != nil {
		return nil, err
	}
	for _, index := range []ledger.Key{ledger.RecordOfPatientKey(record.Patient, record.Record), ledger.RecordOfHospitalKey(record.Custodian, record.Record)} {
		if err := ledger.Put(ctx, index, ledger.Reference{ID: record.Record}); err != nil {
			return nil, err
		}
	}
	return &record, emitRecord(ctx, "record:Register", record, 1, caller)
}

// AddVersion makes the record's staged next version public. Caller: an officer
// of the custodian.
func (*RecordContract) AddVersion(ctx *ledger.Context, request consent.AddVersionRequest) (*consent.Version, error) {
	caller, now, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	record, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := mayKeep(caller, record); err != nil {
		return nil, err
	}
	version := consent.Version{
		Record: request.Record, Version: request.Version, Digest: request.Digest, Size: request.Size, Holders: request.Holders,
		AddedAt: now, AddedBy: caller.ID,
	}
	if request.Version >= 1 && request.Version <= record.Versions {
		first, err := sameVersion(ctx, version)
		if err != nil {
			return nil, err
		}
		return &first, emitRecord(ctx, "record:AddVersion", record, first.Version, caller)
	}
	if record.Status != consent.RecordActive {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", record.Status)
	}
	if request.Version != record.Versions+1 {
		return nil, codes.Errorf("MF-VERSION-NUMBER", "the newest version is %d; add version %d", record.Versions, record.Versions+1)
	}
	record.Versions, record.ChangedAt, record.ChangedBy = request.Version, max(now, record.ChangedAt), caller.ID
	if err := putVersion(ctx, record, version); err != nil {
		return nil, err
	}
	return &version, emitRecord(ctx, "record:AddVersion", record, version.Version, caller)
}

// sameVersion reads a version that is already public and refuses another content.
func sameVersion(ctx *ledger.Context, version consent.Version) (consent.Version, error) {
	first, err := readVersion(ctx, version.Record, version.Version)
	if err != nil {
		return first, err
	}
	if first.Digest != version.Digest || first.Size != version.Size || !slices.Equal(first.Holders, version.Holders) {
		return first, codes.Errorf("MF-VERSION-EXISTS", "version %d exists with another content; add a new version", version.Version)
	}
	return first, nil
}

// putVersion writes a new version with its record, once the collection holds
// what its digest says.
func putVersion(ctx *ledger.Context, record consent.Record, version consent.Version) error {
	if err := consent.CheckVersion(version, record.Custodian); err != nil {
		return err
	}
	staged, err := ledger.PrivateDigest(ctx, collections.Records(record.Custodian), ledger.PrivateVersionKey(record.Record, version.Version))
	if err != nil {
		return err
	}
	if staged != version.Digest {
		return codes.Errorf("MF-RECORD-NOT-STAGED", "the custodian's collection does not hold the private part of this digest; stage version %d first", version.Version)
	}
	if err := ledger.Put(ctx, ledger.VersionKey(record.Record, version.Version), version); err != nil {
		return err
	}
	return putRecord(ctx, record)
}

// putRecord writes a record and, in the custodian's collection, the custody
// document that asks for the endorsement of the custodian's own peer.
func putRecord(ctx *ledger.Context, record consent.Record) error {
	if err := ledger.Put(ctx, ledger.RecordKey(record.Record), record); err != nil {
		return err
	}
	custody := consent.Custody{Record: record.Record, Versions: record.Versions, Status: record.Status}
	return ledger.PutPrivate(ctx, collections.Records(record.Custodian), ledger.CustodyKey(record.Record), custody)
}

// Deprecate ends new versions and new consents of a record; what was consented
// to goes on. Caller: an officer of the custodian.
func (*RecordContract) Deprecate(ctx *ledger.Context, request consent.RecordRequest) (*consent.Record, error) {
	caller, now, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	record, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := mayKeep(caller, record); err != nil {
		return nil, err
	}
	if record.Status != consent.RecordDeprecated {
		if err := moveRecord(&record, consent.RecordDeprecated, caller, now); err != nil {
			return nil, err
		}
		if err := putRecord(ctx, record); err != nil {
			return nil, err
		}
	}
	return &record, emitRecord(ctx, "record:Deprecate", record, 0, caller)
}

// Get gives a record. Caller: anyone with a role.
func (*RecordContract) Get(ctx *ledger.Context, request consent.RecordRequest) (*consent.Record, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	record, err := readRecord(ctx, request.Record)
	return &record, err
}

// List gives one page of the records of a patient or a custodian.
func (*RecordContract) List(ctx *ledger.Context, request consent.PageRequest) (*consent.RecordPage, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient, ledger.RoleAuditor)
	if err != nil {
		return nil, err
	}
	var list ledger.Prefix
	switch request.By {
	case "patient":
		err = mayList(caller, caller.Role == ledger.RolePatient && caller.ID == request.Value)
		list = ledger.RecordsOfPatient(request.Value)
	case "custodian":
		err = mayList(caller, caller.Role == ledger.RoleCustodian && caller.MSP == request.Value)
		list = ledger.RecordsOfHospital(request.Value)
	default:
		err = codes.Errorf("MF-LIST-UNKNOWN", "records are not listed by that; list them by patient or custodian")
	}
	if err != nil {
		return nil, err
	}
	references, bookmark, err := ledger.Page[ledger.Reference](ctx, list, request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	page := consent.RecordPage{Records: []consent.Record{}, Bookmark: bookmark}
	for _, reference := range references {
		record, err := readRecord(ctx, reference.ID)
		if err != nil {
			return nil, err
		}
		page.Records = append(page.Records, record)
	}
	return &page, nil
}

// ListVersions gives one page of a record's versions, oldest first. Caller:
// anyone with a role.
func (*RecordContract) ListVersions(ctx *ledger.Context, request consent.VersionsRequest) (*consent.VersionPage, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	if _, err := readRecord(ctx, request.Record); err != nil {
		return nil, err
	}
	versions, bookmark, err := ledger.Page[consent.Version](ctx, ledger.Versions(request.Record), request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	return &consent.VersionPage{Versions: versions, Bookmark: bookmark}, nil
}

// GetPrivate gives the private part of a version. It is evaluated on the
// custodian's peer: no other has it, so no majority could endorse it. Caller: an
// officer of the custodian, or the patient.
func (*RecordContract) GetPrivate(ctx *ledger.Context, request consent.VersionRequest) (*consent.PrivateVersion, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient)
	if err != nil {
		return nil, err
	}
	record, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := mayDecide(caller, record); err != nil {
		return nil, err
	}
	private, found, err := ledger.GetPrivate[consent.PrivateVersion](ctx, collections.Records(record.Custodian), ledger.PrivateVersionKey(request.Record, request.Version))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, codes.Errorf("MF-VERSION-UNKNOWN", "the custodian's collection holds nothing of version %d; see the record's versions", request.Version)
	}
	return &private, nil
}

// enterCustodian begins a public transaction of a custodian's officer.
func enterCustodian(ctx *ledger.Context) (ledger.Caller, int64, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian)
	if err != nil {
		return caller, 0, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return caller, 0, err
	}
	now, err := ctx.Now()
	return caller, now, err
}

// mayKeep lets officers of the record's custodian pass.
func mayKeep(caller ledger.Caller, record consent.Record) error {
	if caller.Role == ledger.RoleCustodian && caller.MSP == record.Custodian {
		return nil
	}
	return codes.Errorf("MF-RECORD-DENIED", "%s is no officer of %s, the record's custodian; ask one of them", caller.ID, record.Custodian)
}

// mayDecide lets officers of the record's custodian and the patient pass.
func mayDecide(caller ledger.Caller, record consent.Record) error {
	if caller.Role == ledger.RolePatient && caller.ID == record.Patient {
		return nil
	}
	return mayKeep(caller, record)
}

// mayList lets an auditor pass, and others where the list is their own.
func mayList(caller ledger.Caller, own bool) error {
	if own || caller.Role == ledger.RoleAuditor {
		return nil
	}
	return codes.Errorf("MF-LIST-DENIED", "%s asks for a list of others; ask for your own, or ask an auditor", caller.ID)
}

// anyRole lets everyone pass who has a role of the consortium.
func anyRole(ctx *ledger.Context) error {
	_, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient, ledger.RoleRequester, ledger.RoleAuditor, ledger.RoleCoordinator, ledger.RoleTrainer)
	return err
}

// readRecord reads a record that must be there.
func readRecord(ctx *ledger.Context, id string) (consent.Record, error) {
	if err := consent.CheckRecordID(id); err != nil {
		return consent.Record{}, err
	}
	record, found, err := ledger.Get[consent.Record](ctx, ledger.RecordKey(id))
	if err == nil && !found {
		err = codes.Errorf("MF-RECORD-UNKNOWN", "there is no record %s; see the list of records", id)
	}
	return record, err
}

// readVersion reads a version that must be there.
func readVersion(ctx *ledger.Context, record string, number int) (consent.Version, error) {
	version, found, err := ledger.Get[consent.Version](ctx, ledger.VersionKey(record, number))
	if err == nil && !found {
		err = codes.Errorf("MF-VERSION-UNKNOWN", "the record has no version %d; see its versions", number)
	}
	return version, err
}

// moveRecord changes a record's status, if the table has the move.
func moveRecord(record *consent.Record, to consent.RecordStatus, caller ledger.Caller, now int64) error {
	if !record.Status.CanMoveTo(to) {
		return codes.Errorf("MF-RECORD-STATUS", "the record is %s and can't become %s; see the record", record.Status, to)
	}
	record.Status, record.ChangedAt, record.ChangedBy = to, max(now, record.ChangedAt), caller.ID
	return nil
}

// emitRecord sets the one event of a record's transaction.
func emitRecord(ctx *ledger.Context, name string, record consent.Record, version int, caller ledger.Caller) error {
	return ctx.Emit(consent.Event{
		Record: record.Record, Version: version, Custodian: record.Custodian, Patient: record.Patient,
		Status: string(record.Status), Actor: caller.ID,
	})
}
