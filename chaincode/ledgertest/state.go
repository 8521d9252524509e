package ledgertest

import (
	"crypto/sha256"

	"github.com/google/btree"
)

// entry is a committed value of a key. For the hashed side of a collection the
// key is the key's hash and the value is the value's hash.
type entry struct {
	key       string
	value     []byte
	parameter []byte // validation parameter of the key, nil for none
	version   *height
}

// table is an ordered map of entries.
type table struct {
	tree *btree.BTreeG[*entry]
}

func newTable() table {
	return table{btree.NewG(32, func(a, b *entry) bool { return a.key < b.key })}
}

func (t table) get(key string) *entry {
	e, _ := t.tree.Get(&entry{key: key})
	return e
}

func (t table) put(e *entry)      { t.tree.ReplaceOrInsert(e) }
func (t table) delete(key string) { t.tree.Delete(&entry{key: key}) }

// ascend visits the entries from start on, up to but without end ("" for no
// end), until visit answers false.
func (t table) ascend(start, end string, visit func(*entry) bool) {
	t.tree.AscendGreaterOrEqual(&entry{key: start}, func(e *entry) bool {
		if end != "" && e.key >= end {
			return false
		}
		return visit(e)
	})
}

// clone copies the table in constant time: both copies share what neither changes.
func (t table) clone() table { return table{t.tree.Clone()} }

// worldState is what every peer knows: the public values, and the hashes of the
// private ones.
type worldState struct {
	public table
	hashed map[string]table // by collection
	height uint64           // number of blocks committed
}

func newWorldState() *worldState {
	return &worldState{public: newTable(), hashed: map[string]table{}}
}

func (s *worldState) hashes(collection string) table {
	t, ok := s.hashed[collection]
	if !ok {
		t = newTable()
		s.hashed[collection] = t
	}
	return t
}

// hashOf looks a private key up on the hashed side.
func (s *worldState) hashOf(collection string, keyHash []byte) *entry {
	t, ok := s.hashed[collection]
	if !ok {
		return nil
	}
	return t.get(string(keyHash))
}

func (s *worldState) clone() *worldState {
	c := &worldState{public: s.public.clone(), hashed: map[string]table{}, height: s.height}
	for name, t := range s.hashed {
		c.hashed[name] = t.clone()
	}
	return c
}

// versionOf is the version of an entry that may be absent.
func versionOf(e *entry) *height {
	if e == nil {
		return nil
	}
	return e.version
}

// hash is a peer's hash of keys and values: SHA-256, and nothing of nothing.
func hash(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
