package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	good := Config{ID: "M/n", Task: "t", Identity: key, Ledger: muted{}, Store: &files{}, Train: examples(1)}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no task":     func(c *Config) { c.Task = "" },
		"no ID":       func(c *Config) { c.ID = "" },
		"no identity": func(c *Config) { c.Identity = nil },
		"no ledger":   func(c *Config) { c.Ledger = nil },
		"no store":    func(c *Config) { c.Store = nil },
		"no examples": func(c *Config) { c.Train = dataset.Split{} },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			change(&bad)
			_, err := New(bad)
			wantCode(t, err, "MF-NODE-CONFIG")
		})
	}
	good.Coordinator, good.Train = true, dataset.Split{}
	if _, err := New(good); err != nil {
		t.Errorf("a coordinator needs no examples: %v", err)
	}
}

// deadStore is IPFS that does not answer.
type deadStore struct{ *files }

func (deadStore) Check(context.Context) error {
	return codes.Errorf("MF-IPFS-UNREACHABLE", "no node answers; start it")
}

func TestWhatEndsANodeAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	node, joined, boss := w.nodes[0], w.nodes[1], w.coordinator()
	w.do(joined, "task:JoinTask", fl.JoinRequest{Task: "t", Commitment: strings.Repeat("ab", 32), Recipient: w.keys[joined].Recipient()}, nil)
	for _, c := range []struct {
		what   string
		config Config
		want   codes.Code
	}{
		{"no such task", change(w.config(node), func(c *Config) { c.Task = "other" }), "MF-TASK-UNKNOWN"},
		{"dead IPFS", change(w.config(node), func(c *Config) { c.Store = deadStore{w.files} }), "MF-IPFS-UNREACHABLE"},
		{"a coordinator's identity as a node", change(w.config(boss), func(c *Config) {
			c.Ledger = w.account(boss)
			c.ID = "X/y"
			c.Coordinator = false
			c.Train = examples(1)
		}), "MF-ROLE-DENIED"},
		{"another task's coordinator", change(w.config(boss), func(c *Config) { c.ID = "ResearchCentreMSP/other" }), "MF-NODE-ROLE"},
		{"a node that has lost its age key", change(w.config(joined), func(c *Config) { c.Identity = w.keys[node] }), "MF-NODE-KEY"},
	} {
		t.Run(c.what, func(t *testing.T) {
			n, err := New(c.config)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			wantCode(t, n.Run(ctx), c.want)
		})
	}
	n, err := New(w.config(joined)) // with the key it had
	if err != nil {
		t.Fatal(err)
	}
	if err := n.check(t.Context()); err != nil {
		t.Errorf("a node whose key file was restored: %v", err)
	}
}

func change(c Config, f func(*Config)) Config {
	f(&c)
	return c
}

func TestNodeThatComesTooLate(t *testing.T) {
	w := newWorld(t, func(terms *fl.Terms) { terms.Rounds = 1 })
	late := w.nodes[0]
	for _, id := range w.trainers()[1:] {
		n, err := New(w.config(id))
		if err != nil {
			t.Fatal(err)
		}
		w.do(id, "task:JoinTask", fl.JoinRequest{Task: "t", Recipient: w.keys[id].Recipient(), Commitment: fl.SaltCommitment("t", id, n.salt(beaconSalt, 0))}, nil)
	}
	w.do(w.coordinator(), "task:StartTask", fl.StartRequest{Task: "t", First: w.terms.Initial, Nodes: len(w.trainers()) - 1}, nil)
	n, err := New(w.config(late))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, n.Run(t.Context()), "MF-NODE-LATE")
}

