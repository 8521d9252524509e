package audit

import (
	"bytes"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/blockhash"
)

// quorum is how many of n consenters must have signed a block, so that any two
// quorums share an honest one when at most f = (n-1)/3 are not: the smallest
// whole number that is at least (n+f+1)/2.
func quorum(n int) int {
	f := (n - 1) / 3
	return (n + f + 2) / 2
}

// checkOrderers checks that a quorum of the channel's consenters signed a block,
// and that they took the same configuration for the newest. A consenter is named
// in a signature by its number only; it signs the orderers' part of the block's
// metadata, its number, and the header. It returns how many signatures hold.
func (c *channel) checkOrderers(number uint64, block *common.Block, lastConfig uint64) (int, error) {
	signed := &common.Metadata{}
	if err := proto.Unmarshal(block.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES], signed); err != nil {
		return 0, fault("MF-AUDIT-ORDERERS", inBlock(number), "the orderers' signatures can't be read: %v", err)
	}
	said := &common.OrdererBlockMetadata{}
	if err := proto.Unmarshal(signed.GetValue(), said); err != nil {
		return 0, fault("MF-AUDIT-ORDERERS", inBlock(number), "what the orderers signed can't be read: %v", err)
	}
	holds := map[string]bool{} // by certificate
	for _, s := range signed.GetSignatures() {
		if id := c.consenterOf(s); id != nil && !holds[id.key()] {
			message := bytes.Join([][]byte{signed.Value, s.IdentifierHeader, blockhash.HeaderBytes(block.Header)}, nil)
			holds[id.key()] = id.verify(message, s.GetSignature()) == nil
		}
	}
	count := 0
	for _, good := range holds {
		if good {
			count++
		}
	}
	if needed := quorum(len(c.consenters)); count < needed {
		return 0, fault("MF-AUDIT-ORDERERS", inBlock(number), "%d of the %d orderers have signed it, and %d must have", count, len(c.consenters), needed)
	}
	if got := said.GetLastConfig().GetIndex(); got != lastConfig {
		return 0, fault("MF-AUDIT-ORDERERS", inBlock(number), "the orderers took the configuration of block %d for the newest, and it is that of block %d", got, lastConfig)
	}
	return count, nil
}

// consenterOf finds who made a signature, nil when it is no consenter of the
// channel or its certificate is not good.
func (c *channel) consenterOf(s *common.MetadataSignature) *identity {
	header := &common.IdentifierHeader{}
	if len(s.GetIdentifierHeader()) == 0 || proto.Unmarshal(s.IdentifierHeader, header) != nil {
		return nil
	}
	for _, consenter := range c.consenters {
		if consenter.GetId() != header.GetIdentifier() {
			continue
		}
		serialised, err := proto.Marshal(&msp.SerializedIdentity{Mspid: consenter.GetMspId(), IdBytes: consenter.GetIdentity()})
		if err != nil {
			return nil
		}
		id, err := c.identify(serialised)
		if err != nil {
			return nil
		}
		return id
	}
	return nil
}
