package ledgertest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// validate gives each transaction of a block its validation code and applies
// the valid ones. As in a peer, the endorsement policies of the whole block are
// checked first, against the state before the block; then each transaction's
// reads, against the state and what valid transactions before it in the block
// have written.
func (l *Ledger) validate(number uint64, transactions []*Transaction) []peer.TxValidationCode {
	codes := l.checkBlockEndorsements(transactions)
	updates := newUpdates(l.state)
	for i, tx := range transactions {
		if codes[i] != peer.TxValidationCode_VALID {
			continue
		}
		if codes[i] = updates.check(tx.set); codes[i] != peer.TxValidationCode_VALID {
			continue
		}
		at := height{number, uint64(i)}
		updates.apply(tx.set, &at)
		l.record(tx, at)
	}
	l.commitUpdates(number, transactions, codes, updates)
	return codes
}

func (l *Ledger) checkBlockEndorsements(transactions []*Transaction) []peer.TxValidationCode {
	codes := make([]peer.TxValidationCode, len(transactions))
	changed := map[parameterKey]bool{} // parameters set by transactions before
	seen := map[string]bool{}
	for i, tx := range transactions {
		_, committed := l.committed[tx.TxID]
		switch {
		case l.admit(tx.proposal.creator) != nil:
			codes[i] = peer.TxValidationCode_BAD_CREATOR_SIGNATURE
		case committed || seen[tx.TxID]:
			codes[i] = peer.TxValidationCode_DUPLICATE_TXID
		case l.checkEndorsements(tx, changed) != nil:
			codes[i] = peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE
		default:
			tx.set.eachParameter(func(k parameterKey) { changed[k] = true })
		}
		seen[tx.TxID] = true
	}
	return codes
}

// parameterKey names a key that may have a validation parameter; for a
// collection it is the key's hash.
type parameterKey struct{ collection, key string }

func (s *readWriteSet) eachParameter(visit func(parameterKey)) {
	for key := range s.parameters {
		visit(parameterKey{"", key})
	}
	for name, c := range s.collections {
		for _, p := range c.parameters {
			visit(parameterKey{name, string(p.KeyHash)})
		}
	}
}

