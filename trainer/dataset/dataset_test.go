package dataset

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLoadRefuses(t *testing.T) {
	empty := Options{Folder: t.TempDir(), Cache: t.TempDir()}
	_, err := Load(t.Context(), "cifar10", empty)
	wantCode(t, err, "MF-DATA-UNKNOWN")
	_, err = Load(t.Context(), "chestmnist", empty)
	wantCode(t, err, "MF-DATA-MULTILABEL")
	_, err = Load(t.Context(), "pneumoniamnist", empty)
	wantCode(t, err, "MF-DATA-ABSENT")
	for _, way := range []string{"MEDFED_DATA", "--data synthetic", empty.Folder, empty.Cache} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("%v does not tell of %s", err, way)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Load(t.Context(), "pneumoniamnist", Options{Folder: file, Cache: empty.Cache})
	wantCode(t, err, "MF-DATA-FOLDER")
}

// TestCorruptFileIsNotPassedOver: a wrong file in the folder is an error, though
// the set could be had elsewhere.
func TestCorruptFileIsNotPassedOver(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "pneumoniamnist.npz"), []byte("PK"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(t.Context(), "pneumoniamnist", Options{Folder: folder, AllowDownload: true, Cache: t.TempDir(), Mirror: "http://127.0.0.1:0"})
	wantCode(t, err, "MF-DATA-CHECKSUM")
}

