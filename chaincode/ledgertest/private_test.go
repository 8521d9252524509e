package ledgertest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/medfed/medfed/chaincode/ledgertest"
)

// secrets is a collection of the first of two hospitals, beside one of both.
func secrets(options ...func(*ledgertest.Collection)) ledgertest.Option {
	c := ledgertest.Collection{
		Name: "secrets", Members: ledgertest.Members("Hospital1MSP"), MemberOnlyRead: true, MemberOnlyWrite: true,
		Endorsement: ledgertest.OutOf(1, "Hospital1MSP"),
	}
	for _, option := range options {
		option(&c)
	}
	return ledgertest.WithCollections(c, ledgertest.Collection{Name: "both", Members: ledgertest.Members(twoPeers...)})
}

func TestPrivateValueStaysWithMembers(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("pput secrets k canary-value")
	w.want("k=canary-value", "pget secrets k")
	w.want("none none", "pget secrets none")

	digest := sha256.Sum256([]byte("canary-value"))
	for _, peer := range twoPeers {
		answer, err := w.propose("phash secrets k").On(peer).Evaluate()
		if want := fmt.Sprintf("k %x", digest); err != nil || string(answer) != want {
			t.Errorf("hash on %s: %q, %v", peer, answer, err)
		}
	}
	_, err := w.propose("pget secrets k").On("Hospital2MSP").Evaluate()
	wantError(t, err, "private data matching public hash version is not available. Public hash version = {BlockNum: 1, TxNum: 0}, Private data version = <nil>")
	if !bytes.Contains(w.PrivateBytes("Hospital1MSP"), []byte("canary-value")) {
		t.Error("the member's peer does not hold the value")
	}
	if len(w.PrivateBytes("Hospital2MSP")) != 0 {
		t.Errorf("the other peer holds %q", w.PrivateBytes("Hospital2MSP"))
	}
}

func TestMemberOnly(t *testing.T) {
	for _, c := range []struct {
		name        string
		read, write bool
	}{{"both", true, true}, {"read only guarded", true, false}, {"write only guarded", false, true}, {"open", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, secrets(func(d *ledgertest.Collection) { d.MemberOnlyRead, d.MemberOnlyWrite = c.read, c.write }))
			w.do("pput secrets k 1")
			bob := w.Identity("Hospital2MSP", "bob", "custodian")
			check := func(line string, guarded bool, text string) {
				t.Helper()
				_, err := w.Propose(bob, line).On("Hospital1MSP").Endorse()
				if guarded {
					wantError(t, err, text)
				} else if err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
			check("pget secrets k", c.read, "does not have read access permission")
			check("prange secrets - -", c.read, "does not have read access permission")
			check("pput secrets k 2", c.write, "does not have write access permission")
			check("pdel secrets k", c.write, "does not have write access permission")
			check("purge secrets k", c.write, "does not have write access permission")
			check("ppolicy secrets k Hospital1MSP", c.write, "does not have write access permission")
			check("phash secrets k", false, "")
		})
	}
}

func TestUnknownCollection(t *testing.T) {
	w := newWorld(t, secrets())
	w.refuse("collection medfed/medfed/nowhere could not be found", "pget nowhere k")
	w.refuse("collection [nowhere] not defined in the collection config", "phash nowhere k")
	w.refuse("collection must not be an empty string", "pput - k 1")
}

func TestPrivateQueriesAndWritesExclude(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("pput secrets a 1", "pput secrets b 2")
	w.want("( a=1 b=2 )", "prange secrets - -")
	w.refuse("Queries on pvt data is supported only in a read-only transaction", "put x 1", "prange secrets - -")
	w.refuse("Writes are not allowed", "prange secrets - -", "put x 1")
}

func TestPrivateReadConflicts(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("pput secrets k 1")
	byValue, byHash := w.endorse("pget secrets k", "pput secrets seen 1"), w.endorse("phash secrets k", "put seen 2")
	w.do("pput secrets k 2")
	w.wantCodes(block{byValue, byHash}, "MVCC_READ_CONFLICT", "MVCC_READ_CONFLICT")
	w.wantCodes(block{w.endorse("pput secrets k 3"), w.endorse("pget secrets k", "pput secrets seen 3")}, "VALID", "MVCC_READ_CONFLICT")
}

// Case 16 on this ledger: a non-member's endorsement of a private write fails.
func TestCollectionPolicy(t *testing.T) {
	w := newWorld(t, secrets())
	for _, c := range []struct{ on, code string }{{"Hospital2MSP", "ENDORSEMENT_POLICY_FAILURE"}, {"Hospital1MSP", "VALID"}} {
		result, err := w.propose("pput secrets k 1").On(c.on).Submit()
		if result == nil {
			t.Fatal(err)
		}
		if result.Code.String() != c.code {
			t.Errorf("endorsed by %s: %s, want %s", c.on, result.Code, c.code)
		}
	}
	// With a public write beside it the chaincode's policy counts too.
	if result, _ := w.propose("pput secrets k 1", "put a 1").On("Hospital1MSP").Submit(); result.Valid() {
		t.Error("a public write passed on the collection's policy")
	}
	// A collection without a policy of its own falls under the chaincode's.
	if result, _ := w.propose("pput both k 1").On("Hospital1MSP").Submit(); result.Valid() {
		t.Error("a collection without a policy passed with one endorsement of two")
	}
}

func TestPrivateKeyPolicy(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("pput secrets k 1")
	w.do("ppolicy secrets k Hospital1MSP Hospital2MSP")
	w.want("k=1", "pget secrets k")
	if result, _ := w.propose("pput secrets k 2").On("Hospital1MSP").Submit(); result.Valid() {
		t.Error("a key's policy did not replace its collection's")
	}
	if result, err := w.propose("pput secrets k 2").On(twoPeers...).Submit(); err != nil || !result.Valid() {
		t.Errorf("%v, %v", result, err)
	}
}

