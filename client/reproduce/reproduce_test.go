package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

func newBook(t *testing.T) *book {
	t.Helper()
	o := options{out: t.TempDir(), work: t.TempDir(), seeds: 2, rounds: 50, xrayRounds: 3, sets: []string{"breastmnist", "tissuemnist"}}
	b, err := openBook(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// measured is the outcome of a run with these numbers.
func measured(auc, accuracy float64) outcome {
	return outcome{Test: metrics.Result{AUC: auc, Accuracy: accuracy, Sensitivity: 0.75, Specificity: 0.5}}
}

func TestARunIsDoneOnce(t *testing.T) {
	b, done := newBook(t), 0
	do := func(string) (outcome, error) {
		done++
		return measured(0.9, 0.8), nil
	}
	for range 2 {
		if o, err := b.store.run("run", map[string]int{"seed": 1}, do); err != nil || o.Test.AUC != 0.9 {
			t.Fatalf("got %+v, %v", o, err)
		}
	}
	other := &store{folder: b.store.folder} // another process
	if _, err := other.run("run", map[string]int{"seed": 1}, do); err != nil || done != 1 || len(other.used) != 1 {
		t.Errorf("%v; done %d times", err, done)
	}
	if _, err := other.run("run", map[string]int{"seed": 2}, do); err != nil || done != 2 {
		t.Errorf("%v; done %d times", err, done)
	}
	broken := errors.New("broken")
	if _, err := other.run("run", map[string]int{"seed": 3}, func(string) (outcome, error) { return outcome{}, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := other.run("run", map[string]int{"seed": 3}, do); err != nil || done != 3 {
		t.Errorf("a run that failed is kept: %v", err)
	}
}

func TestPagesRunNothing(t *testing.T) {
	b := newBook(t)
	b.store.only = true
	o, err := b.store.run("run", "key", func(string) (outcome, error) {
		t.Error("it is run")
		return outcome{}, nil
	})
	if all := map[int][]outcome{}; add(all, 1, o, err) != nil || len(all) != 0 || !errors.Is(err, errUnfinished) {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestDamagedRunsAreNotTaken(t *testing.T) {
	b := newBook(t)
	key := map[string]int{"seed": 1}
	do := func(string) (outcome, error) { return measured(0.9, 0.8), nil }
	if _, err := b.store.run("run", key, do); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(b.store.folder, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o, err := b.store.run("run", key, do); err == nil {
		t.Errorf("got %+v", o)
	}
}

// The pages say what is beside the numbers: the paper's, the spread, what is not
// there, what is not pre-trained.
func TestPages(t *testing.T) {
	b := newBook(t)
	breast := &huSet{name: "breastmnist", sha256: "abc", clients: 5, central: map[int][]outcome{3: {measured(0.8, 0.7)}}, rates: map[fl.Micro][]outcome{}, batches: map[int][]outcome{},
		vgg16: map[string][]outcome{"NOT pre-trained: random weights of seed 1": {measured(0.6, 0.7)}}, vgg16Origin: "NOT pre-trained: random weights of seed 1"}
	breast.rates[100_000] = []outcome{measured(0.88, 0.80), measured(0.90, 0.82)}
	b.sets = []*huSet{breast, {name: "tissuemnist", absent: "tissuemnist.npz is not there"}}
	origin := "NOT pre-trained: random weights of seed 1"
	federated := measured(0.9, 0.9)
	federated.Curve = []metrics.Result{{Accuracy: 0.5}, {Accuracy: 0.95}}
	b.xray = &xray{sha256: "def", train: 152, test: 64, trainPatients: 116, testPatients: 51, rounds: 3, backbones: []string{model.VGG16}, origin: map[string]string{model.VGG16: origin},
		federated: map[string][]outcome{model.VGG16: {federated}}, centralise: map[string][]outcome{model.VGG16: {measured(0.9, 0.95)}}}
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string][]string{
		"hu.md": {
			"| breastmnist | FL-CNN-HMChain | 0.875 | 0.890 ± 0.014 | 0.795 | 0.810 ± 0.014 | federated |",
			"| breastmnist | CNN, 3 epochs | 0.776 | 0.800 (1 seed) | 0.731 | 0.700 (1 seed) |",
			"| breastmnist | VGG16, frozen | 0.500 | 0.600 (1 seed) | 0.731 | 0.700 (1 seed) | NOT pre-trained",
			"| breastmnist | 0.0001 | 128 | 0.594 | not yet run | 0.731 | not yet run |",
			"| breastmnist | 0.1 | 64 | 0.820 | not yet run | 0.769 | not yet run | a client has 5 examples",
			"| tissuemnist | all | 0.896 | not yet run | 0.620 | not yet run | the data are not on this machine |",
			"tissuemnist.npz is not there", "SHA-256 abc", "medfed simulate --data pneumoniamnist --rounds 50 --learning-rate 0.1 --batch-size 128 --seed 1",
		},
		"salim-park.md": {
			"| DL-VGG16 | 93.18 | 90.00 (1 seed) | 94.86 | 75.00 (1 seed) | 92.89 | 50.00 (1 seed) | NOT pre-trained",
			"| CL-RESNET50 | 94.48 | not yet run |", "no evidence of diagnostic value", "in round 2 (paper: about 38)", "152 X-rays of 116 patients", "digest def",
		},
		"README.md": {"make reproduce", "0 runs"},
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
	for _, name := range []string{"hu-table4-breastmnist.svg", "salim-park-vgg16.svg", "runs.json"} {
		if _, err := os.Stat(filepath.Join(b.options.out, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestWithoutXRaysThatIsSaid(t *testing.T) {
	b := newBook(t)
	if err := b.salimPark(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(b.options.out, "README.md"))
	if err != nil || !strings.Contains(string(text), "Salim & Park: not run") {
		t.Errorf("%v:\n%s", err, text)
	}
}

// separable are features of two classes that a head can tell apart.
func separable(spec model.Spec, n int) dataset.Split {
	s := dataset.Split{Images: make([]float32, n*spec.Inputs()), Labels: make([]int, n)}
	for i := range n {
		s.Labels[i] = i % 2
		for j := range spec.Inputs() {
			s.Images[i*spec.Inputs()+j] = float32((i*31+j*17)%7)/7 + float32((i%2)*(j%2))
		}
	}
	return s
}

func TestHeadsLearnFederatedAndCentralised(t *testing.T) {
	spec := model.Spec{Name: model.VGG16, Channels: 3, Size: frozenSize, Classes: 2}
	train, test := separable(spec, 32), separable(spec, 16)
	key := xrayKey{Rounds: 6, Batch: 8, Rate: 0.05, Momentum: 0.9, Seed: 1}
	shards := make([][]int, hospitals)
	for i := range train.Len() {
		shards[i/2%hospitals] = append(shards[i/2%hospitals], i)
	}
	for name, s := range map[string][][]int{"federated": shards, "centralised": nil} {
		o, err := trainHead(t.Context(), spec, train, s, test, key)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Curve) != 6 || o.Test.AUC < 0.9 || o.Test.Loss != o.Curve[5].Loss || o.Test.Loss > o.Curve[0].Loss {
			t.Errorf("%s: %+v after %d rounds", name, o.Test, len(o.Curve))
		}
		again, err := trainHead(t.Context(), spec, train, s, test, key)
		if err != nil || again.Digest != o.Digest {
			t.Errorf("%s: a second run differs: %v", name, err)
		}
	}
}

func TestEnlargedImagesKeepTheirBrightness(t *testing.T) {
	data := &dataset.Data{Size: 28, Channels: 1, Classes: 2}
	split := dataset.Split{Images: make([]float32, 28*28), Labels: []int{0}}
	for i := range split.Images {
		split.Images[i] = 200/127.5 - 1
	}
	out := enlarge(data, split, 0)
	if len(out) != 3*frozenSize*frozenSize {
		t.Fatalf("%d values", len(out))
	}
	for i, v := range out {
		c := i % 3
		want := (200.0/255 - dataset.ImageNet.Mean[c]) / dataset.ImageNet.Std[c]
		if math.Abs(float64(v)-want) > 1e-6 {
			t.Fatalf("value %d is %v, want %v", i, v, want)
		}
	}
}

func TestStandardised(t *testing.T) {
	train := dataset.Split{Images: []float32{1, 100, 7, 3, 300, 7}, Labels: []int{0, 1}}
	test := dataset.Split{Images: []float32{5, 200, 8}, Labels: []int{0}}
	a, b := standardise(train, test)
	if !slices.Equal(a.Images, []float32{-1, -1, 0, 1, 1, 0}) || !slices.Equal(b.Images, []float32{3, 0, 0}) || train.Images[0] != 1 {
		t.Errorf("got %v, %v", a.Images, b.Images)
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
