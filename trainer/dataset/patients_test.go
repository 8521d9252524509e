package dataset

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawPatients(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.StringMatching(`p[0-9]{1,2}`), 1, 100).Draw(t, "patients")
}

// splitOf has an image of one value for each of the patients, and its number as label.
func splitOf(patients []string) Split {
	s := Split{Patients: patients}
	for i := range patients {
		s.Values, s.Labels = append(s.Values, float32(i)), append(s.Labels, i)
	}
	return s
}

func distinct(patients []string, indices []int) map[string]bool {
	names := map[string]bool{}
	for _, i := range indices {
		names[patients[i]] = true
	}
	return names
}

// TestPatientShardsKeepPatientsTogether: every image in one shard, no shard
// empty, no patient in two, and the same again from the same arguments.
func TestPatientShardsKeepPatientsTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patients := drawPatients(t)
		indices := make([]int, len(patients))
		for i := range indices {
			indices[i] = i
		}
		total := len(distinct(patients, indices))
		n := rapid.IntRange(1, total).Draw(t, "n")
		seed := rapid.Int64().Draw(t, "seed")
		s := splitOf(patients)
		shards, err := (Partition{Kind: ByPatient}).Shards(s, n, seed)
		if err != nil || len(shards) != n {
			t.Fatalf("%d shards (%v)", len(shards), err)
		}
		held := 0
		var seen []int
		for _, shard := range shards {
			if len(shard) == 0 || !slices.IsSorted(shard) {
				t.Fatalf("shard %v", shard)
			}
			held += len(distinct(patients, shard))
			seen = append(seen, shard...)
		}
		slices.Sort(seen)
		if held != total || !slices.Equal(seen, indices) {
			t.Fatalf("%d patients in shards, %d in all; images %v", held, total, seen)
		}
		again, _ := (Partition{Kind: ByPatient}).Shards(s, n, seed)
		if !reflect.DeepEqual(shards, again) {
			t.Fatal("not a function of its arguments")
		}
	})
}

func TestPatientHoldout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patients := drawPatients(t)
		share := rapid.Float64Range(0.01, 0.99).Draw(t, "share")
		rest, held, err := splitOf(patients).Holdout(share, rapid.Int64().Draw(t, "seed"))
		if err != nil {
			wantCode(t, err, "MF-DATA-PARTITION")
			return
		}
		all := append(slices.Clone(rest.Labels), held.Labels...)
		slices.Sort(all)
		if rest.Len() == 0 || held.Len() == 0 || !slices.Equal(all, splitOf(patients).Labels) {
			t.Fatalf("%d and %d of %d", rest.Len(), held.Len(), len(patients))
		}
		for _, p := range held.Patients {
			if slices.Contains(rest.Patients, p) {
				t.Fatalf("patient %s is on both sides", p)
			}
		}
		if left := slices.Compact(slices.Sorted(slices.Values(rest.Patients))); float64(held.Len()) < share*float64(len(patients)) && len(left) > 1 {
			t.Fatalf("%d held of %d for a share of %v", held.Len(), len(patients), share)
		}
	})
}

func TestPatientSplitsRefuse(t *testing.T) {
	for _, n := range []int{-1, 0, 3} {
		_, err := Partition{Kind: ByPatient}.Shards(splitOf([]string{"a", "b", "a"}), n, 1)
		wantCode(t, err, "MF-DATA-PARTITION")
	}
	for _, s := range []Split{splitOf([]string{"a", ""}), splitOf(nil), {Values: []float32{1}, Labels: []int{0}}} {
		_, err := Partition{Kind: ByPatient}.Shards(s, 1, 1)
		wantCode(t, err, "MF-DATA-PARTITION")
	}
	for _, share := range []float64{0, 1, -1, math.NaN()} {
		_, _, err := splitOf([]string{"a", "b"}).Holdout(share, 1)
		wantCode(t, err, "MF-DATA-PARTITION")
	}
	_, _, err := splitOf([]string{"a", "a"}).Holdout(0.5, 1)
	wantCode(t, err, "MF-DATA-PARTITION")
}

func TestClassWeights(t *testing.T) {
	// compute_class_weight("balanced") of scikit-learn's documentation formula.
	if got := ClassWeights([]int{0, 0, 0, 1}, 2); !slices.Equal(got, []float32{4.0 / 6, 2}) {
		t.Errorf("got %v", got)
	}
	if got := ClassWeights([]int{1}, 3); !slices.Equal(got, []float32{0, 1.0 / 3, 0}) {
		t.Errorf("got %v", got)
	}
	if got := ClassWeights(nil, 2); !slices.Equal(got, []float32{0, 0}) {
		t.Errorf("got %v", got)
	}
}
