package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/trainer/dicom"
)

// lay writes files, by slash-separated path, into a new folder.
func lay(t testing.TB, files map[string][]byte) string {
	t.Helper()
	folder := t.TempDir()
	for path, b := range files {
		path = filepath.Join(folder, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// plain is a PNG of one colour.
func plain(t testing.TB, width, height int, c color.Color) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, c)
		}
	}
	return encoded(t, m)
}

func encoded(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFolderLayouts(t *testing.T) {
	dark, bright := plain(t, 5, 7, color.Gray{51}), plain(t, 9, 3, color.Gray{204})
	for name, files := range map[string]map[string][]byte{
		"split above class": {
			"train/sick/a.png": bright, "train/well/b.PNG": dark, "val/well/c.png": dark, "test/sick/deep/d.png": bright,
		},
		"class above split": {
			"sick/train/a.png": bright, "well/train/b.png": dark, "well/validation/c.png": dark, "sick/testing/d.png": bright,
			"sick/readme.txt": []byte("not an image"), ".git/sick/x.png": nil, "sick/.hidden.png": nil,
		},
		"manifest": {
			"manifest.csv": []byte("\ufefflabel,note,file,split\nsick,\"a, b\",one/1.png,train\nwell,,2.png,\nwell,,3.png,val\nsick,,4.png,test\n"),
			"one/1.png":    bright, "2.png": dark, "3.png": dark, "4.png": bright, "unlisted/5.png": bright,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := LoadFolder(t.Context(), lay(t, files), FolderOptions{Name: "x", Size: 4, Channels: 1})
			if err != nil {
				t.Fatal(err)
			}
			d := f.Data
			if !slices.Equal(d.Classes, []string{"sick", "well"}) || d.Size != 4 || d.Channels != 1 || d.Name != "x" || d.Synthetic || len(f.Bad) != 0 {
				t.Errorf("%+v %v", d, f.Bad)
			}
			if slices.Sort(d.Train.Labels); !slices.Equal(d.Train.Labels, []int{0, 1}) || !slices.Equal(d.Validation.Labels, []int{1}) || !slices.Equal(d.Test.Labels, []int{0}) {
				t.Errorf("labels %v %v %v", d.Train.Labels, d.Validation.Labels, d.Test.Labels)
			}
			if want := slices.Repeat([]float32{-0.6}, 16); !slices.Equal(d.Validation.Values, want) {
				t.Errorf("values %v", d.Validation.Values)
			}
			if want := slices.Repeat([]float32{0.6}, 16); !slices.Equal(d.Test.Values, want) {
				t.Errorf("values %v", d.Test.Values)
			}
			if len(d.Train.Patients) != 2 || len(d.Validation.Patients) != 1 || len(d.Test.Patients) != 1 {
				t.Errorf("patients %v %v %v", d.Train.Patients, d.Validation.Patients, d.Test.Patients)
			}
		})
	}
}

func TestFolderNamesPatientsAsAsked(t *testing.T) {
	dark := plain(t, 2, 2, color.Gray{1})
	folder := lay(t, map[string][]byte{"well/p1-a.png": dark, "well/p1-b.png": dark, "sick/p2-a.png": dark})
	var heard []int
	f, err := LoadFolder(t.Context(), folder, FolderOptions{
		Size: 2, Channels: 3,
		PatientOf: func(path string) string {
			_, name, _ := strings.Cut(path, "/")
			return name[:2]
		},
		Progress: func(done, total int) { heard = append(heard, done*10+total) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Data.Train.Labels, []int{0, 1, 1}) || !slices.Equal(f.Data.Train.Patients, []string{"p2", "p1", "p1"}) {
		t.Errorf("labels %v, patients %v", f.Data.Train.Labels, f.Data.Train.Patients)
	}
	if !slices.Equal(heard, []int{13, 23, 33}) {
		t.Errorf("progress %v", heard)
	}
	again, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 2, Channels: 3})
	if err != nil || again.Data.SHA256 != f.Data.SHA256 || len(f.Data.SHA256) != 64 {
		t.Errorf("checksum %s, then %s (%v)", f.Data.SHA256, again.Data.SHA256, err)
	}
	if !slices.Equal(again.Data.Train.Patients, []string{"sick/p2-a.png", "well/p1-a.png", "well/p1-b.png"}) {
		t.Errorf("patients by default %v", again.Data.Train.Patients)
	}
}

