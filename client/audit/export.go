package audit

import (
	"context"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/blockhash"
	"github.com/medfed/medfed/chaincode/codes"
)

// Source is a peer's ledger; a gateway is one.
type Source interface {
	Channel() string
	Height(ctx context.Context) (uint64, error)
	Block(ctx context.Context, number uint64) ([]byte, error)
}

// Exported says what an export wrote.
type Exported struct {
	File    string `json:"file"`
	Channel string `json:"channel"`
	Blocks  uint64 `json:"blocks"`
	Genesis string `json:"genesis"` // hash of the first block's header, hexadecimal: what Verify is to trust
	Head    string `json:"head"`    // hash of the last block's header, hexadecimal
	Bytes   int64  `json:"bytes"`   // of the file
}

// Export writes every block that the source has at its start into a bundle. The
// file is whole or not there: it gets its name when all is written. An existing
// file is not written over.
func Export(ctx context.Context, source Source, by, file string, progress Progress) (Exported, error) {
	if _, err := os.Lstat(file); err == nil {
		return Exported{}, codes.Errorf("MF-WRITE-EXISTS", "%s is there already; name another file", file)
	}
	draft, err := renameio.TempFile(filepath.Dir(file), file)
	if err != nil {
		return Exported{}, cannotWrite(err)
	}
	defer draft.Cleanup()
	done, err := export(ctx, source, by, draft, progress)
	if err != nil {
		return Exported{}, err
	}
	if done.Bytes, err = finish(draft, file); err != nil {
		return Exported{}, err
	}
	done.File = file
	return done, nil
}

func export(ctx context.Context, source Source, by string, w io.Writer, progress Progress) (Exported, error) {
	height, err := source.Height(ctx)
	if err != nil {
		return Exported{}, err
	}
	done := Exported{Channel: source.Channel(), Blocks: height}
	var bundle *bundleWriter
	for number := range height {
		raw, err := source.Block(ctx, number)
		if err != nil {
			return Exported{}, err
		}
		block, err := parseBlock(number, raw)
		if err != nil {
			return Exported{}, err
		}
		done.Head = hex.EncodeToString(blockhash.Header(block.Header))
		if number == 0 {
			done.Genesis = done.Head
			bundle, err = newBundleWriter(w, Manifest{
				Format: formatName, Channel: done.Channel, Blocks: height, Genesis: done.Genesis,
				Exported: time.Now().UTC().Format(time.RFC3339), By: by,
			})
			if err != nil {
				return Exported{}, cannotWrite(err)
			}
		}
		if err := bundle.add(raw); err != nil {
			return Exported{}, cannotWrite(err)
		}
		progress.Step(StepExport, int(number)+1, int(height))
	}
	if bundle == nil {
		return Exported{}, codes.Errorf("MF-AUDIT-BLOCK", "the peer has no block of channel %s; name a channel that it has joined", done.Channel)
	}
	if err := bundle.close(); err != nil {
		return Exported{}, cannotWrite(err)
	}
	return done, nil
}

// finish puts the draft on the disk for good, under its name.
func finish(draft *renameio.PendingFile, file string) (int64, error) {
	if err := draft.Sync(); err != nil {
		return 0, cannotWrite(err)
	}
	info, err := draft.Stat()
	if err != nil {
		return 0, cannotWrite(err)
	}
	if err := draft.Chmod(0o644); err != nil {
		return 0, cannotWrite(err)
	}
	if err := os.Link(draft.Name(), file); err != nil { // unlike a rename this never replaces a file
		return 0, cannotWrite(err)
	}
	return info.Size(), nil
}

func cannotWrite(err error) error {
	return codes.Wrapf("MF-AUDIT-WRITE", "the bundle can't be written: %w; check the folder and the space on its disk", err)
}
