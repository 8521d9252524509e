package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/blockhash"
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

func verify(t rapid.TB, blocks []*common.Block, o Options) (*Summary, error) {
	t.Helper()
	return Verify(context.Background(), bytes.NewReader(bundled(t, blocks)), o)
}

// refused checks a refusal's code and the place that it names.
func refused(t rapid.TB, err error, code codes.Code, at string) {
	t.Helper()
	t.Logf("%v", err)
	if err == nil {
		t.Errorf("not refused; want %s at %s", code, at)
	} else if codes.Of(err) != code || !strings.Contains(err.Error(), at) {
		t.Errorf("got %v, want %s at %s", err, code, at)
	}
}

func TestWhatARealNetworkMadeVerifies(t *testing.T) {
	blocks := recordedBlocks(t)
	summary, err := VerifyFile(context.Background(), recorded, Options{Genesis: recordedGenesis(t), Head: hashOf(blocks[len(blocks)-1])})
	if err != nil {
		t.Fatal(err)
	}
	transactions, orderers := 0, 0
	for _, block := range blocks {
		transactions += len(block.Data.Data)
		orderers += len(decoded(t, block.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES], &common.Metadata{}).Signatures)
	}
	switch {
	case summary.Blocks != len(blocks) || summary.Transactions != transactions || summary.Configurations != 1:
		t.Errorf("counted %+v", summary)
	case summary.Validity["VALID"]+summary.Validity["MVCC_READ_CONFLICT"] != transactions || summary.Validity["MVCC_READ_CONFLICT"] == 0:
		t.Errorf("validity %v", summary.Validity)
	case summary.Signatures.Orderers != orderers || summary.Signatures.Creators != transactions-1:
		t.Errorf("signatures %+v, want %d of orderers", summary.Signatures, orderers)
	case summary.Rounds != 2 || len(summary.Differences) != 0:
		t.Errorf("replayed %d rounds with %v", summary.Rounds, summary.Differences)
	}
	want := []TaskSummary{{"medfed", "audited", fl.TaskCompleted, 2, 2}}
	if !slices.Equal(summary.Tasks, want) {
		t.Errorf("tasks %+v, want %+v", summary.Tasks, want)
	}
}

// calls is where the first valid transaction that calls a function is.
func calls(t rapid.TB, blocks []*common.Block, function string, nth int) place {
	t.Helper()
	for i, block := range blocks {
		flags := block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
		for j, raw := range block.Data.Data {
			if tx, _ := openEnvelope(raw); flags[j] == 0 && i > 0 && bytes.Contains(tx.payload.Data, []byte(function)) {
				if nth--; nth == 0 {
					return place{block: uint64(i), transaction: j}
				}
			}
		}
	}
	t.Fatalf("nothing calls %s", function)
	return place{}
}

// conflicted is where the first transaction with a conflict is.
func conflicted(t rapid.TB, blocks []*common.Block) place {
	t.Helper()
	for i, block := range blocks {
		flags := block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
		if j := bytes.IndexByte(flags, byte(peer.TxValidationCode_MVCC_READ_CONFLICT)); j >= 0 {
			return place{block: uint64(i), transaction: j}
		}
	}
	t.Fatal("no transaction has a conflict")
	return place{}
}

