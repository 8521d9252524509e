package gateway

import (
	"context"
	"iter"

	"github.com/medfed/medfed/chaincode/record"
)

// Records are the transactions of the contract record.
type Records struct{ PrivateCaller }

// Stage puts the sealed private part of a version into the custodian's collection.
// Caller: an officer of the custodian.
func (r Records) Stage(ctx context.Context, custodian string, version record.SealedVersion) (record.Staged, error) {
	return stage(ctx, r, custodian, record.VersionRequest{Record: version.Record, Version: version.Version}, version)
}

// Unstage purges the private part of a version that was never made public. Like
// the other purges it carries nothing private and is endorsed by the majority
// besides the custodian's peer: one that finds nothing to purge writes nothing,
// and then the chaincode's own policy counts.
func (r Records) Unstage(ctx context.Context, version record.VersionRequest) (record.Purged, error) {
	return unstage(ctx, r, version)
}

// Register makes a record public with its staged version 1.
func (r Records) Register(ctx context.Context, rec record.RegisterRequest) (record.Record, error) {
	return register(ctx, r, rec)
}

// AddVersion makes the staged next version public.
func (r Records) AddVersion(ctx context.Context, version record.AddVersionRequest) (record.Version, error) {
	return addVersion(ctx, r, version)
}

// Deprecate ends new versions and new consents of a record.
func (r Records) Deprecate(ctx context.Context, rec record.RecordRequest) (record.Record, error) {
	return deprecate(ctx, r, rec)
}

// RequestErasure ends all access to a record and begins its erasure. Caller: an
// officer of the custodian, or the patient.
func (r Records) RequestErasure(ctx context.Context, rec record.ErasureRequest) (record.Record, error) {
	return requestErasure(ctx, r, rec)
}

// Purge removes everything private of a record from the custodian's collections.
func (r Records) Purge(ctx context.Context, rec record.RecordRequest) (record.Purged, error) {
	return purge(ctx, r, rec)
}

// AttestErasure signs that the caller's organisation has dropped a record.
func (r Records) AttestErasure(ctx context.Context, rec record.RecordRequest) (record.Attestation, error) {
	return attestErasure(ctx, r, rec)
}

// CompleteErasure ends the erasure when nothing private is left and every member
// has attested.
func (r Records) CompleteErasure(ctx context.Context, rec record.RecordRequest) (record.Record, error) {
	return completeErasure(ctx, r, rec)
}

// GetErasure gives how far an erasure has come.
func (r Records) GetErasure(ctx context.Context, rec record.RecordRequest) (record.Erasure, error) {
	return getErasure(ctx, r, rec)
}

// Get gives a record.
func (r Records) Get(ctx context.Context, rec record.RecordRequest) (record.Record, error) {
	return getRecord(ctx, r, rec)
}

// List gives the records of a patient or a custodian.
func (r Records) List(ctx context.Context, by, value string) iter.Seq2[record.Record, error] {
	return pages(func(bookmark string) ([]record.Record, string, error) {
		page, err := listRecords(ctx, r, record.PageRequest{By: by, Value: value, Bookmark: bookmark, PageSize: pageSize})
		return page.Records, page.Bookmark, err
	})
}

// GetVersion gives the public part of one version.
func (r Records) GetVersion(ctx context.Context, version record.VersionRequest) (record.Version, error) {
	return getVersion(ctx, r, version)
}

// ListVersions gives a record's versions, oldest first.
func (r Records) ListVersions(ctx context.Context, rec string) iter.Seq2[record.Version, error] {
	return pages(func(bookmark string) ([]record.Version, string, error) {
		page, err := listVersions(ctx, r, record.VersionsRequest{Record: rec, Bookmark: bookmark, PageSize: pageSize})
		return page.Versions, page.Bookmark, err
	})
}

// GetPrivate gives the sealed private part of a version, from the custodian's peer.
// Caller: an officer of the custodian, or the patient.
func (r Records) GetPrivate(ctx context.Context, custodian string, version record.VersionRequest) (record.SealedVersion, error) {
	return getPrivate(ctx, r, custodian, version)
}
