package contract

import (
	"slices"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/collections"
)

// accessContract is the name before the colon in access:RequestAccess.
const accessContract = "access"

// AccessContract decides the use of a consent and guards the grants. A use is
// two steps: RequestAccess is submitted, decides and is logged for ever; then
// ReadGrant is evaluated. A submitted transaction's response lies on the ledger
// for ever, and a chaincode can't tell the two ways apart; but only the
// custodian's peer can answer ReadGrant, so no majority ever endorses it.
type AccessContract struct{ contractapi.Contract }

// NewAccessContract makes the contract.
func NewAccessContract() *AccessContract {
	return &AccessContract{newContract(accessContract, "Access", "Uses of consents, permitted or denied, and the grants they are for.")}
}

// GetEvaluateTransactions names the queries.
func (*AccessContract) GetEvaluateTransactions() []string { return evaluated(accessContract) }

// RequestAccess decides one use of a consent, fail closed, and logs the permit
// or the denial with its code: a denial is a success of this transaction. One that
// is endorsed before the consent's end and committed after it stays a permit in
// the log, of the time it was endorsed at; ReadGrant gives nothing by it. Caller:
// a requester.
func (*AccessContract) RequestAccess(ctx *ledger.Context, request consent.AccessRequest) (*consent.Access, error) {
	return onConsent(ctx, request, consent.RequestAccess)
}

// PutGrant puts what the grantee needs to open one version, encrypted to the grantee,
// into the custodian's grants collection; transient field "grant", a
// consent.GrantInput. It is endorsed by the custodian's peer. Caller: an officer of
// the custodian, or the patient, who can open the version too.
func (*AccessContract) PutGrant(ctx *ledger.Context, request consent.GrantRequest) (*consent.GrantDigest, error) {
	var input consent.GrantInput
	l, call, err := enterPrivate(ctx, "grant", &input, consortium.RoleCustodian, consortium.RolePatient)
	if err != nil {
		return nil, err
	}
	if err := record.CheckSealed(input.Sealed); err != nil {
		return nil, err
	}
	grantable, change, err := consent.PutGrant(l, call, request)
	if err != nil {
		return nil, err
	}
	grant := grantable.Grant(input)
	key := ledger.GrantKey(grant.Consent, grant.Agreement, grant.Version, string(grant.Writer))
	if err := ledger.PutPrivate(ctx, collections.Grants(grantable.Consent.Custodian), key, grant); err != nil {
		return nil, err
	}
	return &consent.GrantDigest{Writer: grant.Writer, Digest: form.Digest(grant)}, ctx.Emit(change.Event)
}

// ReadGrant gives the grants of a permitted access, as long as the consent still
// permits it. It is evaluated on the custodian's peer. Caller: the grantee who
// requested the access.
func (*AccessContract) ReadGrant(ctx *ledger.Context, request consent.ReadGrantRequest) ([]consent.Grant, error) {
	call, err := ctx.Call()
	if err != nil {
		return nil, err
	}
	access, err := consent.StillPermitted(ledger.Records{Reader: ctx}, call, request.Access)
	if err != nil {
		return nil, err
	}
	grants := []consent.Grant{}
	for _, writer := range consent.Writers() {
		key := ledger.GrantKey(access.Consent, access.Agreement, access.Version, string(writer))
		grant, found, err := ledger.GetPrivate[consent.Grant](ctx, collections.Grants(access.Custodian), key)
		if err != nil {
			return nil, err
		}
		if found {
			grants = append(grants, grant)
		}
	}
	if len(grants) == 0 {
		return nil, codes.Errorf("MF-GRANT-MISSING", "neither the custodian nor the patient has wrapped the key of version %d yet; wait, or ask them", access.Version)
	}
	return grants, nil
}

// GetGrantDigests gives the public hashes of the grants of an access: with them
// a grantee checks on a peer it trusts what the custodian's peer answered.
// Caller: the grantee who requested the access.
func (*AccessContract) GetGrantDigests(ctx *ledger.Context, request consent.ReadGrantRequest) ([]consent.GrantDigest, error) {
	caller, err := ctx.CallerAs(consortium.RoleRequester)
	if err != nil {
		return nil, err
	}
	access, err := consent.FindAccess(ledger.Records{Reader: ctx}, request.Access)
	if err != nil {
		return nil, err
	}
	if access.Grantee != caller.ID || access.Decision != consent.Permit {
		return nil, codes.Errorf("MF-ACCESS-DENIED", "%s has no permit by this access; request your own", caller.ID)
	}
	digests := []consent.GrantDigest{}
	for _, writer := range consent.Writers() {
		key := ledger.GrantKey(access.Consent, access.Agreement, access.Version, string(writer))
		digest, err := ctx.ReadHash(collections.Grants(access.Custodian), key)
		if err != nil {
			return nil, err
		}
		if digest != "" {
			digests = append(digests, consent.GrantDigest{Writer: writer, Digest: digest})
		}
	}
	return digests, nil
}

// PurgeGrants removes the grants and private terms of a consent that permits
// nothing any more. It is endorsed by the custodian's peer. Caller: an officer of
// the custodian, or the patient.
func (*AccessContract) PurgeGrants(ctx *ledger.Context, request consent.ConsentRequest) (*record.Purged, error) {
	l, call, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	rec, change, err := consent.PurgeGrants(l, call, request)
	if err != nil {
		return nil, err
	}
	left, err := l.PrivateOfConsent(rec, request.Consent)
	if err != nil {
		return nil, err
	}
	return purge(ctx, left, change.Event)
}

// Get gives one access. Caller: its grantee, its patient, an officer of its
// custodian, or an auditor.
func (*AccessContract) Get(ctx *ledger.Context, request consent.ReadGrantRequest) (*consent.Access, error) {
	caller, err := ctx.CallerAs(consortium.RoleRequester, consortium.RolePatient, consortium.RoleCustodian, consortium.RoleAuditor)
	if err != nil {
		return nil, err
	}
	access, err := consent.FindAccess(ledger.Records{Reader: ctx}, request.Access)
	if err != nil {
		return nil, err
	}
	own := slices.Contains([]string{access.Grantee, access.Patient}, caller.ID)
	officer := caller.Role == consortium.RoleCustodian && caller.MSP == access.Custodian
	return &access, mayList(caller, own || officer)
}
