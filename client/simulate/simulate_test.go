package simulate

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/weights"
)

const size = 16

// images draws n noisy images of which a bright upper half is class 0, a bright
// lower half class 1.
func images(n int, seed uint64) dataset.Split {
	s := dataset.Split{Values: make([]float32, n*size*size), Labels: make([]int, n)}
	for i := range s.Values {
		seed = seed*6364136223846793005 + 1442695040888963407
		label := i / (size * size) % 2
		s.Values[i] = float32(int64(seed>>40)-1<<23) / (1 << 24)
		if (i%(size*size) < size*size/2) == (label == 0) {
			s.Values[i] += 0.5
		}
	}
	for i := range s.Labels {
		s.Labels[i] = i % 2
	}
	return s
}

func tiny() *dataset.Data {
	return &dataset.Data{Name: dataset.Synthetic, SHA256: strings.Repeat("0", 64), Synthetic: true, Channels: 1, Size: size, Classes: []string{"normal", "pneumonia"},
		Train: images(96, 1), Validation: images(32, 2), Test: images(32, 3)}
}

// few is a setting of 8 clients that a test has time for.
func few() Settings {
	s := Defaults()
	s.Clients, s.Participation, s.Rounds, s.Epochs, s.BatchSize, s.LearningRate, s.Momentum = 8, fl.One, 3, 2, 12, fl.One/20, fl.One/2
	s.Threshold = fl.One / 2
	return s
}

func run(t *testing.T, s Settings) (*Simulation, *Report) {
	t.Helper()
	simulation, err := New(s, tiny(), nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := simulation.Run(t.Context(), Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	return simulation, report
}

func TestDefaultsAreThePapersSetting(t *testing.T) {
	s := Defaults()
	if s.Clients != 100 || s.Participation != 100_000 || s.Rounds != 50 || s.Epochs != 3 || s.BatchSize != 128 || s.Model != "hmchain-cnn" || s.LearningRate != 100_000 {
		t.Errorf("%+v", s)
	}
}

func TestTheRoundsAreThoseOfTheLedgersRules(t *testing.T) {
	s := few()
	s.Poison, s.ThresholdKind, s.Threshold = Poison{Kind: PoisonSignFlip, Share: fl.One / 4}, fl.ThresholdAbsolute, fl.One*6/10
	s.Rounds = 4
	simulation, report := run(t, s)
	state, rounds := simulation.State()
	if found := fl.Differences(state, rounds); len(found) > 0 {
		t.Errorf("the rules' replay finds otherwise: %+v", found)
	}
	if len(report.Poisoned) != 2 {
		t.Errorf("%d of 8 clients are dishonest, want 2", len(report.Poisoned))
	}
}

func TestItLearns(t *testing.T) {
	s := few()
	s.Rounds = 6
	_, report := run(t, s)
	if report.Phase != fl.TaskCompleted || report.Test == nil || report.Test.AUC < 0.9 {
		t.Errorf("the task is %s and the test split says %+v", report.Phase, report.Test)
	}
}

// TestTheTestSplitIsLeftAlone: with it or without, the rounds are the same.
func TestTheTestSplitIsLeftAlone(t *testing.T) {
	s := few()
	_, tested := run(t, s)
	s.Untested = true
	_, untested := run(t, s)
	if tested.Test == nil || untested.Test != nil {
		t.Errorf("test metrics are %v and, where the split is left alone, %v", tested.Test, untested.Test)
	}
	if untested.Digest != tested.Digest {
		t.Error("leaving the test split alone changed the model")
	}
	s.Curve = CurveTest
	if _, err := New(s, tiny(), nil); err == nil || codes.Of(err) != "MF-SIMULATE-SETTINGS" {
		t.Errorf("a curve on the split that is left alone: %v", err)
	}
}

func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	strategies := []string{"fedavg", "fedadam:eta=0.01", "fedavgm:server_momentum=0.5", "fedprox:proximal_mu=0.1", "krum:num_malicious_nodes=1"}
	if testing.Short() {
		strategies = strategies[:2]
	}
	for _, strategy := range strategies {
		s := few()
		s.Strategy, s.Rounds, s.Split, s.Alpha = strategy, 2, dataset.Dirichlet, 1
		_, first := run(t, s)
		_, second := run(t, s)
		first.Seconds, second.Seconds = 0, 0
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%s: two runs differ", strategy)
		}
		s.Seed++
		if _, other := run(t, s); other.Digest == first.Digest {
			t.Errorf("%s: another seed gives the same model", strategy)
		}
	}
}

