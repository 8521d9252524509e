package audit

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
)

// A bundle is a gzipped tar: manifest.json and then each block under its number,
// in order. Nothing in the manifest is trusted: it says what to expect, and a
// file that is cut short does not verify.

// Manifest is the bundle's first entry.
type Manifest struct {
	Format   string `json:"format"`
	Channel  string `json:"channel"`
	Blocks   uint64 `json:"blocks"`
	Genesis  string `json:"genesis"`  // hash of the first block's header, hexadecimal
	Exported string `json:"exported"` // when, RFC 3339 in UTC
	By       string `json:"by"`       // identity that asked the peer, "MSP/name"
}

const (
	manifestName = "manifest.json"
	formatName   = "medfed-audit-1"

	maxManifest = 1 << 16
	maxBlock    = 128 << 20
)

func blockName(number uint64) string { return fmt.Sprintf("blocks/%012d.block", number) }

// bundleWriter writes a bundle.
type bundleWriter struct {
	zip  *gzip.Writer
	tar  *tar.Writer
	next uint64
	at   time.Time
}

func newBundleWriter(w io.Writer, m Manifest) (*bundleWriter, error) {
	zip, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	b := &bundleWriter{zip: zip, tar: tar.NewWriter(zip)}
	if b.at, err = time.Parse(time.RFC3339, m.Exported); err != nil {
		return nil, err
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return b, b.put(manifestName, append(content, '\n'))
}

func (b *bundleWriter) put(name string, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: b.at}
	if err := b.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := b.tar.Write(content)
	return err
}

// add writes the next block.
func (b *bundleWriter) add(block []byte) error {
	b.next++
	return b.put(blockName(b.next-1), block)
}

func (b *bundleWriter) close() error {
	if err := b.tar.Close(); err != nil {
		return err
	}
	return b.zip.Close()
}

// bundleReader reads a bundle, block by block.
type bundleReader struct {
	Manifest
	tar  *tar.Reader
	zip  *gzip.Reader
	next uint64
}

func newBundleReader(r io.Reader) (*bundleReader, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, notBundle("it is not compressed as a bundle is: %v", err)
	}
	b := &bundleReader{tar: tar.NewReader(zip), zip: zip}
	content, err := b.entry(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b.Manifest); err != nil {
		return nil, notBundle("its manifest can't be read: %v", err)
	}
	if b.Format != formatName {
		return nil, notBundle("its format is %q and not %s", b.Format, formatName)
	}
	if b.Blocks == 0 {
		return nil, notBundle("it holds no block")
	}
	if digest, err := hex.DecodeString(b.Genesis); err != nil || len(digest) != 32 {
		return nil, notBundle("its manifest names no first block")
	}
	return b, nil
}

// block reads the next block; io.EOF after the last that the manifest promises,
// once the file has been read to its end.
func (b *bundleReader) block() ([]byte, error) {
	if b.next < b.Blocks {
		b.next++
		return b.entry(blockName(b.next-1), maxBlock)
	}
	if _, err := b.tar.Next(); !errors.Is(err, io.EOF) {
		return nil, notBundle("more follows its last block")
	}
	// The tar ends before the compressed stream does: its checksum comes last.
	if rest, err := io.Copy(io.Discard, io.LimitReader(b.zip, maxManifest)); err != nil || rest == maxManifest {
		return nil, notBundle("its end is damaged")
	}
	return nil, io.EOF
}

// entry reads the next entry, which must have that name.
func (b *bundleReader) entry(name string, most int64) ([]byte, error) {
	header, err := b.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, notBundle("it ends before %s", name)
	case err != nil:
		return nil, notBundle("%s can't be read: %v", name, err)
	case header.Name != name || header.Typeflag != tar.TypeReg:
		return nil, notBundle("it holds %q where %s is due", header.Name, name)
	case header.Size > most:
		return nil, notBundle("%s has %d bytes", name, header.Size)
	}
	content := make([]byte, header.Size)
	if _, err := io.ReadFull(b.tar, content); err != nil {
		return nil, notBundle("%s can't be read: %v", name, err)
	}
	return content, nil
}

func notBundle(format string, args ...any) error {
	return codes.Errorf("MF-AUDIT-BUNDLE", "the file is no whole audit bundle: %s; export it again", fmt.Sprintf(format, args...))
}
