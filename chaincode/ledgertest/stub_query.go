package ledgertest

import (
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

const (
	compositeNamespace = "\x00"
	firstSimpleKey     = "\x01" // stands for an empty start of a range
	lastRune           = "\U0010FFFF"

	// totalQueryLimit is the peer's default bound on the results of one query.
	totalQueryLimit = 100000
	// batchSize is how many results a peer sends to the chaincode at once. It
	// shows in the read set: a peer looks one result further than it has sent.
	batchSize = 100
)

func (s *stub) GetStateByRange(startKey, endKey string) (shim.StateQueryIteratorInterface, error) {
	start, err := simpleRange(startKey, endKey)
	if err != nil {
		return nil, err
	}
	iterator, _, err := s.queryRange(start, endKey, 0, "")
	return iterator, err
}

func (s *stub) GetStateByRangeWithPagination(startKey, endKey string, pageSize int32, bookmark string) (shim.StateQueryIteratorInterface, *peer.QueryResponseMetadata, error) {
	start, err := simpleRange(startKey, endKey)
	if err != nil {
		return nil, nil, err
	}
	return s.queryRange(start, endKey, pageSize, bookmark)
}

func (s *stub) GetStateByPartialCompositeKey(objectType string, keys []string) (shim.StateQueryIteratorInterface, error) {
	start, end, err := compositeRange(objectType, keys)
	if err != nil {
		return nil, err
	}
	iterator, _, err := s.queryRange(start, end, 0, "")
	return iterator, err
}

func (s *stub) GetStateByPartialCompositeKeyWithPagination(objectType string, keys []string, pageSize int32, bookmark string) (shim.StateQueryIteratorInterface, *peer.QueryResponseMetadata, error) {
	start, end, err := compositeRange(objectType, keys)
	if err != nil {
		return nil, nil, err
	}
	return s.queryRange(start, end, pageSize, bookmark)
}

func (s *stub) GetAllStatesCompositeKeyWithPagination(pageSize int32, bookmark string) (shim.StateQueryIteratorInterface, *peer.QueryResponseMetadata, error) {
	return s.queryRange(compositeNamespace, compositeNamespace+lastRune, pageSize, bookmark)
}

// GetQueryResult refuses, as a peer on LevelDB does.
func (s *stub) GetQueryResult(string) (shim.StateQueryIteratorInterface, error) {
	return nil, s.refused("GET_QUERY_RESULT", errRichQuery)
}

// GetQueryResultWithPagination refuses, as a peer on LevelDB does.
func (s *stub) GetQueryResultWithPagination(_ string, pageSize int32, bookmark string) (shim.StateQueryIteratorInterface, *peer.QueryResponseMetadata, error) {
	return nil, nil, s.refused("GET_QUERY_RESULT", s.richQuery(pageSize != 0 || bookmark != ""))
}

func (s *stub) queryRange(start, end string, pageSize int32, bookmark string) (shim.StateQueryIteratorInterface, *peer.QueryResponseMetadata, error) {
	mustBeText("key", start+end+bookmark)
	paged := pageSize != 0 || bookmark != ""
	if bookmark != "" {
		start = bookmark
	}
	sc, err := s.openRange(start, end, pageSize, paged)
	if err != nil {
		return nil, nil, s.refused("GET_STATE_BY_RANGE", err)
	}
	limit := totalQueryLimit
	if pageSize > 0 {
		limit = min(limit, int(pageSize))
	}
	iterator := newStateIterator(sc, limit, paged)
	metadata := &peer.QueryResponseMetadata{}
	if paged {
		metadata.FetchedRecordsCount = int32(iterator.fetched)
		metadata.Bookmark = sc.bookmark()
	}
	return iterator, metadata, nil
}

func simpleRange(startKey, endKey string) (string, error) {
	if startKey == "" {
		startKey = firstSimpleKey
	}
	for _, key := range []string{startKey, endKey} {
		if key != "" && key[0] == 0 {
			return "", fmt.Errorf("first character of the key [%s] contains a null character which is not allowed", key)
		}
	}
	return startKey, nil
}

func compositeRange(objectType string, attributes []string) (string, string, error) {
	start, err := shim.CreateCompositeKey(objectType, attributes)
	return start, start + lastRune, err
}

// stateIterator hands results on in the batches in which a peer sends them.
type stateIterator struct {
	scan    *scan
	limit   int
	paged   bool
	batch   []*queryresult.KV
	pending []*queryresult.KV // first result of the next batch, once one was cut
	fetched int
	more    bool
	closed  bool
}

func newStateIterator(sc *scan, limit int, paged bool) *stateIterator {
	i := &stateIterator{scan: sc, limit: limit, paged: paged}
	i.fetch()
	return i
}

// fetch gathers the next batch. Without pagination the peer cuts a batch when
// it sees the result after it.
func (i *stateIterator) fetch() {
	results := i.pending
	i.pending = nil
	i.more = false
	for i.fetched < i.limit {
		result := i.scan.advance()
		if result == nil {
			break
		}
		i.fetched++
		if !i.paged && len(results) == batchSize {
			i.pending = []*queryresult.KV{result}
			i.more = true
			break
		}
		results = append(results, result)
	}
	i.batch = results
}

func (i *stateIterator) HasNext() bool { return len(i.batch) > 0 || i.more }

func (i *stateIterator) Next() (*queryresult.KV, error) {
	if len(i.batch) == 0 {
		return nil, errors.New("no such key")
	}
	result := i.batch[0]
	i.batch = i.batch[1:]
	if len(i.batch) == 0 && i.more {
		if i.closed {
			return nil, errors.New("query iterator not found")
		}
		i.fetch()
	}
	return result, nil
}

func (i *stateIterator) Close() error {
	i.closed = true
	return nil
}