// badFiles are files that claim to be images.
func badFiles(t *testing.T) map[string][]byte {
	good := plain(t, 8, 8, color.Gray{9})
	huge := bytes.Clone(good)
	copy(huge[16:24], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}) // width and height
	flipped := bytes.Clone(good)
	flipped[len(flipped)-20] ^= 1
	return map[string][]byte{
		"a/empty.png":   nil,
		"a/text.jpg":    []byte("no image"),
		"a/cut.png":     good[:len(good)/2],
		"a/huge.png":    huge,
		"a/flipped.png": flipped,
	}
}

func TestBadFilesAreRefusedOrSkippedByName(t *testing.T) {
	good := plain(t, 2, 2, color.Gray{9})
	bad := badFiles(t)
	for path, b := range bad {
		folder := lay(t, map[string][]byte{"a/good.png": good, "b/good.png": good, path: b})
		_, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 2, Channels: 1})
		wantCode(t, err, "MF-DATA-IMAGE")
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
		if err := os.Remove(filepath.Join(folder, path)); err != nil { // as the message says
			t.Fatal(err)
		}
		if f, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 2, Channels: 1}); err != nil || f.Data.Train.Len() != 2 {
			t.Errorf("without %s: %v", path, err)
		}
	}
	bad["a/good.png"], bad["b/good.png"] = good, good
	f, err := LoadFolder(t.Context(), lay(t, bad), FolderOptions{Size: 2, Channels: 1, SkipBad: true})
	if err != nil {
		t.Fatal(err)
	}
	var skipped []string
	for _, b := range f.Bad {
		skipped = append(skipped, b.Path)
		if b.Err == nil {
			t.Errorf("%s was skipped for nothing", b.Path)
		}
	}
	if want := []string{"a/cut.png", "a/empty.png", "a/flipped.png", "a/huge.png", "a/text.jpg"}; !slices.Equal(skipped, want) || f.Data.Train.Len() != 2 {
		t.Errorf("skipped %v, kept %d", skipped, f.Data.Train.Len())
	}
	delete(bad, "a/good.png")
	delete(bad, "b/good.png")
	bad["b/empty.png"] = nil
	_, err = LoadFolder(t.Context(), lay(t, bad), FolderOptions{Size: 2, Channels: 1, SkipBad: true})
	wantCode(t, err, "MF-DATA-IMAGE")
}

func TestManifestNamesMissingAndChangedFiles(t *testing.T) {
	good := plain(t, 2, 2, color.Gray{9})
	folder := lay(t, map[string][]byte{
		"manifest.csv": []byte("file,label,patient_id,sha256\na.png,x,p1,\nb.png,y,p1,\nc.png,y,p2," + strings.Repeat("0", 64) + "\nmissing.png,x,p3,\nfolder,x,p3,\n"),
		"a.png":        good, "b.png": good, "c.png": good, "folder/d.png": good,
	})
	f, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 2, Channels: 1, SkipBad: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Bad) != 3 || f.Bad[0].Path != "c.png" || f.Bad[1].Path != "folder" || f.Bad[2].Path != "missing.png" || !errors.Is(f.Bad[2].Err, os.ErrNotExist) {
		t.Errorf("bad files %v", f.Bad)
	}
	if !slices.Equal(f.Data.Train.Patients, []string{"p1", "p1"}) {
		t.Errorf("patients %v", f.Data.Train.Patients)
	}
}

