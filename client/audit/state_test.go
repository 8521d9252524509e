package audit

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/blockhash"
)

// written makes a transaction that writes public keys.
func written(keys ...string) *transaction {
	set := &kvrwset.KVRWSet{}
	for _, key := range keys {
		set.Writes = append(set.Writes, &kvrwset.KVWrite{Key: key, Value: []byte("v")})
	}
	return &transaction{sets: []*namespaceSet{{name: "cc", public: set}}}
}

func forEver(string, string) uint64 { return 0 }

// TestPhantoms asks for a range again after something has changed in it.
func TestPhantoms(t *testing.T) {
	for what, c := range map[string]struct {
		change    *transaction
		pending   bool // in the same block
		exhausted bool
		want      peer.TxValidationCode
	}{
		"nothing":                       {nil, false, true, peer.TxValidationCode_VALID},
		"nothing, not to the end":       {nil, false, false, peer.TxValidationCode_VALID},
		"outside":                       {written("a", "d"), false, true, peer.TxValidationCode_VALID},
		"the end, read to the end":      {written("c2"), false, true, peer.TxValidationCode_VALID},
		"a new key":                     {written("b1"), false, true, peer.TxValidationCode_PHANTOM_READ_CONFLICT},
		"a new key in the block":        {written("b1"), true, true, peer.TxValidationCode_PHANTOM_READ_CONFLICT},
		"a new value in the block":      {written("b"), true, true, peer.TxValidationCode_PHANTOM_READ_CONFLICT},
		"the last seen, not to the end": {written("c"), false, false, peer.TxValidationCode_PHANTOM_READ_CONFLICT},
	} {
		s := newState()
		if err := s.apply(written("b", "c"), version{1, 0}); err != nil {
			t.Fatal(err)
		}
		s.commit(1, forEver)
		query := &kvrwset.RangeQueryInfo{StartKey: "b", EndKey: "c2", ItrExhausted: c.exhausted}
		if !c.exhausted {
			query.EndKey = "c"
		}
		query.ReadsInfo = &kvrwset.RangeQueryInfo_RawReads{RawReads: &kvrwset.QueryReads{KvReads: []*kvrwset.KVRead{
			{Key: "b", Version: &kvrwset.Version{BlockNum: 1}}, {Key: "c", Version: &kvrwset.Version{BlockNum: 1}},
		}}}
		asks := &transaction{sets: []*namespaceSet{{name: "cc", public: &kvrwset.KVRWSet{RangeQueriesInfo: []*kvrwset.RangeQueryInfo{query}}}}}
		if c.change != nil {
			if err := s.apply(c.change, version{2, 0}); err != nil {
				t.Fatal(err)
			}
			if !c.pending {
				s.commit(2, forEver)
			}
		}
		if got := s.conflict(asks); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

// hashed makes a transaction that writes, purges or reads a key of a collection.
func hashed(write bool, purge bool, read *kvrwset.Version) *transaction {
	key := sha256.Sum256([]byte("key"))
	set := &kvrwset.HashedRWSet{}
	if write {
		set.HashedWrites = []*kvrwset.KVWriteHash{{KeyHash: key[:], ValueHash: key[:], IsPurge: purge, IsDelete: purge}}
	} else {
		set.HashedReads = []*kvrwset.KVReadHash{{KeyHash: key[:], Version: read}}
	}
	return &transaction{sets: []*namespaceSet{{name: "cc", public: &kvrwset.KVRWSet{}, collections: []*collectionSet{{name: "c", hashed: set}}}}}
}

func TestPrivateDocumentsConflictAndExpire(t *testing.T) {
	twoBlocks := func(string, string) uint64 { return 2 }
	s := newState()
	first := &kvrwset.Version{BlockNum: 5}
	expect := func(what string, read *kvrwset.Version, want peer.TxValidationCode) {
		t.Helper()
		if got := s.conflict(hashed(false, false, read)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	expect("absent", nil, peer.TxValidationCode_VALID)
	if err := s.apply(hashed(true, false, nil), version{5, 0}); err != nil {
		t.Fatal(err)
	}
	expect("written in the block", nil, peer.TxValidationCode_MVCC_READ_CONFLICT)
	s.commit(5, twoBlocks)
	expect("written before", first, peer.TxValidationCode_VALID)
	expect("another version", &kvrwset.Version{BlockNum: 5, TxNum: 1}, peer.TxValidationCode_MVCC_READ_CONFLICT)
	s.commit(6, twoBlocks)
	s.commit(7, twoBlocks)
	expect("in its last block", first, peer.TxValidationCode_VALID)
	s.commit(8, twoBlocks)
	expect("expired", nil, peer.TxValidationCode_VALID)
	if err := s.apply(hashed(true, false, nil), version{9, 0}); err != nil {
		t.Fatal(err)
	}
	s.commit(9, forEver)
	if err := s.apply(hashed(true, true, nil), version{10, 0}); err != nil {
		t.Fatal(err)
	}
	s.commit(10, forEver)
	expect("purged", nil, peer.TxValidationCode_VALID)
}

// TestManyReadsAreSummarised compares the summary's highest level with the tree
// written out: leaves of degree+1 reads, and hashes of hashes while there are
// more than degree.
func TestManyReadsAreSummarised(t *testing.T) {
	var reads []*kvrwset.KVRead
	for i := range 7 {
		reads = append(reads, &kvrwset.KVRead{Key: fmt.Sprint(i), Version: &kvrwset.Version{BlockNum: uint64(i)}})
	}
	leaf := func(r ...*kvrwset.KVRead) []byte {
		sum := sha256.Sum256(encoded(t, &kvrwset.QueryReads{KvReads: r}))
		return sum[:]
	}
	join := func(parts ...[]byte) []byte {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		sum := sha256.Sum256(all)
		return sum[:]
	}
	a, b, c := leaf(reads[0:3]...), leaf(reads[3:6]...), leaf(reads[6])
	want := &kvrwset.QueryReadsMerkleSummary{MaxDegree: 2, MaxLevel: 2, MaxLevelHashes: [][]byte{join(a, b, c)}}
	if got := summarise(reads, 2); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want = &kvrwset.QueryReadsMerkleSummary{MaxDegree: 2, MaxLevel: 1, MaxLevelHashes: [][]byte{a, b}}
	if got := summarise(reads[:6], 2); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if summarise(reads, 1) != nil {
		t.Error("a tree of degree 1 has a summary")
	}
}

func TestKeyPoliciesAreNotPassedOver(t *testing.T) {
	tx := written("a")
	tx.sets[0].public.MetadataWrites = []*kvrwset.KVMetadataWrite{{Key: "a"}}
	if err := newState().apply(tx, version{1, 0}); err == nil {
		t.Error("applied")
	}
}

// TestNoByteThatCountsCanBeChanged flips a bit anywhere in the recorded blocks.
// What is neither hashed, signed nor a validation flag may differ: only what one
// peer notes for itself.
func TestNoByteThatCountsCanBeChanged(t *testing.T) {
	original := recordedBlocks(t)
	genesis := recordedGenesis(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(original)-1).Draw(t, "block")
		raw := encoded(t, original[n])
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		changed := &common.Block{}
		if proto.Unmarshal(raw, changed) != nil {
			return
		}
		blocks := append([]*common.Block{}, original...)
		blocks[n] = changed
		_, err := verify(t, blocks, Options{Genesis: genesis})
		if err == nil && counts(t, changed) != counts(t, original[n]) {
			t.Fatalf("block %d verifies changed", n)
		}
	})
}

// counts is all of a block that the verification goes by.
func counts(t rapid.TB, b *common.Block) string {
	if len(b.GetMetadata().GetMetadata()) < 3 {
		return "none"
	}
	signed, noted := &common.Metadata{}, &common.Metadata{}
	if b.Header.GetNumber() > 0 { // nobody signs the first block, and it has no commit hash
		signed, noted = decoded(t, b.Metadata.Metadata[0], signed), decoded(t, b.Metadata.Metadata[4], noted)
	}
	return fmt.Sprintf("%x %x %x %x %x", blockhash.HeaderBytes(b.Header), blockhash.Data(b.Data), signed.Value, b.Metadata.Metadata[2], noted.Value)
}
