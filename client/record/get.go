package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
)

// Fetched is a version's plain file.
type Fetched struct {
	Record      string `json:"record"`
	Version     int    `json:"version"`
	ContentType string `json:"content_type"`
	SHA256      string `json:"sha256"` // of the plain file
	Size        int64  `json:"size"`   // of the plain file in bytes
	File        string `json:"file"`
}

// Get fetches a version for the custodian or the patient, from the private IPFS,
// into a file. Version 0 is the newest. Needs Own and Key.
func (c *Client) Get(ctx context.Context, rec string, number int, output string) (Fetched, error) {
	if err := c.needOwn(); err != nil {
		return Fetched{}, err
	}
	public, err := c.Ledger.Records.Get(ctx, record.RecordRequest{Record: rec})
	if err != nil {
		return Fetched{}, err
	}
	if number == 0 {
		number = public.Versions
	}
	version, err := c.Ledger.Records.GetVersion(ctx, record.VersionRequest{Record: rec, Version: number})
	if err != nil {
		return Fetched{}, err
	}
	private, err := c.private(ctx, public.Custodian, version)
	if err != nil {
		return Fetched{}, err
	}
	key, err := c.unwrap(ctx, private)
	if err != nil {
		return Fetched{}, err
	}
	f := Fetched{Record: rec, Version: number, ContentType: private.ContentType, SHA256: private.PlainDigest, File: output}
	f.Size, err = c.fetch(ctx, c.Own, sealedFile{private.CID, version.Size, private.PlainDigest}, key, output)
	return f, err
}

// sealedFile is a ciphertext and the plain file's digest.
type sealedFile struct {
	cid    string
	size   int64 // of the ciphertext in bytes
	digest string
}

// fetch writes a ciphertext's plain file to path, whole and checked or not at
// all, and returns its length. Blocks are checked against their CIDs, chunks by
// their tags, and the whole by its digest before it gets its name.
func (c *Client) fetch(ctx context.Context, store Store, sealed sealedFile, key *envelope.Identity, path string) (int64, error) {
	content, err := store.Get(ctx, sealed.cid)
	if err != nil {
		return 0, err
	}
	defer content.Close()
	// One byte more than the ledger says is enough to see that it is too long.
	plain, err := envelope.Open(c.count(io.LimitReader(content, sealed.size+1), "fetch and decrypt", sealed.size), key)
	if err != nil {
		return 0, err
	}
	return writeChecked(path, plain, sealed.digest)
}

// writeChecked writes what a reader gives to path if its SHA-256 is the digest.
func writeChecked(path string, plain io.Reader, digest string) (int64, error) {
	f, err := renameio.TempFile(filepath.Dir(path), path) // for its owner only
	if err != nil {
		return 0, writeError(err)
	}
	defer f.Cleanup()
	sum := sha256.New()
	size, err := pour(io.MultiWriter(f, sum), plain)
	switch {
	case err != nil:
		return 0, err
	case hex.EncodeToString(sum.Sum(nil)) != digest:
		return 0, codes.Errorf("MF-RECORD-MISMATCH", "the decrypted file is not the one that the ledger's digest is of; it was not written, ask the custodian")
	}
	return size, writeError(f.CloseAtomicallyReplace())
}

// pour writes what a reader gives, while it reads on, and returns how much it was:
// deciphering is one goroutine's work, and the digest and the disk another's. An
// error of the reader comes back as it is, one of the writer as MF-WRITE-RECORD.
func pour(w io.Writer, r io.Reader) (size int64, err error) {
	const pieces, pieceSize = 4, 64 << 10
	filled, free := make(chan []byte, pieces), make(chan []byte, pieces)
	for range pieces {
		free <- make([]byte, pieceSize)
	}
	written := make(chan error, 1)
	go func() {
		for piece := range filled {
			if _, err := w.Write(piece); err != nil {
				written <- writeError(err)
				return
			}
			free <- piece[:pieceSize]
		}
		written <- nil
	}()
	for err == nil {
		select {
		case piece := <-free:
			var n int
			n, err = r.Read(piece)
			size += int64(n)
			filled <- piece[:n] // there is room for all of them
		case failed := <-written:
			return size, failed
		}
	}
	close(filled)
	failed := <-written
	if err != io.EOF {
		return size, err
	}
	return size, failed
}

func writeError(err error) error {
	if err == nil {
		return nil
	}
	return codes.Wrapf("MF-WRITE-RECORD", "the file can't be written: %w; choose a folder that can be written and has room", err)
}
