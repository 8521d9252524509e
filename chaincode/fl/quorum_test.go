package fl_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
)

// TestOver lists the whole rule for five who may speak and a quorum of three.
func TestOver(t *testing.T) {
	for _, c := range []struct {
		have int
		past bool
		want fl.Verdict
	}{
		{0, false, fl.Wait}, {2, false, fl.Wait}, {3, false, fl.Wait}, {4, false, fl.Wait}, {5, false, fl.Proceed},
		{0, true, fl.Fail}, {2, true, fl.Fail}, {3, true, fl.Proceed}, {4, true, fl.Proceed}, {5, true, fl.Proceed},
	} {
		if got := fl.Over(c.have, 5, 3, c.past); got != c.want {
			t.Errorf("%d of 5, past %v: %d, want %d", c.have, c.past, got, c.want)
		}
	}
	if got := fl.Over(2, 2, 3, false); got != fl.Wait {
		t.Errorf("all of too few: %d, want to wait for the deadline", got)
	}
	if got := fl.Over(2, 2, 3, true); got != fl.Fail {
		t.Errorf("all of too few past the deadline: %d, want to fail", got)
	}
}

// What a phase promises: it ends by its deadline, never goes on below quorum,
// and one more voice never makes it worse.
func TestOverHoldsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.IntRange(0, 20).Draw(t, "all")
		have, quorum := rapid.IntRange(0, all).Draw(t, "have"), rapid.IntRange(1, 20).Draw(t, "quorum")
		if fl.Over(have, all, quorum, true) == fl.Wait {
			t.Fatal("waits past the deadline")
		}
		for _, past := range []bool{false, true} {
			verdict := fl.Over(have, all, quorum, past)
			if verdict == fl.Proceed && have < quorum {
				t.Fatal("goes on below quorum")
			}
			if have < all && verdict == fl.Proceed && fl.Over(have+1, all, quorum, past) != fl.Proceed {
				t.Fatal("one more voice makes it worse")
			}
			if !past && verdict == fl.Fail {
				t.Fatal("fails before the deadline")
			}
		}
	})
}

// TestCase22NumbersThatHoldF counts the masters out, one by one: f of them lie, a
// trainer's own organisation is left out, and honest masters must still be most.
func TestCase22NumbersThatHoldF(t *testing.T) {
	for f := 0; f <= 5; f++ {
		for masters := 0; masters <= 20; masters++ {
			scores := masters - 1 // one of the trainer's own organisation
			holds := masters-f >= fl.Quorum(f) && scores >= fl.Quorum(f)
			terms := validTerms()
			terms.F, terms.Masters = f, masters
			err := fl.CheckTerms(terms)
			if holds != (err == nil) || err != nil && codeOf(err) != "MF-TERMS-FAULTS" {
				t.Errorf("f = %d with %d masters: %v", f, masters, err)
			}
		}
	}
}

func TestCheckNodes(t *testing.T) {
	nodes := func(orgs ...string) []fl.Node {
		var all []fl.Node
		for i, org := range orgs {
			all = append(all, fl.Node{ID: fmt.Sprintf("%s/%d", org, i), Org: org})
		}
		return all
	}
	terms := validTerms() // four masters, all others train, at least two updates
	for _, c := range []struct {
		name  string
		nodes []fl.Node
		ok    bool
	}{
		{"none", nil, false},
		{"three organisations", nodes("A", "A", "A", "B", "B", "B", "C", "C", "C"), false},
		{"one trainer", nodes("A", "B", "C", "D", "D"), false},
		{"enough", nodes("A", "B", "C", "D", "D", "D"), true},
	} {
		err := fl.CheckNodes(terms, c.nodes)
		if (err == nil) != c.ok || err != nil && codeOf(err) != "MF-TASK-NODES" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// naiveAgreed counts every digest's attestations and looks for a proposal of it.
func naiveAgreed(f int, masters []string, proposals []fl.Proposal, attestations []fl.Attestation) map[string]int {
	agreed := map[string]int{}
	for _, proposal := range proposals {
		n := 0
		for _, master := range masters {
			for _, attestation := range attestations {
				if attestation.Master == master && attestation.Digest == proposal.Model.Digest {
					n++
				}
			}
		}
		if n > 2*f {
			agreed[proposal.Model.Digest] = n
		}
	}
	return agreed
}

func TestCase27AgreedEqualsNaiveOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.IntRange(0, 2).Draw(t, "f")
		var masters []string
		for i := range rapid.IntRange(1, 9).Draw(t, "masters") {
			masters = append(masters, fmt.Sprintf("%c/m", 'A'+i))
		}
		digests := rapid.SampledFrom([]string{"x", "y", "z"})
		var proposals []fl.Proposal
		var attestations []fl.Attestation
		for _, who := range append([]string{"C/coordinator"}, masters...) {
			if rapid.Bool().Draw(t, "proposes") {
				proposals = append(proposals, fl.Proposal{Proposer: who, Model: fl.ModelRef{CID: who, Digest: digests.Draw(t, "digest")}})
			}
		}
		for _, who := range append([]string{"A/no-master"}, masters...) {
			if rapid.IntRange(0, 3).Draw(t, "attests") > 0 {
				attestations = append(attestations, fl.Attestation{Master: who, Digest: digests.Draw(t, "digest")})
			}
		}
		want := naiveAgreed(f, masters, proposals, attestations)
		got, count, ok := fl.Agreed(fl.Terms{F: f}, "C/coordinator", masters, proposals, attestations)
		if ok != (len(want) > 0) {
			t.Fatalf("agreed %v, want one of %v", ok, want)
		}
		if !ok {
			return
		}
		if want[got.Model.Digest] != count {
			t.Fatalf("agreed on %s with %d attestations of %v", got.Model.Digest, count, want)
		}
		for digest, n := range want {
			if n > count || n == count && digest < got.Model.Digest {
				t.Fatalf("agreed on %s, but %v", got.Model.Digest, want)
			}
		}
		for _, proposal := range proposals {
			if proposal.Proposer == "C/coordinator" && proposal.Model.Digest == got.Model.Digest && got != proposal {
				t.Fatalf("took the proposal of %s, and the coordinator made the same", got.Proposer)
			}
		}
		shuffled, _, _ := fl.Agreed(fl.Terms{F: f}, "C/coordinator", masters,
			rapid.Permutation(proposals).Draw(t, "proposals"), rapid.Permutation(attestations).Draw(t, "attestations"))
		if shuffled != got {
			t.Fatalf("of another order, agreed on %+v and not on %+v", shuffled, got)
		}
	})
}
