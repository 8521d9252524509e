package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/gateway"
)

func TestEveryCommandHasHelpAndChecksItsArguments(t *testing.T) {
	walk(newRoot(newApp(nil, nil)), func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" || c.Parent() != nil && c.Parent().Name() == "completion" {
			return
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s is described as %q", c.CommandPath(), c.Short)
		}
		if c.Args == nil {
			t.Errorf("%s does not check its arguments", c.CommandPath())
		}
		if c.RunE == nil {
			t.Errorf("%s does nothing", c.CommandPath())
		}
	})
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		walk(child, visit)
	}
}

func TestShardAndPartition(t *testing.T) {
	for text, ok := range map[string]bool{"1/1": true, "9/9": true, "0/9": false, "10/9": false, "1": false, "1/9/9": false, "a/9": false, "": false} {
		var s shard
		if err := s.Set(text); (err == nil) != ok || ok && s.String() != text {
			t.Errorf("shard %q: %v", text, err)
		}
	}
	for text, ok := range map[string]bool{"iid": true, "dirichlet:0.5": true, "iid:1": false, "dirichlet": false, "dirichlet:0": false, "dirichlet:NaN": false, "": false} {
		var p partition
		if err := p.Set(text); (err == nil) != ok || ok && p.String() != text {
			t.Errorf("partition %q: %v", text, err)
		}
	}
}

// TestDistance holds the row-by-row distance against the recursive definition.
func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := distance(a, b), slowDistance(a, b); got != want {
			t.Fatalf("distance of %q and %q is %d, want %d", a, b, got, want)
		}
	})
}

func slowDistance(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	replaced := slowDistance(a[1:], b[1:])
	if a[0] != b[0] {
		replaced++
	}
	return min(replaced, slowDistance(a[1:], b)+1, slowDistance(a, b[1:])+1)
}

func TestInAPipeThereIsNoProgress(t *testing.T) {
	var b bytes.Buffer
	shown := newApp(&b, &b).newBars()
	shown.Step("gateways", 1, 5)
	shown.Bytes("downloading", 10, -1)
	shown.Close()
	if b.Len() != 0 {
		t.Errorf("progress went into a pipe: %q", b.String())
	}
}

func TestAnInterruptHidesWhatItBroke(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.openLedger = func(string, string) (ledgerClient, error) { return &movie{}, nil }
	status := run(ctx, a, []string{"round", "watch", "t", "--profile", "p", "--identity", "i"})
	if status != 130 || !strings.HasPrefix(errs.String(), "medfed: MF-INTERRUPTED: ") {
		t.Errorf("exit status %d, said %q", status, errs.String())
	}
}

// movie is a ledger that shows one scene of a task after another.
type movie struct {
	gateway.PrivateCaller
	mu     sync.Mutex
	scenes []scene
	events chan gateway.Event
}

// next goes on to the next scene.
func (m *movie) next() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scenes = m.scenes[1:]
}

func (m *movie) now() scene {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.scenes[0]
}

// scene is what the ledger says of task t: its phase, and the phases of its
// rounds from 1.
type scene struct {
	task   fl.TaskPhase
	rounds []fl.RoundPhase
}

func (m *movie) Identity() *gateway.Identity                                     { return &gateway.Identity{} }
func (m *movie) Close() error                                                    { return nil }
func (m *movie) Submit(context.Context, string, any, any) error                  { return errors.New("read only") }
func (m *movie) Events(context.Context, gateway.Checkpoint) <-chan gateway.Event { return m.events }

func (m *movie) Evaluate(ctx context.Context, transaction string, request, result any) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := m.now()
	switch answer := result.(type) {
	case *fl.TaskState:
		answer.Task.Phase, answer.LastRound = now.task, len(now.rounds)
	case *fl.RoundState:
		number := request.(fl.RoundRequest).Round
		answer.Round = fl.Round{Task: "t", Number: number, Phase: now.rounds[number-1]}
	}
	return nil
}

