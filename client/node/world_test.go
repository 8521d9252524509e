package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// world is a consortium in one process: the real contracts on an in-memory
// Fabric, an IPFS of one map, nine nodes of five organisations and a coordinator.
type world struct {
	t     testing.TB
	chain *chain
	files *files
	terms fl.Terms
	nodes []string // IDs, the coordinator's last

	mu         sync.Mutex
	identities map[string]*ledgertest.Identity
	keys       map[string]*envelope.Identity
	journals   map[string]*bytes.Buffer
	configure  func(*Config) // of every node, when set
}

// newChaincode makes the contracts once: they keep no state.
var newChaincode = sync.OnceValues(contract.New)

// newWorld makes a consortium whose task waits for its nodes.
func newWorld(t testing.TB, change func(*fl.Terms)) *world {
	t.Helper()
	chaincode, err := newChaincode()
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledgertest.New(chaincode)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, chain: &chain{ledger: l, began: time.Now()}, files: &files{content: map[string][]byte{}},
		identities: map[string]*ledgertest.Identity{}, keys: map[string]*envelope.Identity{}, journals: map[string]*bytes.Buffer{},
	}
	w.enrol("ResearchCentreMSP", "node1", consortium.RoleTrainer)
	for hospital := 1; hospital <= 4; hospital++ {
		for n := 1; n <= 2; n++ {
			w.enrol(fmt.Sprintf("Hospital%dMSP", hospital), fmt.Sprintf("node%d", n), consortium.RoleTrainer)
		}
	}
	w.enrol("ResearchCentreMSP", "coordinator", consortium.RoleCoordinator)
	w.createTask(change)
	return w
}

func (w *world) coordinator() string { return w.nodes[len(w.nodes)-1] }
func (w *world) trainers() []string  { return w.nodes[:len(w.nodes)-1] }

func (w *world) enrol(org, name string, role consortium.Role) {
	w.t.Helper()
	id := org + "/" + name
	key, err := envelope.NewIdentity()
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes = append(w.nodes, id)
	w.identities[id] = w.chain.ledger.Identity(org, name, string(role))
	w.keys[id] = key
	w.journals[id] = &bytes.Buffer{}
}

func (w *world) createTask(change func(*fl.Terms)) {
	w.t.Helper()
	w.terms = fl.Terms{
		Task: "t", Model: "stub", Data: "synthetic", Channels: 1, ImageSize: 1, Classes: 2,
		Training: fl.Training{Epochs: 1, BatchSize: 1, LearningRate: 1000, Seed: 5},
		Strategy: fl.StrategyFedAvg, Metric: fl.MetricAccuracy, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000,
		F: 1, Masters: 4, Participation: fl.One, MinUpdates: 3, MaxExamples: 1000, BaseWeight: 500_000, Rounds: 2, MaxFailed: 3,
		// No phase ends for want of time, however slow the machine: a test lets a
		// deadline pass by setting the clock to it.
		Deadlines: fl.Deadlines{Starting: 36_000, Training: 36_000, Committing: 36_000, Revealing: 36_000, Aggregating: 36_000},
		Recipient: w.keys[w.coordinator()].Recipient(),
	}
	if change != nil {
		change(&w.terms)
	}
	first := vector(0, 0, 0, 0)
	if w.terms.Model != "stub" {
		var err error
		if first, err = model.Initial(Spec(w.terms), 1); err != nil {
			w.t.Fatal(err)
		}
	}
	ref, err := Put(w.t.Context(), w.files, first, []string{w.terms.Recipient})
	if err != nil {
		w.t.Fatal(err)
	}
	w.terms.Initial = ref
	w.do(w.coordinator(), "task:CreateTask", w.terms, nil)
}

// do is a transaction by hand.
func (w *world) do(id, transaction string, request, result any) {
	w.t.Helper()
	if err := w.account(id).Submit(w.t.Context(), transaction, request, result); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) account(id string) *account { return &account{w.chain, w.identities[id]} }

// config is a node's, as the CLI would make it.
func (w *world) config(id string) Config {
	c := Config{
		ID: id, Task: "t", Coordinator: id == w.coordinator(), Identity: w.keys[id],
		Ledger: w.account(id), Store: w.files, Learner: stub{}, Log: w.log(id), Now: w.chain.now,
		Stagger: time.Second, Poll: time.Second, Journal: &lockedWriter{mu: &w.mu, to: w.journals[id]},
	}
	if c.Coordinator {
		c.ExpectNodes, c.Test = len(w.trainers()), examples(4)
	} else {
		c.Train, c.Validation = examples(10+slices.Index(w.nodes, id)), examples(3)
	}
	if w.configure != nil {
		w.configure(&c)
	}
	return c
}

func (w *world) log(id string) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
}

// run lets the named nodes take part until the task is over.
func (w *world) run(ids ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 9*time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() {
			n, err := New(w.config(id))
			if err == nil {
				err = n.Run(ctx)
			}
			if err != nil {
				w.t.Errorf("%s: %v", id, err)
			}
		})
	}
	group.Wait()
}

