package fl_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
)

// naiveMedian is deliberately dumb: the smallest value that at least half of
// the values do not exceed.
func naiveMedian(values []fl.Micro) fl.Micro {
	best := fl.Unscored
	for _, candidate := range values {
		notAbove := 0
		for _, value := range values {
			if value <= candidate {
				notAbove++
			}
		}
		if 2*notAbove >= len(values) && (best == fl.Unscored || candidate < best) {
			best = candidate
		}
	}
	return best
}

func TestLowerMedian(t *testing.T) {
	for _, c := range []struct {
		values []fl.Micro
		want   fl.Micro
	}{
		{nil, fl.Unscored},
		{[]fl.Micro{5}, 5},
		{[]fl.Micro{5, 1}, 1},
		{[]fl.Micro{5, 1, 3}, 3},
		{[]fl.Micro{4, 3, 2, 1}, 2},
		{[]fl.Micro{7, 7, 0, 7}, 7},
	} {
		if got := fl.LowerMedian(c.values); got != c.want {
			t.Errorf("LowerMedian(%v) = %d, want %d", c.values, got, c.want)
		}
	}
}

func scoresOf(least, most int) *rapid.Generator[[]fl.Micro] {
	return rapid.SliceOfN(micros(0, fl.One), least, most)
}

func TestCase21MedianEqualsNaiveOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := scoresOf(0, 30).Draw(t, "values")
		if got, want := fl.LowerMedian(values), naiveMedian(values); got != want {
			t.Fatalf("LowerMedian(%v) = %d, want %d", values, got, want)
		}
	})
}

func TestCase21MedianIsFreeOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := scoresOf(0, 30).Draw(t, "values")
		shuffled := rapid.Permutation(values).Draw(t, "shuffled")
		before := slices.Clone(values)
		if fl.LowerMedian(values) != fl.LowerMedian(shuffled) {
			t.Fatalf("LowerMedian of %v and of %v differ", values, shuffled)
		}
		if !slices.Equal(values, before) {
			t.Fatal("LowerMedian changed its argument")
		}
	})
}

func TestCase21LiarsCanNotLeaveTheHonestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.IntRange(0, 10).Draw(t, "f")
		honest := scoresOf(f+1, f+11).Draw(t, "honest")
		lies := scoresOf(0, f).Draw(t, "lies")
		for len(honest)+len(lies) < fl.Quorum(f) {
			honest = append(honest, honest[0])
		}
		got := fl.LowerMedian(append(slices.Clone(lies), honest...))
		if got < slices.Min(honest) || got > slices.Max(honest) {
			t.Fatalf("%d liars moved the median to %d, outside %v", f, got, honest)
		}
	})
}

// play is a random tally: masters that revealed, updates, the threshold and the
// round's allowance.
type play struct {
	terms     fl.Terms
	allowance fl.Micro
	trainers  []string
	updates   []fl.Update
	reveals   []fl.Reveal
}

func plays(t *rapid.T) play {
	p := play{terms: fl.Terms{
		F:             rapid.IntRange(0, 2).Draw(t, "f"),
		Threshold:     micros(0, fl.One).Draw(t, "threshold"),
		ThresholdKind: rapid.SampledFrom([]fl.ThresholdKind{fl.ThresholdAbsolute, fl.ThresholdRelative}).Draw(t, "kind"),
	}, allowance: micros(0, fl.One).Draw(t, "allowance")}
	orgs := []string{"A", "B", "C", "D", "E", "F", "G"}
	for i := range rapid.IntRange(0, 6).Draw(t, "trainers") {
		p.trainers = append(p.trainers, rapid.SampledFrom(orgs).Draw(t, "org")+"/t"+string(rune('0'+i)))
	}
	for _, trainer := range p.trainers {
		if rapid.IntRange(0, 4).Draw(t, "submits") > 0 {
			p.updates = append(p.updates, fl.Update{Node: trainer})
		}
	}
	for i := range rapid.IntRange(0, 7).Draw(t, "masters") {
		reveal := fl.Reveal{Master: orgs[i] + "/m"}
		for _, node := range append([]string{fl.PreviousGlobal}, p.trainers...) {
			if rapid.IntRange(0, 5).Draw(t, "scores") > 0 {
				reveal.Scores = append(reveal.Scores, fl.Score{Node: node, Score: micros(0, fl.One).Draw(t, "score")})
			}
		}
		p.reveals = append(p.reveals, reveal)
	}
	return p
}

