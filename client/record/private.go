package record

import (
	"context"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// PrivateVersion is what only the custodian and the patient know of a version. The
// custodian's collection holds it sealed, see [Client.Seal].
type PrivateVersion struct {
	Record            string `json:"record"`
	Version           int    `json:"version"`
	Salt              string `json:"salt"`               // 32 random bytes, 64 hexadecimal digits
	CID               string `json:"cid"`                // of the ciphertext, canonical CIDv1
	PlainDigest       string `json:"plain_digest"`       // SHA-256 of the plain file
	ContentType       string `json:"content_type"`       // for instance image/png
	PatientIdentifier string `json:"patient_identifier"` // the hospital's own, for instance a medical record number
	CustodianWrap     string `json:"custodian_wrap"`     // the version's key, encrypted to the custodian; base64
	PatientWrap       string `json:"patient_wrap"`       // the same key, encrypted to the patient; base64
}

// ContentDigest is what the ledger says of the version's file; see
// [record.ContentDigest].
func (v PrivateVersion) ContentDigest() string {
	return record.ContentDigest(v.Salt, v.CID, v.PlainDigest)
}

// PrivateGrant is what a grant tells its grantee. The custodian's collection holds it
// sealed for the grantee.
type PrivateGrant struct {
	CID         string `json:"cid"`
	PlainDigest string `json:"plain_digest"` // SHA-256 of the plain file
	ContentType string `json:"content_type"`
	Salt        string `json:"salt"` // of the version's content digest
	Wrap        string `json:"wrap"` // the version's key, encrypted to the grantee; base64
}

// Check refuses a private part that is not whole: MF-PRIVATE-INVALID.
func (v PrivateVersion) Check() error {
	switch {
	case !form.IsHex32(v.Salt) || !form.IsHex32(v.PlainDigest):
		return codes.Errorf("MF-PRIVATE-INVALID", "salt or plain_digest is not 64 lower-case hexadecimal digits; report it")
	case form.CheckCID(v.CID) != nil:
		return codes.Errorf("MF-PRIVATE-INVALID", "the CID is not a canonical CIDv1 of a file; report it")
	case !form.IsText(v.ContentType, 1, record.MaxShortText) || !form.IsText(v.PatientIdentifier, 1, record.MaxShortText):
		return codes.Errorf("MF-PRIVATE-INVALID", "the content type or the patient's identifier is not a text of 1 to %d bytes; name both, shorter", record.MaxShortText)
	}
	return nil
}

// Seal encrypts the private part of a version to a key of its own, which is made in the
// hospital's key store and wrapped for the hospital's recipient, and to the patient's
// recipient, "" for a patient who is not known yet. Needs Keys.
func (c *Client) Seal(private PrivateVersion, hospital, patient string) (record.SealedVersion, error) {
	sealed := record.SealedVersion{Record: private.Record, Version: private.Version}
	if err := private.Check(); err != nil {
		return sealed, err
	}
	if err := c.needKeys(); err != nil {
		return sealed, err
	}
	own, err := c.Keys.Make(private.Record, private.Version, hospital)
	if err != nil {
		return sealed, err
	}
	recipients := []string{own}
	if patient != "" {
		recipients = append(recipients, patient)
	}
	sealed.Sealed, err = envelope.SealDocument(private, recipients...)
	return sealed, err
}

// Sealed is a version that is encrypted and can be named on the ledger. It shows nothing
// but where the ciphertext lies.
type Sealed struct {
	Private record.SealedVersion `json:"private"`
	Content string               `json:"content_digest"`
	CID     string               `json:"cid"`  // of the file's ciphertext
	Size    int64                `json:"size"` // of it in bytes
}

// SealVersion is [Client.Seal] with what the ledger is told besides, for a ciphertext of so
// many bytes.
func (c *Client) SealVersion(private PrivateVersion, hospital, patient string, size int64) (Sealed, error) {
	sealed, err := c.Seal(private, hospital, patient)
	return Sealed{sealed, private.ContentDigest(), private.CID, size}, err
}

// private reads the private part of a version, checks it against the digest that
// everyone has agreed on, and opens it.
func (c *Client) private(ctx context.Context, custodian string, version record.Version) (PrivateVersion, error) {
	request := record.VersionRequest{Record: version.Record, Version: version.Version}
	sealed, err := c.Ledger.Records.GetPrivate(ctx, custodian, request)
	if err != nil {
		return PrivateVersion{}, err
	}
	if form.Digest(sealed) != version.Digest {
		return PrivateVersion{}, mismatch(version)
	}
	private, err := c.open(ctx, sealed)
	if err == nil && version.Content != "" && private.ContentDigest() != version.Content {
		return private, mismatch(version)
	}
	return private, err
}

func mismatch(version record.Version) error {
	return codes.Errorf("MF-RECORD-MISMATCH", "what the custodian's peer holds of version %d is not what the ledger says; ask the custodian", version.Version)
}

// open opens the private part of a version: the patient with the own key, an officer
// with that of the hospital's key store.
func (c *Client) open(ctx context.Context, sealed record.SealedVersion) (PrivateVersion, error) {
	key, err := c.documentKey(ctx, sealed)
	if err != nil {
		return PrivateVersion{}, err
	}
	private, err := envelope.OpenDocument[PrivateVersion](sealed.Sealed, key)
	if err == nil && (private.Record != sealed.Record || private.Version != sealed.Version) {
		return private, codes.Errorf("MF-RECORD-MISMATCH", "what is sealed as version %d of %s is another's; ask the custodian", sealed.Version, sealed.Record)
	}
	return private, err
}

func (c *Client) documentKey(ctx context.Context, sealed record.SealedVersion) (*envelope.Identity, error) {
	if c.Role == consortium.RolePatient {
		return c.Key, nil
	}
	if err := c.needKeys(); err != nil {
		return nil, err
	}
	unwrap, err := c.HospitalKeys(ctx)
	if err != nil {
		return nil, err
	}
	return c.Keys.Key(sealed.Record, sealed.Version, unwrap)
}

// unwrap opens a version's key: the patient with their own, an officer with one of
// the hospital's.
func (c *Client) unwrap(ctx context.Context, private PrivateVersion) (*envelope.Identity, error) {
	if c.Role == consortium.RolePatient {
		return envelope.Unwrap(private.PatientWrap, c.Key)
	}
	open, err := c.HospitalKeys(ctx)
	if err != nil {
		return nil, err
	}
	return open(private.CustodianWrap)
}

func (c *Client) needKeys() error {
	if c.Keys == nil {
		return codes.Errorf("MF-PROFILE-KEYS", "the profile names no folder of the keys of private documents; use the profile of a hospital, with documentKeys in its x-medfed section")
	}
	return nil
}
