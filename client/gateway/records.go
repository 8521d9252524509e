package gateway

import (
	"context"
	"iter"

	"github.com/medfed/medfed/chaincode/consent"
)

// Records are the transactions of the contract record.
type Records struct{ PrivateCaller }

// Stage puts the private part of a version into the custodian's collection.
// Caller: an officer of the custodian.
func (r Records) Stage(ctx context.Context, custodian string, version consent.PrivateVersion) (consent.Staged, error) {
	return stage(ctx, r, custodian, consent.VersionRequest{Record: version.Record, Version: version.Version}, version)
}

// Unstage purges the private part of a version that was never made public. Like
// the other purges it carries nothing private and is endorsed by the majority
// besides the custodian's peer: one that finds nothing to purge writes nothing,
// and then the chaincode's own policy counts.
func (r Records) Unstage(ctx context.Context, version consent.VersionRequest) (consent.Purged, error) {
	return unstage(ctx, r, version)
}

// Register makes a record public with its staged version 1.
func (r Records) Register(ctx context.Context, record consent.RegisterRequest) (consent.Record, error) {
	return register(ctx, r, record)
}

// AddVersion makes the staged next version public.
func (r Records) AddVersion(ctx context.Context, version consent.AddVersionRequest) (consent.Version, error) {
	return addVersion(ctx, r, version)
}

// Deprecate ends new versions and new consents of a record.
func (r Records) Deprecate(ctx context.Context, record consent.RecordRequest) (consent.Record, error) {
	return deprecate(ctx, r, record)
}

// RequestErasure ends all access to a record and begins its erasure. Caller: an
// officer of the custodian, or the patient.
func (r Records) RequestErasure(ctx context.Context, record consent.ErasureRequest) (consent.Record, error) {
	return requestErasure(ctx, r, record)
}

// Purge removes everything private of a record from the custodian's collections.
func (r Records) Purge(ctx context.Context, record consent.RecordRequest) (consent.Purged, error) {
	return purge(ctx, r, record)
}

// AttestErasure signs that the caller's organisation has dropped a record.
func (r Records) AttestErasure(ctx context.Context, record consent.RecordRequest) (consent.Attestation, error) {
	return attestErasure(ctx, r, record)
}

// CompleteErasure ends the erasure when nothing private is left and every member
// has attested.
func (r Records) CompleteErasure(ctx context.Context, record consent.RecordRequest) (consent.Record, error) {
	return completeErasure(ctx, r, record)
}

// GetErasure gives how far an erasure has come.
func (r Records) GetErasure(ctx context.Context, record consent.RecordRequest) (consent.Erasure, error) {
	return getErasure(ctx, r, record)
}

// Get gives a record.
func (r Records) Get(ctx context.Context, record consent.RecordRequest) (consent.Record, error) {
	return getRecord(ctx, r, record)
}

// List gives the records of a patient or a custodian.
func (r Records) List(ctx context.Context, by, value string) iter.Seq2[consent.Record, error] {
	return pages(func(bookmark string) ([]consent.Record, string, error) {
		page, err := listRecords(ctx, r, consent.PageRequest{By: by, Value: value, Bookmark: bookmark, PageSize: pageSize})
		return page.Records, page.Bookmark, err
	})
}

// ListVersions gives a record's versions, oldest first.
func (r Records) ListVersions(ctx context.Context, record string) iter.Seq2[consent.Version, error] {
	return pages(func(bookmark string) ([]consent.Version, string, error) {
		page, err := listVersions(ctx, r, consent.VersionsRequest{Record: record, Bookmark: bookmark, PageSize: pageSize})
		return page.Versions, page.Bookmark, err
	})
}

// GetPrivate gives the private part of a version, from the custodian's peer.
// Caller: an officer of the custodian, or the patient.
func (r Records) GetPrivate(ctx context.Context, custodian string, version consent.VersionRequest) (consent.PrivateVersion, error) {
	return getPrivate(ctx, r, custodian, version)
}
