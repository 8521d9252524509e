// Package ingest takes what a hospital's machines write into a folder to the
// hospital's private IPFS and collection, once and only once: Salim & Park's path
// from machine to IPFS. A file that is finished is encrypted under a key of its
// own into a spool, which fixes its CID; then it is journalled, stored, and
// staged through the record contract as version 1 of a record that is not public
// yet. An officer gives it a patient and registers it with [Journal.Assign]. After a
// kill between any two steps the next start goes on from the journal: encrypting
// twice would make two objects of one file, so it is done once.
//
// Errors of IPFS and ledger come through in their own words. This package's own
// begin with:
//
//	MF-INGEST-FOLDER   the watched folder or a file in it can't be read
//	MF-INGEST-TYPE     a file is none of the kinds that are ingested, or is damaged
//	MF-INGEST-CHANGED  a file changed while it was read; it is taken when it is finished
//	MF-INGEST-JOURNAL  the journal or spool can't be read or written
//	MF-INGEST-RUNNING  another ingest has the journal
//	MF-INGEST-DIGEST   what the store or ledger answered is not what was sent
//	MF-INGEST-OUTPUT   a decrypted image can't be written
//	MF-INGEST-ENTRY    there is no such entry in the journal, or it is not ingested whole
//	MF-INGEST-ASSIGNED the entry belongs to another patient already
package ingest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/record"
)

// Store keeps files by their CIDs; *ipfs.Client is one. Add pins, and gives the
// same CID for the same bytes.
type Store interface {
	Add(ctx context.Context, r io.Reader) (cid string, err error)
	Get(ctx context.Context, cid string) (io.ReadCloser, error)
}

// Ledger stages the sealed private part of a version in the hospital's collection;
// gateway.Records is one.
type Ledger interface {
	Stage(ctx context.Context, custodian string, version records.SealedVersion) (records.Staged, error)
}

// Sealer encrypts the private part of a version to a key of its own in the hospital's
// key store, which is wrapped for the hospital's recipient; a record.Client is one.
type Sealer interface {
	Seal(private record.PrivateVersion, hospital, patient string) (records.SealedVersion, error)
}

// Options say what is ingested by whom.
type Options struct {
	Folder    string             // watched, with all folders below it
	State     string             // journal and spool; must not lie in Folder
	Custodian string             // MSP identifier of the hospital
	Key       *envelope.Identity // identifiers are derived from it
	Store     Store
	Ledger    Ledger
	Sealer    Sealer
	Settle    time.Duration // how long a file must stay as it is to be finished; default 2 s
	Rescan    time.Duration // how often the folder is looked through besides; default 30 s

	// Recipient gives what a file's key is wrapped for: the hospital's newest key.
	Recipient func(context.Context) (string, error)

	// Progress is told how many bytes of a file are done, of how many. It may be nil.
	Progress func(step string, done, total int64)
	// Report is told of every file that was ingested or refused. It may be nil.
	Report func(Result)
}

// Result is what became of one file.
type Result struct {
	Path      string `json:"path"` // slash-separated, in the watched folder
	Entry     *Entry `json:"entry,omitempty"`
	Duplicate bool   `json:"duplicate"` // the content was ingested before
	Err       error  `json:"-"`
}

// Unassigned stands for the patient's identifier until an officer gives one.
const Unassigned = "unassigned"

// Ingester ingests one folder. It is not safe for concurrent use.
type Ingester struct {
	options Options
	folder  *os.Root
	journal *journal
	files   map[string]*observed

	// now and step are replaced in tests; step is called between any two steps.
	now  func() time.Time
	step func(name string) error
}

// Open opens folder and journal and takes the journal's lock. Close it. Errors:
// MF-INGEST-FOLDER, MF-INGEST-JOURNAL, MF-INGEST-RUNNING.
func Open(o Options) (*Ingester, error) {
	if o.Settle <= 0 {
		o.Settle = 2 * time.Second
	}
	if o.Rescan <= 0 {
		o.Rescan = 30 * time.Second
	}
	folder, err := os.OpenRoot(o.Folder)
	if err != nil {
		return nil, codes.Wrapf("MF-INGEST-FOLDER", "the folder can't be opened: %w; name a folder that you can read", err)
	}
	if err := checkApart(o.Folder, o.State); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	j, err := openJournal(o.State)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return &Ingester{
		options: o, folder: folder, journal: j, files: map[string]*observed{},
		now: time.Now, step: func(string) error { return nil },
	}, nil
}

// Close gives folder and journal back.
func (i *Ingester) Close() error { return errors.Join(i.folder.Close(), i.journal.close()) }

// resume finishes what an earlier run has sealed and not finished.
func (i *Ingester) resume(ctx context.Context) error {
	all, err := i.journal.entries()
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Done {
			continue
		}
		if err := i.finish(ctx, &e); err != nil {
			return err
		}
		i.report(Result{Path: e.Path, Entry: &e})
	}
	return i.journal.tidy()
}

