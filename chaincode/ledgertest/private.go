package ledgertest

import (
	"maps"
	"slices"
)

// privateState is the private data that one peer holds: the current values of
// the collections its organisation belongs to, and the write sets of old blocks,
// from which other members could still fetch them.
type privateState struct {
	tables map[string]table
	store  []storedWrite
}

// storedWrite is a value in the write set of an old block.
type storedWrite struct {
	collection, key string
	value           []byte
	at              height
	expires         uint64 // block at which it goes, 0 for never
}

func newPrivateState() *privateState { return &privateState{tables: map[string]table{}} }

func (p *privateState) table(collection string) table {
	t, ok := p.tables[collection]
	if !ok {
		return newTable()
	}
	return t
}

func (p *privateState) get(collection, key string) *entry {
	t, ok := p.tables[collection]
	if !ok {
		return nil
	}
	return t.get(key)
}

func (p *privateState) put(collection string, e *entry) {
	t, ok := p.tables[collection]
	if !ok {
		t = newTable()
		p.tables[collection] = t
	}
	t.put(e)
}

func (p *privateState) delete(collection, key string) {
	if t, ok := p.tables[collection]; ok {
		t.delete(key)
	}
}

// purge removes a key from the write sets of all blocks up to at.
func (p *privateState) purge(collection, key string, at height) {
	p.store = slices.DeleteFunc(p.store, func(w storedWrite) bool {
		earlier := w.at.block < at.block || w.at.block == at.block && w.at.tx <= at.tx
		return w.collection == collection && w.key == key && earlier
	})
}

// expire removes the write sets whose time has come with the commit of block.
func (p *privateState) expire(block uint64) {
	p.store = slices.DeleteFunc(p.store, func(w storedWrite) bool { return w.expires != 0 && w.expires <= block })
}

func (p *privateState) clone() *privateState {
	c := &privateState{tables: map[string]table{}, store: slices.Clone(p.store)}
	for name, t := range p.tables {
		c.tables[name] = t.clone()
	}
	return c
}

// PrivateBytes is every private key and value that the organisation's peers
// hold, in state or in the write sets of old blocks: what a test searches to
// see that a purge was real. It is empty for an organisation without peers.
func (l *Ledger) PrivateBytes(organisation string) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var all []byte
	for _, p := range l.peers {
		if p.identity.MSP == organisation {
			all = append(all, p.private.bytes()...)
		}
	}
	return all
}

func (p *privateState) bytes() []byte {
	var all []byte
	add := func(key string, value []byte) {
		all = append(append(append(append(all, key...), '\n'), value...), '\n')
	}
	for _, name := range slices.Sorted(maps.Keys(p.tables)) {
		p.tables[name].ascend("", "", func(e *entry) bool {
			add(e.key, e.value)
			return true
		})
	}
	for _, w := range p.store {
		add(w.key, w.value)
	}
	return all
}
