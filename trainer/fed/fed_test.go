package fed

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/weights"
	"pgregory.net/rapid"
)

// vector is weights of two tensors with these values in all.
func vector(values ...float32) *weights.Weights {
	w := &weights.Weights{Tensors: []weights.Tensor{{Name: "scalar", Data: values[:1]}}}
	if len(values) > 1 {
		w.Tensors = append(w.Tensors, weights.Tensor{Name: "vector", Shape: []int{len(values) - 1}, Data: values[1:]})
	}
	return w
}

// flat is all values of w in order.
func flat(w *weights.Weights) []float32 {
	var values []float32
	for _, t := range w.Tensors {
		values = append(values, t.Data...)
	}
	return values
}

// drawUpdates draws between low and high updates of one architecture, of finite
// values of all magnitudes, with IDs in no order.
func drawUpdates(t *rapid.T, low, high int) []Update {
	ids := rapid.SliceOfNDistinct(rapid.StringN(1, 6, -1), low, high, rapid.ID[string]).Draw(t, "ids")
	size := rapid.IntRange(1, 6).Draw(t, "size")
	value := rapid.OneOf(
		rapid.Float32Range(-1, 1),
		rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32),
		rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, math.MaxFloat32, math.SmallestNonzeroFloat32}),
	)
	updates := make([]Update, len(ids))
	for i, id := range ids {
		updates[i] = Update{
			ID:          id,
			Weights:     vector(rapid.SliceOfN(value, size, size).Draw(t, "values")...),
			NumExamples: rapid.OneOf(rapid.Int64Range(1, 500), rapid.Int64Range(1, 1<<48)).Draw(t, "num_examples"),
		}
	}
	return updates
}

func aggregate(t testing.TB, strategy string, previous *weights.Weights, updates []Update) *weights.Weights {
	t.Helper()
	w, err := Aggregate(strategy, previous, updates)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), code+": ") {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestFedAvgByHand(t *testing.T) {
	got := aggregate(t, FedAvg, nil, []Update{
		{"b", vector(1, 10, -4), 1},
		{"a", vector(5, 10, 0), 3},
	})
	if want := []float32{4, 10, -1}; !slices.Equal(flat(got), want) {
		t.Errorf("got %v, want %v", flat(got), want)
	}
}

// TestFedAvgAgainstExactSums holds the average against big numbers that round
// nothing until the end.
func TestFedAvgAgainstExactSums(t *testing.T) {
	exact := func(x float64) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(x) }
	rapid.Check(t, func(t *rapid.T) {
		updates := drawUpdates(t, 1, 8)
		w, err := Aggregate(FedAvg, nil, updates)
		if err != nil {
			t.Fatal(err)
		}
		for j, got := range flat(w) {
			sum, size, total := exact(0), exact(0), exact(0)
			for _, u := range updates {
				n, v := exact(float64(u.NumExamples)), exact(float64(flat(u.Weights)[j]))
				sum.Add(sum, new(big.Float).Mul(n, v))
				size.Add(size, new(big.Float).Mul(n, v.Abs(v)))
				total.Add(total, n)
			}
			mean, _ := sum.Quo(sum, total).Float64()
			scale, _ := size.Quo(size, total).Float64()
			ulp := math.Abs(mean)*0x1p-23 + math.SmallestNonzeroFloat32
			if math.Abs(float64(got)-mean) > ulp/2+scale*float64(len(updates)+2)*0x1p-52 {
				t.Fatalf("value %d is %v, exactly %v", j, got, mean)
			}
		}
	})
}

// TestCase26OrderOfArrivalDoesNotMatter: every strategy gives the same bytes for
// every order of the updates, and changes none of its arguments.
func TestCase26OrderOfArrivalDoesNotMatter(t *testing.T) {
	for _, strategy := range Strategies() {
		t.Run(strategy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				updates := drawUpdates(t, 3, 8)
				previous := updates[0].Weights.Clone()
				var before []string
				for _, u := range updates {
					before = append(before, u.ID+u.Weights.Digest())
				}
				first, err := Aggregate(strategy, previous, updates)
				if err != nil {
					t.Skip(err)
				}
				for i, u := range updates {
					if u.ID+u.Weights.Digest() != before[i] {
						t.Fatal("the updates were changed")
					}
				}
				if previous.Digest() != updates[0].Weights.Digest() {
					t.Fatal("the previous model was changed")
				}
				second, err := Aggregate(strategy, previous, rapid.Permutation(updates).Draw(t, "order"))
				if err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Fatalf("another order gives other bytes (%v)", err)
				}
			})
		})
	}
}

// TestOneUpdateIsItself: an average of equal updates has their bits.
func TestOneUpdateIsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUpdates(t, 1, 1)[0]
		u.NumExamples = rapid.Int64Range(1, 1<<20).Draw(t, "num_examples")
		updates := []Update{u, {u.ID + "2", u.Weights, 1}}
		for n := 1; n <= 2; n++ {
			w, err := Aggregate(FedAvg, nil, updates[:n])
			if err != nil || !slices.Equal(flat(w), flat(u.Weights)) {
				t.Fatalf("%v became %v (%v)", flat(u.Weights), flat(w), err)
			}
		}
	})
}

