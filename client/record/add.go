package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
)

// Addition is a new version's file and what belongs to it.
type Addition struct {
	Record            string      // record that gets another version, "" to register a new one
	Kind              record.Kind // of a new record
	Patient           string      // pseudonym of a new record's patient
	PatientIdentifier string      // the hospital's own; "" on a further version keeps that of the version before
	PatientRecipient  string      // age recipient of the patient, who so holds a key of the own; "" for that in the directory
	ContentType       string      // media type, for instance image/png
	File              io.Reader   // plain
	Size              int64       // of the plain file in bytes for the progress, 0 when not known
}

// Added is a version that has become public.
type Added struct {
	Record  string   `json:"record"`
	Version int      `json:"version"`
	Digest  string   `json:"digest"` // salted, as the ledger has it
	Size    int64    `json:"size"`   // of the ciphertext in bytes
	Holders []string `json:"holders"`
}

// Add encrypts a file under a fresh key, stores it on the organisation's private
// node, pins it on the others, and only then registers it. What can be refused is
// refused before anything is stored; after a refusal by the ledger the file is
// removed again. Needs Own, at least one of Others, and an officer's identity.
func (c *Client) Add(ctx context.Context, a Addition) (Added, error) {
	next, hospital, err := c.prepare(ctx, &a)
	if err != nil {
		return Added{}, err
	}
	key, err := envelope.NewIdentity()
	if err != nil {
		return Added{}, err
	}
	for wrap, recipient := range map[*string]string{&next.CustodianWrap: hospital, &next.PatientWrap: a.PatientRecipient} {
		if *wrap, err = envelope.Wrap(key, recipient); err != nil {
			return Added{}, err
		}
	}
	size, err := c.seal(ctx, a, key.Recipient(), &next)
	if err != nil {
		return Added{}, err
	}
	var added Added
	sealed, err := c.SealVersion(next, hospital, a.PatientRecipient, size)
	if err != nil {
		err = &unnamed{err}
	} else {
		added, err = c.keepAndName(ctx, a, sealed)
	}
	if refused(err) {
		return added, errors.Join(err, c.takeBack(ctx, next, added.Digest != ""))
	}
	if err != nil { // another call would register another record
		err = fmt.Errorf("%w (version %d of record %s may be there all the same: see the record's versions before the file is added again)", err, next.Version, next.Record)
	}
	return added, err
}

// prepare checks what can be checked before anything is stored, and finds the
// version's number, the patient's recipient and the hospital's.
func (c *Client) prepare(ctx context.Context, a *Addition) (next PrivateVersion, hospital string, err error) {
	next = PrivateVersion{
		Record: a.Record, Version: 1, Salt: NewSalt(), ContentType: a.ContentType, PatientIdentifier: a.PatientIdentifier,
	}
	if err := c.needOwn(); err != nil {
		return next, "", err
	}
	if err := c.needKeys(); err != nil {
		return next, "", err
	}
	if len(c.holders()) < 2 {
		return next, "", codes.Errorf("MF-RECORD-HOLDERS", "only the own node would keep the file; name the profile of another member that keeps it too")
	}
	patient := c.MSP + "/" + a.Patient
	if a.Record == "" {
		next.Record = NewRecordID()
		err = errors.Join(record.CheckKind(a.Kind), record.CheckPseudonym(a.Patient))
	} else {
		patient, err = c.follow(ctx, &next)
	}
	if err != nil {
		return next, "", err
	}
	if a.PatientRecipient == "" {
		if a.PatientRecipient, err = c.RecipientOf(ctx, patient, consortium.RolePatient); err != nil {
			return next, "", err
		}
	}
	if err := envelope.CheckRecipient(a.PatientRecipient); err != nil {
		return next, "", err
	}
	hospital, err = c.HospitalRecipient(ctx)
	return next, hospital, err
}

// follow completes the version after a record's newest, and gives the patient.
func (c *Client) follow(ctx context.Context, next *PrivateVersion) (patient string, err error) {
	rec, err := c.Ledger.Records.Get(ctx, record.RecordRequest{Record: next.Record})
	if err != nil {
		return "", err
	}
	if rec.Status != record.Active {
		return "", codes.Errorf("MF-RECORD-STATUS", "the record is %s and takes no more versions; register another", rec.Status)
	}
	next.Version = rec.Versions + 1
	if next.PatientIdentifier == "" {
		version, err := c.Ledger.Records.GetVersion(ctx, record.VersionRequest{Record: rec.Record, Version: rec.Versions})
		if err != nil {
			return "", err
		}
		before, err := c.private(ctx, rec.Custodian, version)
		if err != nil {
			return "", err
		}
		next.PatientIdentifier = before.PatientIdentifier
	}
	return rec.Patient, nil
}

