package dataset

import (
	"archive/zip"
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
)

// pack writes files, by slash-separated path, into a new ZIP archive called xrays.zip.
func pack(t testing.TB, files map[string][]byte, method uint16) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for path, content := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: path, Method: method})
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return written(t, "xrays.zip", b.Bytes())
}

func written(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAnArchiveIsItsFolder: the same images, labels, patients and digest, read at once or
// when they are needed, packed with the folder or without.
func TestAnArchiveIsItsFolder(t *testing.T) {
	files := map[string][]byte{
		"train/a/1.dcm": radiograph(2, 1, []uint16{0, 4095}, monochrome), "train/b/2.png": plain(t, 3, 2, color.Gray{51}),
		"test/b/4.png": plain(t, 3, 2, color.Gray{9}),
	}
	inside := map[string][]byte{}
	for path, content := range files {
		inside["xrays/"+path] = content
	}
	inside["__MACOSX/._xrays"] = nil
	o := FolderOptions{Name: "x", Size: 2, Channels: 1}
	want, err := LoadFolder(t.Context(), lay(t, files), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{pack(t, files, zip.Store), pack(t, files, zip.Deflate), pack(t, inside, zip.Deflate)} {
		o.Unread = false
		got, err := LoadFolder(t.Context(), archive, o)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v (%v)", got, want, err)
		}
		classes, err := ClassesOf(archive)
		if err != nil || !slices.Equal(classes, []string{"a", "b"}) {
			t.Errorf("classes %q (%v)", classes, err)
		}
		o.Unread = true
		if got, err = LoadFolder(t.Context(), archive, o); err != nil {
			t.Fatal(err)
		}
		values, err := got.Data.Train.Unread.Read(t.Context(), []int{1, 0})
		if wanted := want.Data.Train.Select([]int{1, 0}).Values; err != nil || !slices.Equal(values, wanted) {
			t.Errorf("got %v, want %v (%v)", values, wanted, err)
		}
	}
}

func TestArchivesThatAreRefused(t *testing.T) {
	o := FolderOptions{Size: 2, Channels: 1}
	_, err := LoadFolder(t.Context(), written(t, "a.zip", []byte("no archive")), o)
	wantCode(t, err, "MF-DATA-FOLDER")
	_, err = LoadFolder(t.Context(), filepath.Join(t.TempDir(), "nowhere.zip"), o)
	wantCode(t, err, "MF-DATA-FOLDER")

	image := plain(t, 3, 2, color.Gray{51})
	damaged, err := os.ReadFile(pack(t, map[string][]byte{"a/1.png": image, "b/2.png": plain(t, 3, 2, color.Gray{9})}, zip.Store))
	if err != nil {
		t.Fatal(err)
	}
	damaged[bytes.Index(damaged, image)+len(image)-1] ^= 1 // of the PNG's last checksum, which its decoder does not compare
	_, err = LoadFolder(t.Context(), written(t, "x.zip", damaged), o)
	if codes.Of(err) != "MF-DATA-IMAGE" || !strings.Contains(err.Error(), "a/1.png") || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a damaged archive: %v", err)
	}
	_, err = LoadFolder(t.Context(), pack(t, map[string][]byte{"a/1.png": append(image, make([]byte, 2<<20)...)}, zip.Deflate), o)
	if codes.Of(err) != "MF-DATA-IMAGE" || !strings.Contains(err.Error(), "unpacks to") {
		t.Errorf("a file that is packed to nothing: %v", err)
	}
	_, err = LoadFolder(t.Context(), pack(t, map[string][]byte{"manifest.csv": make([]byte, 2<<20)}, zip.Deflate), o)
	wantCode(t, err, "MF-DATA-FOLDER")
}

// TestTheManifestOfWhatWasRead: laid into the folder, it gives the same set, and refuses a
// file that has changed.
func TestTheManifestOfWhatWasRead(t *testing.T) {
	files := map[string][]byte{
		"train/a/1.dcm":    radiograph(1, 1, []uint16{7}, said(0x0010, 0x0020, "LO", "secret"), monochrome),
		"train/b, c/2.png": plain(t, 3, 2, color.Gray{51}), "val/a/3.png": plain(t, 3, 2, color.Gray{9}), "test/b, c/4.png": plain(t, 3, 2, color.Gray{7}),
	}
	folder := lay(t, files)
	o := FolderOptions{Name: "x", Size: 2, Channels: 1}
	first, err := LoadFolder(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	var manifest bytes.Buffer
	if err := first.WriteManifest(&manifest); err != nil || strings.Contains(manifest.String(), "secret") {
		t.Fatalf("%s (%v)", manifest.String(), err)
	}
	if err := os.WriteFile(filepath.Join(folder, "manifest.csv"), manifest.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := LoadFolder(t.Context(), folder, o)
	if err != nil || !reflect.DeepEqual(again.Data, first.Data) {
		t.Errorf("got %+v, want %+v (%v)", again.Data, first.Data, err)
	}
	if err := os.WriteFile(filepath.Join(folder, "val/a/3.png"), files["train/b, c/2.png"], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = LoadFolder(t.Context(), folder, o)
	wantCode(t, err, "MF-DATA-IMAGE")
}
