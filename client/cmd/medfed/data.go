package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// dataFlags choose a set and a participant's share of it.
type dataFlags struct {
	name      string
	images    string // folder of image files, instead of a set by name
	skipBad   bool   // leave image files out that can't be read
	size      int    // height and width they are brought to; 0 for 28
	channels  int    // of them; 0 for 1
	unread    bool   // leave them in their files until a frozen backbone takes them
	folder    string
	offline   bool
	shard     shard
	partition partition
	seed      int64
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
	flags.StringVar(&d.images, "images", "", "instead of a data set: folder of DICOM, PNG and JPEG images, with a folder for each class or a manifest.csv")
	flags.BoolVar(&d.skipBad, "skip-bad-images", false, "with --images: name files that can't be read and go on without them")
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
	return dataset.Load(ctx, d.name, dataset.Options{
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
		Progress: func(done, total int) { shown.Step("reading images", done, total) },
	}
	if d.unread {
		options.Input = dataset.ImageNet
	}
	folder, err := dataset.LoadFolder(ctx, d.images, options)
	if err != nil {
		return nil, err
	}
	for _, bad := range folder.Bad {
		fmt.Fprintf(a.stderr, "medfed: %s is left out: %v\n", bad.Path, bad.Err)
	}
	return folder.Data, nil
}

// labelOf makes a data label of a folder's name.
func labelOf(folder string) string {
	if whole, err := filepath.Abs(folder); err == nil {
		folder = whole
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._", r) {
			return r
		}
		return '-'
	}, strings.ToLower(filepath.Base(folder)))
}

// shapedFor lets image files be brought to the shape that a model takes.
func (d *dataFlags) shapedFor(spec model.Spec) {
	d.size, d.channels, d.unread = spec.Size, spec.Channels, spec.CheckFrozen() == nil
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
