package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/keystore"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/client/session"
)

// collection is a ledger that keeps what is staged.
type collection struct {
	ledgerClient
	staged map[string]records.SealedVersion
}

func (c collection) Identity() *gateway.Identity { return &gateway.Identity{MSP: "Hospital1MSP"} }
func (c collection) Close() error                { return nil }
func (c collection) SubmitPrivate(_ context.Context, _, _ string, _ any, private map[string]any, result any) error {
	v := private["version"].(records.SealedVersion)
	c.staged[v.Record] = v
	return c.give(records.Staged{Record: v.Record, Version: v.Version, Digest: form.Digest(v)}, result)
}

// EvaluateAt gives the hospital's one key.
func (c collection) EvaluateAt(_ context.Context, _, _ string, _, result any) error {
	return c.give([]records.HospitalKey{{Number: 1, Recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", Wrap: "AAAA"}}, result)
}

func (collection) give(answer, result any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

// counting is a store that counts what it is given.
type counting struct {
	record.Store
	added *int
}

func (c counting) Add(_ context.Context, r io.Reader) (string, error) {
	*c.added++
	return ipfs.ComputeCID(r)
}

func TestIngestTakesAFolderOnce(t *testing.T) {
	folder, identity := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"series": "time,rate\n1,61\n2,62\n", "note": "words"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ledger, added := collection{staged: map[string]records.SealedVersion{}}, 0
	for round := range 2 {
		var out, errs bytes.Buffer
		a := newApp(&out, &errs)
		a.openLedger = func(string, string) (ledgerClient, error) { return ledger, nil }
		a.openStores = func(string) (session.Stores, error) {
			return session.Stores{Private: counting{added: &added}, DocumentKeys: keystore.Open(identity)}, nil
		}
		status := run(context.Background(), a, []string{
			"ingest", "--folder", folder, "--once", "--settle", "1ms", "--format", "json", "--profile", "p", "--identity", identity,
		})
		if status != 0 || added != 1 || len(ledger.staged) != 1 {
			t.Fatalf("exit status %d, said %q, %d added, %d staged", status, errs.String(), added, len(ledger.staged))
		}
		if ingested := strings.Contains(out.String(), `"result":"ingested"`); ingested != (round == 0) || !strings.Contains(out.String(), `"code":"MF-INGEST-TYPE"`) {
			t.Errorf("run %d printed %s", round, out.String())
		}
	}
}

func TestIngestNeedsAFolder(t *testing.T) {
	for _, args := range [][]string{{"ingest"}, {"ingest", "--folder", "x", "--settle", "0s"}} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), newApp(&out, &errs), args); status != 2 || !strings.Contains(errs.String(), "MF-USAGE") {
			t.Errorf("%v: exit status %d, said %q", args, status, errs.String())
		}
	}
}
