package ledgertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// Trace is one transaction of a chaincode as its block tells it, in a form
// that is the same on this ledger and on a real network: block numbers are gone
// (a version is the ordinal of the transaction that wrote it), transaction IDs
// are ordinals too, and the lifecycle's reads are left out.
type Trace struct {
	TxID     string // as in the block
	Creator  string // the MSP identifier
	Time     time.Time
	Function string
	Code     peer.TxValidationCode
	Set      []string // reads, ranges, writes and parameters, one a line
	Event    string   // name and payload, "" for none
	Response string
}

// String is the trace without what differs between two runs: its ID and time.
func (r Trace) String() string {
	lines := append([]string{fmt.Sprintf("%s by %s: %s", r.Function, r.Creator, r.Code)}, r.Set...)
	if r.Event != "" {
		lines = append(lines, "event "+r.Event)
	}
	return strings.Join(append(lines, "response "+r.Response), "\n  ")
}

// Traces reads the transactions of a chaincode out of a chain of blocks, from
// this ledger's Blocks or from a real peer. With a filter, those whose ID it
// refuses are left out, as if they were of another chaincode.
func Traces(blocks []*common.Block, chaincode string, filter ...func(txID string) bool) ([]Trace, error) {
	w := &traceWriter{chaincode: chaincode, filter: filter, ordinals: map[height]int{}}
	for _, b := range blocks {
		for i := range b.GetData().GetData() {
			if err := w.add(b, i); err != nil {
				return nil, fmt.Errorf("block %d, transaction %d: %w", b.Header.Number, i, err)
			}
		}
	}
	w.rename()
	return w.traces, nil
}

type traceWriter struct {
	chaincode string
	filter    []func(string) bool
	traces    []Trace
	ordinals  map[height]int
}

func (w *traceWriter) add(b *common.Block, i int) error {
	channelHeader, creator, action, input, err := unwrap(b.Data.Data[i])
	if err != nil || action == nil || action.ChaincodeId.GetName() != w.chaincode {
		return err
	}
	for _, keep := range w.filter {
		if !keep(channelHeader.TxId) {
			return nil
		}
	}
	at := height{b.Header.Number, uint64(i)}
	w.ordinals[at] = len(w.traces) + 1
	r := Trace{TxID: channelHeader.TxId, Creator: creator, Time: channelHeader.Timestamp.AsTime(), Function: input,
		Code:     peer.TxValidationCode(b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER][i]),
		Response: fmt.Sprintf("%d %q %q", action.Response.GetStatus(), action.Response.GetMessage(), action.Response.GetPayload()),
	}
	if len(action.Events) > 0 {
		event := &peer.ChaincodeEvent{}
		if err := proto.Unmarshal(action.Events, event); err != nil {
			return err
		}
		r.Event = fmt.Sprintf("%s %q", event.EventName, event.Payload)
	}
	if r.Set, err = w.set(action.Results); err != nil {
		return err
	}
	w.traces = append(w.traces, r)
	return nil
}

// unwrap opens an envelope; the action is nil when it holds no endorsed
// transaction.
func unwrap(envelope []byte) (*common.ChannelHeader, string, *peer.ChaincodeAction, string, error) {
	env, payload, channelHeader := &common.Envelope{}, &common.Payload{}, &common.ChannelHeader{}
	signatureHeader, creator := &common.SignatureHeader{}, &msp.SerializedIdentity{}
	transaction, actionPayload := &peer.Transaction{}, &peer.ChaincodeActionPayload{}
	response, action := &peer.ProposalResponsePayload{}, &peer.ChaincodeAction{}
	proposal, spec := &peer.ChaincodeProposalPayload{}, &peer.ChaincodeInvocationSpec{}

	steps := unmarshalling{}
	steps.next(envelope, env)
	steps.next(env.GetPayload(), payload)
	steps.next(payload.GetHeader().GetChannelHeader(), channelHeader)
	steps.next(payload.GetHeader().GetSignatureHeader(), signatureHeader)
	if steps.err != nil || channelHeader.Type != int32(common.HeaderType_ENDORSER_TRANSACTION) {
		return channelHeader, "", nil, "", steps.err
	}
	steps.next(signatureHeader.Creator, creator)
	steps.next(payload.Data, transaction)
	if len(transaction.Actions) == 0 {
		return channelHeader, "", nil, "", steps.err
	}
	steps.next(transaction.Actions[0].Payload, actionPayload)
	steps.next(actionPayload.GetAction().GetProposalResponsePayload(), response)
	steps.next(response.Extension, action)
	steps.next(actionPayload.ChaincodeProposalPayload, proposal)
	steps.next(proposal.Input, spec)
	function := ""
	if args := spec.GetChaincodeSpec().GetInput().GetArgs(); len(args) > 0 {
		function = string(args[0])
	}
	return channelHeader, creator.Mspid, action, function, steps.err
}

