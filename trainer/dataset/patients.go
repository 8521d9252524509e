package dataset

import (
	"cmp"
	"fmt"
	"slices"
)

// PatientShards splits images, given by their patients, into n shards so that no
// patient is in two: patients in a random order, those with the most images
// first, each to the shard with the fewest. Every image is in exactly one shard,
// none is empty, each is in ascending order. The error is MF-DATA-PARTITION.
func PatientShards(patients []string, n int, seed int64) ([][]int, error) {
	groups, err := byPatient(patients)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(groups) {
		return nil, fmt.Errorf("MF-DATA-PARTITION: %d patients cannot be split into %d shards that are not empty; use 1 to %d shards", len(groups), n, len(groups))
	}
	order := newRandom(seed, usePatients).permutation(len(groups))
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
	for _, shard := range shards {
		slices.Sort(shard)
	}
	return shards, nil
}

// PatientHoldout sets patients aside, in a random order, until at least share of
// the images (above 0, below 1) is held: for a validation or test part of which
// training has seen no patient. At least one patient is held and one left. Both
// lists are of image indices, in ascending order. The error is MF-DATA-PARTITION.
func PatientHoldout(patients []string, share float64, seed int64) (rest, held []int, err error) {
	groups, err := byPatient(patients)
	if err != nil {
		return nil, nil, err
	}
	if !(share > 0 && share < 1) || len(groups) < 2 {
		return nil, nil, fmt.Errorf("MF-DATA-PARTITION: a share of %v of %d patients cannot be held out; use a share between 0 and 1 and at least 2 patients", share, len(groups))
	}
	order := newRandom(seed, usePatients).permutation(len(groups))
	for i, g := range order {
		last := i == len(order)-1
		if !last && float64(len(held)) < share*float64(len(patients)) {
			held = append(held, groups[g]...)
		} else {
			rest = append(rest, groups[g]...)
		}
	}
	slices.Sort(rest)
	slices.Sort(held)
	return rest, held, nil
}

// byPatient gives every patient's images, patients in the order of their names.
func byPatient(patients []string) ([][]int, error) {
	images := map[string][]int{}
	for i, patient := range patients {
		if patient == "" {
			return nil, fmt.Errorf("MF-DATA-PARTITION: image %d has no patient; name the patient of every image", i)
		}
		images[patient] = append(images[patient], i)
	}
	names := make([]string, 0, len(images))
	for name := range images {
		names = append(names, name)
	}
	slices.Sort(names)
	groups := make([][]int, len(names))
	for i, name := range names {
		groups[i] = images[name]
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