// eachWritten visits every key that the set writes or gives a parameter, in the
// order in which a peer checks them.
func (s *readWriteSet) eachWritten(visit func(parameterKey) error) error {
	for _, key := range append(slices.Sorted(maps.Keys(s.writes)), slices.Sorted(maps.Keys(s.parameters))...) {
		if err := visit(parameterKey{"", key}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.collections)) {
		c := s.collections[name]
		for _, w := range sorted(c.writes) {
			if err := visit(parameterKey{name, string(w.KeyHash)}); err != nil {
				return err
			}
		}
		for _, w := range sorted(c.parameters) {
			if err := visit(parameterKey{name, string(w.KeyHash)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkEndorsements decides whether a transaction's endorsers satisfy the
// policy of every key it writes: the key's own, else the collection's, else the
// chaincode's; and the chaincode's if it writes nothing. A key whose parameter
// was changed earlier in the block can't be judged and fails.
func (l *Ledger) checkEndorsements(tx *Transaction, changed map[parameterKey]bool) error {
	checked := map[string]bool{}
	some := false
	require := func(what string, policy Policy) error {
		some = true
		if checked[what] {
			return nil
		}
		checked[what] = true
		if !policy.satisfiedBy(tx.Endorsers) {
			return fmt.Errorf("validation of endorsement policy for %s failed: %s", what, policy)
		}
		return nil
	}
	err := tx.set.eachWritten(func(k parameterKey) error {
		if changed[k] {
			return fmt.Errorf("validation parameters for key %q (collection %q) have been changed in this block", k.key, k.collection)
		}
		parameter := l.parameterOf(k)
		if len(parameter) > 0 {
			policy, err := PolicyOf(parameter)
			if err != nil {
				return err
			}
			return require(fmt.Sprintf("key %q of collection %q", k.key, k.collection), policy)
		}
		if c, ok := l.collection(k.collection); ok && !c.Endorsement.IsZero() {
			return require("collection "+k.collection, c.Endorsement)
		}
		return require("chaincode "+l.chaincodeName, l.policy)
	})
	if err == nil && !some {
		err = require("chaincode "+l.chaincodeName, l.policy)
	}
	return err
}

func (l *Ledger) parameterOf(k parameterKey) []byte {
	var e *entry
	if k.collection == "" {
		e = l.state.public.get(k.key)
	} else {
		e = l.state.hashOf(k.collection, []byte(k.key))
	}
	if e == nil {
		return nil
	}
	return e.parameter
}

// updates are what the valid transactions of a block have written so far. An
// entry without a version stands for a deleted key.
type updates struct {
	state  *worldState
	public table
	hashed map[parameterKey]*entry
}

func newUpdates(state *worldState) *updates {
	return &updates{state: state, public: newTable(), hashed: map[parameterKey]*entry{}}
}

// check compares a transaction's reads with the state and the updates.
func (u *updates) check(set *readWriteSet) peer.TxValidationCode {
	for _, r := range set.reads {
		if u.public.get(r.Key) != nil || !sameVersion(versionOf(u.state.public.get(r.Key)), r.Version) {
			return peer.TxValidationCode_MVCC_READ_CONFLICT
		}
	}
	for _, info := range set.ranges {
		if !u.sameRange(info) {
			return peer.TxValidationCode_PHANTOM_READ_CONFLICT
		}
	}
	for name, c := range set.collections {
		for _, r := range c.reads {
			_, updated := u.hashed[parameterKey{name, string(r.KeyHash)}]
			if updated || !sameVersion(versionOf(u.state.hashOf(name, r.KeyHash)), r.Version) {
				return peer.TxValidationCode_MVCC_READ_CONFLICT
			}
		}
	}
	return peer.TxValidationCode_VALID
}

// sameRange repeats a range query over state and updates.
func (u *updates) sameRange(info *kvrwset.RangeQueryInfo) bool {
	now := &kvrwset.RangeQueryInfo{}
	reads := newRangeReads()
	for _, e := range u.rangeOf(info) {
		reads.add(e)
	}
	reads.into(now)
	return bytes.Equal(marshal(now), marshal(&kvrwset.RangeQueryInfo{ReadsInfo: info.ReadsInfo}))
}

// rangeOf merges state and updates over what a query looked at: without its end
// when it was exhausted, with its last key when it was not.
func (u *updates) rangeOf(info *kvrwset.RangeQueryInfo) []*entry {
	merged := map[string]*entry{}
	gather := func(e *entry) bool {
		merged[e.key] = e
		return true
	}
	for _, t := range []table{u.state.public, u.public} {
		t.ascend(info.StartKey, info.EndKey, gather)
		if last := t.get(info.EndKey); !info.ItrExhausted && last != nil {
			gather(last)
		}
	}
	entries := sorted(merged)
	return slices.DeleteFunc(entries, (*entry).deleted)
}

// apply adds a valid transaction's writes.
func (u *updates) apply(set *readWriteSet, at *height) {
	for key, w := range set.writes {
		u.put(key, u.written(u.latest(key), w.Value, w.IsDelete, set.parameters[key].GetEntries(), at))
	}
	for key, p := range set.parameters {
		if _, also := set.writes[key]; also {
			continue
		}
		if u.public.get(key).deleted() {
			peerStops(at, key, "")
		}
		if before := u.latest(key); before != nil {
			u.put(key, &entry{value: before.value, parameter: parameterOf(p.Entries), version: at})
		}
	}
	for name, c := range set.collections {
		u.applyHashes(name, c, at)
	}
}

func (u *updates) applyHashes(name string, c *collectionSet, at *height) {
	for key, w := range c.writes {
		k := parameterKey{name, string(w.KeyHash)}
		u.hashed[k] = u.written(u.latestHash(k), w.ValueHash, w.IsDelete, c.parameters[key].GetEntries(), at)
	}
	for key, p := range c.parameters {
		k := parameterKey{name, string(p.KeyHash)}
		if _, also := c.writes[key]; also {
			continue
		}
		if u.hashed[k].deleted() {
			peerStops(at, key, name)
		}
		if before := u.latestHash(k); before != nil {
			u.hashed[k] = &entry{value: before.value, parameter: parameterOf(p.Entries), version: at}
		}
	}
}

// written is a key's new entry: it keeps its validation parameter unless the
// transaction sets one, and loses everything when deleted.
func (u *updates) written(before *entry, value []byte, deleted bool, parameter []*kvrwset.KVMetadataEntry, at *height) *entry {
	if deleted {
		return &entry{}
	}
	e := &entry{value: value, version: at}
	switch {
	case parameter != nil:
		e.parameter = parameterOf(parameter)
	case before != nil:
		e.parameter = before.parameter
	}
	return e
}

func (u *updates) put(key string, e *entry) {
	e.key = key
	u.public.put(e)
}

func (u *updates) latest(key string) *entry {
	if e := u.public.get(key); e != nil {
		return existing(e)
	}
	return u.state.public.get(key)
}

func (u *updates) latestHash(k parameterKey) *entry {
	if e, ok := u.hashed[k]; ok {
		return existing(e)
	}
	return u.state.hashOf(k.collection, []byte(k.key))
}

func existing(e *entry) *entry {
	if e.deleted() {
		return nil
	}
	return e
}

// deleted reports whether an update is a deletion.
func (e *entry) deleted() bool { return e != nil && e.version == nil }

// peerStops reports what ends every peer of a channel: a transaction that only
// sets the validation parameter of a key (without reading it) which another one
// deletes earlier in the same block. Fabric's committer panics with "Nil value
// not allowed".
func peerStops(at *height, key, collection string) {
	panic(fmt.Sprintf("ledgertest: a real peer panics at this block: transaction %s sets the validation parameter of key %q (collection %q), which is deleted earlier in the block; read the key before setting its parameter", at, key, collection))
}
