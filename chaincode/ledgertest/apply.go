package ledgertest

import (
	"bytes"
	"maps"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// commitUpdates brings the public side up to date, gives the members' peers
// their private data, and removes what expires with this block.
func (l *Ledger) commitUpdates(number uint64, transactions []*Transaction, codes []peer.TxValidationCode, u *updates) {
	u.public.ascend("", "", func(e *entry) bool {
		if e.deleted() {
			l.state.public.delete(e.key)
		} else {
			l.state.public.put(e)
		}
		return true
	})
	for i, tx := range transactions {
		if codes[i] == peer.TxValidationCode_VALID {
			l.distribute(tx, height{number, uint64(i)})
		}
	}
	l.expire(number, u)
	for k, e := range u.hashed {
		l.commitHash(k, e)
	}
	l.renewVersions(transactions, codes)
}

// commitHash writes one hashed key.
func (l *Ledger) commitHash(k parameterKey, e *entry) {
	if e.deleted() {
		l.state.hashes(k.collection).delete(k.key)
		return
	}
	e.key = k.key
	l.state.hashes(k.collection).put(e)
}

// schedule notes when the keys that a transaction wrote to a collection expire.
func (l *Ledger) schedule(number uint64, definition *Collection, c *collectionSet) {
	at := definition.expiry(number)
	if at == 0 {
		return
	}
	for _, key := range slices.AppendSeq(slices.Collect(maps.Keys(c.private)), maps.Keys(c.privateParameters)) {
		l.expiring[at] = append(l.expiring[at], expiringKey{definition.Name, key, number})
	}
}

// distribute hands a valid transaction's private writes to the peers of the
// collections' members.
func (l *Ledger) distribute(tx *Transaction, at height) {
	for name, c := range tx.set.collections {
		definition, ok := l.collection(name)
		if !ok {
			continue
		}
		l.schedule(at.block, definition, c)
		for _, p := range l.peers {
			if definition.has(p.identity) {
				p.private.receive(name, c, at, definition.expiry(at.block))
			}
		}
	}
}

func (p *privateState) receive(collection string, c *collectionSet, at height, expires uint64) {
	for key, w := range c.private {
		switch {
		case c.writes[key].IsPurge:
			p.purge(collection, key, at)
			p.delete(collection, key)
		case w.IsDelete:
			p.delete(collection, key)
		default:
			p.put(collection, &entry{key: key, value: w.Value, version: &at})
			p.store = append(p.store, storedWrite{collection: collection, key: key, value: w.Value, at: at, expires: expires})
		}
	}
}

// expire removes the keys whose blocks-to-live end with this block, unless they
// were written again since.
func (l *Ledger) expire(number uint64, u *updates) {
	keys, ok := l.expiring[number]
	if !ok {
		return
	}
	delete(l.expiring, number)
	for _, k := range keys {
		keyHash := string(hash([]byte(k.key)))
		current := l.state.hashOf(k.collection, []byte(keyHash))
		_, updated := u.hashed[parameterKey{k.collection, keyHash}]
		if updated || current == nil || current.version.block != k.committed {
			continue
		}
		l.state.hashes(k.collection).delete(keyHash)
		for _, p := range l.peers {
			p.private.delete(k.collection, k.key)
		}
	}
	for _, p := range l.peers {
		p.private.expire(number)
	}
}

// renewVersions follows, on the private side, the keys whose version moved on
// the hashed side because only their validation parameter was set.
func (l *Ledger) renewVersions(transactions []*Transaction, codes []peer.TxValidationCode) {
	for i, tx := range transactions {
		if codes[i] != peer.TxValidationCode_VALID {
			continue
		}
		for name, c := range tx.set.collections {
			for key := range c.privateParameters {
				l.renewVersion(name, key)
			}
		}
	}
}

func (l *Ledger) renewVersion(collection, key string) {
	public := l.state.hashOf(collection, hash([]byte(key)))
	if public == nil {
		return
	}
	for _, p := range l.peers {
		held := p.private.get(collection, key)
		if held != nil && bytes.Equal(hash(held.value), public.value) {
			p.private.put(collection, &entry{key: key, value: held.value, version: public.version})
		}
	}
}