// naiveTally says the rule again in another way: a table of scores first.
func naiveTally(p play) (map[string]fl.Result, fl.Micro) {
	table := map[string]map[string]fl.Micro{} // by node, by master
	someone := false
	for _, reveal := range p.reveals {
		for _, node := range append([]string{fl.PreviousGlobal}, p.trainers...) {
			if table[node] == nil {
				table[node] = map[string]fl.Micro{}
			}
			table[node][reveal.Master] = 0
		}
		for _, score := range reveal.Scores {
			table[score.Node][reveal.Master] = score.Score
			someone = someone || score.Node == fl.PreviousGlobal
		}
	}
	need := p.terms.F + p.terms.F + 1
	previous := fl.Unscored
	if someone && len(p.reveals) >= need {
		var all []fl.Micro
		for _, score := range table[fl.PreviousGlobal] {
			all = append(all, score)
		}
		previous = naiveMedian(all)
	}
	results := map[string]fl.Result{}
	for _, update := range p.updates {
		var others []fl.Micro
		for master, score := range table[update.Node] {
			if master[:1] != update.Node[:1] {
				others = append(others, score)
			}
		}
		r := fl.Result{Node: update.Node, Median: -1, Scores: len(others)}
		if len(others) >= need {
			r.Median = naiveMedian(others)
			if p.terms.ThresholdKind == fl.ThresholdAbsolute {
				r.Accepted = r.Median >= p.terms.Threshold
			} else {
				r.Accepted = previous >= 0 && r.Median+p.allowance >= previous
			}
		}
		results[update.Node] = r
	}
	return results, previous
}

func TestTallyEqualsNaiveOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plays(t)
		got, gotPrevious := fl.Results(p.terms, p.allowance, p.trainers, p.updates, p.reveals)
		want, wantPrevious := naiveTally(p)
		if gotPrevious != wantPrevious || len(got) != len(want) {
			t.Fatalf("got %v, previous %d; want %v, previous %d", got, gotPrevious, want, wantPrevious)
		}
		last := -1
		for _, result := range got {
			if result != want[result.Node] {
				t.Fatalf("got %+v, want %+v", result, want[result.Node])
			}
			place := slices.Index(p.trainers, result.Node)
			if place <= last {
				t.Fatalf("results %v are not in the order of %v", got, p.trainers)
			}
			last = place
		}
	})
}

func TestCase22OwnOrganisationsScoreIsIgnored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plays(t)
		before, _ := fl.Results(p.terms, p.allowance, p.trainers, p.updates, p.reveals)
		for i := range p.reveals { // every master praises its own organisation
			for j, score := range p.reveals[i].Scores {
				if fl.OrgOf(score.Node) == fl.OrgOf(p.reveals[i].Master) {
					p.reveals[i].Scores[j].Score = fl.One
				}
			}
		}
		after, _ := fl.Results(p.terms, p.allowance, p.trainers, p.updates, p.reveals)
		if !slices.Equal(before, after) {
			t.Fatalf("praise of one's own changed %v to %v", before, after)
		}
	})
}

func TestCase22QuorumOfScores(t *testing.T) {
	terms := fl.Terms{F: 1, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000}
	reveal := func(master string) fl.Reveal {
		return fl.Reveal{Master: master, Scores: []fl.Score{{Node: "A/t", Score: 600_000}}}
	}
	updates := []fl.Update{{Node: "A/t"}}
	two, _ := fl.Results(terms, 0, []string{"A/t"}, updates, []fl.Reveal{reveal("B/m"), reveal("C/m"), reveal("A/m")})
	if two[0] != (fl.Result{Node: "A/t", Median: fl.Unscored, Scores: 2}) {
		t.Errorf("2f scores of other organisations give %+v", two[0])
	}
	three, _ := fl.Results(terms, 0, []string{"A/t"}, updates, []fl.Reveal{reveal("B/m"), reveal("C/m"), reveal("D/m")})
	if three[0] != (fl.Result{Node: "A/t", Median: 600_000, Scores: 3, Accepted: true}) {
		t.Errorf("2f+1 scores give %+v", three[0])
	}
}

func TestScoreLeftOutCountsAsZero(t *testing.T) {
	terms := fl.Terms{F: 1, ThresholdKind: fl.ThresholdAbsolute, Threshold: 1}
	score := []fl.Score{{Node: "A/t", Score: 600_000}}
	results, _ := fl.Results(terms, 0, []string{"A/t"}, []fl.Update{{Node: "A/t"}},
		[]fl.Reveal{{Master: "B/m", Scores: score}, {Master: "C/m"}, {Master: "D/m"}})
	if results[0] != (fl.Result{Node: "A/t", Median: 0, Scores: 3}) {
		t.Errorf("one score and two left out give %+v", results[0])
	}
}
