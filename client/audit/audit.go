// Package audit lets an outsider check a ledger. [Export] writes every block of
// a channel into one file, and [Verify] checks that file on a machine that has
// no network, trusting nobody but the digest of the channel's first block. All
// else, certificates, orderers, policies, follows from that block and the
// configuration blocks after it:
//
//   - the hash chain: every header names the one before, and the data it covers;
//   - the orderers' signatures: a Byzantine quorum of the consenters;
//   - every transaction's creator and endorsers, against the MSPs of the channel;
//   - the endorsement policy that the _lifecycle namespace held at that block;
//   - the validation flags, which no orderer signs: every transaction is judged
//     again, with its reads against the state at that block;
//   - the rounds: the state that the valid transactions leave is replayed with
//     the rules of package fl, the elections, samples, medians, standings and
//     attestations;
//   - records, consents and accesses: each transaction is decided again with the
//     rules of packages record and consent, from who signed it, when, its argument and the
//     state before it: offers, agreements, revocations, every permit and denial,
//     versions and erasures;
//   - the configurations: each is what an update that its mod_policy allows makes
//     of the one before;
//   - the state: the hash of it that the peer noted with each block.
//
// What is private can't be replayed, for only salted digests of it are public: that
// a wrapped key opens, that a CID leads to the record, that private terms say what
// the digest's makers think. Nor does the ledger know who read a grant when, for
// reading is a query; and no block says when it was made, so that a time is a
// client's claim, which the endorsers have checked. The hash of the state is one
// peer's own note: orderers neither make nor sign it, so a block that comes from an
// orderer has none, and none but the peer vouches for it.
//
// Codes of a refusal, each naming the block and, where there is one, the
// transaction:
//
//	MF-AUDIT-BUNDLE       the file is no bundle, damaged, or of a later version
//	MF-AUDIT-BLOCK        a block, or a part of it, can't be read or is not well formed
//	MF-AUDIT-GENESIS      the first block is not the one that was asked for
//	MF-AUDIT-HEAD         the last block is not the one that was asked for
//	MF-AUDIT-CHAIN        a block does not follow the one before
//	MF-AUDIT-DATA         a block's content is not what its header covers
//	MF-AUDIT-ORDERERS     too few orderers have signed a block
//	MF-AUDIT-CONFIG       a configuration can't be read, does not follow the one before, or was not authorised
//	MF-AUDIT-CREATOR      a transaction counted as valid is not signed by its creator
//	MF-AUDIT-ENDORSEMENT  a transaction counted as valid lacks endorsements that the policy asks for
//	MF-AUDIT-CONFLICT     a transaction counted as valid has read what was no longer so
//	MF-AUDIT-FLAG         a transaction's validity is not what it should be, for another reason
//	MF-AUDIT-COMMIT       the peer noted another state than the blocks make
//	MF-AUDIT-STATE        a document of the replayed state can't be read
//	MF-AUDIT-RULES        a round, record, consent or access is not what the rules make of it
//	MF-AUDIT-UNSUPPORTED  the ledger uses what this version can't check
//	MF-AUDIT-READ         the bundle can't be read from the disk
//	MF-AUDIT-WRITE        the bundle can't be written
package audit

import (
	"fmt"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// Steps of the progress that [Export] and [Verify] tell of.
const (
	StepExport = "export blocks"
	StepVerify = "verify blocks"
)

// Progress is told that done of total parts of a step are finished.
type Progress interface {
	Step(name string, done, total int)
}

// Summary is what a verification found.
type Summary struct {
	Channel        string         `json:"channel"`
	Genesis        string         `json:"genesis"` // hash of the first block's header, hexadecimal
	Head           string         `json:"head"`    // hash of the last block's header, hexadecimal
	Blocks         int            `json:"blocks"`
	Configurations int            `json:"configurations"` // blocks that hold one, the first included
	Transactions   int            `json:"transactions"`
	Validity       map[string]int `json:"validity"` // transactions by Fabric's validation code
	Signatures     Signatures     `json:"signatures"`
	States         int            `json:"states"` // blocks whose state the peer noted as it is replayed
	Keys           int            `json:"keys"`   // public documents in the replayed state
	Tasks          []TaskSummary  `json:"tasks"`
	Rounds         int            `json:"rounds"` // replayed
	Records        int            `json:"records"`
	Consents       int            `json:"consents"`   // whose every move was decided again
	Agreements     int            `json:"agreements"` // consent versions
	Accesses       Accesses       `json:"accesses"`
	Private        []Private      `json:"private"` // what could not be replayed
	Differences    []Difference   `json:"differences"`
}

// Accesses counts the uses of consents that were decided again.
type Accesses struct {
	Permits int `json:"permits"`
	Denials int `json:"denials"`
}

// Private is a collection, of which only the hashes are on the ledger: that they
// are there when a rule asks for them was replayed, what the documents say was not.
type Private struct {
	Chaincode  string `json:"chaincode"`
	Collection string `json:"collection"`
	Written    int    `json:"written"` // documents, deleted ones too
	Purged     int    `json:"purged"`
}

// Signatures counts the signatures that were checked and found good.
type Signatures struct {
	Orderers     int `json:"orderers"`
	Creators     int `json:"creators"`
	Endorsements int `json:"endorsements"`
	Updates      int `json:"updates"` // of the channel's configuration
}

// TaskSummary is one task of the replayed state.
type TaskSummary struct {
	Chaincode string       `json:"chaincode"`
	Task      string       `json:"task"`
	Phase     fl.TaskPhase `json:"phase"`
	Rounds    int          `json:"rounds"`
	Closed    int          `json:"closed"`
}

// Difference is a place where the ledger is not what the rules make of it: in a
// round of a task, or in a document on records, consents and accesses.
type Difference struct {
	Task        string `json:"task,omitempty"`
	Round       int    `json:"round,omitempty"`    // 0 for the task itself
	Document    string `json:"document,omitempty"` // its key, for instance access/a-…
	What        string `json:"what"`
	Ledger      string `json:"ledger"`
	Replayed    string `json:"replayed"`
	Block       uint64 `json:"block"`       // of the transaction, or for a task of the one that last wrote the round or task
	Transaction uint64 `json:"transaction"` // within the block
}

// Where names the place of a difference.
func (d Difference) Where() string {
	if d.Document != "" {
		return d.Document
	}
	return fmt.Sprintf("task %s, round %d", d.Task, d.Round)
}

// place is where in the chain something was found.
type place struct {
	block       uint64
	transaction int    // -1 for the block itself
	id          string // of the transaction, "" when it has none
}

func inBlock(number uint64) place { return place{number, -1, ""} }

func (p place) String() string {
	switch {
	case p.transaction < 0:
		return fmt.Sprintf("block %d", p.block)
	case p.id == "":
		return fmt.Sprintf("block %d, transaction %d", p.block, p.transaction)
	default:
		return fmt.Sprintf("block %d, transaction %d (%s)", p.block, p.transaction, p.id)
	}
}

// advice is what to do about a ledger that does not hold.
const advice = "do not trust this bundle; export another from a peer of an organisation that you trust and compare"

// fault makes a refusal at a place.
func fault(code codes.Code, at place, format string, args ...any) error {
	return codes.Wrapf(code, "%s: %w; %s", at, fmt.Errorf(format, args...), advice)
}
