package ledgertest

import (
	"maps"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
)

// readWriteSet is what a simulation read and wrote. Its maps are sorted by key
// when it is serialised, as a peer does.
type readWriteSet struct {
	reads       map[string]*kvrwset.KVRead
	writes      map[string]*kvrwset.KVWrite
	parameters  map[string]*kvrwset.KVMetadataWrite
	ranges      []*kvrwset.RangeQueryInfo
	collections map[string]*collectionSet
}

// collectionSet is the part of a read-write set that concerns a collection:
// hashes for everyone, values for its members.
type collectionSet struct {
	reads      map[string]*kvrwset.KVReadHash // by key
	writes     map[string]*kvrwset.KVWriteHash
	parameters map[string]*kvrwset.KVMetadataWriteHash

	private           map[string]*kvrwset.KVWrite
	privateParameters map[string]bool
}

func newReadWriteSet() *readWriteSet {
	return &readWriteSet{
		reads:       map[string]*kvrwset.KVRead{},
		writes:      map[string]*kvrwset.KVWrite{},
		parameters:  map[string]*kvrwset.KVMetadataWrite{},
		collections: map[string]*collectionSet{},
	}
}

func (s *readWriteSet) collection(name string) *collectionSet {
	c, ok := s.collections[name]
	if !ok {
		c = &collectionSet{
			reads:             map[string]*kvrwset.KVReadHash{},
			writes:            map[string]*kvrwset.KVWriteHash{},
			parameters:        map[string]*kvrwset.KVMetadataWriteHash{},
			private:           map[string]*kvrwset.KVWrite{},
			privateParameters: map[string]bool{},
		}
		s.collections[name] = c
	}
	return c
}

func (s *readWriteSet) read(key string, version *height) {
	s.reads[key] = &kvrwset.KVRead{Key: key, Version: version.version()}
}

// write records a value; an empty one is a deletion.
func (s *readWriteSet) write(key string, value []byte) {
	s.writes[key] = kvWrite(key, value)
}

func (s *readWriteSet) setParameter(key string, parameter []byte) {
	s.parameters[key] = &kvrwset.KVMetadataWrite{Key: key, Entries: parameterEntries(parameter)}
}

// addRange keeps one record of each range, in the order in which they were opened.
func (s *readWriteSet) addRange(info *kvrwset.RangeQueryInfo) {
	for _, known := range s.ranges {
		if known.StartKey == info.StartKey && known.EndKey == info.EndKey && known.ItrExhausted == info.ItrExhausted {
			return
		}
	}
	s.ranges = append(s.ranges, info)
}

func (c *collectionSet) read(key string, version *height) {
	c.reads[key] = &kvrwset.KVReadHash{KeyHash: hash([]byte(key)), Version: version.version()}
}

func (c *collectionSet) write(key string, value []byte, purge bool) {
	c.private[key] = kvWrite(key, value)
	c.writes[key] = &kvrwset.KVWriteHash{
		KeyHash: hash([]byte(key)), ValueHash: hash(value), IsDelete: len(value) == 0, IsPurge: purge,
	}
}

func (c *collectionSet) setParameter(key string, parameter []byte) {
	c.privateParameters[key] = true
	c.parameters[key] = &kvrwset.KVMetadataWriteHash{KeyHash: hash([]byte(key)), Entries: parameterEntries(parameter)}
}

func kvWrite(key string, value []byte) *kvrwset.KVWrite {
	return &kvrwset.KVWrite{Key: key, IsDelete: len(value) == 0, Value: value}
}

const parameterName = "VALIDATION_PARAMETER"

func parameterEntries(parameter []byte) []*kvrwset.KVMetadataEntry {
	return []*kvrwset.KVMetadataEntry{{Name: parameterName, Value: parameter}}
}

func parameterOf(entries []*kvrwset.KVMetadataEntry) []byte {
	for _, e := range entries {
		if e.Name == parameterName {
			return e.Value
		}
	}
	return nil
}

// sorted gives a map's values in the order of its keys.
func sorted[V any](m map[string]V) []V {
	if len(m) == 0 {
		return nil
	}
	values := make([]V, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[key])
	}
	return values
}

// publicMessage is the read-write set as everyone sees it. A transaction that
// touched nothing has no namespace in it.
func (s *readWriteSet) publicMessage(chaincode string) *rwset.TxReadWriteSet {
	message := &rwset.TxReadWriteSet{DataModel: rwset.TxReadWriteSet_KV}
	if s.isEmpty() {
		return message
	}
	namespace := &rwset.NsReadWriteSet{Namespace: chaincode, Rwset: marshal(&kvrwset.KVRWSet{
		Reads: sorted(s.reads), Writes: sorted(s.writes), MetadataWrites: sorted(s.parameters), RangeQueriesInfo: s.ranges,
	})}
	for _, name := range slices.Sorted(maps.Keys(s.collections)) {
		namespace.CollectionHashedRwset = append(namespace.CollectionHashedRwset, s.collections[name].hashedMessage(name))
	}
	message.NsRwset = []*rwset.NsReadWriteSet{namespace}
	return message
}

func (s *readWriteSet) isEmpty() bool {
	return len(s.reads) == 0 && len(s.writes) == 0 && len(s.parameters) == 0 && len(s.ranges) == 0 && len(s.collections) == 0
}

func (c *collectionSet) hashedMessage(name string) *rwset.CollectionHashedReadWriteSet {
	message := &rwset.CollectionHashedReadWriteSet{CollectionName: name, HashedRwset: marshal(&kvrwset.HashedRWSet{
		HashedReads: sorted(c.reads), HashedWrites: sorted(c.writes), MetadataWrites: sorted(c.parameters),
	})}
	if private := c.privateMessage(); private != nil {
		message.PvtRwsetHash = hash(private)
	}
	return message
}

// privateMessage is the serialised private write set of the collection, nil
// when nothing was written.
func (c *collectionSet) privateMessage() []byte {
	if len(c.private) == 0 && len(c.privateParameters) == 0 {
		return nil
	}
	set := &kvrwset.KVRWSet{Writes: sorted(c.private)}
	for _, key := range slices.Sorted(maps.Keys(c.privateParameters)) {
		set.MetadataWrites = append(set.MetadataWrites, &kvrwset.KVMetadataWrite{Key: key})
	}
	return marshal(set)
}

// sortedKeys lists the keys of both maps once each, in order.
func sortedKeys[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}