func TestAggregateRefuses(t *testing.T) {
	good := Update{"a", vector(1, 2), 10}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	other := vector(1, 2)
	other.Tensors[1].Name = "other"
	short := vector(1, 2, 3)
	short.Tensors[1].Data = short.Tensors[1].Data[:1]
	for _, c := range []struct {
		name, code string
		previous   *weights.Weights
		updates    []Update
	}{
		{"no updates", "MF-FED-EMPTY", nil, nil},
		{"no examples", "MF-FED-EXAMPLES", nil, []Update{good, {"b", vector(1, 2), 0}}},
		{"negative examples", "MF-FED-EXAMPLES", nil, []Update{good, {"b", vector(1, 2), -5}}},
		{"least examples", "MF-FED-EXAMPLES", nil, []Update{good, {"b", vector(1, 2), math.MinInt64}}},
		{"sum beyond 2^53", "MF-FED-EXAMPLES", nil, []Update{good, {"b", vector(1, 2), maxExamples}}},
		{"sum overflows int64", "MF-FED-EXAMPLES", nil, []Update{good, {"b", vector(1, 2), math.MaxInt64}, {"c", vector(1, 2), math.MaxInt64}}},
		{"same ID", "MF-FED-DUPLICATE", nil, []Update{good, good}},
		{"NaN", "MF-FED-NOTFINITE", nil, []Update{good, {"b", vector(1, nan), 1}}},
		{"infinity", "MF-FED-NOTFINITE", nil, []Update{good, {"b", vector(inf, 1), 1}}},
		{"other names", "MF-WEIGHTS-INCOMPATIBLE", nil, []Update{good, {"b", other, 1}}},
		{"other shapes", "MF-WEIGHTS-INCOMPATIBLE", nil, []Update{good, {"b", vector(1, 2, 3), 1}}},
		{"not like the previous model", "MF-WEIGHTS-INCOMPATIBLE", vector(1), []Update{good}},
		{"no weights", "MF-WEIGHTS-INCOMPATIBLE", nil, []Update{{"a", nil, 1}}},
		{"no weights but a previous model", "MF-WEIGHTS-INCOMPATIBLE", vector(1), []Update{{"a", nil, 1}}},
		{"values missing", "MF-WEIGHTS-SHAPE", vector(1, 2, 3), []Update{{"a", short, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, strategy := range Strategies() {
				w, err := Aggregate(strategy, c.previous, c.updates)
				if w != nil {
					t.Errorf("%s: weights came with the error", strategy)
				}
				wantCode(t, err, c.code)
			}
		})
	}
	_, err := Aggregate("fedsomething", nil, []Update{good})
	wantCode(t, err, "MF-FED-STRATEGY")
}

func TestLargestSumOfExamples(t *testing.T) {
	w := aggregate(t, FedAvg, nil, []Update{{"a", vector(1), maxExamples - 1}, {"b", vector(2), 1}})
	if got := flat(w)[0]; got != 1 {
		t.Errorf("got %v", got)
	}
}

// pseudo is a fixed set of updates that no library draws: the golden digests
// below rest on it.
func pseudo(n, size int) (*weights.Weights, []Update) {
	state := uint32(2463534242)
	next := func() float32 {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		return float32(int32(state)) / (1 << 29)
	}
	draw := func() *weights.Weights {
		values := make([]float32, size)
		for i := range values {
			values[i] = next()
		}
		return vector(values...)
	}
	previous := draw()
	updates := make([]Update, n)
	for i := range updates {
		updates[i] = Update{fmt.Sprintf("HospitalMSP/node%d", i), draw(), int64(100 + 37*i)}
	}
	return previous, updates
}

// TestGoldenDigests: what masters on any machine must arrive at.
func TestGoldenDigests(t *testing.T) {
	golden := map[string]string{
		Bulyan:        "3faaf779670abb84bd224b25f623f75b1a0d9de420170950b763f4811c730ed1",
		FedAdam:       "3af950c7d8b736a5d3ecacc8fdea1f3c233a04119e6ac5d5cad96db07d43fbe7",
		FedAvg:        "e0285ac38919e574ab9e11fe63f7e64f49b7759f6b23e8c8d3b8e8ae2ba8c6be",
		FedAvgM:       "3c072f468a305e45e82ff250d3493f54c195802dd78ad77fd83017941546ee84",
		FedMedian:     "3d2f06213236d396bd64e456991c871e6e7366f7508305ac6d81eff42e9960f2",
		FedProx:       "e0285ac38919e574ab9e11fe63f7e64f49b7759f6b23e8c8d3b8e8ae2ba8c6be",
		FedTrimmedAvg: "2a2d751d39dc8f1c2f284c44bf5b4239d71c3a2c3cfcbbcf2d80c508cf4eedae",
		Krum:          "d83ad456420da1bcafbd1c94dda0e98d7e21833d98e50d32e42f6a299a19271a",
		MultiKrum:     "d83ad456420da1bcafbd1c94dda0e98d7e21833d98e50d32e42f6a299a19271a",
	}
	previous, updates := pseudo(11, 4099)
	for _, strategy := range Strategies() {
		if got := aggregate(t, strategy, previous, updates).Digest(); got != golden[strategy] {
			t.Errorf("%q: %q,", strategy, got)
		}
	}
}

// TestNoFusedArithmetic compiles this package for machines that have fused
// multiply-add and looks for it in the code.
func TestNoFusedArithmetic(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to compile with")
	}
	fused := regexp.MustCompile(`\b(FN?M(ADD|SUB)[SDFV]?|VFN?M(ADD|SUB)[0-9A-Z]*)\b`)
	for _, arch := range []string{"arm64", "riscv64"} {
		cmd := exec.Command(goTool, "build", "-gcflags=-S", ".")
		cmd.Env = append(os.Environ(), "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", arch, err, out)
		}
		if !bytes.Contains(out, []byte("fed.average")) {
			t.Fatalf("%s: the compiler gave no listing of this package", arch)
		}
		for _, line := range strings.Split(string(out), "\n") {
			if fused.MatchString(line) {
				t.Errorf("%s: fused arithmetic: %s", arch, strings.TrimSpace(line))
			}
		}
	}
}
