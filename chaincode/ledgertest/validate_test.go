package ledgertest_test

import (
	"testing"

	"github.com/medfed/medfed/chaincode/ledgertest"
)

func TestStaleReadConflicts(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	read, blind, absent := w.endorse("copy a b"), w.endorse("put a 3"), w.endorse("get c", "put d 1")
	w.do("put a 2", "put c 1")
	w.wantCodes(block{read, blind, absent}, "MVCC_READ_CONFLICT", "VALID", "MVCC_READ_CONFLICT")
	w.want("a=3\nb none\nd none", "get a", "get b", "get d")
}

func TestReadOfADeletedAndRewrittenKeyConflicts(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	tx := w.endorse("copy a b")
	w.do("del a")
	w.do("put a 1")
	w.wantCodes(block{tx}, "MVCC_READ_CONFLICT")
}

func TestFirstOfABlockWins(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	w.wantCodes(block{w.endorse("copy a a"), w.endorse("copy a a"), w.endorse("put a blind"), w.endorse("copy b c")},
		"VALID", "MVCC_READ_CONFLICT", "VALID", "VALID")
	w.want("a=blind", "get a")
}

// What an invalid transaction of the block would have written disturbs nobody.
func TestInvalidWritesDoNotConflict(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	stale := w.endorse("get a", "put b 1")
	w.do("put a 2")
	w.wantCodes(block{stale, w.endorse("copy b c")}, "MVCC_READ_CONFLICT", "VALID")
}

func TestPhantomInsideABlock(t *testing.T) {
	w := newWorld(t)
	w.do("put k1 1")
	w.wantCodes(block{w.endorse("put k2 1"), w.endorse("count k l", "put seen 1")}, "VALID", "PHANTOM_READ_CONFLICT")
	w.wantCodes(block{w.endorse("del k2"), w.endorse("count k l", "put seen 1")}, "VALID", "PHANTOM_READ_CONFLICT")
	w.wantCodes(block{w.endorse("put l1 1"), w.endorse("count k l", "put seen 1")}, "VALID", "VALID")
}

func TestATransactionIDCommitsOnce(t *testing.T) {
	w := newWorld(t)
	p := w.propose("put a 1")
	tx, err := p.Endorse()
	if err != nil {
		t.Fatal(err)
	}
	w.wantCodes(block{tx, tx}, "VALID", "DUPLICATE_TXID")
	w.wantCodes(block{tx}, "DUPLICATE_TXID")
	_, err = p.Endorse()
	wantError(t, err, "duplicate transaction found")
}

func TestChaincodePolicy(t *testing.T) {
	w := newWorld(t, ledgertest.WithPeers("AMSP", "BMSP", "CMSP"), ledgertest.WithPolicy(ledgertest.OutOf(2, "AMSP", "BMSP", "CMSP")))
	for _, c := range []struct {
		on   []string
		code string
	}{
		{[]string{"AMSP"}, "ENDORSEMENT_POLICY_FAILURE"},
		{[]string{"AMSP", "CMSP"}, "VALID"},
		{[]string{"AMSP", "BMSP", "CMSP"}, "VALID"},
	} {
		result, err := w.propose("put a 1").On(c.on...).Submit()
		if result == nil {
			t.Fatal(err)
		}
		if result.Code.String() != c.code {
			t.Errorf("endorsed by %v: %s, want %s", c.on, result.Code, c.code)
		}
	}
	// A transaction that writes nothing needs the chaincode's policy too.
	if result, _ := w.propose("get a").On("BMSP").Submit(); result.Valid() {
		t.Error("a read-only transaction passed with one endorsement of two")
	}
}

