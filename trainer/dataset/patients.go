package dataset

import (
	"cmp"
	"github.com/medfed/medfed/chaincode/codes"
	"maps"
	"slices"
)

// patientShards splits images into n shards as [ByPatient] says.
func patientShards(s Split, n int, r random) ([][]int, error) {
	groups, err := s.byPatient()
	if err != nil {
		return nil, err
	}
	if n > len(groups) {
		return nil, codes.Errorf("MF-DATA-PARTITION", "%d patients cannot be split into %d shards that are not empty; use 1 to %d shards", len(groups), n, len(groups))
	}
	order := r.permutation(len(groups))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(groups[b]), len(groups[a])) })
	shards := make([][]int, n)
	for _, g := range order {
		smallest := 0
		for k := range shards {
			if len(shards[k]) < len(shards[smallest]) {
				smallest = k
			}
		}
		shards[smallest] = append(shards[smallest], groups[g]...)
	}
	return shards, nil
}

// Holdout sets patients aside, in a random order, until at least share of the images
// (above 0, below 1) is held: for a validation or test part of which training has seen
// no patient. At least one patient is held and one left. Both parts have their images
// in the order of s. The error is MF-DATA-PARTITION.
func (s Split) Holdout(share float64, seed int64) (rest, held Split, err error) {
	groups, err := s.byPatient()
	if err != nil {
		return Split{}, Split{}, err
	}
	if !(share > 0 && share < 1) || len(groups) < 2 {
		return Split{}, Split{}, codes.Errorf("MF-DATA-PARTITION", "a share of %v of %d patients cannot be held out; use a share between 0 and 1 and at least 2 patients", share, len(groups))
	}
	var left, aside []int
	order := newRandom(seed, usePatients).permutation(len(groups))
	for i, g := range order {
		last := i == len(order)-1
		if !last && float64(len(aside)) < share*float64(s.Len()) {
			aside = append(aside, groups[g]...)
		} else {
			left = append(left, groups[g]...)
		}
	}
	slices.Sort(left)
	slices.Sort(aside)
	return s.Select(left), s.Select(aside), nil
}

// byPatient gives every patient's images, patients in the order of their names.
func (s Split) byPatient() ([][]int, error) {
	if s.Patients == nil {
		return nil, codes.Errorf("MF-DATA-PARTITION", "the set does not tell whose images they are; use a folder of images, with the column patient_id in its %s, or another split", manifestName)
	}
	images := map[string][]int{}
	for i, patient := range s.Patients {
		if patient == "" {
			return nil, codes.Errorf("MF-DATA-PARTITION", "image %d has no patient; name the patient of every image", i)
		}
		images[patient] = append(images[patient], i)
	}
	groups := make([][]int, 0, len(images))
	for _, name := range slices.Sorted(maps.Keys(images)) {
		groups = append(groups, images[name])
	}
	return groups, nil
}

// ClassWeights weighs every class against its frequency: N/(classes*count), so
// that the mean weight of an example is 1 when all classes occur ("balanced" in
// scikit-learn's compute_class_weight). A class that does not occur weighs 0.
// Labels go from 0 to classes-1.
func ClassWeights(labels []int, classes int) []float32 {
	counts := make([]int, classes)
	for _, label := range labels {
		counts[label]++
	}
	weights := make([]float32, classes)
	for class, n := range counts {
		if n > 0 {
			weights[class] = float32(float64(len(labels)) / float64(classes*n))
		}
	}
	return weights
}
