// Package keystore keeps the keys of a hospital's private documents: what the ledger's
// collections hold is encrypted to a key of its own for each document, and that key
// lies here alone, in a small folder that the hospital's officers share. A data base
// keeps what it once held in files that are never written again, and so do its
// backups; of a folder a key can be deleted, and with it all that was encrypted to it
// (NIST SP 800-88 Rev. 1 section 2.5, cryptographic erase).
//
// A key is itself encrypted to the hospital's officers, so that who reads the folder,
// or a copy of it, has nothing without one of their keys. The folder is to be backed
// up, and what is deleted from it also from its backups.
//
// Errors begin with:
//
//	MF-KEYSTORE-FOLDER   the folder can't be read or written
//	MF-KEYSTORE-MISSING  it holds no key of the document
package keystore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
)

// Store is a folder of keys, one for each version of a record. Several processes may
// use it at once.
type Store struct{ folder string }

// Open uses a folder. It must be there when the first key is made: a folder of the same
// name on another machine is not the one that the hospital's officers share.
func Open(folder string) *Store { return &Store{folder} }

// Folder is where the keys lie.
func (s *Store) Folder() string { return s.folder }

// entry is a key as it lies in its file.
type entry struct {
	Recipient string `json:"recipient"` // public half: what the document is encrypted to
	Wrap      string `json:"wrap"`      // private half, encrypted to the hospital's officers; see envelope.Wrap
}

// Make gives the recipient of a version's key. Where there is no key it makes one,
// wrapped for the hospital's recipient, and it is on the disk before its recipient is
// known. Of several callers one makes it and all are given the same.
func (s *Store) Make(record string, version int, hospital string) (recipient string, err error) {
	if kept, err := s.read(record, version); !errors.Is(err, fs.ErrNotExist) {
		return kept.Recipient, unusable(err)
	}
	key, err := envelope.NewIdentity()
	if err != nil {
		return "", err
	}
	made := entry{Recipient: key.Recipient()}
	if made.Wrap, err = envelope.Wrap(key, hospital); err != nil {
		return "", err
	}
	content, err := json.Marshal(made)
	if err == nil {
		err = os.Mkdir(filepath.Join(s.folder, record), 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", unusable(err)
	}
	err = envelope.CreateExclusive(s.path(record, version), append(content, '\n'))
	if errors.Is(err, fs.ErrExist) {
		made, err = s.read(record, version)
	}
	if err == nil {
		err = errors.Join(syncFolder(filepath.Join(s.folder, record)), syncFolder(s.folder))
	}
	return made.Recipient, unusable(err)
}

// Key gives a version's key, which unwrap opens.
func (s *Store) Key(record string, version int, unwrap func(wrap string) (*envelope.Identity, error)) (*envelope.Identity, error) {
	kept, err := s.read(record, version)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, codes.Errorf("MF-KEYSTORE-MISSING", "%s holds no key of version %d of %s; bring the folder back from a copy, or let the patient open the record, who can", s.folder, version, record)
	}
	if err != nil {
		return nil, unusable(err)
	}
	return unwrap(kept.Wrap)
}

// Delete removes the keys of all versions of a record. Each is overwritten before its
// file goes, and the folder is seen to be without it. What copies of the folder, the
// file system's own copies and worn blocks of a drive keep, it can't reach. None there
// is a success.
func (s *Store) Delete(record string) error {
	folder := filepath.Join(s.folder, record)
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unusable(err)
	}
	for _, file := range files {
		if err := wipe(filepath.Join(folder, file.Name())); err != nil {
			return unusable(err)
		}
	}
	if err := os.Remove(folder); err != nil { // which fails while anything is in it
		return unusable(err)
	}
	return unusable(syncFolder(s.folder))
}

// wipe overwrites a file and removes it.
func wipe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, info.Size()))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Remove(path)
}

// syncFolder puts the names in a folder on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (s *Store) path(record string, version int) string {
	return filepath.Join(s.folder, record, fmt.Sprintf("%08d.key", version))
}

func (s *Store) read(record string, version int) (entry, error) {
	var kept entry
	content, err := os.ReadFile(s.path(record, version))
	if err == nil {
		err = json.Unmarshal(content, &kept)
	}
	return kept, err
}

func unusable(err error) error {
	if err == nil {
		return nil
	}
	return codes.Wrapf("MF-KEYSTORE-FOLDER", "the keys of the private documents can't be read or written: %w; see that the folder that the profile names in documentKeys is there, is the one that all officers of the hospital share, and has room", err)
}