// onEvent calls f with each new state of the newest round until the test ends.
func (w *world) onEvent(f func(fl.RoundState)) {
	w.t.Helper()
	events := w.account(w.coordinator()).Events(w.t.Context(), nil)
	go func() {
		for event := range events {
			if event.Round == 0 {
				continue
			}
			state, err := w.rounds().GetRound(w.t.Context(), fl.RoundRequest{Task: "t", Round: event.Round})
			if err == nil {
				f(state)
			}
		}
	}()
}

func (w *world) rounds() gateway.Rounds { return gateway.Rounds{Caller: w.account(w.coordinator())} }

func (w *world) task() fl.TaskState {
	w.t.Helper()
	state, err := gateway.Tasks{Caller: w.account(w.coordinator())}.GetTask(w.t.Context(), fl.TaskRequest{Task: "t"})
	if err != nil {
		w.t.Fatal(err)
	}
	return state
}

func (w *world) round(number int) fl.RoundState {
	w.t.Helper()
	state, err := w.rounds().GetRound(w.t.Context(), fl.RoundRequest{Task: "t", Round: number})
	if err != nil {
		w.t.Fatal(err)
	}
	return state
}

// wantCompleted checks that the task has completed, and that each of its rounds
// closed with what everyone sent, once.
func (w *world) wantCompleted() {
	w.t.Helper()
	state := w.task()
	if state.Task.Phase != fl.TaskCompleted || state.Closed != w.terms.Rounds {
		w.t.Fatalf("the task is %s with %d rounds closed of %d", state.Task.Phase, state.Closed, state.LastRound)
	}
	for number := 1; number <= state.LastRound; number++ {
		r := w.round(number)
		if r.Round.Phase != fl.RoundClosed {
			w.t.Errorf("round %d is %s: %s", number, r.Round.Phase, r.Round.Reason)
			continue
		}
		if !w.terms.Retention.KeepsModel(number, state.LastRound) {
			continue // whether it is there is not said
		}
		global, err := Fetch(w.t.Context(), w.files, *r.Round.Global, w.keys[w.nodes[0]])
		if err != nil {
			w.t.Errorf("the global model of round %d: %v", number, err)
		} else if got := quality(global); number > 1 && got < 0.7 {
			w.t.Errorf("the global model of round %d has quality %v", number, got)
		}
	}
}

func (w *world) spans(id string) []Span {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	spans, err := ReadJournal(bytes.NewReader(w.journals[id].Bytes()))
	if err != nil {
		w.t.Fatal(err)
	}
	return spans
}

type lockedWriter struct {
	mu *sync.Mutex
	to io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// chain is the in-memory Fabric with a clock that runs, and its subscribers.
type chain struct {
	ledger *ledgertest.Ledger
	began  time.Time

	mu          sync.Mutex
	ahead       time.Duration
	delivered   uint64 // blocks whose events have been delivered
	subscribers map[chan gateway.Event]context.Context
}

// now is the ledger's own time. It runs as the machine's does, and jumps when a
// test lets a deadline pass.
func (c *chain) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ledgertest.Start.Add(time.Since(c.began) + c.ahead)
}

// jump sets the clock to a deadline that lies ahead.
func (c *chain) jump(deadline int64) {
	left := time.Unix(deadline, 0).Sub(c.now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += max(0, left)
}

// deliver sends the events of new blocks to all subscribers.
func (c *chain) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.ledger.Events(c.delivered) {
		event := gateway.Event{Name: e.Name}
		if err := json.Unmarshal(e.Payload, &event.Event); err != nil {
			panic(err)
		}
		for subscriber, ctx := range c.subscribers {
			select {
			case subscriber <- event:
			case <-ctx.Done():
			}
		}
		c.delivered = max(c.delivered, e.Block+1)
	}
}

// account is the ledger as one identity sees it: what client/gateway is on a real
// network, retries of conflicts included.
type account struct {
	chain    *chain
	identity *ledgertest.Identity
}

func (a *account) Submit(ctx context.Context, transaction string, request, result any) error {
	for attempt := 0; ; attempt++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.chain.ledger.SetTime(a.chain.now())
		r, err := a.chain.ledger.Submit(a.identity, transaction, request)
		var conflict *ledgertest.CommitError
		if errors.As(err, &conflict) && attempt < 20 {
			continue
		}
		if err != nil {
			return refused(err)
		}
		a.chain.deliver()
		if result == nil {
			return nil
		}
		return json.Unmarshal(r.Payload, result)
	}
}

func (a *account) Evaluate(ctx context.Context, transaction string, request, result any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	answer, err := a.chain.ledger.Evaluate(a.identity, transaction, request)
	if err != nil {
		return refused(err)
	}
	return json.Unmarshal(answer, result)
}

