package audit

import (
	"bytes"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/blockhash"
)

// parseBlock reads a block and checks that it has every part that is read later.
func parseBlock(number uint64, raw []byte) (*common.Block, error) {
	block := &common.Block{}
	if err := proto.Unmarshal(raw, block); err != nil {
		return nil, fault("MF-AUDIT-BLOCK", inBlock(number), "it can't be read: %v", err)
	}
	switch {
	case block.Header == nil:
		return nil, fault("MF-AUDIT-BLOCK", inBlock(number), "it has no header")
	case len(block.GetData().GetData()) == 0:
		return nil, fault("MF-AUDIT-BLOCK", inBlock(number), "it holds no transaction")
	case len(block.GetMetadata().GetMetadata()) <= int(common.BlockMetadataIndex_TRANSACTIONS_FILTER):
		return nil, fault("MF-AUDIT-BLOCK", inBlock(number), "it has no signatures and validation flags")
	}
	return block, nil
}

// checkLink checks that a block has its number and follows the block whose header
// hash is given, nil for the first.
func checkLink(number uint64, block *common.Block, previous []byte) error {
	if got := block.Header.Number; got != number {
		return fault("MF-AUDIT-CHAIN", inBlock(number), "its header says it is block %d", got)
	}
	if number > 0 && !bytes.Equal(block.Header.PreviousHash, previous) {
		return fault("MF-AUDIT-CHAIN", inBlock(number), "its header follows %x, and the block before has %x", block.Header.PreviousHash, previous)
	}
	if sum := blockhash.Data(block.Data); !bytes.Equal(sum, block.Header.DataHash) {
		return fault("MF-AUDIT-DATA", inBlock(number), "its content hashes to %x, and its header covers %x", sum, block.Header.DataHash)
	}
	return nil
}

// checkForm checks that the transactions can be split in one way only: the data
// hash covers them joined, so each must be exactly its message's one encoding.
func checkForm(number uint64, block *common.Block) error {
	for i, raw := range block.Data.Data {
		at := place{block: number, transaction: i}
		envelope := &common.Envelope{}
		if err := proto.Unmarshal(raw, envelope); err != nil {
			return fault("MF-AUDIT-BLOCK", at, "it can't be read: %v", err)
		}
		again, err := proto.Marshal(envelope)
		if err != nil || !bytes.Equal(again, raw) {
			return fault("MF-AUDIT-BLOCK", at, "it is not in the one form that a transaction has")
		}
	}
	return nil
}
