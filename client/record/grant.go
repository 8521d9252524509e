package record

import (
	"context"
	"io"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// Granted is a version that a grantee can open now.
type Granted struct {
	Consent string         `json:"consent"`
	Record  string         `json:"record"`
	Version int            `json:"version"`
	Writer  consent.Writer `json:"writer"`
	Digest  string         `json:"digest"` // public hash of the grant
}

// GrantAll grants every version of a record that a consent is for and that
// exists. Needs what [Client.Grant] needs.
func (c *Client) GrantAll(ctx context.Context, id, recipient string) ([]Granted, error) {
	state, record, err := c.consented(ctx, id)
	if err != nil {
		return nil, err
	}
	granted := []Granted{}
	if state.Consent.Agreement == nil {
		return granted, codes.Errorf("MF-CONSENT-NOT-ACTIVE", "nothing is agreed on in this consent; grant after the acceptance")
	}
	for number := 1; number <= record.Versions; number++ {
		if !state.Consent.Agreement.Terms.Scope.Covers(number) {
			continue
		}
		g, err := c.grant(ctx, state, record, number, recipient)
		if err != nil {
			return granted, err
		}
		granted = append(granted, g)
	}
	return granted, nil
}

// Grant seals what opens a version for the grantee, whose age recipient is given or, for
// "", looked up in the directory, puts it into the custodian's collection, where the
// ledger's rules check the consent, and only then publishes the ciphertext. Caller:
// any officer of the custodian, or the patient. Needs Own, Public and Key.
func (c *Client) Grant(ctx context.Context, id string, number int, recipient string) (Granted, error) {
	state, record, err := c.consented(ctx, id)
	if err != nil {
		return Granted{}, err
	}
	return c.grant(ctx, state, record, number, recipient)
}

func (c *Client) consented(ctx context.Context, id string) (consent.State, record.Record, error) {
	state, err := c.Ledger.Consents.Get(ctx, consent.ConsentRequest{Consent: id})
	if err != nil {
		return state, record.Record{}, err
	}
	rec, err := c.Ledger.Records.Get(ctx, record.RecordRequest{Record: state.Consent.Record})
	return state, rec, err
}

func (c *Client) grant(ctx context.Context, state consent.State, rec record.Record, number int, recipient string) (Granted, error) {
	if err := c.needOwn(); err != nil {
		return Granted{}, err
	}
	if err := c.needPublic(); err != nil {
		return Granted{}, err
	}
	version, err := c.Ledger.Records.GetVersion(ctx, record.VersionRequest{Record: rec.Record, Version: number})
	if err != nil {
		return Granted{}, err
	}
	private, err := c.private(ctx, rec.Custodian, version)
	if err != nil {
		return Granted{}, err
	}
	key, err := c.unwrap(ctx, private)
	if err != nil {
		return Granted{}, err
	}
	if recipient == "" {
		if recipient, err = c.RecipientOf(ctx, state.Consent.Grantee, consortium.RoleRequester); err != nil {
			return Granted{}, err
		}
	}
	wrap, err := envelope.Wrap(key, recipient)
	if err != nil {
		return Granted{}, err
	}
	sealed, err := envelope.SealDocument(PrivateGrant{
		CID: private.CID, PlainDigest: private.PlainDigest, ContentType: private.ContentType, Salt: private.Salt, Wrap: wrap,
	}, recipient)
	if err != nil {
		return Granted{}, err
	}
	request := consent.GrantRequest{Consent: state.Consent.Consent, Version: number}
	put, err := c.Ledger.Accesses.PutGrant(ctx, rec.Custodian, request, consent.GrantInput{Sealed: sealed})
	if err != nil {
		return Granted{}, err
	}
	granted := Granted{Consent: request.Consent, Record: rec.Record, Version: number, Writer: put.Writer, Digest: put.Digest}
	return granted, c.publish(ctx, private.CID, version.Size)
}

// publish copies a ciphertext from the private IPFS to the public one.
func (c *Client) publish(ctx context.Context, cid string, size int64) error {
	content, err := c.Own.Get(ctx, cid)
	if err != nil {
		return err
	}
	defer content.Close()
	got, err := c.Public.Add(ctx, c.count(io.LimitReader(content, size+1), "publish", size))
	if err != nil {
		return err
	}
	if got != cid {
		return codes.Errorf("MF-RECORD-MISMATCH", "the public node stored another file than was sent; do not use that node")
	}
	return nil
}

// Unpublish takes the ciphertexts of a consent's versions back from the public
// node, for what no longer is granted. What others have copied stays theirs,
// encrypted; and a version stays that another consent lets somebody fetch. Caller: an
// officer of the custodian, or the patient. Needs Public.
func (c *Client) Unpublish(ctx context.Context, id string) error {
	if err := c.needPublic(); err != nil {
		return err
	}
	state, record, err := c.consented(ctx, id)
	if err != nil {
		return err
	}
	versions, err := c.Versions(ctx, record.Record)
	if err != nil {
		return err
	}
	others, err := c.othersInForce(ctx, state.Consent)
	if err != nil {
		return err
	}
	for _, version := range versions {
		if !everCovered(state.Agreements, version.Version) || everCovered(others, version.Version) {
			continue
		}
		private, err := c.private(ctx, record.Custodian, version)
		if err != nil {
			return err
		}
		if err := c.Public.Remove(ctx, private.CID); err != nil {
			return err
		}
	}
	return nil
}

// othersInForce are the agreements of the record's other consents that have not ended.
func (c *Client) othersInForce(ctx context.Context, ended consent.Consent) ([]consent.Agreement, error) {
	var others []consent.Agreement
	for other, err := range c.Ledger.Consents.List(ctx, "record", ended.Record) {
		if err != nil {
			return nil, err
		}
		if other.Consent != ended.Consent && other.Status == consent.StatusActive && other.Agreement != nil {
			others = append(others, *other.Agreement)
		}
	}
	return others, nil
}

func everCovered(agreements []consent.Agreement, version int) bool {
	for _, a := range agreements {
		if a.Terms.Scope.Covers(version) {
			return true
		}
	}
	return false
}