// Salts and seeds must be the same after a restart, and in a later version, or a
// node that is upgraded in mid-round cannot open what it sealed.
func TestSaltsAndSeeds(t *testing.T) {
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	salt := func(id, task, purpose string, round int) string {
		n := &Node{Config: Config{ID: id, Task: task, Identity: key}}
		return n.salt(purpose, round)
	}
	seen := map[string]string{}
	for _, id := range []string{"a", "ab"} {
		for _, task := range []string{"bc", "c"} {
			for _, purpose := range []string{beaconSalt, scoreSalt} {
				for round := range 12 {
					s, what := salt(id, task, purpose, round), fmt.Sprint(id, task, purpose, round)
					if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(s) || s != salt(id, task, purpose, round) {
						t.Errorf("salt %q", s)
					}
					if other, taken := seen[s]; taken {
						t.Errorf("%s and %s have one salt", what, other)
					}
					seen[s] = what
				}
			}
		}
	}
	seeds := map[int64]bool{}
	for _, seed := range []int64{math.MinInt64, -1, 0, 1, 7, math.MaxInt64} {
		for round := 1; round < 9; round++ {
			for _, id := range []string{"H1/a", "H1/b"} {
				s := trainingSeed(seed, round, id)
				if s < 0 || seeds[s] {
					t.Errorf("seed %d", s)
				}
				seeds[s] = true
			}
		}
	}
	if got, want := trainingSeed(7, 3, "Hospital1MSP/node1"), int64(1059775806242461824); got != want {
		t.Errorf("the training seed was %d and is now %d", want, got)
	}
}

func TestFetchRefusesWhatIsNotOnTheLedger(t *testing.T) {
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	store := &files{content: map[string][]byte{}}
	ref := put(t, store, key, vector(1, 2, 3))
	w, err := Fetch(t.Context(), store, ref, key)
	if err != nil || w.Digest() != ref.Digest {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*fl.ModelRef)
		want   codes.Code
	}{
		"shorter": {func(r *fl.ModelRef) { r.Size-- }, "MF-MODEL-SIZE"},
		"longer":  {func(r *fl.ModelRef) { r.Size++ }, "MF-MODEL-SIZE"},
		"digest":  {func(r *fl.ModelRef) { r.Digest = strings.Repeat("0", 64) }, "MF-MODEL-MISMATCH"},
		"CID":     {func(r *fl.ModelRef) { r.CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" }, "MF-IPFS-TIMEOUT"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := ref
			c.change(&bad)
			_, err := Fetch(t.Context(), store, bad, key)
			wantCode(t, err, c.want)
		})
	}
	// A stranger's file that never ends is not read to its end.
	endless := ref
	store.content[endless.CID] = append(store.content[endless.CID], make([]byte, 8<<20)...)
	_, err = Fetch(t.Context(), store, endless, key)
	wantCode(t, err, "MF-ENVELOPE-CORRUPT")
}

func TestModelsForgetThoseUsedLongestAgo(t *testing.T) {
	m := newModels(&files{content: map[string][]byte{}}, nil, newJournal(nil, nil, "", ""))
	const each = keptBytes / 4
	big := func(v float32) *weights.Weights {
		w := vector(make([]float32, each/4)...)
		w.Tensors[0].Data[0] = v
		return w
	}
	for i, digest := range []string{"a", "b", "c"} {
		m.keep(digest, big(float32(i)))
		m.remember(digest, fl.Micro(i))
	}
	m.find("a")
	m.keep("d", big(3))
	m.keep("e", big(4))
	if m.find("b") != nil || m.find("c") != nil && m.bytes > keptBytes {
		t.Error("what was used longest ago is still kept")
	}
	if m.find("a") == nil || m.find("e") == nil {
		t.Error("what was used last is forgotten")
	}
	if score, known := m.score("a"); !known || score != 0 {
		t.Error("its score is forgotten")
	}
	if _, known := m.score("b"); known {
		t.Error("a score outlives its model")
	}
	m.keep("huge", vector(make([]float32, keptBytes/4+1)...))
	if m.find("huge") == nil || len(m.kept) != 1 {
		t.Errorf("%d models kept beside a huge one", len(m.kept))
	}
}

