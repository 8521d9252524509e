package ledgertest

import (
	"crypto/sha256"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/medfed/medfed/chaincode/blockhash"
)

// Blocks gives the chain as the messages a peer stores: each transaction with
// its creator, arguments, read-write set, response, event and endorsers, valid
// or not, and the validation codes in the metadata. There are no signatures in
// it, and transient data is not.
func (l *Ledger) Blocks() []*common.Block {
	l.mu.RLock()
	defer l.mu.RUnlock()
	chain := make([]*common.Block, len(l.blocks))
	var previous []byte
	for number, b := range l.blocks {
		chain[number] = b.message(uint64(number), previous)
		previous = blockhash.Header(chain[number].Header)
	}
	return chain
}

func (b *block) message(number uint64, previous []byte) *common.Block {
	message := &common.Block{Header: &common.BlockHeader{Number: number, PreviousHash: previous}, Data: &common.BlockData{}}
	sum := sha256.New()
	var codes []byte
	for i, tx := range b.transactions {
		envelope := tx.Envelope()
		sum.Write(envelope)
		message.Data.Data = append(message.Data.Data, envelope)
		codes = append(codes, byte(b.results[i].Code))
	}
	message.Header.DataHash = sum.Sum(nil)
	message.Metadata = &common.BlockMetadata{Metadata: make([][]byte, len(common.BlockMetadataIndex_name))}
	message.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = codes
	return message
}

// Envelope is the transaction as it is ordered.
func (t *Transaction) Envelope() []byte {
	header := &common.Header{}
	mustUnmarshal(t.proposal.header, header)
	action := &peer.ChaincodeEndorsedAction{ProposalResponsePayload: t.response}
	for _, e := range t.Endorsers {
		action.Endorsements = append(action.Endorsements, &peer.Endorsement{Endorser: e.serialized})
	}
	transaction := &peer.Transaction{Actions: []*peer.TransactionAction{{
		Header:  header.SignatureHeader,
		Payload: marshal(&peer.ChaincodeActionPayload{ChaincodeProposalPayload: t.proposal.payload, Action: action}),
	}}}
	return marshal(&common.Envelope{Payload: marshal(&common.Payload{Header: header, Data: marshal(transaction)})})
}

// PublicBytes is everything that every member of the channel can read: the
// chain, the public state and the hashed one. A test searches it for what must
// not be there; Leaks does so in the usual encodings too.
func (l *Ledger) PublicBytes() []byte {
	var all []byte
	for _, b := range l.Blocks() {
		all = append(all, marshal(b)...)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	gather := func(e *entry) bool {
		all = append(append(append(all, e.key...), e.value...), e.parameter...)
		return true
	}
	l.state.public.ascend("", "", gather)
	for name, t := range l.state.hashed {
		all = append(all, name...)
		t.ascend("", "", gather)
	}
	return all
}

// Refusals lists the errors of every endorsement that failed, the text that
// peers and clients write to their logs.
func (l *Ledger) Refusals() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return append([]string(nil), l.refusals...)
}
