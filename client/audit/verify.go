package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/blockhash"
	"github.com/medfed/medfed/chaincode/codes"
)

// Options say what a verification trusts.
type Options struct {
	// Genesis is the hash of the first block's header in hexadecimal. It comes
	// from somebody who knows the channel, not with the bundle.
	Genesis string
	// Head is the hash of the last block's header, "" to take the bundle for
	// what it is: nobody can tell offline that later blocks were left out.
	Head     string
	Progress Progress // nil for none
}

// VerifyFile verifies the bundle in a file. Codes: see the package.
func VerifyFile(ctx context.Context, path string, o Options) (*Summary, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, codes.Wrapf("MF-AUDIT-READ", "the bundle can't be read: %w; name the file that audit export wrote", err)
	}
	defer file.Close()
	return Verify(ctx, file, o)
}

// Verify checks a whole bundle. The first fault ends it, with an error that names
// block and transaction. Rounds, records, consents and accesses that are not what
// the rules make of them are MF-AUDIT-RULES, and the summary, which is nil with
// every other error, then lists the differences.
func Verify(ctx context.Context, r io.Reader, o Options) (*Summary, error) {
	bundle, err := newBundleReader(r)
	if err != nil {
		return nil, err
	}
	v := &verifier{
		options: o, state: newState(), known: map[string]bool{},
		summary: &Summary{Channel: bundle.Channel, Validity: map[string]int{}, Tasks: []TaskSummary{}, Private: []Private{}, Differences: []Difference{}},
	}
	for number := uint64(0); ; number++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		raw, err := bundle.block()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := v.block(number, raw); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress.Step(StepVerify, int(number)+1, int(bundle.Blocks))
		}
	}
	return v.finish()
}

// verifier is a verification under way.
type verifier struct {
	options    Options
	summary    *Summary
	channel    *channel // configuration in force
	configured uint64   // block that brought it
	state      *state
	known      map[string]bool // identifiers of the transactions in the blocks before
	previous   []byte          // hash of the header before
	committed  []byte          // commit hash of the block before
}

// block verifies the next block and takes what it brings.
func (v *verifier) block(number uint64, raw []byte) error {
	block, err := parseBlock(number, raw)
	if err != nil {
		return err
	}
	if err := checkLink(number, block, v.previous); err != nil {
		return err
	}
	if err := checkForm(number, block); err != nil {
		return err
	}
	v.previous = blockhash.Header(block.Header)
	if number == 0 {
		return v.first(block)
	}
	signatures, err := v.channel.checkOrderers(number, block, v.lastConfig(number, block))
	if err != nil {
		return err
	}
	v.summary.Signatures.Orderers += signatures
	return v.transactions(number, block)
}

// first takes the channel's first block, which nobody signed: it must be the one
// that was asked for.
func (v *verifier) first(block *common.Block) error {
	v.summary.Genesis = hex.EncodeToString(v.previous)
	if v.summary.Genesis != v.options.Genesis {
		return fault("MF-AUDIT-GENESIS", inBlock(0), "its hash is %s, and %q was asked for", v.summary.Genesis, v.options.Genesis)
	}
	tx, _ := openEnvelope(block.Data.Data[0])
	if len(block.Data.Data) != 1 || !tx.isConfig() {
		return fault("MF-AUDIT-CONFIG", inBlock(0), "it is not a channel's configuration")
	}
	if err := v.configure(place{block: 0, transaction: 0}, tx); err != nil {
		return err
	}
	return v.count(0, block, []*transaction{tx}, []*rejection{nil})
}

// lastConfig is the number of the newest block with a configuration, this block
// included.
func (v *verifier) lastConfig(number uint64, block *common.Block) uint64 {
	if tx, _ := openEnvelope(block.Data.Data[0]); tx.isConfig() {
		return number
	}
	return v.configured
}

