package oracle

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	pb "github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/ledgertest/internal/program"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flogging.ActivateSpec("fatal") // a peer warns of every conflict that the programs look for
	os.Exit(m.Run())
}

const hospital, other = "Hospital1MSP", "Hospital2MSP"

// pair is a ledgertest ledger beside Fabric's own.
type pair struct {
	t     rapid.TB
	fake  *ledgertest.Ledger
	real  *realPeer
	alice *ledgertest.Identity
	bob   *ledgertest.Identity
	codes map[string]int // transactions compared, by validation code
}

// endorsed is a transaction on both.
type endorsed struct {
	tx   *ledgertest.Transaction
	real *answer
}

func newPair(t testing.TB, codes map[string]int) *pair {
	policy := ledgertest.OutOf(1, hospital, other)
	collections := []ledgertest.Collection{
		{Name: "own", Members: ledgertest.Members(hospital), MemberOnlyRead: true, MemberOnlyWrite: true, Endorsement: ledgertest.OutOf(1, hospital)},
		{Name: "theirs", Members: ledgertest.Members(other)},
		{Name: "short", Members: ledgertest.Members(hospital, other), BlockToLive: 2},
	}
	fake, err := ledgertest.New(program.Chaincode{}, ledgertest.WithPeers(hospital, other), ledgertest.WithPolicy(policy), ledgertest.WithCollections(collections...))
	if err != nil {
		t.Fatal(err)
	}
	return &pair{
		t: t, codes: codes, fake: fake, real: newRealPeer(t, hospital, program.Chaincode{}, newDefinition(t, policy, collections...)),
		alice: fake.Identity(hospital, "alice", "trainer"), bob: fake.Identity(other, "bob", "trainer"),
	}
}

// endorse runs a program on both and compares; nil when both refuse alike. The
// real peer is the first hospital's: a program that reads private data must be
// endorsed there alone.
func (p *pair) endorse(id *ledgertest.Identity, on []string, lines ...string) *endorsed {
	p.t.Helper()
	args := make([]any, len(lines)-1)
	for i, line := range lines[1:] {
		args[i] = line
	}
	proposal := p.fake.Propose(id, lines[0], args...).On(on...)
	tx, fakeErr := proposal.Endorse()
	real, realErr := p.real.simulate(proposal.TxID(), proposal.Bytes())
	p.compare(lines, tx, fakeErr, real, realErr)
	if fakeErr != nil {
		return nil
	}
	return &endorsed{tx: tx, real: real}
}

func (p *pair) compare(lines []string, tx *ledgertest.Transaction, fakeErr error, real *answer, realErr error) {
	p.t.Helper()
	if (fakeErr == nil) != (realErr == nil) {
		p.t.Fatalf("%q: ledgertest says %v, Fabric %v", lines, fakeErr, realErr)
	}
	if fakeErr != nil {
		if !strings.HasSuffix(fakeErr.Error(), realErr.Error()) {
			p.t.Fatalf("%q:\nledgertest says %v\nFabric says     %v", lines, fakeErr, realErr)
		}
		return
	}
	if !bytes.Equal(tx.Payload, real.response.Payload) {
		p.t.Fatalf("%q:\nledgertest answers %q\nFabric answers     %q", lines, tx.Payload, real.response.Payload)
	}
	if tx.Event == nil != (real.event == nil) || tx.Event != nil && (tx.Event.Name != real.event.EventName || !bytes.Equal(tx.Event.Payload, real.event.Payload)) {
		p.t.Fatalf("%q: events %v and %v", lines, tx.Event, real.event)
	}
	if !bytes.Equal(tx.ReadWriteSet(), real.public) {
		p.t.Fatalf("%q: read-write sets differ:\n%x\n%x", lines, tx.ReadWriteSet(), real.public)
	}
}

// commit orders a block on both and compares the validation codes. It answers
// false when both peers stopped at the block, as Fabric's does at some.
func (p *pair) commit(transactions ...*endorsed) bool {
	p.t.Helper()
	list := make([]*ledgertest.Transaction, len(transactions))
	for i, e := range transactions {
		list[i] = e.tx
	}
	block := p.block(list)
	data := &ledger.BlockAndPvtData{Block: block, PvtData: ledger.TxPvtDataMap{}, MissingPvtData: ledger.TxMissingPvtData{}}
	flags := block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	for i, failed := range p.real.rules.failures(block) {
		if failed {
			flags[i] = byte(pb.TxValidationCode_ENDORSEMENT_POLICY_FAILURE)
			continue
		}
		transactions[i].real.addPrivate(data, uint64(i))
	}
	var results []*ledgertest.Result
	fakeStopped := stops(func() { results = p.fake.Commit(list...) })
	var err error
	realStopped := stops(func() { err = p.real.ledger.CommitLegacy(data, &ledger.CommitOptions{}) })
	if err != nil || (fakeStopped == "") != (realStopped == "") {
		p.t.Fatalf("block %d: ledgertest %q, Fabric %q, %v", block.Header.Number, fakeStopped, realStopped, err)
	}
	if fakeStopped != "" {
		return false
	}
	p.real.last = block.Header
	for i, code := range block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] {
		if results[i].Code != pb.TxValidationCode(code) {
			p.t.Fatalf("block %d, transaction %d: ledgertest says %s, Fabric %s", block.Header.Number, i, results[i].Code, pb.TxValidationCode(code))
		}
		p.codes[results[i].Code.String()]++
	}
	return true
}

func (p *pair) block(list []*ledgertest.Transaction) *common.Block {
	b := protoutil.NewBlock(p.real.last.Number+1, protoutil.BlockHeaderHash(p.real.last))
	for _, tx := range list {
		b.Data.Data = append(b.Data.Data, tx.Envelope())
	}
	b.Header.DataHash = protoutil.ComputeBlockDataHash(b.Data)
	b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = make([]byte, len(list))
	return b
}

