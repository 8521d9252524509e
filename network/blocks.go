package network

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/encoding/protowire"
)

// A peer keeps the channel's blocks one after the other in files, each with its
// length before it, in a form of Fabric's own (common/ledger/blkstorage,
// block_serialization.go): the header's number and hashes, the transactions and
// the metadata, each with their count. It is read here without the peer, which
// may run, be stopped, or be unable to start.

// blockFiles are the files of a chain, in order.
func blockFiles(folder string) []string {
	files, _ := filepath.Glob(filepath.Join(folder, "blockfile_*"))
	slices.Sort(files)
	return files
}

// storedBlocks are the blocks in the files of a peer, until the first that can't be
// read. A block that the peer is just writing is left out.
func (n *Network) storedBlocks(p *peer) iter.Seq2[*common.Block, error] {
	return func(yield func(*common.Block, error) bool) {
		files := blockFiles(n.blockFolder(p))
		number := uint64(0)
		for k, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				yield(nil, n.stateError(err))
				return
			}
			for rest := content; len(rest) > 0; number++ {
				stored, length := protowire.ConsumeBytes(rest)
				if length < 0 && k == len(files)-1 && len(rest) < maxBlockBytes && !holdsBlock(rest, number+1) {
					return // it is being written, or a crash has cut it off, which the peer mends
				}
				block, err := parseStored(stored)
				if length < 0 || err != nil || block.GetHeader().GetNumber() != number {
					yield(nil, fmt.Errorf("at byte %d of %s stands something else than block %d", len(content)-len(rest), file, number))
					return
				}
				if !yield(block, nil) {
					return
				}
				rest = rest[length:]
			}
		}
	}
}

// maxBlockBytes is more than a block can have: the orderers make none above 10 MB.
const maxBlockBytes = 64 << 20

// holdsBlock reports whether a block of that number seems to begin somewhere in
// what can't be read to the end: then not the last block is cut off, but one
// before it damaged.
func holdsBlock(rest []byte, number uint64) bool {
	begin := append(protowire.AppendVarint(nil, number), 32) // its number, and the length of a hash
	for at := 0; ; at++ {
		found := bytes.Index(rest[at:], begin)
		if found < 0 {
			return false
		}
		at += found
		if after := rest[at:]; len(after) > 2*33 && after[len(begin)+32] == 32 {
			return true
		}
	}
}

var errNotStored = errors.New("not a stored block")

// parseStored reads a block as peers store it. What is not written exactly as they
// write it is refused.
func parseStored(stored []byte) (*common.Block, error) {
	block := &common.Block{Header: &common.BlockHeader{}, Data: &common.BlockData{}, Metadata: &common.BlockMetadata{}}
	rest, ok := stored, true
	number := func() (v uint64) {
		length := 0
		if v, length = protowire.ConsumeVarint(rest); length < 0 {
			ok = false
			return 0
		}
		rest = rest[length:]
		return v
	}
	text := func() []byte {
		v, length := protowire.ConsumeBytes(rest)
		if length < 0 {
			ok = false
			return nil
		}
		rest = rest[length:]
		return v
	}
	list := func() (all [][]byte) {
		for count := number(); ok && count > 0; count-- {
			all = append(all, text())
		}
		return all
	}
	block.Header.Number, block.Header.DataHash, block.Header.PreviousHash = number(), text(), text()
	block.Data.Data, block.Metadata.Metadata = list(), list()
	if !ok || len(rest) > 0 || !bytes.Equal(storedForm(block), stored) {
		return nil, errNotStored
	}
	return block, nil
}

// storedForm is a block as peers store it, without its length.
func storedForm(b *common.Block) []byte {
	form := protowire.AppendVarint(nil, b.GetHeader().GetNumber())
	form = protowire.AppendBytes(form, b.GetHeader().GetDataHash())
	form = protowire.AppendBytes(form, b.GetHeader().GetPreviousHash())
	for _, list := range [][][]byte{b.GetData().GetData(), b.GetMetadata().GetMetadata()} {
		form = protowire.AppendVarint(form, uint64(len(list)))
		for _, entry := range list {
			form = protowire.AppendBytes(form, entry)
		}
	}
	return form
}

// writeBlocks writes stored blocks into the files of a chain.
func (n *Network) writeBlocks(folder string, blocks [][]byte) error {
	var content []byte
	number := 0
	write := func() error {
		err := writeFile(filepath.Join(folder, fmt.Sprintf("blockfile_%06d", number)), content, 0o600)
		if err != nil {
			return n.stateError(err)
		}
		content, number = nil, number+1
		return nil
	}
	for _, block := range blocks {
		if len(content)+len(block) > maxBlockBytes {
			if err := write(); err != nil {
				return err
			}
		}
		content = protowire.AppendBytes(content, block)
	}
	return write()
}