func TestWithoutMastersItIsFedAvg(t *testing.T) {
	s := few()
	s.Masters, s.F, s.Rounds = 0, 0, 1
	simulation, report := run(t, s)
	round := report.Rounds[0]
	if len(round.Round.Trainers) != 8 || len(round.Reveals) != 0 {
		t.Fatalf("%d trainers, %d reveals", len(round.Round.Trainers), len(round.Reveals))
	}
	again, err := New(s, tiny(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var updates []fed.Update
	for i := range again.clients {
		c := &again.clients[i]
		w, err := again.train(t.Context(), c, 1, again.global)
		if err != nil {
			t.Fatal(err)
		}
		updates = append(updates, fed.Update{ID: c.id, Weights: w, NumExamples: int64(c.data.Len())})
	}
	want, err := fed.Aggregate("fedavg", again.global, updates)
	if err != nil {
		t.Fatal(err)
	}
	if want.Digest() != simulation.Global().Digest() {
		t.Error("the global model is not the mean of all clients' updates")
	}
}

// Killed after any round, it goes on to the same end.
func TestResume(t *testing.T) {
	strategies := []string{"fedadam:eta=0.01", "fedavg", "fedavgm:server_momentum=0.5"}
	if testing.Short() {
		strategies = strategies[:1]
	}
	for _, strategy := range strategies {
		s := few()
		s.Strategy = strategy
		_, want := run(t, s)
		path := filepath.Join(t.TempDir(), "checkpoint.json")
		killed := errors.New("killed")
		simulation, err := New(s, tiny(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = simulation.Run(t.Context(), Hooks{Saved: func(c Checkpoint) error {
				if err := WriteCheckpoint(path, c); err != nil {
					t.Fatal(err)
				}
				return killed
			}})
			if !errors.Is(err, killed) {
				t.Fatalf("got %v", err)
			}
			saved, err := ReadCheckpoint(path)
			if err != nil {
				t.Fatal(err)
			}
			if simulation, err = Resume(s, tiny(), nil, saved); err != nil {
				t.Fatal(err)
			}
		}
		got, err := simulation.Run(t.Context(), Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		got.Seconds, want.Seconds = 0, 0
		left, _ := json.Marshal(got)
		right, _ := json.Marshal(want)
		if string(left) != string(right) {
			t.Errorf("%s: resumed it ends otherwise", strategy)
		}
	}
}

func TestAStrangersCheckpointIsRefused(t *testing.T) {
	s := few()
	s.Rounds = 1
	simulation, _ := run(t, s)
	good := simulation.checkpoint()
	for name, spoil := range map[string]func(*Settings, *dataset.Data, *Checkpoint){
		"seed":   func(s *Settings, _ *dataset.Data, _ *Checkpoint) { s.Seed++ },
		"data":   func(_ *Settings, d *dataset.Data, _ *Checkpoint) { d.SHA256 = strings.Repeat("1", 64) },
		"bytes":  func(_ *Settings, _ *dataset.Data, c *Checkpoint) { c.Global = c.Global[:100] },
		"global": func(_ *Settings, _ *dataset.Data, c *Checkpoint) { c.Rounds = nil },
		"standing": func(_ *Settings, _ *dataset.Data, c *Checkpoint) {
			c.Standings = []fl.Standing{}
		},
	} {
		settings, data, checkpoint := s, tiny(), good
		spoil(&settings, data, &checkpoint)
		if _, err := Resume(settings, data, nil, checkpoint); err == nil || codes.Of(err) != "MF-SIMULATE-CHECKPOINT" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s.Rounds = 2 // more rounds are fine
	if _, err := Resume(s, tiny(), nil, good); err != nil {
		t.Error(err)
	}
}

// Clients that turn dishonest once the model has learned get nothing in.
func TestPoisonedUpdatesAreRejected(t *testing.T) {
	s := few()
	s.Rounds, s.Threshold = 6, fl.One*45/100
	simulation, clean := run(t, s)
	simulation.settings.Rounds, simulation.settings.Poison.Kind = 12, PoisonSignFlip
	simulation.course.Task.Rounds, simulation.course.Task.Phase = 12, fl.TaskRunning
	for i := range 3 {
		simulation.clients[i].poisoned = true
	}
	report, err := simulation.Run(t.Context(), Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	met := 0
	for _, round := range report.Rounds[len(clean.Rounds):] {
		accepted, poisoned := report.Counts(round)
		met += poisoned
		if accepted[1] > 0 {
			t.Errorf("round %d accepts a poisoned update", round.Round.Number)
		}
	}
	if met == 0 {
		t.Error("no poisoned client was sampled; the test says nothing")
	}
	if report.Test.AUC < 0.9 {
		t.Errorf("the test split says %+v", report.Test)
	}
}

func TestPoison(t *testing.T) {
	start := &weights.Weights{Tensors: []weights.Tensor{{Name: "a.weight", Shape: []int{2}, Data: []float32{1, 2}}, {Name: "a.running_var", Shape: []int{1}, Data: []float32{1}}}}
	for text, want := range map[string][]float32{"sign-flip": {-2, -1}, "scale:10": {11, -8}, "label-flip": {2, 1}, "none": {2, 1}} {
		poison, err := ParsePoison(text)
		if err != nil || poison.String() != text {
			t.Fatalf("%s is read as %v, %v", text, poison, err)
		}
		w := start.Clone()
		w.Tensors[0].Data = []float32{2, 1}
		w.Tensors[1].Data[0] = 3
		poison.spoil(start, w)
		if !reflect.DeepEqual(w.Tensors[0].Data, want) || w.Tensors[1].Data[0] != 3 {
			t.Errorf("%s makes %v", text, w.Tensors)
		}
	}
	for _, text := range []string{"", "scale", "scale:x", "scale:NaN", "sign-flip:2", "virus"} {
		if _, err := ParsePoison(text); err == nil {
			t.Errorf("%q is a poison", text)
		}
	}
	s := few()
	s.Poison = Poison{Kind: PoisonLabelFlip, Share: fl.One}
	flipped, err := newClients(s, tiny())
	if err != nil {
		t.Fatal(err)
	}
	s.Poison = Poison{Kind: PoisonNone, Share: fl.One}
	honest, err := newClients(s, tiny())
	if err != nil {
		t.Fatal(err)
	}
	if flipped[3].data.Labels[0] != 1-honest[3].data.Labels[0] {
		t.Error("labels are not flipped")
	}
}

// A model that has run into infinities has nothing to say: rounds fail, and in
// the end the task.
func TestATaskCanFail(t *testing.T) {
	s := few()
	s.ThresholdKind, s.Threshold, s.MaxFailed, s.LearningRate = fl.ThresholdAbsolute, fl.One, 2, 1
	_, report := run(t, s)
	if report.Phase != fl.TaskFailed || len(report.Rounds) != 2 || report.Rounds[1].Round.Reason == "" {
		t.Errorf("%s after %d rounds", report.Phase, len(report.Rounds))
	}
	s.Masters, s.F, s.Strategy = 0, 0, "bulyan:num_malicious_nodes=3"
	_, report = run(t, s)
	if report.Phase != fl.TaskFailed || codes.Parse(report.Rounds[0].Round.Reason).Code != "MF-FED-TOOFEW" {
		t.Errorf("%s: %+v", report.Phase, report.Rounds[0].Round)
	}
}

// TestATaskComesFreeOfAModelThatIsGoodByChance: the first model of this seed is,
// and the updates, of too large steps, lie more than the threshold below it.
func TestATaskComesFreeOfAModelThatIsGoodByChance(t *testing.T) {
	s := few()
	s.Threshold, s.MaxFailed, s.LearningRate, s.Seed = fl.One/10, 5, fl.One, 46
	simulation, err := New(s, tiny(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var saved []Checkpoint
	report, err := simulation.Run(t.Context(), Hooks{Saved: func(c Checkpoint) error { saved = append(saved, c); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if report.Phase != fl.TaskCompleted || len(report.Rounds) < 5 {
		t.Fatalf("the task is %s after %d rounds", report.Phase, len(report.Rounds))
	}
	for i, want := range []fl.Micro{100_000, 200_000, 300_000, 400_000, 100_000} {
		got := report.Rounds[i].Round
		if got.Allowance != want || fl.AnyAccepted(got.Results) != (i >= 3) {
			t.Errorf("round %d has the allowance %d, want %d: %+v, %d", i+1, got.Allowance, want, got.Results, got.PreviousMedian)
		}
	}
	state, rounds := simulation.State()
	if found := fl.Differences(state, rounds); len(found) > 0 {
		t.Errorf("the rules' replay finds otherwise: %+v", found)
	}
	table, err := report.CSV()
	if err != nil || !strings.Contains(string(table), ",0.400000,") {
		t.Errorf("%s, %v", table, err)
	}
	resumed, err := Resume(s, tiny(), nil, saved[1])
	if err != nil {
		t.Fatal(err)
	}
	again, err := resumed.Run(t.Context(), Hooks{})
	if err != nil || again.Digest != report.Digest {
		t.Errorf("gone on with from its second round it comes to another model: %v", err)
	}
	saved[3].Rounds[3].Round.Allowance = fl.One
	if _, err := Resume(s, tiny(), nil, saved[3]); err == nil || !strings.Contains(err.Error(), "allowance") {
		t.Errorf("a checkpoint with an allowance of its own: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Settings){
		"strategy":  func(s *Settings) { s.Strategy = "fedmagic" },
		"clients":   func(s *Settings) { s.Clients = 4 },
		"many":      func(s *Settings) { s.Clients = 1000 },
		"faults":    func(s *Settings) { s.Masters = 3 },
		"curve":     func(s *Settings) { s.Curve = "train" },
		"split":     func(s *Settings) { s.Split = "fair" },
		"share":     func(s *Settings) { s.Poison.Share = -1 },
		"model":     func(s *Settings) { s.Model = "vgg99" },
		"below":     func(s *Settings) { s.Masters = -1 },
		"no rounds": func(s *Settings) { s.Rounds = 0 },
	} {
		s := few()
		spoil(&s)
		if _, err := New(s, tiny(), nil); err == nil || codes.Of(err) == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestItStopsWhenAsked(t *testing.T) {
	simulation, err := New(few(), tiny(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = simulation.Run(ctx, Hooks{Trained: func(done, total int) {
		if total != 12 || done < 1 {
			t.Errorf("%d of %d", done, total)
		}
		cancel()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTableAndPlots(t *testing.T) {
	_, report := run(t, few())
	table, err := report.CSV()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "round,phase,") || !strings.HasPrefix(lines[1], "1,closed,4,") {
		t.Errorf("%s", table)
	}
	svg, err := report.SVG()
	if err != nil {
		t.Fatal(err)
	}
	page, err := report.HTML()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(page), "<svg") || !strings.Contains(string(page), "synthetic data") || strings.Contains(string(page), "<?xml") {
		t.Error("the page lacks its plot or its warning")
	}
	again, _ := report.SVG()
	if string(again) != string(svg) {
		t.Error("two plots of one report differ")
	}
}

func TestFilesAreReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for _, content := range []string{"first", "second"} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := WriteFile(filepath.Join(path, "y"), nil); err == nil || codes.Of(err) != "MF-SIMULATE-WRITE" {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCheckpoint(path); err == nil || codes.Of(err) != "MF-SIMULATE-CHECKPOINT" {
		t.Errorf("got %v", err)
	}
}

// privately is a setting whose budget holds two updates of a client, not three.
func privately() Settings {
	s := few()
	s.Rounds, s.MaxFailed, s.Masters, s.F = 4, 2, 0, 0
	s.Privacy = fl.Privacy{NoiseMultiplier: 1_500_000, ClippingNorm: fl.One, InverseDelta: 1000, Epsilon: 100 * fl.One}
	s.Epochs = 1
	terms := s.terms(tiny())
	cost := fl.UpdateCost(terms, 12)
	s.Privacy.Epsilon = fl.Micro(cost.Plus(cost).Epsilon(s.Privacy.InverseDelta))
	return s
}

func TestPrivateTrainingSpendsAndStopsAtTheBudget(t *testing.T) {
	s := privately()
	_, report := run(t, s)
	if report.Phase != fl.TaskFailed || len(report.Rounds) != 3 {
		t.Fatalf("%s after %d rounds", report.Phase, len(report.Rounds))
	}
	if last := report.Rounds[2].Round; len(last.Spent) != s.Clients || len(last.Trainers) != 0 || last.FailedIn != "" || !strings.Contains(last.Reason, "budget") {
		t.Errorf("%+v", last)
	}
	for i, round := range report.Rounds {
		trained := i < 2
		if (len(round.Updates) == s.Clients) != trained || (round.Round.Phase == fl.RoundClosed) != trained || round.Epsilon > s.Privacy.Epsilon {
			t.Errorf("round %d: %d updates, %s, ε = %d of %d", i+1, len(round.Updates), round.Round.Phase, round.Epsilon, s.Privacy.Epsilon)
		}
	}
	if report.Epsilon() != s.Privacy.Epsilon || len(report.Spendings) != s.Clients {
		t.Errorf("ε is %d of %d, %d clients spent", report.Epsilon(), s.Privacy.Epsilon, len(report.Spendings))
	}
	table, err := report.CSV()
	if err != nil || !strings.Contains(string(table), ",digest,epsilon\n") {
		t.Errorf("%s, %v", table, err)
	}
	_, again := run(t, s)
	if again.Digest != report.Digest {
		t.Error("the same settings give another model")
	}
	s.Privacy = fl.Privacy{}
	s.Rounds = 1
	_, open := run(t, s)
	if open.Rounds[0].Round.Global.Digest == report.Rounds[0].Round.Global.Digest || open.Epsilon() != 0 {
		t.Error("training without privacy is the same, or spends")
	}
}

func TestResumedPrivateTrainingKeepsAccount(t *testing.T) {
	s := privately()
	s.Masters, s.F, s.Participation = 4, 1, fl.One
	s.ThresholdKind, s.Threshold = fl.ThresholdAbsolute, 0
	_, want := run(t, s)
	simulation, err := New(s, tiny(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var saved Checkpoint
	stop := errors.New("stop")
	_, err = simulation.Run(t.Context(), Hooks{Saved: func(c Checkpoint) error { saved = c; return stop }})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	resumed, err := Resume(s, tiny(), nil, saved)
	if err != nil {
		t.Fatal(err)
	}
	got, err := resumed.Run(t.Context(), Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != want.Digest || !reflect.DeepEqual(got.Spendings, want.Spendings) || len(got.Spendings) == 0 {
		t.Errorf("resumed: %s, %+v; want %s, %+v", got.Digest, got.Spendings, want.Digest, want.Spendings)
	}
	state, rounds := resumed.State()
	if found := fl.Differences(state, rounds); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}
