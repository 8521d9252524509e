package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/record"
)

// Journal is what an Ingester has written down, for what an officer does with it
// afterwards. An Ingester may go on beside it.
type Journal struct {
	journal *journal

	// step is replaced in tests; it is called between any two steps.
	step func(name string) error
}

// assignedFolder holds a file for each entry that was given a patient.
const assignedFolder = "assigned"

// OpenJournal opens the journal of a state folder. The error is MF-INGEST-JOURNAL.
func OpenJournal(state string) (*Journal, error) {
	if _, err := os.Stat(filepath.Join(state, entriesFolder)); err != nil {
		return nil, broken(err)
	}
	if err := os.MkdirAll(filepath.Join(state, assignedFolder), 0o700); err != nil {
		return nil, broken(err)
	}
	return &Journal{&journal{folder: state}, func(string) error { return nil }}, nil
}

// Entries gives what has been ingested whole, sorted by digest.
func (j *Journal) Entries() ([]Entry, error) {
	all, err := j.journal.entries()
	done := []Entry{}
	for _, e := range all {
		if e.Done {
			done = append(done, e)
		}
	}
	return done, err
}

// Assignment gives an entry a patient, with all that its registration takes. Until
// that is done it holds the sealed version, which makes a repetition say the same.
type Assignment struct {
	Record  string         `json:"record"`
	Kind    records.Kind   `json:"kind"`
	Patient string         `json:"patient"` // pseudonym
	Sealed  *record.Sealed `json:"sealed,omitempty"`
	Added   *record.Added  `json:"added,omitempty"` // once it is registered
}

// Patient is whom an entry is assigned to.
type Patient struct {
	Pseudonym  string
	Identifier string       // the hospital's own
	Kind       records.Kind // of the record
}

// Assignments gives the entries that were given a patient, by record.
func (j *Journal) Assignments() (map[string]Assignment, error) {
	names, err := filepath.Glob(filepath.Join(j.journal.folder, assignedFolder, "*"+entrySuffix))
	if err != nil {
		return nil, broken(err)
	}
	all := map[string]Assignment{}
	for _, name := range names {
		a, err := readAssignment(name)
		if err != nil {
			return nil, err
		}
		all[a.Record] = *a
	}
	return all, nil
}

// readAssignment gives nil where there is none.
func readAssignment(path string) (*Assignment, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var a Assignment
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		return nil, broken(err)
	}
	return &a, nil
}

func (j *Journal) assignmentPath(entry string) string {
	return filepath.Join(j.journal.folder, assignedFolder, entry+entrySuffix)
}

func (j *Journal) putAssignment(a *Assignment) error {
	text, err := json.Marshal(a)
	if err != nil {
		return broken(err)
	}
	return broken(replace(j.assignmentPath(a.Record), text))
}

// Assign makes an entry, named by its record, the first version of that record: it
// wraps the entry's key for hospital and patient, pins the ciphertext on the other
// members' nodes, stages and registers it. What the registration says is journalled
// before anyone hears of it, so that after a kill the same is said again. A repetition
// gives what the first came to; another patient is MF-INGEST-ASSIGNED, unless the
// ledger does not know the record yet. The client needs what [record.Client.Add]
// needs.
func (j *Journal) Assign(ctx context.Context, c *record.Client, entry string, patient Patient) (added record.Added, err error) {
	if err := errors.Join(records.CheckRecordID(entry), records.CheckPseudonym(patient.Pseudonym), records.CheckKind(patient.Kind)); err != nil {
		return added, err
	}
	lock, err := j.lock()
	if err != nil {
		return added, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	e, err := j.entry(entry)
	if err != nil {
		return added, err
	}
	a, err := j.assignment(ctx, c, e, patient)
	if err != nil || a.Added != nil {
		if err == nil {
			added = *a.Added
		}
		return added, err
	}
	if err := j.step("register"); err != nil {
		return added, err
	}
	added, err = c.Name(ctx, a.Kind, a.Patient, *a.Sealed)
	if err != nil {
		return added, err
	}
	if err := j.step("done"); err != nil {
		return added, err
	}
	a.Sealed, a.Added = nil, &added
	return added, j.putAssignment(a)
}

// lock keeps two assignments apart.
func (j *Journal) lock() (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(j.journal.folder, assignedFolder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, broken(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(broken(err), lock.Close())
	}
	return lock, nil
}

// entry finds an entry by its record.
func (j *Journal) entry(id string) (Entry, error) {
	all, err := j.Entries()
	if err != nil {
		return Entry{}, err
	}
	for _, e := range all {
		if e.Record == id && !e.Erased {
			return e, nil
		}
	}
	return Entry{}, codes.Errorf("MF-INGEST-ENTRY", "the journal has no entry %s that is ingested whole; see medfed ingest list", id)
}

// assignment gives what an entry was assigned to, or assigns it.
func (j *Journal) assignment(ctx context.Context, c *record.Client, e Entry, patient Patient) (*Assignment, error) {
	a, err := readAssignment(j.assignmentPath(e.Record))
	if err != nil {
		return nil, err
	}
	if a != nil {
		if a.Patient == patient.Pseudonym && a.Kind == patient.Kind {
			return a, nil
		}
		_, err := c.Ledger.Records.Get(ctx, records.RecordRequest{Record: e.Record})
		if err == nil {
			return nil, codes.Errorf("MF-INGEST-ASSIGNED", "entry %s is a record of another patient or kind; an erasure and another registration correct that", e.Record)
		}
		if codes.Of(err) != "MF-RECORD-UNKNOWN" {
			return nil, err
		}
	}
	open, err := c.HospitalKeys(ctx)
	if err != nil {
		return nil, err
	}
	key, err := open(e.Wrap)
	if err != nil {
		return nil, err
	}
	private := record.PrivateVersion{
		Record: e.Record, Version: 1, Salt: record.NewSalt(), CID: e.CID, PlainDigest: e.Digest, ContentType: e.ContentType, PatientIdentifier: patient.Identifier,
	}
	sealed, err := c.SealFor(ctx, private, key, c.MSP+"/"+patient.Pseudonym, envelope.SealedSize(e.Size, 1))
	if err != nil {
		return nil, err
	}
	if err := j.step("assign"); err != nil {
		return nil, err
	}
	a = &Assignment{Record: e.Record, Kind: patient.Kind, Patient: patient.Pseudonym, Sealed: &sealed}
	return a, j.putAssignment(a)
}

// ForgetErased removes from the journal what opens the entries whose records are
// erased, or are being erased, and gives their number.
func (j *Journal) ForgetErased(ctx context.Context, c *record.Client) (int, error) {
	entries, err := j.Entries()
	if err != nil {
		return 0, err
	}
	assigned, err := j.Assignments()
	if err != nil {
		return 0, err
	}
	forgotten := 0
	for _, e := range entries {
		if a, found := assigned[e.Record]; !found || a.Added == nil || e.Erased {
			continue
		}
		r, err := c.Ledger.Records.Get(ctx, records.RecordRequest{Record: e.Record})
		if err != nil {
			return forgotten, err
		}
		if r.Status.Accessible() {
			continue
		}
		if err := j.journal.put(Entry{Digest: e.Digest, Record: e.Record, Done: true, Erased: true}); err != nil {
			return forgotten, err
		}
		forgotten++
	}
	return forgotten, nil
}
