package fl_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
)

// beacon is some public randomness.
func beacon(seed any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint("beacon ", seed)))
	return hex.EncodeToString(sum[:])
}

func candidates(t *rapid.T, least int) []fl.Candidate {
	var all []fl.Candidate
	for i := range rapid.IntRange(least, 15).Draw(t, "nodes") {
		org := rapid.SampledFrom([]string{"A", "B", "C", "D", "E"}).Draw(t, "org")
		all = append(all, fl.Candidate{
			ID:     fmt.Sprintf("%s/n%02d", org, i),
			Org:    org,
			Weight: rapid.SampledFrom([]fl.Micro{1, 2, 500_000, 900_000, fl.One}).Draw(t, "weight"),
		})
	}
	return all
}

func TestElectionHoldsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := candidates(t, 0)
		m := rapid.IntRange(0, 8).Draw(t, "m")
		masters := fl.Elect(beacon(rapid.Uint64().Draw(t, "beacon")), all, m)
		if len(masters) != min(m, len(all)) {
			t.Fatalf("%d of %d nodes elected %d masters", m, len(all), len(masters))
		}
		orgs := map[string]int{}
		for i, master := range masters {
			if slices.Contains(masters[:i], master) {
				t.Fatalf("%s is elected twice", master)
			}
			org := fl.OrgOf(master)
			if orgs[org]++; orgs[org] > 1 { // then no other organisation may have a candidate that could have been
				for _, other := range all {
					if orgs[other.Org] == 0 {
						t.Fatalf("two masters of %s while %s has candidates: %v", org, other.Org, masters)
					}
				}
			}
		}
	})
}

func TestElectionIsFreeOfOrderAndRepeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := candidates(t, 1)
		b := beacon(rapid.Uint64().Draw(t, "beacon"))
		shuffled := rapid.Permutation(all).Draw(t, "shuffled")
		if got, want := fl.Elect(b, shuffled, 4), fl.Elect(b, all, 4); !slices.Equal(got, want) {
			t.Fatalf("elected %v and, of another order, %v", want, got)
		}
	})
}

// The oracle is the law of the draw: over many beacons the first master is each
// node as often as its share of the weights, and given the first, the second is
// each node of the other organisations as often as its share of theirs.
func TestElectionIsProportionalToWeights(t *testing.T) {
	all := []fl.Candidate{
		{ID: "A/1", Org: "A", Weight: 100_000}, {ID: "A/2", Org: "A", Weight: 300_000},
		{ID: "B/1", Org: "B", Weight: 400_000}, {ID: "C/1", Org: "C", Weight: 200_000},
	}
	const draws = 20_000
	first, pairs := map[string]int{}, map[string]int{}
	for i := range draws {
		masters := fl.Elect(beacon(i), all, 2)
		first[masters[0]]++
		pairs[masters[0]+" "+masters[1]]++
	}
	for _, c := range all {
		near(t, "first "+c.ID, first[c.ID], draws*int(c.Weight)/1_000_000)
	}
	for _, a := range all {
		others := 0
		for _, b := range all {
			if b.Org != a.Org {
				others += int(b.Weight)
			}
		}
		for _, b := range all {
			if b.Org != a.Org {
				near(t, a.ID+" then "+b.ID, pairs[a.ID+" "+b.ID], draws*int(a.Weight)/1_000_000*int(b.Weight)/others)
			}
		}
	}
}

// near allows five standard deviations of a count, more than chance ever gives
// with these fixed beacons.
func near(t *testing.T, what string, got, want int) {
	t.Helper()
	if (got-want)*(got-want) > 25*want {
		t.Errorf("%s: drawn %d times, want about %d", what, got, want)
	}
}

func TestDemotedNodesAreAsGoodAsNeverElected(t *testing.T) {
	all := []fl.Candidate{{ID: "A/poisoner", Org: "A", Weight: fl.Demoted}}
	for _, org := range []string{"A", "B", "C", "D"} {
		all = append(all, fl.Candidate{ID: org + "/honest", Org: org, Weight: 900_000})
	}
	for i := range 1000 {
		if masters := fl.Elect(beacon(i), all, 4); slices.Contains(masters, "A/poisoner") {
			t.Fatalf("beacon %d elects %v", i, masters)
		}
	}
}