// configure takes a configuration, which must be what an authorised update makes
// of the one before.
func (v *verifier) configure(at place, tx *transaction) error {
	envelope := &common.ConfigEnvelope{}
	if err := proto.Unmarshal(tx.payload.Data, envelope); err != nil {
		return fault("MF-AUDIT-CONFIG", at, "it can't be read: %v", err)
	}
	if tx.channel.ChannelId != v.summary.Channel {
		return fault("MF-AUDIT-CONFIG", at, "it is of the channel %q, and the bundle of %q", tx.channel.ChannelId, v.summary.Channel)
	}
	next, err := newChannel(envelope.GetConfig())
	if err != nil {
		return fault("MF-AUDIT-CONFIG", at, "%v", err)
	}
	if v.channel != nil {
		if next.sequence != v.channel.sequence+1 {
			return fault("MF-AUDIT-CONFIG", at, "it is number %d and follows number %d", next.sequence, v.channel.sequence)
		}
		signatures, err := v.channel.checkUpdate(v.summary.Channel, envelope)
		if err != nil {
			return fault("MF-AUDIT-CONFIG", at, "%v", err)
		}
		v.summary.Signatures.Updates += signatures
	}
	v.channel, v.configured = next, at.block
	v.summary.Configurations++
	return nil
}

// transactions judges a block's transactions as a peer does: the signatures and
// policies of all by the state before the block, then each one's reads after the
// valid ones before it.
func (v *verifier) transactions(number uint64, block *common.Block) error {
	all := make([]*transaction, len(block.Data.Data))
	verdicts := make([]*rejection, len(all))
	seen := map[string]bool{}
	for i, raw := range block.Data.Data {
		if all[i], verdicts[i] = openEnvelope(raw); verdicts[i] == nil {
			verdicts[i] = v.judge(all[i])
		}
		if verdicts[i] != nil {
			continue
		}
		id := all[i].channel.TxId
		if id != "" && seen[id] {
			verdicts[i] = rejectf(peer.TxValidationCode_DUPLICATE_TXID, "a transaction before it in the block has its identifier")
		}
		seen[id] = true
	}
	for i, tx := range all {
		at := place{number, i, tx.channel.GetTxId()}
		switch {
		case verdicts[i] != nil:
		case tx.isConfig():
			if len(all) != 1 {
				return fault("MF-AUDIT-CONFIG", at, "it shares its block with others")
			}
			if err := v.configure(at, tx); err != nil {
				return err
			}
		default:
			if code := v.state.conflict(tx); code != peer.TxValidationCode_VALID {
				verdicts[i] = rejectf(code, "what it read has been changed before it")
				continue
			}
			if err := v.review(at, tx); err != nil {
				return err
			}
			if err := v.state.apply(tx, version{number, uint64(i)}); err != nil {
				return fault("MF-AUDIT-UNSUPPORTED", at, "%v", err)
			}
		}
	}
	written := v.state.written()
	v.state.commit(number, v.blocksToLive)
	if err := v.count(number, block, all, verdicts); err != nil {
		return err
	}
	return v.checkCommitHash(number, block, written)
}

// judge checks a transaction's signatures and policies.
func (v *verifier) judge(tx *transaction) *rejection {
	if r := tx.checkCreator(v.channel); r != nil {
		return r
	}
	v.summary.Signatures.Creators++
	if tx.isConfig() {
		return nil
	}
	if r := tx.open(); r != nil {
		return r
	}
	if tx.channel.ChannelId != v.summary.Channel {
		return rejectf(peer.TxValidationCode_TARGET_CHAIN_NOT_FOUND, "it is for the channel %q", tx.channel.ChannelId)
	}
	if v.known[tx.channel.TxId] {
		return rejectf(peer.TxValidationCode_DUPLICATE_TXID, "a transaction of a block before has its identifier")
	}
	endorsers := tx.endorsers(v.channel)
	v.summary.Signatures.Endorsements += len(endorsers)
	return tx.checkEndorsements(v.state, v.channel, endorsers)
}

