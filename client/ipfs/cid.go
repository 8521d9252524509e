package ipfs

import (
	"context"
	"errors"
	"io"

	chunker "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/multiformats/go-multihash"
)

// The unixfs-v1-2025 profile (IPIP-499).
const (
	chunkSize = 1 << 20 // bytes in a leaf
	maxLinks  = 1024    // children of a node
)

// builder makes the CIDs of inner nodes; raw leaves keep version and hash.
var builder = cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256}

// CheckCID reports whether s is a CID in the one form medfed writes to the
// ledger: version 1, base32, codec raw or dag-pb, SHA2-256. The error is
// MF-IPFS-CID.
func CheckCID(s string) error {
	_, err := parseCID(s)
	return err
}

func parseCID(s string) (cid.Cid, error) {
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef, codes.Wrapf("MF-IPFS-CID", "%q is no CID: %w; use the CID that medfed printed", s, err)
	}
	if err := checkCID(c); err != nil {
		return cid.Undef, err
	}
	if c.String() != s {
		return cid.Undef, codes.Errorf("MF-IPFS-CID", "%q is a CID but not in canonical form; write it %s", s, c)
	}
	return c, nil
}

func checkCID(c cid.Cid) error {
	p := c.Prefix()
	if p.Version != 1 || (p.Codec != cid.Raw && p.Codec != cid.DagProtobuf) || p.MhType != multihash.SHA2_256 || p.MhLength != 32 {
		return codes.Errorf("MF-IPFS-CID", "%s is not version 1, raw or dag-pb, SHA2-256; add the content with medfed", c)
	}
	return nil
}

// ComputeCID is the CID under which [Client.Add] stores what r holds. Memory does
// not grow with the content. An error is r's own.
func ComputeCID(r io.Reader) (string, error) {
	source := &source{r: r}
	s, err := compute(chunker.NewSizeSplitter(source, chunkSize), discard{})
	if source.err != nil { // the chunker takes io.ErrUnexpectedEOF for an end
		return "", source.err
	}
	return s, err
}

// compute builds the DAG of a file's chunks.
func compute(chunks chunker.Splitter, nodes ipld.DAGService) (string, error) {
	parameters := helpers.DagBuilderParams{
		Maxlinks:   maxLinks,
		RawLeaves:  true,
		CidBuilder: builder,
		Dagserv:    nodes,
	}
	layout, err := parameters.New(chunks)
	if err != nil {
		return "", err
	}
	root, err := balanced.Layout(layout)
	if err != nil {
		return "", err
	}
	return root.Cid().String(), nil
}

// source remembers its reader's own error.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// discard is a DAG service that stores nothing: only the root's CID is wanted.
type discard struct{}

var errDiscarded = errors.New("blocks are not kept")

func (discard) Add(context.Context, ipld.Node) error                       { return nil }
func (discard) AddMany(context.Context, []ipld.Node) error                 { return nil }
func (discard) Get(context.Context, cid.Cid) (ipld.Node, error)            { return nil, errDiscarded }
func (discard) Remove(context.Context, cid.Cid) error                      { return nil }
func (discard) RemoveMany(context.Context, []cid.Cid) error                { return nil }
func (discard) GetMany(context.Context, []cid.Cid) <-chan *ipld.NodeOption { return nil }

var _ ipld.DAGService = discard{}
