package form

import (
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/medfed/medfed/chaincode/codes"
)

// maxCID bounds the text that is parsed as a CID.
const maxCID = 128

// CheckCID refuses all but the canonical form of a CID: version 1, base32,
// SHA-256, a raw block or a UnixFS node. One content has one CID on the ledger.
func CheckCID(text string) error {
	const advice = "send the CIDv1 in lower-case base32, as ipfs cid base32 gives it"
	if text == "" || len(text) > maxCID {
		return codes.Errorf("MF-MODEL-CID", "the CID has %d characters; %s", len(text), advice)
	}
	parsed, err := cid.Decode(text)
	if err != nil {
		return codes.Errorf("MF-MODEL-CID", "the CID can't be read; %s", advice)
	}
	form := parsed.Prefix()
	switch {
	case form.Version != 1 || parsed.String() != text:
		return codes.Errorf("MF-MODEL-CID", "the CID is not in canonical form; %s", advice)
	case form.Codec != cid.Raw && form.Codec != cid.DagProtobuf:
		return codes.Errorf("MF-MODEL-CID", "the CID names neither a file nor a raw block; %s", advice)
	case form.MhType != multihash.SHA2_256 || form.MhLength != 32:
		return codes.Errorf("MF-MODEL-CID", "the CID is not of SHA-256; %s", advice)
	}
	return nil
}
