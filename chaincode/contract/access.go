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
	caller, err := ctx.CallerAs(ledger.RoleRequester)
	if err != nil {
		return nil, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return nil, err
	}
	if err := checkAccessRequest(request); err != nil {
		return nil, err
	}
	first, found, err := ledger.Get[consent.Access](ctx, ledger.AccessKey(request.Access))
	if err != nil {
		return nil, err
	}
	if found {
		same := first.Grantee == caller.ID && request == consent.AccessRequest{
			Access: first.Access, Consent: first.Consent, Record: first.Record, Version: first.Version, Purpose: first.Purpose,
		}
		if !same {
			return nil, codes.Errorf("MF-ACCESS-EXISTS", "there is another access of that identifier; draw a new one")
		}
		return &first, emitAccess(ctx, first)
	}
	access, err := decide(ctx, caller, request)
	if err != nil {
		return nil, err
	}
	if err := putAccess(ctx, access); err != nil {
		return nil, err
	}
	return &access, emitAccess(ctx, access)
}

// checkAccessRequest refuses a request that could not be logged without letting
// any text into the log.
func checkAccessRequest(request consent.AccessRequest) error {
	for _, err := range []error{consent.CheckAccessID(request.Access), consent.CheckConsentID(request.Consent), record.CheckRecordID(request.Record)} {
		if err != nil {
			return err
		}
	}
	if !consent.IsPurpose(request.Purpose) {
		return codes.Errorf("MF-TERMS-PURPOSE", "the purpose is no code of HL7's PurposeOfUse; use one of the codes that medfed lists, for instance HRESCH")
	}
	return nil
}

// decide asks the rules about a use of a consent.
func decide(ctx *ledger.Context, caller ledger.Caller, request consent.AccessRequest) (consent.Access, error) {
	var given consent.Consent
	now, err := ctx.Now()
	if err != nil {
		return consent.Access{}, err
	}
	rec, _, err := ledger.Get[record.Record](ctx, ledger.RecordKey(request.Record))
	if err != nil {
		return consent.Access{}, err
	}
	known, err := ledger.Exists(ctx, ledger.ConsentKey(request.Consent))
	if err != nil {
		return consent.Access{}, err
	}
	if known {
		if given, _, err = readConsent(ctx, request.Consent); err != nil {
			return consent.Access{}, err
		}
	}
	return consent.Decide(given, rec, request, caller.ID, ctx.GetStub().GetTxID(), now, ledger.TimeWindow), nil
}

// putAccess logs an access under its own key and in every list it belongs to.
func putAccess(ctx *ledger.Context, access consent.Access) error {
	if err := ledger.Put(ctx, ledger.AccessKey(access.Access), access); err != nil {
		return err
	}
	for _, key := range ledger.AccessListKeys(access.Access, access.Patient, access.Record, access.Grantee, access.At) {
		if err := ledger.Put(ctx, key, access); err != nil {
			return err
		}
	}
	return nil
}

// PutGrant puts what the grantee needs to open one version into the custodian's
// grants collection: the CID from the custodian's records and, by transient field
// "grant", a consent.GrantInput, the key wrapped for the grantee. It is endorsed
// by the custodian's peer. Caller: an officer of the custodian, or the patient,
// who holds a wrap of the key too.
func (*AccessContract) PutGrant(ctx *ledger.Context, request consent.GrantRequest) (*consent.GrantDigest, error) {
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient)
	if err != nil {
		return nil, err
	}
	var input consent.GrantInput
	if err := ledger.Transient(ctx, "grant", &input); err != nil {
		return nil, err
	}
	if err := record.CheckWrap(input.Wrap); err != nil {
		return nil, err
	}
	if !form.IsHex32(input.Salt) {
		return nil, codes.Errorf("MF-PRIVATE-INVALID", "the salt is not 64 lower-case hexadecimal digits; send 32 random bytes")
	}
	_, rec, err := readConsented(ctx, request.Consent)
	if err != nil {
		return nil, err
	}
	if err := mayDecide(caller, rec); err != nil {
		return nil, err
	}
	given, err := inForce(ctx, rec, request)
	if err != nil {
		return nil, err
	}
	grant, err := makeGrant(ctx, given, request.Version, input)
	if err != nil {
		return nil, err
	}
	grant.Writer = consent.WriterCustodian
	if caller.Role == ledger.RolePatient {
		grant.Writer = consent.WriterPatient
	}
	key := ledger.GrantKey(grant.Consent, grant.Agreement, grant.Version, string(grant.Writer))
	if err := ledger.PutPrivate(ctx, collections.Grants(rec.Custodian), key, grant); err != nil {
		return nil, err
	}
	event := eventOf(given.Parties, given.Status, 0, caller)
	event.Version = grant.Version
	return &consent.GrantDigest{Writer: grant.Writer, Digest: form.Digest(grant)}, ctx.Emit(event)
}