// seal streams the file, encrypted, into the own node. It notes CID and plain
// digest and returns the ciphertext's length.
func (c *Client) seal(ctx context.Context, a Addition, recipient string, next *PrivateVersion) (int64, error) {
	digest := sha256.New()
	plain := c.count(io.TeeReader(source{a.File}, digest), "encrypt and store", a.Size)
	sealed, err := envelope.SealReader(plain, recipient)
	if err != nil {
		return 0, err
	}
	defer sealed.Close()
	next.CID, err = c.Own.AddNamed(ctx, c.pinName(next.Record, next.Version), sealed)
	if err != nil {
		return 0, err
	}
	next.PlainDigest = hex.EncodeToString(digest.Sum(nil))
	return envelope.SealedSize(plain.done, 1), nil
}

// source gives errors of the caller's file a code.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = codes.Wrapf("MF-RECORD-SOURCE", "the file cannot be read: %w; check it and add it again", err)
	}
	return n, err
}

// keepAndName pins the ciphertext on the other members' nodes and then tells the
// ledger: first the custodian's collection, then everyone. Beside an error there
// is a digest when the collection holds the private part.
func (c *Client) keepAndName(ctx context.Context, a Addition, next Sealed) (Added, error) {
	for i, other := range c.Others {
		c.tell("pin on other members", int64(i)*next.Size, int64(len(c.Others))*next.Size)
		if err := other.Store.PinNamed(ctx, c.pinName(next.Private.Record, next.Private.Version), next.CID); err != nil {
			return Added{}, &unnamed{err}
		}
	}
	c.tell("pin on other members", int64(len(c.Others))*next.Size, int64(len(c.Others))*next.Size)
	staged, err := c.Ledger.Records.Stage(ctx, c.MSP, next.Private)
	if err != nil {
		return Added{}, err
	}
	if own := form.Digest(next.Private); staged.Digest != own {
		return Added{}, codes.Errorf("MF-RECORD-MISMATCH", "the custodian's peer staged %s and not %s, which was sent; look at the peer", staged.Digest, own)
	}
	rec, version := next.Private.Record, next.Private.Version
	added := Added{Record: rec, Version: version, Digest: staged.Digest, Size: next.Size, Holders: c.holders()}
	if version == 1 && a.Record == "" {
		_, err = c.Ledger.Records.Register(ctx, record.RegisterRequest{
			Record: rec, Kind: a.Kind, Patient: a.Patient, Digest: staged.Digest, Content: next.Content, Size: next.Size, Holders: added.Holders,
		})
	} else {
		_, err = c.Ledger.Records.AddVersion(ctx, record.AddVersionRequest{
			Record: rec, Version: version, Digest: staged.Digest, Content: next.Content, Size: next.Size, Holders: added.Holders,
		})
	}
	return added, err
}

// holders are the members that keep the file, sorted and once each.
func (c *Client) holders() []string {
	all := []string{c.MSP}
	for _, other := range c.Others {
		all = append(all, other.MSP)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (c *Client) tell(step string, done, total int64) {
	if c.Progress != nil {
		c.Progress(step, done, total)
	}
}

// unnamed is a failure before the ledger heard of the file.
type unnamed struct{ error }

func (u *unnamed) Unwrap() error { return u.error }

// refused reports whether the ledger surely does not name the file. A transaction
// whose fate is not known may have named it.
func refused(err error) bool {
	var refusal *gateway.Refusal
	var before *unnamed
	return errors.As(err, &refusal) || errors.As(err, &before)
}

// takeBack removes what a refused version has left behind.
func (c *Client) takeBack(ctx context.Context, next PrivateVersion, staged bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var failed error
	if staged {
		_, failed = c.Ledger.Records.Unstage(ctx, record.VersionRequest{Record: next.Record, Version: next.Version})
	}
	return errors.Join(failed, forget(ctx, c.keepers(), next.CID))
}