type unmarshalling struct{ err error }

func (u *unmarshalling) next(b []byte, m proto.Message) {
	if u.err == nil {
		u.err = proto.Unmarshal(b, m)
	}
}

func (w *traceWriter) set(results []byte) ([]string, error) {
	message := &rwset.TxReadWriteSet{}
	if err := proto.Unmarshal(results, message); err != nil {
		return nil, err
	}
	var lines []string
	for _, ns := range message.NsRwset {
		if ns.Namespace != w.chaincode {
			continue
		}
		set := &kvrwset.KVRWSet{}
		if err := proto.Unmarshal(ns.Rwset, set); err != nil {
			return nil, err
		}
		lines = append(lines, w.public(set)...)
		for _, c := range ns.CollectionHashedRwset {
			hashed := &kvrwset.HashedRWSet{}
			if err := proto.Unmarshal(c.HashedRwset, hashed); err != nil {
				return nil, err
			}
			lines = append(lines, w.hashed(c.CollectionName, hashed)...)
			if len(c.PvtRwsetHash) > 0 {
				lines = append(lines, fmt.Sprintf("%s: private writes %x", c.CollectionName, c.PvtRwsetHash))
			}
		}
	}
	return lines, nil
}

func (w *traceWriter) public(set *kvrwset.KVRWSet) []string {
	var lines []string
	for _, r := range set.Reads {
		lines = append(lines, fmt.Sprintf("read %q %s", r.Key, w.version(r.Version)))
	}
	for _, q := range set.RangeQueriesInfo {
		lines = append(lines, w.rangeLine(q))
	}
	for _, k := range set.Writes {
		if k.IsDelete {
			lines = append(lines, fmt.Sprintf("delete %q", k.Key))
			continue
		}
		lines = append(lines, fmt.Sprintf("write %q = %q", k.Key, k.Value))
	}
	for _, m := range set.MetadataWrites {
		lines = append(lines, fmt.Sprintf("parameter %q = %x", m.Key, parameterOf(m.Entries)))
	}
	return lines
}

func (w *traceWriter) rangeLine(q *kvrwset.RangeQueryInfo) string {
	line := fmt.Sprintf("range %q to %q exhausted %t:", q.StartKey, q.EndKey, q.ItrExhausted)
	for _, r := range q.GetRawReads().GetKvReads() {
		line += fmt.Sprintf(" %q %s", r.Key, w.version(r.Version))
	}
	if m := q.GetReadsMerkleHashes(); m != nil {
		// The hashes are over versions of this chain; only the shape compares.
		line += fmt.Sprintf(" Merkle level %d, %d hashes", m.MaxLevel, len(m.MaxLevelHashes))
	}
	return line
}

func (w *traceWriter) hashed(collection string, set *kvrwset.HashedRWSet) []string {
	var lines []string
	for _, r := range set.HashedReads {
		lines = append(lines, fmt.Sprintf("%s: read %x %s", collection, r.KeyHash, w.version(r.Version)))
	}
	for _, k := range set.HashedWrites {
		switch {
		case k.IsPurge:
			lines = append(lines, fmt.Sprintf("%s: purge %x", collection, k.KeyHash))
		case k.IsDelete:
			lines = append(lines, fmt.Sprintf("%s: delete %x", collection, k.KeyHash))
		default:
			lines = append(lines, fmt.Sprintf("%s: write %x = %x", collection, k.KeyHash, k.ValueHash))
		}
	}
	for _, m := range set.MetadataWrites {
		lines = append(lines, fmt.Sprintf("%s: parameter %x = %x", collection, m.KeyHash, parameterOf(m.Entries)))
	}
	return lines
}

func (w *traceWriter) version(v *kvrwset.Version) string {
	if v == nil {
		return "(none)"
	}
	if n, ok := w.ordinals[height{v.BlockNum, v.TxNum}]; ok {
		return fmt.Sprintf("(#%d)", n)
	}
	return fmt.Sprintf("(%d:%d)", v.BlockNum, v.TxNum)
}

// rename replaces transaction IDs by ordinals wherever they show as text.
func (w *traceWriter) rename() {
	var pairs []string
	for i, r := range w.traces {
		if r.TxID != "" {
			pairs = append(pairs, r.TxID, fmt.Sprintf("#%d", i+1))
		}
	}
	replacer := strings.NewReplacer(pairs...)
	for i := range w.traces {
		r := &w.traces[i]
		for j := range r.Set {
			r.Set[j] = replacer.Replace(r.Set[j])
		}
		r.Event, r.Response = replacer.Replace(r.Event), replacer.Replace(r.Response)
	}
}
