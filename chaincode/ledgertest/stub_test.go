package ledgertest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestStubTellsTheTransaction(t *testing.T) {
	w := newWorld(t)
	p := w.propose("about", "txid").Transient(map[string][]byte{"data": []byte("private")})
	payload, err := p.Evaluate()
	if err != nil {
		t.Fatal(err)
	}
	got := string(payload)
	for _, want := range []string{
		"medfed " + p.TxID(), fmt.Sprintf("%x", sha256.Sum256(w.alice.Serialized())), fmt.Sprintf("%x", sha256.Sum256(p.Bytes())),
		"1767225600.0", `["about" "txid"] "abouttxid" "about" 1 "private" 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestSeveralKeysAtOnce(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("put a 1", "pput secrets k 2")
	w.want("[1 none]\n[2 none]\n[]", "mget a b", "pmget secrets k j", "pmget secrets")
	w.refuse("collection must not be an empty string", "pmget - k")
	// Asked for several keys, a peer does not notice that it lacks the value.
	if answer, err := w.propose("pmget both k").On("Hospital2MSP").Evaluate(); err != nil || string(answer) != "[none]" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestCompositeKeyQueries(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("cput t a 1", "cput t b 2", "cput u a 3")
	w.want(`"t" ["a" "b"]`, "split t a b")
	w.want("( \x00t\x00a\x00=1 ) fetched 1 bookmark \"\\x00t\\x00b\\x00\"", "cpage t 1")
	w.want("( \x00t\x00a\x00=1 \x00t\x00b\x00=2 ) fetched 2 bookmark \"\\x00u\\x00a\\x00\"", "allpage 2 -")
	w.want("( )", "pcrange both t")
	w.refuse("not supported for leveldb", "prich both")
	w.refuse("not supported for leveldb", "richpage")
	w.refuse("collection must not be an empty string", "prich -")
	w.refuse("collection must not be an empty string", "pcrange - t")
	w.refuse("collection must not be an empty string", "prange - a b")
}

func TestCallsToOtherChaincodesAreRefused(t *testing.T) {
	call := func(s stub) ([]byte, error) {
		response := s.InvokeChaincode("other", nil, "")
		return nil, fmt.Errorf("%d %s", response.Status, response.Message)
	}
	l := open(t, raw{"call": call})
	_, err := l.Evaluate(l.Identity("Hospital1MSP", "alice", ""), "call")
	wantError(t, err, "500 chaincode other: calls to other chaincodes are not modelled")
}

func TestReadWriteSetIsInTheBlock(t *testing.T) {
	w := newWorld(t)
	tx := w.endorse("copy a b")
	w.Commit(tx)
	if !bytes.Contains(w.PublicBytes(), tx.ReadWriteSet()) || len(tx.ReadWriteSet()) == 0 {
		t.Error("the read-write set is not in the block")
	}
}
