package fl_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

func codeOf(err error) codes.Code {
	if err == nil {
		return ""
	}
	return codes.Of(err)
}

func TestCommitmentsArePinned(t *testing.T) {
	scores := []fl.Score{{Node: fl.PreviousGlobal, Score: 800_000}, {Node: "B/1", Score: 875_000}}
	if got, want := fl.ScoresCommitment("covid", 3, "A/1", scores, beacon("s")), "9ffe1e2f1288f0d205faa9cad86739c001db3d8245a439fd573e3bd523a6934b"; got != want {
		t.Errorf("ScoresCommitment gives %s, want %s", got, want)
	}
	if got, want := fl.SaltCommitment("covid", "A/1", beacon("s")), "6f5b506d2f279caf8b25a252b378eac0c46d94447a5803ba4769843991299a42"; got != want {
		t.Errorf("SaltCommitment gives %s, want %s", got, want)
	}
}

// sealed is everything a score commitment must bind.
type sealed struct {
	task   string
	round  int
	master string
	scores []fl.Score
	salt   string
}

func (s sealed) hash() string {
	return fl.ScoresCommitment(s.task, s.round, s.master, s.scores, s.salt)
}

func sealeds(t *rapid.T, name string) sealed {
	short := rapid.StringMatching(`[ab]{0,2}`)
	s := sealed{
		task: short.Draw(t, name+" task"), round: rapid.IntRange(0, 12).Draw(t, name+" round"),
		master: short.Draw(t, name+" master"), salt: short.Draw(t, name+" salt"),
	}
	for range rapid.IntRange(0, 2).Draw(t, name+" scores") {
		s.scores = append(s.scores, fl.Score{Node: short.Draw(t, name+" node"), Score: micros(0, 12).Draw(t, name+" score")})
	}
	return s
}

// Two commitments are equal only when all that they bind is: the short texts
// make careless joining of fields collide.
func TestCase23CommitmentBindsTaskRoundMasterScoresAndSalt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := sealeds(t, "a"), sealeds(t, "b")
		same := a.task == b.task && a.round == b.round && a.master == b.master && a.salt == b.salt && sameScores(a.scores, b.scores)
		if (a.hash() == b.hash()) != same {
			t.Fatalf("%+v and %+v: same content %v, same hash %v", a, b, same, !same)
		}
	})
}

// sameScores compares as multisets, in the dumbest way.
func sameScores(a, b []fl.Score) bool {
	count := map[fl.Score]int{}
	for _, score := range a {
		count[score]++
	}
	for _, score := range b {
		count[score]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestCase23CommitmentIsFreeOfTheOrderOfScores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sealeds(t, "a")
		for _, node := range []string{"x", "y", "z"} {
			s.scores = append(s.scores, fl.Score{Node: node, Score: 1})
		}
		shuffled := s
		shuffled.scores = rapid.Permutation(s.scores).Draw(t, "shuffled")
		distinct := map[string]bool{}
		for _, score := range s.scores {
			distinct[score.Node] = true
		}
		if len(distinct) == len(s.scores) && s.hash() != shuffled.hash() {
			t.Fatalf("%v and %v seal to different hashes", s.scores, shuffled.scores)
		}
	})
}

func TestSaltCommitmentBindsTaskAndNode(t *testing.T) {
	seen := map[string][3]string{}
	for _, c := range [][3]string{{"a", "bc", "d"}, {"ab", "c", "d"}, {"a", "b", "cd"}, {"a", "bc", "e"}, {"abc", "", "d"}, {"", "abc", "d"}} {
		h := fl.SaltCommitment(c[0], c[1], c[2])
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q commit to the same", c, other)
		}
		seen[h] = c
	}
}

func TestCheckScores(t *testing.T) {
	trainers := []string{"A/1", "B/1"}
	good := beacon("salt")
	for _, c := range []struct {
		name   string
		scores []fl.Score
		salt   string
		code   codes.Code
	}{
		{"none", nil, good, ""},
		{"all", []fl.Score{{Node: "B/1", Score: 0}, {Node: fl.PreviousGlobal, Score: fl.One}, {Node: "A/1", Score: 5}}, good, ""},
		{"stranger", []fl.Score{{Node: "C/1", Score: 5}}, good, "MF-REVEAL-SCORES"},
		{"twice", []fl.Score{{Node: "A/1", Score: 5}, {Node: "B/1", Score: 5}, {Node: "A/1", Score: 6}}, good, "MF-REVEAL-SCORES"},
		{"previous twice", []fl.Score{{Node: fl.PreviousGlobal, Score: 5}, {Node: fl.PreviousGlobal, Score: 5}}, good, "MF-REVEAL-SCORES"},
		{"below", []fl.Score{{Node: "A/1", Score: -1}}, good, "MF-REVEAL-SCORES"},
		{"above", []fl.Score{{Node: "A/1", Score: fl.One + 1}}, good, "MF-REVEAL-SCORES"},
		{"salt", nil, good[1:], "MF-REVEAL-SALT"},
	} {
		if got := codeOf(fl.CheckScores(trainers, c.scores, c.salt)); got != c.code {
			t.Errorf("%s: %q, want %q", c.name, got, c.code)
		}
	}
}
