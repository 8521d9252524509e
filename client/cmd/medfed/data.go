package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/pflag"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/dicom"
	"github.com/medfed/medfed/trainer/model"
)

// dataFlags choose a set and a participant's share of it.
type dataFlags struct {
	name      string
	images    string // folder of image files, instead of a set by name
	manifest  string // file for what was read
	skipBad   bool   // leave image files out that can't be read
	size      int    // height and width they are brought to; 0 for 28
	channels  int    // of them; 0 for 1
	unread    bool   // leave them in their files until a frozen backbone takes them
	input     dataset.Input
	frame     int  // of a DICOM file of several
	burnedIn  bool // take DICOM files that say that they have writing in the picture
	folder    string
	offline   bool
	shard     shard
	partition partition
	seed      int64

	renamed []string // classes, as OWN=AGREED
	absent  []string // agreed classes without an example
	empty   []string // folders without an image, of those that were loaded
}

func (d *dataFlags) bind(flags *pflag.FlagSet) {
	d.shard = shard{1, 1}
	d.partition = partition{dataset.Partition{Kind: dataset.IID}}
	flags.StringVar(&d.name, "data", "", `data set: a MedMNIST 2D set, or "synthetic"`)
	d.bindImages(flags)
	flags.StringVar(&d.folder, "data-folder", dataFolder(), "folder of .npz files (or "+dataset.FolderVariable+")")
	flags.Lookup("data-folder").DefValue = ""
	flags.BoolVar(&d.offline, "offline", false, "do not download a set that is not on this machine")
	flags.Var(&d.shard, "shard", "this participant's share of the examples")
	flags.Var(&d.partition, "partition", "how the examples are split into shares")
	flags.Int64Var(&d.seed, "seed", 1, "of the split; all participants of a task use the same")
}

// bindImages makes the flags of image files.
func (d *dataFlags) bindImages(flags *pflag.FlagSet) {
	flags.StringVar(&d.images, "images", "", "instead of a data set: folder or ZIP archive of DICOM, PNG and JPEG images, with a folder for each class or a manifest.csv")
	flags.StringVar(&d.manifest, "write-manifest", "", "with --images: file for what was read, as a manifest.csv: names, classes, parts, patients, digests; node run keeps one in any case, manifests/TASK.csv in the identity's folder")
	flags.StringArrayVar(&d.renamed, "class", nil, `what a class of the data is called here, for instance --class "Pneumonia (viral)=pneumonia"; may come several times`)
	flags.StringArrayVar(&d.absent, "no-examples-of", nil, "class that the data have no example of; may come several times")
	bindDICOM(flags, "with --images: ", &d.frame, &d.burnedIn)
	flags.BoolVar(&d.skipBad, "skip-bad-images", false, "with --images: name files that can't be read and go on without them")
}

// bindDICOM makes the flags of what is taken of DICOM files.
func bindDICOM(flags *pflag.FlagSet, when string, frame *int, burnedIn *bool) {
	flags.IntVar(frame, "frame", 1, when+"of a DICOM file of several frames, the one to take")
	flags.BoolVar(burnedIn, "allow-burned-in", false, when+"take DICOM files that say there is writing in the picture, which may name the patient")
}

// bindShape makes the flags of what image files are brought to, where no model and no
// task says it.
func (d *dataFlags) bindShape(flags *pflag.FlagSet) {
	flags.IntVar(&d.size, "image-size", 0, "with --images, where the model does not say: height and width that they are brought to (default 28)")
	flags.IntVar(&d.channels, "channels", 0, "with --images, where the model does not say: 1 for grey, 3 for colour (default 1)")
}

// dataFolder is the default of --data-folder.
func dataFolder() string { return os.Getenv(dataset.FolderVariable) }

// load brings the named set, with a progress bar while it is downloaded.
func (d *dataFlags) load(ctx context.Context, a *app) (*dataset.Data, error) {
	if d.images != "" {
		return d.loadImages(ctx, a)
	}
	if d.name == "" {
		return nil, usage("no data set is named; use --data with a MedMNIST 2D set or synthetic, or --images with a folder")
	}
	shown := a.newBars()
	defer shown.Close()
	in := d.input
	if d.unread { // the backbone does the rest
		in = in.Brightness()
	}
	return in.Load(ctx, d.name, dataset.Options{
		Folder:        d.folder,
		AllowDownload: !d.offline,
		Progress:      func(done, total int64) { shown.Bytes("downloading "+d.name, done, total) },
	})
}

