package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/ipfs"
)

// digestOf is the SHA-256 of a file in hexadecimal.
func digestOf(ctx context.Context, file *os.File) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, cancelled{ctx, file}); err != nil {
		return "", unreadable(err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// seal looks at a file's kind and encrypts it into the spool, never holding more
// of it than a buffer. It refuses a file that is no longer what it was.
func (i *Ingester) seal(ctx context.Context, file *os.File, name string, opened os.FileInfo) (Entry, error) {
	contentType, err := Detect(file, opened.Size())
	if err != nil {
		return Entry{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Entry{}, unreadable(err)
	}
	key, err := envelope.NewIdentity()
	if err != nil {
		return Entry{}, err
	}
	recipient, err := i.options.Recipient(ctx)
	if err != nil {
		return Entry{}, err
	}
	wrap, err := envelope.Wrap(key, recipient)
	if err != nil {
		return Entry{}, err
	}
	plain := &counted{r: cancelled{ctx, file}, tell: i.options.Progress, step: "encrypt " + path.Base(name), total: opened.Size()}
	digest, cid, err := i.spool(plain, key.Recipient())
	if err != nil {
		return Entry{}, err
	}
	if after, err := i.folder.Lstat(name); err != nil || !sameFile(opened, after) || plain.done != opened.Size() {
		return Entry{}, changed()
	}
	return Entry{
		Digest: digest, Path: name, Label: labelOf(name), ContentType: contentType, Size: opened.Size(),
		Record: i.recordOf(digest), CID: cid, Wrap: wrap,
	}, nil
}

// spool encrypts into the spool and gives the plain digest and the ciphertext's
// CID.
func (i *Ingester) spool(plain io.Reader, recipient string) (digest, cid string, err error) {
	out, err := i.journal.newSpool()
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, closeSpool(out)) }()
	hash := sha256.New()
	sealed, err := envelope.SealReader(io.TeeReader(plain, hash), recipient)
	if err != nil {
		return "", "", err
	}
	defer sealed.Close()
	cid, err = ipfs.ComputeCID(io.TeeReader(sealed, out))
	if err != nil {
		return "", "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), cid, nil
}

func closeSpool(out *os.File) error {
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return codes.Wrapf("MF-INGEST-JOURNAL", "the spool can't be written: %w; check the disk", err)
	}
	return nil
}

// cancelled reads until its context ends.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// labelOf is the name of the folder a file lies in, "" at the top.
func labelOf(name string) string {
	folder := path.Dir(name)
	if folder == "." {
		return ""
	}
	return path.Base(folder)
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func changed() error {
	return codes.Errorf("MF-INGEST-CHANGED", "the file changed while it was read; it is taken when it is finished")
}

func unreadable(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return codes.Wrapf("MF-INGEST-FOLDER", "the file can't be read: %w; check its permissions", err)
}
