package contract

import (
	"strings"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// directoryContract is the name before the colon in directory:Publish.
const directoryContract = "directory"

// DirectoryContract says what to encrypt to for whom: every identity publishes its
// own age recipient, by its own certificate. What is wrapped for a hospital is
// wrapped for a key that its officers hold together; that key's private half lies,
// wrapped for each of them, in the hospital's own collection.
type DirectoryContract struct{ contractapi.Contract }

// NewDirectoryContract makes the contract.
func NewDirectoryContract() *DirectoryContract {
	return &DirectoryContract{newContract(directoryContract, "Directory", "The age recipients that identities publish for themselves, and the keys that a hospital's officers share.")}
}

// GetEvaluateTransactions names the queries.
func (*DirectoryContract) GetEvaluateTransactions() []string { return evaluated(directoryContract) }

// Publish enters the caller's age recipient. Caller: anyone with a role, for
// themselves alone.
func (*DirectoryContract) Publish(ctx *ledger.Context, request record.PublishRequest) (*record.Recipient, error) {
	return onRecord(ctx, request, record.Publish)
}

// Retire ends an entry: nothing more is encrypted to it. Caller: whose it is, or
// for an officer another officer of the same organisation.
func (*DirectoryContract) Retire(ctx *ledger.Context, request record.RetireRequest) (*record.Recipient, error) {
	return onRecord(ctx, request, record.Retire)
}

// Get gives an identity's entry. Caller: anyone with a role.
func (*DirectoryContract) Get(ctx *ledger.Context, request record.RecipientRequest) (*record.Recipient, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	msp, name, _ := strings.Cut(request.Identity, "/")
	entry, err := record.FindRecipient(ledger.Records{Reader: ctx}, msp, request.Role, name)
	return &entry, err
}

// ListOfficers gives one page of the entries of a hospital's officers, by name.
// Caller: anyone with a role.
func (*DirectoryContract) ListOfficers(ctx *ledger.Context, request record.OfficersRequest) (*record.RecipientPage, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	list := ledger.RecipientsOfRole(request.MSP, string(consortium.RoleCustodian))
	recipients, bookmark, err := ledger.Page[record.Recipient](ctx, list, request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	return &record.RecipientPage{Recipients: recipients, Bookmark: bookmark}, nil
}

// PutHospitalKey puts a key that the hospital's officers hold together into its
// records collection; transient field "key", a record.HospitalKey. The same
// number again shares the same key anew, for instance with a new officer. It is
// endorsed by the hospital's peer. Caller: an officer.
func (*DirectoryContract) PutHospitalKey(ctx *ledger.Context, request record.HospitalKeyRequest) (*record.HospitalKeyDigest, error) {
	var key record.HospitalKey
	l, call, err := enterPrivate(ctx, "key", &key, consortium.RoleCustodian)
	if err != nil {
		return nil, err
	}
	_, change, err := record.PutHospitalKey(l, call, request)
	if err != nil {
		return nil, err
	}
	if err := record.CheckHospitalKey(key, request); err != nil {
		return nil, err
	}
	same, follows, err := readHospitalKey(ctx, call.MSP, key.Number)
	if err != nil {
		return nil, err
	}
	if err := record.CheckNextHospitalKey(key, same, follows); err != nil {
		return nil, err
	}
	if err := ledger.PutPrivate(ctx, collections.Records(call.MSP), ledger.HospitalKeyKey(key.Number), key); err != nil {
		return nil, err
	}
	return &record.HospitalKeyDigest{Number: key.Number, Digest: form.Digest(key)}, ctx.Emit(change.Event)
}

// readHospitalKey reads the key of a number, nil for none, and reports whether there
// is the one before it.
func readHospitalKey(ctx *ledger.Context, msp string, number int) (same *record.HospitalKey, follows bool, err error) {
	key, found, err := ledger.GetPrivate[record.HospitalKey](ctx, collections.Records(msp), ledger.HospitalKeyKey(number))
	if err != nil {
		return nil, false, err
	}
	if found {
		return &key, true, nil
	}
	before, err := ctx.ReadHash(collections.Records(msp), ledger.HospitalKeyKey(number-1))
	return nil, before != "", err
}

// ListHospitalKeys gives a hospital's shared keys, oldest first. It is evaluated
// on the hospital's peer. Caller: an officer of the hospital.
func (*DirectoryContract) ListHospitalKeys(ctx *ledger.Context, request record.HospitalRequest) ([]record.HospitalKey, error) {
	caller, err := ctx.CallerAs(consortium.RoleCustodian)
	if err != nil {
		return nil, err
	}
	if caller.MSP != request.MSP {
		return nil, codes.Errorf("MF-RECIPIENT-DENIED", "%s is no officer of that hospital; ask one of them", caller.ID)
	}
	keys := []record.HospitalKey{}
	for number := 1; ; number++ {
		key, found, err := ledger.GetPrivate[record.HospitalKey](ctx, collections.Records(caller.MSP), ledger.HospitalKeyKey(number))
		if err != nil || !found {
			return keys, err
		}
		keys = append(keys, key)
	}
}
