package ledgertest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

func TestResponsesAndEventsStayOnTheLedger(t *testing.T) {
	w := newWorld(t)
	w.do("put a canary-value", "event name canary-event", "event other last-one-wins")
	w.do("get a")
	stale := w.endorse("get a", "put lost canary-invalid")
	w.do("put a 2")
	w.wantCodes(block{stale}, "MVCC_READ_CONFLICT")
	public := w.PublicBytes()
	for text, want := range map[string]bool{
		"a=canary-value": true, "canary-value": true, "last-one-wins": true, "canary-invalid": true,
		"CN=alice": false, "BEGIN CERTIFICATE": true,
	} {
		if got := bytes.Contains(public, []byte(text)); got != want {
			t.Errorf("public bytes hold %q: %t", text, got)
		}
	}
	events := w.Events(0)
	if len(events) != 1 || events[0].Name != "other" || events[0].Block != 1 {
		t.Errorf("events %+v", events)
	}
	if len(w.Events(2)) != 0 {
		t.Error("an event is delivered twice")
	}
}

func TestEventOfAnInvalidTransactionIsNotDelivered(t *testing.T) {
	w := newWorld(t)
	tx := w.endorse("get a", "event name payload")
	w.do("put a 1")
	w.wantCodes(block{tx}, "MVCC_READ_CONFLICT")
	if events := w.Events(0); len(events) != 0 {
		t.Errorf("events %+v", events)
	}
}

func TestBlocksAreChained(t *testing.T) {
	w := newWorld(t)
	w.do("put a 1")
	w.Commit(w.endorse("copy a b"), w.endorse("copy a a"), w.endorse("copy a c"))
	blocks := w.Blocks()
	if len(blocks) != 3 || w.Height() != 3 {
		t.Fatalf("%d blocks at height %d", len(blocks), w.Height())
	}
	for i, b := range blocks {
		if b.Header.Number != uint64(i) {
			t.Errorf("block %d has number %d", i, b.Header.Number)
		}
		if i > 0 {
			before := blocks[i-1].Header
			der, err := asn1.Marshal(struct {
				Number             int64
				Previous, DataHash []byte
			}{int64(before.Number), before.PreviousHash, before.DataHash})
			if sum := sha256.Sum256(der); err != nil || !bytes.Equal(b.Header.PreviousHash, sum[:]) {
				t.Errorf("block %d does not name its predecessor", i)
			}
		}
	}
	if codes := blocks[2].Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]; !bytes.Equal(codes, []byte{0, 0, 11}) {
		t.Errorf("codes %v", codes)
	}
}

func TestLeaks(t *testing.T) {
	secret := []byte(`patient "7" of ward <3>`)
	digest := sha256.Sum256(secret)
	for name, planted := range map[string]string{
		"plain":       string(secret),
		"JSON":        `patient \"7\" of ward \u003c3\u003e`,
		"hexadecimal": strings.ToUpper(hex.EncodeToString(secret)),
		"base64":      base64.StdEncoding.EncodeToString(append([]byte("x"), secret...)),
		"url base64":  base64.URLEncoding.EncodeToString(append([]byte("xy"), secret...)),
		"digest":      hex.EncodeToString(digest[:]),
	} {
		t.Run(name, func(t *testing.T) {
			put := func(s stub) ([]byte, error) { return nil, s.PutState("k", []byte("..."+planted+"...")) }
			fail := func(s stub) ([]byte, error) { return nil, fmt.Errorf("...%s...", planted) }
			l := open(t, raw{"put": put, "fail": fail})
			alice := l.Identity("Hospital1MSP", "alice", "")
			if found := l.Leaks(secret); len(found) != 0 {
				t.Fatalf("found %q in an empty ledger", found)
			}
			if _, err := l.Submit(alice, "put"); err != nil {
				t.Fatal(err)
			}
			if found := l.Leaks(secret); len(found) == 0 || !strings.HasSuffix(found[0], "in public data") {
				t.Errorf("found %q", found)
			}
			if _, err := l.Submit(alice, "fail"); err == nil {
				t.Fatal("fail succeeded")
			}
			if found := strings.Join(l.Leaks(secret), ", "); !strings.Contains(found, "in refusals") {
				t.Errorf("found %q", found)
			}
		})
	}
}

// A private value is found only where nothing is added to it: its digest is public.
func TestLeaksOfPrivateData(t *testing.T) {
	w := newWorld(t, secrets())
	_, err := w.propose("pputtransient secrets k data").Transient(map[string][]byte{"data": []byte("salt and canary")}).Submit()
	if err != nil {
		t.Fatal(err)
	}
	if found := w.Leaks([]byte("canary")); len(found) != 0 {
		t.Errorf("found %q", found)
	}
	if found := w.Leaks([]byte("salt and canary")); len(found) != 1 || found[0] != "SHA-256 digest in public data" {
		t.Errorf("found %q", found)
	}
}

func TestRecordsAreFreeOfBlockNumbersAndIDs(t *testing.T) {
	tell := func(advance int, together bool) []string {
		w := newWorld(t, secrets())
		for range advance {
			w.Commit()
		}
		w.do("put a 1", "txid", "event e x")
		if together {
			w.Commit(w.endorse("copy a b", "count a z"), w.endorse("put c 1"))
		} else {
			w.do("copy a b", "count a z")
			w.do("put c 1")
		}
		w.do("get b", "pput secrets k 1", "policy a Hospital1MSP Hospital2MSP", "del c")
		w.do("pget secrets k", "pdel secrets k", "purge secrets j")
		traces, err := ledgertest.Traces(w.Blocks(), "medfed")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, r := range traces {
			lines = append(lines, r.String())
		}
		return lines
	}
	one, other := tell(0, false), tell(3, true)
	if strings.Join(one, "\n") != strings.Join(other, "\n") {
		t.Errorf("%s\nagainst\n%s", strings.Join(one, "\n"), strings.Join(other, "\n"))
	}
	for _, want := range []string{`put a 1 by Hospital1MSP: VALID`, `event e "x"`, `response 200 "" "#1"`, `read "a" (#1)`, `write "b" = "1+"`,
		`range "a" to "z" exhausted true: "a" (#1)`, `delete "c"`, `secrets: write `, `secrets: delete `, `secrets: purge `, `parameter "a" = `} {
		if !strings.Contains(strings.Join(one, "\n"), want) {
			t.Errorf("no %q in %s", want, strings.Join(one, "\n"))
		}
	}
	if traces, err := ledgertest.Traces(newWorld(t).Blocks(), "other"); err != nil || len(traces) != 0 {
		t.Errorf("%v, %v", traces, err)
	}
}