func TestFolderRefuses(t *testing.T) {
	good := plain(t, 2, 2, color.Gray{9})
	o := FolderOptions{Size: 2, Channels: 1}
	manifest := func(s string) map[string][]byte {
		return map[string][]byte{"manifest.csv": []byte(s), "a.png": good, "b.png": good}
	}
	for name, c := range map[string]struct {
		code  string
		files map[string][]byte
		o     FolderOptions
	}{
		"empty":                  {"MF-DATA-FOLDER", nil, o},
		"no images":              {"MF-DATA-FOLDER", map[string][]byte{"a/readme.txt": nil}, o},
		"image outside classes":  {"MF-DATA-FOLDER", map[string][]byte{"a/1.png": good, "b/1.png": good, "1.png": good}, o},
		"split without class":    {"MF-DATA-FOLDER", map[string][]byte{"train/1.png": good, "a/1.png": good}, o},
		"two channels":           {"MF-DATA-FOLDER", nil, FolderOptions{Size: 2, Channels: 2}},
		"no size":                {"MF-DATA-FOLDER", nil, FolderOptions{Channels: 1}},
		"window backwards":       {"MF-DATA-INPUT", nil, FolderOptions{Size: 2, Channels: 1, Input: Input{Window: Window{2, 1}}}},
		"absurd size":            {"MF-DATA-FOLDER", nil, FolderOptions{Size: 1 << 20, Channels: 1}},
		"manifest empty":         {"MF-DATA-MANIFEST", manifest(""), o},
		"manifest header only":   {"MF-DATA-FOLDER", manifest("file,label\n"), o},
		"manifest without label": {"MF-DATA-MANIFEST", manifest("file,split\na.png,train\n"), o},
		"manifest ragged":        {"MF-DATA-MANIFEST", manifest("file,label\na.png\n"), o},
		"manifest quote":         {"MF-DATA-MANIFEST", manifest("file,label\n\"a.png,x\n"), o},
		"manifest twice":         {"MF-DATA-MANIFEST", manifest("file,label\na.png,x\na.png,y\n"), o},
		"manifest other split":   {"MF-DATA-MANIFEST", manifest("file,label,split\na.png,x,holdout\n"), o},
		"manifest no label":      {"MF-DATA-MANIFEST", manifest("file,label\na.png,\n"), o},
		"manifest outside":       {"MF-DATA-MANIFEST", manifest("file,label\n../a.png,x\n"), o},
		"manifest absolute":      {"MF-DATA-MANIFEST", manifest("file,label\n/etc/hostname,x\n"), o},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := LoadFolder(t.Context(), lay(t, c.files), c.o)
			wantCode(t, err, c.code)
			if f != nil {
				t.Error("a set came with the error")
			}
		})
	}
	_, err := LoadFolder(t.Context(), filepath.Join(t.TempDir(), "absent"), o)
	wantCode(t, err, "MF-DATA-FOLDER")
}

