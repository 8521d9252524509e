package gateway

import (
	"context"

	"github.com/medfed/medfed/chaincode/consent"
)

// Records are the chaincode's transactions on records, consents and accesses as
// typed calls. Every one is idempotent: repeating it returns the first result.
// Custodian is the MSP identifier of the hospital whose collections are meant.
type Records struct{ PrivateCaller }

// Records are the transactions through this gateway.
func (g *Gateway) Records() Records { return Records{g} }

func submitPrivate[T any](ctx context.Context, c PrivateCaller, custodian, name string, request any, private map[string]any) (result T, err error) {
	err = c.SubmitPrivate(ctx, custodian, name, request, private, &result)
	return result, err
}

func evaluateAt[T any](ctx context.Context, c PrivateCaller, custodian, name string, request any) (result T, err error) {
	err = c.EvaluateAt(ctx, custodian, name, request, &result)
	return result, err
}

// Stage puts the private part of a version into the custodian's collection.
// Caller: an officer of the custodian.
func (r Records) Stage(ctx context.Context, custodian string, version consent.PrivateVersion) (consent.Staged, error) {
	request := consent.VersionRequest{Record: version.Record, Version: version.Version}
	return submitPrivate[consent.Staged](ctx, r, custodian, "record:Stage", request, map[string]any{"version": version})
}

// Unstage purges the private part of a version that was never made public. Like
// the other purges it carries nothing private and is endorsed by the majority
// besides the custodian's peer: one that finds nothing to purge writes nothing,
// and then the chaincode's own policy counts.
func (r Records) Unstage(ctx context.Context, request consent.VersionRequest) (consent.Purged, error) {
	return submit[consent.Purged](ctx, r, "record:Unstage", request)
}

// Register makes a record public with its staged version 1.
func (r Records) Register(ctx context.Context, request consent.RegisterRequest) (consent.Record, error) {
	return submit[consent.Record](ctx, r, "record:Register", request)
}

// AddVersion makes the staged next version public.
func (r Records) AddVersion(ctx context.Context, request consent.AddVersionRequest) (consent.Version, error) {
	return submit[consent.Version](ctx, r, "record:AddVersion", request)
}

// Deprecate ends new versions and new consents of a record.
func (r Records) Deprecate(ctx context.Context, record string) (consent.Record, error) {
	return submit[consent.Record](ctx, r, "record:Deprecate", consent.RecordRequest{Record: record})
}

// RequestErasure ends all access to a record and begins its erasure. Caller: an
// officer of the custodian, or the patient.
func (r Records) RequestErasure(ctx context.Context, request consent.ErasureRequest) (consent.Record, error) {
	return submit[consent.Record](ctx, r, "record:RequestErasure", request)
}

// PurgeRecord removes everything private of a record from the custodian's
// collections.
func (r Records) PurgeRecord(ctx context.Context, record string) (consent.Purged, error) {
	return submit[consent.Purged](ctx, r, "record:Purge", consent.RecordRequest{Record: record})
}

// AttestErasure signs that the caller's organisation has dropped a record.
func (r Records) AttestErasure(ctx context.Context, record string) (consent.Attestation, error) {
	return submit[consent.Attestation](ctx, r, "record:AttestErasure", consent.RecordRequest{Record: record})
}

// CompleteErasure ends the erasure when nothing private is left and every member
// has attested.
func (r Records) CompleteErasure(ctx context.Context, record string) (consent.Record, error) {
	return submit[consent.Record](ctx, r, "record:CompleteErasure", consent.RecordRequest{Record: record})
}

// GetErasure gives how far an erasure has come.
func (r Records) GetErasure(ctx context.Context, record string) (consent.Erasure, error) {
	return evaluate[consent.Erasure](ctx, r, "record:GetErasure", consent.RecordRequest{Record: record})
}

// GetRecord gives a record.
func (r Records) GetRecord(ctx context.Context, record string) (consent.Record, error) {
	return evaluate[consent.Record](ctx, r, "record:Get", consent.RecordRequest{Record: record})
}

// ListRecords gives one page of the records of a patient or a custodian.
func (r Records) ListRecords(ctx context.Context, request consent.PageRequest) (consent.RecordPage, error) {
	return evaluate[consent.RecordPage](ctx, r, "record:List", request)
}

