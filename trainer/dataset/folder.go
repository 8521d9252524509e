package dataset

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/medfed/medfed/chaincode/codes"
	"golang.org/x/sync/errgroup"
)

// FolderOptions say how a folder of images becomes a set.
type FolderOptions struct {
	Name     string // of the Data; "" for the folder's own name as given
	Size     int    // height and width every image is brought to, 1 to 2048
	Channels int    // 1 for grey, 3 for red, green, blue
	// Classes fixes the labels: the class named first is 0. Empty for the classes
	// found, in alphabetical order.
	Classes []string
	// PatientOf names the patient of an image by its path, slash-separated and
	// from the folder down. nil for the manifest's patient_id, or, without one, for
	// every image its own patient. Ignored when a manifest names the patients.
	PatientOf func(path string) string
	// Normalisation of the values; the zero value is that of [Split].
	Normalisation Normalisation
	// SkipBad leaves out what cannot be read and lists it in Folder.Bad; without it
	// the first such file in path order is an error.
	SkipBad bool
	// Progress, when not nil, hears how many files of how many have been read. It is
	// never called twice at once.
	Progress func(done, total int)
}

// Folder is a set read from image files.
type Folder struct {
	Data    *Data     // whose splits tell the patients
	Classes []string  // the name of every label
	Bad     []BadFile // what was left out, in path order
}

// BadFile is a file that could not be used, and why.
type BadFile struct {
	Path string // slash-separated, from the folder down
	Err  error
}

// The parts an image can belong to.
const (
	partTrain = iota
	partValidation
	partTest
)

// file is one image to be read.
type file struct {
	path, class, patient string
	part                 int
	sha256               string // as a manifest gives it, or ""
}

// LoadFolder reads PNG and JPEG images. Where the folder has a manifest.csv, that
// lists them: columns file and label, and where known split (train, val or test),
// patient_id and sha256. Else the folders do: class/…/image, train/class/…/image
// or class/train/…/image; what has no .png, .jpg or .jpeg in its name, and hidden
// files, are passed over. An image without a split belongs to train.
//
// Errors are MF-DATA-FOLDER, MF-DATA-MANIFEST and, naming the file, MF-DATA-IMAGE.
func LoadFolder(ctx context.Context, folder string, o FolderOptions) (*Folder, error) {
	if o.Size < 1 || o.Size > maxSize || o.Channels != 1 && o.Channels != 3 {
		return nil, codes.Errorf("MF-DATA-FOLDER", "images of %d by %d pixels and %d channels cannot be made; use a size of 1 to %d and 1 or 3 channels", o.Size, o.Size, o.Channels, maxSize)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, codes.Wrapf("MF-DATA-FOLDER", "cannot open the image folder: %w; check its path and permissions", err)
	}
	defer root.Close()
	files, err := listFiles(root.FS(), o.PatientOf)
	if err != nil {
		return nil, err
	}
	classes, err := classesOf(files, o.Classes)
	if err != nil {
		return nil, err
	}
	read, err := readFiles(ctx, root.FS(), files, o)
	if err != nil {
		return nil, err
	}
	f := &Folder{Classes: classes, Data: &Data{Name: cmp.Or(o.Name, folder), Channels: o.Channels, Size: o.Size, Classes: len(classes)}}
	if err := f.gather(files, read, o.SkipBad); err != nil {
		return nil, err
	}
	return f, nil
}

// listFiles is the folder's images in path order.
func listFiles(folder fs.FS, patientOf func(string) string) ([]file, error) {
	manifest, err := fs.ReadFile(folder, manifestName)
	var files []file
	switch {
	case err == nil:
		files, err = readManifest(bytes.NewReader(manifest))
	case os.IsNotExist(err):
		files, err = walk(folder)
	default:
		err = codes.Wrapf("MF-DATA-FOLDER", "cannot read %s: %w; check its permissions", manifestName, err)
	}
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, codes.Errorf("MF-DATA-FOLDER", "the folder lists no PNG or JPEG image; lay them out as class/image or train/class/image, or list them in %s", manifestName)
	}
	for i := range files {
		if files[i].patient == "" && patientOf != nil {
			files[i].patient = patientOf(files[i].path)
		}
		files[i].patient = cmp.Or(files[i].patient, files[i].path)
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	return files, nil
}

// walk lists images by their folders.
func walk(folder fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), ".") && path != "."; hidden {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.IsDir() && isImage(path) {
			files = append(files, placed(path))
		}
		return nil
	})
	if err != nil {
		return nil, codes.Wrapf("MF-DATA-FOLDER", "cannot list the image folder: %w; check its permissions", err)
	}
	return files, nil
}