// ingest takes one finished file. The second result is false when there is
// nothing to tell: the file was ingested from this place before.
func (i *Ingester) ingest(ctx context.Context, name string, before os.FileInfo) (Result, bool) {
	entry, fresh, err := i.take(ctx, name, before)
	switch {
	case err != nil:
		return Result{Path: name, Err: err}, true
	case !fresh && entry.Done:
		return Result{Path: name, Entry: &entry, Duplicate: true}, entry.Path != name
	default:
		err := i.finish(ctx, &entry)
		return Result{Path: name, Entry: &entry, Err: err}, true
	}
}

// take gives the entry of a file's content, and makes it when there is none.
func (i *Ingester) take(ctx context.Context, name string, before os.FileInfo) (entry Entry, fresh bool, err error) {
	file, err := i.folder.Open(name)
	if err != nil {
		return entry, false, unreadable(err)
	}
	defer file.Close()
	opened, err := file.Stat()
	if err != nil {
		return entry, false, unreadable(err)
	}
	if !sameFile(before, opened) {
		return entry, false, changed()
	}
	digest, err := digestOf(ctx, file)
	if err != nil {
		return entry, false, err
	}
	entry, found, err := i.journal.get(digest)
	if found || err != nil {
		return entry, false, err
	}
	entry, err = i.seal(ctx, file, name, opened)
	if err == nil && entry.Digest != digest {
		err = changed()
	}
	if err != nil {
		i.journal.discard()
		return entry, false, err
	}
	return entry, true, i.keep(entry)
}

// keep puts the spooled ciphertext under its digest and journals it: from here on
// its CID is fixed.
func (i *Ingester) keep(entry Entry) error {
	if err := i.step("spool"); err != nil {
		return err
	}
	if err := i.journal.keepSpool(entry.Digest); err != nil {
		return err
	}
	if err := i.step("journal"); err != nil {
		return err
	}
	return i.journal.put(entry)
}

// finish stores and stages a journalled file. Both are idempotent: the spool and
// the entry always say the same.
func (i *Ingester) finish(ctx context.Context, entry *Entry) error {
	if err := i.step("store"); err != nil {
		return err
	}
	if err := i.store(ctx, *entry); err != nil {
		return err
	}
	if err := i.step("stage"); err != nil {
		return err
	}
	hospital, err := i.options.Recipient(ctx)
	if err != nil {
		return err
	}
	version, err := i.options.Sealer.Seal(i.version(*entry), hospital, "")
	if err != nil {
		return err
	}
	staged, err := i.options.Ledger.Stage(ctx, i.options.Custodian, version)
	if err != nil {
		return err
	}
	if staged.Digest != form.Digest(version) {
		return codes.Errorf("MF-INGEST-DIGEST", "the peer staged something else than was sent; look at the hospital's peer")
	}
	if err := i.step("done"); err != nil {
		return err
	}
	entry.Done = true
	if err := i.journal.put(*entry); err != nil {
		return err
	}
	if err := i.step("clean"); err != nil {
		return err
	}
	return i.journal.dropSpool(entry.Digest)
}

func (i *Ingester) store(ctx context.Context, entry Entry) error {
	spool, err := i.journal.openSpool(entry.Digest)
	if err != nil {
		return err
	}
	defer spool.Close()
	info, err := spool.Stat()
	if err != nil {
		return codes.Wrapf("MF-INGEST-JOURNAL", "the spool can't be read: %w; check the disk", err)
	}
	cid, err := i.options.Store.Add(ctx, &counted{r: spool, tell: i.options.Progress, step: "store " + path.Base(entry.Path), total: info.Size()})
	if err != nil {
		return err
	}
	if cid != entry.CID {
		return codes.Errorf("MF-INGEST-DIGEST", "the store keeps %s under another CID than the journal has; the Import settings of the IPFS node are not those of this network, which medfed network up sets, and the next start stores the file as it was sealed", entry.Path)
	}
	return nil
}

// version is what the collection holds of an entry, sealed. Record and salt come from
// the content and a secret of the identity, so a repetition says the same, and
// nobody else can tell from them which file it is.
func (i *Ingester) version(e Entry) record.PrivateVersion {
	return record.PrivateVersion{
		Record: e.Record, Version: 1, Salt: i.derive("salt", e.Digest), CID: e.CID, PlainDigest: e.Digest,
		ContentType: e.ContentType, PatientIdentifier: Unassigned, CustodianWrap: e.Wrap, PatientWrap: e.Wrap,
	}
}

func (i *Ingester) recordOf(digest string) string {
	return records.RecordPrefix + i.derive("record", digest)[:32]
}

func (i *Ingester) derive(purpose, digest string) string {
	mac := hmac.New(sha256.New, i.options.Key.Secret("ingest "+purpose))
	mac.Write([]byte(digest)) // never fails
	return hex.EncodeToString(mac.Sum(nil))
}

func (i *Ingester) report(r Result) {
	if i.options.Report != nil {
		i.options.Report(r)
	}
}

// counted tells how much of a file has been read.
type counted struct {
	r           io.Reader
	tell        func(step string, done, total int64)
	step        string
	done, total int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.tell != nil {
		c.tell(c.step, c.done, c.total)
	}
	return n, err
}