func TestGatewayKeepsTransientDataWithMembers(t *testing.T) {
	w := newWorld(t, secrets())
	p := w.propose("pputtransient secrets k data").Transient(map[string][]byte{"data": []byte("canary-transient")})
	tx, err := p.Endorse()
	if err != nil {
		t.Fatal(err)
	}
	if len(tx.Endorsers) != 1 || tx.Endorsers[0].MSP != "Hospital1MSP" {
		t.Errorf("endorsed by %v", tx.Endorsers)
	}
	w.wantCodes(block{tx}, "VALID")
	w.want("k=canary-transient", "pget secrets k")
	if !bytes.Contains(p.Bytes(), []byte("canary-transient")) || bytes.Contains(w.PublicBytes(), []byte("canary-transient")) {
		t.Error("transient data belongs in the proposal and not on the ledger")
	}

	// A peer of no member may be asked first; its endorsement is not used.
	bob := w.Identity("Hospital2MSP", "bob", "custodian")
	open := newWorld(t, secrets(func(c *ledgertest.Collection) { c.MemberOnlyWrite = false }))
	tx, err = open.Propose(bob, "pputtransient secrets k data").Transient(map[string][]byte{"data": []byte("x")}).Endorse()
	if err != nil || len(tx.Endorsers) != 1 || tx.Endorsers[0].MSP != "Hospital1MSP" {
		t.Errorf("%+v, %v", tx, err)
	}

	// The public write needs two organisations, and only one may see the data.
	_, err = w.propose("pputtransient secrets k data", "put a 1").Transient(map[string][]byte{"data": []byte("x")}).Endorse()
	wantError(t, err, "no combination of peers can be derived which satisfy the endorsement policy")
}

func TestDeleteLeavesOldBlocksAndPurgeDoesNot(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("pput secrets k canary-one")
	w.do("pput secrets k canary-two")
	w.do("pdel secrets k")
	w.want("k none\nk ", "pget secrets k", "phash secrets k")
	held := w.PrivateBytes("Hospital1MSP")
	if !bytes.Contains(held, []byte("canary-one")) || !bytes.Contains(held, []byte("canary-two")) {
		t.Errorf("after a delete the old write sets are %q", held)
	}
	w.do("purge secrets k")
	if held := w.PrivateBytes("Hospital1MSP"); len(held) != 0 {
		t.Errorf("after a purge the peer holds %q", held)
	}
	w.do("pput secrets k again")
	w.want("k=again", "pget secrets k")
}

func TestPurgeTakesStateToo(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("pput secrets k canary", "pput secrets other stays")
	reader := w.endorse("pget secrets k", "pput secrets seen 1")
	w.do("purge secrets k")
	w.want("k none\nother=stays", "pget secrets k", "pget secrets other")
	if held := w.PrivateBytes("Hospital1MSP"); bytes.Contains(held, []byte("canary")) {
		t.Errorf("the peer holds %q", held)
	}
	w.wantCodes(block{reader}, "MVCC_READ_CONFLICT")
}

func TestBlockToLive(t *testing.T) {
	w := newWorld(t, secrets(func(c *ledgertest.Collection) { c.BlockToLive = 2 }))
	w.do("pput secrets k canary-short", "pput secrets renewed 1") // block 1, lives through block 3, like what is written beside it
	w.do("put a 1")
	w.do("pput secrets renewed 2")
	w.want("k=canary-short", "pget secrets k")
	atExpiry := w.endorse("pget secrets k", "pput secrets seen 1")
	w.wantCodes(block{atExpiry}, "VALID") // block 4 expires the key, after validation
	w.want("k none\nk \nrenewed=2", "pget secrets k", "phash secrets k", "pget secrets renewed")
	if held := w.PrivateBytes("Hospital1MSP"); bytes.Contains(held, []byte("canary-short")) {
		t.Errorf("the peer still holds %q", held)
	}
	w.do("put a 2")
	w.do("put a 3")
	w.want("renewed none", "pget secrets renewed")
}

func TestImplicitCollection(t *testing.T) {
	w := newWorld(t)
	w.do("pput _implicit_org_Hospital1MSP k 1")
	w.want("k=1", "pget _implicit_org_Hospital1MSP k")
	if len(w.PrivateBytes("Hospital2MSP")) != 0 {
		t.Error("another organisation holds it")
	}
	// Nothing keeps another organisation's client from reading through the peer.
	bob := w.Identity("Hospital2MSP", "bob", "custodian")
	if answer, err := w.Propose(bob, "pget _implicit_org_Hospital1MSP k").On("Hospital1MSP").Evaluate(); err != nil || string(answer) != "k=1" {
		t.Errorf("%q, %v", answer, err)
	}
	w.refuse("could not be found", "pget _implicit_org_NobodyMSP k")
}

func TestCollectionsFromConfiguration(t *testing.T) {
	collections, err := ledgertest.ParseCollections([]byte(`[{"name":"c","policy":"OR('AMSP.member','BMSP.member')","requiredPeerCount":0,
		"maxPeerCount":1,"blockToLive":7,"memberOnlyRead":true,"endorsementPolicy":{"signaturePolicy":"OR('AMSP.peer')"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	c := collections[0]
	if c.Name != "c" || c.BlockToLive != 7 || !c.MemberOnlyRead || c.MemberOnlyWrite || c.Endorsement.String() != "OutOf(1, 'AMSP.peer')" {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{`{`, `[{"name":"c","policy":"x"}]`, `[{"name":"c","policy":"OR('A.member')","endorsementPolicy":{"signaturePolicy":"?"}}]`} {
		if _, err := ledgertest.ParseCollections([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
