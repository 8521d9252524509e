package contract

import (
	"slices"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
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
	return &RecordContract{newContract(recordContract, "Records", "Patients' health records, their versions and their erasure.")}
}

// GetEvaluateTransactions names the queries.
func (*RecordContract) GetEvaluateTransactions() []string { return evaluated(recordContract) }

// Stage puts the private part of a record's next version into the custodian's
// collection; transient field "version", a record.PrivateVersion. Caller: an
// officer of the custodian.
func (*RecordContract) Stage(ctx *ledger.Context, request record.VersionRequest) (*record.Staged, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian)
	if err != nil {
		return nil, err
	}
	var private record.PrivateVersion
	if err := ledger.Transient(ctx, "version", &private); err != nil {
		return nil, err
	}
	if err := record.CheckPrivateVersion(private); err != nil {
		return nil, err
	}
	if private.Record != request.Record || private.Version != request.Version {
		return nil, codes.Errorf("MF-PRIVATE-INVALID", "the transient version is of another record or number than the argument; send the two for the same version")
	}
	if err := checkNextVersion(ctx, caller, request); err != nil {
		return nil, err
	}
	staged := record.Staged{Record: request.Record, Version: request.Version, Digest: form.Digest(private)}
	if err := checkStaged(ctx, staged); err != nil {
		return nil, err
	}
	key := ledger.PrivateVersionKey(request.Record, request.Version)
	if err := ledger.PutPrivate(ctx, collections.Records(caller.MSP), key, private); err != nil {
		return nil, err
	}
	return &staged, emitStaged(ctx, request, caller)
}

