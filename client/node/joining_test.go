package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/fl"
)

func TestWhatAJoiningTaskWaitsFor(t *testing.T) {
	terms := fl.Terms{Task: "t", Masters: 2, Participation: fl.One, MinUpdates: 1}
	nodes := func(orgs ...string) (all []fl.Node) {
		for _, org := range orgs {
			all = append(all, fl.Node{ID: org + "/n", Org: org})
		}
		return all
	}
	members := []string{"A", "B", "C"}
	for _, c := range []struct {
		what     string
		nodes    []fl.Node
		expected int
		members  []string
		want     missing // terms: a part of what is said
	}{
		{"nobody", nil, 3, members, missing{"0 of 3", "A, B, C (3 of 3 organisations)", "2 masters need as many organisations"}},
		{"one", nodes("B"), 3, members, missing{"1 of 3", "A, C (2 of 3 organisations)", "2 masters need as many organisations"}},
		{"two organisations", nodes("A", "B"), 3, members, missing{"2 of 3", "C (1 of 3 organisations)", "updates a round need more nodes"}},
		{"as many as are expected, of one organisation", nodes("A", "A", "A"), 3, nil, missing{"3 of 3", "", "2 masters need as many organisations"}},
		{"all", nodes("A", "B", "B"), 3, members, missing{}},
		{"left to the coordinator", nodes("A", "B", "C"), 0, members, missing{"3, and task start is left to you", "", ""}},
	} {
		got := missingOf(fl.TaskState{Task: fl.Task{Terms: terms}, Nodes: c.nodes}, c.expected, c.members)
		if got.joined != c.want.joined || got.absent != c.want.absent || !strings.Contains(got.terms, c.want.terms) || (got.terms == "") != (c.want.terms == "") {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

// said is a log whose lines come on a channel.
type said chan slog.Record

func (said) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (s said) Handle(_ context.Context, r slog.Record) error  { s <- r; return nil }
func (s said) WithAttrs([]slog.Attr) slog.Handler             { return s }
func (s said) WithGroup(string) slog.Handler                  { return s }

// looked is a ledger that tells of every query.
type looked struct {
	*account
	queries chan string
}

func (l looked) Evaluate(ctx context.Context, transaction string, request, result any) error {
	err := l.account.Evaluate(ctx, transaction, request, result)
	select {
	case l.queries <- transaction:
	case <-ctx.Done():
	}
	return err
}

// A coordinator that expects fewer nodes than the task's terms need says so once,
// however often it looks, and neither tries to start the task nor stores a model
// that nobody will use.
func TestACoordinatorSaysOnceWhatIsMissingAndWaits(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, queries := make(said, 100), make(chan string)
	config := w.config(w.coordinator())
	config.ExpectNodes, config.Poll = 2, time.Millisecond
	config.Members = []string{"Hospital1MSP", "Hospital2MSP", "Hospital3MSP", "Hospital4MSP", "ResearchCentreMSP"}
	config.Ledger, config.Log = looked{w.account(w.coordinator()), queries}, slog.New(lines)
	n, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	look := func(times int) {
		for range times {
			<-queries
		}
	}
	heard := func() (all []string) {
		for {
			select {
			case r := <-lines:
				text := r.Message
				r.Attrs(func(a slog.Attr) bool { text += ": " + a.Value.String(); return true })
				all = append(all, text)
			default:
				return all
			}
		}
	}
	look(20)
	if got := heard(); len(got) != 1 || !strings.Contains(got[0], "waiting for nodes to join: 0 of 2: Hospital1MSP, Hospital2MSP, ") {
		t.Fatalf("said %q", got)
	}
	for _, id := range w.trainers()[:3] {
		w.do(id, "task:JoinTask", fl.JoinRequest{Task: "t", Commitment: strings.Repeat("ab", 32), Recipient: w.keys[id].Recipient()}, nil)
		look(20)
		if got := heard(); len(got) != 1 || !strings.Contains(got[0], "4 masters need as many organisations") {
			t.Fatalf("after %s said %q", id, got)
		}
	}
	if stored := len(w.files.content); stored != 1 || w.task().Task.Phase != fl.TaskJoining {
		t.Errorf("%d files in IPFS, want the first model alone; the task is %s", stored, w.task().Task.Phase)
	}
	cancel()
	go func() {
		for range queries {
		}
	}()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := heard(); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "trying again") }) {
		t.Errorf("said %q", got)
	}
}
