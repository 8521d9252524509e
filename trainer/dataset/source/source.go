package source

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/medfed/medfed/chaincode/codes"
)

// Options say where a set may come from.
type Options struct {
	// Folder holds <name>.npz files the user brought; the place looked at first.
	// Nothing is written to it. "" for none.
	Folder string
	// Cache keeps downloaded files. "" for medfed/data in the user's cache folder.
	Cache string
	// AllowDownload lets a set that is in neither folder be fetched.
	AllowDownload bool
	// Brief makes one attempt of a download, which is given up after 10 seconds
	// without a byte and after a minute in all: for a caller that can do without.
	Brief bool
	// Mirror replaces the official address: <Mirror>/<name>.npz. The checksum stays
	// the official one. "" for the official address.
	Mirror string
	// Progress, when not nil, hears how many bytes of a download have come of how
	// many; the total is -1 when the server does not say. An attempt begins with 0.
	Progress func(done, total int64)
}

// Unavailable is the error of a set that is not on this machine and cannot be
// brought there. A file that is there and is wrong is another matter.
type Unavailable struct{ Err error }

func (u *Unavailable) Error() string { return u.Err.Error() }
func (u *Unavailable) Unwrap() error { return u.Err }

// File is a set's file, open, with the official MD5.
type File struct {
	*os.File
	Size   int64  // bytes
	SHA256 string // 64 lower-case hexadecimal digits
}

// Bring opens the set's file from Folder, else from Cache, else, where allowed,
// downloads it into Cache. The errors are coded MF-DATA-ABSENT, MF-DATA-DOWNLOAD,
// MF-DATA-CHECKSUM and MF-DATA-FOLDER; one that means that there is no file to be
// had is [Unavailable].
func Bring(ctx context.Context, info Info, opts Options) (*File, error) {
	path, err := find(info, opts)
	if err != nil {
		return nil, err
	}
	if path == "" && !opts.AllowDownload {
		return nil, &Unavailable{codes.Errorf("MF-DATA-ABSENT", "%s.npz is not on this machine (searched %q) and no download is allowed; %s", info.Name, opts.folders(), waysOut(info))}
	}
	if path == "" {
		if path, err = download(ctx, info, opts); err != nil {
			return nil, &Unavailable{err}
		}
	}
	return Open(ctx, info, path)
}

// Choose gives the name of the set to take. One that is named is taken when its
// file can be brought, and is an error else. Where none is named it is [Preferred];
// and [Synthetic] when that is [Unavailable], with the reason why.
func Choose(ctx context.Context, name string, opts Options) (chosen string, why, err error) {
	free := name == ""
	if free {
		name, opts.Brief = Preferred, true
	}
	if name == Synthetic {
		return Synthetic, nil, nil
	}
	info, err := Lookup(name)
	if err != nil {
		return "", nil, err
	}
	file, err := Bring(ctx, info, opts)
	var unavailable *Unavailable
	switch {
	case err == nil:
		return name, nil, file.Close()
	case free && errors.As(err, &unavailable) && ctx.Err() == nil:
		return Synthetic, err, nil
	}
	return "", nil, err
}

// Open opens a file that must have the set's official MD5.
func Open(ctx context.Context, info Info, path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, codes.Wrapf("MF-DATA-FOLDER", "cannot open %s.npz: %w; check the file's permissions", info.Name, err)
	}
	sums, size, err := checksums(ctx, f)
	switch {
	case err != nil:
		err = codes.Wrapf("MF-DATA-FOLDER", "cannot read %s: %w; check the file", path, err)
	case sums.md5 != info.MD5:
		err = checksumError(path, sums.md5, info)
	default:
		return &File{f, size, sums.sha256}, nil
	}
	return nil, errors.Join(err, f.Close())
}

func checksumError(path, got string, info Info) error {
	return codes.Errorf("MF-DATA-CHECKSUM", "%s has MD5 %s, the official %s.npz has %s; it is not the data set: move it away and fetch %s, or name the folder that has the official file", path, got, info.Name, info.MD5, info.URL)
}

// sums are the checksums of a file in hexadecimal digits.
type sums struct{ md5, sha256 string }

// checksums reads r to its end, unless ctx ends first.
func checksums(ctx context.Context, r io.Reader) (sums, int64, error) {
	m, s := md5.New(), sha256.New() // MD5 is what MedMNIST publishes; SHA-256 is what reports name
	n, err := io.Copy(&untilDone{ctx, io.MultiWriter(m, s)}, r)
	return sums{hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(s.Sum(nil))}, n, err
}

// untilDone fails once its context has ended.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u *untilDone) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(b)
}

// find is the path of the set's file in Folder or Cache, or "" when it is in neither.
func find(info Info, opts Options) (string, error) {
	for _, folder := range opts.folders() {
		file := filepath.Join(folder, info.Name+".npz")
		switch _, err := os.Stat(file); {
		case err == nil:
			return file, nil
		case os.IsNotExist(err):
			continue
		case folder == opts.Folder:
			return "", codes.Wrapf("MF-DATA-FOLDER", "cannot look for %s.npz: %w; check the folder", info.Name, err)
		default:
			return "", &Unavailable{codes.Wrapf("MF-DATA-FOLDER", "cannot look for %s.npz: %w; check the cache folder", info.Name, err)}
		}
	}
	return "", nil
}

// folders are the places to look at, in order.
func (o Options) folders() []string {
	var folders []string
	if o.Folder != "" {
		folders = append(folders, o.Folder)
	}
	if cache, err := o.cache(); err == nil {
		folders = append(folders, cache)
	}
	return folders
}

// cache is the folder downloads are kept in.
func (o Options) cache() (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", codes.Wrapf("MF-DATA-FOLDER", "this user has no cache folder: %w; name one", err)
	}
	return filepath.Join(folder, "medfed", "data"), nil
}

// Notice says in one line that images are synthetic, and how real ones are had.
func Notice() string {
	info, err := Lookup(Preferred)
	if err != nil {
		panic(err) // the preferred set is one of the table
	}
	return fmt.Sprintf("The X-rays are SYNTHETIC, made by a program. For real ones put %s.npz from %s into a folder and name it: make demo %s=FOLDER", info.Name, info.URL, FolderVariable)
}

// waysOut says what a user without network or data can do.
func waysOut(info Info) string {
	return fmt.Sprintf("put %s.npz from %s into a folder and name it in %s, or use --data %s", info.Name, info.URL, FolderVariable, Synthetic)
}
