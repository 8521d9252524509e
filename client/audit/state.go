package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/google/btree"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// version is the transaction that last wrote a key.
type version struct{ block, transaction uint64 }

// is compares with the version that a transaction read; nil is that of a key
// which is not there.
func (v *version) is(read *kvrwset.Version) bool {
	if v == nil || read == nil {
		return v == nil && read == nil
	}
	return v.block == read.BlockNum && v.transaction == read.TxNum
}

// document is the value of a key, or the hash of a private one's under the hash
// of its key. One without a version stands for a deletion.
type document struct {
	key     string
	value   []byte
	version *version
	wrote   version // the transaction that wrote or deleted it
}

// table holds documents in the order of their keys.
type table = btree.BTreeG[*document]

func newTable() *table {
	return btree.NewG(32, func(a, b *document) bool { return a.key < b.key })
}

// hashedKey names a private document by its key's hash.
type hashedKey struct{ namespace, collection, key string }

// state is what the valid transactions of the blocks before have left, and in
// pending what those of this block have written so far.
type state struct {
	public map[string]*table // by namespace
	hashed map[hashedKey]*document
	expiry map[uint64][]expiring // by block

	pendingPublic map[string]*table
	pendingHashed map[hashedKey]*document
}

// expiring is a private document that is purged unless it is written again.
type expiring struct {
	key     hashedKey
	version version
}

func newState() *state {
	s := &state{public: map[string]*table{}, hashed: map[hashedKey]*document{}, expiry: map[uint64][]expiring{}}
	s.forget()
	return s
}

func (s *state) forget() {
	s.pendingPublic, s.pendingHashed = map[string]*table{}, map[hashedKey]*document{}
}

// now reads a document as it is after the transactions of the block so far; nil
// when there is none.
func (s *state) now(namespace, key string) *document {
	if d := lookUp(s.pendingPublic, namespace, key); d != nil {
		if d.version == nil {
			return nil
		}
		return d
	}
	return s.get(namespace, key)
}

// hashNow is the hash of a private document as now gives public ones; "" when
// there is none.
func (s *state) hashNow(namespace, collection, key string) string {
	sum := sha256.Sum256([]byte(key))
	at := hashedKey{namespace, collection, string(sum[:])}
	d, pending := s.pendingHashed[at]
	if !pending {
		d = s.hashed[at]
	}
	if d == nil || d.version == nil {
		return ""
	}
	return hex.EncodeToString(d.value)
}

// get reads a document from before the block.
func (s *state) get(namespace, key string) *document {
	return lookUp(s.public, namespace, key)
}

func lookUp(tables map[string]*table, namespace, key string) *document {
	t, ok := tables[namespace]
	if !ok {
		return nil
	}
	d, _ := t.Get(&document{key: key})
	return d
}

func put(tables map[string]*table, namespace string, d *document) {
	t, ok := tables[namespace]
	if !ok {
		t = newTable()
		tables[namespace] = t
	}
	t.ReplaceOrInsert(d)
}

// read reads a message that is kept under a key, and reports whether there is one.
func (s *state) read(namespace, key string, into proto.Message) bool {
	d := s.get(namespace, key)
	return d != nil && proto.Unmarshal(d.value, into) == nil
}

// under visits the documents from before the block whose keys begin with a prefix,
// in key order.
func (s *state) under(namespace, prefix string, visit func(*document)) {
	ascend(s.public, namespace, prefix, visit)
}

// underNow visits them as they are after the transactions of the block so far.
func (s *state) underNow(namespace, prefix string, visit func(*document)) {
	now := map[string]*document{}
	for _, tables := range []map[string]*table{s.public, s.pendingPublic} {
		ascend(tables, namespace, prefix, func(d *document) { now[d.key] = d })
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if d := now[key]; d.version != nil {
			visit(d)
		}
	}
}

func ascend(tables map[string]*table, namespace, prefix string, visit func(*document)) {
	t, ok := tables[namespace]
	if !ok {
		return
	}
	t.AscendGreaterOrEqual(&document{key: prefix}, func(d *document) bool {
		if !strings.HasPrefix(d.key, prefix) {
			return false
		}
		visit(d)
		return true
	})
}

// keys is how many public documents there are.
func (s *state) keys() int {
	n := 0
	for _, t := range s.public {
		n += t.Len()
	}
	return n
}

// conflict checks that all a transaction read is still so, before the block and
// after the valid transactions before it in the block.
func (s *state) conflict(tx *transaction) peer.TxValidationCode {
	for _, set := range tx.sets {
		for _, r := range set.public.Reads {
			var committed *version
			if d := s.get(set.name, r.Key); d != nil {
				committed = d.version
			}
			if lookUp(s.pendingPublic, set.name, r.Key) != nil || !committed.is(r.Version) {
				return peer.TxValidationCode_MVCC_READ_CONFLICT
			}
		}
		for _, query := range set.public.RangeQueriesInfo {
			if !s.sameRange(set.name, query) {
				return peer.TxValidationCode_PHANTOM_READ_CONFLICT
			}
		}
		for _, c := range set.collections {
			for _, r := range c.hashed.HashedReads {
				key := hashedKey{set.name, c.name, string(r.KeyHash)}
				var committed *version
				if d := s.hashed[key]; d != nil {
					committed = d.version
				}
				if _, pending := s.pendingHashed[key]; pending || !committed.is(r.Version) {
					return peer.TxValidationCode_MVCC_READ_CONFLICT
				}
			}
		}
	}
	return peer.TxValidationCode_VALID
}

