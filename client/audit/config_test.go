package audit

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/blockhash"
)

// reconfiguration is an update to blocks of another size, which takes a majority of
// the administrators of the orderers' organisations.
type reconfiguration struct {
	update    func(*common.ConfigUpdate)   // before it is signed
	signature func([]byte) []byte          // of the first signer
	signers   []string                     // MSP identifiers, one for each signature
	unit      string                       // of the signers, "admin" when ""
	result    func(*common.ConfigEnvelope) // before the orderers take it
}

// reconfigure adds a block with another configuration to a channel.
func (f *forger) reconfigure(blocks []*common.Block, r reconfiguration) []*common.Block {
	payload := decoded(f, decoded(f, blocks[0].Data.Data[0], &common.Envelope{}).Payload, &common.Payload{})
	channelHeader := decoded(f, payload.Header.ChannelHeader, &common.ChannelHeader{})
	next := decoded(f, payload.Data, &common.ConfigEnvelope{})
	next.Config.Sequence++
	group := next.Config.ChannelGroup.Groups[ordererGroup]
	size := group.Values["BatchSize"]
	size.Version++
	size.Value = encoded(f, &orderer.BatchSize{MaxMessageCount: 7, AbsoluteMaxBytes: 1 << 20, PreferredMaxBytes: 1 << 19})
	update := &common.ConfigUpdate{
		ChannelId: channelHeader.ChannelId,
		ReadSet:   &common.ConfigGroup{Groups: map[string]*common.ConfigGroup{ordererGroup: {}}},
		WriteSet: &common.ConfigGroup{Groups: map[string]*common.ConfigGroup{ordererGroup: {
			Values: map[string]*common.ConfigValue{"BatchSize": proto.Clone(size).(*common.ConfigValue)},
		}}},
	}
	if r.update != nil {
		r.update(update)
	}
	signed := &common.ConfigUpdateEnvelope{ConfigUpdate: encoded(f, update)}
	unit := "admin"
	if r.unit != "" {
		unit = r.unit
	}
	administrators := map[string]*person{}
	for i, mspID := range r.signers {
		if administrators[mspID] == nil {
			f.people["administrator of "+mspID] = nil // another serial number
			administrators[mspID] = f.issue(mspID, &x509.Certificate{
				Subject: pkix.Name{CommonName: unit, OrganizationalUnit: []string{unit}}, KeyUsage: x509.KeyUsageDigitalSignature,
			}, f.authorities[mspID])
		}
		header := encoded(f, &common.SignatureHeader{Creator: administrators[mspID].serialised, Nonce: []byte{byte(i)}})
		s := f.sign(administrators[mspID], header, signed.ConfigUpdate)
		if i == 0 && r.signature != nil {
			s = r.signature(s)
		}
		signed.Signatures = append(signed.Signatures, &common.ConfigSignature{SignatureHeader: header, Signature: s})
	}
	next.LastUpdate = &common.Envelope{Payload: encoded(f, &common.Payload{Data: encoded(f, signed)})}
	if r.result != nil {
		r.result(next)
	}
	return append(blocks, f.configBlock(blocks, channelHeader, next))
}

// configBlock has the orderers make a block of a configuration.
func (f *forger) configBlock(blocks []*common.Block, channelHeader *common.ChannelHeader, config *common.ConfigEnvelope) *common.Block {
	last := blocks[len(blocks)-1]
	block := proto.Clone(last).(*common.Block)
	block.Header.Number++
	block.Header.PreviousHash = blockhash.Header(last.Header)
	creator := f.consenters[1]
	payload := &common.Payload{
		Header: &common.Header{
			ChannelHeader:   encoded(f, channelHeader),
			SignatureHeader: encoded(f, &common.SignatureHeader{Creator: creator.serialised, Nonce: []byte("nonce")}),
		},
		Data: encoded(f, config),
	}
	envelope := &common.Envelope{Payload: encoded(f, payload)}
	envelope.Signature = f.sign(creator, envelope.Payload)
	block.Data.Data = [][]byte{encoded(f, envelope)}
	block.Header.DataHash = blockhash.Data(block.Data)
	block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = []byte{0}
	part := &block.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES]
	signed := decoded(f, *part, &common.Metadata{})
	said := decoded(f, signed.Value, &common.OrdererBlockMetadata{})
	said.LastConfig = &common.LastConfig{Index: block.Header.Number}
	signed.Value = encoded(f, said)
	*part = encoded(f, signed)
	f.order(block)
	f.commit(block)
	return block
}