func TestJournalSurvivesItsWriter(t *testing.T) {
	var out bytes.Buffer
	j := newJournal(&out, nil, "M/n", "t")
	j.span(SpanLedger, 2, "round:OpenRound")()
	out.WriteString(`{"time":"2026-01-01T00:00:00Z","node":"M/n","ki`) // killed here, and started again
	out.WriteString("\n")
	j.write(Span{Round: 3, Kind: SpanScoring, Detail: "H1/a", Metrics: &metrics.Result{Accuracy: 0.5, NumExamples: 7}}, time.Now().Add(-time.Second))
	out.WriteString(`{"time":`)
	spans, err := ReadJournal(&out)
	if err != nil || len(spans) != 2 {
		t.Fatalf("%+v, %v", spans, err)
	}
	if s := spans[1]; s.Node != "M/n" || s.Task != "t" || s.Round != 3 || s.Seconds < 1 || s.Metrics.Accuracy != 0.5 {
		t.Errorf("%+v", s)
	}
	if spans[0].Metrics != nil {
		t.Error("metrics where none were measured")
	}
	newJournal(nil, nil, "", "").span(SpanIPFS, 0, "")() // nowhere to write to
}

// full takes the first bytes of what is written, as a disk does that runs full.
type full struct {
	bytes.Buffer
	room int
}

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A journal on a full disk is told at once and at the end, and goes on where there
// is room again.
func TestAJournalThatLosesLinesIsTold(t *testing.T) {
	var told bytes.Buffer
	out := &full{room: 1 << 20}
	j := newJournal(out, slog.New(slog.NewTextHandler(&told, nil)), "M/n", "t")
	j.span(SpanLedger, 1, "a")()
	if err := j.lost(); err != nil || told.Len() > 0 {
		t.Errorf("%v, and %q, with room", err, told.String())
	}
	out.room = 10
	j.span(SpanLedger, 2, "b")()
	j.span(SpanLedger, 2, "c")()
	out.room = 1 << 20
	j.span(SpanLedger, 3, "d")()
	err := j.lost()
	if codes.Of(err) != "MF-NODE-JOURNAL" || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "2 lines") {
		t.Errorf("at the end: %v", err)
	}
	if lines := strings.Count(told.String(), "level=ERROR"); lines != 1 {
		t.Errorf("told %d times: %s", lines, told.String())
	}
	if spans, err := ReadJournal(&out.Buffer); err != nil || len(spans) != 2 || spans[1].Detail != "d" {
		t.Errorf("kept %+v, %v", spans, err)
	}
}

