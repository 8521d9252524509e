package ledgertest

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// stub is what a chaincode sees of a simulation. It refuses what the shim
// refuses before asking the peer, and words the peer's refusals as the shim does.
type stub struct {
	*simulation
	proposal *Proposal
	event    *peer.ChaincodeEvent
	batch    []func() error // writes held back by StartWriteBatch
	batching bool
}

var _ shim.ChaincodeStubInterface = (*stub)(nil)

func (s *stub) GetArgs() [][]byte {
	args := make([][]byte, len(s.proposal.args))
	for i, arg := range s.proposal.args {
		args[i] = bytes.Clone(arg)
	}
	return args
}

func (s *stub) GetStringArgs() []string {
	args := make([]string, len(s.proposal.args))
	for i, arg := range s.proposal.args {
		args[i] = string(arg)
	}
	return args
}

func (s *stub) GetFunctionAndParameters() (string, []string) {
	args := s.GetStringArgs()
	if len(args) == 0 {
		return "", []string{}
	}
	return args[0], args[1:]
}

func (s *stub) GetArgsSlice() ([]byte, error)     { return bytes.Join(s.proposal.args, nil), nil }
func (s *stub) GetTxID() string                   { return s.txID }
func (s *stub) GetChannelID() string              { return s.ledger.channel }
func (s *stub) GetCreator() ([]byte, error)       { return bytes.Clone(s.creator.serialized), nil }
func (s *stub) GetBinding() ([]byte, error)       { return s.proposal.binding(), nil }
func (s *stub) GetDecorations() map[string][]byte { return nil }
func (s *stub) CreateCompositeKey(objectType string, attributes []string) (string, error) {
	return shim.CreateCompositeKey(objectType, attributes)
}

func (s *stub) GetTransient() (map[string][]byte, error) {
	if len(s.proposal.transient) == 0 {
		return nil, nil
	}
	copied := make(map[string][]byte, len(s.proposal.transient))
	for key, value := range s.proposal.transient {
		copied[key] = bytes.Clone(value)
	}
	return copied, nil
}

func (s *stub) GetSignedProposal() (*peer.SignedProposal, error) {
	return &peer.SignedProposal{ProposalBytes: bytes.Clone(s.proposal.bytes)}, nil
}

func (s *stub) GetTxTimestamp() (*timestamppb.Timestamp, error) {
	return timestamppb.New(s.proposal.time), nil
}

func (s *stub) SetEvent(name string, payload []byte) error {
	if name == "" {
		return errors.New("event name can not be empty string")
	}
	mustBeText("event name", name)
	s.event = &peer.ChaincodeEvent{EventName: name, Payload: bytes.Clone(payload)}
	return nil
}

// InvokeChaincode refuses: a ledger has one chaincode.
func (s *stub) InvokeChaincode(name string, _ [][]byte, _ string) *peer.Response {
	return shim.Error(fmt.Sprintf("chaincode %s: calls to other chaincodes are not modelled", name))
}

func (s *stub) SplitCompositeKey(compositeKey string) (string, []string, error) {
	components := []string{}
	start := 1
	for i := 1; i < len(compositeKey); i++ {
		if compositeKey[i] == 0 {
			components = append(components, compositeKey[start:i])
			start = i + 1
		}
	}
	return components[0], components[1:], nil
}

// refused words an error as the peer's answer to a request of the shim.
func (s *stub) refused(request string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s failed: transaction ID: %s: %w", request, s.txID, err)
}

// mustBeText panics, as the shim does when it can't send a string: a chaincode
// that lets bytes into a key or a name that are no UTF-8 ends its process.
func mustBeText(what, text string) {
	if !utf8.ValidString(text) {
		panic(fmt.Sprintf("failed to marshal message: %s %q is not valid UTF-8", what, text))
	}
}

func (s *stub) GetState(key string) ([]byte, error) {
	mustBeText("key", key)
	if e := s.get(key); e != nil {
		return bytes.Clone(e.value), nil
	}
	return nil, nil
}

func (s *stub) GetMultipleStates(keys ...string) ([][]byte, error) {
	var values [][]byte
	for _, key := range keys {
		value, err := s.GetState(key)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (s *stub) PutState(key string, value []byte) error {
	if key == "" {
		return errors.New("key must not be an empty string")
	}
	mustBeText("key", key)
	value = bytes.Clone(value)
	return s.apply("PUT_STATE", func() error { return s.put(key, value) })
}

func (s *stub) DelState(key string) error {
	mustBeText("key", key)
	return s.apply("DEL_STATE", func() error { return s.put(key, nil) })
}

func (s *stub) SetStateValidationParameter(key string, ep []byte) error {
	mustBeText("key", key)
	ep = bytes.Clone(ep)
	return s.apply("PUT_STATE_METADATA", func() error { return s.putParameter(key, ep) })
}

func (s *stub) GetStateValidationParameter(key string) ([]byte, error) {
	mustBeText("key", key)
	if e := s.get(key); e != nil {
		return bytes.Clone(e.parameter), nil
	}
	return nil, nil
}

// apply performs a write now, or holds it back while a batch is open.
func (s *stub) apply(request string, write func() error) error {
	if s.batching {
		s.batch = append(s.batch, write)
		return nil
	}
	return s.refused(request, write())
}

func (s *stub) StartWriteBatch() { s.batching = true }

func (s *stub) FinishWriteBatch() error {
	s.batching = false
	for _, write := range s.batch {
		if err := write(); err != nil {
			s.batch = nil
			return fmt.Errorf("failed send batch: %w", s.refused("WRITE_BATCH_STATE", err))
		}
	}
	s.batch = nil
	return nil
}

func (s *stub) GetHistoryForKey(key string) (shim.HistoryQueryIteratorInterface, error) {
	mustBeText("key", key)
	return &historyIterator{changes: s.ledger.historyOf(key, s.public.height)}, nil
}

// historyIterator gives a key's committed values, newest first.
type historyIterator struct {
	changes []*queryresult.KeyModification
}

func (i *historyIterator) HasNext() bool { return len(i.changes) > 0 }
func (i *historyIterator) Close() error  { return nil }

func (i *historyIterator) Next() (*queryresult.KeyModification, error) {
	if len(i.changes) == 0 {
		return nil, errors.New("no such key")
	}
	change := i.changes[0]
	i.changes = i.changes[1:]
	return change, nil
}
