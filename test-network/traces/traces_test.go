package traces_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/medfed/medfed/test-network/traces"
)

const canary = "MRN-4711-CANARY"

// found are the files below a folder that hold the canary.
func found(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files := map[string]bool{}
	if err := traces.Files(folder, func(path string, content []byte) {
		if traces.In(content, traces.Forms(canary)) {
			files[path] = true
		}
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryFormIsFound(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprint(w, strings.Repeat(canary, 100))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	forms := map[string][]byte{
		"plain": []byte("before" + canary + "after"), "hex": []byte("00" + hex.EncodeToString([]byte(canary)) + "ff"),
		"HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(canary)))), "gzip": packed.Bytes(),
	}
	for n := range 4 {
		text := []byte(strings.Repeat("x", n) + canary + "yz")
		forms[fmt.Sprint("base64 after ", n)] = []byte(base64.StdEncoding.EncodeToString(text))
		forms[fmt.Sprint("base64url after ", n)] = []byte(base64.RawURLEncoding.EncodeToString(text))
	}
	folder := t.TempDir()
	for name, content := range forms {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "another"), []byte("MRN-4712-CANARY"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := found(t, folder)
	for name := range forms {
		if !files[name] {
			t.Errorf("%s is not found", name)
		}
	}
	if files["another"] {
		t.Error("another text is found")
	}
}

// Peers keep what they know in LevelDB, which compresses: the text is in no file as it is.
func TestWhatADataBaseHasCompressedIsFound(t *testing.T) {
	folder := t.TempDir()
	db, err := leveldb.OpenFile(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 { // MRN-4711-CANAR comes again and again, and the whole text once
		if err := db.Put(fmt.Appendf(nil, "%04d", n), []byte(strings.Repeat("MRN-4711-CANAR ", 20)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Put([]byte("0500"), []byte("MRN-4711-CANAR MRN-4711-CANAR "+canary), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.CompactRange(util.Range{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables := 0
	for path := range found(t, folder) {
		if strings.HasSuffix(path, ".ldb") {
			tables++
			if content, err := os.ReadFile(filepath.Join(folder, path)); err != nil || bytes.Contains(content, []byte(canary)) {
				t.Errorf("the table has it as it is, so the test shows nothing: %v", err)
			}
		}
	}
	if tables != 1 {
		t.Errorf("found in %d tables, want 1", tables)
	}
}