// count compares the validation flags, which only the peer has set, with what
// the transactions deserve, and adds them to the summary.
func (v *verifier) count(number uint64, block *common.Block, all []*transaction, verdicts []*rejection) error {
	flags := block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	if len(flags) != len(all) {
		return fault("MF-AUDIT-FLAG", inBlock(number), "it has %d validation flags for %d transactions", len(flags), len(all))
	}
	for i, tx := range all {
		at := place{number, i, tx.channel.GetTxId()}
		if err := compareFlag(at, peer.TxValidationCode(flags[i]), verdicts[i]); err != nil {
			return err
		}
		v.summary.Validity[peer.TxValidationCode(flags[i]).String()]++
		if id := tx.channel.GetTxId(); id != "" {
			v.known[id] = true
		}
	}
	v.summary.Blocks++
	v.summary.Transactions += len(all)
	return nil
}

// compareFlag refuses a flag that a transaction does not deserve.
func compareFlag(at place, flag peer.TxValidationCode, verdict *rejection) error {
	if verdict == nil {
		if flag == peer.TxValidationCode_VALID {
			return nil
		}
		return fault("MF-AUDIT-FLAG", at, "it is flagged %s, and is valid", flag)
	}
	if flag == verdict.code {
		return nil
	}
	if flag != peer.TxValidationCode_VALID {
		return fault("MF-AUDIT-FLAG", at, "it is flagged %s, and is %s: %v", flag, verdict.code, verdict.err)
	}
	return fault(codeOf(verdict.code), at, "it is flagged valid, and is %s: %v", verdict.code, verdict.err)
}

// codeOf is the code of a transaction that is flagged valid and is not.
func codeOf(code peer.TxValidationCode) codes.Code {
	switch code {
	case peer.TxValidationCode_BAD_CREATOR_SIGNATURE, peer.TxValidationCode_BAD_PROPOSAL_TXID:
		return "MF-AUDIT-CREATOR"
	case peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE, peer.TxValidationCode_INVALID_CHAINCODE:
		return "MF-AUDIT-ENDORSEMENT"
	case peer.TxValidationCode_MVCC_READ_CONFLICT, peer.TxValidationCode_PHANTOM_READ_CONFLICT:
		return "MF-AUDIT-CONFLICT"
	default:
		return "MF-AUDIT-FLAG"
	}
}

// blocksToLive is for how many blocks a collection's documents live, 0 for ever.
func (v *verifier) blocksToLive(namespace, collection string) uint64 {
	d, err := definitionOf(v.state, v.channel, namespace)
	if err != nil {
		return 0
	}
	for _, config := range d.collections.GetConfig() {
		if static := config.GetStaticCollectionConfig(); static.GetName() == collection {
			return static.GetBlockToLive()
		}
	}
	return 0
}

// finish replays the rounds of the state that all blocks have left, and counts.
func (v *verifier) finish() (*Summary, error) {
	s := v.summary
	s.Head = hex.EncodeToString(v.previous)
	if v.options.Head != "" && s.Head != v.options.Head {
		return nil, fault("MF-AUDIT-HEAD", inBlock(uint64(s.Blocks-1)), "its hash is %s, and %q was asked for as the last block's", s.Head, v.options.Head)
	}
	s.Keys = v.state.keys()
	if err := replayTasks(v.state, s); err != nil {
		return nil, err
	}
	if err := countConsents(v.state, s); err != nil {
		return nil, err
	}
	if len(s.Differences) > 0 {
		d := s.Differences[0]
		return s, fault("MF-AUDIT-RULES", place{block: d.Block, transaction: int(d.Transaction)},
			"%s: %s is %s on the ledger and %s by the rules (%d differences in all)",
			d.Where(), d.What, shortened(d.Ledger), shortened(d.Replayed), len(s.Differences))
	}
	return s, nil
}

// shortened keeps a message on a few lines; the summary has all of it.
func shortened(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