func TestWatchPrintsEachChangeOnceAndEndsWithTheTask(t *testing.T) {
	m := &movie{events: make(chan gateway.Event), scenes: []scene{
		{fl.TaskStarting, nil},
		{fl.TaskRunning, []fl.RoundPhase{fl.RoundTraining}},
		{fl.TaskRunning, []fl.RoundPhase{fl.RoundTraining}}, // an update came
		{fl.TaskRunning, []fl.RoundPhase{fl.RoundCommitting}},
		{fl.TaskRunning, []fl.RoundPhase{fl.RoundFailed, fl.RoundTraining}}, // two changes between two looks
		{fl.TaskCompleted, []fl.RoundPhase{fl.RoundFailed, fl.RoundClosed}},
	}}
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.format = formatJSON
	w := &watch{app: a, contracts: gateway.ContractsOf(m), task: "t", next: 1}
	for range m.scenes {
		over, err := w.look(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if over != (len(m.scenes) == 1) {
			t.Errorf("with %d scenes to come, over is %v", len(m.scenes)-1, over)
		}
		if !over {
			m.next()
		}
	}
	var phases []string
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, `"number":`)
		number, rest, _ := strings.Cut(rest, `,"phase":"`)
		phase, _, _ := strings.Cut(rest, `"`)
		phases = append(phases, number+" "+phase)
	}
	want := "1 training, 1 committing, 1 failed, 2 training, 2 closed"
	if got := strings.Join(phases, ", "); got != want {
		t.Errorf("printed %s, want %s", got, want)
	}
}

func TestWatchWakesAtAnEventOfItsTask(t *testing.T) {
	m := &movie{events: make(chan gateway.Event), scenes: []scene{{fl.TaskRunning, nil}, {fl.TaskFailed, nil}}}
	w := &watch{app: newApp(&bytes.Buffer{}, nil), contracts: gateway.ContractsOf(m), task: "t", next: 1}
	finished := make(chan error, 1)
	go func() { finished <- w.run(context.Background(), m) }()
	m.events <- gateway.Event{Event: fl.Event{Task: "another"}}
	m.next()
	m.events <- gateway.Event{Event: fl.Event{Task: "t"}}
	if err := <-finished; err == nil || !strings.HasPrefix(err.Error(), "MF-TASK-FAILED: ") {
		t.Errorf("a failed task ended the watch with %v", err)
	}
}

// An augmentation is read as it is written, from a flag and from a file.
func TestAugmentation(t *testing.T) {
	for _, text := range []string{"none", "flip", "shift=2", "rotate=7.5", "flip,shift=1,rotate=10,contrast=0.2"} {
		var a, again augmentation
		if err := a.Set(text); err != nil || a.String() != text {
			t.Errorf("%q is read as %q: %v", text, a.String(), err)
		}
		if err := yaml.Unmarshal([]byte(text), &again); err != nil || again != a {
			t.Errorf("%q is read from YAML as %q: %v", text, again.String(), err)
		}
	}
	a := augmentation{Flip: true}
	for _, text := range []string{"", "flip=1", "shift", "shift=x", "rotate=-1", "flip,,shift=1", "blur=2"} {
		if err := a.Set(text); err == nil || a != (augmentation{Flip: true}) {
			t.Errorf("%q passes as %q", text, a.String())
		}
	}
}

// TestHelpFitsATerminal holds every help page to the columns of a terminal.
func TestHelpFitsATerminal(t *testing.T) {
	walk(newRoot(newApp(nil, nil)), func(c *cobra.Command) {
		if c.Parent() != nil && c.Parent().Name() == "completion" {
			return // the library's own pages
		}
		var b bytes.Buffer
		printHelp(&b, c)
		for line := range strings.Lines(b.String()) {
			if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > helpWidth {
				t.Errorf("%s --help has a line of %d columns: %s", c.CommandPath(), width, line)
			}
		}
	})
}

// TestWrongFlagsAreExplainedInWords gives each flag of each command a value that no
// flag takes: no message names a function of the libraries that parse.
func TestWrongFlagsAreExplainedInWords(t *testing.T) {
	walk(newRoot(newApp(nil, nil)), func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			err := c.ParseFlags([]string{"--" + f.Name + "=\x01"})
			if err == nil {
				return // a text takes anything
			}
			said := flagError(c, err).Error()
			if !strings.HasPrefix(said, "MF-USAGE: --"+f.Name) || strings.Contains(said, "strconv") || strings.Contains(said, "invalid argument") {
				t.Errorf("%s --%s: %s", c.CommandPath(), f.Name, said)
			}
		})
	})
}

func TestATableIsCutToTheTerminal(t *testing.T) {
	var b bytes.Buffer
	if err := writeCut(&b, "short\n0123456789\näöüäöüäöüä\n", 8); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "short\n0123456…\näöüäöüä…\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