// Unstage purges the private part of a version that was never made public.
// Caller: an officer of the custodian.
func (*RecordContract) Unstage(ctx *ledger.Context, request record.VersionRequest) (*record.Purged, error) {
	caller, _, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	if err := record.CheckRecordID(request.Record); err != nil {
		return nil, err
	}
	if err := checkStaged(ctx, record.Staged{Record: request.Record, Version: request.Version}); err != nil {
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
	return purged, emitStaged(ctx, request, caller)
}

// checkNextVersion lets the custodian stage the newest version again and the one
// after it.
func checkNextVersion(ctx *ledger.Context, caller ledger.Caller, request record.VersionRequest) error {
	rec, found, err := ledger.Get[record.Record](ctx, ledger.RecordKey(request.Record))
	if err != nil {
		return err
	}
	if found {
		if err := mayKeep(caller, rec); err != nil {
			return err
		}
		if rec.Status != record.Active {
			return codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", rec.Status)
		}
	}
	if request.Version > rec.Versions+1 {
		return codes.Errorf("MF-VERSION-NUMBER", "the newest version is %d; stage version %d", rec.Versions, rec.Versions+1)
	}
	return nil
}

// checkStaged refuses to change the private part of a version that is public.
func checkStaged(ctx *ledger.Context, staged record.Staged) error {
	version, public, err := ledger.Get[record.Version](ctx, ledger.VersionKey(staged.Record, staged.Version))
	if err == nil && public && version.Digest != staged.Digest {
		err = codes.Errorf("MF-VERSION-EXISTS", "version %d exists with another content; add a new version", staged.Version)
	}
	return err
}

// emitStaged sets the one event of a transaction on a version's private part.
func emitStaged(ctx *ledger.Context, request record.VersionRequest, caller ledger.Caller) error {
	return ctx.Emit(consent.Event{Record: request.Record, Version: request.Version, Custodian: caller.MSP, Actor: caller.ID})
}

// Register makes a record public with its staged version 1. Caller: an officer
// of the custodian.
func (*RecordContract) Register(ctx *ledger.Context, request record.RegisterRequest) (*record.Record, error) {
	caller, now, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	for _, err := range []error{record.CheckRecordID(request.Record), record.CheckKind(request.Kind), record.CheckPseudonym(request.Patient)} {
		if err != nil {
			return nil, err
		}
	}
	rec := record.Record{
		Record: request.Record, Kind: request.Kind, Custodian: caller.MSP, Patient: caller.MSP + "/" + request.Patient,
		Status: record.Active, Versions: 1, RegisteredAt: now, ChangedAt: now, ChangedBy: caller.ID,
	}
	version := record.Version{
		Record: request.Record, Version: 1, Digest: request.Digest, Size: request.Size, Holders: request.Holders,
		AddedAt: now, AddedBy: caller.ID,
	}
	first, found, err := ledger.Get[record.Record](ctx, ledger.RecordKey(request.Record))
	if err != nil {
		return nil, err
	}
	if found {
		if first.Kind != rec.Kind || first.Custodian != rec.Custodian || first.Patient != rec.Patient {
			return nil, codes.Errorf("MF-RECORD-EXISTS", "there is another record of that identifier; draw a new one")
		}
		if _, err := sameVersion(ctx, version); err != nil {
			return nil, err
		}
		return &first, emitRecord(ctx, first, 1, caller)
	}
	if err := putVersion(ctx, rec, version); err != nil {
		return nil, err
	}
	for _, index := range []ledger.Key{ledger.RecordOfPatientKey(rec.Patient, rec.Record), ledger.RecordOfHospitalKey(rec.Custodian, rec.Record)} {
		if err := ledger.Put(ctx, index, ledger.Reference{ID: rec.Record}); err != nil {
			return nil, err
		}
	}
	return &rec, emitRecord(ctx, rec, 1, caller)
}

// AddVersion makes the record's staged next version public. Caller: an officer
// of the custodian.
func (*RecordContract) AddVersion(ctx *ledger.Context, request record.AddVersionRequest) (*record.Version, error) {
	caller, now, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := mayKeep(caller, rec); err != nil {
		return nil, err
	}
	version := record.Version{
		Record: request.Record, Version: request.Version, Digest: request.Digest, Size: request.Size, Holders: request.Holders,
		AddedAt: now, AddedBy: caller.ID,
	}
	if request.Version >= 1 && request.Version <= rec.Versions {
		first, err := sameVersion(ctx, version)
		if err != nil {
			return nil, err
		}
		return &first, emitRecord(ctx, rec, first.Version, caller)
	}
	if rec.Status != record.Active {
		return nil, codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", rec.Status)
	}
	if request.Version != rec.Versions+1 {
		return nil, codes.Errorf("MF-VERSION-NUMBER", "the newest version is %d; add version %d", rec.Versions, rec.Versions+1)
	}
	rec.Versions, rec.ChangedAt, rec.ChangedBy = request.Version, max(now, rec.ChangedAt), caller.ID
	if err := putVersion(ctx, rec, version); err != nil {
		return nil, err
	}
	return &version, emitRecord(ctx, rec, version.Version, caller)
}

// sameVersion reads a version that is already public and refuses another content.
func sameVersion(ctx *ledger.Context, version record.Version) (record.Version, error) {
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
func putVersion(ctx *ledger.Context, rec record.Record, version record.Version) error {
	if err := record.CheckVersion(version, rec.Custodian); err != nil {
		return err
	}
	staged, err := ledger.PrivateDigest(ctx, collections.Records(rec.Custodian), ledger.PrivateVersionKey(rec.Record, version.Version))
	if err != nil {
		return err
	}
	if staged != version.Digest {
		return codes.Errorf("MF-RECORD-NOT-STAGED", "the custodian's collection does not hold the private part of this digest; stage version %d first", version.Version)
	}
	if err := ledger.Put(ctx, ledger.VersionKey(rec.Record, version.Version), version); err != nil {
		return err
	}
	return putRecord(ctx, rec)
}

// putRecord writes a record and, in the custodian's collection, the custody
// document that asks for the endorsement of the custodian's own peer.
func putRecord(ctx *ledger.Context, rec record.Record) error {
	if err := ledger.Put(ctx, ledger.RecordKey(rec.Record), rec); err != nil {
		return err
	}
	custody := record.Custody{Record: rec.Record, Versions: rec.Versions, Status: rec.Status}
	return ledger.PutPrivate(ctx, collections.Records(rec.Custodian), ledger.CustodyKey(rec.Record), custody)
}

// Deprecate ends new versions and new consents of a record; what was consented
// to goes on. Caller: an officer of the custodian.
func (*RecordContract) Deprecate(ctx *ledger.Context, request record.RecordRequest) (*record.Record, error) {
	caller, now, err := enterCustodian(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := mayKeep(caller, rec); err != nil {
		return nil, err
	}
	if rec.Status != record.Deprecated {
		if err := moveRecord(&rec, record.Deprecated, caller, now); err != nil {
			return nil, err
		}
		if err := putRecord(ctx, rec); err != nil {
			return nil, err
		}
	}
	return &rec, emitRecord(ctx, rec, 0, caller)
}

// Get gives a record. Caller: anyone with a role.
func (*RecordContract) Get(ctx *ledger.Context, request record.RecordRequest) (*record.Record, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	rec, err := readRecord(ctx, request.Record)
	return &rec, err
}

// List gives one page of the records of a patient or a custodian.
func (*RecordContract) List(ctx *ledger.Context, request record.PageRequest) (*record.RecordPage, error) {
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
	page := record.RecordPage{Records: []record.Record{}, Bookmark: bookmark}
	for _, reference := range references {
		rec, err := readRecord(ctx, reference.ID)
		if err != nil {
			return nil, err
		}
		page.Records = append(page.Records, rec)
	}
	return &page, nil
}

// GetVersion gives the public part of one version. Caller: anyone with a role.
func (*RecordContract) GetVersion(ctx *ledger.Context, request record.VersionRequest) (*record.Version, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	if _, err := readRecord(ctx, request.Record); err != nil {
		return nil, err
	}
	version, err := readVersion(ctx, request.Record, request.Version)
	if err != nil {
		return nil, err
	}
	return &version, nil
}

// ListVersions gives one page of a record's versions, oldest first. Caller:
// anyone with a role.
func (*RecordContract) ListVersions(ctx *ledger.Context, request record.VersionsRequest) (*record.VersionPage, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	if _, err := readRecord(ctx, request.Record); err != nil {
		return nil, err
	}
	versions, bookmark, err := ledger.Page[record.Version](ctx, ledger.Versions(request.Record), request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	return &record.VersionPage{Versions: versions, Bookmark: bookmark}, nil
}

// GetPrivate gives the private part of a version. It is evaluated on the
// custodian's peer: no other has it, so no majority could endorse it. Caller: an
// officer of the custodian, or the patient.
func (*RecordContract) GetPrivate(ctx *ledger.Context, request record.VersionRequest) (*record.PrivateVersion, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient)
	if err != nil {
		return nil, err
	}
	rec, err := readRecord(ctx, request.Record)
	if err != nil {
		return nil, err
	}
	if err := mayDecide(caller, rec); err != nil {
		return nil, err
	}
	private, found, err := ledger.GetPrivate[record.PrivateVersion](ctx, collections.Records(rec.Custodian), ledger.PrivateVersionKey(request.Record, request.Version))
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
func mayKeep(caller ledger.Caller, rec record.Record) error {
	if caller.Role == ledger.RoleCustodian && caller.MSP == rec.Custodian {
		return nil
	}
	return codes.Errorf("MF-RECORD-DENIED", "%s is no officer of %s, the record's custodian; ask one of them", caller.ID, rec.Custodian)
}

// mayDecide lets officers of the record's custodian and the patient pass.
func mayDecide(caller ledger.Caller, rec record.Record) error {
	if caller.Role == ledger.RolePatient && caller.ID == rec.Patient {
		return nil
	}
	return mayKeep(caller, rec)
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
func readRecord(ctx *ledger.Context, id string) (record.Record, error) {
	if err := record.CheckRecordID(id); err != nil {
		return record.Record{}, err
	}
	rec, found, err := ledger.Get[record.Record](ctx, ledger.RecordKey(id))
	if err == nil && !found {
		err = codes.Errorf("MF-RECORD-UNKNOWN", "there is no record %s; see the list of records", id)
	}
	return rec, err
}

// readVersion reads a version that must be there.
func readVersion(ctx *ledger.Context, rec string, number int) (record.Version, error) {
	version, found, err := ledger.Get[record.Version](ctx, ledger.VersionKey(rec, number))
	if err == nil && !found {
		err = codes.Errorf("MF-VERSION-UNKNOWN", "the record has no version %d; see its versions", number)
	}
	return version, err
}

// moveRecord changes a record's status, if the table has the move.
func moveRecord(rec *record.Record, to record.Status, caller ledger.Caller, now int64) error {
	if !rec.Status.CanMoveTo(to) {
		return codes.Errorf("MF-RECORD-STATUS", "the record is %s and can't become %s; see the record", rec.Status, to)
	}
	rec.Status, rec.ChangedAt, rec.ChangedBy = to, max(now, rec.ChangedAt), caller.ID
	return nil
}

// emitRecord sets the one event of a record's transaction.
func emitRecord(ctx *ledger.Context, rec record.Record, version int, caller ledger.Caller) error {
	return ctx.Emit(consent.Event{
		Record: rec.Record, Version: version, Custodian: rec.Custodian, Patient: rec.Patient,
		Status: string(rec.Status), Actor: caller.ID,
	})
}
