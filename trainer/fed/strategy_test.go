package fed

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"testing"

	"github.com/medfed/medfed/trainer/weights"
	"pgregory.net/rapid"
)

// TestAgainstFlower holds every strategy against Flower's own functions
// (flwr/server/strategy/aggregate.py at commit fdef7afb, NumPy 1.24.2) on the
// fixed updates; fedadam, fedavgm and clipping against the formulas of its fedadam.py,
// fedavgm.py and differential_privacy.py in NumPy.
func TestAgainstFlower(t *testing.T) {
	previous, updates := pseudo(11, 5)
	for _, c := range []struct {
		strategy string
		updates  int
		want     []float32
	}{
		{"fedavg", 11, []float32{1.4678236246109009, 0.8724865913391113, 0.3838270902633667, 0.6851378083229065, 1.0963152647018433}},
		{"fedprox:proximal_mu=0.5", 11, []float32{1.4678236246109009, 0.8724865913391113, 0.3838270902633667, 0.6851378083229065, 1.0963152647018433}},
		{"fedmedian", 11, []float32{1.5734649896621704, 0.4862598180770874, 1.2873650789260864, 0.2898704409599304, 2.57226824760437}},
		{"fedmedian", 10, []float32{1.863666296005249, 1.4209322929382324, -0.06673270463943481, 0.2716141939163208, 1.4052802324295044}},
		{"fedtrimmedavg", 11, []float32{1.6447163820266724, 0.8604669570922852, 0.4992291331291199, 0.4751703441143036, 1.2511650323867798}},
		{"krum:num_malicious_nodes=2", 11, []float32{1.1761236190795898, -0.014810504391789436, 3.33379864692688, 0.8369752764701843, 2.57226824760437}},
		{"multikrum:num_malicious_nodes=2,num_nodes_to_select=4", 11, []float32{1.6546367406845093, 0.32422223687171936, 1.6685566902160645, 0.29297319054603577, 1.4670590162277222}},
		{"bulyan:num_malicious_nodes=2", 11, []float32{1.6344852447509766, 0.1342482566833496, 1.9979475736618042, 0.4262455403804779, 3.2472636699676514}},
		{"fedadam", 11, []float32{1.4161169528961182, -3.274221181869507, 3.7707371711730957, 3.666271924972534, -1.3466176986694336}},
		{"fedavgm", 11, []float32{1.4678236246109009, 0.8724868297576904, 0.38382697105407715, 0.6851377487182617, 1.0963151454925537}},
		{"fedavgm:server_learning_rate=0.5,server_momentum=0.9", 11, []float32{1.4076974391937256, -1.2379024028778076, 2.114298105239868, 2.2127065658569336, -0.16212737560272217}},
		{"fedavg:clipping_norm=2.5", 11, []float32{1.3659961223602295, -2.0544440746307373, 2.8854429721832275, 2.779517650604248, -0.6088863611221313}},
	} {
		got := flat(Model(aggregate(t, c.strategy, previous, updates[:c.updates])))
		for i, want := range c.want {
			if math.Abs(float64(got[i]-want)) > 2e-6 {
				t.Errorf("%s of %d: got %v, want %v", c.strategy, c.updates, got, c.want)
				break
			}
		}
	}
	for strategy, third := range map[string][]float32{
		"fedadam": {1.5388904809951782, -3.098235607147217, 3.5948522090911865, 3.490462303161621, -1.1709485054016113},
		"fedavgm:server_learning_rate=0.5,server_momentum=0.9": {1.5556079149246216, 3.9536547660827637, -2.142660617828369, -1.54511296749115, 2.9336414337158203},
		"fedavgm:server_momentum=0.7":                          {1.5267473459243774, 2.9406676292419434, -1.3120347261428833, -0.8118797540664673, 2.3295888900756836},
	} {
		global := previous
		for range 3 {
			global = aggregate(t, strategy, global, updates)
		}
		for i, want := range third {
			if got := flat(Model(global))[i]; math.Abs(float64(got-want)) > 4e-6 {
				t.Errorf("%s after 3 rounds: value %d is %v, want %v", strategy, i, got, want)
			}
		}
	}
}

