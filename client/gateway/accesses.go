package gateway

import (
	"context"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

// Accesses are the transactions of the contract access.
type Accesses struct{ PrivateCaller }

// RequestAccess has the ledger decide and log one use of a consent; a denial is
// no error. Caller: a requester.
func (a Accesses) RequestAccess(ctx context.Context, access consent.AccessRequest) (consent.Access, error) {
	return requestAccess(ctx, a, access)
}

// PutGrant puts a grant, sealed for the grantee, into the custodian's collection.
// Caller: an officer of the custodian, or the patient.
func (a Accesses) PutGrant(ctx context.Context, custodian string, version consent.GrantRequest, grant consent.GrantInput) (consent.GrantDigest, error) {
	return putGrant(ctx, a, custodian, version, grant)
}

// PurgeGrants removes the grants and private terms of a consent that permits
// nothing any more. Caller: an officer of the custodian, or the patient.
func (a Accesses) PurgeGrants(ctx context.Context, r consent.ConsentRequest) (record.Purged, error) {
	return purgeGrants(ctx, a, r)
}

// ReadGrant gives the grants of a permitted access, from the custodian's peer.
func (a Accesses) ReadGrant(ctx context.Context, custodian string, access consent.ReadGrantRequest) ([]consent.Grant, error) {
	return readGrant(ctx, a, custodian, access)
}

// GetGrantDigests gives the public hashes of an access's grants.
func (a Accesses) GetGrantDigests(ctx context.Context, access consent.ReadGrantRequest) ([]consent.GrantDigest, error) {
	return getGrantDigests(ctx, a, access)
}

// Get gives one access.
func (a Accesses) Get(ctx context.Context, access consent.ReadGrantRequest) (consent.Access, error) {
	return getAccess(ctx, a, access)
}