// loadImages reads the folder of image files, with a progress bar.
func (d *dataFlags) loadImages(ctx context.Context, a *app) (*dataset.Data, error) {
	shown := a.newBars()
	defer shown.Close()
	options := dataset.FolderOptions{
		Name: labelOf(d.images), Size: cmp.Or(d.size, 28), Channels: cmp.Or(d.channels, 1), SkipBad: d.skipBad, Unread: d.unread,
		Input: d.input, DICOM: dicom.Options{Frame: d.frame, BurnedIn: d.burnedIn},
		Progress: func(done, total int) { shown.Step("reading images", done, total) },
	}
	if cache, err := openFeatureCache(); err == nil {
		options.Decoded = cache.Decoded
	} else {
		fmt.Fprintf(a.stderr, "medfed: images are decoded in every run: %v\n", err)
	}
	folder, err := dataset.LoadFolder(ctx, d.images, options)
	if err != nil {
		return nil, err
	}
	for _, bad := range folder.Bad {
		fmt.Fprintf(a.stderr, "medfed: %s is left out: %v\n", bad.Path, bad.Err)
	}
	d.empty = folder.Empty
	return folder.Data, d.writeManifest(folder)
}

// writeManifest keeps what was read where that is asked for.
func (d *dataFlags) writeManifest(folder *dataset.Folder) error {
	if d.manifest == "" {
		return nil
	}
	var content bytes.Buffer
	if err := folder.WriteManifest(&content); err != nil {
		return codes.Wrapf("MF-DATA-MANIFEST", "what was read can't be listed: %w; report this", err)
	}
	if err := renameio.WriteFile(d.manifest, content.Bytes(), 0o600); err != nil {
		return codes.Wrapf("MF-WRITE-MANIFEST", "the manifest can't be written: %w; name a file in a folder that can be written", err)
	}
	return nil
}

// match brings the data's labels into the order of the classes that were agreed on, and
// says which of those the data have no example of. A task from before classes had names
// agrees on their number alone.
func (d *dataFlags) match(a *app, data *dataset.Data, agreed []string) error {
	if agreed == nil {
		if d.renamed != nil || d.absent != nil {
			return usage("--class and --no-examples-of match classes by name, and this model does not name its own; leave them out")
		}
		fmt.Fprintf(a.stderr, "medfed: the classes have no names in this task: here they are %s, in this order\n", dataset.InWords(data.Classes))
		return nil
	}
	m := dataset.Matching{Renamed: map[string]string{}, Absent: d.absent}
	for _, text := range d.renamed {
		own, to, ok := strings.Cut(text, "=")
		if !ok || own == "" || to == "" {
			return usage("--class is %q; write OWN=AGREED, the data's name of a class and the model's", text)
		}
		m.Renamed[own] = to
	}
	for _, folder := range d.empty {
		if to := cmp.Or(m.Renamed[folder], folder); slices.Contains(agreed, to) {
			delete(m.Renamed, folder)
			m.Absent = append(m.Absent, to)
		}
	}
	if err := data.Match(agreed, m); err != nil {
		return err
	}
	if without := data.Without(); len(without) > 0 {
		fmt.Fprintf(a.stderr, "medfed: the data have no example of %s\n", dataset.InWords(without))
	}
	return nil
}

// classesInWords lists classes and says which of two is the positive one.
func classesInWords(names []string) string {
	switch len(names) {
	case 0:
		return "not named"
	case 2:
		return dataset.InWords(names) + "; the second is the positive one"
	default:
		return dataset.InWords(names)
	}
}

// labelOf makes a data label of a folder's name.
func labelOf(folder string) string {
	if whole, err := filepath.Abs(folder); err == nil {
		folder = whole
	}
	folder = strings.TrimSuffix(folder, ".zip")
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._", r) {
			return r
		}
		return '-'
	}, strings.ToLower(filepath.Base(folder)))
}

// shapedFor lets image files be brought to the shape that a model takes, and their pixels
// to its numbers.
func (d *dataFlags) shapedFor(spec model.Spec, in dataset.Input) {
	d.size, d.channels, d.unread, d.input = spec.Size, spec.Channels, spec.CheckFrozen() == nil, in
}

// share is this participant's part of a split; of one that a folder of images does
// not have, nothing.
func (d *dataFlags) share(s dataset.Split) (dataset.Split, error) {
	if s.Len() == 0 || d.shard.n == 1 {
		return s, nil
	}
	shares, err := d.partition.Shards(s, d.shard.n, d.seed)
	if err != nil {
		return dataset.Split{}, err
	}
	return s.Select(shares[d.shard.i-1]), nil
}
