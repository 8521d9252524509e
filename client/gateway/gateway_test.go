package gateway_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"

	mfcodes "github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
)

func wantCode(t testing.TB, err error, want mfcodes.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if got := mfcodes.Of(err); got != want {
		t.Fatalf("code %q in %q, want %s", got, err, want)
	}
	if !strings.HasPrefix(err.Error(), string(want)+": ") || !strings.Contains(err.Error(), "; ") {
		t.Errorf("%q has not the form CODE: what happened; what to do", err)
	}
}

var firstRound = fl.RoundRequest{Task: "t", Round: 1}

func TestSubmitAndEvaluate(t *testing.T) {
	c := newConsortium(t, 2)
	var mu sync.Mutex
	var calls []gateway.Call
	g := c.connect(t, gateway.Options{Observe: func(call gateway.Call) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call)
	}})
	round, err := g.Contracts().Rounds.OpenRound(t.Context(), firstRound)
	if err != nil || round.Number != 1 {
		t.Fatalf("%+v, %v", round, err)
	}
	if got, want := c.peers[0].requests, []string{`round:OpenRound {"task":"t","round":1}`}; !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	if _, err := g.Contracts().Tasks.GetTask(t.Context(), fl.TaskRequest{Task: "t"}); err != nil {
		t.Fatal(err)
	}
	if got := c.peers[0].targets; len(got) != 1 || !slices.Equal(got[0], []string{"Hospital1MSP"}) {
		t.Errorf("the query may be answered by %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != 2 || calls[0].Transaction != "round:OpenRound" || !calls[0].Submitted || calls[0].Attempts != 1 || calls[0].Duration <= 0 || calls[1].Submitted {
		t.Errorf("observed %+v", calls)
	}
}

