package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/backbone"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

// newBook is a book with a folder of its own, BreastMNIST's sizes without its images,
// and no TissueMNIST.
func newBook(t *testing.T) *book {
	t.Helper()
	o := options{out: t.TempDir(), work: t.TempDir(), only: regexp.MustCompile(""), seeds: 2, paperSeeds: 3, headSeeds: 2, rounds: 50, xrayRounds: 3, frozen: 1000}
	b, err := openBook(o)
	if err != nil {
		t.Fatal(err)
	}
	breast, err := dataset.Lookup("breastmnist")
	if err != nil {
		t.Fatal(err)
	}
	tissue, err := dataset.Lookup("tissuemnist")
	if err != nil {
		t.Fatal(err)
	}
	split := func(n int) dataset.Split {
		s := dataset.Split{Labels: make([]int, n)}
		for i := range n {
			if i*156 >= n*42 { // 114 of BreastMNIST's 156 test images are of class 1
				s.Labels[i] = 1
			}
		}
		return s
	}
	data := &dataset.Data{Name: breast.Name, SHA256: "abc", Channels: 1, Size: 28, Classes: []string{"normal", "pneumonia"}, Train: split(breast.Train), Validation: split(breast.Validation), Test: split(breast.Test)}
	b.sets = []*huSet{{name: breast.Name, info: breast, data: data, backbone: &backbone.Backbone{Spec: model.Spec{Name: model.VGG16}, Digest: "d", Origin: "NOT pre-trained: random weights of seed 1"}, enlarged: 702},
		{name: tissue.Name, info: tissue, absent: "tissuemnist.npz is not there"}}
	b.cells = inOrder(b.huCells())
	return b
}

// finish keeps an outcome as if the run had been done.
func finish(t *testing.T, b *book, c cell, o outcome) {
	t.Helper()
	c.run = func(context.Context, string, func(int, int)) (outcome, error) { return o, nil }
	if _, err := b.store.run(t.Context(), c, func(int, int) {}); err != nil {
		t.Fatal(err)
	}
}

// measured is the outcome of a run with these numbers.
func measured(auc, accuracy float64) outcome {
	return outcome{Test: metrics.Result{AUC: auc, Accuracy: accuracy, Sensitivity: 0.75, Specificity: 0.5}}
}

// counted is a cell that counts how often it is run.
func counted(seed int, done *int, err error) cell {
	return cell{name: "run", key: map[string]int{"seed": seed}, run: func(context.Context, string, func(int, int)) (outcome, error) {
		*done++
		return measured(0.9, 0.8), err
	}}
}