func TestSelect(t *testing.T) {
	s := Split{Values: []float32{0, 1, 10, 11, 20, 21}, Labels: []int{0, 1, 2}}
	got := s.Select([]int{2, 0, 2})
	if want := (Split{Values: []float32{20, 21, 0, 1, 20, 21}, Labels: []int{2, 0, 2}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	got.Values[0] = 9
	if s.Values[4] != 20 {
		t.Error("the selection shares memory")
	}
	if got := s.Select(nil); got.Len() != 0 || len(got.Values) != 0 {
		t.Errorf("nothing selected is %v", got)
	}
	if got := (Split{}).Select(nil); got.Len() != 0 {
		t.Errorf("nothing of nothing is %v", got)
	}
}

func TestViewsShareMemory(t *testing.T) {
	s := Split{Values: []float32{0, 1, 10, 11, 20, 21}, Labels: []int{0, 1, 2}}
	view := s.View([]int{2, 0, 2})
	copied := s.Select([]int{2, 0, 2})
	if got := view.Select([]int{0, 1, 2}); !reflect.DeepEqual(got, copied) {
		t.Errorf("the view is %v, want %v", got, copied)
	}
	view.Labels[0] = 9
	if s.Values[4] = 30; view.row(0).values[0] != 30 || s.Labels[2] != 2 {
		t.Errorf("the view is %v of %v", view, s)
	}
	both := Join(view, s)
	if want := (Split{Values: []float32{30, 21, 0, 1, 30, 21, 0, 1, 10, 11, 30, 21}, Labels: []int{9, 0, 2, 0, 1, 2}}); !reflect.DeepEqual(both.Select([]int{0, 1, 2, 3, 4, 5}), want) {
		t.Errorf("joined are %v, want %v", both, want)
	}
	if got := Join(Split{}, s.View(nil)); got.Len() != 0 {
		t.Errorf("nothing and nothing is %v", got)
	}
}

// official is the folder of real data, or the test is skipped.
func official(t *testing.T) string {
	folder := os.Getenv(FolderVariable)
	if folder == "" {
		t.Skipf("%s is not set: no official MedMNIST file to read", FolderVariable)
	}
	return folder
}

func TestOfficialFiles(t *testing.T) {
	folder := official(t)
	for _, c := range []struct {
		name, sha256 string
		counts       [3][2]int // of class 0 and 1
	}{
		{"pneumoniamnist", "e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8", syntheticCounts},
		{"breastmnist", "3a22d2a4625e7dd8903f0f59030e81a3d0c222bece2e5e10927456cb50efdec1", [3][2]int{{147, 399}, {21, 57}, {42, 114}}},
	} {
		data, err := Load(t.Context(), c.name, Options{Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		if data.SHA256 != c.sha256 || data.Synthetic || data.Channels != 1 || data.Size != 28 || len(data.Classes) != 2 {
			t.Errorf("%s: %s %v %d %d %q", data.Name, data.SHA256, data.Synthetic, data.Channels, data.Size, data.Classes)
		}
		for i, split := range []Split{data.Train, data.Validation, data.Test} {
			if got := count(split.Labels); got != c.counts[i] {
				t.Errorf("%s part %d: classes %v, want %v", c.name, i, got, c.counts[i])
			}
			if low, high := slices.Min(split.Values), slices.Max(split.Values); low < -1 || high > 1 || high-low < 1 {
				t.Errorf("%s part %d: values %v to %v", c.name, i, low, high)
			}
		}
	}
}

// TestOfficialFileByDownload goes the whole way of an absent set, with a local
// server in the official one's place: into the cache once, from there after.
func TestOfficialFileByDownload(t *testing.T) {
	folder := official(t)
	s := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer s.Close()
	opts := Options{Folder: t.TempDir(), Cache: filepath.Join(t.TempDir(), "new"), AllowDownload: true, Mirror: s.URL + "/"}
	var done, total int64
	opts.Progress = func(d, t int64) { done, total = d, t }
	first, err := Load(t.Context(), "breastmnist", opts)
	if err != nil {
		t.Fatal(err)
	}
	if done != 559580 || total != done {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	s.Close()
	second, err := Load(t.Context(), "breastmnist", Options{Cache: opts.Cache})
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("from the cache: %v", err)
	}
}

func count(labels []int) (counts [2]int) {
	for _, label := range labels {
		counts[label]++
	}
	return counts
}

func TestSyntheticIsLabelledAndAlwaysTheSame(t *testing.T) {
	data, err := Load(t.Context(), Synthetic, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !data.Synthetic || data.Channels != 1 || data.Size != 28 || len(data.Classes) != 2 {
		t.Errorf("%v %d %d %q", data.Synthetic, data.Channels, data.Size, data.Classes)
	}
	for i, split := range []Split{data.Train, data.Validation, data.Test} {
		if got := count(split.Labels); got != syntheticCounts[i] {
			t.Errorf("part %d has %v", i, got)
		}
		if len(split.Values) != split.Len()*28*28 {
			t.Errorf("part %d has %d values", i, len(split.Values))
		}
	}
	const golden = "9828827ec3f112b6d339ce3a9c3ab86cdf0a139519f4edb23d15e48b5978ddec"
	if data.SHA256 != golden {
		t.Errorf("the synthetic set has changed: %s", data.SHA256)
	}
}

// TestSyntheticCanBeLearnt trains logistic regression on 7x7 means: far better
// than guessing, and not perfect.
func TestSyntheticCanBeLearnt(t *testing.T) {
	data := makeSynthetic(Input{})
	features := func(s Split, i int) [49]float64 {
		var f [49]float64
		for p, v := range s.Values[i*784 : (i+1)*784] {
			f[p/28/4*7+p%28/4] += float64(v) / 16
		}
		return f
	}
	var weight [49]float64
	bias := 0.0
	score := func(f [49]float64) float64 {
		z := bias
		for j := range f {
			z += weight[j] * f[j]
		}
		return z
	}
	for range 15 {
		for i, label := range data.Train.Labels {
			f := features(data.Train, i)
			slope := float64(label) - 1/(1+math.Exp(-score(f)))
			for j := range f {
				weight[j] += 0.05 * slope * f[j]
			}
			bias += 0.05 * slope
		}
	}
	higher, pairs := 0.0, 0.0
	var zeros, ones []float64
	for i, label := range data.Test.Labels {
		if z := score(features(data.Test, i)); label == 0 {
			zeros = append(zeros, z)
		} else {
			ones = append(ones, z)
		}
	}
	for _, a := range ones {
		for _, b := range zeros {
			pairs++
			if a > b {
				higher++
			}
		}
	}
	auc := higher / pairs
	t.Logf("AUC of logistic regression on 49 means: %.3f", auc)
	if auc < 0.75 || auc > 0.995 {
		t.Errorf("AUC %.3f: the synthetic set teaches nothing or is trivial", auc)
	}
}