// placed reads part and class out of an image's path; the class is "" when the
// path names none.
func placed(path string) file {
	f := file{path: path}
	parents := strings.Split(path, "/")
	parents = parents[:len(parents)-1]
	for i := range min(2, len(parents)) {
		if part, ok := partNamed(parents[i]); ok {
			f.part = part
			parents = slices.Delete(parents, i, i+1)
			break
		}
	}
	if len(parents) > 0 {
		f.class = parents[0]
	}
	return f
}

// partNamed knows the usual names of a set's parts.
func partNamed(name string) (part int, ok bool) {
	switch strings.ToLower(name) {
	case "train", "training":
		return partTrain, true
	case "val", "valid", "validation":
		return partValidation, true
	case "test", "testing":
		return partTest, true
	}
	return 0, false
}

// classesOf gives the names of the labels.
func classesOf(files []file, fixed []string) ([]string, error) {
	found := map[string]bool{}
	for _, f := range files {
		if f.class == "" {
			return nil, codes.Errorf("MF-DATA-FOLDER", "image %s lies in no class's folder; move it into one", f.path)
		}
		if len(fixed) > 0 && !slices.Contains(fixed, f.class) {
			return nil, codes.Errorf("MF-DATA-FOLDER", "image %s is of class %q, which is none of %q; name all classes", f.path, f.class, fixed)
		}
		found[f.class] = true
	}
	classes := slices.Clone(fixed)
	if len(fixed) == 0 {
		for class := range found {
			classes = append(classes, class)
		}
		slices.Sort(classes)
	}
	if len(classes) < 2 {
		return nil, codes.Errorf("MF-DATA-FOLDER", "the images are of the classes %q; a classifier needs at least 2", classes)
	}
	return classes, nil
}

// decoded is what became of one file.
type decoded struct {
	values []float32
	sha256 string
	err    error
}

// readFiles decodes all files, several at once, in their order.
func readFiles(ctx context.Context, folder fs.FS, files []file, o FolderOptions) ([]decoded, error) {
	read := make([]decoded, len(files))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	var mutex sync.Mutex
	done := 0
	for i := range files {
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			read[i] = readImage(folder, files[i], o)
			if o.Progress != nil {
				mutex.Lock()
				defer mutex.Unlock()
				done++
				o.Progress(done, len(files))
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return nil, codes.Wrapf("MF-DATA-FOLDER", "reading the images was stopped: %w", err)
	}
	return read, nil
}

func readImage(folder fs.FS, f file, o FolderOptions) (d decoded) {
	r, err := folder.Open(f.path)
	if err != nil {
		return decoded{err: err}
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return decoded{err: err}
	}
	if len(b) > maxFile {
		return decoded{err: fmt.Errorf("the file is larger than %d bytes", maxFile)}
	}
	sum := sha256.Sum256(b)
	d.sha256 = hex.EncodeToString(sum[:])
	if f.sha256 != "" && f.sha256 != d.sha256 {
		return decoded{err: fmt.Errorf("the file's SHA-256 is %s, not the manifest's", d.sha256)}
	}
	d.values, d.err = decode(b, o.Size, o.Channels, o.Normalisation)
	return d
}

// gather sorts what was read into the parts of the set.
func (f *Folder) gather(files []file, read []decoded, skipBad bool) error {
	hash := sha256.New()
	for i, x := range files {
		d := read[i]
		if d.err != nil {
			if !skipBad {
				return codes.Wrapf("MF-DATA-IMAGE", "%s cannot be used: %w; repair or remove it, or have bad files skipped (--skip-bad-images)", x.path, d.err)
			}
			f.Bad = append(f.Bad, BadFile{x.path, d.err})
			continue
		}
		split := f.part(x.part)
		split.Values = append(split.Values, d.values...)
		split.Labels = append(split.Labels, slices.Index(f.Classes, x.class))
		split.Patients = append(split.Patients, x.patient)
		read[i].values = nil // held once from here on
		fmt.Fprintf(hash, "%d\t%s\t%s\t%s\n", x.part, x.class, x.path, d.sha256)
	}
	if len(f.Bad) == len(files) {
		return codes.Wrapf("MF-DATA-IMAGE", "none of %d images can be used; the first, %s: %w; check the folder", len(files), f.Bad[0].Path, f.Bad[0].Err)
	}
	f.Data.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return nil
}

func (f *Folder) part(part int) *Split {
	switch part {
	case partValidation:
		return &f.Data.Validation
	case partTest:
		return &f.Data.Test
	}
	return &f.Data.Train
}
