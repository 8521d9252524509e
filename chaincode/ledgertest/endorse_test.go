package ledgertest_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/ledgertest/internal/program"
)

// faulty is a contract with each kind of fault that endorsers must find.
func faulty() raw {
	calls := &atomic.Int64{}
	return raw{
		"clock":   func(s stub) ([]byte, error) { return nil, s.PutState("a", []byte(time.Now().Format(time.RFC3339))) },
		"counter": func(s stub) ([]byte, error) { return []byte(fmt.Sprint(calls.Add(1))), nil },
		"event":   func(s stub) ([]byte, error) { return nil, s.SetEvent("e", []byte(fmt.Sprint(calls.Add(1)))) },
		"moody": func(s stub) ([]byte, error) {
			if calls.Add(1)%2 == 0 {
				return nil, errors.New("not today")
			}
			return nil, nil
		},
		"words": func(s stub) ([]byte, error) { return nil, fmt.Errorf("call %d", calls.Add(1)) },
		"map": func(s stub) ([]byte, error) {
			var keys []string
			for key := range map[string]bool{"a": true, "b": true, "c": true, "d": true, "e": true, "f": true} {
				keys = append(keys, key)
			}
			return []byte(strings.Join(keys, "")), nil
		},
		"good": func(s stub) ([]byte, error) {
			ts, err := s.GetTxTimestamp()
			return []byte(fmt.Sprint(ts.GetSeconds())), errors.Join(err, s.PutState("a", []byte("1")), s.SetEvent("e", nil))
		},
		"refuse": func(s stub) ([]byte, error) { return nil, codes.Errorf("MF-TEST", "no; don't") },
		"panic":  func(s stub) ([]byte, error) { panic("oops") },
	}
}

func TestEndorsersThatDisagree(t *testing.T) {
	l := open(t, faulty(), ledgertest.WithPeers(twoPeers...))
	alice := l.Identity("Hospital1MSP", "alice", "trainer")
	for function, text := range map[string]string{
		"counter": `ProposalResponsePayloads do not match (response: "`,
		"event":   "ProposalResponsePayloads do not match (event: ",
		"moody":   "chaincode response 500, not today",
		"panic":   "chaincode stream terminated: panic: oops",
	} {
		_, err := l.Propose(alice, function).Endorse()
		wantError(t, err, text)
	}
	if _, err := l.Submit(alice, "good"); err != nil {
		t.Error(err)
	}
}

// Case 1: the same transaction on three endorsers with different clocks and map
// seeds gives identical results.
func TestCase01EndorsersAgreeWhateverTheirClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, faulty(), ledgertest.WithPeers("AMSP", "BMSP", "CMSP"))
		l.Peer("BMSP").SetSkew(5 * time.Minute)
		l.Peer("CMSP").SetSkew(-5 * time.Minute)
		alice := l.Identity("AMSP", "alice", "trainer")
		for _, function := range []string{"clock", "counter", "event", "moody", "words", "map"} {
			if err := l.Propose(alice, function).Deterministic(5, time.Hour); err == nil {
				t.Errorf("%s passes for deterministic", function)
			}
		}
		for _, function := range []string{"good", "refuse"} {
			if err := l.Propose(alice, function).Deterministic(5, time.Hour); err != nil {
				t.Errorf("%s: %v", function, err)
			}
		}
		if err := l.Propose(alice, "good").On("NobodyMSP").Deterministic(1, 0); err == nil {
			t.Error("an organisation without peers ran it")
		}
		if l.Height() != 1 {
			t.Error("a check of determinism committed something")
		}
	})
}

// Case 9 on this ledger: a timestamp off by twice the window is refused.
func TestCase09TimestampOutsideTheWindow(t *testing.T) {
	w := newWorld(t, ledgertest.WithTimeWindow(30*time.Second))
	for offset, ok := range map[time.Duration]bool{
		0: true, 30 * time.Second: true, -30 * time.Second: true,
		31 * time.Second: false, -31 * time.Second: false, time.Minute: false, -time.Minute: false,
	} {
		_, err := w.propose("put a 1").At(w.Now().Add(offset)).Endorse()
		if ok && err != nil {
			t.Errorf("%v off: %v", offset, err)
		}
		if !ok {
			wantError(t, err, "request unauthorized due to incorrect timestamp")
		}
	}
}

