package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"github.com/medfed/medfed/chaincode/codes"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// manifestName is the file of a folder that lists its images.
const manifestName = "manifest.csv"

// readManifest reads rows of comma-separated values under a header line.
func readManifest(r io.Reader) ([]file, error) {
	reader := csv.NewReader(r)
	header, err := reader.Read()
	if err != nil {
		return nil, manifestError(err)
	}
	column := func(name string) int {
		return slices.IndexFunc(header, func(h string) bool {
			return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")), name)
		})
	}
	path, class := column("file"), column("label")
	part, patient, sum := column("split"), column("patient_id"), column("sha256")
	if path < 0 || class < 0 {
		return nil, manifestError(errors.New("the columns file and label are needed"))
	}
	var files []file
	seen := map[string]bool{}
	for {
		row, err := reader.Read()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, manifestError(err)
		}
		value := func(column int) string {
			if column < 0 {
				return ""
			}
			return strings.TrimSpace(row[column])
		}
		f := file{path: value(path), class: value(class), patient: value(patient), sha256: strings.ToLower(value(sum))}
		if f.part, err = manifestPart(value(part)); err == nil {
			err = checkRow(f, seen)
		}
		if err != nil {
			line, _ := reader.FieldPos(0)
			return nil, manifestError(fmt.Errorf("line %d: %w", line, err))
		}
		files = append(files, f)
	}
}

func manifestPart(name string) (int, error) {
	if name == "" {
		return partTrain, nil
	}
	part, ok := partNamed(name)
	if !ok {
		return 0, fmt.Errorf("split %q is none of train, val, test", name)
	}
	return part, nil
}

func checkRow(f file, seen map[string]bool) error {
	switch {
	case !fs.ValidPath(f.path) || f.path == ".":
		return fmt.Errorf("file %q is no path inside the folder", f.path)
	case seen[f.path]:
		return fmt.Errorf("file %q is listed twice", f.path)
	case f.class == "":
		return fmt.Errorf("file %q has no label", f.path)
	}
	seen[f.path] = true
	return nil
}

func manifestError(err error) error {
	return codes.Wrapf("MF-DATA-MANIFEST", "%s: %w; correct it", manifestName, err)
}

// WriteManifest writes what was read of a folder as a manifest.csv: names, classes, parts,
// patients and digests. Laid into the folder it has the next reader find the same, or be
// told.
func (f *Folder) WriteManifest(w io.Writer) error {
	rows := csv.NewWriter(w)
	rows.Write([]string{"file", "label", "split", "patient_id", "sha256"}) // Error tells of all
	for _, x := range f.read {
		rows.Write([]string{x.path, x.class, partNames[x.part], x.patient, x.sha256})
	}
	rows.Flush()
	return rows.Error()
}