// TestEveryKindOfByteIsGuarded changes one thing of the recorded blocks at a time.
func TestEveryKindOfByteIsGuarded(t *testing.T) {
	original := recordedBlocks(t)
	join, conflict := calls(t, original, "task:JoinTask", 1), conflicted(t, original)
	n, last := join.block, len(original)-1
	flip := func(b []byte) { b[len(b)/2] ^= 1 }
	signatures := func(b *common.Block, change func(*common.Metadata)) {
		part := &b.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES]
		m := decoded(t, *part, &common.Metadata{})
		change(m)
		*part = encoded(t, m)
	}
	flags := func(b *common.Block) []byte {
		return b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	}
	for what, c := range map[string]struct {
		code   codes.Code
		at     string
		tamper func([]*common.Block) []*common.Block
	}{
		"content": {"MF-AUDIT-DATA", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			flip(b[n].Data.Data[0])
			return b
		}},
		"content and its hash": {"MF-AUDIT-ORDERERS", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			e := decoded(t, b[n].Data.Data[0], &common.Envelope{})
			flip(e.Signature)
			b[n].Data.Data[0] = encoded(t, e)
			b[n].Header.DataHash = blockhash.Data(b[n].Data)
			return b
		}},
		"transactions split elsewhere": {"MF-AUDIT-BLOCK", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			whole := b[n].Data.Data[0]
			b[n].Data.Data = append([][]byte{whole[:10], whole[10:]}, b[n].Data.Data[1:]...)
			return b
		}},
		"hash of the data": {"MF-AUDIT-DATA", inBlock(n).String(), func(b []*common.Block) []*common.Block { flip(b[n].Header.DataHash); return b }},
		"hash before":      {"MF-AUDIT-CHAIN", inBlock(n).String(), func(b []*common.Block) []*common.Block { flip(b[n].Header.PreviousHash); return b }},
		"number":           {"MF-AUDIT-CHAIN", inBlock(n).String(), func(b []*common.Block) []*common.Block { b[n].Header.Number++; return b }},
		"a block left out": {"MF-AUDIT-CHAIN", inBlock(n).String(), func(b []*common.Block) []*common.Block { return slices.Delete(b, int(n), int(n)+1) }},
		"the last left out": {"MF-AUDIT-HEAD", inBlock(uint64(last - 1)).String(), func(b []*common.Block) []*common.Block {
			return b[:last]
		}},
		"orderer's signature": {"MF-AUDIT-ORDERERS", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			signatures(b[n], func(m *common.Metadata) { flip(m.Signatures[0].Signature) })
			return b
		}},
		"an orderer twice": {"MF-AUDIT-ORDERERS", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			signatures(b[n], func(m *common.Metadata) { m.Signatures[0] = m.Signatures[1] })
			return b
		}},
		"a signature given to another orderer": {"MF-AUDIT-ORDERERS", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			signatures(b[n], func(m *common.Metadata) { m.Signatures[0].IdentifierHeader = m.Signatures[1].IdentifierHeader })
			return b
		}},
		"no signature": {"MF-AUDIT-ORDERERS", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			signatures(b[n], func(m *common.Metadata) { m.Signatures = nil })
			return b
		}},
		"what orderers signed": {"MF-AUDIT-ORDERERS", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			signatures(b[n], func(m *common.Metadata) { flip(m.Value) })
			return b
		}},
		"valid flagged invalid": {"MF-AUDIT-FLAG", join.String(), func(b []*common.Block) []*common.Block {
			flags(b[n])[join.transaction] = byte(peer.TxValidationCode_MVCC_READ_CONFLICT)
			return b
		}},
		"conflict flagged valid": {"MF-AUDIT-CONFLICT", conflict.String(), func(b []*common.Block) []*common.Block {
			flags(b[conflict.block])[conflict.transaction] = byte(peer.TxValidationCode_VALID)
			return b
		}},
		"conflict flagged otherwise": {"MF-AUDIT-FLAG", conflict.String(), func(b []*common.Block) []*common.Block {
			flags(b[conflict.block])[conflict.transaction] = byte(peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE)
			return b
		}},
		"a flag too many": {"MF-AUDIT-FLAG", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			part := &b[n].Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
			*part = append(*part, 0)
			return b
		}},
		"what the peer noted": {"MF-AUDIT-COMMIT", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			flip(b[n].Metadata.Metadata[common.BlockMetadataIndex_COMMIT_HASH])
			return b
		}},
		"nothing noted by the peer": {"MF-AUDIT-COMMIT", inBlock(n).String(), func(b []*common.Block) []*common.Block {
			b[n].Metadata.Metadata = b[n].Metadata.Metadata[:common.BlockMetadataIndex_COMMIT_HASH]
			return b
		}},
		"no metadata": {"MF-AUDIT-BLOCK", inBlock(n).String(), func(b []*common.Block) []*common.Block { b[n].Metadata = nil; return b }},
		"no header":   {"MF-AUDIT-BLOCK", inBlock(n).String(), func(b []*common.Block) []*common.Block { b[n].Header = nil; return b }},
		"no content":  {"MF-AUDIT-BLOCK", inBlock(n).String(), func(b []*common.Block) []*common.Block { b[n].Data = nil; return b }},
		"the first block's content": {"MF-AUDIT-DATA", inBlock(0).String(), func(b []*common.Block) []*common.Block {
			flip(b[0].Data.Data[0])
			return b
		}},
		"the first block's content and hash": {"MF-AUDIT-GENESIS", inBlock(0).String(), func(b []*common.Block) []*common.Block {
			e := decoded(t, b[0].Data.Data[0], &common.Envelope{})
			flip(e.Payload)
			b[0].Data.Data[0] = encoded(t, e)
			b[0].Header.DataHash = blockhash.Data(b[0].Data)
			return b
		}},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := verify(t, c.tamper(recordedBlocks(t)), Options{Genesis: recordedGenesis(t), Head: hashOf(original[last])})
			place := c.at
			if strings.Contains(place, "transaction") {
				tx, _ := openEnvelope(original[conflict.block].Data.Data[conflict.transaction])
				if place == join.String() {
					tx, _ = openEnvelope(original[n].Data.Data[join.transaction])
				}
				place += " (" + tx.channel.TxId + ")"
			}
			refused(t, err, c.code, place)
		})
	}
}

