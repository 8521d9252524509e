package ledgertest

import (
	"bytes"
	"errors"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

var errNoCollection = errors.New("collection must not be an empty string")

func (s *stub) GetPrivateData(collection, key string) ([]byte, error) {
	if collection == "" {
		return nil, errNoCollection
	}
	mustBeText("key", key)
	value, err := s.getPrivate(collection, key)
	return value, s.refused("GET_STATE", err)
}

func (s *stub) GetMultiplePrivateData(collection string, keys ...string) ([][]byte, error) {
	if collection == "" {
		return nil, errNoCollection
	}
	if len(keys) == 0 {
		return nil, nil
	}
	for _, key := range keys {
		mustBeText("key", key)
	}
	values, err := s.getPrivates(collection, keys)
	return values, s.refused("GET_STATE_MULTIPLE", err)
}

func (s *stub) GetPrivateDataHash(collection, key string) ([]byte, error) {
	if collection == "" {
		return nil, errNoCollection
	}
	mustBeText("key", key)
	e, err := s.getPrivateHashed(collection, key)
	if err != nil {
		return nil, s.refused("GET_PRIVATE_DATA_HASH", err)
	}
	if e == nil {
		return nil, nil
	}
	return bytes.Clone(e.value), nil
}

func (s *stub) PutPrivateData(collection, key string, value []byte) error {
	if collection == "" {
		return errNoCollection
	}
	if key == "" {
		return errors.New("key must not be an empty string")
	}
	mustBeText("key", key)
	value = bytes.Clone(value)
	return s.apply("PUT_STATE", func() error { return s.putPrivate(collection, key, value, false) })
}

func (s *stub) DelPrivateData(collection, key string) error {
	if collection == "" {
		return errNoCollection
	}
	mustBeText("key", key)
	return s.apply("DEL_STATE", func() error { return s.putPrivate(collection, key, nil, false) })
}

func (s *stub) PurgePrivateData(collection, key string) error {
	if collection == "" {
		return errNoCollection
	}
	mustBeText("key", key)
	return s.apply("PURGE_PRIVATE_DATA", func() error { return s.putPrivate(collection, key, nil, true) })
}

func (s *stub) SetPrivateDataValidationParameter(collection, key string, ep []byte) error {
	mustBeText("key", key)
	ep = bytes.Clone(ep)
	if collection == "" {
		return s.SetStateValidationParameter(key, ep)
	}
	return s.apply("PUT_STATE_METADATA", func() error { return s.putPrivateParameter(collection, key, ep) })
}

func (s *stub) GetPrivateDataValidationParameter(collection, key string) ([]byte, error) {
	mustBeText("key", key)
	if collection == "" {
		return s.GetStateValidationParameter(key)
	}
	if err := s.mayRead(collection); err != nil {
		return nil, s.refused("GET_STATE_METADATA", err)
	}
	e, err := s.getPrivateHashed(collection, key)
	if err != nil || e == nil {
		return nil, s.refused("GET_STATE_METADATA", err)
	}
	return bytes.Clone(e.parameter), nil
}

func (s *stub) GetPrivateDataByRange(collection, startKey, endKey string) (shim.StateQueryIteratorInterface, error) {
	if collection == "" {
		return nil, errNoCollection
	}
	start, err := simpleRange(startKey, endKey)
	if err != nil {
		return nil, err
	}
	return s.privateRange(collection, start, endKey)
}

func (s *stub) GetPrivateDataByPartialCompositeKey(collection, objectType string, keys []string) (shim.StateQueryIteratorInterface, error) {
	if collection == "" {
		return nil, errNoCollection
	}
	start, end, err := compositeRange(objectType, keys)
	if err != nil {
		return nil, err
	}
	return s.privateRange(collection, start, end)
}

func (s *stub) privateRange(collection, start, end string) (shim.StateQueryIteratorInterface, error) {
	sc, err := s.openPrivateRange(collection, start, end)
	if err != nil {
		return nil, s.refused("GET_STATE_BY_RANGE", err)
	}
	return newStateIterator(sc, totalQueryLimit, false), nil
}

// GetPrivateDataQueryResult refuses, as a peer on LevelDB does.
func (s *stub) GetPrivateDataQueryResult(collection, _ string) (shim.StateQueryIteratorInterface, error) {
	if collection == "" {
		return nil, errNoCollection
	}
	if err := s.mayRead(collection); err != nil {
		return nil, s.refused("GET_QUERY_RESULT", err)
	}
	if err := s.mayQueryPrivate(); err != nil {
		return nil, s.refused("GET_QUERY_RESULT", err)
	}
	return nil, s.refused("GET_QUERY_RESULT", errRichQuery)
}
