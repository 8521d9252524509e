package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/grpc/codes"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
)

// passedOver is the longest that one who hangs may hold a call up: far from a call's
// time limit, and on a machine as slow as can be. What it is on a real network is
// measured there.
const passedOver = 10 * time.Second

// hang stops a peer until the returned function is called.
func hang(t *testing.T, p *fakePeer) (resume func()) {
	t.Helper()
	stopped := make(chan struct{})
	p.do(func() { p.hung = stopped })
	resume = sync.OnceFunc(func() { close(stopped) })
	t.Cleanup(resume)
	return resume
}

// within fails the test when an action takes longer than it may.
func within(t *testing.T, limit time.Duration, what string, do func() error) {
	t.Helper()
	began := time.Now()
	if err := do(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}

func TestAPeerThatHangsIsPassedOverAndComesBack(t *testing.T) {
	t.Parallel()
	c := newConsortium(t, 3)
	var attempts []int
	g := c.connect(t, gateway.Options{Observe: func(call gateway.Call) { attempts = append(attempts, call.Attempts) }})
	rounds := g.Contracts().Rounds
	open := func() error { _, err := rounds.OpenRound(t.Context(), firstRound); return err }
	read := func() error { _, err := rounds.GetRound(t.Context(), firstRound); return err }
	resume := hang(t, c.peers[0])
	within(t, passedOver, "the first query", read)
	within(t, passedOver, "a transaction", open)
	if !slices.Equal(attempts, []int{2, 1}) {
		t.Errorf("the query and the transaction took %v attempts, want 2 and, once that was known, 1", attempts)
	}
	resume()
	within(t, time.Minute, "coming back", func() error {
		for {
			before := 0
			c.peers[0].do(func() { before = c.peers[0].endorsed })
			if err := open(); err != nil {
				return err
			}
			after := 0
			if c.peers[0].do(func() { after = c.peers[0].endorsed }); after > before {
				return nil
			}
		}
	})
}

func TestATransactionIsTakenFromAPeerThatHangs(t *testing.T) {
	t.Parallel()
	for stage, stop := range map[string]func(c *consortium){
		"endorsing": func(c *consortium) { hang(t, c.peers[0]) },
		"committing": func(c *consortium) {
			c.peers[0].onSubmit = func(int, string) error { hang(t, c.peers[0]); return nil }
		},
	} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			c := newConsortium(t, 3)
			stop(c)
			within(t, passedOver, "the transaction", func() error {
				_, err := c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
				return err
			})
			if n := len(c.ledger.order); n != 1 {
				t.Errorf("committed %d times", n)
			}
		})
	}
}

// The peer that is asked works, and the organisation whose endorsement it waits for
// does not.
func TestAnotherOrganisationThatHangsIsNotAskedToEndorse(t *testing.T) {
	t.Parallel()
	c := newConsortium(t, 3)
	hang(t, c.peers[1])
	var seen [][]string
	waits := make(chan struct{})
	t.Cleanup(func() { close(waits) })
	c.peers[0].onRequest = func(r *gatewaypb.EndorseRequest) { seen = append(seen, r.GetEndorsingOrganizations()) }
	c.peers[0].onEndorse = func(n int) error {
		if n == 1 {
			<-waits
		}
		return nil
	}
	g := c.connect(t, gateway.Options{})
	for range 2 {
		within(t, passedOver, "a transaction", func() error { _, err := g.Contracts().Rounds.OpenRound(t.Context(), firstRound); return err })
	}
	rest := []string{"Hospital1MSP", "Hospital3MSP"}
	if len(seen) != 3 || len(seen[0]) > 0 || !slices.Equal(seen[1], rest) || !slices.Equal(seen[2], rest) {
		t.Errorf("endorsed by %v, want by whom the peer chooses and then twice by %v", seen, rest)
	}
}

// What hangs of a consortium of two can't be left out: the other is no majority.
func TestNobodyIsLeftOutWhereTooFewRemain(t *testing.T) {
	t.Parallel()
	c := newConsortium(t, 2)
	hang(t, c.peers[1])
	var seen [][]string
	c.peers[0].onRequest = func(r *gatewaypb.EndorseRequest) { seen = append(seen, r.GetEndorsingOrganizations()) }
	c.peers[0].onEndorse = func(int) error { time.Sleep(2500 * time.Millisecond); return nil } // slow, and honest
	if _, err := c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || len(seen[0]) > 0 {
		t.Errorf("endorsed by %v, want once by whom the peer chooses", seen)
	}
}