// ListVersions gives one page of a record's versions, oldest first.
func (r Records) ListVersions(ctx context.Context, request consent.VersionsRequest) (consent.VersionPage, error) {
	return evaluate[consent.VersionPage](ctx, r, "record:ListVersions", request)
}

// GetPrivate gives the private part of a version, from the custodian's peer.
// Caller: an officer of the custodian, or the patient.
func (r Records) GetPrivate(ctx context.Context, custodian string, request consent.VersionRequest) (consent.PrivateVersion, error) {
	return evaluateAt[consent.PrivateVersion](ctx, r, custodian, "record:GetPrivate", request)
}

// PublishRecipient enters the caller's age recipient in the directory.
func (r Records) PublishRecipient(ctx context.Context, request consent.PublishRequest) (consent.Recipient, error) {
	return submit[consent.Recipient](ctx, r, "directory:Publish", request)
}

// RetireRecipient ends an entry of the caller's organisation in the directory.
// Caller: whose it is, or an officer for another officer.
func (r Records) RetireRecipient(ctx context.Context, request consent.RetireRequest) (consent.Recipient, error) {
	return submit[consent.Recipient](ctx, r, "directory:Retire", request)
}

// GetRecipient gives an identity's entry in the directory.
func (r Records) GetRecipient(ctx context.Context, request consent.RecipientRequest) (consent.Recipient, error) {
	return evaluate[consent.Recipient](ctx, r, "directory:Get", request)
}

// ListOfficers gives one page of the entries of a hospital's officers.
func (r Records) ListOfficers(ctx context.Context, request consent.OfficersRequest) (consent.RecipientPage, error) {
	return evaluate[consent.RecipientPage](ctx, r, "directory:ListOfficers", request)
}

// PutHospitalKey puts a key that the hospital's officers hold together into its
// records collection. Caller: an officer of the hospital.
func (r Records) PutHospitalKey(ctx context.Context, hospital string, key consent.HospitalKey) (consent.HospitalKeyDigest, error) {
	request := consent.HospitalKeyRequest{Number: key.Number}
	return submitPrivate[consent.HospitalKeyDigest](ctx, r, hospital, "directory:PutHospitalKey", request, map[string]any{"key": key})
}

// ListHospitalKeys gives the keys that a hospital's officers hold together, oldest
// first, from the hospital's peer. Caller: an officer of the hospital.
func (r Records) ListHospitalKeys(ctx context.Context, hospital string) ([]consent.HospitalKey, error) {
	return evaluateAt[[]consent.HospitalKey](ctx, r, hospital, "directory:ListHospitalKeys", consent.HospitalRequest{MSP: hospital})
}

// RequestConsent begins a consent with the caller's first offer. Caller: a
// requester.
func (r Records) RequestConsent(ctx context.Context, request consent.AskRequest) (consent.Offer, error) {
	return submit[consent.Offer](ctx, r, "consent:Request", request)
}

// Counter makes the next offer while one is open. Caller: patient or grantee.
func (r Records) Counter(ctx context.Context, request consent.OfferRequest) (consent.Offer, error) {
	return submit[consent.Offer](ctx, r, "consent:Counter", request)
}

// Renew makes an offer for the next version of a consent. Caller: patient or
// grantee.
func (r Records) Renew(ctx context.Context, request consent.OfferRequest) (consent.Offer, error) {
	return submit[consent.Offer](ctx, r, "consent:Renew", request)
}

// Accept agrees to one exact offer. Caller: the side that did not make it.
func (r Records) Accept(ctx context.Context, request consent.AcceptRequest) (consent.Agreement, error) {
	return submit[consent.Agreement](ctx, r, "consent:Accept", request)
}

// Reject refuses the open offer. Caller: the side that did not make it.
func (r Records) Reject(ctx context.Context, request consent.AnswerRequest) (consent.Consent, error) {
	return submit[consent.Consent](ctx, r, "consent:Reject", request)
}

// Withdraw takes the open offer back. Caller: the side that made it.
func (r Records) Withdraw(ctx context.Context, request consent.AnswerRequest) (consent.Consent, error) {
	return submit[consent.Consent](ctx, r, "consent:Withdraw", request)
}