// stops runs something that may panic and says how.
func stops(run func()) (why string) {
	defer func() {
		if r := recover(); r != nil {
			why = fmt.Sprint(r)
		}
	}()
	run()
	return ""
}

// addPrivate gives a block the private write sets that the peer is a member for.
func (a *answer) addPrivate(data *ledger.BlockAndPvtData, i uint64) {
	if a.results.PvtSimulationResults == nil {
		return
	}
	set := proto.Clone(a.results.PvtSimulationResults).(*rwset.TxPvtReadWriteSet)
	for _, ns := range set.NsPvtRwset {
		ns.CollectionPvtRwset = slices.DeleteFunc(ns.CollectionPvtRwset, func(c *rwset.CollectionPvtReadWriteSet) bool {
			if c.CollectionName == "theirs" {
				data.MissingPvtData.Add(i, ns.Namespace, c.CollectionName, false)
			}
			return c.CollectionName == "theirs"
		})
	}
	data.PvtData[i] = &ledger.TxPvtData{SeqInBlock: i, WriteSet: set}
}

// line draws an operation. Keys are few, so that conflicts are common.
func line(t *rapid.T, private bool) string {
	keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "é"})
	k, k2 := keys.Draw(t, "key"), keys.Draw(t, "other key")
	c := rapid.SampledFrom([]string{"own", "theirs", "short", "short", "none"}).Draw(t, "collection")
	lines := []string{
		"get " + k, "put " + k + " " + k2, "put " + k + " -", "put - x", "del " + k, "copy " + k + " " + k2,
		"range " + min(k, k2) + " " + max(k, k2), "range " + k + " -", "range - -", "first a - 1", "first - - 120", "count - -",
		"page - - 2 -", "page a - 3 " + k, "rich {}", "cput t " + k + " " + k2 + " v", "crange t", "crange t " + k,
		"policyof " + k, "newpolicy " + k + " " + hospital, "newpolicy " + k + " " + hospital + " " + other, "newpolicy " + k, "policy " + k + " " + other,
		"pput " + c + " " + k + " " + k2, "pput " + c + " " + k + " -", "pdel " + c + " " + k, "purge " + c + " " + k, "phash " + c + " " + k,
		"pnewpolicy " + c + " " + k + " " + hospital + " " + other, "ppolicy " + c + " " + k + " " + hospital,
		"event e " + k, "history " + k, "about", "split t " + k + " " + k2, "mget " + k + " " + k2, "mget",
		"allpage 2 -", "cpage t 1", "richpage", "ppolicyof " + c + " " + k, "prich " + c, "begin", "finish", "fail " + k,
	}
	if private {
		lines = append(lines, "pget "+c+" "+k, "pget short "+k, "prange "+c+" - -", "prange "+c+" a "+k, "pmget "+c+" "+k+" "+k2, "pcrange "+c+" t")
	}
	return rapid.SampledFrom(lines).Draw(t, "line")
}

func (p *pair) random(t *rapid.T) *endorsed {
	private := rapid.Bool().Draw(t, "private")
	on := []string{hospital}
	if !private {
		on = rapid.SampledFrom([][]string{{hospital}, {other}, {hospital, other}}).Draw(t, "on")
	}
	lines := make([]string, rapid.IntRange(1, 6).Draw(t, "lines"))
	for i := range lines {
		lines[i] = line(t, private)
	}
	who := p.alice
	if rapid.IntRange(0, 2).Draw(t, "who") == 2 {
		who = p.bob
	}
	return p.endorse(who, on, lines...)
}

// TestRandomPrograms lets endorsements and blocks interleave at random.
func TestRandomPrograms(t *testing.T) {
	codes := map[string]int{}
	defer func() { t.Logf("transactions compared: %v", codes) }()
	rapid.Check(t, func(r *rapid.T) {
		p := newPair(t, codes)
		defer p.real.close()
		p.t = r
		if n := rapid.SampledFrom([]int{0, 0, 0, 49, 51, 99, 101, 230, 2700}).Draw(r, "fill"); n > 0 {
			p.fill(n)
		}
		var pending []*endorsed
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			if rapid.IntRange(0, 3).Draw(r, "commit") > 0 {
				if e := p.random(r); e != nil {
					pending = append(pending, e)
				}
				continue
			}
			pending = shuffle(r, pending)
			n := rapid.IntRange(0, len(pending)).Draw(r, "n")
			if !p.commit(pending[:n]...) {
				return
			}
			pending = slices.Clone(pending[n:])
		}
		if p.commit(pending...) {
			p.readAll()
		}
	})
}

func shuffle(r *rapid.T, list []*endorsed) []*endorsed {
	shuffled := make([]*endorsed, len(list))
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	for i, j := range rapid.Permutation(order).Draw(r, "order") {
		shuffled[i] = list[j]
	}
	return shuffled
}

func (p *pair) fill(n int) {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("put c%04d %d", i, i)
	}
	p.commit(p.endorse(p.alice, []string{hospital, other}, lines...))
}

// readAll compares all that can be read in the end.
func (p *pair) readAll() {
	lines := []string{"range - -", "crange t"}
	for _, k := range []string{"a", "b", "c", "d", "e", "é"} {
		lines = append(lines, "policyof "+k, "history "+k)
		for _, c := range []string{"own", "short"} {
			lines = append(lines, "pget "+c+" "+k, "phash "+c+" "+k)
		}
		lines = append(lines, "phash theirs "+k)
	}
	p.endorse(p.alice, []string{hospital}, lines...)
	p.endorse(p.alice, []string{hospital}, "prange own - -", "prange short - -")
}
