package network

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/blockhash"
	"github.com/medfed/medfed/chaincode/codes"
)

// ChainStatus is what CheckBlocks finds in the block files of a peer.
type ChainStatus struct {
	Process string `json:"process"`
	Blocks  int    `json:"blocks"`  // that are whole, from the first on
	Damage  string `json:"damage"`  // what is wrong with the next, "" for nothing
	Restore string `json:"restore"` // how the peer is made whole
}

// checkedChain is a peer's chain as far as it holds by itself, with the digest of
// what the peer has noted of each block.
type checkedChain struct {
	noted  [][sha256.Size]byte
	damage error
}

// CheckBlocks reads the block files of every peer, whether it runs or not, and
// changes nothing. In each, every bit is held against something: the transactions
// against their hash in the header, the header against the hash in the next and the
// orderers' signatures, every one of which must hold, and what the peer has noted
// of the transactions' validity and of its state against what most peers have. The
// first block is held against the one that the channel was made with.
//
// Codes: MF-NETWORK-DOWN, MF-NETWORK-CHANGED, MF-NETWORK-STATE. Damage is no error.
func (n *Network) CheckBlocks(ctx context.Context) ([]ChainStatus, error) {
	if err := n.mustBeMade(); err != nil {
		return nil, err
	}
	trusted, err := n.orderersKeys()
	if err != nil {
		return nil, n.stateError(err)
	}
	raw, err := os.ReadFile(n.genesisBlock())
	if err != nil {
		return nil, n.stateError(err)
	}
	first := &common.Block{}
	if err := proto.Unmarshal(raw, first); err != nil {
		return nil, n.stateError(err)
	}
	chains := make([]checkedChain, len(n.peers))
	group, groupCtx := errgroup.WithContext(ctx)
	for k, p := range n.peers {
		group.Go(func() error {
			chains[k] = n.checkChain(groupCtx, p, first, trusted)
			return groupCtx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	compareNoted(chains)
	var found []ChainStatus
	for k, p := range n.peers {
		s := ChainStatus{Process: p.Name, Blocks: len(chains[k].noted)}
		if damage := chains[k].damage; damage != nil {
			s.Damage = damage.Error()
			s.Restore = fmt.Sprintf("medfed network repair %s takes the block from another peer and loses nothing", p.Organisation.Name)
		}
		found = append(found, s)
	}
	return found, nil
}

// checkChain holds a peer's blocks against one another and the orderers' keys.
func (n *Network) checkChain(ctx context.Context, p *peer, first *common.Block, trusted map[uint32]*ecdsa.PublicKey) checkedChain {
	var c checkedChain
	previous := first.GetHeader().GetPreviousHash()
	for block, err := range n.storedBlocks(p) {
		if err == nil {
			err = checkBlock(block, previous, first, trusted)
		}
		if err != nil || ctx.Err() != nil {
			c.damage = err
			return c
		}
		previous = blockhash.Header(block.GetHeader())
		c.noted = append(c.noted, notedOf(block))
	}
	return c
}

// checkBlock finds what is wrong with a block by itself and after the one before.
func checkBlock(block *common.Block, previous []byte, first *common.Block, trusted map[uint32]*ecdsa.PublicKey) error {
	header := block.GetHeader()
	switch {
	case !bytes.Equal(header.GetPreviousHash(), previous):
		return fmt.Errorf("block %d does not follow the one before", header.GetNumber())
	case !bytes.Equal(header.GetDataHash(), blockhash.Data(block.GetData())):
		return fmt.Errorf("the transactions of block %d are not those that its header has the hash of", header.GetNumber())
	case header.GetNumber() > 0:
		return checkSignatures(block, trusted)
	case !bytes.Equal(blockhash.Header(header), blockhash.Header(first.GetHeader())):
		return errors.New("block 0 is not the channel's first")
	}
	return nil
}

// checkSignatures checks that a quorum of the orderers has signed a block, and
// that each signature which is there holds.
func checkSignatures(block *common.Block, trusted map[uint32]*ecdsa.PublicKey) error {
	number := block.GetHeader().GetNumber()
	signed := &common.Metadata{}
	if len(block.GetMetadata().GetMetadata()) == 0 || proto.Unmarshal(block.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES], signed) != nil || hasUnknown(signed) {
		return fmt.Errorf("the orderers' signatures of block %d can't be read", number)
	}
	for _, s := range signed.GetSignatures() {
		who := &common.IdentifierHeader{}
		if proto.Unmarshal(s.GetIdentifierHeader(), who) != nil || trusted[who.GetIdentifier()] == nil {
			return fmt.Errorf("block %d is signed by somebody who is no orderer", number)
		}
		sum := sha256.Sum256(bytes.Join([][]byte{signed.GetValue(), s.GetIdentifierHeader(), blockhash.HeaderBytes(block.GetHeader())}, nil))
		if !ecdsa.VerifyASN1(trusted[who.GetIdentifier()], sum[:], s.GetSignature()) {
			return fmt.Errorf("the signature of orderer %d on block %d does not hold", who.GetIdentifier(), number)
		}
	}
	if faulty := (len(trusted) - 1) / 3; len(signed.GetSignatures()) < (len(trusted)+faulty+2)/2 {
		return fmt.Errorf("block %d is signed by %d of %d orderers, which is no quorum", number, len(signed.GetSignatures()), len(trusted))
	}
	return nil
}

// hasUnknown reports whether there is something in the metadata or its signatures
// that no field has.
func hasUnknown(m *common.Metadata) bool {
	unknown := len(m.ProtoReflect().GetUnknown()) > 0
	for _, s := range m.GetSignatures() {
		unknown = unknown || len(s.ProtoReflect().GetUnknown()) > 0
	}
	return unknown
}

// notedOf is the digest of a block's metadata but the signatures, of which a peer
// has those that the orderer it heard from had.
func notedOf(b *common.Block) [sha256.Size]byte {
	rest := &common.BlockMetadata{Metadata: b.GetMetadata().GetMetadata()[1:]}
	return sha256.Sum256(storedForm(&common.Block{Metadata: rest}))
}

// compareNoted ends the chain of each peer before the first block of which it has
// noted something else than most peers that have it.
func compareNoted(chains []checkedChain) {
	for number := 0; ; number++ {
		votes := map[[sha256.Size]byte]int{}
		for _, c := range chains {
			if number < len(c.noted) {
				votes[c.noted[number]]++
			}
		}
		if len(votes) == 0 {
			return
		}
		most := 0
		for _, count := range votes {
			most = max(most, count)
		}
		for k := range chains {
			c := &chains[k]
			if number < len(c.noted) && (votes[c.noted[number]] < most || len(votes) == len(chains) && len(votes) > 1) {
				c.noted = c.noted[:number]
				c.damage = fmt.Errorf("of block %d it has noted another validity or state than other peers", number)
			}
		}
	}
}

// orderersKeys are the public keys that the orderers sign blocks with, by their
// numbers among the consenters.
func (n *Network) orderersKeys() (map[uint32]*ecdsa.PublicKey, error) {
	keys := map[uint32]*ecdsa.PublicKey{}
	for _, o := range n.orderers {
		content, err := os.ReadFile(o.SigningCert)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(content)
		if block == nil {
			return nil, fmt.Errorf("%s holds no certificate", o.SigningCert)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%s holds no ECDSA key", o.SigningCert)
		}
		keys[uint32(o.Number)] = key
	}
	return keys, nil
}

// RepairPeer makes the block files of an organisation's peer whole: blocks that are
// damaged are taken from the other peers, the rest stays, and the peer makes its
// databases anew from them. Its private data lies elsewhere and is kept; the old
// files are set aside. It returns when the peer's gateway has committed a
// transaction.
//
// Codes: MF-NETWORK-UNKNOWN, MF-NETWORK-DOWN, MF-NETWORK-CHANGED, MF-NETWORK-BLOCKS
// (no peer has all blocks whole), MF-NETWORK-PROCESS, MF-NETWORK-TOOL,
// MF-NETWORK-READY, MF-NETWORK-STATE.
func (n *Network) RepairPeer(ctx context.Context, org string) error {
	p, unlock, err := n.takePeer(ctx, org)
	if err != nil {
		return err
	}
	defer unlock()
	if err := n.stop(ctx, p.Name); err != nil {
		return err
	}
	if err := n.repairBlocks(ctx, p); err != nil {
		return errors.Join(err, n.start(ctx, n.ledgerServers(), func() {}))
	}
	if _, err := n.tool(ctx, []string{"FABRIC_CFG_PATH=" + n.nodeDir(p.Name)}, "peer", "node", "rebuild-dbs"); err != nil {
		return err
	}
	if err := n.start(ctx, n.ledgerServers(), func() {}); err != nil {
		return err
	}
	if err := n.awaitCaughtUp(ctx, p); err != nil {
		return err
	}
	return n.awaitGateway(ctx, p)
}

// repairBlocks writes the block files of a peer that is stopped, from those of the
// peer that has most blocks whole: as many as the peer had, no more, because its
// private data is of so many.
func (n *Network) repairBlocks(ctx context.Context, p *peer) error {
	checked, err := n.CheckBlocks(ctx)
	if err != nil {
		return err
	}
	best := 0
	for k, c := range checked {
		if n.peers[k] != p && c.Damage == "" && (n.peers[best] == p || c.Blocks > checked[best].Blocks || checked[best].Damage != "") {
			best = k
		}
	}
	if n.peers[best] == p || checked[best].Damage != "" {
		return codes.Errorf("MF-NETWORK-BLOCKS", "no other peer has its blocks whole, so %s can't take any from them; have it join again from the orderers with medfed network rejoin, which says what that loses", p.Name)
	}
	var own []byte
	for _, file := range blockFiles(n.blockFolder(p)) {
		content, err := os.ReadFile(file)
		if err != nil {
			return n.stateError(err)
		}
		own = append(own, content...)
	}
	whole, last := [][]byte{}, 0
	for block, err := range n.storedBlocks(n.peers[best]) {
		if err != nil {
			return n.stateError(err)
		}
		stored := storedForm(block)
		whole = append(whole, stored)
		begin := storedForm(&common.Block{Header: block.GetHeader()})
		if bytes.Contains(own, begin[:len(begin)-2]) { // without the two counts
			last = len(whole)
		}
	}
	if _, err := n.setAside(n.blockFolder(p), filepath.Join(n.nodeDir(p.Name), "blocks")); err != nil {
		return err
	}
	return n.writeBlocks(n.blockFolder(p), whole[:last])
}
