package ingest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
)

// Entry is what the journal knows of one content. Its wrap is encrypted to the
// hospital. Once its record is erased only digest and record are left, so that the
// content is not ingested again.
type Entry struct {
	Digest      string `json:"digest"` // SHA-256 of the plain file: the journal's key
	Path        string `json:"path"`   // where it was first found
	Label       string `json:"label"`  // name of the folder it lay in, "" at the top
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"` // of the plain file in bytes
	Record      string `json:"record"`
	CID         string `json:"cid"`
	Wrap        string `json:"wrap"`
	Done        bool   `json:"done"` // stored and staged
	Erased      bool   `json:"erased,omitempty"`
}

// journal keeps an entry in a file of its own for each content, and the
// ciphertexts that are not stored yet. Files are replaced whole.
type journal struct {
	folder string
	lock   *os.File
}

const (
	entriesFolder = "journal"
	spoolFolder   = "spool"
	newSpool      = "new" // the one ciphertext that is being written
	entrySuffix   = ".json"
)

func openJournal(folder string) (*journal, error) {
	for _, sub := range []string{entriesFolder, spoolFolder} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o700); err != nil {
			return nil, broken(err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, broken(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(codes.Errorf("MF-INGEST-RUNNING", "another ingest has this journal; stop it, or name another --state"), lock.Close())
	}
	return &journal{folder, lock}, nil
}

func (j *journal) close() error { return j.lock.Close() }

func (j *journal) entryPath(digest string) string {
	return filepath.Join(j.folder, entriesFolder, digest+entrySuffix)
}

func (j *journal) spoolPath(digest string) string {
	return filepath.Join(j.folder, spoolFolder, digest)
}

// get gives the entry of a content; the second result says whether there is one.
func (j *journal) get(digest string) (Entry, bool, error) {
	var e Entry
	text, err := os.ReadFile(j.entryPath(digest))
	if errors.Is(err, os.ErrNotExist) {
		return e, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err == nil && e.Digest != digest {
		err = errors.New("an entry is not that of its name")
	}
	if err != nil {
		return e, false, broken(err)
	}
	return e, true, nil
}

// put writes an entry: to a file beside it that takes its place when it is on
// the disk.
func (j *journal) put(e Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return broken(err)
	}
	return broken(replace(j.entryPath(e.Digest), text))
}

// replace writes a file beside the one that it takes the place of once it is on the
// disk.
func replace(path string, text []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = rename(path+".new", path)
	}
	return err
}

// rename moves a file and has the folder's entry on the disk when it returns.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// entries gives all entries, sorted by digest.
func (j *journal) entries() ([]Entry, error) {
	names, err := os.ReadDir(filepath.Join(j.folder, entriesFolder))
	if err != nil {
		return nil, broken(err)
	}
	var all []Entry
	for _, name := range names {
		digest, ok := strings.CutSuffix(name.Name(), entrySuffix)
		if !ok {
			continue
		}
		e, _, err := j.get(digest)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// tidy removes ciphertexts that no unfinished entry needs.
func (j *journal) tidy() error {
	all, err := j.entries()
	if err != nil {
		return err
	}
	names, err := os.ReadDir(filepath.Join(j.folder, spoolFolder))
	for _, name := range names {
		if !slices.ContainsFunc(all, func(e Entry) bool { return !e.Done && e.Digest == name.Name() }) {
			err = errors.Join(err, os.Remove(j.spoolPath(name.Name())))
		}
	}
	return broken(err)
}

func (j *journal) newSpool() (*os.File, error) {
	file, err := os.OpenFile(j.spoolPath(newSpool), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return file, broken(err)
}

// discard removes the ciphertext that is being written; one that stays is
// written over by the next.
func (j *journal) discard() { _ = os.Remove(j.spoolPath(newSpool)) }

func (j *journal) keepSpool(digest string) error {
	return broken(rename(j.spoolPath(newSpool), j.spoolPath(digest)))
}

func (j *journal) openSpool(digest string) (*os.File, error) {
	file, err := os.Open(j.spoolPath(digest))
	return file, broken(err)
}

func (j *journal) dropSpool(digest string) error {
	err := os.Remove(j.spoolPath(digest))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return broken(err)
}

// broken gives an error of the journal its code.
func broken(err error) error {
	if err == nil {
		return nil
	}
	return codes.Wrapf("MF-INGEST-JOURNAL", "the journal can't be read or written: %w; check the folder of --state and its disk", err)
}

// checkApart refuses a journal inside the watched folder, which would ingest it.
func checkApart(folder, state string) error {
	watched, err := filepath.Abs(folder)
	if err == nil {
		state, err = filepath.Abs(state)
	}
	if err != nil {
		return broken(err)
	}
	within, err := filepath.Rel(watched, state)
	if err == nil && (within == "." || within != ".." && !strings.HasPrefix(within, ".."+string(filepath.Separator))) {
		return codes.Errorf("MF-INGEST-JOURNAL", "the journal would lie in the watched folder; name another --state")
	}
	return nil
}
