package dataset

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dicom"
	"golang.org/x/sync/errgroup"
)

// FolderOptions say how a folder of images becomes a set.
type FolderOptions struct {
	Name     string // of the Data; "" for the folder's own name as given
	Size     int    // height and width every image is brought to, 1 to 2048
	Channels int    // 1 for grey, 3 for red, green, blue
	// PatientOf names the patient of an image by its path, slash-separated and
	// from the folder down. nil for the manifest's patient_id, or, without one, for
	// every image its own patient. Ignored when a manifest names the patients.
	PatientOf func(path string) string
	// Input is how pixels become values; under the zero value they are as [Split] says.
	Input Input
	// DICOM says what is taken of DICOM files. Without a PatientKey, a patient is called by
	// the path of their first image.
	DICOM dicom.Options
	// SkipBad leaves out what cannot be read and lists it in Folder.Bad; without it
	// the first such file in path order is an error.
	SkipBad bool
	// Unread leaves the images in their files until they are needed: [Split.Unread]. With
	// SkipBad each is decoded once before, unless Decoded tells of it.
	Unread bool
	// Decoded, when not nil, opens what is kept of images that are decoded in one way, of
	// that many values each.
	Decoded func(way string, length int) Decoded
	// InMemory is how many bytes of decoded images are held in memory, 0 for 32 MiB. All of a
	// folder that has more go to a file without a name in the system's temporary folder, and
	// are read from there when they are needed.
	InMemory int64
	// Progress, when not nil, hears how many files of how many have been read. It is
	// never called twice at once.
	Progress func(done, total int)
}

// Decoded keeps decoded images from one run to another, by the SHA-256 of their files. It is
// used by several goroutines at once, and may forget.
type Decoded interface {
	// Get gives the values of an image that was put, and reports whether it has it.
	Get(file [sha256.Size]byte) (values []float32, ok bool)
	Put(file [sha256.Size]byte, values []float32)
	Close() // after which it is not used
}

// Folder is a set read from image files.
type Folder struct {
	Data  *Data     // whose splits tell the patients
	Bad   []BadFile // what was left out, in path order
	Empty []string  // folders that hold no image, where those of classes lie; in path order

	read []file // what was, with the digests
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

// LoadFolder reads DICOM, PNG and JPEG images of a folder, or of a ZIP archive of one. Where
// the folder has a manifest.csv, that
// lists them: columns file and label, and where known split (train, val or test),
// patient_id and sha256. Else the folders do: class/…/image, train/class/…/image
// or class/train/…/image; what has no .png, .jpg, .jpeg or .dcm in its name and does not
// begin as a DICOM file does, and hidden files, are passed over. An image without a split
// belongs to train. The classes are those of the folders with images, or of the
// manifest's labels, in alphabetical order; [Data.Match] brings them into another.
//
// Errors are MF-DATA-FOLDER, MF-DATA-MANIFEST, MF-DATA-INPUT and, naming the file,
// MF-DATA-IMAGE.
func LoadFolder(ctx context.Context, folder string, o FolderOptions) (*Folder, error) {
	if o.Size < 1 || o.Size > maxSize || o.Channels != 1 && o.Channels != 3 {
		return nil, codes.Errorf("MF-DATA-FOLDER", "images of %d by %d pixels and %d channels cannot be made; use a size of 1 to %d and 1 or 3 channels", o.Size, o.Size, o.Channels, maxSize)
	}
	if err := o.Input.Check(); err != nil {
		return nil, err
	}
	named := o.DICOM.PatientKey != nil
	if !named {
		o.DICOM.PatientKey = make([]byte, sha256.Size)
		rand.Read(o.DICOM.PatientKey)
	}
	root, err := openImages(folder)
	if err != nil {
		return nil, err
	}
	if !o.Unread { // which keeps it open
		defer root.Close()
	}
	files, folders, err := listFiles(root, o.PatientOf)
	if err != nil {
		return nil, err
	}
	classes := classesOf(files)
	f := &Folder{Data: &Data{Name: cmp.Or(o.Name, folder), Channels: o.Channels, Size: o.Size, Classes: classes}}
	f.Empty = slices.DeleteFunc(folders, func(name string) bool { return slices.Contains(classes, name) })
	all, err := f.entries(files, o.length(), cmp.Or(o.InMemory, inMemory))
	if err != nil {
		return nil, err
	}
	if err := readFiles(ctx, root, all, o); err != nil {
		return nil, err
	}
	if err := namePatients(all, named); err != nil {
		return nil, err
	}
	if err := f.gather(all, o.SkipBad); err != nil {
		return nil, err
	}
	if o.Unread {
		f.leave(all, root, o)
	}
	return f, nil
}

// ClassesOf lists the classes of a folder of images, in alphabetical order, without
// reading an image. Errors: MF-DATA-FOLDER and MF-DATA-MANIFEST.
func ClassesOf(folder string) ([]string, error) {
	root, err := openImages(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files, _, err := listFiles(root, nil)
	if err != nil {
		return nil, err
	}
	return classesOf(files), nil
}

// listFiles is the folder's images in path order, and the names of all folders that lie
// where those of classes do.
func listFiles(folder fs.FS, patientOf func(string) string) (files []file, folders []string, err error) {
	manifest, err := readNamed(folder, manifestName)
	switch {
	case err == nil:
		files, err = readManifest(bytes.NewReader(manifest))
	case errors.Is(err, fs.ErrNotExist):
		files, folders, err = walk(folder)
	default:
		err = codes.Wrapf("MF-DATA-FOLDER", "cannot read %s: %w; check its permissions", manifestName, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, codes.Errorf("MF-DATA-FOLDER", "the folder lists no DICOM, PNG or JPEG image; lay them out as class/image or train/class/image, or list them in %s", manifestName)
	}
	for i, f := range files {
		if f.class == "" {
			return nil, nil, codes.Errorf("MF-DATA-FOLDER", "image %s lies in no class's folder; move it into one", f.path)
		}
		if f.patient == "" && patientOf != nil {
			files[i].patient = patientOf(f.path)
		}
		files[i].patient = cmp.Or(files[i].patient, f.path)
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	return files, folders, nil
}

// isDICOM reports whether a file begins as one of DICOM does, whose names often have no
// ending. The directory of a medium (PS3.10, 8.6) does, and has no image.
func isDICOM(folder fs.FS, path string) bool {
	f, err := folder.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, dicom.Start)
	_, err = io.ReadFull(f, start)
	return err == nil && dicom.Is(start) && !strings.EqualFold(filepath.Base(path), "DICOMDIR")
}

// walk lists images by their folders, and these.
func walk(folder fs.FS) (files []file, folders []string, err error) {
	err = fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), ".") && path != "."; hidden {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		class := placed(path + "/").class
		if entry.IsDir() && path != "." && class != "" && !slices.Contains(folders, class) {
			folders = append(folders, class)
		}
		if !entry.IsDir() && (isImage(path) || isDICOM(folder, path)) {
			files = append(files, placed(path))
		}
		return nil
	})
	if err != nil {
		return nil, nil, codes.Wrapf("MF-DATA-FOLDER", "cannot list the image folder: %w; check its permissions", err)
	}
	return files, folders, nil
}