func TestIdentity(t *testing.T) {
	c := newConsortium(t, 1)
	if c.id.ID() != "Hospital1MSP/node1" || c.id.Role != "trainer" {
		t.Errorf("%+v", c.id)
	}
	authority := newAuthority(t)
	good, expired := authority.issue(t, "n", nil), authority.issue(t, "n", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	for name, broken := range map[string]func(folder string){
		"nothing": func(string) {},
		"expired": func(folder string) { authority.writeMSP(t, folder, expired) },
		"two keys": func(folder string) {
			authority.writeMSP(t, folder, good)
			write(t, filepath.Join(folder, "keystore", "b"), nil)
		},
		"no key": func(folder string) {
			authority.writeMSP(t, folder, good)
			os.Remove(filepath.Join(folder, "keystore", "abc_sk"))
		},
		"garbage certificate": func(folder string) {
			authority.writeMSP(t, folder, good)
			write(t, filepath.Join(folder, "signcerts", "cert.pem"), []byte("x"))
		},
		"garbage key": func(folder string) {
			authority.writeMSP(t, folder, good)
			write(t, filepath.Join(folder, "keystore", "abc_sk"), []byte("SECRET"))
		},
		"another's key": func(folder string) {
			authority.writeMSP(t, folder, authority.issue(t, "m", nil))
			key, _ := os.ReadFile(filepath.Join(folder, "keystore", "abc_sk"))
			authority.writeMSP(t, folder, good)
			write(t, filepath.Join(folder, "keystore", "abc_sk"), key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "msp")
			broken(folder)
			_, err := gateway.LoadIdentity("M", folder)
			wantCode(t, err, "MF-GATEWAY-IDENTITY")
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

func TestProfilesThatAreRefused(t *testing.T) {
	good := `
client: {organization: a}
organizations: {a: {mspid: A, peers: [p]}}
peers: {p: {url: 'grpcs://127.0.0.1:7051', tlsCACerts: {path: ca.pem}}}
x-medfed: {channel: c, chaincode: d}
`
	for name, text := range map[string]string{
		"garbage":         "\t{",
		"empty":           "",
		"no organization": strings.Replace(good, "organization: a", "organization: b", 1),
		"no mspid":        strings.Replace(good, "mspid: A, ", "", 1),
		"no x-medfed":     strings.Replace(good, "x-medfed", "x-other", 1),
		"no peer":         strings.Replace(good, "peers: [p]", "peers: []", 1),
		"unknown peer":    strings.Replace(good, "peers: [p]", "peers: [q]", 1),
		"plain grpc":      strings.Replace(good, "grpcs:", "grpc:", 1),
		"no port":         strings.Replace(good, ":7051", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.yaml")
			write(t, path, []byte(text))
			_, err := gateway.LoadProfile(path)
			wantCode(t, err, "MF-GATEWAY-PROFILE")
		})
	}
	_, err := gateway.LoadProfile(filepath.Join(t.TempDir(), "none"))
	wantCode(t, err, "MF-GATEWAY-PROFILE")
	path := filepath.Join(t.TempDir(), "p.yaml")
	write(t, path, []byte(good))
	profile, err := gateway.LoadProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = gateway.Connect(profile, newConsortium(t, 1).id, gateway.Options{})
	wantCode(t, err, "MF-GATEWAY-PROFILE") // ca.pem is missing
}

func TestProfilePathsAreRelativeToIt(t *testing.T) {
	c := newConsortium(t, 1)
	if got, want := c.profile.Medfed.IPFS.Private.TokenFile, filepath.Join(c.folder, "token"); got != want {
		t.Errorf("token file %s, want %s", got, want)
	}
}

func TestRefusalsKeepTheChaincodesCode(t *testing.T) {
	c := newConsortium(t, 2)
	g := c.connect(t, gateway.Options{})
	c.peers[0].onEndorse = func(int) error {
		return refusal(codes.Aborted, "failed to endorse transaction, see attached details for more info", "chaincode response 500, MF-ROUND-EARLY: 3 of 5 updates are in; wait")
	}
	_, err := g.Contracts().Rounds.CloseTraining(t.Context(), firstRound)
	wantCode(t, err, "MF-ROUND-EARLY")
	var refused *gateway.Refusal
	var endorse *client.EndorseError
	if !errors.As(err, &refused) || refused.Answer.Code != "MF-ROUND-EARLY" || !errors.As(err, &endorse) {
		t.Errorf("%#v", err)
	}
	if c.peers[0].endorsed != 1 || c.peers[1].endorsed != 0 {
		t.Errorf("a refusal was repeated: %d, %d", c.peers[0].endorsed, c.peers[1].endorsed)
	}
	c.peers[0].do(func() {
		c.peers[0].onEvaluate = func() ([]byte, error) {
			return nil, refusal(codes.Unknown, "evaluate call to endorser returned error: chaincode response 500, MF-TASK-UNKNOWN: there is no task; see the list", "chaincode response 500, MF-TASK-UNKNOWN: there is no task; see the list")
		}
	})
	_, err = g.Contracts().Tasks.GetTask(t.Context(), fl.TaskRequest{Task: "t"})
	wantCode(t, err, "MF-TASK-UNKNOWN")
}

// Case04 in the checklist, from the client's side.
func TestConflictsAreEndorsedAgain(t *testing.T) {
	for _, code := range []peer.TxValidationCode{peer.TxValidationCode_MVCC_READ_CONFLICT, peer.TxValidationCode_PHANTOM_READ_CONFLICT} {
		c := newConsortium(t, 1)
		c.peers[0].validity = func(n int) peer.TxValidationCode {
			if n < 4 {
				return code
			}
			return peer.TxValidationCode_VALID
		}
		round, err := c.connect(t, gateway.Options{}).Contracts().Rounds.Tally(t.Context(), firstRound)
		if err != nil || round.Number != 4 {
			t.Errorf("%s: the fourth endorsement's result is %d, %v", code, round.Number, err)
		}
		c.peers[0].validity = func(int) peer.TxValidationCode { return code }
		_, err = c.connect(t, gateway.Options{Attempts: 3}).Contracts().Rounds.Tally(t.Context(), firstRound)
		wantCode(t, err, "MF-GATEWAY-CONFLICT")
	}
}

func TestEndorsersThatLagAreAskedAgain(t *testing.T) {
	c := newConsortium(t, 1)
	c.peers[0].onEndorse = func(n int) error {
		if n < 3 {
			return refusal(codes.Aborted, "failed to collect enough transaction endorsements, see attached details for more info", "chaincode response 500, MF-ROUND-PHASE: the round is training; wait")
		}
		return nil
	}
	if _, err := c.connect(t, gateway.Options{}).Contracts().Rounds.CommitScores(t.Context(), fl.CommitRequest{Task: "t", Round: 1, Hash: "h"}); err != nil {
		t.Fatal(err)
	}
}

// Trap 3 of the network: the orderers say Unavailable though the transaction was
// committed.
func TestUnavailableSubmitAsksForTheTransactionsFate(t *testing.T) {
	c := newConsortium(t, 2)
	c.peers[0].onSubmit = func(_ int, id string) error {
		c.ledger.commit(id, peer.TxValidationCode_VALID)
		return refusal(codes.Unavailable, "insufficient number of orderers", "request already processed")
	}
	round, err := c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
	if err != nil || round.Number != 1 || c.peers[0].endorsed != 1 || len(c.ledger.order) != 1 {
		t.Fatalf("%+v, %v, %d endorsements", round, err, c.peers[0].endorsed)
	}
}

func TestLostSubmitIsRepeated(t *testing.T) {
	c := newConsortium(t, 2)
	lose := func(n int, id string) error {
		if n == 1 {
			return refusal(codes.Unavailable, "no orderers could successfully process transaction")
		}
		return nil
	}
	c.peers[0].onSubmit = lose
	g := c.connect(t, gateway.Options{StatusTimeout: 50 * time.Millisecond})
	if _, err := g.Contracts().Rounds.OpenRound(t.Context(), firstRound); err != nil {
		t.Fatal(err)
	}
	if len(c.ledger.order) != 1 {
		t.Errorf("committed %d times", len(c.ledger.order))
	}
	for _, p := range c.peers {
		p.do(func() {
			p.onSubmit = func(int, string) error { return refusal(codes.Unavailable, "no orderer nodes available") }
		})
	}
	_, err := c.connect(t, gateway.Options{StatusTimeout: 20 * time.Millisecond, Attempts: 3}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
	wantCode(t, err, "MF-GATEWAY-UNREACHABLE")
}

func TestPeerThatDiesWhileTheCommitIsAwaited(t *testing.T) {
	c := newConsortium(t, 2)
	c.peers[0].onStatus = func(string) error { return refusal(codes.Unavailable, "going down") }
	round, err := c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
	if err != nil || round.Number != 1 || len(c.ledger.order) != 1 {
		t.Fatalf("%+v, %v, committed %d times", round, err, len(c.ledger.order))
	}
}

func TestCommitThatNeverComes(t *testing.T) {
	c := newConsortium(t, 1)
	block := func(string) error {
		return refusal(codes.DeadlineExceeded, "still waiting")
	}
	c.peers[0].onStatus = block
	_, err := c.connect(t, gateway.Options{Attempts: 2, StatusTimeout: 20 * time.Millisecond, CommitTimeout: 20 * time.Millisecond}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
	wantCode(t, err, "MF-GATEWAY-UNKNOWN")
}

func TestInvalidForOtherReasons(t *testing.T) {
	for code, want := range map[peer.TxValidationCode]mfcodes.Code{
		peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE: "MF-GATEWAY-POLICY",
		peer.TxValidationCode_BAD_CREATOR_SIGNATURE:      "MF-GATEWAY-INVALID",
	} {
		c := newConsortium(t, 1)
		c.peers[0].validity = func(int) peer.TxValidationCode { return code }
		_, err := c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
		wantCode(t, err, want)
		if c.peers[0].endorsed != 1 {
			t.Errorf("%s was repeated", code)
		}
	}
}

func TestAnotherPeerIsAskedWhenOneIsDead(t *testing.T) {
	c := newConsortium(t, 3)
	g := c.connect(t, gateway.Options{})
	c.peers[0].server.Stop()
	if _, err := g.Contracts().Rounds.OpenRound(t.Context(), firstRound); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Contracts().Tasks.GetTask(t.Context(), fl.TaskRequest{Task: "t"}); err != nil {
		t.Fatal(err)
	}
	if got := c.peers[1].targets; len(got) != 1 || !slices.Equal(got[0], []string{"Hospital2MSP"}) {
		t.Errorf("targets %v", got)
	}
	c.peers[1].server.Stop()
	c.peers[2].server.Stop()
	_, err := c.connect(t, gateway.Options{Attempts: 4}).Contracts().Tasks.GetTask(t.Context(), fl.TaskRequest{Task: "t"})
	wantCode(t, err, "MF-GATEWAY-UNREACHABLE")
}

func TestPeersThatFailWithoutCode(t *testing.T) {
	for said, want := range map[string]mfcodes.Code{
		"request unauthorized due to incorrect timestamp 2020": "MF-GATEWAY-CLOCK",
		"access denied: channel [medfed] creator org unknown":  "MF-GATEWAY-DENIED",
		"ProposalResponsePayloads do not match":                "MF-GATEWAY-REFUSED",
		"chaincode medfed not found":                           "MF-GATEWAY-REFUSED",
	} {
		c := newConsortium(t, 1)
		c.peers[0].onEndorse = func(int) error { return refusal(codes.Aborted, "failed to endorse transaction", said) }
		_, err := c.connect(t, gateway.Options{Attempts: 2}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
		wantCode(t, err, want)
	}
	c := newConsortium(t, 1)
	c.peers[0].onEvaluate = func() ([]byte, error) { return []byte("no json"), nil }
	_, err := c.connect(t, gateway.Options{}).Contracts().Tasks.GetTask(t.Context(), fl.TaskRequest{Task: "t"})
	wantCode(t, err, "MF-GATEWAY-RESULT")
	err = c.connect(t, gateway.Options{}).Submit(t.Context(), "t:T", func() {}, nil)
	wantCode(t, err, "MF-GATEWAY-RESULT")
}

func TestSlowPeerTimesOutAndTheCallersCancelWins(t *testing.T) {
	c := newConsortium(t, 1)
	release := make(chan struct{})
	defer close(release)
	c.peers[0].onEndorse = func(int) error { <-release; return nil }
	_, err := c.connect(t, gateway.Options{CallTimeout: 30 * time.Millisecond, Attempts: 2}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
	wantCode(t, err, "MF-GATEWAY-TIMEOUT")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(ctx, firstRound)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// serveEvents sends events of blocks from the requested position on, at most
// limit of them, and then breaks off.
func serveEvents(starts *[]string, limit int) func(*gatewaypb.ChaincodeEventsRequest, gatewaypb.Gateway_ChaincodeEventsServer) error {
	return func(r *gatewaypb.ChaincodeEventsRequest, s gatewaypb.Gateway_ChaincodeEventsServer) error {
		from := uint64(100)
		if at, ok := r.GetStartPosition().GetType().(*orderer.SeekPosition_Specified); ok {
			from = at.Specified.GetNumber()
		}
		*starts = append(*starts, fmt.Sprintf("%d after %q", from, r.GetAfterTransactionId()))
		if r.GetAfterTransactionId() != "" {
			from++
		}
		for n := from; n < from+uint64(limit); n++ {
			err := s.Send(&gatewaypb.ChaincodeEventsResponse{BlockNumber: n, Events: []*peer.ChaincodeEvent{
				{ChaincodeId: "medfed", TxId: fmt.Sprintf("tx%d", n), EventName: "round:OpenRound", Payload: fmt.Appendf(nil, `{"task":"t","round":%d}`, n)},
			}})
			if err != nil {
				return err
			}
		}
		return refusal(codes.Unavailable, "going down")
	}
}

func TestEventsGoOnAfterABreak(t *testing.T) {
	c := newConsortium(t, 2)
	var first, second []string
	c.peers[0].onEvents = serveEvents(&first, 3)
	c.peers[1].onEvents = serveEvents(&second, 2)
	ctx, cancel := context.WithCancel(t.Context())
	events := c.connect(t, gateway.Options{}).Events(ctx, nil)
	var got []int
	for range 9 {
		event := <-events
		if event.Name != "round:OpenRound" || event.TransactionID != fmt.Sprintf("tx%d", event.Block) || event.Task != "t" {
			t.Errorf("%+v", event)
		}
		got = append(got, event.Round)
	}
	if want := []int{100, 101, 102, 103, 104, 105, 106, 107, 108}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	cancel()
	for range events { // closes
	}
	if first[0] != `100 after ""` || second[0] != `102 after "tx102"` {
		t.Errorf("asked from %v and %v", first, second)
	}
}

func TestEventsFromAFileCheckpoint(t *testing.T) {
	c := newConsortium(t, 1)
	var starts []string
	c.peers[0].onEvents = serveEvents(&starts, 5)
	path := filepath.Join(t.TempDir(), "checkpoint")
	read := func(n int) (rounds []int) {
		checkpoint, err := client.NewFileCheckpointer(path)
		if err != nil {
			t.Fatal(err)
		}
		defer checkpoint.Close()
		ctx, cancel := context.WithCancel(t.Context())
		events := c.connect(t, gateway.Options{}).Events(ctx, checkpoint)
		for range n {
			event := <-events
			rounds = append(rounds, event.Round)
			if err := checkpoint.CheckpointTransaction(event.Block, event.TransactionID); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		for range events {
		}
		return rounds
	}
	if got := append(read(2), read(2)...); !slices.Equal(got, []int{100, 101, 102, 103}) {
		t.Errorf("events %v", got)
	}
}