// drawWhole draws updates of small whole numbers, on which the arithmetic of
// distances and means is exact and ties are common, and a number of malicious ones.
func drawWhole(t *rapid.T, low int) ([]Update, int) {
	n := rapid.IntRange(low, 12).Draw(t, "n")
	size := rapid.IntRange(1, 4).Draw(t, "size")
	updates := make([]Update, n)
	for i := range updates {
		values := rapid.SliceOfN(rapid.Map(rapid.IntRange(-20, 20), func(v int) float32 { return float32(v) }), size, size).Draw(t, "values")
		updates[i] = Update{fmt.Sprintf("node%02d", i), vector(values...), rapid.Int64Range(1, 9).Draw(t, "num_examples")}
	}
	return updates, rapid.IntRange(0, 3).Draw(t, "f")
}

// same compares values with zero and negative zero as equals.
func same(t *rapid.T, got *weights.Weights, want []float32) {
	t.Helper()
	if !slices.Equal(flat(got), want) {
		t.Fatalf("got %v, want %v", flat(got), want)
	}
}

// columns gives every place's values.
func columns(updates []Update) [][]float64 {
	var out [][]float64
	for j := range flat(updates[0].Weights) {
		var column []float64
		for _, u := range updates {
			column = append(column, float64(flat(u.Weights)[j]))
		}
		out = append(out, column)
	}
	return out
}

// rational is the mean of whole numbers, rounded once.
func rational(values []float64, shares []int64) float32 {
	sum, total := new(big.Rat), int64(0)
	for i, v := range values {
		term := new(big.Rat).SetFloat64(v)
		sum.Add(sum, term.Mul(term, big.NewRat(shares[i], 1)))
		total += shares[i]
	}
	mean, _ := sum.Quo(sum, big.NewRat(total, 1)).Float32()
	return mean
}

func ones(n int) []int64 { return slices.Repeat([]int64{1}, n) }

func TestMedianAndTrimmedMeanAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		updates, _ := drawWhole(t, 1)
		beta := rapid.SampledFrom([]float64{0, 0.1, 0.2, 0.25, 0.4, 0.49}).Draw(t, "beta")
		cut := 0
		for float64(cut+1) <= beta*float64(len(updates)) {
			cut++
		}
		var medians, means []float32
		for _, c := range columns(updates) {
			sort.Float64s(c)
			inner := c
			for len(inner) > 2 {
				inner = inner[1 : len(inner)-1]
			}
			medians = append(medians, rational(inner, ones(len(inner))))
			means = append(means, rational(c[cut:len(c)-cut], ones(len(c)-2*cut)))
		}
		got, err := Aggregate(FedMedian, nil, updates)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, medians)
		got, err = Aggregate(fmt.Sprintf("fedtrimmedavg:beta=%g", beta), nil, updates)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, means)
	})
}

// naiveKrum is the index of the best update by Krum's measure, written from the
// paper and slowly: big numbers, all pairs, the first of equals.
func naiveKrum(updates []Update, f int) []int {
	type candidate struct {
		index int
		score *big.Int
	}
	var candidates []candidate
	for i, u := range updates {
		var away []*big.Int
		for j, other := range updates {
			if i == j {
				continue
			}
			d := new(big.Int)
			for k, v := range flat(u.Weights) {
				e := big.NewInt(int64(v) - int64(flat(other.Weights)[k]))
				d.Add(d, e.Mul(e, e))
			}
			away = append(away, d)
		}
		sort.Slice(away, func(a, b int) bool { return away[a].Cmp(away[b]) < 0 })
		score := new(big.Int)
		for k := 0; k < len(away) && k < max(1, len(updates)-f-2); k++ {
			score.Add(score, away[k])
		}
		candidates = append(candidates, candidate{i, score})
	}
	sort.SliceStable(candidates, func(a, b int) bool { return candidates[a].score.Cmp(candidates[b].score) < 0 })
	var order []int
	for _, c := range candidates {
		order = append(order, c.index)
	}
	return order
}

func TestKrumAgainstThePaper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		updates, f := drawWhole(t, 1)
		order := naiveKrum(updates, f)
		got, err := Aggregate(fmt.Sprintf("krum:num_malicious_nodes=%d", f), nil, updates)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, flat(updates[order[0]].Weights))

		keep := rapid.IntRange(1, 14).Draw(t, "keep")
		var kept []Update
		var shares []int64
		for _, i := range order[:min(keep, len(order))] {
			kept = append(kept, updates[i])
			shares = append(shares, updates[i].NumExamples)
		}
		var want []float32
		for _, c := range columns(kept) {
			want = append(want, rational(c, shares))
		}
		got, err = Aggregate(fmt.Sprintf("multikrum:num_malicious_nodes=%d,num_nodes_to_select=%d", f, keep), nil, updates)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	})
}

