package main

import (
	"context"
	"os"

	"github.com/spf13/pflag"

	"github.com/medfed/medfed/trainer/dataset"
)

// dataFlags choose a set and a participant's share of it.
type dataFlags struct {
	name      string
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
	flags.StringVar(&d.folder, "data-folder", dataFolder(), "folder of .npz files (or "+dataset.FolderVariable+")")
	flags.Lookup("data-folder").DefValue = ""
	flags.BoolVar(&d.offline, "offline", false, "do not download a set that is not on this machine")
	flags.Var(&d.shard, "shard", "this participant's share of the examples")
	flags.Var(&d.partition, "partition", "how the examples are split into shares")
	flags.Int64Var(&d.seed, "seed", 1, "of the split; all participants of a task use the same")
}

// dataFolder is the default of --data-folder.
func dataFolder() string { return os.Getenv(dataset.FolderVariable) }

// load brings the named set, with a progress bar while it is downloaded.
func (d *dataFlags) load(ctx context.Context, a *app) (*dataset.Data, error) {
	if d.name == "" {
		return nil, usage("no data set is named; use --data with a MedMNIST 2D set or synthetic")
	}
	shown := a.newBars()
	defer shown.Close()
	return dataset.Load(ctx, d.name, dataset.Options{
		Folder:        d.folder,
		AllowDownload: !d.offline,
		Progress:      func(done, total int64) { shown.Bytes("downloading "+d.name, done, total) },
	})
}

// share is this participant's part of a split.
func (d *dataFlags) share(s dataset.Split) (dataset.Split, error) {
	shares, err := d.partition.Shards(s.Labels, d.shard.n, d.seed)
	if err != nil {
		return dataset.Split{}, err
	}
	return s.Select(shares[d.shard.i-1]), nil
}
