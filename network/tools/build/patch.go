package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
	"golang.org/x/mod/modfile"

	"github.com/medfed/medfed/chaincode/codes"
)

// A patch changes a module that the servers need: it mends what its authors have not
// yet, or leaves out what medfed does not use and everyone would have to compile. It
// lies in the folder patches under that module's path, for instance
// patches/github.com/hyperledger-labs/SmartBFT.patch, says why in its first lines, and
// fits one version only: with another, the build fails until someone has looked.

// patches lists them, by file.
func (m *module) patches() (files []string, err error) {
	err = filepath.WalkDir(filepath.Join(m.dir, "patches"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".patch") {
			files = append(files, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		err = codes.Wrapf("MF-TOOLS-MODULES", "%w; make the patches readable", err)
	}
	return files, err
}

func (m *module) patchedDir() string { return filepath.Join(m.out, ".patched-"+m.name) }

// patch makes a copy of each module that there is a patch for, and a go.mod that takes
// the copies. The flags are those with which go takes that go.mod.
func (m *module) patch(ctx context.Context) (flags []string, err error) {
	files, err := m.patches()
	if err != nil || len(files) == 0 {
		return nil, err
	}
	if err := os.RemoveAll(m.patchedDir()); err != nil {
		return nil, m.outError(err)
	}
	raw, err := os.ReadFile(filepath.Join(m.dir, "go.mod"))
	if err != nil {
		return nil, codes.Wrapf("MF-TOOLS-MODULES", "%w; restore the file", err)
	}
	goMod, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		return nil, codes.Wrapf("MF-TOOLS-MODULES", "%w; restore the file", err)
	}
	for _, file := range files {
		of, err := filepath.Rel(filepath.Join(m.dir, "patches"), strings.TrimSuffix(file, ".patch"))
		if err != nil {
			return nil, codes.Wrapf("MF-TOOLS-MODULES", "%w; name the patch after its module", err)
		}
		of = filepath.ToSlash(of)
		copied := filepath.Join(m.patchedDir(), filepath.FromSlash(of))
		if err := m.copyModule(ctx, of, copied); err != nil {
			return nil, err
		}
		if err := applyPatch(file, copied); err != nil {
			return nil, codes.Wrapf("MF-TOOLS-MODULES", "%s does not fit the version of %s that go.mod names: %w; see whether it is still needed", file, of, err)
		}
		if err := goMod.AddReplace(of, "", copied, ""); err != nil {
			return nil, codes.Wrapf("MF-TOOLS-MODULES", "%w; name the patch after its module", err)
		}
	}
	return m.writePatchedMod(goMod)
}

// copyModule copies a module's sources out of Go's cache, which must not change.
func (m *module) copyModule(ctx context.Context, path, to string) error {
	var out bytes.Buffer
	if err := m.goCommand(ctx, &out, ignore, "mod", "download", "-json", path); err != nil {
		return err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out.Bytes(), &downloaded); err != nil {
		return codes.Wrapf("MF-TOOLS-GO", "go mod download said what can't be read: %w; install a Go that go.mod names", err)
	}
	if err := os.CopyFS(to, os.DirFS(downloaded.Dir)); err != nil {
		return m.outError(err)
	}
	return nil
}

// applyPatch changes the files in a folder as a patch says.
func applyPatch(patch, dir string) error {
	raw, err := os.ReadFile(patch)
	if err != nil {
		return err
	}
	changes, _, err := gitdiff.Parse(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return errors.New("it changes nothing")
	}
	for _, change := range changes {
		if err := applyChange(change, filepath.Join(dir, filepath.FromSlash(change.NewName))); err != nil {
			return err
		}
	}
	return nil
}

func applyChange(change *gitdiff.File, path string) error {
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var after bytes.Buffer
	if err := gitdiff.Apply(&after, bytes.NewReader(before), change); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil { // a copy of what is read-only
		return err
	}
	return os.WriteFile(path, after.Bytes(), 0o644)
}

// writePatchedMod writes the go.mod that takes the copies, and its go.sum.
func (m *module) writePatchedMod(goMod *modfile.File) (flags []string, err error) {
	content, err := goMod.Format()
	if err != nil {
		return nil, codes.Wrapf("MF-TOOLS-MODULES", "%w; restore go.mod", err)
	}
	sum, err := os.ReadFile(filepath.Join(m.dir, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, codes.Wrapf("MF-TOOLS-MODULES", "%w; restore the file", err)
	}
	path := filepath.Join(m.patchedDir(), "go.mod")
	if err := errors.Join(os.WriteFile(path, content, 0o644), os.WriteFile(filepath.Join(m.patchedDir(), "go.sum"), sum, 0o644)); err != nil {
		return nil, m.outError(err)
	}
	return []string{"-modfile=" + path}, nil
}