// TestAForgedChannelFailsByItsFirstBlock makes the whole channel with other keys:
// all holds but the one hash that came by another way.
func TestAForgedChannelFailsByItsFirstBlock(t *testing.T) {
	blocks := forge(t, plant{})
	_, err := verify(t, blocks, Options{Genesis: recordedGenesis(t)})
	refused(t, err, "MF-AUDIT-GENESIS", "block 0")
	summary, err := verify(t, blocks, Options{Genesis: hashOf(blocks[0])})
	if err != nil {
		t.Fatal(err)
	}
	want, err := VerifyFile(context.Background(), recorded, Options{Genesis: recordedGenesis(t)})
	if err != nil {
		t.Fatal(err)
	}
	summary.Genesis, summary.Head, want.Genesis, want.Head = "", "", "", ""
	if got, want := fmt.Sprint(*summary), fmt.Sprint(*want); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOrderersCannotHideWhatEndorsersDidNotDo has a quorum of orderers sign
// blocks with a fault in a transaction, which only its own checks show.
func TestOrderersCannotHideWhatEndorsersDidNotDo(t *testing.T) {
	original := recordedBlocks(t)
	join, closing := calls(t, original, "task:JoinTask", 2), calls(t, original, "round:CloseRound", 2)
	commit, staging := calls(t, original, "CommitChaincodeDefinition", 1), calls(t, original, "record:Stage", 1)
	var copied []byte
	metadata := func(b *common.Block, change func(*common.Metadata)) {
		part := &b.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES]
		m := decoded(t, *part, &common.Metadata{})
		change(m)
		*part = encoded(t, m)
	}
	at := func(where place, do func()) func(place) {
		return func(p place) {
			if p.block == where.block && p.transaction == where.transaction {
				do()
			}
		}
	}
	for what, c := range map[string]struct {
		code  codes.Code
		at    string
		plant plant
	}{
		"creator's signature": {"MF-AUDIT-CREATOR", join.String(), plant{envelope: func(p place, e *common.Envelope) {
			at(join, func() { e.Signature[len(e.Signature)-1] ^= 1 })(p)
		}}},
		"creator of no organisation": {"MF-AUDIT-CREATOR", join.String(), plant{envelope: func(p place, e *common.Envelope) {
			at(join, func() { rename(t, e) })(p)
		}}},
		"endorser's signature": {"MF-AUDIT-ENDORSEMENT", join.String(), plant{endorsements: func(p place, a *peer.ChaincodeEndorsedAction) {
			at(join, func() { a.Endorsements[0].Signature[20] ^= 1 })(p)
		}}},
		"an endorser less": {"MF-AUDIT-ENDORSEMENT", join.String(), plant{endorsements: func(p place, a *peer.ChaincodeEndorsedAction) {
			at(join, func() { a.Endorsements = a.Endorsements[1:] })(p)
		}}},
		"an endorser twice": {"MF-AUDIT-ENDORSEMENT", join.String(), plant{endorsements: func(p place, a *peer.ChaincodeEndorsedAction) {
			at(join, func() { a.Endorsements[0] = a.Endorsements[1] })(p)
		}}},
		"another response than was endorsed": {"MF-AUDIT-ENDORSEMENT", join.String(), plant{endorsements: func(p place, a *peer.ChaincodeEndorsedAction) {
			at(join, func() {
				r := decoded(t, a.ProposalResponsePayload, &peer.ProposalResponsePayload{})
				action := decoded(t, r.Extension, &peer.ChaincodeAction{})
				action.Response.Message = "changed"
				r.Extension = encoded(t, action)
				a.ProposalResponsePayload = encoded(t, r)
			})(p)
		}}},
		"another proposal than was endorsed": {"MF-AUDIT-FLAG", join.String(), plant{endorsements: func(p place, a *peer.ChaincodeEndorsedAction) {
			at(join, func() {
				r := decoded(t, a.ProposalResponsePayload, &peer.ProposalResponsePayload{})
				r.ProposalHash[0] ^= 1
				a.ProposalResponsePayload = encoded(t, r)
			})(p)
		}}},
		"a policy that asks for more": {"MF-AUDIT-ENDORSEMENT", fmt.Sprintf("block %d,", commit.block+1), plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(commit, func() { raisePolicy(t, r) })(p)
		}}},
		"no definition of the chaincode": {"MF-AUDIT-ENDORSEMENT", fmt.Sprintf("block %d,", commit.block+1), plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(commit, func() {
				rewrite(t, r, "namespaces/metadata/medfed", func([]byte) []byte { return nil })
			})(p)
		}}},
		"a policy of the channel that asks for more": {"MF-AUDIT-ENDORSEMENT", fmt.Sprintf("block %d,", commit.block), plant{config: func(g *common.ConfigGroup) {
			policy := g.Groups[applicationGroup].Policies["LifecycleEndorsement"].Policy
			envelope := decoded(t, policy.Value, &common.SignaturePolicyEnvelope{})
			gate := envelope.Rule.GetNOutOf()
			gate.N = int32(len(gate.Rules)) + 1
			policy.Value = encoded(t, envelope)
		}}},
		"a transaction twice": {"MF-AUDIT-FLAG", inBlock(join.block + 1).String(), plant{block: func(number uint64, b *common.Block) {
			if number == join.block+1 {
				b.Data.Data = append(b.Data.Data, b.Data.Data[0])
				flags := &b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
				*flags = append(*flags, 0)
			}
		}}},
		"a version that was never read": {"MF-AUDIT-CONFLICT", join.String(), plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(join, func() {
				for _, ns := range r.NsRwset {
					set := decoded(t, ns.Rwset, &kvrwset.KVRWSet{})
					for _, read := range set.Reads {
						read.Version = &kvrwset.Version{BlockNum: 1}
					}
					ns.Rwset = encoded(t, set)
				}
			})(p)
		}}},
		"a median by endorsers who collude": {"MF-AUDIT-RULES", closing.String(), plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(closing, func() { changeRound(t, r, func(round *fl.Round) { round.Results[0].Median++ }) })(p)
		}}},
		"an election by endorsers who collude": {"MF-AUDIT-RULES", "task audited, round 2: masters", plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(closing, func() { changeRound(t, r, func(round *fl.Round) { slices.Reverse(round.Masters) }) })(p)
		}}},
		"an allowance by endorsers who collude": {"MF-AUDIT-RULES", "task audited, round 2: allowance", plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(closing, func() { changeRound(t, r, func(round *fl.Round) { round.Allowance = fl.One }) })(p)
		}}},
		"attestations by endorsers who collude": {"MF-AUDIT-RULES", "task audited, round 2: attestations", plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(closing, func() { changeRound(t, r, func(round *fl.Round) { round.Attestations = 3 }) })(p)
		}}},
		"a round that is no document": {"MF-AUDIT-STATE", "round", plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(closing, func() {
				rewrite(t, r, "\x00round\x00", func([]byte) []byte { return []byte("no document") })
			})(p)
		}}},
		"a collection of another hospital": {"MF-AUDIT-ENDORSEMENT", staging.String(), plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(staging, func() {
				for _, ns := range r.NsRwset {
					for _, c := range ns.CollectionHashedRwset {
						c.CollectionName = strings.Replace(c.CollectionName, "Hospital1", "Hospital2", 1)
					}
				}
			})(p)
		}}},
		"identifier of its own choice": {"MF-AUDIT-CREATOR", inBlock(join.block).String(), plant{header: func(p place, h *common.ChannelHeader) {
			at(join, func() { h.TxId = strings.Repeat("0", 64) })(p)
		}}},
		"a write to a chaincode that is not there": {"MF-AUDIT-ENDORSEMENT", join.String(), plant{results: func(p place, r *rwset.TxReadWriteSet) {
			at(join, func() {
				set := &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: "k", Value: []byte("v")}}}
				r.NsRwset = append(r.NsRwset, &rwset.NsReadWriteSet{Namespace: "other", Rwset: encoded(t, set)})
			})(p)
		}}},
		"a transaction of a block before": {"MF-AUDIT-FLAG", inBlock(join.block + 2).String(), plant{block: func(number uint64, b *common.Block) {
			switch number {
			case join.block:
				copied = b.Data.Data[join.transaction]
			case join.block + 2:
				b.Data.Data = append(b.Data.Data, copied)
				flags := &b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
				*flags = append(*flags, 0)
			}
		}}},
		"an orderer that signs twice": {"MF-AUDIT-ORDERERS", inBlock(join.block).String(), plant{block: func(number uint64, b *common.Block) {
			if number == join.block {
				metadata(b, func(m *common.Metadata) { m.Signatures[0].IdentifierHeader = m.Signatures[1].IdentifierHeader })
			}
		}}},
		"another configuration": {"MF-AUDIT-ORDERERS", inBlock(join.block).String(), plant{block: func(number uint64, b *common.Block) {
			if number == join.block {
				metadata(b, func(m *common.Metadata) {
					m.Value = encoded(t, &common.OrdererBlockMetadata{LastConfig: &common.LastConfig{Index: 1}})
				})
			}
		}}},
		"no consenters": {"MF-AUDIT-CONFIG", "block 0", plant{config: func(g *common.ConfigGroup) {
			g.Groups[ordererGroup].Values["Orderers"].Value = nil
		}}},
		"orderers of no organisation": {"MF-AUDIT-ORDERERS", "block 1", plant{config: func(g *common.ConfigGroup) {
			value := g.Groups[ordererGroup].Values["Orderers"]
			mapping := decoded(t, value.Value, &common.Orderers{})
			for _, consenter := range mapping.ConsenterMapping {
				consenter.MspId = "Hospital1MSP"
			}
			value.Value = encoded(t, mapping)
		}}},
	} {
		t.Run(what, func(t *testing.T) {
			blocks := forge(t, c.plant)
			_, err := verify(t, blocks, Options{Genesis: hashOf(blocks[0])})
			refused(t, err, c.code, c.at)
		})
	}
}

