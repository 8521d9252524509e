// Package blockhash computes the hashes that chain a channel's blocks, as Fabric's orderers and
// peers do (protoutil/blockutils.go of Hyperledger Fabric v3).
package blockhash

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
)

// HeaderBytes are what orderers sign and the next header hashes: the ASN.1 sequence, in DER,
// of number, hash of the header before, and hash of the data.
func HeaderBytes(h *common.BlockHeader) []byte {
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

// Header is the SHA-256 by which a block's successor names it: 32 bytes.
func Header(h *common.BlockHeader) []byte {
	sum := sha256.Sum256(HeaderBytes(h))
	return sum[:]
}

// Data is the SHA-256 of a block's transactions, one after the other: 32 bytes.
func Data(d *common.BlockData) []byte {
	sum := sha256.Sum256(bytes.Join(d.GetData(), nil))
	return sum[:]
}