func TestBulyanAgainstThePaper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		updates, _ := drawWhole(t, 3)
		f := rapid.IntRange(0, (len(updates)-3)/4).Draw(t, "f")
		left := slices.Clone(updates)
		var chosen []Update
		for len(chosen) < len(updates)-2*f {
			best := naiveKrum(left, f)[0]
			chosen = append(chosen, left[best])
			left = slices.Delete(left, best, best+1)
		}
		beta := len(chosen) - 2*f
		var want []float32
		for _, c := range columns(chosen) {
			sort.Float64s(c)
			middle := (c[(len(c)-1)/2] + c[len(c)/2]) / 2
			sort.SliceStable(c, func(a, b int) bool { return math.Abs(c[a]-middle) < math.Abs(c[b]-middle) })
			want = append(want, rational(c[:beta], ones(beta)))
		}
		got, err := Aggregate(fmt.Sprintf("bulyan:num_malicious_nodes=%d", f), nil, updates)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	})
}

func TestBulyanRefusesTooFew(t *testing.T) {
	_, updates := pseudo(10, 3)
	_, err := Aggregate("bulyan:num_malicious_nodes=2", nil, updates)
	wantCode(t, err, "MF-FED-TOOFEW")
}

// TestCase25LiarsCannotLeaveTheHonestRange: with no more liars than a strategy
// is set to, no value of the aggregate is outside what honest nodes sent; the
// control, a plain mean, leaves it.
func TestCase25LiarsCannotLeaveTheHonestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n, f = 11, 2
		_, updates := pseudo(n, 4)
		size := rapid.SampledFrom([]float32{50, 1e6, 1e30})
		side := rapid.SampledFrom([]float32{-1, 1}).Draw(t, "side")
		lie := rapid.Map(size, func(v float32) float32 { return side * v })
		for i := range f {
			liar := vector(lie.Draw(t, "lie"), lie.Draw(t, "lie"), lie.Draw(t, "lie"), lie.Draw(t, "lie"))
			updates[rapid.IntRange(0, n/2-1).Draw(t, "who")+i*n/2] = Update{fmt.Sprintf("liar%d", i), liar, 1e9}
		}
		honest := slices.DeleteFunc(slices.Clone(updates), func(u Update) bool { return u.NumExamples == 1e9 })
		inside := func(strategy string) bool {
			w, err := Aggregate(strategy, nil, updates)
			if err != nil {
				t.Fatal(err)
			}
			for j, v := range flat(w) {
				column := columns(honest)[j]
				if float64(v) < slices.Min(column) || float64(v) > slices.Max(column) {
					return false
				}
			}
			return true
		}
		for _, strategy := range []string{"fedmedian", "fedtrimmedavg:beta=0.2", "krum:num_malicious_nodes=2", "multikrum:num_malicious_nodes=2,num_nodes_to_select=5", "bulyan:num_malicious_nodes=2"} {
			if !inside(strategy) {
				t.Fatalf("%s let %d liars of %d out of the honest range", strategy, f, n)
			}
		}
		if inside(FedAvg) {
			t.Fatal("the control did not fail: fedavg stayed in the honest range")
		}
	})
}

func TestClippingBoundsEveryUpdate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		previous, updates := pseudo(3, rapid.IntRange(1, 5).Draw(t, "size"))
		norm := rapid.Float64Range(0.01, 20).Draw(t, "norm")
		for _, u := range updates {
			got, err := Aggregate(fmt.Sprintf("fedavg:clipping_norm=%g", norm), previous, []Update{u})
			if err != nil {
				t.Fatal(err)
			}
			before, after, dot := 0.0, 0.0, 0.0
			for j, p := range flat(previous) {
				b, a := float64(flat(u.Weights)[j])-float64(p), float64(flat(got)[j])-float64(p)
				before, after, dot = before+b*b, after+a*a, dot+a*b
			}
			if math.Sqrt(before) <= norm {
				if !slices.Equal(flat(got), flat(u.Weights)) {
					t.Fatal("an update within the norm was changed")
				}
				continue
			}
			if math.Abs(math.Sqrt(after)-norm) > 1e-5 || dot < math.Sqrt(before*after)*(1-1e-5) {
				t.Fatalf("distance %v became %v, norm %v, along %v", math.Sqrt(before), math.Sqrt(after), norm, dot/math.Sqrt(before*after))
			}
		}
	})
	_, updates := pseudo(2, 2)
	_, err := Aggregate("fedmedian:clipping_norm=1", nil, updates)
	wantCode(t, err, "MF-FED-PREVIOUS")
}

