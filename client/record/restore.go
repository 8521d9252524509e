package record

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/record"
)

// restoreTime bounds the search for one file among the nodes of the swarm.
const restoreTime = 5 * time.Second

// Restored says what a hospital's node keeps again after it has lost its repository.
type Restored struct {
	Pinned  int      `json:"pinned"`  // versions whose ciphertext is on the node
	Removed int      `json:"removed"` // files of additions that were killed before the ledger heard of them
	Missing []string `json:"missing"` // versions, "r-… version n", whose ciphertext, private part or key nobody gives
}

// Restore pins again, on the own node, the ciphertexts of all records whose custodian
// the officer's hospital is, from whichever node still holds them. Records that are
// erased, or are being erased, are left out: what is to be forgotten does not come
// back. What additions left that were killed before the ledger heard of them, a day ago or
// more, is removed from the nodes of Own and Others. It may be repeated. Needs Own.
func (c *Client) Restore(ctx context.Context) (Restored, error) {
	done := Restored{Missing: []string{}}
	if err := c.needOwn(); err != nil {
		return done, err
	}
	known := map[record.VersionRequest]bool{}
	for rec, err := range c.Ledger.Records.List(ctx, "custodian", c.MSP) {
		if err != nil {
			return done, err
		}
		for number := 1; number <= rec.Versions; number++ {
			known[record.VersionRequest{Record: rec.Record, Version: number}] = true
		}
		if rec.Status == record.Erasing || rec.Status == record.Erased {
			continue
		}
		versions, err := c.Versions(ctx, rec.Record)
		if err != nil {
			return done, err
		}
		for _, version := range versions {
			found, err := c.restoreVersion(ctx, version)
			switch {
			case err != nil:
				return done, err
			case found:
				done.Pinned++
			default:
				done.Missing = append(done.Missing, fmt.Sprintf("%s version %d", version.Record, version.Version))
			}
		}
	}
	var err error
	done.Removed, err = c.removeStray(ctx, known)
	return done, err
}

// absent are the codes of what nobody gives now.
var absent = []codes.Code{"MF-PRIVATE-READ", "MF-VERSION-UNKNOWN", "MF-KEYSTORE-MISSING", "MF-IPFS-NOT-FOUND", "MF-IPFS-TIMEOUT"}

// restoreVersion reports whether the own node has a version's ciphertext now.
func (c *Client) restoreVersion(ctx context.Context, version record.Version) (bool, error) {
	private, err := c.private(ctx, c.MSP, version)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, restoreTime)
		defer cancel()
		if err = c.Own.Pin(limited, private.CID); err != nil && limited.Err() != nil && ctx.Err() == nil {
			return false, nil
		}
	}
	if slices.Contains(absent, codes.Of(err)) {
		return false, nil
	}
	return err == nil, err
}
