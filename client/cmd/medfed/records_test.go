package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/medfed/medfed/client/keystore"
	"github.com/medfed/medfed/client/session"
)

// fakeStores are the nodes of a fake ledger's folder: every organisation's private
// node is ipfs, the public one public. The MSP is the profile's base name.
func fakeStores(folder, profile string) session.Stores {
	return session.Stores{
		Members: []string{"Hospital1MSP", "Hospital2MSP", "Hospital3MSP", "Hospital4MSP", "ResearchCentreMSP"},
		MSP:     strings.TrimSuffix(filepath.Base(profile), ".yaml"),
		Private: fakeStore(filepath.Join(folder, "ipfs")),
		Public:  fakeStore(filepath.Join(folder, "public")),

		DocumentKeys: keystore.Open(folder),
	}
}

// SubmitPrivate keeps what came by transient beside the request, as
// record-Stage.private.json.
func (f fakeLedger) SubmitPrivate(ctx context.Context, organisation, transaction string, request any, private map[string]any, result any) error {
	text, err := json.MarshalIndent(map[string]any{"organisation": organisation, "private": private}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.file(transaction, ".private"), text, 0o600); err != nil {
		return err
	}
	return f.Submit(ctx, transaction, request, result)
}

func (f fakeLedger) EvaluateAt(ctx context.Context, _, transaction string, request, result any) error {
	return f.Evaluate(ctx, transaction, request, result)
}

func (f fakeLedger) Await(context.Context, string, string) error { return nil }

func (s fakeStore) Pin(context.Context, string) error { return nil }

func (s fakeStore) PinNamed(context.Context, string, string) error { return nil }

func (s fakeStore) Named(context.Context, string) (map[string]string, error) { return nil, nil }

func (s fakeStore) AddNamed(ctx context.Context, _ string, r io.Reader) (string, error) {
	return s.Add(ctx, r)
}

func (s fakeStore) Collect(context.Context) error { return nil }

func (s fakeStore) Remove(_ context.Context, cid string) error {
	return os.Remove(filepath.Join(string(s), cid))
}
