package node

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/trainer/weights"
)

func TestMicroRoundsHalfUp(t *testing.T) {
	for share, want := range map[float64]fl.Micro{
		0: 0, 1: fl.One, 0.875: 875_000, 0.0000004: 0, 0.0000005: 1, 0.0000014: 1, 2.0 / 3: 666_667, 0.9999999: fl.One,
		-1: 0, 2: fl.One, math.Inf(1): fl.One, math.Inf(-1): 0, math.NaN(): 0, math.SmallestNonzeroFloat64: 0,
	} {
		if got := Micro(share); got != want {
			t.Errorf("Micro(%v) = %d, want %d", share, got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		a, b := rapid.Float64().Draw(r, "a"), rapid.Float64().Draw(r, "b")
		if m := Micro(a); m < 0 || m > fl.One || a <= b && m > Micro(b) {
			r.Fatalf("Micro(%v) = %d, Micro(%v) = %d", a, m, b, Micro(b))
		}
	})
}

// master makes a node that scores in a round whose previous global model and
// updates are in its store.
func master(t *testing.T, updates map[string]func(f *files, key *envelope.Identity) fl.ModelRef) (*Node, View) {
	t.Helper()
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	store := &files{content: map[string][]byte{}}
	n, err := New(Config{ID: "H1/a", Task: "t", Identity: key, Ledger: muted{}, Store: store, Learner: stub{}, Train: examples(3), Validation: examples(2)})
	if err != nil {
		t.Fatal(err)
	}
	v := at(fl.RoundCommitting, limit-2)
	v.Task.Task.Metric = fl.MetricAccuracy
	v.Round.Round.Previous = put(t, store, key, vector(0.5, 0.5))
	for id, make := range updates {
		v.Round.Updates = append(v.Round.Updates, fl.Update{Node: id, Model: make(store, key), NumExamples: 1})
	}
	slices.SortFunc(v.Round.Updates, func(a, b fl.Update) int { return int(a.Node[0]) - int(b.Node[0]) })
	return n, v
}

func put(t testing.TB, store Store, key *envelope.Identity, w *weights.Weights) fl.ModelRef {
	t.Helper()
	ref, err := Put(t.Context(), store, w, []string{key.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestUpdatesThatScoreZero(t *testing.T) {
	good := func(f *files, key *envelope.Identity) fl.ModelRef { return put(t, f, key, vector(0.75, 0.75)) }
	stranger, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for name, bad := range map[string]func(f *files, key *envelope.Identity) fl.ModelRef{
		"absent": func(f *files, key *envelope.Identity) fl.ModelRef {
			ref := put(t, f, key, vector(1, 1))
			delete(f.content, ref.CID)
			return ref
		},
		"not for this master": func(f *files, key *envelope.Identity) fl.ModelRef { return put(t, f, stranger, vector(1, 1)) },
		"garbage": func(f *files, key *envelope.Identity) fl.ModelRef {
			ref := put(t, f, key, vector(1, 1))
			f.content[ref.CID] = []byte("no age file")
			return ref
		},
		"flipped": func(f *files, key *envelope.Identity) fl.ModelRef {
			ref := put(t, f, key, vector(1, 1))
			f.content[ref.CID][len(f.content[ref.CID])-1] ^= 1
			return ref
		},
		"truncated": func(f *files, key *envelope.Identity) fl.ModelRef {
			ref := put(t, f, key, vector(1, 1))
			f.content[ref.CID] = f.content[ref.CID][:len(f.content[ref.CID])-1]
			return ref
		},
		"other digest": func(f *files, key *envelope.Identity) fl.ModelRef {
			ref := put(t, f, key, vector(1, 1))
			ref.Digest = vector(0, 1).Digest()
			return ref
		},
		"longer than it says": func(f *files, key *envelope.Identity) fl.ModelRef {
			ref := put(t, f, key, vector(1, 1))
			ref.Size--
			return ref
		},
		"other shapes": func(f *files, key *envelope.Identity) fl.ModelRef { return put(t, f, key, vector(1, 1, 1)) },
		"NaN":          func(f *files, key *envelope.Identity) fl.ModelRef { return put(t, f, key, vector(1, nan)) },
		"infinity": func(f *files, key *envelope.Identity) fl.ModelRef {
			return put(t, f, key, vector(float32(math.Inf(-1)), 1))
		},
		"panics": func(f *files, key *envelope.Identity) fl.ModelRef { return put(t, f, key, vector(1234, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // an absent one is waited for
			n, v := master(t, map[string]func(*files, *envelope.Identity) fl.ModelRef{"good": good, "villain": bad})
			got, err := n.measure(t.Context(), v)
			want := []fl.Score{{Node: "good", Score: 750_000}, {Node: fl.PreviousGlobal, Score: 500_000}, {Node: "villain", Score: 0}}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestMeasuringTwiceFetchesAndEvaluatesOnce(t *testing.T) {
	n, v := master(t, map[string]func(*files, *envelope.Identity) fl.ModelRef{
		"good": func(f *files, key *envelope.Identity) fl.ModelRef { return put(t, f, key, vector(0.75, 0.75)) },
	})
	first, err := n.measure(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	n.Learner = nil // a second evaluation would crash
	second, err := n.measure(t.Context(), v)
	if err != nil || !slices.Equal(first, second) {
		t.Fatalf("%v, %v, want %v", second, err, first)
	}
	for cid, gets := range n.Store.(*files).gets {
		if gets != 1 {
			t.Errorf("%s was fetched %d times", cid, gets)
		}
	}
}

// A master that was killed after it sealed 0 for an update out of reach finds out
// what it sealed when it can reach the update again.
func TestRevealFindsWhatWasSealed(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		now := []fl.Score{{Node: fl.PreviousGlobal, Score: 1}}
		for i := range rapid.IntRange(0, 9).Draw(r, "updates") {
			now = append(now, fl.Score{Node: string(rune('a' + i)), Score: fl.Micro(rapid.IntRange(0, 2).Draw(r, "score"))})
		}
		sealed := slices.Clone(now)
		for i := 1; i < len(sealed); i++ {
			if rapid.Bool().Draw(r, "was out of reach") {
				sealed[i].Score = 0
			}
		}
		opens := func(s []fl.Score) bool { return slices.Equal(s, sealed) }
		if got := asSealed(now, opens); !slices.Equal(got, sealed) {
			r.Fatalf("%v found, %v sealed", got, sealed)
		}
		if got := asSealed(now, func([]fl.Score) bool { return false }); got != nil {
			r.Fatalf("%v found where nothing opens", got)
		}
	})
}

func TestRevealOfOtherScoresIsNotSent(t *testing.T) {
	n, v := master(t, map[string]func(*files, *envelope.Identity) fl.ModelRef{})
	v.Round.Round.Phase = fl.RoundRevealing
	v.Round.Commitments = []fl.ScoreCommitment{{Master: n.ID, Hash: "of other scores"}}
	wantCode(t, n.reveal(t.Context(), v, Action{Kind: Reveal, Round: 3}), "MF-NODE-SEALED")
}

// What is wrong with this node's own data is an error and no score.
func TestOwnFaultIsNoScore(t *testing.T) {
	n, v := master(t, map[string]func(*files, *envelope.Identity) fl.ModelRef{})
	v.Round.Round.Previous = put(t, n.Store, n.Identity, vector(1234, 1)) // evaluating it fails
	if scores, err := n.measure(t.Context(), v); err == nil {
		t.Errorf("%v", scores)
	}
}
