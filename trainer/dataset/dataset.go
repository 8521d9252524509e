// Package dataset brings labelled images: the official MedMNIST v2 2D sets,
// folders of DICOM, PNG and JPEG files, a synthetic set for machines with neither network
// nor data; splits of a set over the nodes of a task; and augmentation. What is
// drawn is the same on every machine: it comes from a fixed generator, and from
// integers or arithmetic that no machine does otherwise.
//
// Errors begin with a stable code:
//
//	MF-DATA-UNKNOWN     no set has that name
//	MF-DATA-MULTILABEL  the set's images carry several labels each, which no model here takes
//	MF-DATA-ABSENT      the set is not on this machine and may not be downloaded
//	MF-DATA-DOWNLOAD    the set is not on this machine and could not be downloaded
//	MF-DATA-CHECKSUM    the file is not the official one
//	MF-DATA-CORRUPT     the file cannot be read as the set it should be
//	MF-DATA-FOLDER      a folder or file cannot be read or written
//	MF-DATA-MANIFEST    a folder's manifest.csv cannot be read or contradicts itself
//	MF-DATA-IMAGE       an image file cannot be used
//	MF-DATA-INPUT       what says how pixels become numbers contradicts itself
//	MF-DATA-CLASSES     the classes are not those that were agreed on
//	MF-DATA-PARTITION   the split cannot be made with these numbers
//	MF-DATA-AUGMENTATION  an augmentation is out of bounds
package dataset

import (
	"context"
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset/source"
)

// What callers of this package need of package source.
const (
	FolderVariable = source.FolderVariable
	Synthetic      = source.Synthetic
)

// Info is what is known of a set without its file.
type Info = source.Info

// Options say where a set may come from.
type Options = source.Options

// Lookup is what is known of the set of that name; the error is MF-DATA-UNKNOWN.
func Lookup(name string) (Info, error) { return source.Lookup(name) }

// Data is a labelled set in its three parts.
type Data struct {
	Name      string // as given to Load
	SHA256    string // of the .npz file, or of a synthetic set's pixels and labels; 64 lower-case hexadecimal digits
	Synthetic bool   // made by a program: every output that rests on it says so
	Channels  int    // 1 or 3
	Size      int    // height and width of an image in pixels
	// Classes says what the labels mean: label i is of class Classes[i]. Of two classes
	// the second is the positive one.
	Classes []string

	Train, Validation, Test Split
}

// Split is labelled examples: images, or what a backbone has made of images.
type Split struct {
	// Values is one example after another, all of one length. An image is row by
	// row, each pixel's channels side by side (NHWC), and a byte v of it under the zero
	// [Input] the value v/127.5-1: from -1 to 1, the normalisation to mean 0.5 and
	// standard deviation 0.5 of MedMNIST's examples. The features of an image are as
	// package backbone gives them.
	Values []float32
	Labels []int
	// Unread, when not nil, are the images of a folder that are read when they are needed.
	// There are no Values then.
	Unread *Unread
	// Patients names the patient of each example; nil where the set does not tell.
	Patients []string

	// rows, when not nil, are the examples, in the place of Values: of other splits, whose
	// memory they share, or in a file.
	rows []row
}

// Len is the number of examples.
func (s Split) Len() int { return len(s.Labels) }

// Example is the values of example i, which must not be written to. Those that lie in a file
// are read into room, which is long enough for them; the error is MF-DATA-FOLDER.
func (s Split) Example(i int, room []float32) ([]float32, error) { return s.row(i).read(room) }

// Each gives do the values of one example after another, which it must neither write to nor
// keep. The error is MF-DATA-FOLDER.
func (s Split) Each(do func(values []float32)) error {
	var room []float32
	for i := range s.Len() {
		r := s.row(i)
		if r.file != nil && len(room) < r.length {
			room = make([]float32, r.length)
		}
		values, err := r.read(room)
		if err != nil {
			return err
		}
		do(values)
	}
	return nil
}

// Fits counts all values and reports whether every example has as many as length.
func (s Split) Fits(length int) (values int, ok bool) {
	if s.rows == nil {
		return len(s.Values), len(s.Values) == length*len(s.Labels)
	}
	ok = true
	for _, r := range s.rows {
		values += r.len()
		ok = ok && r.len() == length
	}
	return values, ok
}

func (s Split) row(i int) row {
	if s.rows != nil {
		return s.rows[i]
	}
	length := len(s.Values) / len(s.Labels)
	return row{values: s.Values[i*length : (i+1)*length]}
}

// View is the examples with these indices, in their order, as Select gives them, and shares
// the memory of their values with s. The labels are its own.
func (s Split) View(indices []int) Split {
	out := Split{rows: make([]row, len(indices)), Labels: make([]int, len(indices))}
	for k, i := range indices {
		out.rows[k], out.Labels[k] = s.row(i), s.Labels[i]
	}
	return out
}

// Join is the examples of both, of which it is a view.
func Join(a, b Split) Split {
	out := Split{rows: make([]row, 0, a.Len()+b.Len()), Labels: append(slices.Clone(a.Labels), b.Labels...)}
	for _, s := range []Split{a, b} {
		for i := range s.Len() {
			out.rows = append(out.rows, s.row(i))
		}
	}
	return out
}

// Select copies the examples with these indices, in their order; where some lie in a file, it
// is a view of all. It panics when an index is not in 0 to Len-1.
func (s Split) Select(indices []int) Split {
	out := s.View(indices)
	out.Unread = s.Unread.selected(indices)
	if s.Patients != nil {
		for _, i := range indices {
			out.Patients = append(out.Patients, s.Patients[i])
		}
	}
	values := 0
	for _, r := range out.rows {
		if r.file != nil {
			return out
		}
		values += len(r.values)
	}
	out.Values = make([]float32, 0, values)
	for _, r := range out.rows {
		out.Values = append(out.Values, r.values...)
	}
	out.rows = nil
	return out
}

// Load is [Input.Load] under the zero Input.
func Load(ctx context.Context, name string, opts Options) (*Data, error) {
	return Input{}.Load(ctx, name, opts)
}

// Load brings the set of that name: one of [source.Names]. Its pixels are bytes, and the
// Input says what they become; the size is the set's own. A MedMNIST file is brought by
// [source.Bring]; its MD5 is the official one before anything of it is parsed. The errors
// are MF-DATA-INPUT, or coded otherwise; one that nothing but other data can cure names
// the ways out.
func (in Input) Load(ctx context.Context, name string, opts Options) (*Data, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	if name == Synthetic {
		return makeSynthetic(in), ctx.Err()
	}
	info, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if info.Task == source.TaskMultiLabel {
		return nil, codes.Errorf("MF-DATA-MULTILABEL", "an image of %s carries up to %d labels at once, which these models do not take; choose another set", name, len(info.Classes))
	}
	file, err := source.Bring(ctx, info, opts)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(ctx, info, in, file)
}
