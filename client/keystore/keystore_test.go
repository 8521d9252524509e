package keystore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/keystore"
)

const xray = "r-00000000000000000000000000000001"

func identity(t *testing.T) *envelope.Identity {
	t.Helper()
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// unwrapBy opens what is wrapped for a hospital.
func unwrapBy(hospital *envelope.Identity) func(string) (*envelope.Identity, error) {
	return func(wrap string) (*envelope.Identity, error) { return envelope.Unwrap(wrap, hospital) }
}

func TestEveryVersionHasAKeyOfItsOwnThatItsHospitalOpens(t *testing.T) {
	store, hospital := keystore.Open(t.TempDir()), identity(t)
	seen := map[string]bool{}
	for version := 1; version <= 3; version++ {
		recipient, err := store.Make(xray, version, hospital.Recipient())
		if err != nil || seen[recipient] {
			t.Fatalf("%s, %v", recipient, err)
		}
		seen[recipient] = true
		if again, err := store.Make(xray, version, identity(t).Recipient()); err != nil || again != recipient {
			t.Errorf("made twice: %v", err)
		}
		key, err := store.Key(xray, version, unwrapBy(hospital))
		if err != nil || key.Recipient() != recipient {
			t.Errorf("version %d: %v", version, err)
		}
		if _, err := store.Key(xray, version, unwrapBy(identity(t))); codes.Of(err) != "MF-ENVELOPE-NOT-RECIPIENT" {
			t.Errorf("another hospital's key: %v", err)
		}
	}
}

func TestThoseWhoMakeAKeyAtOnceAreGivenTheSame(t *testing.T) {
	folder, hospital := t.TempDir(), identity(t)
	made := make([]string, 16)
	var making sync.WaitGroup
	for i := range made {
		making.Go(func() {
			var err error
			if made[i], err = keystore.Open(folder).Make(xray, 1, hospital.Recipient()); err != nil {
				t.Error(err)
			}
		})
	}
	making.Wait()
	key, err := keystore.Open(folder).Key(xray, 1, unwrapBy(hospital))
	if err != nil {
		t.Fatal(err)
	}
	for _, recipient := range made {
		if recipient != key.Recipient() {
			t.Errorf("%s was told, %s is kept", recipient, key.Recipient())
		}
	}
}

// What is deleted is in no file any more, not even in one that was linked elsewhere, and
// other records keep theirs.
func TestDeletedKeysAreOverwritten(t *testing.T) {
	folder, hospital := t.TempDir(), identity(t)
	store, other := keystore.Open(folder), "r-00000000000000000000000000000002"
	for _, record := range []string{xray, other} {
		if _, err := store.Make(record, 1, hospital.Recipient()); err != nil {
			t.Fatal(err)
		}
	}
	file, link := filepath.Join(folder, xray, "00000001.key"), filepath.Join(t.TempDir(), "link")
	if err := os.Link(file, link); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Delete(xray); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadFile(link); err != nil || len(bytes.Trim(left, "\x00")) > 0 {
		t.Errorf("the file's blocks still hold %q, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(folder, xray)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	if _, err := store.Key(xray, 1, unwrapBy(hospital)); codes.Of(err) != "MF-KEYSTORE-MISSING" {
		t.Errorf("the key: %v", err)
	}
	if _, err := store.Key(other, 1, unwrapBy(hospital)); err != nil {
		t.Errorf("another record's key: %v", err)
	}
}

func TestAFolderThatCannotBeUsedIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, hospital := keystore.Open(file), identity(t)
	_, made := store.Make(xray, 1, hospital.Recipient())
	_, read := store.Key(xray, 1, unwrapBy(hospital))
	for what, err := range map[string]error{"make": made, "read": read, "delete": store.Delete(xray)} {
		if codes.Of(err) != "MF-KEYSTORE-FOLDER" {
			t.Errorf("%s: %v", what, err)
		}
	}
	absent := filepath.Join(t.TempDir(), "keys")
	if _, err := keystore.Open(absent).Make(xray, 1, hospital.Recipient()); codes.Of(err) != "MF-KEYSTORE-FOLDER" {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := os.Stat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that the officers don't share was made: %v", err)
	}
	spoilt := filepath.Join(t.TempDir(), xray)
	if err := os.MkdirAll(spoilt, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spoilt, "00000001.key"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.Open(filepath.Dir(spoilt)).Make(xray, 1, hospital.Recipient()); codes.Of(err) != "MF-KEYSTORE-FOLDER" {
		t.Errorf("a spoilt key: %v", err)
	}
}