// classesOf lists the classes of images, in alphabetical order.
func classesOf(files []file) []string {
	var classes []string
	for _, f := range files {
		classes = append(classes, f.class)
	}
	slices.Sort(classes)
	return slices.Compact(classes)
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

// partNames are what manifests call the parts.
var partNames = [...]string{partTrain: "train", partValidation: "val", partTest: "test"}

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

// entry is a file that is to be read, and what becomes of it.
type entry struct {
	file
	row           // where its values go
	digest string // its SHA-256
	hash   string // of the patient's ID, as a DICOM file tells it
	err    error
}

// entries gives every file its place, of length values: among those of its part, which are
// made here and nowhere else, or in a file where memory, in bytes, has no room for all.
func (f *Folder) entries(files []file, length int, memory int64) ([]entry, error) {
	all := make([]entry, len(files))
	if bytes := 4 * int64(length); int64(len(files))*bytes > memory {
		stored, err := nameless()
		for i, x := range files {
			all[i] = entry{file: x, row: row{file: stored, length: length, at: int64(i) * bytes}}
		}
		return all, err
	}
	counts := map[*Split]int{}
	for _, x := range files {
		counts[f.part(x.part)]++
	}
	free := map[*Split][]float32{}
	for split, n := range counts {
		free[split] = make([]float32, n*length)
		split.Values = free[split][:0]
	}
	for i, x := range files {
		split := f.part(x.part)
		all[i], free[split] = entry{file: x, row: row{values: free[split][:length]}}, free[split][length:]
	}
	return all, nil
}

// readFiles reads all files, several at once.
func readFiles(ctx context.Context, folder fs.FS, all []entry, o FolderOptions) error {
	var kept Decoded
	if o.Decoded != nil {
		kept = o.Decoded(o.way(), o.length())
		defer kept.Close()
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	var mutex sync.Mutex
	done := 0
	for i := range all {
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var values []float32
			if values, all[i].err = all[i].decode(ctx, folder, o, kept); values != nil {
				if err := all[i].write(values); err != nil {
					return err
				}
			}
			if o.Progress != nil {
				mutex.Lock()
				defer mutex.Unlock()
				done++
				o.Progress(done, len(all))
			}
			return ctx.Err()
		})
	}
	if err := workers.Wait(); err != nil {
		return codes.Wrapf("MF-DATA-FOLDER", "reading the images was stopped: %w", err)
	}
	return nil
}

