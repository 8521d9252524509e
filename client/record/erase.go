package record

import (
	"context"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
)

// Erased is how far an erasure has come, and what the other holders' nodes must
// forget. CIDs are for those holders alone.
type Erased struct {
	record.Erasure
	CIDs []string `json:"cids"`
}

// Erase begins the erasure of a record, or goes on with it: every node of the
// client forgets the ciphertexts, which is seen on each, the custodian's collections
// are purged, the keys of what they held are deleted, an officer attests for the own
// organisation, and once every member has attested the erasure is complete. Repeating it
// is safe. Caller: an officer of the custodian, who needs Keys, or the patient, who can't
// attest for the hospital and needs Key: all nodes of Own, Others, Public and PublicErased
// are to forget.
func (c *Client) Erase(ctx context.Context, rec string) (Erased, error) {
	erased := Erased{CIDs: []string{}}
	public, err := c.Ledger.Records.RequestErasure(ctx, record.ErasureRequest{Record: rec, Members: append([]string{}, c.Members...)})
	if err != nil {
		return erased, err
	}
	// The CIDs are known only until the purge.
	if erased.CIDs, err = c.cids(ctx, public); err != nil {
		return erased, err
	}
	if err := forget(ctx, c.nodes(), erased.CIDs...); err != nil {
		return erased, err
	}
	if _, err := c.Ledger.Records.Purge(ctx, record.RecordRequest{Record: rec}); err != nil {
		return erased, err
	}
	if c.Role == consortium.RoleCustodian {
		if _, err := c.attest(ctx, public); err != nil {
			return erased, err
		}
	}
	_, err = c.Ledger.Records.CompleteErasure(ctx, record.RecordRequest{Record: rec})
	if err != nil && codes.Of(err) != "MF-ERASURE-UNATTESTED" {
		return erased, err
	}
	erased.Erasure, err = c.Ledger.Records.GetErasure(ctx, record.RecordRequest{Record: rec})
	return erased, err
}

// cids are the ciphertexts of all versions that the custodian's collection still
// knows.
func (c *Client) cids(ctx context.Context, rec record.Record) ([]string, error) {
	found := []string{}
	for number := 1; number <= rec.Versions; number++ {
		sealed, err := c.Ledger.Records.GetPrivate(ctx, rec.Custodian, record.VersionRequest{Record: rec.Record, Version: number})
		if codes.Of(err) == "MF-VERSION-UNKNOWN" { // purged before
			continue
		}
		if err != nil {
			return nil, err
		}
		private, err := c.open(ctx, sealed)
		if err != nil {
			return nil, err
		}
		found = append(found, private.CID)
	}
	return found, nil
}

// Attest makes the own node, and the public ones that the organisation sees to, forget the
// ciphertexts of a record and signs that they have. A holder names as many as it holds
// versions, unless they are dropped already: it does not sign for what it was not told of,
// MF-ERASURE-CIDS. Where not all are named, the nodes remove whatever is not pinned: a copy
// stays behind wherever a file went through. Caller: an officer or the coordinator of a
// member. Needs Own, and Keys where the member is the custodian.
func (c *Client) Attest(ctx context.Context, rec string, cids []string, dropped bool) (record.Attestation, error) {
	if err := c.needOwn(); err != nil {
		return record.Attestation{}, err
	}
	public, err := c.Ledger.Records.Get(ctx, record.RecordRequest{Record: rec})
	if err != nil {
		return record.Attestation{}, err
	}
	versions, err := c.Versions(ctx, rec)
	if err != nil {
		return record.Attestation{}, err
	}
	held := slices.DeleteFunc(versions, func(v record.Version) bool { return !slices.Contains(v.Holders, c.MSP) })
	named := slices.Compact(slices.Sorted(slices.Values(cids)))
	if len(named) < len(held) && !dropped {
		return record.Attestation{}, codes.Errorf("MF-ERASURE-CIDS", "%s holds %d versions and %d ciphertexts are named; name those that the custodian's erasure printed, or say that they are dropped already", c.MSP, len(held), len(named))
	}
	if err := forget(ctx, c.nodes(), named...); err != nil {
		return record.Attestation{}, err
	}
	if len(named) < len(versions) {
		if err := c.collect(ctx); err != nil {
			return record.Attestation{}, err
		}
	}
	return c.attest(ctx, public)
}

// attest signs for the own organisation. That of the custodian has deleted the keys of
// what its collections held before, which makes worthless what old files of its peer's
// data bases keep.
func (c *Client) attest(ctx context.Context, rec record.Record) (record.Attestation, error) {
	if rec.Custodian == c.MSP && !rec.Status.Accessible() {
		if err := c.needKeys(); err != nil {
			return record.Attestation{}, err
		}
		if err := c.Keys.Delete(rec.Record); err != nil {
			return record.Attestation{}, err
		}
	}
	return c.Ledger.Records.AttestErasure(ctx, record.RecordRequest{Record: rec.Record})
}
