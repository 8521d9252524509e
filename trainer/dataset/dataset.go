// Package dataset brings labelled images: the official MedMNIST v2 2D sets,
// folders of PNG and JPEG files, a synthetic set for machines with neither network
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
//	MF-DATA-PARTITION   the split cannot be made with these numbers
//	MF-DATA-AUGMENTATION  an augmentation is out of bounds
package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// FolderVariable is the environment variable that names a folder of data sets,
// for [Options].Folder. This package does not read it by itself.
const FolderVariable = "MEDFED_DATA"

// Synthetic is the name of the set that is made, not measured.
const Synthetic = "synthetic"

// Data is a labelled set in its three parts.
type Data struct {
	Name      string // as given to Load
	SHA256    string // of the .npz file, or of a synthetic set's pixels and labels; 64 lower-case hexadecimal digits
	Synthetic bool   // made by a program: every output that rests on it says so
	Channels  int    // 1 or 3
	Size      int    // height and width of an image in pixels
	Classes   int    // labels go from 0 to Classes-1

	Train, Validation, Test Split
}

// Split is labelled images.
type Split struct {
	// Images is one image after another, each row by row, each pixel's channels
	// side by side (NHWC). A byte v is the value v/127.5-1: from -1 to 1, the
	// normalisation to mean 0.5 and standard deviation 0.5 of MedMNIST's examples.
	Images []float32
	Labels []int
	// Patients names the patient of each image; nil where the set does not tell.
	Patients []string
}

// Len is the number of images.
func (s Split) Len() int { return len(s.Labels) }

// Select copies the images with these indices, in their order. It panics when an
// index is not in 0 to Len-1.
func (s Split) Select(indices []int) Split {
	if len(indices) == 0 {
		return Split{Images: []float32{}, Labels: []int{}}
	}
	pixels := len(s.Images) / len(s.Labels)
	out := Split{Images: make([]float32, 0, len(indices)*pixels), Labels: make([]int, 0, len(indices))}
	for _, i := range indices {
		out.Images = append(out.Images, s.Images[i*pixels:(i+1)*pixels]...)
		out.Labels = append(out.Labels, s.Labels[i])
		if s.Patients != nil {
			out.Patients = append(out.Patients, s.Patients[i])
		}
	}
	return out
}

// Options say where a set may come from.
type Options struct {
	// Folder holds <name>.npz files the user brought; the place looked at first.
	// Nothing is written to it. "" for none.
	Folder string
	// Cache keeps downloaded files. "" for medfed/data in the user's cache folder.
	Cache string
	// AllowDownload lets a set that is in neither folder be fetched.
	AllowDownload bool
	// Mirror replaces the official address: <Mirror>/<name>.npz. The checksum stays
	// the official one. "" for the official address.
	Mirror string
	// Progress, when not nil, hears how many bytes of a download have come of how
	// many; the total is -1 when the server does not say. An attempt begins with 0.
	Progress func(done, total int64)
}

// Load brings the set of that name: one of [Names]. A MedMNIST file is searched in
// Folder, then in Cache, and then, where allowed, downloaded into Cache; its MD5
// is compared with the official one before anything of it is parsed. The errors
// are coded; one that nothing but other data can cure names the ways out.
func Load(ctx context.Context, name string, opts Options) (*Data, error) {
	if name == Synthetic {
		return makeSynthetic(), ctx.Err()
	}
	info, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if info.Task == TaskMultiLabel {
		return nil, fmt.Errorf("MF-DATA-MULTILABEL: an image of %s carries up to %d labels at once, which these models do not take; choose another set", name, info.Classes)
	}
	file, err := find(info, opts)
	if err != nil {
		return nil, err
	}
	if file != "" {
		return readVerified(ctx, info, file)
	}
	if !opts.AllowDownload {
		return nil, fmt.Errorf("MF-DATA-ABSENT: %s.npz is not on this machine (searched %q) and no download is allowed; %s", name, opts.folders(), waysOut(info))
	}
	file, err = download(ctx, info, opts)
	if err != nil {
		return nil, err
	}
	return readVerified(ctx, info, file)
}

// find is the path of the set's file in Folder or Cache, or "" when it is in neither.
func find(info Info, opts Options) (string, error) {
	for _, folder := range opts.folders() {
		file := filepath.Join(folder, info.Name+".npz")
		switch _, err := os.Stat(file); {
		case err == nil:
			return file, nil
		case !os.IsNotExist(err):
			return "", fmt.Errorf("MF-DATA-FOLDER: cannot look for %s.npz: %w; check the folder", info.Name, err)
		}
	}
	return "", nil
}

// folders are the places to look at, in order.
func (o Options) folders() []string {
	var folders []string
	if o.Folder != "" {
		folders = append(folders, o.Folder)
	}
	if cache, err := o.cache(); err == nil {
		folders = append(folders, cache)
	}
	return folders
}

// cache is the folder downloads are kept in.
func (o Options) cache() (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("MF-DATA-FOLDER: this user has no cache folder: %w; name one", err)
	}
	return filepath.Join(folder, "medfed", "data"), nil
}

// waysOut says what a user without network or data can do.
func waysOut(info Info) string {
	return fmt.Sprintf("put %s.npz from %s into a folder and name it in %s, or use --data %s", info.Name, info.URL, FolderVariable, Synthetic)
}
