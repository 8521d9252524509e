package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/medfed/medfed/trainer/model"
)

// The rounds after which the IPFS repositories are measured.
const (
	roundsSettled = 20
	roundsLong    = 60
	growthBar     = 0.1 // models a round
)

// repositories lets the task of the logs go on and gives by how much the IPFS repository that
// grows most does so in a round, in 10^6 bytes.
func (b *bench) repositories(ctx context.Context) (any, error) {
	if b.quick {
		b.Unmeasured("ipfs_mb_per_round_after_20: it takes %d rounds", roundsLong)
		return nil, nil
	}
	defer b.many.stop()
	before, err := b.repositorySizes()
	if err != nil {
		return nil, err
	}
	if err := b.many.await(ctx, roundsLong); err != nil {
		return nil, err
	}
	after, err := b.repositorySizes()
	if err != nil {
		return nil, err
	}
	first, err := model.Initial(model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}, 1)
	if err != nil {
		return nil, err
	}
	size := len(first.Bytes())
	most, which := 0.0, ""
	for name := range after {
		if grown := float64(after[name]-before[name]) / (roundsLong - roundsSettled); grown > most || which == "" {
			most, which = grown, name
		}
	}
	b.Say("%s grew most, from %.2f to %.2f MB in %d rounds; a model has %.2f MB", which, float64(before[which])/1e6, float64(after[which])/1e6, roundsLong-roundsSettled, float64(size)/1e6)
	b.Bar(most <= growthBar*float64(size), "%s grows by %.0f bytes a round, want at most a tenth of a model's %d", which, most, size)
	return round(most / 1e6), b.many.stop()
}

// repositorySizes are the bytes of each private IPFS node's repository.
func (b *bench) repositorySizes() (map[string]int64, error) {
	sizes := map[string]int64{}
	for _, o := range b.network.Consortium().Organisations {
		if !o.Kind.Member() {
			continue
		}
		size, err := sizeOf(filepath.Join(b.network.StateDir(), "nodes", "ipfs-"+o.Name))
		if err != nil {
			return nil, err
		}
		sizes[o.Name] = size
	}
	return sizes, nil
}

// sizeOf is the bytes of all files of a folder. What goes meanwhile counts for nothing.
func sizeOf(folder string) (bytes int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}
