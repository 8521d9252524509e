package ledgertest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
)

// simulation is one run of the chaincode on one peer. It reads what the peer
// has committed, never what it wrote itself, and records both.
type simulation struct {
	ledger  *Ledger
	peer    *Peer
	creator *Identity
	txID    string
	public  *worldState
	private *privateState
	set     *readWriteSet
	scans   []*scan

	written      bool
	queriedPages bool
	queriedPriv  bool
	readPrivate  map[string]bool // collections whose values were read
	permissions  map[string]permission
}

type permission struct{ read, write bool }

func (s *simulation) get(key string) *entry {
	e := s.public.public.get(key)
	s.set.read(key, versionOf(e))
	return e
}

func (s *simulation) put(key string, value []byte) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.set.write(key, value)
	return nil
}

func (s *simulation) putParameter(key string, parameter []byte) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.set.setParameter(key, parameter)
	return nil
}

// mayWrite refuses a write after a query that only a read-only transaction may
// make.
func (s *simulation) mayWrite() error {
	if s.queriedPriv {
		return fmt.Errorf("txid [%s]: unsuppored transaction. Transaction has already performed queries on pvt data. Writes are not allowed", s.txID)
	}
	if s.queriedPages {
		return fmt.Errorf("txid [%s]: unsuppored transaction. Transaction has already performed a paginated query. Writes are not allowed", s.txID)
	}
	s.written = true
	return nil
}

func (s *simulation) mayPage() error {
	if s.written {
		return fmt.Errorf("txid [%s]: unsuppored transaction. Paginated queries are supported only in a read-only transaction", s.txID)
	}
	s.queriedPages = true
	return nil
}

func (s *simulation) mayQueryPrivate() error {
	if s.written {
		return fmt.Errorf("txid [%s]: unsuppored transaction. Queries on pvt data is supported only in a read-only transaction", s.txID)
	}
	s.queriedPriv = true
	return nil
}

// permissionOn is what the collection's configuration allows the transaction's
// creator on any peer.
func (s *simulation) permissionOn(collection string) (permission, error) {
	if p, ok := s.permissions[collection]; ok {
		return p, nil
	}
	c, ok := s.ledger.collection(collection)
	if !ok {
		return permission{}, fmt.Errorf("collection %s/%s/%s could not be found", s.ledger.channel, s.ledger.chaincodeName, collection)
	}
	member := c.has(s.creator)
	p := permission{read: member || !c.MemberOnlyRead, write: member || !c.MemberOnlyWrite}
	s.permissions[collection] = p
	return p, nil
}

func (s *simulation) mayRead(collection string) error {
	p, err := s.permissionOn(collection)
	if err == nil && !p.read {
		err = fmt.Errorf("tx creator does not have read access permission on privatedata in chaincodeName:%s collectionName: %s", s.ledger.chaincodeName, collection)
	}
	return err
}

func (s *simulation) mayWriteTo(collection string) error {
	p, err := s.permissionOn(collection)
	if err == nil && !p.write {
		err = fmt.Errorf("tx creator does not have write access permission on privatedata in chaincodeName:%s collectionName: %s", s.ledger.chaincodeName, collection)
	}
	return err
}

// getPrivate reads a value from this peer. A peer that lacks the value of a key
// that exists, as a non-member's does, can't answer.
func (s *simulation) getPrivate(collection, key string) ([]byte, error) {
	if err := s.mayRead(collection); err != nil {
		return nil, err
	}
	value := s.private.get(collection, key)
	public := versionOf(s.public.hashOf(collection, hash([]byte(key))))
	held := versionOf(value)
	if !sameHeight(public, held) {
		return nil, fmt.Errorf("private data matching public hash version is not available. Public hash version = %s, Private data version = %s", public, held)
	}
	s.set.collection(collection).read(key, held)
	s.readPrivate[collection] = true
	if value == nil {
		return nil, nil
	}
	return bytes.Clone(value.value), nil
}

// getPrivates reads several values at once. Unlike getPrivate, and like Fabric,
// it does not notice that this peer lacks a value: it answers that there is none.
func (s *simulation) getPrivates(collection string, keys []string) ([][]byte, error) {
	if err := s.mayRead(collection); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		held := s.private.get(collection, key)
		s.set.collection(collection).read(key, versionOf(held))
		s.readPrivate[collection] = true
		if held != nil {
			values[i] = bytes.Clone(held.value)
		}
	}
	return values, nil
}

// getPrivateHashed reads the public side of a private key: any peer and any
// client may.
func (s *simulation) getPrivateHashed(collection, key string) (*entry, error) {
	if _, ok := s.ledger.collection(collection); !ok {
		return nil, fmt.Errorf("collection [%s] not defined in the collection config for chaincode [%s]", collection, s.ledger.chaincodeName)
	}
	e := s.public.hashOf(collection, hash([]byte(key)))
	s.set.collection(collection).read(key, versionOf(e))
	return e, nil
}

func (s *simulation) putPrivate(collection, key string, value []byte, purge bool) error {
	if err := s.mayWriteTo(collection); err != nil {
		return err
	}
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.set.collection(collection).write(key, value, purge)
	return nil
}

func (s *simulation) putPrivateParameter(collection, key string, parameter []byte) error {
	if err := s.mayWriteTo(collection); err != nil {
		return err
	}
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.set.collection(collection).setParameter(key, parameter)
	return nil
}

// openRange begins a range query of the public state.
func (s *simulation) openRange(start, end string, pageSize int32, paged bool) (*scan, error) {
	if paged {
		if err := s.mayPage(); err != nil {
			return nil, err
		}
	}
	sc := &scan{
		namespace: s.ledger.chaincodeName, table: s.public.public, end: end, next: start, limit: int(pageSize),
		info: &kvrwset.RangeQueryInfo{StartKey: start}, reads: newRangeReads(),
	}
	s.scans = append(s.scans, sc)
	return sc, nil
}

// openPrivateRange begins a range query of a collection; such a query is not
// checked again at commit, so a transaction that made one may not write.
func (s *simulation) openPrivateRange(collection, start, end string) (*scan, error) {
	if err := s.mayRead(collection); err != nil {
		return nil, err
	}
	if err := s.mayQueryPrivate(); err != nil {
		return nil, err
	}
	return &scan{namespace: s.ledger.chaincodeName, table: s.private.table(collection), end: end, next: start}, nil
}

// finish completes the read-write set with what the range queries saw.
func (s *simulation) finish() *readWriteSet {
	for _, sc := range s.scans {
		sc.reads.into(sc.info)
		s.set.addRange(sc.info)
	}
	return s.set
}

// richQuery is a peer's refusal of a query that needs CouchDB.
func (s *simulation) richQuery(paged bool) error {
	if !paged {
		return errRichQuery
	}
	if err := s.mayPage(); err != nil {
		return err
	}
	return errors.New("ExecuteQueryWithMetadata not supported for leveldb")
}

var errRichQuery = errors.New("ExecuteQuery not supported for leveldb")
