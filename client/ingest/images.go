package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
)

// WriteImages decrypts the ingested images of a label into folder/label/, named
// by their digests, as dataset.LoadFolder reads them, and gives their number. Every
// image is checked against its digest before it gets its name. The label is the
// name of the folder an image was found in; open opens what is wrapped for the
// hospital. The files are the patients' plain
// images: make the folder a temporary one and remove it after training. Errors:
// MF-INGEST-OUTPUT, MF-INGEST-DIGEST, and those of envelope and store.
func WriteImages(ctx context.Context, store Store, open Opener, entries []Entry, label, folder string) (int, error) {
	if label == "" || label != filepath.Base(label) || label == "." || label == ".." {
		return 0, codes.Errorf("MF-INGEST-OUTPUT", "the label is no name of a folder; name one that images were found in")
	}
	target := filepath.Join(folder, label)
	if err := os.MkdirAll(target, 0o700); err != nil {
		return 0, unwritable(err)
	}
	written := 0
	for _, e := range entries {
		suffix, isImage := map[string]string{TypePNG: ".png", TypeJPEG: ".jpg"}[e.ContentType]
		if !e.Done || e.Erased || !isImage || e.Label != label {
			continue
		}
		if err := writeImage(ctx, store, open, e, filepath.Join(target, e.Digest+suffix)); err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

// Opener opens a key that is wrapped for the hospital; record.Client.HospitalKeys
// gives one.
type Opener func(wrap string) (*envelope.Identity, error)

// Labels are the names of the folders that ingested images were found in, sorted.
func Labels(entries []Entry) []string {
	var labels []string
	for _, e := range entries {
		if image := e.ContentType == TypePNG || e.ContentType == TypeJPEG; image && e.Done && !e.Erased && e.Label != "" {
			labels = append(labels, e.Label)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

func writeImage(ctx context.Context, store Store, open Opener, e Entry, path string) error {
	own, err := open(e.Wrap)
	if err != nil {
		return err
	}
	sealed, err := store.Get(ctx, e.CID)
	if err != nil {
		return err
	}
	defer sealed.Close()
	plain, err := envelope.Open(sealed, own)
	if err != nil {
		return err
	}
	file, err := renameio.TempFile(filepath.Dir(path), path) // for its owner only
	if err != nil {
		return unwritable(err)
	}
	defer file.Cleanup()
	hash := sha256.New()
	if _, err = io.Copy(output{file}, io.TeeReader(plain, hash)); err != nil {
		return err
	}
	if hex.EncodeToString(hash.Sum(nil)) != e.Digest {
		return codes.Errorf("MF-INGEST-DIGEST", "an image is not the one that was ingested; ingest it again")
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return unwritable(err)
	}
	return nil
}

// output gives errors of writing their code.
type output struct{ file io.Writer }

func (o output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if err != nil {
		err = unwritable(err)
	}
	return n, err
}

func unwritable(err error) error {
	return codes.Wrapf("MF-INGEST-OUTPUT", "the image can't be written: %w; check folder and disk", err)
}