func TestKeyPolicyReplacesTheChaincodes(t *testing.T) {
	w := newWorld(t, ledgertest.WithPeers("AMSP", "BMSP", "CMSP"))
	w.do("put a 1", "policy a CMSP", "put b 1")
	submit := func(code string, on []string, lines ...string) {
		t.Helper()
		result, err := w.propose(lines...).On(on...).Submit()
		if result == nil {
			t.Fatal(err)
		}
		if result.Code.String() != code {
			t.Errorf("%q endorsed by %v: %s, want %s", lines, on, result.Code, code)
		}
	}
	submit("ENDORSEMENT_POLICY_FAILURE", []string{"AMSP", "BMSP"}, "put a 2")
	submit("VALID", []string{"CMSP"}, "put a 2")
	submit("ENDORSEMENT_POLICY_FAILURE", []string{"CMSP"}, "put a 3", "put b 3")
	submit("VALID", []string{"BMSP", "CMSP"}, "put a 3", "put b 3")
	submit("ENDORSEMENT_POLICY_FAILURE", []string{"AMSP", "BMSP"}, "policy a AMSP")
	submit("VALID", []string{"CMSP"}, "policy a AMSP")
	submit("VALID", []string{"AMSP"}, "put a 4")
	submit("VALID", []string{"AMSP"}, "del a")
	// A deleted key has lost its policy.
	submit("ENDORSEMENT_POLICY_FAILURE", []string{"AMSP"}, "put a 5")
	submit("VALID", []string{"AMSP", "BMSP"}, "put a 5")
	// A parameter of a key that does not exist is nothing.
	submit("VALID", []string{"AMSP", "BMSP"}, "policy ghost CMSP")
	submit("VALID", []string{"AMSP", "BMSP"}, "put ghost 1")
}

func TestKeyPolicyIsPartOfTheVersion(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	tx := w.endorse("copy a b")
	w.do("policy a Hospital1MSP Hospital2MSP")
	w.wantCodes(block{tx}, "MVCC_READ_CONFLICT")
	w.want("a=1", "get a")
}

// A key whose policy was set earlier in the block can't be written in it, even
// if the transaction that set it turns out invalid for its reads.
func TestKeyPolicyChangedInTheBlock(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1", "put r 1")
	w.wantCodes(block{w.endorse("policy a Hospital1MSP"), w.endorse("put a 2")}, "VALID", "ENDORSEMENT_POLICY_FAILURE")
	w.do("put b 1")
	stale := w.endorse("get r", "policy b Hospital1MSP")
	w.do("put r 2")
	w.wantCodes(block{stale, w.endorse("put b 2")}, "MVCC_READ_CONFLICT", "ENDORSEMENT_POLICY_FAILURE")
	single, err := w.propose("put r 3", "policy b Hospital1MSP").On("Hospital1MSP").Endorse()
	if err != nil {
		t.Fatal(err)
	}
	w.wantCodes(block{single, w.endorse("put b 2")}, "ENDORSEMENT_POLICY_FAILURE", "VALID")
}

func TestRevokedCreatorIsRefusedAtCommitToo(t *testing.T) {
	w := newWorld(t)
	tx := w.endorse("put a 1")
	w.Revoke(w.alice)
	w.wantCodes(block{tx}, "BAD_CREATOR_SIGNATURE")
	w.refuse("access denied", "put a 1")
}

func TestCommitErrorNamesTheCode(t *testing.T) {
	w := newWorld(t)
	result, err := w.propose("put a 1").On("Hospital1MSP").Submit()
	wantError(t, err, "failed to commit with status code 10 (ENDORSEMENT_POLICY_FAILURE)")
	if result == nil || result.Valid() {
		t.Errorf("result %+v", result)
	}
}

// Found by the comparison with Fabric's own ledger: such a block ends its peers.
func TestParameterOfAKeyDeletedInTheBlockStopsThePeer(t *testing.T) {
	for _, c := range []struct{ put, del, set, safe string }{
		{"put a 1", "del a", "policy a Hospital1MSP Hospital2MSP", "get a"},
		{"pput both a 1", "pdel both a", "ppolicy both a Hospital1MSP Hospital2MSP", "phash both a"},
	} {
		w := newWorld(t, secrets())
		w.do(c.put)
		w.wantCodes(block{w.endorse(c.del), w.endorse(c.safe, c.set)}, "VALID", "MVCC_READ_CONFLICT")
		w.do(c.put)
		bad := block{w.endorse(c.del), w.endorse(c.set)}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s before %s: nothing happened", c.del, c.set)
				}
			}()
			w.Commit(bad...)
		}()
	}
}