func TestSampleSize(t *testing.T) {
	for _, c := range []struct {
		nodes int
		p     fl.Micro
		want  int
	}{
		{0, fl.One, 0}, {-1, fl.One, 0}, {1, 1, 1}, {5, fl.One, 5}, {5, 400_000, 2}, {5, 400_001, 3}, {100, 100_000, 10}, {100, 1, 1}, {3, 333_333, 1}, {3, 333_334, 2},
	} {
		if got := fl.SampleSize(c.nodes, c.p); got != c.want {
			t.Errorf("SampleSize(%d, %d) = %d, want %d", c.nodes, c.p, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		nodes, p := rapid.IntRange(1, 10_000).Draw(t, "nodes"), micros(1, fl.One).Draw(t, "p")
		k := 1 // the smallest k of at least one with k/K >= P
		for fl.Micro(k)*fl.One < p*fl.Micro(nodes) {
			k++
		}
		if got := fl.SampleSize(nodes, p); got != k {
			t.Fatalf("SampleSize(%d, %d) = %d, want %d", nodes, p, got, k)
		}
	})
}

func TestSampleHoldsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-C]/[a-z]{1,3}`), 0, 20, rapid.ID[string]).Draw(t, "nodes")
		p := micros(1, fl.One).Draw(t, "p")
		b := beacon(rapid.Uint64().Draw(t, "beacon"))
		before := slices.Clone(nodes)
		trainers := fl.Sample(b, nodes, p)
		if !slices.Equal(before, nodes) {
			t.Fatal("Sample changed its argument")
		}
		if len(trainers) != fl.SampleSize(len(nodes), p) {
			t.Fatalf("%d trainers", len(trainers))
		}
		for i, trainer := range trainers {
			if slices.Contains(trainers[:i], trainer) || !slices.Contains(nodes, trainer) {
				t.Fatalf("sampled %v of %v", trainers, nodes)
			}
		}
		if again := fl.Sample(b, rapid.Permutation(nodes).Draw(t, "shuffled"), p); !slices.Equal(again, trainers) {
			t.Fatalf("sampled %v and, of another order, %v", trainers, again)
		}
	})
}

func TestSampleIsUniform(t *testing.T) {
	nodes := []string{"A/1", "A/2", "B/1", "C/1", "D/1"}
	const draws = 20_000
	sets := map[string]int{}
	for i := range draws {
		trainers := fl.Sample(beacon(i), nodes, 400_000)
		sort.Strings(trainers)
		sets[fmt.Sprint(trainers)]++
	}
	if len(sets) != 10 {
		t.Errorf("%d of the 10 pairs were drawn", len(sets))
	}
	for pair, n := range sets {
		near(t, pair, n, draws/10)
	}
}

func TestDrawKeepsMastersFromTraining(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []fl.Node
		var standings []fl.Standing
		for _, c := range candidates(t, 1) {
			nodes = append(nodes, fl.Node{ID: c.ID, Org: c.Org})
			if rapid.Bool().Draw(t, "known") {
				standings = append(standings, fl.Standing{Node: c.ID, Weight: c.Weight})
			}
		}
		terms := fl.Terms{Masters: rapid.IntRange(2, 5).Draw(t, "m"), Participation: micros(1, fl.One).Draw(t, "p"), BaseWeight: 500_000}
		var spent []string
		for _, node := range nodes {
			if rapid.IntRange(0, 3).Draw(t, "spent") == 0 {
				spent = append(spent, node.ID)
			}
		}
		masters, trainers := fl.Draw(terms, nodes, standings, spent, beacon(1))
		left := 0
		for _, node := range nodes {
			if !slices.Contains(masters, node.ID) && !slices.Contains(spent, node.ID) {
				left++
			}
		}
		for _, trainer := range trainers {
			if slices.Contains(spent, trainer) {
				t.Fatalf("%s trains, whose budget is spent", trainer)
			}
			if slices.Contains(masters, trainer) {
				t.Fatalf("%s scores and trains", trainer)
			}
		}
		if want := fl.SampleSize(left, terms.Participation); len(trainers) != want {
			t.Fatalf("%d trainers, want %d", len(trainers), want)
		}
	})
}

func TestNewcomersHaveTheBaseWeight(t *testing.T) {
	nodes := []fl.Node{{ID: "A/1", Org: "A"}, {ID: "B/1", Org: "B"}}
	got := fl.Candidates(nodes, []fl.Standing{{Node: "B/1", Weight: 7}}, 500_000)
	want := []fl.Candidate{{ID: "A/1", Org: "A", Weight: 500_000}, {ID: "B/1", Org: "B", Weight: 7}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The election is part of what every organisation has agreed to run: a change
// of these values is a change of the protocol. A second implementation, in another
// language, gave them too.
func TestDrawsArePinned(t *testing.T) {
	var nodes []fl.Node
	for _, id := range []string{"A/1", "A/2", "B/1", "B/2", "C/1", "C/2", "D/1", "D/2", "E/1"} {
		nodes = append(nodes, fl.Node{ID: id, Org: fl.OrgOf(id)})
	}
	first := fl.FirstBeacon("covid", []fl.BeaconSalt{{Node: "A/1", Salt: beacon("a")}, {Node: "B/1", Salt: beacon("b")}})
	if want := "23691b1b2b4f6866d8f331aa581eb6588207abeb612fd8e18a561819984c7b26"; first != want {
		t.Errorf("the first beacon is %s, want %s", first, want)
	}
	next := fl.NextBeacon("covid", 1, first, []fl.Reveal{{Master: "A/1", Salt: beacon("c")}})
	if want := "01d3aa4ded3e4f66f71bac7a06c184a37641a11caa27cdf2375351ca62931f7b"; next != want {
		t.Errorf("the next beacon is %s, want %s", next, want)
	}
	masters, trainers := fl.Draw(fl.Terms{Masters: 4, Participation: 500_000, BaseWeight: 500_000}, nodes, nil, nil, first)
	if got, want := fmt.Sprint(masters, trainers), "[A/1 B/1 E/1 C/2] [A/2 B/2 D/1]"; got != want {
		t.Errorf("drawn %s, want %s", got, want)
	}
}