func TestARunIsKept(t *testing.T) {
	b, done := newBook(t), 0
	c := counted(1, &done, nil)
	if kept, err := b.store.find(c.key); err != nil || kept != nil {
		t.Fatalf("before it is run: %+v, %v", kept, err)
	}
	if _, err := b.store.run(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	other := &store{folder: b.store.folder} // another process
	for _, s := range []*store{&b.store, other} {
		if kept, err := s.find(c.key); err != nil || kept == nil || kept.Outcome.Test.AUC != 0.9 {
			t.Errorf("got %+v, %v", kept, err)
		}
	}
	broken := errors.New("broken")
	if _, err := other.run(t.Context(), counted(2, &done, broken), nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if kept, err := other.find(counted(2, &done, nil).key); err != nil || kept != nil {
		t.Errorf("a run that failed is kept: %+v, %v", kept, err)
	}
}

func TestDamagedRunsAreNotTaken(t *testing.T) {
	b, done := newBook(t), 0
	c := counted(1, &done, nil)
	if err := os.WriteFile(b.store.path(keyText(c.key), ".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := b.store.find(c.key); err == nil {
		t.Errorf("got %+v", kept)
	}
	if err := os.Remove(b.store.path(keyText(c.key), ".json")); err != nil { // as the message says
		t.Fatal(err)
	}
	if _, err := b.store.run(t.Context(), c, nil); err != nil || done != 1 {
		t.Errorf("run %d times, %v", done, err)
	}
}

// One seed of everything comes first, federated and centralised before what is
// varied, VGG16 last; then the paper's setting; then further seeds. What two tables
// ask for is run once.
func TestTheMostTellingRunsComeFirst(t *testing.T) {
	b := newBook(t)
	var names []string
	for _, c := range b.cells {
		names = append(names, strings.TrimPrefix(c.name, "breastmnist, "))
	}
	want := []string{
		"federated, seed 1", "federated with additions, seed 1", "hmchain-cnn centralised, 3 epochs, seed 1", "hmchain-cnn centralised, 15 epochs, seed 1",
		"federated, learning rate 0.01, seed 1", "federated, learning rate 0.001, seed 1", "federated, learning rate 0.0001, seed 1", "vgg16 centralised, 3 epochs, seed 1",
		"federated, seed 2", "federated with additions, seed 2", "federated, seed 3", "federated with additions, seed 3",
		"hmchain-cnn centralised, 3 epochs, seed 2", "hmchain-cnn centralised, 15 epochs, seed 2",
		"federated, learning rate 0.01, seed 2", "federated, learning rate 0.001, seed 2", "federated, learning rate 0.0001, seed 2", "vgg16 centralised, 3 epochs, seed 2",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got\n%s", strings.Join(names, "\n"))
	}
	for i, c := range b.cells {
		if c.guess <= 0 {
			t.Errorf("%s costs %v", names[i], c.guess)
		}
	}
}

func TestThePlanLeavesOutWhatIsFinishedAndNotAskedFor(t *testing.T) {
	b := newBook(t)
	b.options.only = regexp.MustCompile("^breastmnist, federated, seed")
	slow := measured(0.9, 0.8)
	finish(t, b, b.cells[0], slow)
	todo, err := b.todo()
	if err != nil || len(todo) != 2 || todo[0].name != "breastmnist, federated, seed 2" {
		t.Fatalf("got %+v, %v", todo, err)
	}
	var p strings.Builder
	b.printPlan(&p, todo)
	for _, part := range []string{"2 of 18 runs are to be done", "breastmnist, federated, seed 2", "done after"} {
		if !strings.Contains(p.String(), part) {
			t.Errorf("the plan does not say %q:\n%s", part, &p)
		}
	}
	if strings.Contains(p.String(), "seed 1") || strings.Contains(p.String(), "learning rate") {
		t.Errorf("it has what is finished, or not asked for:\n%s", &p)
	}
}

// Guesses follow the finished runs.
func TestPace(t *testing.T) {
	b := newBook(t)
	if pace := b.pace(); pace != 1 {
		t.Errorf("got %v without runs", pace)
	}
	for i, factor := range []float64{2, 3, 100} {
		b.store.know(keyText(b.cells[i].key), &record{Seconds: factor * b.cells[i].guess})
	}
	if pace := b.pace(); math.Abs(pace-3) > 1e-9 {
		t.Errorf("got %v, want 3", pace)
	}
}

func TestAllRunsAreDoneInTheirOrder(t *testing.T) {
	b, done := newBook(t), 0
	b.cells = []cell{counted(1, &done, nil), counted(2, &done, nil), counted(3, &done, errors.New("broken"))}
	if err := b.runAll(t.Context(), b.cells[:2]); err != nil || done != 2 {
		t.Errorf("%v after %d runs", err, done)
	}
	if err := b.runAll(t.Context(), b.cells[2:]); err == nil || !strings.Contains(err.Error(), "run: broken") {
		t.Errorf("got %v", err)
	}
	text, err := os.ReadFile(filepath.Join(b.options.out, "README.md"))
	if err != nil || !strings.Contains(string(text), "2 of 3 runs are finished") {
		t.Errorf("%v:\n%s", err, text)
	}
}

// Where a client has one batch only, its size changes nothing: the run of another
// size stands for it.
func TestBatchesLargerThanAClientsDataAreOneRun(t *testing.T) {
	b := newBook(t)
	set := b.sets[0]
	for size, want := range map[int]int{4: 4, 6: 128, 32: 128, 128: 128, 256: 128} {
		if got := set.batch(b.federated(1), size); got != want {
			t.Errorf("batch %d: got the run of %d, want %d", size, got, want)
		}
	}
	large := &huSet{info: dataset.Info{Train: 165_466}}
	for _, size := range batchSizes {
		if got := large.batch(b.federated(1), size); got != size {
			t.Errorf("clients with 1,655 examples, batch %d: got the run of %d", size, got)
		}
	}
	s := simulate.Defaults()
	s.Clients, s.Participation, s.Rounds, s.Epochs = 8, fl.One, 1, 2
	digests := map[string]bool{}
	for _, size := range []int{6, 128} { // 48 examples, 6 a client
		s.BatchSize = size
		task, err := simulate.New(s, noise(48), nil)
		if err != nil {
			t.Fatal(err)
		}
		report, err := task.Run(t.Context(), simulate.Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		digests[report.Digest] = true
	}
	if len(digests) != 1 {
		t.Errorf("the models differ: %v", digests)
	}
}

// noise is a set of n training images that show nothing.
func noise(n int) *dataset.Data {
	split := func(n int) dataset.Split {
		s := dataset.Split{Values: make([]float32, n*28*28), Labels: make([]int, n)}
		for i := range s.Values {
			s.Values[i] = float32(i*7919%251)/125 - 1
		}
		for i := range s.Labels {
			s.Labels[i] = i % 2
		}
		return s
	}
	return &dataset.Data{Name: dataset.Synthetic, SHA256: strings.Repeat("0", 64), Synthetic: true, Channels: 1, Size: 28, Classes: []string{"normal", "pneumonia"}, Train: split(n), Validation: split(8), Test: split(8)}
}

// The pages say what is beside the numbers: the paper's, the spread, what is not
// there, what is not pre-trained.
func TestPages(t *testing.T) {
	b := newBook(t)
	set, origin := b.sets[0], "NOT pre-trained: random weights of seed 1"
	finish(t, b, b.centralCell(set, 3, 1), measured(0.8, 0.7))
	finish(t, b, b.backboneCell(set, 1), measured(0.6, 0.7))
	finish(t, b, b.rateCell(set, fl.One/1000, 1), measured(0.6, 114.0/156))
	finish(t, b, b.paperCell(set, 1), measured(0.88, 0.80))
	short := measured(0.90, 0.82)
	short.Curve = []metrics.Result{{AUC: 0.5}, {AUC: 0.6}}
	finish(t, b, b.paperCell(set, 2), short)
	finish(t, b, b.additionsCell(set, 1), measured(0.95, 0.85))
	b.xray = testXRays(origin)
	b.cells = inOrder(append(b.huCells(), b.xrayCells()...))
	federated := measured(0.9, 0.9)
	federated.Curve = []metrics.Result{{Accuracy: 0.5}, {Accuracy: 0.95}}
	finish(t, b, b.xrayCell(model.VGG16, true, 1), federated)
	finish(t, b, b.xrayCell(model.VGG16, false, 1), measured(0.9, 0.95))
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string][]string{
		"hu.md": {
			"| breastmnist | FL-CNN-HMChain | 0.875 | 0.890 ± 0.014 (2) | 0.795 | 0.810 ± 0.014 (2) | federated; the task failed with seed 2 after 2 of 50 rounds, when 10 rounds in a row had no update that the masters accept, and its last model counts |",
			"| breastmnist | CNN, 3 epochs | 0.776 | 0.800 (1 seed) | 0.731 | 0.700 (1 seed) |",
			"| breastmnist | VGG16, frozen | 0.500 | 0.600 (1 seed) | 0.731 | 0.700 (1 seed) | NOT pre-trained: random weights of seed 1; images enlarged from 28 to 224 pixels; the paper's ACC is that of always answering the commoner class (114 of 156) |",
			"| breastmnist | 0.001 | 128 | 0.737 | 0.600 (1 seed) | 0.731 | 0.731 (1 seed) | the paper's and our ACC is that of always answering the commoner class (114 of 156) |",
			"| breastmnist | 0.0001 | 128 | 0.594 | not yet run | 0.731 | not yet run |",
			"| breastmnist | 0.1 | 64 | 0.820 | 0.890 ± 0.014 (2) | 0.769 | 0.810 ± 0.014 (2) | a client has at most 6 examples, one batch: the same run as with 128; the task failed",
			"| breastmnist | FL-CNN-HMChain, ours, plain | 0.890 ± 0.014 | 0.880 to 0.900 | 0.810 ± 0.014 | 0.800 to 0.820 | 2 |",
			"| breastmnist | ours, with additions | 0.950 | 0.950 to 0.950 | 0.850 | 0.850 to 0.850 | 1 |", "which had looked at the test split", "- With additions on breastmnist: `medfed simulate --data breastmnist",
			"| breastmnist | ResNet-18 (28), centralised, published | 0.901 |  | 0.863 |",
			"| tissuemnist | FL-CNN-HMChain | 0.896 | no data | 0.620 | no data | the data are not on this machine |",
			"| tissuemnist | 0.1 | 256 | 0.898 | no data | 0.614 | no data |",
			"tissuemnist.npz is not there", "SHA-256 abc", "medfed simulate --data breastmnist --rounds 50 --learning-rate 0.1 --batch-size 128 --seed 1",
			"go run ./client/reproduce -only '^breastmnist, vgg16 centralised, 3 epochs, seed 1$'", "(hu-table3-breastmnist.svg)",
		},
		"salim-park.md": {
			"| DL-VGG16 | 93.18 | 90.00 (1 seed) | 94.86 | 75.00 (1 seed) | 92.89 | 50.00 (1 seed) | NOT pre-trained",
			"| CL-RESNET50 | 94.48 | not yet run |", "no evidence of diagnostic value", "in round 2 (paper: about 38)", "3 X-rays of 2 patients", "digest def", "go run ./client/reproduce -only '^X-rays, vgg16 federated, seed 1$'", "(salim-park-vgg16.svg)",
		},
		"frozen-heads.md": {
			"| X-rays | vgg16, federated | 0.9844 ± 0.0007 (5) | 0.9000 (1 seed) | 0.9656 ± 0.0131 (5) | 0.9000 (1 seed) |",
			"| X-rays | resnet50, centralised | 0.9656 ± 0.0060 (5) | not yet run |",
			"| pneumoniamnist | vgg16, federated | 0.9407 ± 0.0030 (5) | 0.9405 ± 0.0029 (5) | 0.8673 ± 0.0035 (5) | 0.8676 ± 0.0029 (5) |",
		},
		"README.md": {"make reproduce", "8 of 26 runs", "(frozen-heads.md)"},
	} {
		text, err := os.ReadFile(filepath.Join(b.options.out, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s does not say %q:\n%s", name, part, text)
			}
		}
	}
	for _, name := range []string{"hu-table3-breastmnist.svg", "hu-table4-rates-breastmnist.svg", "hu-table4-batches-breastmnist.svg", "salim-park-vgg16.svg"} {
		if _, err := os.Stat(filepath.Join(b.options.out, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.options.out, "salim-park-resnet50.svg")); err == nil {
		t.Error("a plot without numbers is drawn")
	}
}

// The mean by round is over the runs that came so far.
func TestMeanCurve(t *testing.T) {
	runs := []outcome{{Curve: []metrics.Result{{AUC: 0.5}, {AUC: 0.7}}}, {Curve: []metrics.Result{{AUC: 0.6}}}, {}}
	points := meanCurve(runs, auc)
	if len(points) != 2 || math.Abs(points[0].Y-0.55) > 1e-12 || points[1].Y != 0.7 || points[1].X != 2 {
		t.Errorf("got %v", points)
	}
}

// testXRays is a folder of three training and two test X-rays.
func testXRays(origin string) *xray {
	x := &xray{backbones: map[string]*backbone.Backbone{}, shards: map[int64][][]int{}, folder: &dataset.Folder{
		Data: &dataset.Data{SHA256: "def", Train: dataset.Split{Labels: []int{0, 1, 1}, Patients: []string{"a", "b", "b"}}, Test: dataset.Split{Labels: []int{0, 1}, Patients: []string{"c", "d"}}},
	}}
	for _, name := range figures {
		x.backbones[name] = &backbone.Backbone{Origin: origin}
	}
	return x
}

// The runs are one a line, with all of a curve but its confusion matrices.
func TestRunsFile(t *testing.T) {
	b := newBook(t)
	o := measured(1.0/3, 0.8)
	o.Curve = []metrics.Result{{AUC: 1.0 / 3, Accuracy: 0.5, Sensitivity: 0.25, Specificity: 0.75, Loss: 1.5, Confusion: [][]int{{1, 2}, {3, 4}}}, {AUC: 0.5}}
	finish(t, b, b.cells[0], o)
	finish(t, b, b.cells[1], measured(0.9, 0.8))
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(b.options.out, "runs.json"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != 4 {
		t.Errorf("%d lines:\n%s", lines, text)
	}
	var read []struct {
		Name  string
		Key   map[string]any
		Test  metrics.Result
		Curve map[string][]float64
	}
	if err := json.Unmarshal(text, &read); err != nil || len(read) != 2 {
		t.Fatalf("%v:\n%s", err, text)
	}
	first := read[0]
	if first.Name != "breastmnist, federated, seed 1" || first.Key["sha256"] != "abc" || first.Test.AUC != 1.0/3 || !slices.Equal(first.Curve["auc"], []float64{0.3333333, 0.5}) ||
		!slices.Equal(first.Curve["sensitivity"], []float64{0.25, 0}) || !slices.Equal(first.Curve["loss"], []float64{1.5, 0}) || len(first.Curve) != 5 || read[1].Curve != nil {
		t.Errorf("got %+v", read)
	}
}

func TestWithoutXRaysThatIsSaid(t *testing.T) {
	b := newBook(t)
	if err := b.openXRays(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(b.options.out, "README.md"))
	if err != nil || !strings.Contains(string(text), "Salim & Park: not run") {
		t.Errorf("%v:\n%s", err, text)
	}
}

// A quick run leaves the results alone, and takes the features that there are.
func TestAQuickRunHasAFolderOfItsOwn(t *testing.T) {
	o, err := parse(flag.NewFlagSet("", flag.ContinueOnError), []string{"-quick", "-work", "w", "-out", "docs/results"})
	if err != nil || o.out != filepath.Join("w", "quick", "results") || o.work != filepath.Join("w", "quick") || o.features != filepath.Join("w", "features") || o.rounds != 3 {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, wrong := range [][]string{{"-only", "("}, {"quick"}} {
		if _, err := parse(flag.NewFlagSet("", flag.ContinueOnError), wrong); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

// A command has the flags of what is not the default of "medfed simulate".
func TestCommands(t *testing.T) {
	s := simulate.Defaults()
	s.Model, s.Momentum, s.Decay, s.Balance, s.Seed = model.ResNet18, 900_000, 980_000, true, 4
	s.Augmentation = fl.Augmentation{Flip: true, Shift: 2, Rotate: 10 * fl.One}
	want := "medfed simulate --data breastmnist --rounds 50 --learning-rate 0.1 --batch-size 128 --model resnet18 --momentum 0.9 --learning-rate-decay 0.98 --balance-classes --augment flip,shift=2,rotate=10 --seed 4"
	if got := command("breastmnist", s); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What is added leaves the paper's setting as it is.
func TestAdditionsKeepThePapersSetting(t *testing.T) {
	b := newBook(t)
	for set, add := range additions {
		s, plain := b.federated(2), b.federated(2)
		add.add(&s)
		if reflect.DeepEqual(s, plain) || add.chosen == "" {
			t.Errorf("%s: nothing is added", set)
		}
		if !strings.HasPrefix(s.Model, plain.Model) || s.Clients != plain.Clients || s.Participation != plain.Participation || s.Rounds != plain.Rounds || s.Epochs != plain.Epochs ||
			s.BatchSize != plain.BatchSize || s.Split != plain.Split || s.Seed != 2 || s.Curve != simulate.CurveValidation {
			t.Errorf("%s: %+v", set, s)
		}
	}
}

// separable are features of two classes that a head can tell apart.
func separable(spec model.Spec, n int) dataset.Split {
	s := dataset.Split{Values: make([]float32, n*spec.Inputs()), Labels: make([]int, n)}
	for i := range n {
		s.Labels[i] = i % 2
		for j := range spec.Inputs() {
			s.Values[i*spec.Inputs()+j] = float32((i*31+j*17)%7)/7 + float32((i%2)*(j%2))
		}
	}
	return s
}

func TestHeadsLearnFederatedAndCentralised(t *testing.T) {
	spec := model.Spec{Name: model.VGG16, Channels: 3, Size: backbone.ImageSize, Classes: 2}
	examples := parts{separable(spec, 32), separable(spec, 16)}
	key := xrayKey{Rounds: 6, Batch: 8, Rate: 0.05, Momentum: 0.9, Seed: 1}
	shards := make([][]int, hospitals)
	for i := range examples.train.Len() {
		shards[i/2%hospitals] = append(shards[i/2%hospitals], i)
	}
	for name, s := range map[string][][]int{"federated": shards, "centralised": nil} {
		o, err := trainHead(t.Context(), spec, examples, s, key, func(int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Curve) != 6 || o.Test.AUC < 0.9 || o.Test.Loss != o.Curve[5].Loss || o.Test.Loss > o.Curve[0].Loss {
			t.Errorf("%s: %+v after %d rounds", name, o.Test, len(o.Curve))
		}
		again, err := trainHead(t.Context(), spec, examples, s, key, func(int, int) {})
		if err != nil || again.Digest != o.Digest {
			t.Errorf("%s: a second run differs: %v", name, err)
		}
	}
}

func TestStatistics(t *testing.T) {
	if m, sd := statistics([]float64{1, 2, 3}); math.Abs(m-2) > 1e-12 || math.Abs(sd-1) > 1e-12 {
		t.Errorf("got %v ± %v", m, sd)
	}
	if m, sd := statistics([]float64{5}); m != 5 || sd != 0 {
		t.Errorf("got %v ± %v", m, sd)
	}
}

func TestThePapersSettingIsRun(t *testing.T) {
	b := newBook(t)
	s := b.federated(3)
	if s.Clients != 100 || s.Participation != fl.One/10 || s.Rounds != 50 || s.Epochs != 3 || s.BatchSize != 128 || s.LearningRate != fl.One/10 || s.Momentum != 0 || s.Seed != 3 {
		t.Errorf("%+v", s)
	}
	if epochs := b.centralEpochs(); !slices.Equal(epochs, []int{3, 15}) {
		t.Errorf("got %v", epochs)
	}
}