// decode reads a file and gives its values, those that are kept or those that it decodes;
// none where the options leave it unread. kept may be nil.
func (e *entry) decode(ctx context.Context, folder fs.FS, o FolderOptions, kept Decoded) (values []float32, err error) {
	r, err := folder.Open(e.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size, stored, err := sizeOf(r)
	if err != nil {
		return nil, err
	}
	release, err := reading.take(ctx, size)
	if err != nil {
		return nil, err
	}
	defer release()
	b, err := readAll(r, size)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	found := hex.EncodeToString(sum[:])
	if said := cmp.Or(e.digest, e.sha256, found); said != found {
		return nil, fmt.Errorf("the file's SHA-256 is %s, not %s as before or in the manifest", found, said)
	}
	e.digest = found
	if o.Unread && !o.SkipBad {
		e.hash, err = look(b, o.DICOM)
		return nil, err
	}
	if kept != nil {
		if values, ok := kept.Get(sum); ok {
			e.hash, err = look(b, o.DICOM)
			return values, err
		}
	}
	values, e.hash, err = decode(ctx, b, int(stored), o.Size, o.Channels, o.Input, o.DICOM)
	if err != nil {
		return nil, err
	}
	values = values[:o.length()] // none where it was decoded only to see that it can be
	if kept != nil {
		kept.Put(sum, values)
	}
	return values, nil
}

// length is how many values are read of an image.
func (o FolderOptions) length() int {
	if o.Unread {
		return 0
	}
	return o.Size * o.Size * o.Channels
}

// way tells all that decides what is read of the content of an image's file.
func (o FolderOptions) way() string {
	const reader = 1 // to be counted up when other values are read of the same
	return fmt.Sprintf("%d %d %d %d %+v", reader, o.Size, o.Channels, o.DICOM.Frame, o.Input)
}

// namePatients gives the images of one patient, as DICOM files tell them, one name: the
// hash, or else the path of the first. Who is named in another way is left so. It refuses a
// patient who stands in two parts.
func namePatients(all []entry, byHash bool) error {
	first := map[string]entry{}
	for i, e := range all {
		if e.err != nil || e.hash == "" || e.patient != e.path {
			continue
		}
		before, met := first[e.hash]
		if !met {
			first[e.hash], before = e, e
		}
		if before.part != e.part {
			return codes.Errorf("MF-DATA-FOLDER", "%s and %s show the same patient and stand in different parts; put all images of a patient into one", before.path, e.path)
		}
		if all[i].patient = before.path; byHash {
			all[i].patient = e.hash
		}
	}
	return nil
}

// gather puts together what was read. What could not be read leaves no gap.
func (f *Folder) gather(all []entry, skipBad bool) error {
	hash := sha256.New()
	for _, e := range all {
		if e.err != nil {
			if !skipBad {
				return codes.Wrapf("MF-DATA-IMAGE", "%s cannot be used: %w; repair it or take it out of the data set, or have bad files skipped (--skip-bad-images)", e.path, e.err)
			}
			f.Bad = append(f.Bad, BadFile{e.path, e.err})
			continue
		}
		split := f.part(e.part)
		if e.row.file != nil {
			split.rows = append(split.rows, e.row)
		}
		split.Values = append(split.Values, e.values...) // they lie here, or further on
		split.Labels = append(split.Labels, slices.Index(f.Data.Classes, e.class))
		split.Patients = append(split.Patients, e.patient)
		fmt.Fprintf(hash, "%d\t%s\t%s\t%s\n", e.part, e.class, e.path, e.digest)
		e.file.sha256 = e.digest
		f.read = append(f.read, e.file)
	}
	if len(f.Bad) == len(all) {
		return codes.Wrapf("MF-DATA-IMAGE", "none of %d images can be used; the first, %s: %w; check the folder", len(all), f.Bad[0].Path, f.Bad[0].Err)
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

// ReadImage reads one DICOM, PNG or JPEG file as the images of a folder are read, to the
// Size and Channels, under the Input and with the DICOM options of o. The error is
// MF-DATA-IMAGE.
func ReadImage(ctx context.Context, path string, o FolderOptions) ([]float32, error) {
	e := entry{file: file{path: filepath.Base(path)}}
	values, err := e.decode(ctx, os.DirFS(filepath.Dir(path)), o, nil)
	if err != nil {
		return nil, codes.Wrapf("MF-DATA-IMAGE", "%s cannot be used: %w; name DICOM, PNG and JPEG images", path, err)
	}
	return values, nil
}