// TestStateTravelsWithTheModel: a server optimiser's state survives the canonical
// bytes, is what the page says, and stays out of the model.
func TestStateTravelsWithTheModel(t *testing.T) {
	previous, updates := pseudo(4, 3)
	if Model(previous) != previous || Model(nil) != nil {
		t.Error("a model without state is not itself")
	}
	for strategy, state := range map[string][]string{
		"fedadam":                     {"fedadam.round", "fedadam.m/scalar", "fedadam.v/scalar", "fedadam.m/vector", "fedadam.v/vector"},
		"fedavgm:server_momentum=0.5": {"fedavgm.momentum/scalar", "fedavgm.momentum/vector"},
	} {
		first := aggregate(t, strategy, previous, updates)
		var names []string
		for _, x := range first.Tensors {
			names = append(names, x.Name)
		}
		if want := append([]string{"scalar", "vector"}, state...); !slices.Equal(names, want) {
			t.Fatalf("tensors %v, want %v", names, want)
		}
		if err := weights.Compatible(Model(first), previous); err != nil {
			t.Error(err)
		}
		read, err := weights.Parse(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		digest := first.Digest()
		a, b := aggregate(t, strategy, first, updates), aggregate(t, strategy, read, updates)
		if !bytes.Equal(a.Bytes(), b.Bytes()) || first.Digest() != digest {
			t.Errorf("%s: the second step differs after a trip through bytes, or changed its argument", strategy)
		}
		if round := a.Find(stateRound); round != nil && round.Data[0] != 2 {
			t.Errorf("round is %v", round.Data)
		}
	}
}

func TestServerOptimisersAverageRunningStatistics(t *testing.T) {
	make := func(weight, variance float32) *weights.Weights {
		return &weights.Weights{Tensors: []weights.Tensor{
			{Name: "features.1.weight", Data: []float32{weight}},
			{Name: "features.1.running_mean", Data: []float32{weight}},
			{Name: "features.1.running_var", Data: []float32{variance}},
		}}
	}
	for strategy, state := range map[string]int{"fedadam": 3, "fedavgm:server_learning_rate=0.05": 1} {
		w := aggregate(t, strategy, make(1, 0.1), []Update{{"a", make(3, 0.01), 1}, {"b", make(5, 0.03), 1}})
		if got := w.Find("features.1.running_var").Data[0]; got != 0.02 {
			t.Errorf("%s: running_var is %v", strategy, got)
		}
		if got := w.Find("features.1.running_mean").Data[0]; got != 4 {
			t.Errorf("%s: running_mean is %v", strategy, got)
		}
		if got := w.Find("features.1.weight").Data[0]; got <= 1 || got >= 1.2 {
			t.Errorf("%s: weight is %v", strategy, got)
		}
		if len(w.Tensors) != 3+state {
			t.Errorf("%s: %d tensors", strategy, len(w.Tensors))
		}
	}
}

func TestFedAdamRefuses(t *testing.T) {
	previous, updates := pseudo(3, 2)
	_, err := Aggregate(FedAdam, nil, updates)
	wantCode(t, err, "MF-FED-PREVIOUS")
	first := aggregate(t, FedAdam, previous, updates)
	for name, damage := range map[string]func(w *weights.Weights){
		"round missing":    func(w *weights.Weights) { w.Tensors = slices.Delete(w.Tensors, 2, 3) },
		"round zero":       func(w *weights.Weights) { w.Find(stateRound).Data[0] = 0 },
		"round broken":     func(w *weights.Weights) { w.Find(stateRound).Data[0] = 1.5 },
		"round NaN":        func(w *weights.Weights) { w.Find(stateRound).Data[0] = float32(math.NaN()) },
		"m missing":        func(w *weights.Weights) { w.Tensors = slices.Delete(w.Tensors, 3, 4) },
		"v negative":       func(w *weights.Weights) { w.Find(stateV + "scalar").Data[0] = -1 },
		"v misshapen":      func(w *weights.Weights) { w.Find(stateV + "vector").Shape = []int{1, 1} },
		"m infinite":       func(w *weights.Weights) { w.Find(stateM + "vector").Data[0] = float32(math.Inf(1)) },
		"only state given": func(w *weights.Weights) { w.Tensors = w.Tensors[:3] },
	} {
		w := first.Clone()
		damage(w)
		if _, err := Aggregate(FedAdam, w, updates); err == nil {
			t.Errorf("%s: taken", name)
		} else {
			wantCode(t, err, "MF-FED-STATE")
		}
	}
	huge := []Update{{"a", vector(math.MaxFloat32, 1), 1}}
	_, err = Aggregate(FedAdam, vector(-math.MaxFloat32, 1), huge)
	wantCode(t, err, "MF-FED-NOTFINITE")
}

func TestFedAvgMRefuses(t *testing.T) {
	previous, updates := pseudo(3, 2)
	_, err := Aggregate(FedAvgM, nil, updates)
	wantCode(t, err, "MF-FED-PREVIOUS")
	first := aggregate(t, FedAvgM, previous, updates)
	for name, damage := range map[string]func(w *weights.Weights){
		"momentum missing":   func(w *weights.Weights) { w.Tensors = slices.Delete(w.Tensors, 2, 3) },
		"momentum misshapen": func(w *weights.Weights) { w.Find(stateMomentum + "vector").Shape = []int{1, 1} },
		"momentum infinite":  func(w *weights.Weights) { w.Find(stateMomentum + "vector").Data[0] = float32(math.Inf(1)) },
		"another's state":    func(w *weights.Weights) { w.Find(stateMomentum + "vector").Name = stateM + "vector" },
	} {
		w := first.Clone()
		damage(w)
		if _, err := Aggregate(FedAvgM, w, updates); err == nil {
			t.Errorf("%s: taken", name)
		} else {
			wantCode(t, err, "MF-FED-STATE")
		}
	}
	_, err = Aggregate("fedavgm:server_learning_rate=1e6", vector(-1e35, 1), []Update{{"a", vector(1e35, 1), 1}})
	wantCode(t, err, "MF-FED-NOTFINITE")
}

func TestParse(t *testing.T) {
	for text, canonical := range map[string]string{
		"fedavg":                                  "fedavg",
		"fedavg:clipping_norm=0":                  "fedavg",
		"fedprox:proximal_mu=0.010":               "fedprox:proximal_mu=0.01",
		"fedadam:tau=1e-3,eta=0.05":               "fedadam:eta=0.05",
		"krum:num_malicious_nodes=1":              "krum:num_malicious_nodes=1",
		"bulyan:clipping_norm=2":                  "bulyan:clipping_norm=2",
		"multikrum:num_nodes_to_select=3":         "multikrum:num_nodes_to_select=3",
		"fedtrimmedavg:clipping_norm=1,beta=0.25": "fedtrimmedavg:beta=0.25,clipping_norm=1",
	} {
		s, err := Parse(text)
		if err != nil || s.String() != canonical {
			t.Errorf("%s became %s, want %s (%v)", text, s, canonical, err)
		}
	}
	if s, _ := Parse("fedprox:proximal_mu=0.5"); s.ProximalMu() != 0.5 || s.Name() != FedProx {
		t.Errorf("proximal_mu is %v", s.ProximalMu())
	}
	for _, text := range []string{
		"", "FedAvg", "fedavg ", ":", "fedavg:", "fedavg:beta=0.1", "fedavg:clipping_norm", "fedavg:clipping_norm=",
		"fedavg:clipping_norm=NaN", "fedavg:clipping_norm=-1", "fedavg:clipping_norm=Inf", "fedavg:clipping_norm=1,",
		"fedavg:clipping_norm=1,clipping_norm=1", "krum:num_malicious_nodes=1.5", "krum:num_malicious_nodes=-1",
		"krum:num_nodes_to_select=2", "multikrum:num_nodes_to_select=0", "fedtrimmedavg:beta=0.5", "fedadam:beta_1=1",
	} {
		_, err := Parse(text)
		wantCode(t, err, "MF-FED-STRATEGY")
	}
	if Parameters("nothing") != nil {
		t.Error("parameters of no strategy")
	}
}

// TestParseOfStringIsItself: the canonical form is read back as the same.
func TestParseOfStringIsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(Strategies()).Draw(t, "name")
		text, separator := name, ":"
		for _, p := range Parameters(name) {
			if rapid.Bool().Draw(t, "given") {
				v := rapid.Float64Range(p.Low, p.High).Draw(t, p.Name)
				if p.Whole {
					v = math.Floor(v)
				}
				text += fmt.Sprintf("%s%s=%v", separator, p.Name, v)
				separator = ","
			}
		}
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%s became %s and then %s (%v)", text, s, again, err)
		}
	})
}
