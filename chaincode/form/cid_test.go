package form_test

import (
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

func TestCase24OneContentHasOneCID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hash, err := multihash.Sum(rapid.SliceOf(rapid.Byte()).Draw(t, "content"), multihash.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		content := cid.NewCidV1(rapid.SampledFrom([]uint64{cid.Raw, cid.DagProtobuf}).Draw(t, "codec"), hash)
		if err := form.CheckCID(content.String()); err != nil {
			t.Fatal(err)
		}
		for _, base := range multibase.Encodings {
			text, err := content.StringOfBase(base)
			if err == nil && text != content.String() && codes.Of(form.CheckCID(text)) != "MF-MODEL-CID" {
				t.Fatalf("%s is taken beside %s", text, content)
			}
		}
		if codes.Of(form.CheckCID(cid.NewCidV0(hash).String())) != "MF-MODEL-CID" {
			t.Fatal("version 0 is taken")
		}
	})
}

func TestCIDsOfNoFileAreRefused(t *testing.T) {
	sum := func(code uint64, length int) multihash.Multihash {
		hash, err := multihash.Sum([]byte("x"), code, length)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	identity := sum(multihash.IDENTITY, -1)
	for what, text := range map[string]string{
		"empty": "", "text": "weights.bin", "path": "/ipfs/bafy", "long": strings.Repeat("b", 129),
		"CBOR":         cid.NewCidV1(cid.DagCBOR, sum(multihash.SHA2_256, -1)).String(),
		"SHA-512":      cid.NewCidV1(cid.Raw, sum(multihash.SHA2_512, -1)).String(),
		"cut hash":     cid.NewCidV1(cid.Raw, sum(multihash.SHA2_256, 20)).String(),
		"inline":       cid.NewCidV1(cid.Raw, identity).String(),
		"bad UTF-8":    "b\xff",
		"more after":   cid.NewCidV1(cid.Raw, sum(multihash.SHA2_256, -1)).String() + "a",
		"a blank more": cid.NewCidV1(cid.Raw, sum(multihash.SHA2_256, -1)).String() + " ",
	} {
		if got := codes.Of(form.CheckCID(text)); got != "MF-MODEL-CID" {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func FuzzCheckCID(f *testing.F) {
	f.Add("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
	f.Add("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if form.CheckCID(text) != nil {
			return
		}
		if again, err := cid.Decode(text); err != nil || again.String() != text {
			t.Errorf("%q is taken and is no canonical CID", text)
		}
	})
}