// rename gives an envelope's creator an organisation that the channel has not.
func rename(t rapid.TB, e *common.Envelope) {
	payload := decoded(t, e.Payload, &common.Payload{})
	header := decoded(t, payload.Header.SignatureHeader, &common.SignatureHeader{})
	creator := decoded(t, header.Creator, &msp.SerializedIdentity{})
	creator.Mspid = "StrangersMSP"
	header.Creator = encoded(t, creator)
	payload.Header.SignatureHeader = encoded(t, header)
	e.Payload = encoded(t, payload)
}

// rewrite changes the values that are written under keys with a prefix; nil
// deletes.
func rewrite(t rapid.TB, r *rwset.TxReadWriteSet, prefix string, change func([]byte) []byte) {
	t.Helper()
	changed := false
	for _, ns := range r.NsRwset {
		set := decoded(t, ns.Rwset, &kvrwset.KVRWSet{})
		for _, w := range set.Writes {
			if strings.HasPrefix(w.Key, prefix) {
				w.Value, changed = change(w.Value), true
				w.IsDelete = w.Value == nil
			}
		}
		ns.Rwset = encoded(t, set)
	}
	if !changed {
		t.Fatalf("nothing is written under %q", prefix)
	}
}

func changeRound(t rapid.TB, r *rwset.TxReadWriteSet, change func(*fl.Round)) {
	rewrite(t, r, "\x00round\x00", func(value []byte) []byte {
		var round fl.Round
		if err := json.Unmarshal(value, &round); err != nil {
			t.Fatal(err)
		}
		change(&round)
		again, err := json.Marshal(round)
		if err != nil {
			t.Fatal(err)
		}
		return again
	})
}

