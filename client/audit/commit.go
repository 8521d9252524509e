package audit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A peer notes with every block but the first the hash of what it has committed
// so far: of the hash before, the validation flags, and what the valid
// transactions wrote (Fabric's core/ledger/kvledger, commit hash). The orderers
// don't know it and nobody signs it, so it proves nothing about the consortium. It
// does prove that the peer which gave the blocks has the very state that is
// replayed here, and what it noted can be compared with other peers'.

// checkCommitHash compares what the peer noted with the replayed hash, and keeps
// that for the next block. Written is what the block's valid transactions wrote.
func (v *verifier) checkCommitHash(number uint64, block *common.Block, written []byte) error {
	v.committed = commitHash(v.committed, block, written)
	noted := &common.Metadata{}
	if parts := block.Metadata.Metadata; len(parts) > int(common.BlockMetadataIndex_COMMIT_HASH) {
		if err := proto.Unmarshal(parts[common.BlockMetadataIndex_COMMIT_HASH], noted); err != nil {
			return fault("MF-AUDIT-COMMIT", inBlock(number), "the peer's hash of its state can't be read: %v", err)
		}
	}
	if len(noted.Value) == 0 {
		return fault("MF-AUDIT-COMMIT", inBlock(number), "the peer has noted no hash of its state")
	}
	if !bytes.Equal(noted.Value, v.committed) {
		return fault("MF-AUDIT-COMMIT", inBlock(number), "the peer noted %x for its state, and the blocks make %x", noted.Value, v.committed)
	}
	v.summary.States++
	return nil
}

// commitHash is the hash that follows another.
func commitHash(previous []byte, block *common.Block, written []byte) []byte {
	flags := block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	content := protowire.AppendVarint(nil, uint64(len(flags)))
	sum := sha256.Sum256(slices.Concat(content, flags, written, previous))
	return sum[:]
}

// written lists what the block's valid transactions have written as a peer hashes
// it, a message Updates of repeated KVWrite (Fabric's txmgmt/txmgr/updates.proto):
// by namespace, its public documents and then its collections', each in the order
// of the keys. Namespace and collection are named by their first entry only.
func (s *state) written() []byte {
	hashed := map[string]map[string][]*document{} // by namespace and collection
	for key, d := range s.pendingHashed {
		if hashed[key.namespace] == nil {
			hashed[key.namespace] = map[string][]*document{}
		}
		hashed[key.namespace][key.collection] = append(hashed[key.namespace][key.collection], d)
	}
	namespaces := slices.Sorted(maps.Keys(s.pendingPublic))
	namespaces = slices.AppendSeq(namespaces, maps.Keys(hashed))
	slices.Sort(namespaces)
	var list []byte
	for _, namespace := range slices.Compact(namespaces) {
		first := namespace
		add := func(collection string, d *document) {
			list = protowire.AppendTag(list, 1, protowire.BytesType)
			list = protowire.AppendBytes(list, kvWrite(first, collection, d))
			first = ""
		}
		if public, ok := s.pendingPublic[namespace]; ok {
			public.Ascend(func(d *document) bool {
				add("", d)
				return true
			})
		}
		for _, collection := range slices.Sorted(maps.Keys(hashed[namespace])) {
			documents := hashed[namespace][collection]
			slices.SortFunc(documents, func(a, b *document) int { return cmp.Compare(a.key, b.key) })
			for i, d := range documents {
				if i > 0 {
					collection = ""
				}
				add(collection, d)
			}
		}
	}
	return list
}

// kvWrite is one entry of written.
func kvWrite(namespace, collection string, d *document) []byte {
	var m []byte
	field := func(n protowire.Number, content []byte) {
		if len(content) > 0 {
			m = protowire.AppendBytes(protowire.AppendTag(m, n, protowire.BytesType), content)
		}
	}
	field(1, []byte(namespace))
	field(2, []byte(collection))
	field(3, []byte(d.key))
	if d.version == nil {
		m = protowire.AppendVarint(protowire.AppendTag(m, 4, protowire.VarintType), 1)
	}
	field(5, d.value)
	field(6, append(ordered(d.wrote.block), ordered(d.wrote.transaction)...))
	return m
}

// ordered is a number with its length before it, so that the order of the bytes is
// that of the numbers.
func ordered(n uint64) []byte {
	digits := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, n), "\x00")
	return append([]byte{byte(len(digits))}, digits...)
}