// A machine with too much to do makes all peers slow alike.
func TestSlowIsNotTakenForHanging(t *testing.T) {
	t.Parallel()
	c := newConsortium(t, 3)
	for _, p := range c.peers {
		p.onEndorse = func(int) error { time.Sleep(3 * time.Second); return nil }
		p.late = 1500 * time.Millisecond
	}
	if _, err := c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound); err != nil {
		t.Fatal(err)
	}
	if c.peers[0].endorsed != 1 || c.peers[1].endorsed != 0 {
		t.Errorf("endorsed %d times where it is slow, and %d times elsewhere", c.peers[0].endorsed, c.peers[1].endorsed)
	}
}

// A refusal by all who endorse, in place of one who hangs, is final.
func TestARefusalIsFinalWhileAnOrganisationHangs(t *testing.T) {
	t.Parallel()
	c := newConsortium(t, 3)
	hang(t, c.peers[2])
	early := "chaincode response 500, MF-ROUND-EARLY: 3 of 5 updates are in; wait"
	waits := make(chan struct{})
	t.Cleanup(func() { close(waits) })
	c.peers[0].onEndorse = func(n int) error {
		if n == 1 {
			<-waits
		}
		return refusal(codes.Aborted, "failed to collect enough transaction endorsements, see attached details for more info", early, early)
	}
	_, err := c.connect(t, gateway.Options{}).Contracts().Rounds.CloseTraining(t.Context(), firstRound)
	wantCode(t, err, "MF-ROUND-EARLY")
	if c.peers[0].endorsed != 2 {
		t.Errorf("asked %d times, want once in vain and once to be refused", c.peers[0].endorsed)
	}
}

func TestEventsLeaveAPeerThatHangs(t *testing.T) {
	t.Parallel()
	c := newConsortium(t, 2)
	var starts []string
	c.peers[1].onEvents = serveEvents(&starts, 1)
	g := c.connect(t, gateway.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	events := g.Events(ctx, nil) // at a peer that delivers none
	hang(t, c.peers[0])
	within(t, passedOver, "a query", func() error { _, err := g.Contracts().Rounds.GetRound(t.Context(), firstRound); return err })
	within(t, passedOver, "an event", func() error {
		if event := <-events; event.Block != 100 {
			return fmt.Errorf("the first is %+v", event)
		}
		return nil
	})
	cancel()
	for range events {
	}
}

func TestARefusalOfAPeerThatIsBehindIsNotBelieved(t *testing.T) {
	unknown := func() ([]byte, error) {
		return nil, refusal(codes.Unknown, "evaluate call to endorser returned error", "chaincode response 500, MF-TASK-UNKNOWN: there is no task; see the list")
	}
	for name, d := range map[string]struct {
		heights  [2]uint64
		believed bool
	}{
		"behind": {[2]uint64{3, 9}, false}, "ahead": {[2]uint64{9, 3}, true},
		"as far": {[2]uint64{9, 9}, true}, "says nothing": {[2]uint64{0, 9}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsortium(t, 2)
			for i, p := range c.peers {
				p.height = d.heights[i]
			}
			c.peers[0].onEvaluate = unknown
			_, err := c.connect(t, gateway.Options{}).Contracts().Tasks.GetTask(t.Context(), fl.TaskRequest{Task: "t"})
			if d.believed {
				wantCode(t, err, "MF-TASK-UNKNOWN")
			} else if err != nil {
				t.Error(err)
			}
			c.peers[0].onEndorse = func(int) error {
				return refusal(codes.Aborted, "failed to endorse transaction", "chaincode response 500, MF-TASK-UNKNOWN: there is no task; see the list")
			}
			_, err = c.connect(t, gateway.Options{}).Contracts().Rounds.OpenRound(t.Context(), firstRound)
			if d.believed {
				wantCode(t, err, "MF-TASK-UNKNOWN")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// Only the custodian's peer can say, and it has not got there yet.
func TestWhatOnlyOneCanAnswerIsNotThereYet(t *testing.T) {
	c := newConsortium(t, 2)
	c.peers[0].height, c.peers[1].height = 9, 3
	asked := 0
	c.peers[1].onEvaluate = func() ([]byte, error) {
		if asked++; asked > 2 {
			return []byte(`{}`), nil
		}
		return nil, refusal(codes.Unknown, "evaluate call to endorser returned error", "chaincode response 500, MF-RECORD-UNKNOWN: there is no record; see the list")
	}
	records := c.connect(t, gateway.Options{Attempts: 2}).Contracts().Records
	_, err := records.GetPrivate(t.Context(), "Hospital2MSP", record.VersionRequest{})
	wantCode(t, err, "MF-GATEWAY-BEHIND")
	if _, err := records.GetPrivate(t.Context(), "Hospital2MSP", record.VersionRequest{}); err != nil {
		t.Error(err)
	}
}