// Revoke ends everything agreed and offered in a consent. Caller: the patient.
func (r Records) Revoke(ctx context.Context, request consent.RevokeRequest) (consent.Revocation, error) {
	return submit[consent.Revocation](ctx, r, "consent:Revoke", request)
}

// MarkEnteredInError says that a consent should never have been; it is final.
// Caller: the patient.
func (r Records) MarkEnteredInError(ctx context.Context, id string) (consent.Revocation, error) {
	return submit[consent.Revocation](ctx, r, "consent:MarkEnteredInError", consent.ConsentRequest{Consent: id})
}

// PutTerms puts the private terms of an offer into the custodian's collection.
// Caller: the patient, or an officer of the custodian.
func (r Records) PutTerms(ctx context.Context, custodian string, terms consent.PrivateTerms) (consent.Offer, error) {
	request := consent.AnswerRequest{Consent: terms.Consent, Offer: terms.Offer}
	return submitPrivate[consent.Offer](ctx, r, custodian, "consent:PutTerms", request, map[string]any{"terms": terms})
}

// ReadTerms gives the private terms of an offer, from the custodian's peer.
func (r Records) ReadTerms(ctx context.Context, custodian string, request consent.AnswerRequest) (consent.PrivateTerms, error) {
	return evaluateAt[consent.PrivateTerms](ctx, r, custodian, "consent:ReadTerms", request)
}

// GetConsent gives everything the public ledger knows of a consent.
func (r Records) GetConsent(ctx context.Context, id string) (consent.State, error) {
	return evaluate[consent.State](ctx, r, "consent:Get", consent.ConsentRequest{Consent: id})
}

// ListConsents gives one page of the consents by patient, grantee or record.
func (r Records) ListConsents(ctx context.Context, request consent.PageRequest) (consent.Page, error) {
	return evaluate[consent.Page](ctx, r, "consent:List", request)
}

// RequestAccess has the ledger decide and log one use of a consent; a denial is
// no error. Caller: a requester.
func (r Records) RequestAccess(ctx context.Context, request consent.AccessRequest) (consent.Access, error) {
	return submit[consent.Access](ctx, r, "access:RequestAccess", request)
}

// PutGrant puts a wrapped key for the grantee into the custodian's collection.
// Caller: an officer of the custodian, or the patient.
func (r Records) PutGrant(ctx context.Context, custodian string, request consent.GrantRequest, input consent.GrantInput) (consent.GrantDigest, error) {
	return submitPrivate[consent.GrantDigest](ctx, r, custodian, "access:PutGrant", request, map[string]any{"grant": input})
}

// PurgeGrants removes the grants and private terms of a consent that permits
// nothing any more. Caller: an officer of the custodian, or the patient.
func (r Records) PurgeGrants(ctx context.Context, id string) (consent.Purged, error) {
	return submit[consent.Purged](ctx, r, "access:PurgeGrants", consent.ConsentRequest{Consent: id})
}

// ReadGrant gives the grants of a permitted access, from the custodian's peer.
func (r Records) ReadGrant(ctx context.Context, custodian, access string) ([]consent.Grant, error) {
	return evaluateAt[[]consent.Grant](ctx, r, custodian, "access:ReadGrant", consent.ReadGrantRequest{Access: access})
}

// GetGrantDigests gives the public hashes of an access's grants.
func (r Records) GetGrantDigests(ctx context.Context, access string) ([]consent.GrantDigest, error) {
	return evaluate[[]consent.GrantDigest](ctx, r, "access:GetGrantDigests", consent.ReadGrantRequest{Access: access})
}

// GetAccess gives one access.
func (r Records) GetAccess(ctx context.Context, access string) (consent.Access, error) {
	return evaluate[consent.Access](ctx, r, "access:Get", consent.ReadGrantRequest{Access: access})
}

// ListAccesses gives one page of accesses, newest first, denials included.
func (r Records) ListAccesses(ctx context.Context, request consent.AccessListRequest) (consent.AccessPage, error) {
	return evaluate[consent.AccessPage](ctx, r, "audit:ListAccesses", request)
}

// History gives the committed values of any key. Caller: an auditor.
func (r Records) History(ctx context.Context, request consent.HistoryRequest) (consent.History, error) {
	return evaluate[consent.History](ctx, r, "audit:History", request)
}
