package ledgertest

import (
	"bytes"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
)

// maxDegree is the number of results up to which a range query's reads are
// listed; more are summarised as the hashes at the top of a Merkle tree.
const maxDegree = 50

// rangeReads gathers the results of a range query for the phantom check. Leaves
// are groups of maxDegree+1 reads; each level above groups as many hashes.
type rangeReads struct {
	pending []*kvrwset.KVRead
	levels  map[uint32][][]byte
	top     uint32
}

func newRangeReads() *rangeReads { return &rangeReads{levels: map[uint32][][]byte{}, top: 1} }

func (r *rangeReads) add(e *entry) {
	r.pending = append(r.pending, &kvrwset.KVRead{Key: e.key, Version: e.version.version()})
	if len(r.pending) > maxDegree {
		r.closeLeaf()
	}
}

func (r *rangeReads) closeLeaf() {
	r.levels[1] = append(r.levels[1], hash(marshal(&kvrwset.QueryReads{KvReads: r.pending})))
	r.pending = nil
	for level := uint32(1); len(r.levels[level]) > maxDegree; level++ {
		r.raise(level)
	}
}

// raise replaces a level's hashes by one hash at the next level.
func (r *rangeReads) raise(level uint32) {
	combined := r.levels[level][0]
	if len(r.levels[level]) > 1 {
		combined = hash(bytes.Join(r.levels[level], nil))
	}
	delete(r.levels, level)
	r.levels[level+1] = append(r.levels[level+1], combined)
	r.top = max(r.top, level+1)
}

// into writes the reads into the record of the query: raw, or their summary.
func (r *rangeReads) into(info *kvrwset.RangeQueryInfo) {
	if r.top == 1 && len(r.levels[1]) == 0 {
		if len(r.pending) > 0 {
			info.ReadsInfo = &kvrwset.RangeQueryInfo_RawReads{RawReads: &kvrwset.QueryReads{KvReads: r.pending}}
		}
		return
	}
	info.ReadsInfo = &kvrwset.RangeQueryInfo_ReadsMerkleHashes{ReadsMerkleHashes: r.summary()}
}

func (r *rangeReads) summary() *kvrwset.QueryReadsMerkleSummary {
	if len(r.pending) > 0 {
		r.closeLeaf()
	}
	for level := uint32(1); level < r.top; level++ {
		if len(r.levels[level]) > 0 {
			r.raise(level)
		}
	}
	if len(r.levels[r.top]) > maxDegree {
		r.raise(r.top)
	}
	return &kvrwset.QueryReadsMerkleSummary{MaxDegree: maxDegree, MaxLevel: r.top, MaxLevelHashes: r.levels[r.top]}
}
