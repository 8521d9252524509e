// Package traces looks for what the files of a network hold: what was private, or was
// erased, in whatever way a file may have it written down.
package traces

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/table"
)

// maxUnpacked bounds what a compressed file is unpacked to, in bytes.
const maxUnpacked = 1 << 30

// Files reads every file below a folder and gives its path, slash-separated from there
// down, with its content. After that of a table of LevelDB, which Snappy compresses, and of
// a gzip file comes what it is unpacked to. A file that goes meanwhile is left out.
func Files(folder string, each func(path string, content []byte)) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			err = read(folder, path, each)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func read(folder, path string, each func(string, []byte)) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	unpacked, err := unpack(path, content)
	if err != nil {
		return err
	}
	each(filepath.ToSlash(relative), append(content, unpacked...))
	return nil
}

// unpack gives what a compressed file holds, nothing for any other.
func unpack(path string, content []byte) ([]byte, error) {
	switch extension := filepath.Ext(path); {
	case extension == ".ldb" || extension == ".sst":
		return entries(content)
	case bytes.HasPrefix(content, []byte{0x1f, 0x8b, 8}):
		packed, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, nil // it only begins like one
		}
		unpacked, err := io.ReadAll(io.LimitReader(packed, maxUnpacked))
		if err != nil {
			return unpacked, nil // which is still being written
		}
		return unpacked, nil
	}
	return nil, nil
}

// entries are the keys and values of a table of LevelDB.
func entries(content []byte) ([]byte, error) {
	reader, err := table.NewReader(bytes.NewReader(content), int64(len(content)), storage.FileDesc{Type: storage.TypeTable}, nil, nil, &opt.Options{})
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	each := reader.NewIterator(nil, nil)
	defer each.Release()
	var all []byte
	for each.Next() {
		all = append(append(all, each.Key()...), each.Value()...)
	}
	if err := each.Error(); err != nil && len(all) == 0 && len(content) > 0 {
		return nil, err
	}
	return all, nil
}

// Forms are the ways in which a text can be written down: as it is, as what it is the
// hexadecimal or base64 of, and in these, wherever it begins among the bytes of a longer
// text.
func Forms(text string) [][]byte {
	raw := []byte(text)
	forms := [][]byte{raw, []byte(hex.EncodeToString(raw)), []byte(strings.ToUpper(hex.EncodeToString(raw)))}
	for skipped := range 3 {
		whole := (len(raw) - skipped) / 3 * 3 // what follows changes the letters of the rest
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if form := alphabet.EncodeToString(raw[min(skipped, len(raw)):][:max(whole, 0)]); len(form) >= 8 {
				forms = append(forms, []byte(form))
			}
		}
	}
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if decoded, err := decode(text); err == nil && len(decoded) >= 8 {
			forms = append(forms, decoded)
		}
	}
	return forms
}

// In reports whether a content has a text in any of its forms.
func In(content []byte, forms [][]byte) bool {
	return slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(content, form) })
}
