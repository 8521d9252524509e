// Package record carries health records between a person's disk, IPFS and the
// ledger: Salim & Park sections II.C to II.E from the client's side. A version's
// file is encrypted before it leaves the process, under a key of its own, and is
// pinned on two members' nodes before the ledger hears of it. What opens it, and
// whose it is, goes by transient to the custodian's peer and nowhere else. A file
// that comes back is shown only after its digest has been checked whole.
//
// Refusals of the ledger come through in its own words. This package's own errors
// begin with:
//
//	MF-RECORD-HOLDERS   fewer than two members' nodes were named to keep the ciphertext
//	MF-RECORD-MISMATCH  what was fetched is not what the ledger says
//	MF-RECORD-SOURCE    the file of a new version cannot be read
//	MF-ERASURE-CIDS     a holder would attest without having been told what to forget
//	MF-HOSPITAL-KEY-*   the hospital has no key that its officers share, or not with this one
//	MF-GRANT-FORGED     no grant that the custodian's peer gave is one the ledger knows
//	MF-PROFILE-KEYS     the profile names no folder of document keys
//	MF-PROFILE-IPFS     the profile names no IPFS node of the kind that is needed
//	MF-WRITE-RECORD     the fetched file cannot be written
package record

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/keystore"
)

// Store keeps files by their CIDs; *ipfs.Client is one.
type Store interface {
	Add(ctx context.Context, r io.Reader) (cid string, err error)
	// AddNamed is Add with a name on the pin, by which Named finds it.
	AddNamed(ctx context.Context, name string, r io.Reader) (cid string, err error)
	Get(ctx context.Context, cid string) (io.ReadCloser, error)
	Pin(ctx context.Context, cid string) error
	PinNamed(ctx context.Context, name, cid string) error
	// Named lists what is pinned under names that begin as asked: names by their CIDs.
	Named(ctx context.Context, prefix string) (map[string]string, error)
	// Remove unpins a file and removes its blocks, but those that another pinned file holds.
	// It returns when it saw that they are gone.
	Remove(ctx context.Context, cid string) error
	// Collect removes all that is not pinned.
	Collect(ctx context.Context) error
}

// Holder is a member's node of the private IPFS.
type Holder struct {
	MSP   string
	Store Store
}

// Client does one identity's work on records. Which of its fields a method needs
// is said there.
type Client struct {
	MSP    string          // of the identity
	ID     string          // "MSP/name" of the identity
	Role   consortium.Role // of the identity
	Ledger gateway.Contracts
	Key    *envelope.Identity // opens the wraps made for this identity
	Keys   *keystore.Store    // of the private documents of the officer's hospital, nil for none
	Own    Store              // the organisation's private IPFS node, nil for none
	Others []Holder           // other members' private nodes that keep files too
	Public Store              // a node of the public IPFS, nil for none

	// PublicErased are other nodes of the public IPFS from which the identity's
	// organisation removes what is erased: no other member does.
	PublicErased []Store

	Members []string // MSP identifiers of all that have a private node, sorted: they attest erasures

	// Progress is told how many bytes of a step are done, of how many, 0 when not
	// known. It may be nil.
	Progress func(step string, done, total int64)
}

// cleanupTime bounds what is tidied up after a failure.
const cleanupTime = 30 * time.Second

// NewRecordID draws a record's identifier.
func NewRecordID() string { return draw(record.RecordPrefix, 16) }

// NewConsentID draws a consent's identifier.
func NewConsentID() string { return draw(consent.ConsentPrefix, 16) }

// NewAccessID draws an access's identifier.
func NewAccessID() string { return draw(consent.AccessPrefix, 16) }

// NewPseudonym draws a name to enrol a patient under.
func NewPseudonym() string { return draw(record.PatientPrefix, 16) }

// NewSalt draws a salt: 64 hexadecimal digits.
func NewSalt() string { return draw("", 32) }

func draw(prefix string, n int) string {
	bytes := make([]byte, n)
	rand.Read(bytes) // never fails
	return prefix + hex.EncodeToString(bytes)
}

// Versions lists all versions of a record, oldest first. Needs the ledger.
func (c *Client) Versions(ctx context.Context, rec string) ([]record.Version, error) {
	return gateway.Collect(c.Ledger.Records.ListVersions(ctx, rec))
}

// ErrNoPrivate is the error where a node of the private IPFS is needed and the
// profile names none.
var ErrNoPrivate = codes.Errorf("MF-PROFILE-IPFS", "the profile names no private IPFS node; use the profile of a hospital or research centre")

func (c *Client) needOwn() error {
	if c.Own == nil {
		return ErrNoPrivate
	}
	return nil
}

func (c *Client) needPublic() error {
	if c.Public == nil {
		return codes.Errorf("MF-PROFILE-IPFS", "the profile names no public IPFS node; add one to its x-medfed section")
	}
	return nil
}

// forget removes files from nodes, and sees that they are gone. One that fails does not keep
// the others from it.
func forget(ctx context.Context, nodes []Store, cids ...string) error {
	var failures []error
	for _, store := range nodes {
		for _, cid := range cids {
			failures = append(failures, store.Remove(ctx, cid))
		}
	}
	return errors.Join(failures...)
}

// collect removes from the own node and the public ones what nothing pinned holds.
func (c *Client) collect(ctx context.Context) error {
	failures := []error{c.Own.Collect(ctx)}
	for _, node := range c.public() {
		failures = append(failures, node.Collect(ctx))
	}
	return errors.Join(failures...)
}

// public are the nodes of the public IPFS from which the client removes what is erased.
func (c *Client) public() []Store {
	if c.Public == nil {
		return c.PublicErased
	}
	return append([]Store{c.Public}, c.PublicErased...)
}

// keepers are the nodes of the private IPFS that the client can reach.
func (c *Client) keepers() []Store {
	var all []Store
	if c.Own != nil {
		all = append(all, c.Own)
	}
	for _, other := range c.Others {
		all = append(all, other.Store)
	}
	return all
}

// nodes are those of both networks that the client can reach.
func (c *Client) nodes() []Store { return append(c.keepers(), c.public()...) }

// counted tells the progress of what is read, and counts it.
type counted struct {
	r     io.Reader
	tell  func(step string, done, total int64)
	step  string
	total int64
	done  int64
}

func (c *Client) count(r io.Reader, step string, total int64) *counted {
	return &counted{r: r, tell: c.Progress, step: step, total: total}
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.tell != nil && n > 0 {
		c.tell(c.step, c.done, c.total)
	}
	return n, err
}
