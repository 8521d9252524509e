package gateway_test

import (
	"slices"
	"testing"

	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
)

// transient is what a proposal carries beside its argument.
func transient(t *testing.T, r *gatewaypb.EndorseRequest) map[string][]byte {
	t.Helper()
	var proposal peer.Proposal
	var payload peer.ChaincodeProposalPayload
	if err := proto.Unmarshal(r.GetProposedTransaction().GetProposalBytes(), &proposal); err != nil {
		t.Error(err)
	}
	if err := proto.Unmarshal(proposal.GetPayload(), &payload); err != nil {
		t.Error(err)
	}
	return payload.GetTransientMap()
}

func TestPrivateGoesByTransientToTheCustodiansPeerAlone(t *testing.T) {
	c := newConsortium(t, 2)
	var asked []*gatewaypb.EndorseRequest
	c.peers[1].onRequest = func(r *gatewaypb.EndorseRequest) { asked = append(asked, r) }
	g := c.connect(t, gateway.Options{})
	_, err := g.Contracts().Records.Stage(t.Context(), "Hospital2MSP", record.SealedVersion{Record: "r", Version: 3, Sealed: "CANARY"})
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || c.peers[0].endorsed != 0 {
		t.Fatalf("the custodian's peer was asked %d times, the other %d times", len(asked), c.peers[0].endorsed)
	}
	if got := asked[0].GetEndorsingOrganizations(); !slices.Equal(got, []string{"Hospital2MSP"}) {
		t.Errorf("it may be endorsed by %v", got)
	}
	if got, want := c.peers[1].requests, []string{`record:Stage {"record":"r","version":3}`}; !slices.Equal(got, want) {
		t.Errorf("in public %q, want %q", got, want)
	}
	if got := transient(t, asked[0]); len(got) != 1 || len(got["version"]) == 0 {
		t.Errorf("transient fields %v", got)
	}
}

// Nothing private goes to another organisation's peer, not even when the
// custodian's is down.
func TestPrivateNeverGoesElsewhere(t *testing.T) {
	c := newConsortium(t, 2)
	c.peers[0].onEndorse = func(int) error { return status.Error(codes.Unavailable, "down") }
	g := c.connect(t, gateway.Options{Attempts: 3})
	_, err := g.Contracts().Records.Stage(t.Context(), "Hospital1MSP", record.SealedVersion{})
	wantCode(t, err, "MF-GATEWAY-UNREACHABLE")
	if n := c.peers[1].endorsed; n != 0 {
		t.Errorf("another organisation's peer was sent it %d times", n)
	}
	_, err = g.Contracts().Records.Stage(t.Context(), "Hospital9MSP", record.SealedVersion{})
	wantCode(t, err, "MF-GATEWAY-PROFILE")
}

// What the gateway of a real peer (Fabric v3.1.1) sends when the custodian's peer
// refuses a private write, recorded from the network by
// TestARefusedPrivateWriteComesBackAtOnce in test-network: the words are those of
// endorsers that do not agree, but there is one alone.
//
//	code: ABORTED
//	message: "failed to collect enough transaction endorsements, see attached details for more info"
//	details: address:"127.0.0.1:27003" msp_id:"Hospital1MSP"
//	         message:"chaincode response 500, MF-VERSION-NUMBER: the newest version is 0; stage version 1"
func TestARefusedPrivateWriteIsNotRepeated(t *testing.T) {
	c := newConsortium(t, 1)
	const words = "failed to collect enough transaction endorsements, see attached details for more info"
	early, erased := "chaincode response 500, MF-VERSION-NUMBER: the newest version is 0; stage version 1", "chaincode response 500, MF-RECORD-STATUS: the record is erased; register another"
	for what, d := range map[string]struct {
		details  []string
		attempts int
	}{
		"one peer":              {[]string{early}, 1},
		"two peers that agree":  {[]string{early, early}, 1},
		"two peers that do not": {[]string{early, erased}, 3},
		"a peer that is down":   {[]string{early, "rpc error: code = Unavailable"}, 3},
	} {
		c.peers[0].do(func() {
			c.peers[0].endorsed = 0
			c.peers[0].onEndorse = func(int) error { return refusal(codes.Aborted, words, d.details...) }
		})
		_, err := c.connect(t, gateway.Options{Attempts: 3}).Contracts().Records.Stage(t.Context(), "Hospital1MSP", record.SealedVersion{})
		wantCode(t, err, "MF-VERSION-NUMBER")
		if got := c.peers[0].endorsed; got != d.attempts {
			t.Errorf("%s: asked %d times, want %d", what, got, d.attempts)
		}
	}
}

func TestEvaluateAtAsksTheOrganisation(t *testing.T) {
	c := newConsortium(t, 2)
	g := c.connect(t, gateway.Options{})
	if _, err := g.Contracts().Records.GetPrivate(t.Context(), "Hospital2MSP", record.VersionRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := c.peers[1].targets; len(got) != 1 || !slices.Equal(got[0], []string{"Hospital2MSP"}) {
		t.Errorf("asked of %v", got)
	}
	if _, err := g.Contracts().Records.GetPrivate(t.Context(), "Hospital9MSP", record.VersionRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := c.peers[0].targets; len(got) != 1 || !slices.Equal(got[0], []string{"Hospital9MSP"}) {
		t.Errorf("through another's gateway it is asked of %v", got)
	}
}

func TestAwaitReturnsWhenThePeerHasTheTransaction(t *testing.T) {
	c := newConsortium(t, 2)
	g := c.connect(t, gateway.Options{})
	arrived := make(chan error)
	go func() { arrived <- g.Await(t.Context(), "Hospital2MSP", "tx") }()
	select {
	case err := <-arrived:
		t.Fatalf("returned before the commit: %v", err)
	default:
	}
	c.ledger.commit("tx", peer.TxValidationCode_VALID)
	if err := <-arrived; err != nil {
		t.Error(err)
	}
	if err := g.Await(t.Context(), "Hospital9MSP", "tx"); err != nil {
		t.Error(err)
	}
}
