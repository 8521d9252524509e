package record

import (
	"context"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// Use is one use of a consent by its grantee.
type Use struct {
	Consent string
	Version int
	Purpose string // HL7 PurposeOfUse code
	Output  string // file to write
}

// Opened is what a use came to: the ledger's decision, and the file after a
// permit.
type Opened struct {
	Access consent.Access `json:"access"`
	File   *Fetched       `json:"file,omitempty"`
}

// Open asks the ledger for an access, which logs it whatever it decides, and
// after a permit reads the grant from the custodian's peer, checks it by the hash
// that every peer has and by the version's content digest, and fetches the file from the public IPFS. A denial is an
// error with the ledger's reason as its code; the access comes with it. Caller:
// the grantee. Needs Public and Key.
func (c *Client) Open(ctx context.Context, use Use) (Opened, error) {
	if err := c.needPublic(); err != nil {
		return Opened{}, err
	}
	state, err := c.Ledger.Consents.Get(ctx, consent.ConsentRequest{Consent: use.Consent})
	if err != nil {
		return Opened{}, err
	}
	access, err := c.Ledger.Accesses.RequestAccess(ctx, consent.AccessRequest{
		Access: NewAccessID(), Consent: use.Consent, Record: state.Consent.Record, Version: use.Version, Purpose: use.Purpose,
	})
	opened := Opened{Access: access}
	if err != nil {
		return opened, err
	}
	if access.Decision != consent.Permit {
		return opened, codes.Errorf(codes.Code(access.Code), "the ledger denied version %d for %s and logged it; see the consent", use.Version, use.Purpose)
	}
	version, err := c.Ledger.Records.GetVersion(ctx, record.VersionRequest{Record: access.Record, Version: access.Version})
	if err != nil {
		return opened, err
	}
	grant, key, err := c.grantOf(ctx, access, version)
	if err != nil {
		return opened, err
	}
	file := Fetched{Record: access.Record, Version: access.Version, ContentType: grant.ContentType, SHA256: grant.PlainDigest, File: use.Output}
	file.Size, err = c.fetch(ctx, c.Public, sealedFile{grant.CID, version.Size, grant.PlainDigest}, key, use.Output)
	if err == nil {
		opened.File = &file
	}
	return opened, err
}

// grantOf reads the grants of an access and gives the first that the ledger
// knows, that is for this access, that the identity can open, and that is of the file
// which the ledger says the version is.
func (c *Client) grantOf(ctx context.Context, access consent.Access, version record.Version) (PrivateGrant, *envelope.Identity, error) {
	if err := c.Ledger.Accesses.Await(ctx, access.Custodian, access.TxID); err != nil {
		return PrivateGrant{}, nil, err
	}
	grants, err := c.Ledger.Accesses.ReadGrant(ctx, access.Custodian, consent.ReadGrantRequest{Access: access.Access})
	if err != nil {
		return PrivateGrant{}, nil, err
	}
	known, err := c.Ledger.Accesses.GetGrantDigests(ctx, consent.ReadGrantRequest{Access: access.Access})
	if err != nil {
		return PrivateGrant{}, nil, err
	}
	err = codes.Errorf("MF-GRANT-FORGED", "no grant that the custodian's peer gave is one the ledger knows; try again in a moment, and then ask the custodian")
	for _, grant := range grants {
		if !slices.Contains(known, consent.GrantDigest{Writer: grant.Writer, Digest: form.Digest(grant)}) || !isFor(grant, access) {
			continue
		}
		var private PrivateGrant
		var key *envelope.Identity
		if private, key, err = c.openGrant(grant, version); err == nil {
			return private, key, nil
		}
	}
	return PrivateGrant{}, nil, err
}

// openGrant opens a grant and holds it against the version it is of.
func (c *Client) openGrant(grant consent.Grant, version record.Version) (PrivateGrant, *envelope.Identity, error) {
	private, err := envelope.OpenDocument[PrivateGrant](grant.Sealed, c.Key)
	if err != nil {
		return private, nil, err
	}
	if version.Content != "" && record.ContentDigest(private.Salt, private.CID, private.PlainDigest) != version.Content {
		return private, nil, codes.Errorf("MF-GRANT-FORGED", "the grant that the %s put is of another file than version %d, which the ledger knows; ask the custodian", grant.Writer, version.Version)
	}
	key, err := envelope.Unwrap(private.Wrap, c.Key)
	return private, key, err
}

func isFor(g consent.Grant, a consent.Access) bool {
	return g.Consent == a.Consent && g.Agreement == a.Agreement && g.Record == a.Record && g.Version == a.Version && g.Grantee == a.Grantee
}