func refused(err error) error {
	if answer := codes.Parse(err.Error()); answer != nil {
		return answer
	}
	return err
}

func (a *account) Events(ctx context.Context, _ gateway.Checkpoint) <-chan gateway.Event {
	a.chain.mu.Lock()
	defer a.chain.mu.Unlock()
	in, out := make(chan gateway.Event, 100), make(chan gateway.Event)
	if a.chain.subscribers == nil {
		a.chain.subscribers = map[chan gateway.Event]context.Context{}
	}
	a.chain.subscribers[in] = ctx
	go func() {
		defer close(out)
		for {
			select {
			case event := <-in:
				select {
				case out <- event:
					continue
				case <-ctx.Done():
				}
			case <-ctx.Done():
			}
			a.chain.mu.Lock()
			delete(a.chain.subscribers, in)
			a.chain.mu.Unlock()
			return
		}
	}()
	return out
}

// files is IPFS as a map.
type files struct {
	mu      sync.Mutex
	content map[string][]byte
	gets    map[string]int // by CID
	pins    map[string]int
	names   map[string]string // by CID
	stuck   bool              // nothing can be removed
}

func (f *files) Add(ctx context.Context, r io.Reader) (string, error) {
	return f.AddNamed(ctx, "", r)
}

func (f *files) AddNamed(ctx context.Context, name string, r io.Reader) (string, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	cid, err := ipfs.ComputeCID(bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content[cid] = content
	if f.names == nil {
		f.names = map[string]string{}
	}
	f.names[cid] = name
	return cid, nil
}

func (f *files) Named(_ context.Context, prefix string) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := maps.Clone(f.names)
	maps.DeleteFunc(found, func(cid, name string) bool { return f.content[cid] == nil || !strings.HasPrefix(name, prefix) })
	return found, nil
}

func (f *files) Get(ctx context.Context, cid string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gets == nil {
		f.gets = map[string]int{}
	}
	f.gets[cid]++
	content, ok := f.content[cid]
	if !ok {
		return nil, codes.Errorf("MF-IPFS-TIMEOUT", "fetching %s: nobody has it; check", cid)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (f *files) Pin(_ context.Context, cid string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins == nil {
		f.pins = map[string]int{}
	}
	f.pins[cid]++
	return nil
}

func (f *files) Remove(_ context.Context, cid string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck {
		return codes.Errorf("MF-IPFS-KEPT", "%s stays; look", cid)
	}
	delete(f.content, cid)
	return nil
}

func (f *files) has(cid string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content[cid] != nil
}

// stub learns four numbers: training moves them towards 1, each node a little
// beside it, and the quality is how near they are.
type stub struct{}

func vector(values ...float32) *weights.Weights {
	return &weights.Weights{Tensors: []weights.Tensor{{Name: "w", Shape: []int{len(values)}, Data: values}}}
}

func (stub) Train(ctx context.Context, _ model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions) (*weights.Weights, error) {
	w := start.Clone()
	for i := range w.Tensors[0].Data {
		aside := float32(o.Seed>>(8*i)&0xff) / 0xff * 0.1
		w.Tensors[0].Data[i] += 0.7 * (1 - w.Tensors[0].Data[i] + aside)
	}
	return w, ctx.Err()
}

// TrainPrivately is Train with the noise that the secret gives, 0.01 at most.
func (s stub) TrainPrivately(ctx context.Context, spec model.Spec, start *weights.Weights, data dataset.Split, o model.TrainOptions, p model.PrivateOptions) (*weights.Weights, error) {
	w, err := s.Train(ctx, spec, start, data, o)
	for i := range w.Tensors[0].Data {
		w.Tensors[0].Data[i] += float32(p.Secret[i]) / 0xff * 0.01
	}
	return w, err
}

// quality is 1 at the aim and 0 a distance of 1 from it.
func quality(w *weights.Weights) float64 {
	var far float64
	for _, v := range w.Tensors[0].Data {
		far += math.Abs(1-float64(v)) / float64(len(w.Tensors[0].Data))
	}
	return max(0, 1-far)
}

func (stub) Evaluate(ctx context.Context, _ model.Spec, w *weights.Weights, data dataset.Split) (metrics.Result, error) {
	if w.Tensors[0].Data[0] == 1234 {
		panic("numbers that the arithmetic cannot bear")
	}
	q := quality(w)
	return metrics.Result{Accuracy: q, AUC: q / 2, NumExamples: data.Len()}, ctx.Err()
}

func (stub) Aggregate(strategy string, previous *weights.Weights, updates []fed.Update) (*weights.Weights, error) {
	return fed.Aggregate(strategy, previous, updates)
}

func examples(n int) dataset.Split {
	return dataset.Split{Values: make([]float32, n), Labels: make([]int, n)}
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if err == nil || codes.Of(err) != want || !strings.HasPrefix(err.Error(), string(want)+": ") {
		t.Fatalf("%v, want %s", err, want)
	}
}