func TestFolderEndsWithItsContext(t *testing.T) {
	good := plain(t, 2, 2, color.Gray{9})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := LoadFolder(ctx, lay(t, map[string][]byte{"a/1.png": good, "b/1.png": good}), FolderOptions{Size: 2, Channels: 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestLinkOutOfTheFolderIsABadFile: a manifest or a link cannot make medfed read
// what lies outside.
func TestLinkOutOfTheFolderIsABadFile(t *testing.T) {
	good := plain(t, 2, 2, color.Gray{9})
	outside := lay(t, map[string][]byte{"secret.png": good})
	folder := lay(t, map[string][]byte{"a/1.png": good, "b/1.png": good})
	if err := os.Symlink(filepath.Join(outside, "secret.png"), filepath.Join(folder, "a", "link.png")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	_, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 2, Channels: 1})
	wantCode(t, err, "MF-DATA-IMAGE")
}

// decoded is what decode gives of a file that tells no patient.
func decoded(t testing.TB, b []byte, size, channels int, in Input) ([]float32, error) {
	values, patient, err := decode(t.Context(), b, len(b), size, channels, in, dicom.Options{})
	if patient != "" {
		t.Errorf("a patient is told: %s", patient)
	}
	return values, err
}

func TestDecode(t *testing.T) {
	colour := color.NRGBA{200, 100, 50, 255}
	grey := float32(math.Round(0.299*200+0.587*100+0.114*50))/127.5 - 1
	var photo bytes.Buffer
	flat := image.NewNRGBA(image.Rect(0, 0, 64, 48))
	for i := range flat.Pix {
		flat.Pix[i] = []byte{200, 100, 50, 255}[i%4]
	}
	if err := jpeg.Encode(&photo, flat, nil); err != nil {
		t.Fatal(err)
	}
	deep := image.NewGray16(image.Rect(0, 0, 3, 3))
	for i := range deep.Pix {
		deep.Pix[i] = 0x80
	}
	palette := image.NewPaletted(image.Rect(0, 0, 3, 3), color.Palette{colour})
	for _, c := range []struct {
		name     string
		b        []byte
		channels int
		want     []float32
		within   float64
	}{
		{"colour", plain(t, 6, 4, colour), 3, []float32{200/127.5 - 1, 100/127.5 - 1, 50/127.5 - 1}, 1e-6},
		{"colour as grey", plain(t, 6, 4, colour), 1, []float32{grey}, 1e-6},
		{"grey as colour", plain(t, 6, 4, color.Gray{51}), 3, []float32{-0.6, -0.6, -0.6}, 1e-6},
		{"palette", encoded(t, palette), 3, []float32{200/127.5 - 1, 100/127.5 - 1, 50/127.5 - 1}, 1e-6},
		{"sixteen bits", encoded(t, deep), 1, []float32{128/127.5 - 1}, 1e-6},
		{"transparent is black", plain(t, 6, 4, color.NRGBA{200, 100, 50, 0}), 1, []float32{-1}, 1e-6},
		{"JPEG", photo.Bytes(), 3, []float32{200/127.5 - 1, 100/127.5 - 1, 50/127.5 - 1}, 0.03},
	} {
		got, err := decoded(t, c.b, 2, c.channels, Input{})
		if err != nil || len(got) != 4*c.channels {
			t.Errorf("%s: %v, %v", c.name, got, err)
			continue
		}
		for i, v := range got {
			if math.Abs(float64(v-c.want[i%c.channels])) > c.within {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
}

// TestShrinkingAverages: halving takes in every pixel, not every other one.
func TestShrinkingAverages(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range m.Pix {
		if i%2 == 0 {
			m.Pix[i] = 255
		}
	}
	got, err := decoded(t, encoded(t, m), 8, 1, Input{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range got {
		if math.Abs(float64(v)) > 0.05 {
			t.Fatalf("stripes became %v", got)
		}
	}
}

func TestImageNetNormalisation(t *testing.T) {
	got, err := decoded(t, plain(t, 2, 2, color.NRGBA{255, 0, 51, 255}), 1, 3, ImageNet)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range []float64{(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225} {
		if math.Abs(float64(got[c])-want) > 1e-6 {
			t.Errorf("channel %d is %v, want %v", c, got[c], want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(plain(f, 3, 2, color.NRGBA{1, 2, 3, 4}))
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 9, 9)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(photo.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := decoded(t, b, 3, 1, Input{})
		if err == nil && len(values) != 9 {
			t.Fatalf("%d values", len(values))
		}
	})
}

// TestXRayFolder reads the chest X-rays of Salim and Park's setting, where they are.
func TestXRayFolder(t *testing.T) {
	folder := os.Getenv("MEDFED_XRAY")
	if folder == "" {
		t.Skip("MEDFED_XRAY is not set: no folder of chest X-rays to read")
	}
	f, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 64, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Data.Match([]string{"normal", "covid"}, Matching{}); err != nil {
		t.Fatal(err)
	}
	if got := count(f.Data.Train.Labels); got != [2]int{76, 76} {
		t.Errorf("training classes %v", got)
	}
	if got := count(f.Data.Test.Labels); got != [2]int{32, 32} {
		t.Errorf("test classes %v", got)
	}
	patients := map[string]bool{}
	for _, p := range f.Data.Train.Patients {
		patients[p] = true
	}
	for _, p := range f.Data.Test.Patients {
		if patients[p] {
			t.Errorf("patient %s is in both parts", p)
		}
	}
	shards, err := Partition{Kind: ByPatient}.Shards(f.Data.Train, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	sizes := make([]string, len(shards))
	for i, s := range shards {
		sizes[i] = fmt.Sprint(len(s))
	}
	t.Logf("%d training patients, shards of %s images, set %s", len(patients), strings.Join(sizes, ", "), f.Data.SHA256)
	if reflect.DeepEqual(f.Data.Train, f.Data.Test) {
		t.Error("train and test are one")
	}
}