// inForce reads a consent that permits its grantee a version for one of its
// purposes.
func inForce(ctx *ledger.Context, rec record.Record, request consent.GrantRequest) (consent.Consent, error) {
	given, _, err := readConsent(ctx, request.Consent)
	if err != nil {
		return given, err
	}
	now, err := ctx.Now()
	if err != nil {
		return given, err
	}
	use := consent.Use{Grantee: given.Grantee, Record: rec.Record, Version: request.Version}
	if given.Agreement != nil && len(given.Agreement.Terms.Purposes) > 0 {
		use.Purpose = given.Agreement.Terms.Purposes[0]
	}
	decision, code := consent.Permits(given, rec, use, max(now, given.ChangedAt), ledger.TimeWindow)
	if decision != consent.Permit && code != "MF-CONSENT-NOT-STARTED" { // a grant may be put before its period begins
		return given, codes.Errorf(code, "the consent permits its grantee nothing of version %d; grant what is agreed", request.Version)
	}
	return given, nil
}

// makeGrant completes a grant with what the custodian's records hold.
func makeGrant(ctx *ledger.Context, given consent.Consent, number int, input consent.GrantInput) (consent.Grant, error) {
	version, err := readVersion(ctx, given.Record, number)
	if err != nil {
		return consent.Grant{}, err
	}
	private, found, err := ledger.GetPrivate[record.PrivateVersion](ctx, collections.Records(given.Custodian), ledger.PrivateVersionKey(given.Record, number))
	if err != nil {
		return consent.Grant{}, err
	}
	if !found || form.Digest(private) != version.Digest {
		return consent.Grant{}, codes.Errorf("MF-LEDGER-CORRUPT", "the custodian's collection does not hold version %d; report this", number)
	}
	return consent.Grant{
		Consent: given.Consent, Agreement: given.Agreement.Version, Record: given.Record, Version: number,
		Grantee: given.Grantee, CID: private.CID, PlainDigest: private.PlainDigest, ContentType: private.ContentType,
		Size: version.Size, Wrap: input.Wrap, Salt: input.Salt,
	}, nil
}

