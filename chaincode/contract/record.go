package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
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
// collection; transient field "version", a record.SealedVersion. Caller: an
// officer of the custodian.
func (*RecordContract) Stage(ctx *ledger.Context, request record.VersionRequest) (*record.Staged, error) {
	var private record.SealedVersion
	l, call, err := enterPrivate(ctx, "version", &private, consortium.RoleCustodian)
	if err != nil {
		return nil, err
	}
	if err := record.CheckStaged(private, request); err != nil {
		return nil, err
	}
	stageable, change, err := record.Stage(l, call, request)
	if err != nil {
		return nil, err
	}
	staged, err := stageable.Stage(private)
	if err != nil {
		return nil, err
	}
	key := ledger.PrivateVersionKey(request.Record, request.Version)
	if err := ledger.PutPrivate(ctx, collections.Records(call.MSP), key, private); err != nil {
		return nil, err
	}
	return &staged, ctx.Emit(change.Event)
}

// Unstage purges the private part of a version that was never made public.
// Caller: an officer of the custodian.
func (*RecordContract) Unstage(ctx *ledger.Context, request record.VersionRequest) (*record.Purged, error) {
	l, call, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	_, change, err := record.Unstage(l, call, request)
	if err != nil {
		return nil, err
	}
	left, err := l.Existing(ledger.Place{Collection: collections.Records(call.MSP), Key: ledger.PrivateVersionKey(request.Record, request.Version)})
	if err != nil {
		return nil, err
	}
	return purge(ctx, left, change.Event)
}

// Register makes a record public with its staged version 1. Caller: an officer
// of the custodian.
func (*RecordContract) Register(ctx *ledger.Context, request record.RegisterRequest) (*record.Record, error) {
	if err := record.CheckContentDigest(request.Content); err != nil {
		return nil, err
	}
	return onRecord(ctx, request, record.Register)
}

// AddVersion makes the record's staged next version public. Caller: an officer
// of the custodian.
func (*RecordContract) AddVersion(ctx *ledger.Context, request record.AddVersionRequest) (*record.Version, error) {
	if err := record.CheckContentDigest(request.Content); err != nil {
		return nil, err
	}
	return onRecord(ctx, request, record.AddVersion)
}

// Deprecate ends new versions and new consents of a record; what was consented
// to goes on. Caller: an officer of the custodian.
func (*RecordContract) Deprecate(ctx *ledger.Context, request record.RecordRequest) (*record.Record, error) {
	return onRecord(ctx, request, record.Deprecate)
}

// Get gives a record. Caller: anyone with a role.
func (*RecordContract) Get(ctx *ledger.Context, request record.RecordRequest) (*record.Record, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	rec, err := record.Find(ledger.Records{Reader: ctx}, request.Record)
	return &rec, err
}

// List gives one page of the records of a patient or a custodian.
func (*RecordContract) List(ctx *ledger.Context, request record.PageRequest) (*record.RecordPage, error) {
	caller, err := ctx.CallerAs(consortium.RoleCustodian, consortium.RolePatient, consortium.RoleAuditor)
	if err != nil {
		return nil, err
	}
	var list ledger.Prefix
	switch request.By {
	case "patient":
		err = mayList(caller, caller.Role == consortium.RolePatient && caller.ID == request.Value)
		list = ledger.RecordsOfPatient(request.Value)
	case "custodian":
		err = mayList(caller, caller.Role == consortium.RoleCustodian && caller.MSP == request.Value)
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
		rec, err := record.Find(ledger.Records{Reader: ctx}, reference.ID)
		if err != nil {
			return nil, err
		}
		page.Records = append(page.Records, rec)
	}
	return &page, nil
}

// GetVersion gives a version of a record. Caller: anyone with a role.
func (*RecordContract) GetVersion(ctx *ledger.Context, request record.VersionRequest) (*record.Version, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	l := ledger.Records{Reader: ctx}
	if _, err := record.Find(l, request.Record); err != nil {
		return nil, err
	}
	version, err := record.FindVersion(l, request.Record, request.Version)
	return &version, err
}

// ListVersions gives one page of a record's versions, oldest first. Caller:
// anyone with a role.
func (*RecordContract) ListVersions(ctx *ledger.Context, request record.VersionsRequest) (*record.VersionPage, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	if _, err := record.Find(ledger.Records{Reader: ctx}, request.Record); err != nil {
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
func (*RecordContract) GetPrivate(ctx *ledger.Context, request record.VersionRequest) (*record.SealedVersion, error) {
	caller, err := ctx.CallerAs(consortium.RoleCustodian, consortium.RolePatient)
	if err != nil {
		return nil, err
	}
	rec, err := record.Find(ledger.Records{Reader: ctx}, request.Record)
	if err != nil {
		return nil, err
	}
	if err := rec.MayDecide(caller); err != nil {
		return nil, err
	}
	private, found, err := ledger.GetPrivate[record.SealedVersion](ctx, collections.Records(rec.Custodian), ledger.PrivateVersionKey(request.Record, request.Version))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, codes.Errorf("MF-VERSION-UNKNOWN", "the custodian's collection holds nothing of version %d; see the record's versions", request.Version)
	}
	return &private, nil
}

// mayList lets an auditor pass, and others where the list is their own.
func mayList(caller consortium.Caller, own bool) error {
	if own || caller.Role == consortium.RoleAuditor {
		return nil
	}
	return codes.Errorf("MF-LIST-DENIED", "%s asks for a list of others; ask for your own, or ask an auditor", caller.ID)
}

// anyRole lets everyone pass who has a role of the consortium.
func anyRole(ctx *ledger.Context) error {
	_, err := ctx.CallerAs(consortium.Roles()...)
	return err
}