func TestRemedies(t *testing.T) {
	for message, want := range map[string]string{
		"MF-ROLE-DENIED: x":                       "final",
		"MF-NODE-EXISTS: x":                       "final",
		"MF-MODEL-SHAPE: x":                       "final",
		"MF-IPFS-TOKEN: x":                        "final",
		"MF-ROUND-PHASE: x":                       "overtaken",
		"MF-ROUND-EARLY: x":                       "overtaken",
		"MF-GATEWAY-UNREACHABLE: x":               "again",
		"MF-IPFS-TIMEOUT: x":                      "again",
		"MF-TASK-UNKNOWN: a peer that lags; wait": "again",
		"no code":                                 "again",
	} {
		err := errors.New(message)
		if coded := codes.Parse(message); coded != nil {
			err = coded
		}
		got := "again"
		if overtaken(err) {
			got = "overtaken"
		} else if final(err) {
			got = "final"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
	}
	if !overtaken(fmt.Errorf("training: %w", errOvertaken)) {
		t.Error("a step that was overtaken is not seen as such")
	}
}

// slow trains until it is told to stop.
type slow struct{ stub }

func (slow) Train(ctx context.Context, _ model.Spec, _ *weights.Weights, _ dataset.Split, _ model.TrainOptions) (*weights.Weights, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("training stopped: %w", ctx.Err())
}

func TestAStepEndsWithItsPhase(t *testing.T) {
	n, v := master(t, nil)
	n.Learner = slow{}
	v.Round.Round.Phase = fl.RoundTraining
	train := Action{Kind: Train, Round: 3, Until: start + limit}
	t.Run("by an event", func(t *testing.T) {
		early := v
		early.Now = time.Unix(start, 0)
		ended := make(chan error)
		go func() { ended <- n.perform(t.Context(), early, train) }()
		for { // the step has begun when overtaking it has an effect
			n.running.overtake(3, fl.RoundTraining) // the same phase: no effect
			n.running.overtake(2, fl.RoundClosed)   // an older round: no effect
			n.running.overtake(3, fl.RoundCommitting)
			select {
			case err := <-ended:
				if !overtaken(err) {
					t.Errorf("%v", err)
				}
				return
			default:
			}
		}
	})
	t.Run("by its deadline", func(t *testing.T) {
		late := v
		late.Now = time.Unix(start+limit, 0).Add(-20 * time.Millisecond)
		if err := n.perform(t.Context(), late, train); !overtaken(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("by the end of the node", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.perform(ctx, v, train); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// diverging counts trainings that end in infinities.
type diverging struct {
	stub
	trainings *int
}

func (d diverging) Train(context.Context, model.Spec, *weights.Weights, dataset.Split, model.TrainOptions) (*weights.Weights, error) {
	*d.trainings++
	return nil, codes.Errorf("MF-MODEL-DIVERGED", "the loss is infinite; lower the learning rate")
}

func TestWhatWouldFailAgainIsTrainedOnce(t *testing.T) {
	n, v := master(t, nil)
	trainings := 0
	n.Learner = diverging{trainings: &trainings}
	v.Now = time.Unix(start, 0)
	for range 3 {
		wantCode(t, n.perform(t.Context(), v, Action{Kind: Train, Round: 3}), "MF-MODEL-DIVERGED")
	}
	if trainings != 1 {
		t.Errorf("trained %d times", trainings)
	}
}

// busy refuses the first submits of an update.
type busy struct {
	muted
	refuse  int
	updates []fl.UpdateRequest
}

func (b *busy) Submit(_ context.Context, _ string, request, _ any) error {
	b.updates = append(b.updates, request.(fl.UpdateRequest))
	if b.refuse--; b.refuse >= 0 {
		return codes.Errorf("MF-GATEWAY-UNREACHABLE", "no peer; wait")
	}
	return nil
}

func TestAFailedSubmitCostsNoSecondTraining(t *testing.T) {
	n, v := master(t, nil)
	ledger := &busy{refuse: 2}
	n.Ledger = ledger
	v.Now = time.Unix(start, 0)
	v.Task.Task.Recipient, v.Task.Nodes = n.Identity.Recipient(), nil
	var err error
	for range 3 {
		err = n.perform(t.Context(), v, Action{Kind: Train, Round: 3})
	}
	if err != nil || len(ledger.updates) != 3 || ledger.updates[0] != ledger.updates[2] {
		t.Fatalf("%v, %+v", err, ledger.updates)
	}
	if stored := len(n.Store.(*files).content); stored != 2 { // the previous global model and the update
		t.Errorf("%d files in IPFS", stored)
	}
}

func TestTurns(t *testing.T) {
	n := &Node{Config: Config{Poll: time.Second, Stagger: 300 * time.Millisecond, Now: func() time.Time { return time.Unix(1000, 0) }}}
	var due dueSince
	within := func(what string, got, low, high time.Duration) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: %v, want %v to %v", what, got, low, high)
		}
	}
	within("a wait without end", n.pause(Action{Kind: Wait}, &due), time.Second, time.Second)
	within("a wait with an end", n.pause(Action{Kind: Wait, Until: 1000}, &due), firstBackoff, firstBackoff)
	within("at once", n.pause(Action{Kind: Train}, &due), 0, 0)
	within("the second", n.pause(Action{Kind: Tally, Turn: 2}, &due), 500*time.Millisecond, 600*time.Millisecond)
	within("the fifth, looking on", n.pause(Action{Kind: Tally, Turn: 5}, &due), time.Second, time.Second)
	due.since = due.since.Add(-time.Hour)
	within("its turn has come", n.pause(Action{Kind: Tally, Turn: 5}, &due), 0, 0)
	within("another step, another clock", n.pause(Action{Kind: CloseRound, Turn: 1}, &due), 200*time.Millisecond, 300*time.Millisecond)
}
