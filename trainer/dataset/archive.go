package dataset

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// images is a folder or an archive, open to be read.
type images struct {
	fs.FS
	io.Closer
}

// openImages opens a folder, or what is no folder as a ZIP archive of one. The archive may
// hold the folder itself, if that is called as it or has a manifest.
func openImages(path string) (images, error) {
	info, err := os.Stat(path)
	if err != nil {
		return images{}, codes.Wrapf("MF-DATA-FOLDER", "cannot open the image folder: %w; check its path and permissions", err)
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return images{}, codes.Wrapf("MF-DATA-FOLDER", "cannot open the image folder: %w; check its path and permissions", err)
		}
		return images{root.FS(), root}, nil
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return images{}, codes.Wrapf("MF-DATA-FOLDER", "%s is neither a folder nor a ZIP archive that can be read: %w; name one of images", path, err)
	}
	inside, err := folderIn(archive, strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	if err != nil {
		archive.Close()
		return images{}, codes.Wrapf("MF-DATA-FOLDER", "the archive %s can't be listed: %w; pack the folder again", path, err)
	}
	return images{inside, archive}, nil
}

// folderIn is the folder of images in an archive of that name.
func folderIn(archive fs.FS, name string) (fs.FS, error) {
	all, err := fs.ReadDir(archive, ".")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" })
	if len(all) != 1 || !all[0].IsDir() {
		return archive, nil
	}
	inside, err := fs.Sub(archive, all[0].Name())
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(inside, manifestName); err == nil || all[0].Name() == name {
		return inside, nil
	}
	return archive, nil
}

// Limits of what a small archive may unpack to: no image is packed to so little.
const (
	freeUnpacked = 1 << 20
	packedRatio  = 20
)

// sizeOf is the length of an open file, and the bytes of it that are stored: those that it
// is packed to in an archive.
func sizeOf(f fs.File) (size, stored int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	size, stored = info.Size(), info.Size()
	if header, ok := info.Sys().(*zip.FileHeader); ok {
		stored = min(size, int64(header.CompressedSize64))
	}
	if size > maxFile {
		return 0, 0, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	if size > freeUnpacked && size > packedRatio*stored {
		return 0, 0, fmt.Errorf("it unpacks to %d bytes from %d, which no image does", size, stored)
	}
	return size, stored, nil
}

// readAll reads a file to its end, where an archive compares the checksum, and not beyond
// its size.
func readAll(f io.Reader, size int64) ([]byte, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	switch n, err := f.Read(make([]byte, 1)); {
	case n > 0:
		return nil, fmt.Errorf("it has more than its %d bytes", size)
	case err != nil && err != io.EOF:
		return nil, err
	}
	return b, nil
}

func readNamed(folder fs.FS, name string) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, _, err := sizeOf(f)
	if err != nil {
		return nil, err
	}
	return readAll(f, size)
}
