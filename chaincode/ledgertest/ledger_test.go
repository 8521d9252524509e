package ledgertest_test

import (
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

func TestSubmitThroughTheContractAPI(t *testing.T) {
	l := open(t, newContract(t))
	alice := l.Identity("Hospital1MSP", "alice", "trainer")

	result, err := l.Submit(alice, "kv:Put", "colour", "blue")
	if err != nil {
		t.Fatal(err)
	}
	if result.Code != peer.TxValidationCode_VALID || result.Block != 1 || result.Event.Name != "Put" || string(result.Event.Payload) != "colour" {
		t.Errorf("result %+v, event %+v", result, result.Event)
	}
	got, err := l.Evaluate(alice, "kv:Get", "colour")
	if err != nil || string(got) != "blue" {
		t.Errorf("Get = %q, %v", got, err)
	}
	who, err := l.Evaluate(alice, "kv:Who")
	if err != nil || string(who) != "Hospital1MSP/alice/trainer" {
		t.Errorf("Who = %q, %v", who, err)
	}
}

func TestRefusalCarriesTheChaincodesMessage(t *testing.T) {
	l := open(t, newContract(t))
	alice := l.Identity("Hospital1MSP", "alice", "trainer")
	_, err := l.Submit(alice, "kv:Fail", "MF-TEST-NO: no; do not")
	wantError(t, err, "chaincode response 500, MF-TEST-NO: no; do not")
	if got := l.Refusals(); len(got) != 1 {
		t.Errorf("refusals: %q", got)
	}
	if l.Height() != 1 {
		t.Errorf("a refused proposal made a block")
	}
}

func TestTimestampIsTheClients(t *testing.T) {
	l := open(t, newContract(t))
	alice := l.Identity("Hospital1MSP", "alice", "trainer")
	l.Advance(time.Hour)
	got, err := l.Evaluate(alice, "kv:Time")
	if err != nil || string(got) != ledgertest.Start.Add(time.Hour).Format(time.RFC3339) {
		t.Errorf("Time = %q, %v", got, err)
	}
}
