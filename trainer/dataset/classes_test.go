package dataset

import (
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
)

// matched is a set whose examples are of classes by name.
func matched(classes []string, examples ...string) *Data {
	d := &Data{Classes: classes}
	for i, name := range examples {
		part := []*Split{&d.Train, &d.Validation, &d.Test}[i%3]
		part.Labels = append(part.Labels, slices.Index(classes, name))
	}
	return d
}

// meaning is the classes of all examples by name.
func meaning(d *Data) []string {
	var all []string
	for i := range d.Train.Len() + d.Validation.Len() + d.Test.Len() {
		part := []Split{d.Train, d.Validation, d.Test}[i%3]
		all = append(all, d.Classes[part.Labels[i/3]])
	}
	return all
}

// Whatever the order of one's own classes and of those agreed on, and whatever one's own
// are called: a match never changes what an example is of, and any set that is not of
// the agreed classes is refused and left as it was.
func TestMatchKeepsWhatExamplesAreOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agreed := rapid.Permutation([]string{"covid", "normal", "pneumonia, viral", "tuberculosis"}).Draw(t, "agreed")
		own := slices.Clone(rapid.Permutation(agreed).Draw(t, "own"))
		own = own[:rapid.IntRange(1, len(own)).Draw(t, "kept")]
		var examples []string
		for range rapid.IntRange(0, 9).Draw(t, "examples") {
			examples = append(examples, rapid.SampledFrom(own).Draw(t, "of"))
		}
		d := matched(own, examples...)
		before := meaning(d)
		m := Matching{}
		for _, name := range agreed {
			if !slices.Contains(own, name) && rapid.IntRange(0, 3).Draw(t, "told") > 0 {
				m.Absent = append(m.Absent, name)
			}
		}
		untold := len(agreed)-len(own) != len(m.Absent)
		err := d.Match(agreed, m)
		if got := codes.Of(err); (got == "MF-DATA-CLASSES") != untold || err != nil && !untold {
			t.Fatalf("%v of %v with %v: %v", own, agreed, m, err)
		}
		if !slices.Equal(meaning(d), before) {
			t.Fatalf("examples of %v became %v", before, meaning(d))
		}
		if want := agreed; err == nil && !slices.Equal(d.Classes, want) {
			t.Fatalf("classes %v, want %v", d.Classes, want)
		}
	})
}

func TestMatchRenames(t *testing.T) {
	d := matched([]string{"Bacterial", "Healthy", "Viral"}, "Viral", "Healthy", "Bacterial", "Viral")
	err := d.Match([]string{"normal", "pneumonia"}, Matching{Renamed: map[string]string{"Viral": "pneumonia", "Bacterial": "pneumonia", "Healthy": "normal"}})
	if got := meaning(d); err != nil || !slices.Equal(got, []string{"pneumonia", "normal", "pneumonia", "pneumonia"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestMatchRefusesAndShowsBothLists(t *testing.T) {
	for name, m := range map[string]Matching{
		"unknown":           {},
		"renamed nowhere":   {Renamed: map[string]string{"covid": "sars"}},
		"no such class":     {Renamed: map[string]string{"Covid": "pneumonia"}},
		"absent and had":    {Absent: []string{"pneumonia"}},
		"absent, no such":   {Renamed: map[string]string{"covid": "pneumonia"}, Absent: []string{"flu"}},
		"missing, not told": {Renamed: map[string]string{"covid": "normal"}},
	} {
		d := matched([]string{"covid", "normal"}, "covid", "normal")
		err := d.Match([]string{"normal", "pneumonia"}, m)
		if codes.Of(err) != "MF-DATA-CLASSES" || !slices.Equal(d.Classes, []string{"covid", "normal"}) || !slices.Equal(meaning(d), []string{"covid", "normal"}) {
			t.Errorf("%s: %v, then %+v", name, err, d)
		}
	}
	err := matched([]string{"covid", "normal"}).Match([]string{"normal", "pneumonia"}, Matching{})
	for _, want := range []string{`"covid", "normal"`, `"normal", "pneumonia"`, "--class", "--no-examples-of"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v does not show %s", err, want)
		}
	}
}

func TestWithoutAndEmptyFolders(t *testing.T) {
	f, err := LoadFolder(t.Context(), lay(t, map[string][]byte{
		"train/sick/a.png": plain(t, 2, 2, color.Gray{9}), "train/well/readme.txt": nil, "docs/x/readme.txt": nil,
	}), FolderOptions{Size: 2, Channels: 1})
	if err != nil || !slices.Equal(f.Data.Classes, []string{"sick"}) || !slices.Equal(f.Empty, []string{"docs", "well"}) {
		t.Fatalf("%+v, %v", f, err)
	}
	if err := f.Data.Match([]string{"well", "sick"}, Matching{Absent: []string{"well"}}); err != nil {
		t.Fatal(err)
	}
	if got := f.Data.Without(); !slices.Equal(got, []string{"well"}) || f.Data.Train.Labels[0] != 1 {
		t.Errorf("without %v, labels %v", got, f.Data.Train.Labels)
	}
}

func TestClassesOf(t *testing.T) {
	dark := plain(t, 2, 2, color.Gray{1})
	got, err := ClassesOf(lay(t, map[string][]byte{"well/b.png": dark, "sick/a.png": dark, "none/x.txt": nil}))
	if err != nil || !slices.Equal(got, []string{"sick", "well"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ClassesOf(t.TempDir()); codes.Of(err) != "MF-DATA-FOLDER" {
		t.Error(err)
	}
}
