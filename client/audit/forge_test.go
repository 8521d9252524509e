package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/blockhash"
)

// What real networks made: two rounds of a task, recorded by TestRecord, and what
// can become of records and consents, by TestTheLedgerIsWhatTheRulesMakeOfIt in
// test-network.
const (
	recorded         = "testdata/two-rounds.audit"
	recordedConsents = "testdata/consents.audit"
)

// recordedGenesis is the hash of the recorded channel's first block.
func recordedGenesis(t rapid.TB) string { return genesisOf(t, recorded) }

func genesisOf(t rapid.TB, bundle string) string {
	t.Helper()
	content, err := os.ReadFile(bundle + ".genesis")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// recordedBlocks are the blocks that a real peer delivered.
func recordedBlocks(t rapid.TB) []*common.Block { return blocksOf(t, recorded) }

func blocksOf(t rapid.TB, path string) []*common.Block {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	bundle, err := newBundleReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []*common.Block
	for {
		raw, err := bundle.block()
		if errors.Is(err, io.EOF) {
			return blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, decoded(t, raw, &common.Block{}))
	}
}

// bundled writes blocks as a bundle.
func bundled(t rapid.TB, blocks []*common.Block) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newBundleWriter(&out, Manifest{
		Format: formatName, Channel: "medfed", Blocks: uint64(len(blocks)), Genesis: hashOf(blocks[0]),
		Exported: "2026-01-02T03:04:05Z", By: "AuditorMSP/auditor",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		if err := w.add(encoded(t, block)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func hashOf(block *common.Block) string { return hex.EncodeToString(blockhash.Header(block.Header)) }

func encoded(t rapid.TB, m proto.Message) []byte {
	t.Helper()
	content, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func decoded[M proto.Message](t rapid.TB, content []byte, into M) M {
	t.Helper()
	if err := proto.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// forger makes a channel like the recorded one in which every key is its own: it
// can sign as anybody. Nothing but the first block's hash gives it away, so all
// that Verify checks after that hash is checked on what it makes.
type forger struct {
	rapid.TB
	authorities map[string]*person // by MSP identifier
	people      map[string]*person // by original identity
	consenters  map[uint32]*person
	plant       plant
	recording   string // that is forged

	state     *state // that the blocks so far leave, and its hash
	committed []byte
}

// plant is where a forger puts a fault. Each is called for every block or
// transaction, when set.
type plant struct {
	config       func(*common.ConfigGroup)                  // before the first block is made
	header       func(place, *common.ChannelHeader)         // before anybody signs
	arguments    func(place, [][]byte)                      // before anybody signs
	results      func(place, *rwset.TxReadWriteSet)         // before it is endorsed
	endorsements func(place, *peer.ChaincodeEndorsedAction) // before the creator signs
	envelope     func(place, *common.Envelope)              // before the block is made
	block        func(uint64, *common.Block)                // before the orderers sign
	signed       func(uint64, *common.Block)                // at last
}

type person struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	serialised  []byte
}

func newForger(t rapid.TB, p plant) *forger {
	return &forger{TB: t, authorities: map[string]*person{}, people: map[string]*person{}, consenters: map[uint32]*person{}, plant: p, recording: recorded, state: newState()}
}

// forge makes the whole channel anew.
func forge(t rapid.TB, p plant) []*common.Block { return newForger(t, p).forge() }

func (f *forger) forge() []*common.Block {
	p, blocks := f.plant, blocksOf(f, f.recording)
	for i, block := range blocks {
		number := uint64(i)
		if i == 0 {
			block.Data.Data[0] = f.genesis(block.Data.Data[0])
		} else {
			block.Header.PreviousHash = blockhash.Header(blocks[i-1].Header)
			for j, raw := range block.Data.Data {
				block.Data.Data[j] = f.transaction(place{block: number, transaction: j}, raw)
			}
		}
		if p.block != nil {
			p.block(number, block)
		}
		block.Header.DataHash = blockhash.Data(block.Data)
		if i > 0 {
			f.order(block)
			f.commit(block)
		}
		if p.signed != nil {
			p.signed(number, block)
		}
	}
	return blocks
}

func (f *forger) genesis(raw []byte) []byte {
	envelope := decoded(f, raw, &common.Envelope{})
	payload := decoded(f, envelope.Payload, &common.Payload{})
	config := decoded(f, payload.Data, &common.ConfigEnvelope{})
	root := config.Config.ChannelGroup
	for _, section := range []string{applicationGroup, ordererGroup} {
		for _, group := range root.Groups[section].Groups {
			f.takeOver(group)
		}
	}
	orderers := root.Groups[ordererGroup].Values["Orderers"]
	mapping := decoded(f, orderers.Value, &common.Orderers{})
	for _, consenter := range mapping.ConsenterMapping {
		p := f.person(encoded(f, &msp.SerializedIdentity{Mspid: consenter.MspId, IdBytes: consenter.Identity}))
		f.consenters[consenter.Id] = p
		consenter.Identity = inPEM(p.certificate)
	}
	orderers.Value = encoded(f, mapping)
	if f.plant.config != nil {
		f.plant.config(root)
	}
	payload.Data = encoded(f, config)
	envelope.Payload = encoded(f, payload)
	return encoded(f, envelope)
}

// takeOver gives an organisation an authority of the forger's.
func (f *forger) takeOver(group *common.ConfigGroup) {
	wrapped := decoded(f, group.Values["MSP"].Value, &msp.MSPConfig{})
	config := decoded(f, wrapped.Config, &msp.FabricMSPConfig{})
	authority := f.issue(config.Name, &x509.Certificate{Subject: pkix.Name{CommonName: "ca." + config.Name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte(config.Name)}, nil)
	f.authorities[config.Name] = authority
	config.RootCerts, config.IntermediateCerts, config.Admins = [][]byte{inPEM(authority.certificate)}, nil, nil
	for _, u := range []*msp.FabricOUIdentifier{config.FabricNodeOus.GetClientOuIdentifier(), config.FabricNodeOus.GetPeerOuIdentifier(),
		config.FabricNodeOus.GetAdminOuIdentifier(), config.FabricNodeOus.GetOrdererOuIdentifier()} {
		if len(u.GetCertificate()) > 0 {
			u.Certificate = inPEM(authority.certificate)
		}
	}
	wrapped.Config = encoded(f, config)
	group.Values["MSP"].Value = encoded(f, wrapped)
}

// person is the forger's double of an identity: the same subject, another key.
func (f *forger) person(serialised []byte) *person {
	if p, ok := f.people[string(serialised)]; ok {
		return p
	}
	original := decoded(f, serialised, &msp.SerializedIdentity{})
	certificate, err := parseCertificate(original.IdBytes)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{Subject: certificate.Subject, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, e := range certificate.Extensions {
		if e.Id.Equal(attrmgr.AttrOID) {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	p := f.issue(original.Mspid, template, f.authorities[original.Mspid])
	f.people[string(serialised)] = p
	return p
}

func (f *forger) issue(mspID string, template *x509.Certificate, by *person) *person {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	p := &person{key: key}
	if by == nil {
		by = &person{key: key, certificate: template}
	}
	template.SerialNumber = big.NewInt(int64(len(f.people) + 2))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		f.Fatal(err)
	}
	if p.certificate, err = x509.ParseCertificate(der); err != nil {
		f.Fatal(err)
	}
	p.serialised = encoded(f, &msp.SerializedIdentity{Mspid: mspID, IdBytes: inPEM(p.certificate)})
	return p
}

func inPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// sign signs in the form that Fabric takes.
func (f *forger) sign(p *person, message ...[]byte) []byte {
	digest := sha256.Sum256(bytes.Join(message, nil))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	if err != nil {
		f.Fatal(err)
	}
	order := p.key.Params().N
	if s.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		s.Sub(order, s)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		f.Fatal(err)
	}
	return der
}

// transaction signs and endorses a transaction anew.
func (f *forger) transaction(at place, raw []byte) []byte {
	tx, rejected := openEnvelope(raw)
	if rejected != nil {
		f.Fatal(rejected.err)
	}
	creator := f.person(tx.creator.Creator)
	tx.creator.Creator = creator.serialised
	signature := encoded(f, tx.creator)
	id := sha256.Sum256(append(bytes.Clone(tx.creator.Nonce), creator.serialised...))
	original := tx.channel.TxId
	tx.channel.TxId = hex.EncodeToString(id[:])
	if f.plant.header != nil {
		f.plant.header(at, tx.channel)
	}
	header := encoded(f, tx.channel)

	content := decoded(f, tx.payload.Data, &peer.Transaction{})
	content.Actions[0].Header = signature
	action := decoded(f, content.Actions[0].Payload, &peer.ChaincodeActionPayload{})
	response := decoded(f, action.Action.ProposalResponsePayload, &peer.ProposalResponsePayload{})
	f.simulate(at, response, original, tx.channel.TxId)
	if f.plant.arguments != nil {
		proposal := decoded(f, action.ChaincodeProposalPayload, &peer.ChaincodeProposalPayload{})
		invocation := decoded(f, proposal.Input, &peer.ChaincodeInvocationSpec{})
		f.plant.arguments(at, invocation.ChaincodeSpec.Input.Args)
		proposal.Input = encoded(f, invocation)
		action.ChaincodeProposalPayload = encoded(f, proposal)
	}
	hash := sha256.Sum256(bytes.Join([][]byte{header, signature, action.ChaincodeProposalPayload}, nil))
	response.ProposalHash = hash[:]
	action.Action.ProposalResponsePayload = encoded(f, response)
	for _, e := range action.Action.Endorsements {
		endorser := f.person(e.Endorser)
		e.Endorser = endorser.serialised
		e.Signature = f.sign(endorser, action.Action.ProposalResponsePayload, e.Endorser)
	}
	if f.plant.endorsements != nil {
		f.plant.endorsements(at, action.Action)
	}
	content.Actions[0].Payload = encoded(f, action)
	tx.payload.Header = &common.Header{ChannelHeader: header, SignatureHeader: signature}
	tx.payload.Data = encoded(f, content)
	envelope := &common.Envelope{Payload: encoded(f, tx.payload)}
	envelope.Signature = f.sign(creator, envelope.Payload)
	if f.plant.envelope != nil {
		f.plant.envelope(at, envelope)
	}
	return encoded(f, envelope)
}

// simulate makes what the chaincode answers anew. An access names its transaction.
func (f *forger) simulate(at place, response *peer.ProposalResponsePayload, originalID, id string) {
	action := decoded(f, response.Extension, &peer.ChaincodeAction{})
	results := decoded(f, action.Results, &rwset.TxReadWriteSet{})
	for _, ns := range results.NsRwset {
		set := decoded(f, ns.Rwset, &kvrwset.KVRWSet{})
		for _, w := range set.Writes {
			w.Value = bytes.ReplaceAll(w.Value, []byte(originalID), []byte(id))
		}
		ns.Rwset = encoded(f, set)
	}
	if f.plant.results != nil {
		f.plant.results(at, results)
	}
	action.Results = encoded(f, results)
	response.Extension = encoded(f, action)
}

// order signs a block as the consenters that signed the recorded one.
func (f *forger) order(block *common.Block) {
	part := &block.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES]
	signed := decoded(f, *part, &common.Metadata{})
	for _, s := range signed.Signatures {
		number := decoded(f, s.IdentifierHeader, &common.IdentifierHeader{}).Identifier
		s.Signature = f.sign(f.consenters[number], signed.Value, s.IdentifierHeader, blockhash.HeaderBytes(block.Header))
	}
	*part = encoded(f, signed)
}

// commit notes the hash of the state that a block leaves, as the peer does.
func (f *forger) commit(block *common.Block) {
	number := block.Header.Number
	for i, raw := range block.Data.Data {
		tx, rejected := openEnvelope(raw)
		if block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER][i] != 0 || rejected != nil || tx.isConfig() || tx.open() != nil {
			continue
		}
		if err := f.state.apply(tx, version{number, uint64(i)}); err != nil {
			f.Fatal(err)
		}
	}
	written := f.state.written()
	f.state.commit(number, forEver)
	f.committed = commitHash(f.committed, block, written)
	block.Metadata.Metadata[common.BlockMetadataIndex_COMMIT_HASH] = encoded(f, &common.Metadata{Value: f.committed})
}
