package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/client/audit"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

// recordedAudit is a ledger of two rounds that a real network made.
const recordedAudit = "../../audit/testdata/two-rounds.audit"

// chain is a fake ledger whose blocks can be read.
type chain struct {
	fakeLedger
	blocks [][]byte
}

func (c chain) Channel() string                                        { return "medfed" }
func (c chain) Height(context.Context) (uint64, error)                 { return uint64(len(c.blocks)), nil }
func (c chain) Block(_ context.Context, number uint64) ([]byte, error) { return c.blocks[number], nil }

// runLine carries out a command line.
func runLine(open func(profile, identity string) (ledgerClient, error), args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	if open != nil {
		a.openLedger = open
	}
	status = run(context.Background(), a, args)
	return status, out.String(), errs.String()
}

// says looks for words in what a command printed, however it is laid out.
func says(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, want := range words {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestAuditVerifySaysWhatItDecidedAgainAndWhatNot(t *testing.T) {
	const consents = "../../audit/testdata/consents.audit"
	genesis, err := os.ReadFile(consents + ".genesis")
	if err != nil {
		t.Fatal(err)
	}
	status, out, errs := runLine(nil, "audit", "verify", consents, "--genesis", strings.TrimSpace(string(genesis)))
	if status != exit.OK || errs != "" {
		t.Fatalf("exit %d: %s", status, errs)
	}
	says(t, out, "decided again 2 records, 5 consents with 3 versions, 1 permits, 5 denials",
		"not replayed, private grants-Hospital1MSP: 3 documents written, 1 purged; only their hashes are on the ledger", "differences 0")
}

func TestAuditVerifySaysWhatItChecked(t *testing.T) {
	content, err := os.ReadFile(recordedAudit + ".genesis")
	if err != nil {
		t.Fatal(err)
	}
	genesis := strings.TrimSpace(string(content))
	status, out, errs := runLine(nil, "audit", "verify", recordedAudit, "--genesis", strings.ToUpper(genesis))
	if status != exit.OK || errs != "" {
		t.Fatalf("exit %d: %s", status, errs)
	}
	says(t, out, "first block "+genesis, "MVCC_READ_CONFLICT", "rounds replayed 2", "differences 0", "task audited completed")
	status, out, _ = runLine(nil, "audit", "verify", recordedAudit, "--genesis", genesis, "--format", "json")
	var summary audit.Summary
	if err := json.Unmarshal([]byte(out), &summary); err != nil || status != exit.OK || summary.Genesis != genesis || summary.Rounds != 2 {
		t.Errorf("exit %d, %v: %s", status, err, out)
	}
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"audit", "verify", recordedAudit, "--genesis", strings.Repeat("0", 64)}, exit.Corrupt, "MF-AUDIT-GENESIS: block 0"},
		{[]string{"audit", "verify", recordedAudit, "--genesis", genesis, "--head", genesis}, exit.Corrupt, "MF-AUDIT-HEAD: block "},
		{[]string{"audit", "verify", recordedAudit}, exit.Usage, "--genesis"},
		{[]string{"audit", "verify"}, exit.Usage, "write medfed audit verify FILE --genesis HASH"},
		{[]string{"audit", "verify", recordedAudit + ".genesis", "--genesis", genesis}, exit.Corrupt, "MF-AUDIT-BUNDLE"},
		{[]string{"audit", "export"}, exit.Usage, "--out"},
	} {
		if status, out, errs := runLine(nil, c.args...); status != c.status || !strings.Contains(errs, c.stderr) || out != "" {
			t.Errorf("%v: exit %d, want %d: %s", c.args, status, c.status, errs)
		}
	}
}

func TestAuditExportWritesTheLedgerOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.audit")
	open := func(string, string) (ledgerClient, error) {
		return chain{blocks: [][]byte{blockBytes(t)}}, nil
	}
	args := []string{"audit", "export", "--out", file, "--profile", "p", "--identity", "i"}
	status, out, errs := runLine(open, args...)
	if status != exit.OK || !strings.Contains(out, "blocks       1") || !strings.Contains(out, "first block  ") {
		t.Errorf("exit %d: %s%s", status, out, errs)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if status, _, errs := runLine(open, args...); status != exit.Write || !strings.Contains(errs, "MF-WRITE-EXISTS") {
		t.Errorf("exit %d: %s", status, errs)
	}
	plain := func(string, string) (ledgerClient, error) { return fakeLedger(t.TempDir()), nil }
	if status, _, errs := runLine(plain, append(args[:3:3], file+"2", "--profile", "p", "--identity", "i")...); status != exit.Internal {
		t.Errorf("exit %d: %s", status, errs)
	}
}

// blockBytes is a block that has every part and means nothing.
func blockBytes(t *testing.T) []byte {
	t.Helper()
	content, err := proto.Marshal(&common.Block{
		Header: &common.BlockHeader{}, Data: &common.BlockData{Data: [][]byte{{1}}}, Metadata: &common.BlockMetadata{Metadata: make([][]byte, 5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}
