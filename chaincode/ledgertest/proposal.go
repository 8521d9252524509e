package ledgertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Proposal is a client's wish to run a transaction. Its methods refine it; then
// Endorse, Submit or Evaluate uses it. A proposal is one transaction: it may be
// endorsed again before it commits, and is a duplicate afterwards.
type Proposal struct {
	ledger    *Ledger
	creator   *Identity
	args      [][]byte
	transient map[string][]byte
	time      time.Time
	on        []string
	nonce     []byte
	txID      string
	aside     bool // see Aside

	sealed       bool
	header       []byte
	payload      []byte // as it goes to the ledger: without the transient data
	bytes        []byte // as the peers see it
	proposalHash []byte
}

// Propose begins a transaction: a contract's function, such as
// "round:OpenRound", and its arguments. Strings and byte slices go as they are,
// anything else as JSON.
func (l *Ledger) Propose(id *Identity, function string, args ...any) *Proposal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proposals++
	p := &Proposal{ledger: l, creator: id, time: l.now, args: [][]byte{[]byte(function)}}
	for _, arg := range args {
		p.args = append(p.args, argument(arg))
	}
	p.nonce = binary.BigEndian.AppendUint64(bytes.Repeat([]byte{0}, 16), l.proposals)
	sum := sha256.Sum256(append(bytes.Clone(p.nonce), id.serialized...))
	p.txID = hex.EncodeToString(sum[:])
	return p
}

// ProposeAgain makes a proposal as a client of a real network made it: the same
// creator with the same certificate, nonce, time, arguments and transient data,
// and so the same transaction ID. The argument is a serialised peer.Proposal.
func (l *Ledger) ProposeAgain(proposal []byte) (*Proposal, error) {
	message, header, payload := &peer.Proposal{}, &common.Header{}, &peer.ChaincodeProposalPayload{}
	channelHeader, signatureHeader := &common.ChannelHeader{}, &common.SignatureHeader{}
	spec := &peer.ChaincodeInvocationSpec{}
	steps := unmarshalling{}
	steps.next(proposal, message)
	steps.next(message.Header, header)
	steps.next(header.ChannelHeader, channelHeader)
	steps.next(header.SignatureHeader, signatureHeader)
	steps.next(message.Payload, payload)
	steps.next(payload.Input, spec)
	if steps.err != nil {
		return nil, fmt.Errorf("not a proposal: %w", steps.err)
	}
	creator, err := certified(signatureHeader.Creator)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.organisations[creator.MSP] = true
	return &Proposal{
		ledger: l, creator: creator, time: channelHeader.Timestamp.AsTime(), nonce: signatureHeader.Nonce, txID: channelHeader.TxId,
		args: spec.GetChaincodeSpec().GetInput().GetArgs(), transient: payload.TransientMap,
	}, nil
}

func argument(arg any) []byte {
	switch v := arg.(type) {
	case string:
		return []byte(v)
	case []byte:
		return bytes.Clone(v)
	}
	encoded, err := json.Marshal(arg)
	if err != nil {
		panic(fmt.Sprintf("ledgertest: argument of type %T: %v", arg, err))
	}
	return encoded
}

// TxID is the transaction's identifier.
func (p *Proposal) TxID() string { return p.txID }

// Bytes is the serialised proposal as the endorsers see it, transient data
// included.
func (p *Proposal) Bytes() []byte {
	p.seal()
	return bytes.Clone(p.bytes)
}

// Transient adds private input, which goes to the endorsers and no further.
func (p *Proposal) Transient(data map[string][]byte) *Proposal {
	p.mustBeOpen()
	p.transient = map[string][]byte{}
	for key, value := range data {
		p.transient[key] = bytes.Clone(value)
	}
	return p
}

// At sets the transaction's timestamp, the client's claim; otherwise it is the
// ledger's time when the proposal was made.
func (p *Proposal) At(t time.Time) *Proposal {
	p.mustBeOpen()
	p.time = t
	return p
}

// On names the organisations whose peers endorse, and takes from the ledger the
// care for the policy; Evaluate asks the first of them.
func (p *Proposal) On(organisations ...string) *Proposal {
	p.mustBeOpen()
	p.on = organisations
	return p
}

// Aside keeps an evaluation out of the ledger's Scenario: a test that looks is no
// step of what it looks at.
func (p *Proposal) Aside() *Proposal {
	p.mustBeOpen()
	p.aside = true
	return p
}

func (p *Proposal) mustBeOpen() {
	if p.sealed {
		panic("ledgertest: a proposal can't be changed once it was used")
	}
}

// seal serialises the proposal; it does not change afterwards.
func (p *Proposal) seal() {
	if p.sealed {
		return
	}
	p.sealed = true
	extension := marshal(&peer.ChaincodeHeaderExtension{ChaincodeId: &peer.ChaincodeID{Name: p.ledger.chaincodeName}})
	channelHeader := marshal(&common.ChannelHeader{
		Type: int32(common.HeaderType_ENDORSER_TRANSACTION), ChannelId: p.ledger.channel, TxId: p.txID,
		Timestamp: timestamppb.New(p.time), Extension: extension,
	})
	signatureHeader := marshal(&common.SignatureHeader{Creator: p.creator.serialized, Nonce: p.nonce})
	input := marshal(&peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{
		Type: peer.ChaincodeSpec_GOLANG, ChaincodeId: &peer.ChaincodeID{Name: p.ledger.chaincodeName},
		Input: &peer.ChaincodeInput{Args: p.args},
	}})
	p.header = marshal(&common.Header{ChannelHeader: channelHeader, SignatureHeader: signatureHeader})
	p.payload = marshal(&peer.ChaincodeProposalPayload{Input: input})
	p.bytes = marshal(&peer.Proposal{Header: p.header, Payload: marshal(&peer.ChaincodeProposalPayload{Input: input, TransientMap: p.transient})})
	sum := sha256.New()
	sum.Write(channelHeader)
	sum.Write(signatureHeader)
	sum.Write(p.payload)
	p.proposalHash = sum.Sum(nil)
}

// binding ties the chaincode's view to this proposal: the hash of nonce,
// creator and epoch.
func (p *Proposal) binding() []byte {
	sum := sha256.New()
	sum.Write(p.nonce)
	sum.Write(p.creator.serialized)
	sum.Write(make([]byte, 8))
	return sum.Sum(nil)
}
