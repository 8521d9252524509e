package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
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

// headerBytes are what orderers sign and the next header hashes: the ASN.1
// sequence of number, hash of the header before, and hash of the data.
func headerBytes(h *common.BlockHeader) []byte {
	der, err := asn1.Marshal(struct {
		Number       *big.Int
		PreviousHash []byte
		DataHash     []byte
	}{new(big.Int).SetUint64(h.GetNumber()), h.GetPreviousHash(), h.GetDataHash()})
	if err != nil {
		panic(err) // a number and two strings of bytes always have a DER form
	}
	return der
}

func headerHash(h *common.BlockHeader) []byte {
	sum := sha256.Sum256(headerBytes(h))
	return sum[:]
}

// dataHash is the hash of a block's transactions, one after the other.
func dataHash(d *common.BlockData) []byte {
	sum := sha256.Sum256(bytes.Join(d.GetData(), nil))
	return sum[:]
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
	if sum := dataHash(block.Data); !bytes.Equal(sum, block.Header.DataHash) {
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