// The gateway does without a peer whose clock is wrong while the others suffice.
func TestSkewedPeerIsPassedOver(t *testing.T) {
	l := open(t, program.Chaincode{}, ledgertest.WithPeers("AMSP", "BMSP", "CMSP"))
	alice := l.Identity("AMSP", "alice", "")
	l.Peer("CMSP").SetSkew(time.Hour)
	tx, err := l.Propose(alice, "put a 1").Endorse()
	if err != nil {
		t.Fatal(err)
	}
	if len(tx.Endorsers) != 2 {
		t.Errorf("endorsed by %v", tx.Endorsers)
	}
	l.Peer("BMSP").SetSkew(time.Hour)
	_, err = l.Propose(alice, "put a 1").Endorse()
	wantError(t, err, "no combination of peers can be derived")
	wantError(t, err, "CMSP/peer0: request unauthorized due to incorrect timestamp")
	_, err = l.Propose(alice, "put a 1").On("AMSP", "BMSP").Endorse()
	wantError(t, err, "failed to collect enough transaction endorsements")
}

func TestPeerThatFellBehind(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("put a 1", "put b 1")
	w.do("pput both k 1")
	w.Peer("Hospital2MSP").Freeze()
	w.do2("put a 2")
	w.do2("pput both k 2")
	w.refuse("ProposalResponsePayloads do not match (response: ", "get a", "put c 1")
	w.refuse(`ProposalResponsePayloads do not match (read of "a", write of "c"`, "copy a c")
	if answer, err := w.propose("get a", "pget both k", "history a").On("Hospital2MSP").Evaluate(); err != nil || string(answer) != "a=1\nk=1\n1@1767225600 deleted=false" {
		t.Errorf("the peer behind answers %q, %v", answer, err)
	}
	behind, err := w.propose("copy a c").On("Hospital2MSP").Endorse()
	if err != nil {
		t.Fatal(err)
	}
	w.wantCodes(block{behind}, "ENDORSEMENT_POLICY_FAILURE")
	w.Peer("Hospital2MSP").CatchUp()
	w.do("copy a c")
	w.want("c=2+\nk=2", "get c", "pget both k")
}

// do2 commits a program endorsed for every organisation by hand: both peers
// would be asked and one is behind, but the program reads nothing.
func (w *world) do2(lines ...string) {
	w.t.Helper()
	if _, err := w.propose(lines...).On(twoPeers...).Submit(); err != nil {
		w.t.Fatal(err)
	}
}

func TestGatewayOfAnOrganisationWithoutPeers(t *testing.T) {
	w := newWorld(t, secrets(), ledgertest.WithOrganisations("InsurerMSP"), ledgertest.WithGateway("Hospital2MSP"))
	w.do("put a 1", "put b 1")
	w.do("pput secrets k 1")
	insurer := w.Identity("InsurerMSP", "ida", "requester")
	if answer, err := w.Evaluate(insurer, "get a"); err != nil || string(answer) != "a=1" {
		t.Errorf("%q, %v", answer, err)
	}
	_, err := w.Evaluate(insurer, "pget secrets k")
	wantError(t, err, "evaluate call to endorser returned error: chaincode response 500, GET_STATE failed: transaction ID:")
	_, err = w.Propose(insurer, "get a").On("InsurerMSP").Evaluate()
	wantError(t, err, "organisation InsurerMSP has none")
	_, err = w.Propose(insurer, "get a").On("InsurerMSP").Endorse()
	wantError(t, err, "organisation InsurerMSP has none")
}

func TestProposalIsFixedOnceUsed(t *testing.T) {
	w := newWorld(t)
	p := w.propose("put a 1")
	if _, err := p.Endorse(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a used proposal was changed")
		}
	}()
	p.At(time.Time{})
}

func TestPeerEnvironment(t *testing.T) {
	t.Setenv("CORE_PEER_LOCALMSPID", "before")
	w := newWorld(t, ledgertest.WithPeerEnvironment())
	for _, msp := range twoPeers {
		if answer, err := w.propose("peermsp").On(msp).Evaluate(); err != nil || string(answer) != msp {
			t.Errorf("on %s: %q, %v", msp, answer, err)
		}
	}
}

func TestArguments(t *testing.T) {
	echo := func(s stub) ([]byte, error) { return []byte(strings.Join(s.GetStringArgs()[1:], "|")), nil }
	l := open(t, raw{"echo": echo})
	got, err := l.Evaluate(l.Identity("Hospital1MSP", "alice", ""), "echo", "text", []byte("bytes"), struct {
		A int `json:"a"`
	}{1}, 7)
	if err != nil || string(got) != `text|bytes|{"a":1}|7` {
		t.Errorf("%q, %v", got, err)
	}
}