// sameRange repeats a query of a range: without its end when it was read to the
// end, else up to the last key that was seen.
func (s *state) sameRange(namespace string, query *kvrwset.RangeQueryInfo) bool {
	merged := map[string]*document{}
	for _, tables := range []map[string]*table{s.public, s.pendingPublic} {
		t, ok := tables[namespace]
		if !ok {
			continue
		}
		t.AscendGreaterOrEqual(&document{key: query.StartKey}, func(d *document) bool {
			if query.EndKey != "" && (d.key > query.EndKey || d.key == query.EndKey && query.ItrExhausted) {
				return false
			}
			merged[d.key] = d
			return true
		})
	}
	var reads []*kvrwset.KVRead
	for _, key := range slices.Sorted(maps.Keys(merged)) {
		if d := merged[key]; d.version != nil {
			reads = append(reads, &kvrwset.KVRead{Key: key, Version: &kvrwset.Version{BlockNum: d.version.block, TxNum: d.version.transaction}})
		}
	}
	if summary := query.GetReadsMerkleHashes(); summary != nil {
		return proto.Equal(summary, summarise(reads, int(summary.MaxDegree)))
	}
	return slices.EqualFunc(reads, query.GetRawReads().GetKvReads(), func(a, b *kvrwset.KVRead) bool { return proto.Equal(a, b) })
}

// summarise makes the hashes that stand for many reads: a Merkle tree whose
// leaves are groups of one more than degree reads, cut at its highest level.
func summarise(reads []*kvrwset.KVRead, degree int) *kvrwset.QueryReadsMerkleSummary {
	if degree < 2 {
		return nil
	}
	m := merkle{degree: degree, levels: map[uint32][][]byte{}, top: 1}
	for group := range slices.Chunk(reads, degree+1) {
		m.leaf(group)
	}
	for level := uint32(1); level < m.top; level++ {
		if len(m.levels[level]) > 0 {
			m.raise(level)
		}
	}
	if len(m.levels[m.top]) > degree {
		m.raise(m.top)
	}
	return &kvrwset.QueryReadsMerkleSummary{MaxDegree: uint32(degree), MaxLevel: m.top, MaxLevelHashes: m.levels[m.top]}
}

// merkle is a tree of hashes under construction.
type merkle struct {
	degree int
	levels map[uint32][][]byte
	top    uint32
}

func (m *merkle) leaf(reads []*kvrwset.KVRead) {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(&kvrwset.QueryReads{KvReads: reads})
	if err != nil {
		return // keys that are no text; the hashes then differ
	}
	sum := sha256.Sum256(content)
	m.levels[1] = append(m.levels[1], sum[:])
	for level := uint32(1); len(m.levels[level]) > m.degree; level++ {
		m.raise(level)
	}
}

// raise replaces a level's hashes by one at the level above.
func (m *merkle) raise(level uint32) {
	combined := m.levels[level][0]
	if len(m.levels[level]) > 1 {
		sum := sha256.Sum256(bytes.Join(m.levels[level], nil))
		combined = sum[:]
	}
	delete(m.levels, level)
	m.levels[level+1] = append(m.levels[level+1], combined)
	m.top = max(m.top, level+1)
}

// errKeyPolicies says that a key has an endorsement policy of its own.
var errKeyPolicies = errors.New("it gives keys endorsement policies of their own, which this version does not check")

// apply adds a valid transaction's writes to the block's.
func (s *state) apply(tx *transaction, at version) error {
	for _, set := range tx.sets {
		if len(set.public.MetadataWrites) > 0 {
			return errKeyPolicies
		}
		for _, w := range set.public.Writes {
			d := &document{key: w.Key, wrote: at}
			if !w.IsDelete && len(w.Value) > 0 {
				d.value, d.version = w.Value, &at
			}
			put(s.pendingPublic, set.name, d)
		}
		for _, c := range set.collections {
			if len(c.hashed.MetadataWrites) > 0 {
				return errKeyPolicies
			}
			for _, w := range c.hashed.HashedWrites {
				d := &document{key: string(w.KeyHash), wrote: at}
				if !w.IsDelete && !w.IsPurge && len(w.ValueHash) > 0 {
					d.value, d.version = w.ValueHash, &at
				}
				s.pendingHashed[hashedKey{set.name, c.name, d.key}] = d
			}
		}
	}
	return nil
}

// commit ends a block: what its valid transactions wrote becomes the state, and
// private documents whose time has come go. blocksToLive tells for how many
// blocks a collection's documents live, 0 for ever.
func (s *state) commit(block uint64, blocksToLive func(namespace, collection string) uint64) {
	for namespace, t := range s.pendingPublic {
		t.Ascend(func(d *document) bool {
			if d.version == nil {
				if committed, ok := s.public[namespace]; ok {
					committed.Delete(d)
				}
			} else {
				put(s.public, namespace, d)
			}
			return true
		})
	}
	for key, d := range s.pendingHashed {
		if d.version == nil {
			delete(s.hashed, key)
			continue
		}
		s.hashed[key] = d
		if live := blocksToLive(key.namespace, key.collection); live > 0 {
			if end := block + live + 1; end > block {
				s.expiry[end] = append(s.expiry[end], expiring{key, *d.version})
			}
		}
	}
	for _, e := range s.expiry[block] {
		if d := s.hashed[e.key]; d != nil && *d.version == e.version {
			delete(s.hashed, e.key)
		}
	}
	delete(s.expiry, block)
	s.forget()
}
