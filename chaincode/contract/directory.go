package contract

import (
	"strings"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
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
	caller, err := enterDirectory(ctx)
	if err != nil {
		return nil, err
	}
	if err := form.CheckRecipient(request.Recipient); err != nil {
		return nil, err
	}
	if caller.Role == ledger.RolePatient {
		if err := record.CheckPseudonym(caller.Name); err != nil {
			return nil, err
		}
	}
	return changeRecipient(ctx, caller, record.Recipient{
		Identity: caller.ID, Role: string(caller.Role), Number: request.Number, Recipient: request.Recipient,
	})
}

// Retire ends an entry: nothing more is encrypted to it. Caller: whose it is, or
// for an officer another officer of the same organisation.
func (*DirectoryContract) Retire(ctx *ledger.Context, request record.RetireRequest) (*record.Recipient, error) {
	caller, err := enterDirectory(ctx)
	if err != nil {
		return nil, err
	}
	own := request.Name == caller.Name && request.Role == string(caller.Role)
	colleague := caller.Role == ledger.RoleCustodian && request.Role == string(ledger.RoleCustodian)
	if !own && !colleague {
		return nil, codes.Errorf("MF-RECIPIENT-DENIED", "%s retires its own entry, and an officer those of other officers of %s; ask whose it is", caller.ID, caller.MSP)
	}
	if _, err := readRecipient(ctx, caller.MSP, request.Role, request.Name); err != nil {
		return nil, err
	}
	return changeRecipient(ctx, caller, record.Recipient{
		Identity: caller.MSP + "/" + request.Name, Role: request.Role, Number: request.Number,
	})
}

// enterDirectory begins a public transaction on the directory.
func enterDirectory(ctx *ledger.Context) (ledger.Caller, error) {
	if err := anyRole(ctx); err != nil {
		return ledger.Caller{}, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return ledger.Caller{}, err
	}
	return ctx.Caller()
}

// changeRecipient writes an entry that comes after the newest, in the caller's own
// organisation. The newest again is a success.
func changeRecipient(ctx *ledger.Context, caller ledger.Caller, entry record.Recipient) (*record.Recipient, error) {
	_, who, _ := strings.Cut(entry.Identity, "/")
	key := ledger.RecipientKey(caller.MSP, entry.Role, who)
	newest, _, err := ledger.Get[record.Recipient](ctx, key)
	if err != nil {
		return nil, err
	}
	event := consent.Event{Actor: caller.ID, Status: "published"}
	if entry.Recipient == "" {
		event.Status = "retired"
	}
	if entry.Number == newest.Number && entry.Recipient == newest.Recipient && newest.Number > 0 {
		return &newest, ctx.Emit(event)
	}
	if entry.Number != newest.Number+1 {
		return nil, codes.Errorf("MF-RECIPIENT-NUMBER", "the newest entry is %d; send entry %d", newest.Number, newest.Number+1)
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	entry.ChangedAt, entry.ChangedBy = max(now, newest.ChangedAt), caller.ID
	if err := ledger.Put(ctx, key, entry); err != nil {
		return nil, err
	}
	return &entry, ctx.Emit(event)
}

// Get gives an identity's entry. Caller: anyone with a role.
func (*DirectoryContract) Get(ctx *ledger.Context, request record.RecipientRequest) (*record.Recipient, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	msp, name, _ := strings.Cut(request.Identity, "/")
	entry, err := readRecipient(ctx, msp, request.Role, name)
	return &entry, err
}

// readRecipient reads an entry that must be there.
func readRecipient(ctx *ledger.Context, msp, role, name string) (record.Recipient, error) {
	entry, found, err := ledger.Get[record.Recipient](ctx, ledger.RecipientKey(msp, role, name))
	if err == nil && !found {
		err = codes.Errorf("MF-RECIPIENT-UNKNOWN", "%s/%s has published no age recipient as %s; ask for it to be published", msp, name, role)
	}
	return entry, err
}

// ListOfficers gives one page of the entries of a hospital's officers, by name.
// Caller: anyone with a role.
func (*DirectoryContract) ListOfficers(ctx *ledger.Context, request record.OfficersRequest) (*record.RecipientPage, error) {
	if err := anyRole(ctx); err != nil {
		return nil, err
	}
	list := ledger.RecipientsOfRole(request.MSP, string(ledger.RoleCustodian))
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
	caller, err := ctx.CallerAs(ledger.RoleCustodian)
	if err != nil {
		return nil, err
	}
	var key record.HospitalKey
	if err := ledger.Transient(ctx, "key", &key); err != nil {
		return nil, err
	}
	if key.Number != request.Number {
		return nil, codes.Errorf("MF-PRIVATE-INVALID", "the transient key is of another number than the argument; send the two for the same key")
	}
	if err := record.CheckHospitalKey(key); err != nil {
		return nil, err
	}
	if err := form.CheckRecipient(key.Recipient); err != nil {
		return nil, err
	}
	same, follows, err := readHospitalKey(ctx, caller.MSP, key.Number)
	if err != nil {
		return nil, err
	}
	if err := record.CheckNextHospitalKey(key, same, follows); err != nil {
		return nil, err
	}
	if err := ledger.PutPrivate(ctx, collections.Records(caller.MSP), ledger.HospitalKeyKey(key.Number), key); err != nil {
		return nil, err
	}
	digest := record.HospitalKeyDigest{Number: key.Number, Digest: form.Digest(key)}
	return &digest, ctx.Emit(consent.Event{Custodian: caller.MSP, Actor: caller.ID})
}

// readHospitalKey reads the key of a number, nil for none, and tells whether there
// is the one before it.
func readHospitalKey(ctx *ledger.Context, msp string, number int) (same *record.HospitalKey, follows bool, err error) {
	key, found, err := ledger.GetPrivate[record.HospitalKey](ctx, collections.Records(msp), ledger.HospitalKeyKey(number))
	if err != nil {
		return nil, false, err
	}
	if found {
		return &key, true, nil
	}
	before, err := ledger.PrivateDigest(ctx, collections.Records(msp), ledger.HospitalKeyKey(number-1))
	return nil, before != "", err
}

// ListHospitalKeys gives a hospital's shared keys, oldest first. It is evaluated
// on the hospital's peer. Caller: an officer of the hospital.
func (*DirectoryContract) ListHospitalKeys(ctx *ledger.Context, request record.HospitalRequest) ([]record.HospitalKey, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian)
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