// TestAConfigurationNeedsItsPolicy has a quorum of orderers take a configuration
// that is, or is not, what the administrators signed.
func TestAConfigurationNeedsItsPolicy(t *testing.T) {
	majority := []string{"Hospital1OrdererMSP", "Hospital2OrdererMSP", "Hospital3OrdererMSP"}
	value := func(u *common.ConfigUpdate) *common.ConfigValue {
		return u.WriteSet.Groups[ordererGroup].Values["BatchSize"]
	}
	for what, c := range map[string]struct {
		reconfiguration
		refused bool
	}{
		"by a majority":                     {reconfiguration{signers: majority}, false},
		"by a minority":                     {reconfiguration{signers: majority[:2]}, true},
		"by one several times":              {reconfiguration{signers: []string{majority[0], majority[0], majority[0]}}, true},
		"by no administrators":              {reconfiguration{signers: majority, unit: "client"}, true},
		"by others":                         {reconfiguration{signers: []string{"Hospital1OrdererMSP", "Hospital2OrdererMSP", "Hospital3MSP"}}, true},
		"with a signature of another thing": {reconfiguration{signers: majority, signature: func(s []byte) []byte { return bytes.Clone(flipped(s, len(s)-1)) }}, true},
		"to another result": {reconfiguration{signers: majority, result: func(e *common.ConfigEnvelope) {
			e.Config.ChannelGroup.Groups[ordererGroup].Values["BatchSize"].Value = []byte("other")
		}}, true},
		"to another result beside": {reconfiguration{signers: majority, result: func(e *common.ConfigEnvelope) {
			delete(e.Config.ChannelGroup.Groups[applicationGroup].Groups, "Auditor")
			delete(e.Config.ChannelGroup.Groups[applicationGroup].Policies, "Admins")
		}}, true},
		"without an update":    {reconfiguration{signers: majority, result: func(e *common.ConfigEnvelope) { e.LastUpdate = nil }}, true},
		"of another channel":   {reconfiguration{signers: majority, update: func(u *common.ConfigUpdate) { u.ChannelId = "other" }}, true},
		"from another version": {reconfiguration{signers: majority, update: func(u *common.ConfigUpdate) { u.ReadSet.Groups[ordererGroup].Version = 1 }}, true},
		"to a later version":   {reconfiguration{signers: majority, update: func(u *common.ConfigUpdate) { value(u).Version = 2 }}, true},
		"to the same version":  {reconfiguration{signers: majority, update: func(u *common.ConfigUpdate) { value(u).Version = 0 }}, true},
		"without a mod_policy": {reconfiguration{signers: majority, update: func(u *common.ConfigUpdate) { value(u).ModPolicy = "" }}, true},
		"of something unheard of": {reconfiguration{signers: majority, update: func(u *common.ConfigUpdate) {
			u.WriteSet.Groups[ordererGroup].Values["Other"] = &common.ConfigValue{Version: 1, ModPolicy: "Admins"}
		}}, true},
	} {
		t.Run(what, func(t *testing.T) {
			f := newForger(t, plant{})
			blocks := f.reconfigure(f.forge(), c.reconfiguration)
			summary, err := verify(t, blocks, Options{Genesis: hashOf(blocks[0])})
			if c.refused {
				refused(t, err, "MF-AUDIT-CONFIG", inBlock(uint64(len(blocks)-1)).String())
			} else if err != nil || summary.Configurations != 2 || summary.Signatures.Updates != len(majority) {
				t.Errorf("%+v, %v", summary, err)
			}
		})
	}
}
