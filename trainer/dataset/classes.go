package dataset

import (
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// Matching says how someone's own names of classes go with those that were agreed on.
type Matching struct {
	Renamed map[string]string // own name: agreed name. Two of one's own may be one agreed class
	Absent  []string          // agreed classes that the data are known to have no example of
}

// Match brings the labels into the order of the classes that were agreed on, by their
// names. Every class of the data must be one of those, by its own name or as m renames
// it, and every one of those must be a class of the data or be in m.Absent. The error is
// MF-DATA-CLASSES, shows both lists, and leaves the data as they were.
func (d *Data) Match(agreed []string, m Matching) error {
	labels, err := m.labels(d.Classes, agreed)
	if err != nil {
		return err
	}
	for _, part := range []*Split{&d.Train, &d.Validation, &d.Test} {
		own := part.Labels
		part.Labels = make([]int, len(own))
		for i, label := range own {
			part.Labels[i] = labels[label]
		}
	}
	d.Classes = slices.Clone(agreed)
	return nil
}

// labels is the agreed label of each own class.
func (m Matching) labels(own, agreed []string) ([]int, error) {
	labels := make([]int, len(own))
	met := make([]bool, len(agreed))
	var unknown, missing []string
	for i, name := range own {
		to := name
		if renamed, ok := m.Renamed[name]; ok {
			to = renamed
		}
		if labels[i] = slices.Index(agreed, to); labels[i] < 0 {
			unknown = append(unknown, to)
			continue
		}
		met[labels[i]] = true
	}
	for i, name := range agreed {
		if !met[i] && !slices.Contains(m.Absent, name) {
			missing = append(missing, name)
		}
	}
	for name := range m.Renamed {
		if !slices.Contains(own, name) {
			return nil, codes.Errorf("MF-DATA-CLASSES", "the data have no class %q that could be renamed: they have %s; name one of those", name, InWords(own))
		}
	}
	for _, name := range m.Absent {
		if !slices.Contains(agreed, name) {
			return nil, codes.Errorf("MF-DATA-CLASSES", "no class %q was agreed on, but %s; name one of those as without examples", name, InWords(agreed))
		}
	}
	if unknown == nil && missing == nil {
		return labels, nil
	}
	return nil, codes.Errorf("MF-DATA-CLASSES", "the data have the classes %s, and agreed on are %s; rename your own with --class 'OWN=AGREED', and name a class that you have no example of with --no-examples-of", InWords(own), InWords(agreed))
}

// Without lists the classes that the data have no example of, in any part.
func (d *Data) Without() []string {
	met := make([]bool, len(d.Classes))
	for _, part := range []Split{d.Train, d.Validation, d.Test} {
		for _, label := range part.Labels {
			met[label] = true
		}
	}
	var without []string
	for i, name := range d.Classes {
		if !met[i] {
			without = append(without, name)
		}
	}
	return without
}

// InWords lists classes for a person, each in quotes, for a name may hold commas.
func InWords(classes []string) string {
	quoted := make([]string, len(classes))
	for i, name := range classes {
		quoted[i] = "\"" + name + "\""
	}
	return strings.Join(quoted, ", ")
}