// ReadGrant gives the grants of a permitted access, as long as the consent still
// permits it. It is evaluated on the custodian's peer. Caller: the grantee who
// requested the access.
func (*AccessContract) ReadGrant(ctx *ledger.Context, request consent.ReadGrantRequest) ([]consent.Grant, error) {
	caller, err := ctx.CallerAs(ledger.RoleRequester)
	if err != nil {
		return nil, err
	}
	access, err := stillPermitted(ctx, caller, request)
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

// stillPermitted reads a permitted access and asks the rules again: what was
// permitted may have been revoked or have expired since.
func stillPermitted(ctx *ledger.Context, caller ledger.Caller, request consent.ReadGrantRequest) (consent.Access, error) {
	access, err := readAccess(ctx, request.Access)
	if err != nil {
		return access, err
	}
	if access.Grantee != caller.ID {
		return access, codes.Errorf("MF-ACCESS-DENIED", "%s did not request this access; request your own", caller.ID)
	}
	if access.Decision != consent.Permit {
		return access, codes.Errorf("MF-ACCESS-DENIED", "the access was denied (%s); see the consent", access.Code)
	}
	now, err := ctx.Now()
	if err != nil {
		return access, err
	}
	if now+ledger.TimeWindow >= access.At+consent.AccessSeconds {
		return access, codes.Errorf("MF-ACCESS-OLD", "the access was requested more than %d seconds ago; request it again", consent.AccessSeconds-ledger.TimeWindow)
	}
	again, err := decide(ctx, caller, consent.AccessRequest{
		Access: access.Access, Consent: access.Consent, Record: access.Record, Version: access.Version, Purpose: access.Purpose,
	})
	if err != nil {
		return access, err
	}
	if again.Decision != consent.Permit {
		return access, codes.Errorf(codes.Code(again.Code), "the consent permits this no longer; see the consent")
	}
	if again.Agreement != access.Agreement {
		return access, codes.Errorf("MF-ACCESS-OLD", "the consent has been renewed since; request the access again")
	}
	return access, nil
}

// GetGrantDigests gives the public hashes of the grants of an access: with them
// a grantee checks on a peer it trusts what the custodian's peer answered.
// Caller: the grantee who requested the access.
func (*AccessContract) GetGrantDigests(ctx *ledger.Context, request consent.ReadGrantRequest) ([]consent.GrantDigest, error) {
	caller, err := ctx.CallerAs(ledger.RoleRequester)
	if err != nil {
		return nil, err
	}
	access, err := readAccess(ctx, request.Access)
	if err != nil {
		return nil, err
	}
	if access.Grantee != caller.ID || access.Decision != consent.Permit {
		return nil, codes.Errorf("MF-ACCESS-DENIED", "%s has no permit by this access; request your own", caller.ID)
	}
	digests := []consent.GrantDigest{}
	for _, writer := range consent.Writers() {
		key := ledger.GrantKey(access.Consent, access.Agreement, access.Version, string(writer))
		digest, err := ledger.PrivateDigest(ctx, collections.Grants(access.Custodian), key)
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
	caller, err := ctx.CallerAs(ledger.RoleCustodian, ledger.RolePatient)
	if err != nil {
		return nil, err
	}
	if err := ledger.NoTransient(ctx); err != nil {
		return nil, err
	}
	parties, rec, err := readConsented(ctx, request.Consent)
	if err != nil {
		return nil, err
	}
	if err := mayDecide(caller, rec); err != nil {
		return nil, err
	}
	now, err := ctx.Now()
	if err != nil {
		return nil, err
	}
	given, _, err := readConsent(ctx, request.Consent)
	if err != nil {
		return nil, err
	}
	// Expired beyond doubt: the window is taken away, not added.
	status := given.Seen(max(now, given.ChangedAt), -ledger.TimeWindow).Status
	if status == consent.StatusActive || given.Open != 0 {
		return nil, codes.Errorf("MF-CONSENT-STATUS", "the consent is %s with %d open offers; what is in force or on the table is not purged", status, openOffers(given))
	}
	remaining, err := privateOfConsent(ctx, rec, request.Consent)
	if err != nil {
		return nil, err
	}
	purged, err := purge(ctx, remaining)
	if err != nil {
		return nil, err
	}
	return purged, ctx.Emit(eventOf(parties, status, 0, caller))
}

func openOffers(c consent.Consent) int {
	if c.Open == 0 {
		return 0
	}
	return 1
}

// Get gives one access. Caller: its grantee, its patient, an officer of its
// custodian, or an auditor.
func (*AccessContract) Get(ctx *ledger.Context, request consent.ReadGrantRequest) (*consent.Access, error) {
	caller, err := ctx.CallerAs(ledger.RoleRequester, ledger.RolePatient, ledger.RoleCustodian, ledger.RoleAuditor)
	if err != nil {
		return nil, err
	}
	access, err := readAccess(ctx, request.Access)
	if err != nil {
		return nil, err
	}
	own := slices.Contains([]string{access.Grantee, access.Patient}, caller.ID)
	officer := caller.Role == ledger.RoleCustodian && caller.MSP == access.Custodian
	return &access, mayList(caller, own || officer)
}

// readAccess reads an access that must be there.
func readAccess(ctx *ledger.Context, id string) (consent.Access, error) {
	if err := consent.CheckAccessID(id); err != nil {
		return consent.Access{}, err
	}
	access, found, err := ledger.Get[consent.Access](ctx, ledger.AccessKey(id))
	if err == nil && !found {
		err = codes.Errorf("MF-ACCESS-UNKNOWN", "there is no access %s; request it first", id)
	}
	return access, err
}

// emitAccess sets the one event of an access.
func emitAccess(ctx *ledger.Context, access consent.Access) error {
	return ctx.Emit(consent.Event{
		Record: access.Record, Version: access.Version, Consent: access.Consent, Access: access.Access,
		Custodian: access.Custodian, Patient: access.Patient, Grantee: access.Grantee,
		Status: string(access.Decision), Code: access.Code, Actor: access.Grantee,
	})
}
