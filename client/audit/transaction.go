package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// transaction is an endorsed transaction, unpacked.
type transaction struct {
	envelope *common.Envelope
	payload  *common.Payload
	channel  *common.ChannelHeader
	creator  *common.SignatureHeader

	response     []byte // what the endorsers signed
	endorsements []*peer.Endorsement
	chaincode    string
	arguments    [][]byte // the function's name and its arguments
	sets         []*namespaceSet
}

// namespaceSet is what a transaction read and wrote in one chaincode's namespace.
type namespaceSet struct {
	name        string
	public      *kvrwset.KVRWSet
	collections []*collectionSet
}

// collectionSet is what a transaction read and wrote in a collection, as hashes.
type collectionSet struct {
	name   string
	hashed *kvrwset.HashedRWSet
}

// writes reports whether a set changes anything.
func (s *namespaceSet) writes() bool {
	if len(s.public.Writes)+len(s.public.MetadataWrites) > 0 {
		return true
	}
	for _, c := range s.collections {
		if len(c.hashed.HashedWrites)+len(c.hashed.MetadataWrites) > 0 {
			return true
		}
	}
	return false
}

// rejection is why a peer counts a transaction as invalid.
type rejection struct {
	code peer.TxValidationCode
	err  error
}

func reject(code peer.TxValidationCode, err error) *rejection { return &rejection{code, err} }

func rejectf(code peer.TxValidationCode, format string, args ...any) *rejection {
	return &rejection{code, fmt.Errorf(format, args...)}
}

// openEnvelope reads as much of a transaction as its headers. What can be read
// stays readable when there is a rejection.
func openEnvelope(raw []byte) (*transaction, *rejection) {
	tx := &transaction{envelope: &common.Envelope{}, payload: &common.Payload{}, channel: &common.ChannelHeader{}, creator: &common.SignatureHeader{}}
	if err := proto.Unmarshal(raw, tx.envelope); err != nil {
		return tx, reject(peer.TxValidationCode_INVALID_OTHER_REASON, err)
	}
	if err := proto.Unmarshal(tx.envelope.Payload, tx.payload); err != nil {
		return tx, reject(peer.TxValidationCode_BAD_PAYLOAD, err)
	}
	bad := peer.TxValidationCode_BAD_COMMON_HEADER
	if tx.payload.Header == nil {
		return tx, rejectf(bad, "it has no header")
	}
	if err := proto.Unmarshal(tx.payload.Header.ChannelHeader, tx.channel); err != nil {
		return tx, reject(bad, err)
	}
	if err := proto.Unmarshal(tx.payload.Header.SignatureHeader, tx.creator); err != nil {
		return tx, reject(bad, err)
	}
	switch kind := common.HeaderType(tx.channel.Type); {
	case kind != common.HeaderType_ENDORSER_TRANSACTION && kind != common.HeaderType_CONFIG:
		return tx, rejectf(bad, "it is of the kind %s", kind)
	case tx.channel.Epoch != 0:
		return tx, rejectf(bad, "it is of the epoch %d", tx.channel.Epoch)
	case len(tx.creator.Nonce) == 0 || len(tx.creator.Creator) == 0:
		return tx, rejectf(bad, "it has no nonce or no creator")
	}
	return tx, nil
}

// isConfig reports whether it is a configuration of the channel.
func (tx *transaction) isConfig() bool {
	return common.HeaderType(tx.channel.GetType()) == common.HeaderType_CONFIG
}

// checkCreator checks the creator's certificate and signature, and the
// transaction's identifier, which is a hash of creator and nonce.
func (tx *transaction) checkCreator(c *channel) *rejection {
	id, err := c.identify(tx.creator.Creator)
	if err != nil {
		return reject(peer.TxValidationCode_BAD_CREATOR_SIGNATURE, err)
	}
	if err := id.verify(tx.envelope.Payload, tx.envelope.Signature); err != nil {
		return reject(peer.TxValidationCode_BAD_CREATOR_SIGNATURE, err)
	}
	if tx.isConfig() {
		return nil
	}
	sum := sha256.Sum256(append(bytes.Clone(tx.creator.Nonce), tx.creator.Creator...))
	if hex.EncodeToString(sum[:]) != tx.channel.TxId {
		return rejectf(peer.TxValidationCode_BAD_PROPOSAL_TXID, "its identifier is not the hash of its nonce and creator")
	}
	return nil
}