// raisePolicy makes the chaincode's policy ask for all of its principals.
func raisePolicy(t rapid.TB, r *rwset.TxReadWriteSet) {
	rewrite(t, r, "namespaces/fields/medfed/ValidationInfo", func(value []byte) []byte {
		data := decoded(t, value, &lifecycle.StateData{})
		info := decoded(t, data.GetBytes(), &lifecycle.ChaincodeValidationInfo{})
		policy := decoded(t, info.ValidationParameter, &peer.ApplicationPolicy{})
		gate := policy.GetSignaturePolicy().Rule.GetNOutOf()
		gate.N = int32(len(gate.Rules))
		info.ValidationParameter = encoded(t, policy)
		data.Type = &lifecycle.StateData_Bytes{Bytes: encoded(t, info)}
		return encoded(t, data)
	})
}

func TestAFileThatIsNoWholeBundleIsRefused(t *testing.T) {
	whole := bundled(t, recordedBlocks(t)[:3])
	for what, content := range map[string][]byte{
		"empty":     nil,
		"text":      []byte("not a bundle"),
		"cut":       whole[:len(whole)/2],
		"cut late":  whole[:len(whole)-4],
		"byte":      flipped(whole, len(whole)-3),
		"more":      append(bytes.Clone(whole), whole...),
		"first cut": whole[1:],
	} {
		_, err := Verify(context.Background(), bytes.NewReader(content), Options{Genesis: recordedGenesis(t)})
		if err == nil || codes.Of(err) != "MF-AUDIT-BUNDLE" {
			t.Errorf("%s: %v", what, err)
		}
	}
	var misnamed bytes.Buffer
	w, err := newBundleWriter(&misnamed, Manifest{Format: formatName, Channel: "medfed", Blocks: 1, Genesis: recordedGenesis(t), Exported: "2026-01-02T03:04:05Z"})
	if err != nil {
		t.Fatal(err)
	}
	w.next = 1
	if err := errors.Join(w.add(encoded(t, recordedBlocks(t)[0])), w.close()); err != nil {
		t.Fatal(err)
	}
	_, err = Verify(context.Background(), &misnamed, Options{Genesis: recordedGenesis(t)})
	refused(t, err, "MF-AUDIT-BUNDLE", blockName(1))
	_, err = VerifyFile(context.Background(), "testdata/none", Options{})
	refused(t, err, "MF-AUDIT-READ", "testdata/none")
}

