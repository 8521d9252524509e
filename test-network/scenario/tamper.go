package scenario

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/trainer/dataset"
)

// TamperedNode is a node as medfed node run has it, but for one thing: it
// changes its weights before it sends them.
type TamperedNode struct {
	Task, Profile, Identity string
	Data, Folder            string
	Shard, Shards           int // share Shard of Shards, from 1
	Seed                    int64
	Journal                 string
	Tamper                  Tamper
}

// Run takes part until the task is over.
func (t TamperedNode) Run(ctx context.Context) error {
	connection, err := session.Connect(t.Profile, t.Identity)
	if err != nil {
		return err
	}
	defer connection.Close()
	config := node.Config{ID: connection.Identity().ID(), Task: t.Task, Ledger: connection, Tamper: t.Tamper,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	stores, err := session.OpenStores(t.Profile)
	if err != nil {
		return err
	}
	if config.Store, err = stores.NeedPrivate(); err != nil {
		return err
	}
	if config.Identity, err = session.AgeKey(t.Identity); err != nil {
		return err
	}
	if config.Train, config.Validation, err = t.shares(ctx); err != nil {
		return err
	}
	journal, err := os.OpenFile(t.Journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer journal.Close()
	config.Journal = io.Writer(journal)
	n, err := node.New(config)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

func (t TamperedNode) shares(ctx context.Context) (train, validation dataset.Split, err error) {
	data, err := dataset.Load(ctx, t.Data, dataset.Options{Folder: t.Folder})
	if err != nil {
		return train, validation, err
	}
	share := func(s dataset.Split) (dataset.Split, error) {
		shares, err := dataset.Partition{Kind: dataset.IID}.Shards(s, t.Shards, t.Seed)
		if err != nil {
			return dataset.Split{}, err
		}
		return s.Select(shares[t.Shard-1]), nil
	}
	if train, err = share(data.Train); err != nil {
		return train, validation, err
	}
	validation, err = share(data.Validation)
	return train, validation, err
}