// open reads the one action of an endorsed transaction.
func (tx *transaction) open() *rejection {
	bad := peer.TxValidationCode_INVALID_ENDORSER_TRANSACTION
	content := &peer.Transaction{}
	if err := proto.Unmarshal(tx.payload.Data, content); err != nil {
		return reject(bad, err)
	}
	if len(content.Actions) != 1 {
		return rejectf(bad, "it has %d actions and not one", len(content.Actions))
	}
	header, action := &common.SignatureHeader{}, &peer.ChaincodeActionPayload{}
	if err := errors.Join(proto.Unmarshal(content.Actions[0].Header, header), proto.Unmarshal(content.Actions[0].Payload, action)); err != nil {
		return reject(bad, err)
	}
	if len(header.Nonce) == 0 || len(header.Creator) == 0 || action.Action == nil {
		return rejectf(bad, "its action has no nonce, no creator or no response")
	}
	response := &peer.ProposalResponsePayload{}
	if err := proto.Unmarshal(action.Action.ProposalResponsePayload, response); err != nil {
		return reject(bad, err)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{tx.payload.Header.ChannelHeader, content.Actions[0].Header, action.ChaincodeProposalPayload}, nil))
	if !bytes.Equal(sum[:], response.ProposalHash) {
		return rejectf(bad, "the response is to another proposal")
	}
	input, call := &peer.ChaincodeProposalPayload{}, &peer.ChaincodeInvocationSpec{}
	if err := errors.Join(proto.Unmarshal(action.ChaincodeProposalPayload, input), proto.Unmarshal(input.Input, call)); err == nil {
		tx.arguments = call.GetChaincodeSpec().GetInput().GetArgs()
	}
	tx.response, tx.endorsements = action.Action.ProposalResponsePayload, action.Action.Endorsements
	return tx.openResponse(response)
}

// openResponse reads what the chaincode did.
func (tx *transaction) openResponse(response *peer.ProposalResponsePayload) *rejection {
	extension := &peer.ChaincodeHeaderExtension{}
	if err := proto.Unmarshal(tx.channel.Extension, extension); err != nil {
		return reject(peer.TxValidationCode_BAD_HEADER_EXTENSION, err)
	}
	action := &peer.ChaincodeAction{}
	if err := proto.Unmarshal(response.Extension, action); err != nil {
		return reject(peer.TxValidationCode_BAD_RESPONSE_PAYLOAD, err)
	}
	if err := tx.openSets(action.Results); err != nil {
		return reject(peer.TxValidationCode_BAD_RWSET, err)
	}
	other, none := peer.TxValidationCode_INVALID_OTHER_REASON, peer.TxValidationCode_INVALID_CHAINCODE
	tx.chaincode = extension.GetChaincodeId().GetName()
	switch {
	case extension.ChaincodeId == nil || action.ChaincodeId == nil:
		return rejectf(other, "it names no chaincode")
	case tx.chaincode == "" || tx.chaincode != action.ChaincodeId.Name || action.ChaincodeId.Version == "":
		return rejectf(none, "it calls the chaincode %q and %q answered", tx.chaincode, action.ChaincodeId.Name)
	}
	if action.Events != nil {
		event := &peer.ChaincodeEvent{}
		if err := proto.Unmarshal(action.Events, event); err != nil || event.ChaincodeId != tx.chaincode {
			return rejectf(other, "its event is not one of its chaincode")
		}
	}
	seen := map[string]bool{}
	for _, set := range tx.sets {
		if seen[set.name] {
			return rejectf(peer.TxValidationCode_ILLEGAL_WRITESET, "it names the namespace %s twice", set.name)
		}
		seen[set.name] = true
	}
	return nil
}

func (tx *transaction) openSets(serialised []byte) error {
	all := &rwset.TxReadWriteSet{}
	if err := proto.Unmarshal(serialised, all); err != nil {
		return err
	}
	for _, packed := range all.NsRwset {
		set := &namespaceSet{name: packed.Namespace, public: &kvrwset.KVRWSet{}}
		if err := proto.Unmarshal(packed.Rwset, set.public); err != nil {
			return err
		}
		for _, c := range packed.CollectionHashedRwset {
			collection := &collectionSet{name: c.CollectionName, hashed: &kvrwset.HashedRWSet{}}
			if err := proto.Unmarshal(c.HashedRwset, collection.hashed); err != nil {
				return err
			}
			set.collections = append(set.collections, collection)
		}
		tx.sets = append(tx.sets, set)
	}
	return nil
}
