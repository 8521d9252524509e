package ledgertest_test

import (
	"strings"
	"testing"
)

// Case 3: a read after the transaction's own write returns the committed value.
func TestCase03ReadAfterOwnWriteIsTheCommittedValue(t *testing.T) {
	w := newWorld(t)
	w.do("put a old")
	if got := string(w.do("put a new", "get a", "del a", "get a", "range a b").Payload); got != "a=old\na=old\n( a=old )" {
		t.Errorf("reads saw %q", got)
	}
	w.want("a none", "get a")
}

func TestLastWriteOfATransactionWins(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1", "put a 2", "put b 1", "del b", "del c", "put c 1")
	w.want("a=2\nb none\nc=1", "get a", "get b", "get c")
}

func TestEmptyValueIsADeletion(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	w.do("put a -")
	w.want("a none\n@1767225600 deleted=true; 1@1767225600 deleted=false", "get a", "history a")
}

func TestStubRefusals(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	for _, c := range []struct {
		name, text string
		lines      []string
	}{
		{"empty key", "key must not be an empty string", []string{"put - 1"}},
		{"empty event name", "event name can not be empty string", []string{"event - x"}},
		{"NUL first in a range", "contains a null character", []string{"range \x00a b"}},
		{"NUL in a composite key", "not allowed in the input attribute", []string{"cput type a\x00b v"}},
		{"last rune in a composite key", "not allowed in the input attribute", []string{"cput type \U0010ffff v"}},
		{"bytes in a composite key", "not a valid utf8 string", []string{"cput type \xff v"}},
		{"bytes in a key end the process", "is not valid UTF-8", []string{"put \xff v"}},
		{"rich query", "ExecuteQuery not supported for leveldb", []string{"rich {}"}},
		{"write after a page", "Writes are not allowed", []string{"page a b 1 -", "put a 1"}},
		{"page after a write", "Paginated queries are supported only in a read-only transaction", []string{"put a 1", "page a b 1 -"}},
		{"write batch is refused as a whole", "Writes are not allowed", []string{"begin", "put a 1", "page a b 1 -", "finish"}},
		{"write batch is finished at the end", "Writes are not allowed", []string{"begin", "put a 1", "page a b 1 -"}},
		{"bytes in a message", "is not valid UTF-8", []string{"fail \xff"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			w.refuse(c.text, c.lines...)
		})
	}
}

func TestWriteBatch(t *testing.T) {
	w := newWorld(t)
	w.do("begin", "put a 1", "put b 2", "del a")
	w.want("a none\nb=2", "get a", "get b")
}

func TestCompositeKeysKeepTheirPartsApart(t *testing.T) {
	w := newWorld(t)
	w.do("cput k a bc 1", "cput k ab c 2", "put plain 3")
	w.want("( \x00k\x00a\x00bc\x00=1 )", "crange k a")
	w.want("( \x00k\x00ab\x00c\x00=2 )", "crange k ab")
	w.want("( plain=3 )", "range - -")
}

func TestNothingReadIsShared(t *testing.T) {
	// A chaincode may change the bytes it was given, and those it has written.
	spoil := func(s stub) ([]byte, error) {
		value, err := s.GetState("a")
		for i := range value {
			value[i] = 'x'
		}
		mine := []byte("mine")
		if err := s.PutState("b", mine); err != nil {
			return nil, err
		}
		mine[0] = 'x'
		return nil, err
	}
	l := open(t, raw{"spoil": spoil, "put": func(s stub) ([]byte, error) { return nil, s.PutState("a", []byte("1")) }})
	alice := l.Identity("Hospital1MSP", "alice", "trainer")
	for _, function := range []string{"put", "spoil"} {
		if _, err := l.Submit(alice, function); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := l.State("a"), l.State("b"); string(a) != "1" || string(b) != "mine" {
		t.Errorf("a=%s b=%s", a, b)
	}
	if keys := l.Keys(""); strings.Join(keys, " ") != "a b" {
		t.Errorf("keys %q", keys)
	}
}