func flipped(content []byte, at int) []byte {
	content = bytes.Clone(content)
	content[at] ^= 1
	return content
}

func TestQuorum(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 10: 7, 13: 9} {
		if got := quorum(n); got != want {
			t.Errorf("quorum(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestHeaderHashIsThatOfTheBlockAfter(t *testing.T) {
	blocks := recordedBlocks(t)
	if got := hex.EncodeToString(blocks[1].Header.PreviousHash); got != recordedGenesis(t) {
		t.Errorf("block 1 follows %s, want %s", got, recordedGenesis(t))
	}
}

// TestASignerCountsOnce asks for two members of an organisation.
func TestASignerCountsOnce(t *testing.T) {
	one, another := &identity{org: &organisation{id: "OurMSP"}}, &identity{org: &organisation{id: "OurMSP"}}
	by := &common.SignaturePolicy{Type: &common.SignaturePolicy_SignedBy{SignedBy: 0}}
	policy := &common.SignaturePolicyEnvelope{
		Rule:       &common.SignaturePolicy{Type: &common.SignaturePolicy_NOutOf_{NOutOf: &common.SignaturePolicy_NOutOf{N: 2, Rules: []*common.SignaturePolicy{by, by}}}},
		Identities: []*msp.MSPPrincipal{{Principal: encoded(t, &msp.MSPRole{MspIdentifier: "OurMSP", Role: msp.MSPRole_MEMBER})}},
	}
	if err := checkSignaturePolicy(policy, []*identity{one}); err == nil {
		t.Error("one signer counts as two")
	}
	if err := checkSignaturePolicy(policy, []*identity{one, another}); err != nil {
		t.Error(err)
	}
}
